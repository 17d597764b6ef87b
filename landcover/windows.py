"""Windows: the rectangles of a mosaic that are read and predicted one by one."""

import sys
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.windows import Window, bounds, transform
from shapely.geometry.base import BaseGeometry

from landcover import machine
from landcover.geometry import polygonal
from landcover.grid import Grid

# A map's blocks: windows start on them, so that no block of a map belongs to two windows.
BLOCK = 512

# A window of this size takes one to two seconds, so Prefect's overhead per window is small; one
# twice as large would take four times the memory.
LARGEST = 4096

# What is predicted more slowly has smaller windows, so that a run can be watched and cancelled.
SECONDS = 12

# Windows are looked for in windows so many times as large.
COARSER = 8

# Enough that no worker waits long for the last window of another.
WINDOWS_A_WORKER = 4

MEMORY = 2e9  # bytes

# The libraries and the model, the imagery that GDAL keeps, and files that wait for the disk take
# the rest of it.
SHARE_OF_MEMORY = 1 / 3

# About so many crossings of edges and rows are worked on at once.
CROSSINGS = 2_000_000

# Each of about 50 tasks is sent all of them (see `flows.parallel`): a country ten times as large as
# Ecuador has 10 000 of the usual size.
MOST_WINDOWS = 20_000


def split(window: Window, rows: int, columns: int | None = None) -> Iterator[Window]:
    """Cut a window into smaller ones, row by row; those at the far edges may be smaller still.

    >>> [(part.col_off, part.width) for part in split(Window(0, 0, 5, 2), 2, 3)]
    [(0, 3), (3, 2)]

    Args:
        window: what to cut, in pixels.
        rows: the height of each part.
        columns: the width of each part; as wide as the window if left out.
    """
    columns = columns or window.width
    for row in range(window.row_off, window.row_off + window.height, rows):
        for column in range(window.col_off, window.col_off + window.width, columns):
            yield Window(
                column,
                row,
                min(columns, window.col_off + window.width - column),
                min(rows, window.row_off + window.height - row),
            )


def within(part: Window, whole: Window) -> tuple[slice, slice]:
    """Return where a part of a window lies in an array of that window: rows and columns.

    >>> within(Window(520, 10, 2, 3), Window(512, 8, 100, 100))
    (slice(2, 5, None), slice(8, 10, None))
    """
    row, column = part.row_off - whole.row_off, part.col_off - whole.col_off
    return slice(row, row + part.height), slice(column, column + part.width)


def plan_windows(
    grid: Grid,
    area: BaseGeometry,
    workers: int,
    memory: float = MEMORY,
    largest: int = LARGEST,
    memory_of: Callable[[int], int] | None = None,
) -> tuple[int, list[Window]]:
    """Return the size of the windows, a power of two, and those that touch an area.

    Windows are of the largest size where that makes enough of them to keep the workers evenly busy
    and where the workers have memory for it; smaller where not. They are larger still only where
    there would otherwise be more than tasks can be told of.

    Args:
        grid: the mosaic's grid.
        area: what is to be mapped, in the grid's CRS.
        workers: how many windows are predicted side by side.
        memory: how many bytes they may take together.
        largest: height and width of the largest window, a power of two (see `largest_window`).
        memory_of: returns how many bytes a window of a size takes; `window_memory` if left out.
    """
    memory_of = memory_of or window_memory
    size = largest
    windows = windows_touching(grid, area, size)
    while (
        size > BLOCK
        and len(windows) <= MOST_WINDOWS
        and (len(windows) < WINDOWS_A_WORKER * workers or workers * memory_of(size) > memory)
    ):
        size //= 2
        windows = windows_touching(grid, area, size)
    while len(windows) > MOST_WINDOWS:
        size *= 2
        windows = windows_touching(grid, area, size)
    return size, windows


def memory_for_run(limit: int | None = None) -> float:
    """Return how many bytes predicting may take: windows side by side, and what they share.

    Args:
        limit: of this process, where it has one that the machine does not know of.
    """
    return min(MEMORY, SHARE_OF_MEMORY * min(machine.memory(), limit or sys.maxsize))


def largest_window(pixels_a_second: float) -> int:
    """Return height and width of the largest window that takes a core a few seconds.

    >>> largest_window(10e6), largest_window(0.1e6)
    (4096, 1024)

    Args:
        pixels_a_second: what a core predicts.
    """
    size = LARGEST
    while size > BLOCK and size**2 > SECONDS * pixels_a_second:
        size //= 2
    return size


