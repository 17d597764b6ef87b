"""Areas: true hectares of each class, on the ellipsoid."""

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod
from rasterio.transform import xy
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from landcover.geometry import to_lonlat
from landcover.grid import Grid

SQUARE_METRES_A_HECTARE = 10_000

# Metres, and degrees, over which any line is as good as a geodesic.
_STRAIGHT, _STRAIGHT_DEGREES = 100, 1e-3

# The areas of pixels are worked out at every so many rows and columns; between them they are all
# but linear, even where a pixel is half a kilometre wide.
KNOTS = 64

# Points on each edge of a window's outline, because its edges are not geodesics.
_POINTS = 9


def polygon_hectares(geometry: BaseGeometry, crs: str) -> float:
    """Return the area of polygons on WGS 84, in hectares.

    Edges are those of the CRS, so long ones are divided into a thousand parts a side of a
    polygon's bounds before their points are brought to longitude and latitude and joined by
    geodesics (Karney 2013, Algorithms for geodesics, as pyproj computes it). Each ring is measured
    by itself, so that it may run over the antimeridian, or round a pole.

    Args:
        geometry: polygons in the CRS.
        crs: as WKT.
    """
    ellipsoid, transformer = Geod(ellps="WGS84"), to_lonlat(crs)
    least = _STRAIGHT_DEGREES if CRS.from_user_input(crs).is_geographic else _STRAIGHT
    square_metres = 0.0
    for polygon in shapely.get_parts(geometry):
        west, south, east, north = polygon.bounds
        step = max((east - west) / 1000, (north - south) / 1000, least)
        # Ring by ring: GEOS makes dense polygons valid, which may leave nothing of them.
        for number, ring in enumerate(shapely.segmentize(shapely.get_rings(polygon), step)):
            lons, lats = transformer.transform(*shapely.get_coordinates(ring).T)
            area = abs(ellipsoid.polygon_area_perimeter(lons, lats)[0])
            square_metres += -area if number else area
    return float(square_metres) / SQUARE_METRES_A_HECTARE


def pixel_areas(grid: Grid) -> Callable[[Window], float]:
    """Return what tells the mean area of a window's pixels, in square metres on WGS 84.

    The area is that of the window's outline on the ellipsoid (Karney 2013, Algorithms for
    geodesics, as pyproj computes it) divided by its pixels.

    Args:
        grid: a grid in any CRS.
    """
    transformer = to_lonlat(grid.crs)
    ellipsoid = Geod(ellps="WGS84")

    def mean_pixel_area(window: Window) -> float:
        columns, rows = _outline(window)
        lons, lats = transformer.transform(*xy(grid.transform, rows, columns, offset="ul"))
        area, _ = ellipsoid.polygon_area_perimeter(lons, lats)
        return float(abs(area)) / int(window.width * window.height)

    return mean_pixel_area


def areas_at(
    grid: Grid, columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the areas of single pixels at the crossings of columns and rows (see `areas_of`).

    Args:
        grid: a grid in any CRS.
        columns: the pixels' centres, in columns; half a column is the middle of the first.
        rows: the same in rows.

    Returns:
        Square metres, (rows, columns).
    """
    return areas_of(grid, *np.meshgrid(columns, rows))


def knots_of(window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns and rows at which the areas of a window's pixels are worked out.

    They begin with its first, and the last lies at or beyond its end.

    Args:
        window: in pixels of a grid.
    """
    columns, rows = (
        start + KNOTS * np.arange(-(-size // KNOTS) + 1.0)
        for start, size in ((window.col_off, window.width), (window.row_off, window.height))
    )
    return columns, rows


def interpolated_areas(grid: Grid, window: Window) -> NDArray[np.float64]:
    """Return the area of each pixel of a window, in square metres on WGS 84.

    Args:
        grid: a grid in any CRS.
        window: in its pixels.

    Returns:
        Areas, (rows, columns), between knots by interpolation.
    """
    areas = areas_at(grid, *knots_of(window))
    down, across = (_hats(size) for size in (window.height, window.width))
    # By einsum: threads of a matrix product would wait for each other longer than it takes.
    interpolated: NDArray[np.float64] = np.einsum("ik,jk->ij", down @ areas, across)
    return interpolated


def _hats(size: int) -> NDArray[np.float64]:
    """Return how much each knot counts at each of so many pixels' centres, (pixels, knots)."""
    centres, knots = np.arange(size) + 0.5, KNOTS * np.arange(-(-size // KNOTS) + 1)
    hats: NDArray[np.float64] = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - knots) / KNOTS)
    return hats


def areas_of(
    grid: Grid, across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the areas of single pixels, in square metres on WGS 84.

    A pixel's area is that of the parallelogram between the middles of its edges, in space: so it
    may lie on the antimeridian, or on a pole. Where the projection has no place, it is the mean of
    the others.

    Args:
        grid: a grid in any CRS.
        across: each pixel's centre, in columns; half a column is the middle of the first.
        down: the same in rows, of the same shape.
    """
    middles = [
        (across - 0.5, down),
        (across + 0.5, down),
        (across, down - 0.5),
        (across, down + 0.5),
    ]
    xs, ys = grid.transform @ np.stack(middles, axis=1)
    left, right, upper, lower = _in_space(*to_lonlat(grid.crs).transform(xs, ys))
    areas: NDArray[np.float64] = np.linalg.norm(np.cross(right - left, lower - upper), axis=-1)
    areas[~np.isfinite(areas)] = areas[np.isfinite(areas)].mean()
    return areas


def _in_space(lons: NDArray[np.float64], lats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on the ellipsoid of WGS 84 in metres from its centre, (..., 3)."""
    ellipsoid = Geod(ellps="WGS84")
    lon, lat = np.radians(lons), np.radians(lats)
    across = ellipsoid.a / np.sqrt(1 - ellipsoid.es * np.sin(lat) ** 2)
    return np.stack(
        [
            across * np.cos(lat) * np.cos(lon),
            across * np.cos(lat) * np.sin(lon),
            across * (1 - ellipsoid.es) * np.sin(lat),
        ],
        axis=-1,
    )


def _outline(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and rows of points around a window, clockwise from its upper left corner."""
    rising = np.linspace(0, 1, _POINTS)[:-1]
    falling, zero, one = 1 - rising, np.zeros_like(rising), np.ones_like(rising)
    # Along the upper edge, down the right one, back along the lower one, and up the left one.
    columns = window.col_off + window.width * np.concatenate([rising, one, falling, zero])
    rows = window.row_off + window.height * np.concatenate([zero, rising, one, falling])
    return columns, rows
