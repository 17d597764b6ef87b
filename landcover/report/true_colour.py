"""The mosaic as a small picture in true colour, whatever its size."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely import box
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.files import open_image, read_patiently
from landcover.mosaic import Mosaic
from landcover.pixels import read_pixels
from landcover.quads import Quad
from landcover.report.cartography import Frame
from landcover.tile_index import Bounds, Grid

# Pixels of imagery that are decoded for a picture: those of 32 quads of NICFI's, which take about a
# tenth of the time of a whole month.
MOST_DECODED = 32 * 4096**2

# Of a block's rows and columns one in so many counts.
THINNED = 4

# Pixels that tell the stretch: to sort all takes as long as drawing them.
TELLING = 100_000

# Shown from black to full brightness: from half of the lower percentile, that forest is not black,
# to the upper, but no more than so many times the median, because clouds are far brighter.
DARKEST, BRIGHTEST = 2, 98
MOST_MEDIANS = 4
GAMMA = 1.5

PRIMARIES = ("red", "green", "blue")

# Values and which of them are valid.
Picture = tuple[NDArray[np.generic], NDArray[np.bool_]]


@dataclass(frozen=True)
class Part:
    """What a raster contributes to a picture.

    Attributes:
        window: of the raster, in its pixels.
        shape: rows and columns that it is read as.
        bounds: west, south, east and north edge of the window, in CRS units.
    """

    window: Window
    shape: tuple[int, int]
    bounds: Bounds


Reader = Callable[[DatasetReader, Sequence[int], Part], Picture]


def part_in(grid: Grid, frame: Frame) -> Part | None:
    """Return the part of a raster that a frame shows, or None where it shows nothing of it.

    It is read at the frame's size, but no finer than the raster is.

    Args:
        grid: the raster's, in the CRS of the frame.
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

    Quads are read one by one, at the picture's size, from their overviews where they have them.
    Without overviews a large mosaic would have to be decoded whole: of one with more pixels than
    `MOST_DECODED` a picture of coarser pixels is made, each the mean of one of the quads' blocks.

    A pixel of the picture is valid where the quad's masks and alpha band, read at that size, are
    not 0: near the edge of the imagery it can differ from what `landcover.pixels` says of the
    pixels beneath it.

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
    coarse = _coarse_unit(quads) if quads else unit
    west, south, east, north = frame.bounds
    rows, columns = (
        max(1, round(length / max(unit, coarse))) for length in (north - south, east - west)
    )
    values = np.zeros((3, rows, columns), dtype=np.float32)
    valid = np.zeros((rows, columns), dtype=bool)
    bands = _primaries(mosaic.bands)
    read: Reader = _read_blocks if coarse > unit else _read_whole
    for quad in quads:
        place = _place(quad.grid, frame, (rows, columns))
        if place is not None:
            part, target = place
            found, good = read_patiently(
                UPath(quad.path), partial(_read_quad, quad, read, bands, part)
            )
            np.copyto(values[:, *target], found, where=good)
            valid[target] |= good
    return _stretched(values, valid)


def _read_quad(quad: Quad, read: Reader, bands: Sequence[int], part: Part) -> Picture:
    with _open(quad) as dataset:
        return read(dataset, bands, part)


def _coarse_unit(quads: Sequence[Quad]) -> float:
    """Return how large pixels must be, in CRS units, that a block for each is not too much to read.

    Where there are overviews, or few pixels, it is 0.
    """
    pixels = sum(quad.grid.width * quad.grid.height for quad in quads)
    with _open(quads[0]) as dataset:
        if pixels <= MOST_DECODED or dataset.overviews(1):
            return 0
        block = math.prod(dataset.block_shapes[0])
        return float(dataset.transform.a * math.sqrt(block * pixels / MOST_DECODED))


@contextmanager
def _open(quad: Quad) -> Iterator[DatasetReader]:
    """Open a quad; what goes wrong with it names it."""
    try:
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"), open_image(UPath(quad.path)) as dataset:
            yield dataset
    except RasterioIOError as error:
        raise RasterioIOError(f"{quad.path}: {error.__cause__ or error}") from error


def _primaries(bands: Mapping[str, int]) -> list[int]:
    """Return the numbers of three bands; the last stands in where there are fewer."""
    if all(name in bands for name in PRIMARIES):
        return [bands[name] for name in PRIMARIES]
    numbers = list(bands.values())
    return [*numbers, *numbers[-1:] * 2][:3]


def _place(
    grid: Grid, frame: Frame, size: tuple[int, int]
) -> tuple[Part, tuple[slice, slice]] | None:
    """Return what to read of a quad, and where in a picture of so many rows and columns it goes.

    Both edges are rounded to the picture's pixels, so that neighbouring quads leave no seam.
    """
    part = part_in(grid, frame)
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


def _read_whole(dataset: DatasetReader, bands: Sequence[int], part: Part) -> Picture:
    """Return a part at its shape, and which of its pixels are valid."""
    values = dataset.read(
        list(bands),
        window=part.window,
        out_shape=(len(bands), *part.shape),
        resampling=Resampling.average,
    )
    return values, _valid(dataset, bands, part) & np.isfinite(values).all(axis=0)


def _read_blocks(dataset: DatasetReader, bands: Sequence[int], part: Part) -> Picture:
    """Return of each pixel of a part's shape the mean of the block at its centre."""
    height, width = dataset.block_shapes[0]
    values = np.zeros((len(bands), *part.shape), dtype=np.float32)
    valid = np.zeros(part.shape, dtype=bool)
    for row, column in np.ndindex(*part.shape):
        y = part.window.row_off + (row + 0.5) * part.window.height / part.shape[0]
        x = part.window.col_off + (column + 0.5) * part.window.width / part.shape[1]
        block = dataset.block_window(1, int(y // height), int(x // width))
        found, good = read_pixels(dataset, bands, block)
        # Some of the pixels tell the mean, and counting all takes as long as decoding them.
        found, good = found[:, ::THINNED, ::THINNED], good[::THINNED, ::THINNED]
        if good.any():
            values[:, row, column] = found[:, good].mean(axis=1)
            valid[row, column] = True
    return values, valid


def _valid(dataset: DatasetReader, bands: Sequence[int], part: Part) -> NDArray[np.bool_]:
    valid = np.ones(part.shape, dtype=bool)
    for number, interp in enumerate(dataset.colorinterp, start=1):
        if interp == ColorInterp.alpha and number not in bands:
            valid &= dataset.read(number, window=part.window, out_shape=part.shape) != 0
    for band in dict.fromkeys(bands):
        if MaskFlags.all_valid not in dataset.mask_flag_enums[band - 1]:
            valid &= dataset.read_masks(band, window=part.window, out_shape=part.shape) != 0
    return valid


def _stretched(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    picture = np.zeros((*valid.shape, 4), dtype=np.uint8)
    if valid.any():
        shown = values[:, valid]
        # One stretch for all three, which leaves colours as they are.
        low, middle, high = np.percentile(
            shown[:, :: max(1, shown.shape[1] // TELLING)], [DARKEST, 50, BRIGHTEST]
        )
        low, high = low / 2, min(high, MOST_MEDIANS * middle)
        shares = (shown - low) / max(high - low, np.finfo(np.float32).tiny)
        picture[valid, :3] = np.round(255 * np.clip(shares, 0, 1) ** (1 / GAMMA)).T
        picture[valid, 3] = 255
    return picture
