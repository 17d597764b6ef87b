"""Tile indexes: many rasters on one grid opened as one, through GDAL's GTI driver."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
from affine import Affine
from shapely.geometry import box

LAYER = "tiles"


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid.

    Attributes:
        crs: the coordinate reference system as WKT.
        transform: from (column, row) to CRS units; y runs downwards.
        width: columns.
        height: rows.
    """

    crs: str
    transform: Affine
    width: int
    height: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north edge in CRS units."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return west, south, east, north


def write_tile_index(
    locations: Sequence[str],
    grids: Sequence[Grid],
    whole: Grid,
    path: Path,
    options: dict[str, str] | None = None,
) -> str:
    """Write the index of rasters that lie on one grid.

    The grid is given in so many words, because worked out from the outlines it can be a pixel too
    wide, and GDAL rounds the size up from the edges, so the far edges are given half a pixel short.

    Args:
        locations: where the rasters are.
        grids: the grid of each raster.
        whole: the grid of the raster that they make.
        path: the GeoPackage to write, ending in `.gti.gpkg`.
        options: more metadata items of the GTI driver, such as `MASK_BAND`.

    Returns:
        What GDAL opens.
    """
    west, south, east, north = whole.bounds
    column, row = whole.transform.a, -whole.transform.e
    extent = {
        "RESX": column,
        "RESY": row,
        "MINX": west,
        "MINY": south + row / 2,
        "MAXX": east - column / 2,
        "MAXY": north,
    }
    outlines = geopandas.GeoDataFrame(
        {"location": [str(Path(location).absolute()) for location in locations]},
        geometry=[box(*grid.bounds) for grid in grids],
        crs=whole.crs,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    outlines.to_file(
        path,
        driver="GPKG",
        layer=LAYER,
        layer_metadata={name: repr(float(value)) for name, value in extent.items()}
        | (options or {}),
    )
    return f"GTI:{path}"
