"""The mosaic as a small picture in true colour, whatever its size."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely import box
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.grid import Bounds, Grid
from landcover.imagery.images import open_image, read_patiently
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.pixels import Pixels, read_pixels
from landcover.imagery.quads import Header, read_bands
from landcover.imagery.thumbnails import primaries
from landcover.report.cartography import Frame

# About this many pixels decide the stretch: sorting all takes as long as drawing them.
DECIDING = 100_000

# Black is half of the lower percentile, so that forest is not black. Full brightness is the upper
# percentile, or this many times the median if that is less, because clouds are far brighter.
DARKEST, BRIGHTEST = 2, 98
MOST_MEDIANS = 4
GAMMA = 1.5


@dataclass(frozen=True)
class Part:
    """What a raster contributes to a picture."""

    window: Window
    """Of the raster, in its pixels."""

    shape: tuple[int, int]
    """Rows and columns that it is read as."""

    bounds: Bounds
    """West, south, east and north edge of the window, in CRS units."""


def part_shown(grid: Grid, frame: Frame) -> Part | None:
    """Return the part of a raster that a frame shows, or None if it shows nothing of it.

    It is read at the resolution of the picture, but no finer than the raster is.

    Args:
        grid: that of the raster, in the CRS of the frame.
        frame: what is shown.
    """
    west, south, east, north = frame.bounds
    left, top = ~grid.transform @ (west, north)
    right, bottom = ~grid.transform @ (east, south)
    first_column, last_column = max(0, int(left)), min(grid.width, math.ceil(right))
    first_row, last_row = max(0, int(top)), min(grid.height, math.ceil(bottom))
    columns, rows = last_column - first_column, last_row - first_row
    if columns <= 0 or rows <= 0:
        return None
    step, fall = grid.transform.a, -grid.transform.e
    shape = _pixels(rows, fall / frame.unit), _pixels(columns, step / frame.unit)
    x, y = grid.transform @ (first_column, first_row)
    window = Window(first_column, first_row, columns, rows)
    return Part(window, shape, (x, y - rows * fall, x + columns * step, y))


def _pixels(count: int, ratio: float) -> int:
    return max(1, round(count * min(1.0, ratio)))


def true_colour(mosaic: Mosaic, area: BaseGeometry, frame: Frame) -> NDArray[np.uint8]:
    """Return what a frame shows of the quads that an area touches, stretched for the eye.

    Quads are read one by one, at the picture's size, from their overviews if they have any; else
    they should be thumbnails, because imagery would be decoded whole.

    Args:
        mosaic: the imagery; the bands named red, green and blue, or else its first three.
        area: of interest, in the mosaic's CRS.
        frame: in the mosaic's CRS.

    Returns:
        Red, green, blue and opacity: (rows, columns, 4), of at most the frame's size; transparent
        where there is no valid imagery.

    Raises:
        RasterioIOError: if a quad cannot be read; it is named.
    """
    shapely.prepare(area)
    quads = [quad for quad in mosaic.quads() if area.intersects(box(*quad.grid.bounds))]
    unit = max(frame.unit, mosaic.grid.transform.a)
    west, south, east, north = frame.bounds
    rows, columns = (max(1, round(length / unit)) for length in (north - south, east - west))
    values = np.zeros((3, rows, columns), dtype=np.float32)
    valid = np.zeros((rows, columns), dtype=bool)
    numbers = list(mosaic.imagery.values())
    bands = [numbers[place] for place in primaries(list(mosaic.imagery))]
    for quad in quads:
        place = _place(quad.grid, frame, (rows, columns))
        if place is not None:
            part, target = place
            found = read_bands(quad, bands, partial(_read_file, part, mosaic.nodata_value))
            np.copyto(values[:, *target], found.values, where=found.valid)
            valid[target] |= found.valid
    return _stretched(values, valid)


def _read_file(part: Part, nodata: float | None, header: Header, bands: Sequence[int]) -> Pixels:
    def read() -> Pixels:
        with _open(header) as dataset:
            return read_pixels(dataset, bands, part.window, part.shape, Resampling.average, nodata)

    return read_patiently(UPath(header.path), read)


@contextmanager
def _open(header: Header) -> Iterator[DatasetReader]:
    """Open an image file; errors name it."""
    try:
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"), open_image(UPath(header.path)) as dataset:
            yield dataset
    except RasterioIOError as error:
        raise RasterioIOError(f"{header.path}: {error.__cause__ or error}") from error


def _place(
    grid: Grid, frame: Frame, size: tuple[int, int]
) -> tuple[Part, tuple[slice, slice]] | None:
    """Return what to read of a quad, and where in a picture of `size` rows and columns it goes.

    Both edges are rounded to the picture's pixels, so that neighbouring quads leave no seam.
    """
    part = part_shown(grid, frame)
    if part is None:
        return None
    west, south, east, north = part.bounds
    left, bottom, right, top = frame.bounds
    down, across = size[0] / (top - bottom), size[1] / (right - left)
    first_row, last_row = round((top - north) * down), round((top - south) * down)
    first_column, last_column = round((west - left) * across), round((east - left) * across)
    rows = slice(max(0, first_row), min(last_row, size[0]))
    columns = slice(max(0, first_column), min(last_column, size[1]))
    shape = rows.stop - rows.start, columns.stop - columns.start
    if min(shape) <= 0:
        return None
    return Part(part.window, shape, part.bounds), (rows, columns)


def _stretched(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    if not valid.any():
        return np.zeros((*valid.shape, 4), dtype=np.uint8)
    return stretch(values, valid, limits_of(values[:, valid]))


def limits_of(shown: NDArray[Any]) -> tuple[float, float]:
    """Return which values are drawn black and bright.

    Args:
        shown: what decides: valid red, green and blue, (3, pixels).
    """
    # One stretch for all three, which leaves colours as they are.
    low, middle, high = np.percentile(
        shown[:, :: max(1, shown.shape[1] // DECIDING)], [DARKEST, 50, BRIGHTEST]
    )
    return float(low) / 2, min(float(high), MOST_MEDIANS * float(middle))


def stretch(
    values: NDArray[Any], valid: NDArray[np.bool_], limits: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return a picture of imagery: red, green, blue and opacity, (rows, columns, 4).

    Args:
        values: red, green and blue, (3, rows, columns).
        valid: which of them count, (rows, columns).
        limits: which values are drawn black and bright (see `limits_of`).
    """
    picture = np.zeros((*valid.shape, 4), dtype=np.uint8)
    low, high = limits
    shares = (values[:, valid] - low) / max(high - low, float(np.finfo(np.float32).tiny))
    picture[valid, :3] = np.round(255 * np.clip(shares, 0, 1) ** (1 / GAMMA)).T
    picture[valid, 3] = 255
    return picture
