"""The mosaic as a small picture in true colour, whatever its size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from upath import UPath

from landcover.cartography import Frame
from landcover.files import gdal_path
from landcover.mosaic import Mosaic
from landcover.quads import Quad
from landcover.tile_index import Bounds, Grid

# Shown from black to full brightness: these percentiles of what the picture shows.
DARKEST, BRIGHTEST = 2, 98
GAMMA = 1.3

PRIMARIES = ("red", "green", "blue")


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


def part_in(grid: Grid, frame: Frame, unit: float) -> Part | None:
    """Return the part of a raster that a frame shows, or None where it shows nothing of it.

    Args:
        grid: the raster's, in the CRS of the frame.
        frame: what is shown.
        unit: the size of a pixel to read, in CRS units; no finer than the raster's is read.
    """
    west, south, east, north = frame.bounds
    left, top = ~grid.transform @ (west, north)
    right, bottom = ~grid.transform @ (east, south)
    first_column, last_column = max(0, int(left)), min(grid.width, int(np.ceil(right)))
    first_row, last_row = max(0, int(top)), min(grid.height, int(np.ceil(bottom)))
    columns, rows = last_column - first_column, last_row - first_row
    if columns <= 0 or rows <= 0:
        return None
    step, fall = grid.transform.a, -grid.transform.e
    shape = _pixels(rows, fall / unit), _pixels(columns, step / unit)
    x, y = grid.transform @ (first_column, first_row)
    window = Window(first_column, first_row, columns, rows)
    return Part(window, shape, (x, y - rows * fall, x + columns * step, y))


def _pixels(count: int, ratio: float) -> int:
    return max(1, round(count * min(1.0, ratio)))


def true_colour(mosaic: Mosaic, frame: Frame) -> NDArray[np.uint8]:
    """Return what a frame shows of a mosaic, stretched for the eye; transparent where not valid.

    Quads are read one by one, at the picture's size, from their overviews where they have them. A
    pixel of the picture is valid where the quad's masks and alpha band, read at that size, are not
    0: near the edge of the imagery it can differ from what `landcover.pixels` says of the pixels
    beneath it.

    Args:
        mosaic: the imagery; the bands named red, green and blue, or else its first three.
        frame: in the mosaic's CRS.

    Returns:
        Red, green, blue and opacity: (rows, columns, 4), of at most the frame's size.

    Raises:
        RasterioIOError: if a quad cannot be read; it is named.
    """
    unit = max(frame.unit, mosaic.grid.transform.a)
    west, south, east, north = frame.bounds
    rows, columns = round((north - south) / unit), round((east - west) / unit)
    values = np.zeros((3, rows, columns), dtype=np.float32)
    valid = np.zeros((rows, columns), dtype=bool)
    bands = _primaries(mosaic.bands)
    for quad in mosaic.quads():
        place = _place(quad.grid, frame, unit, (rows, columns))
        if place is not None:
            part, target = place
            found, good = _read(quad, bands, part)
            np.copyto(values[:, *target], found, where=good)
            valid[target] |= good
    return _stretched(values, valid)


def _primaries(bands: Mapping[str, int]) -> list[int]:
    """Return the numbers of three bands; the last stands in where there are fewer."""
    if all(name in bands for name in PRIMARIES):
        return [bands[name] for name in PRIMARIES]
    numbers = list(bands.values())
    return [*numbers, *numbers[-1:] * 2][:3]


def _place(
    grid: Grid, frame: Frame, unit: float, size: tuple[int, int]
) -> tuple[Part, tuple[slice, slice]] | None:
    """Return what to read of a quad, and where in the picture it goes.

    Both edges are rounded to the picture's pixels, so that neighbouring quads leave no seam.
    """
    part = part_in(grid, frame, unit)
    if part is None:
        return None
    west, south, east, north = part.bounds
    lines = [(frame.bounds[3] - north) / unit, (frame.bounds[3] - south) / unit]
    pillars = [(west - frame.bounds[0]) / unit, (east - frame.bounds[0]) / unit]
    top, bottom = np.clip(np.round(lines).astype(int), 0, size[0])
    left, right = np.clip(np.round(pillars).astype(int), 0, size[1])
    if top == bottom or left == right:
        return None
    shape = (int(bottom - top), int(right - left))
    return Part(part.window, shape, part.bounds), (slice(top, bottom), slice(left, right))


def _read(
    quad: Quad, bands: Sequence[int], part: Part
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    try:
        # A quad without overviews is decoded whole.
        with rasterio.open(gdal_path(UPath(quad.path)), num_threads="all_cpus") as dataset:
            values = dataset.read(
                list(bands),
                window=part.window,
                out_shape=(len(bands), *part.shape),
                resampling=Resampling.average,
            )
            valid = _valid(dataset, bands, part)
    except RasterioIOError as error:
        raise RasterioIOError(f"{quad.path}: {error.__cause__ or error}") from error
    if np.issubdtype(values.dtype, np.floating):
        valid &= np.isfinite(values).all(axis=0)
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
        limits = np.percentile(values[:, valid], [DARKEST, BRIGHTEST], axis=1)
        low, high = limits.reshape(2, 3, 1)
        shares = (values[:, valid] - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
        picture[valid, :3] = np.round(255 * np.clip(shares, 0, 1) ** (1 / GAMMA)).T
        picture[valid, 3] = 255
    return picture
