"""Grids: where the pixels of a raster lie."""

from dataclasses import dataclass

from affine import Affine
from rasterio.io import DatasetReader

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
