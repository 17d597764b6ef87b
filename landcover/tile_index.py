"""Tile indexes: many rasters on one grid opened as one, through GDAL's GTI driver."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import geopandas
import rasterio
from affine import Affine
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from shapely.geometry import Polygon, box

LAYER = "tiles"

# West, south, east and north edge, in CRS units.
Bounds = tuple[float, float, float, float]


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
    def bounds(self) -> Bounds:
        """West, south, east and north edge in CRS units."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return west, south, east, north


def grid_of(dataset: DatasetReader) -> Grid:
    """Return the grid of an open raster; its CRS is empty where the raster does not say it."""
    crs = dataset.crs.to_wkt() if dataset.crs else ""
    return Grid(crs, dataset.transform, dataset.width, dataset.height)


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
    The outlines are drawn a quarter of a pixel inside the rasters: GDAL looks up by outline what a
    window needs, and where rounding makes a neighbour reach into it by a millionth of a pixel, GDAL
    3.10 leaves the whole window empty.

    Args:
        locations: what GDAL opens to read the rasters, from any folder.
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
        {"location": list(locations)},
        geometry=[_outline(grid.bounds, column, row) for grid in grids],
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


def _outline(bounds: Bounds, column: float, row: float) -> Polygon:
    west, south, east, north = bounds
    return box(west + column / 4, south + row / 4, east - column / 4, north - row / 4)


def check_tiles(index: Path, part: Bounds, transform: Affine) -> None:
    """Make sure that GDAL can open each raster that a part of an index needs.

    Where a raster cannot be opened, or is not where its index says, GDAL's GTI driver says nothing
    and leaves a hole.

    Args:
        index: the GeoPackage, as `write_tile_index` wrote it.
        part: west, south, east and north edge, in CRS units.
        transform: of the grid.

    Raises:
        RasterioIOError: if a raster cannot be opened, or is not where it should be.
    """
    tiles = _read_index(index, index.stat().st_mtime_ns)
    column, row = transform.a, -transform.e
    for number in tiles.sindex.query(box(*part)):
        location, outline = tiles["location"].iloc[number], tiles.geometry.iloc[number]
        with rasterio.open(location) as tile:
            found = _outline(tile.bounds, column, row)
        if not found.equals_exact(outline, tolerance=min(column, row) / 2):
            raise RasterioIOError(f"{location} has changed: it covers another area than before")


@lru_cache(maxsize=8)
def _read_index(index: Path, changed: int) -> geopandas.GeoDataFrame:  # noqa: ARG001
    return geopandas.read_file(index, layer=LAYER)
