"""Areas: true hectares of each class, on the ellipsoid."""

from collections.abc import Callable
from functools import cache

import numpy as np
import shapely
from pyproj import Geod, Transformer
from rasterio.transform import xy
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from landcover.aoi import LONLAT
from landcover.grid import Grid

SQUARE_METRES_A_HECTARE = 10_000

# Points on each edge of a window's outline, because its edges are not geodesics.
_POINTS = 9


def polygon_hectares(geometry: BaseGeometry, crs: str) -> float:
    """Return the area of polygons on WGS 84, in hectares.

    Edges are those of the CRS, so they are divided into at least a thousand parts a side of the
    bounds before their points are brought to longitude and latitude and joined by geodesics (Karney
    2013, Algorithms for geodesics, as pyproj computes it).

    Args:
        geometry: polygons in the CRS.
        crs: as WKT.
    """
    if geometry.is_empty:
        return 0.0
    west, south, east, north = geometry.bounds
    dense = shapely.segmentize(geometry, max(east - west, north - south) / 1000)
    to_lonlat = _to_lonlat(crs)
    lonlat = shapely.transform(
        dense, lambda points: np.column_stack(to_lonlat.transform(*points.T))
    )
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.normalize(lonlat))
    return float(abs(area)) / SQUARE_METRES_A_HECTARE


def pixel_areas(grid: Grid) -> Callable[[Window], float]:
    """Return what tells the mean area of a window's pixels, in square metres on WGS 84.

    The area is that of the window's outline on the ellipsoid (Karney 2013, Algorithms for
    geodesics, as pyproj computes it) divided by its pixels.

    Args:
        grid: a grid in any CRS.
    """
    to_lonlat = _to_lonlat(grid.crs)
    ellipsoid = Geod(ellps="WGS84")

    def mean_pixel_area(window: Window) -> float:
        columns, rows = _outline(window)
        lons, lats = to_lonlat.transform(*xy(grid.transform, rows, columns, offset="ul"))
        area, _ = ellipsoid.polygon_area_perimeter(lons, lats)
        return float(abs(area)) / int(window.width * window.height)

    return mean_pixel_area


@cache
def _to_lonlat(crs: str) -> Transformer:
    return Transformer.from_crs(crs, LONLAT, always_xy=True)


def _outline(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows of points around a window, clockwise from its upper left corner."""
    rising = np.linspace(0, 1, _POINTS)[:-1]
    falling, zero, one = 1 - rising, np.zeros_like(rising), np.ones_like(rising)
    # Along the upper edge, down the right one, back along the lower one, and up the left one.
    columns = window.col_off + window.width * np.concatenate([rising, one, falling, zero])
    rows = window.row_off + window.height * np.concatenate([zero, rising, one, falling])
    return columns, rows
