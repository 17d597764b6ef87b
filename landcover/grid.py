"""Grids: where the pixels of a raster lie."""

from dataclasses import dataclass

from affine import Affine
from pyproj import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window, transform

# Rasters lie on one grid if their origins are whole pixels apart within this share of a pixel: file
# headers round coordinates, and a hundredth of a pixel moves no value.
GRID_TOLERANCE = 0.01

# West, south, east and north edge, in CRS units.
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid.

    >>> grid = Grid("EPSG:3857", Affine(10, 0, 500, 0, -10, 900), width=5, height=3)
    >>> grid.bounds
    (500.0, 870.0, 550.0, 900.0)
    >>> grid.coarser(2).width, grid.coarser(2).height
    (3, 2)
    """

    crs: str
    """The coordinate reference system as WKT."""
    transform: Affine
    """From (column, row) to CRS units; y runs downwards."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    @property
    def bounds(self) -> Bounds:
        """West, south, east and north edge in CRS units."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return west, south, east, north

    @property
    def pixel(self) -> float:
        """The side of a pixel, the smaller of the two, in CRS units."""
        return float(min(self.transform.a, -self.transform.e))

    @property
    def whole(self) -> Window:
        """The window that covers it."""
        return Window(0, 0, self.width, self.height)

    def part(self, window: Window) -> "Grid":
        """Return the grid of a window of it, in pixels."""
        return Grid(self.crs, transform(window, self.transform), window.width, window.height)

    def coarser(self, factor: int) -> "Grid":
        """Return the grid of an overview; what does not fill its last row or column counts whole.

        Args:
            factor: how many pixels make one, across and down.
        """
        scaled = self.transform @ Affine.scale(factor)
        return Grid(self.crs, scaled, -(-self.width // factor), -(-self.height // factor))

    def window_of(self, other: "Grid") -> Window:
        """Return which pixels another grid covers; they may lie beyond this one's edges.

        Args:
            other: of the same CRS and resolution, a whole number of pixels away.
        """
        left, top = (round(offset) for offset in ~self.transform @ (other.transform @ (0, 0)))
        return Window(left, top, other.width, other.height)


def grid_of(dataset: DatasetReader) -> Grid:
    """Return the grid of an open raster; its CRS is empty where the raster does not say it."""
    crs = dataset.crs.to_wkt() if dataset.crs else ""
    return Grid(crs, dataset.transform, dataset.width, dataset.height)


def same_crs(ours: str, theirs: str) -> bool:
    """Tell whether two texts name one coordinate reference system, whoever wrote them.

    Args:
        ours: as WKT of any version or dialect.
        theirs: likewise.
    """
    # GDAL gives easting and northing, longitude and latitude, in whichever order a CRS has them.
    return ours == theirs or CRS(ours).equals(CRS(theirs), ignore_axis_order=True)


def grid_differences(ours: Grid, theirs: Grid) -> list[str]:
    """Return what keeps the pixels of two grids from lying on one, in words; nothing if they do.

    Args:
        ours: compared with the other, wherever on the earth the two lie.
        theirs: the other.
    """
    pixels = max(ours.width, ours.height)
    steps = (ours.transform.a, ours.transform.e), (theirs.transform.a, theirs.transform.e)
    offsets = ~theirs.transform @ (ours.transform.c, ours.transform.f)
    differences = {
        "its coordinate reference system": not same_crs(ours.crs, theirs.crs),
        "its resolution": any(
            abs(our / their - 1) * pixels > GRID_TOLERANCE
            for our, their in zip(*steps, strict=True)
        ),
        "its pixel grid": any(abs(offset - round(offset)) > GRID_TOLERANCE for offset in offsets),
    }
    return [what for what, differs in differences.items() if differs]