def windows_touching(grid: Grid, area: BaseGeometry, size: int) -> list[Window]:
    """Return the windows of a size that touch an area, on the blocks of the map to come.

    Args:
        grid: the mosaic's grid.
        area: the area of interest, in the grid's CRS.
        size: height and width of a window, in pixels, a multiple of `BLOCK`.
    """
    shapely.prepare(area)
    # Of a grid far larger than the area most windows are never looked at, one by one.
    coarse = size
    while coarse * COARSER < max(grid.width, grid.height):
        coarse *= COARSER
    found = _touching(split(grid.whole, coarse, coarse), grid, area)
    while coarse > size:
        coarse //= COARSER
        parts = (part for window in found for part in split(window, coarse, coarse))
        found = _touching(parts, grid, area)
    return sorted(found, key=lambda window: (window.row_off, window.col_off))


def part_windows_touching(
    part: Grid, whole: Grid, area: BaseGeometry, size: int
) -> Iterator[Window]:
    """Yield the windows of a part of a grid that touch an area, in pixels of the whole grid.

    Args:
        part: whose blocks the windows start on, such as a quad's grid.
        whole: the grid, such as the mosaic's.
        area: in the CRS of both.
        size: height and width of a window, in pixels.
    """
    place = whole.window_of(part)
    for window in windows_touching(part, area, size):
        left, top = place.col_off + window.col_off, place.row_off + window.row_off
        yield Window(left, top, window.width, window.height)


def _touching(windows: Iterable[Window], grid: Grid, area: BaseGeometry) -> list[Window]:
    """Return those of some windows that an area, which is prepared, has a part in."""
    windows = list(windows)
    if not windows:
        return []
    outlines = shapely.box(*np.transpose([bounds(window, grid.transform) for window in windows]))
    touched = shapely.intersects(area, outlines)
    # An area that merely shares an edge with a window has no pixel in it.
    touched[touched] = ~shapely.touches(area, outlines[touched])
    return [window for window, touches in zip(windows, touched, strict=True) if touches]


def window_memory(size: int, bands: int = 5, itemsize: int = 2) -> int:
    """Return how many bytes predicting a window takes at most, beside what the model takes.

    That is its classes and confidence, and either a strip of imagery or, once they are known, what
    overviews are made of.

    Args:
        size: height and width of the window.
        bands: how many bands are read, with the alpha band.
        itemsize: how many bytes a value of theirs takes while it is read.
    """
    # A quad's values, those put together of several, where each has nodata, and eight masks.
    strip = BLOCK * size * (2 * itemsize * bands + bands + 8)
    totals = 2 * size * size
    return 2 * size * size + max(strip, totals)


def pixels_inside(
    area: BaseGeometry, window: Window, of: Affine, all_touched: bool = False
) -> NDArray[np.bool_]:
    """Tell which pixels of a window lie in an area: those whose centre does.

    Args:
        area: a polygon or multipolygon in the CRS of the grid.
        window: which pixels, (rows, columns).
        of: the transform of the grid.
        all_touched: count every pixel that the area touches.
    """
    shape = (window.height, window.width)
    outline = shapely.box(*bounds(window, of))
    if not shapely.intersects(area, outline):
        return np.zeros(shape, dtype=bool)
    if shapely.covers(area, outline):
        return np.ones(shape, dtype=bool)
    # GDAL would burn lines and points, which have no pixel's centre in them.
    inside: NDArray[np.bool_] = geometry_mask(
        [polygonal(area)], shape, transform(window, of), all_touched=all_touched, invert=True
    )
    return inside


def count_inside(area: BaseGeometry, of: Affine) -> int:
    """Count the pixels of a grid without edges whose centre lies in an area.

    An edge that crosses the middle of a row counts the centres to its left, for or against,
    whichever way it runs: what is left is between edges. So it takes as long as the area's outline
    is, not as its pixels are many.

    Args:
        area: a valid polygon or multipolygon in the CRS of the grid.
        of: the transform of the grid, north up.
    """
    rings = shapely.get_rings(shapely.orient_polygons(shapely.get_parts(area)))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    if not len(points):
        return 0
    columns, rows = ~of @ points.T
    edge = ring[1:] == ring[:-1]
    start = np.column_stack([columns, rows])[:-1][edge]
    end = np.column_stack([columns, rows])[1:][edge]
    # Row 3 is crossed in its middle, 3.5: by what goes from at most there to beyond.
    first, last = (np.ceil(np.sort([start[:, 1], end[:, 1]], axis=0) - 0.5)).astype(np.int64)
    crossings = last - first
    count = 0
    for part in np.array_split(np.flatnonzero(crossings), crossings.sum() // CROSSINGS + 1):
        of_edge = np.repeat(part, crossings[part])
        before = np.repeat(np.cumsum(crossings[part]) - crossings[part], crossings[part])
        middle = first[of_edge] + np.arange(len(of_edge)) - before + 0.5
        one, other = start[of_edge], end[of_edge]
        share = (middle - one[:, 1]) / (other[:, 1] - one[:, 1])
        across = one[:, 0] + share * (other[:, 0] - one[:, 0])
        upwards = np.where(other[:, 1] < one[:, 1], 1, -1)
        count += int((upwards * np.floor(across + 0.5)).sum())
    return abs(count)
