"""Thumbnails: each window's imagery at a sixteenth of its size, made while it is predicted.

A large mosaic without overviews would have to be decoded a second time to be drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.grid import Grid
from landcover.imagery.images import open_image
from landcover.imagery.mosaic import Mosaic

# Pixels of imagery that may be decoded again to be drawn: those of 32 of NICFI's quads, which take
# about a tenth of the time of a whole month.
MOST_DECODED = 32 * 4096**2

# Rows and columns of imagery to one of a thumbnail; of these, one in so many is looked at.
FACTOR = 16
THINNED = 4

PRIMARIES = ("red", "green", "blue")

Value = TypeVar("Value", bound=np.generic)


def primaries(names: Sequence[str]) -> list[int]:
    """Return where red, green and blue stand among bands.

    Where one of the three is missing, the first three bands stand for them, and the last again
    where there are fewer.
    """
    if all(name in names for name in PRIMARIES):
        return [names.index(name) for name in PRIMARIES]
    numbers = list(range(len(names)))
    return [*numbers, *numbers[-1:] * 2][:3]


def needs_thumbnails(mosaic: Mosaic, area: BaseGeometry) -> bool:
    """Tell whether a mosaic is too large to be drawn from its quads: without overviews.

    Args:
        mosaic: the imagery.
        area: of interest, in the mosaic's CRS.

    Raises:
        RasterioIOError: if a quad cannot be opened.
    """
    shapely.prepare(area)
    quads = [quad for quad in mosaic.quads() if area.intersects(shapely.box(*quad.grid.bounds))]
    if sum(quad.grid.width * quad.grid.height for quad in quads) <= MOST_DECODED:
        return False
    with open_image(UPath(quads[0].path)) as dataset:
        return not dataset.overviews(1)


class Thumbnail:
    """A window's red, green and blue, small: each pixel the mean of the valid ones beneath it."""

    def __init__(self, window: Window, bands: Sequence[str]) -> None:
        """Make an empty thumbnail.

        Args:
            window: which pixels of the mosaic it shows.
            bands: the names of the bands that it will be given.
        """
        self._window = window
        self._primaries = primaries(bands)
        shape = len(PRIMARIES), -(-window.height // FACTOR), -(-window.width // FACTOR)
        self.values = np.full(shape, np.nan, dtype=np.float32)

    def add(self, strip: Window, values: NDArray[np.generic], valid: NDArray[np.bool_]) -> None:
        """Add a part of the window that begins at a multiple of `FACTOR` of its pixels.

        Args:
            strip: which pixels of the mosaic.
            values: (bands, rows, columns).
            valid: which of them count (rows, columns).
        """
        good = _in_cells(valid[::THINNED, ::THINNED])
        counts = good.sum(axis=(1, 3))
        row = (strip.row_off - self._window.row_off) // FACTOR
        column = (strip.col_off - self._window.col_off) // FACTOR
        place = np.s_[row : row + counts.shape[0], column : column + counts.shape[1]]
        for shown, band in enumerate(self._primaries):
            found = _in_cells(values[band, ::THINNED, ::THINNED])
            sums = found.sum(axis=(1, 3), where=good, dtype=np.float64)
            means = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
            self.values[shown][place] = means

    def write(self, mosaic: Grid, path: Path) -> None:
        """Write the thumbnail as a GeoTIFF of three bands.

        Args:
            mosaic: the grid that the window is of.
            path: the file to write.
        """
        corner = Affine.translation(self._window.col_off, self._window.row_off)
        count, height, width = self.values.shape
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=count,
            dtype="float32",
            nodata=np.nan,
            crs=mosaic.crs,
            transform=mosaic.transform @ corner @ Affine.scale(FACTOR),
            compress="zstd",
        ) as file:
            file.write(self.values)


def _in_cells(values: NDArray[Value]) -> NDArray[Value]:
    """Return rows and columns cut into those of each cell: (rows, in it, columns, in it)."""
    side = FACTOR // THINNED
    rows, columns = (-(-length // side) for length in values.shape)
    padding = rows * side - values.shape[0], columns * side - values.shape[1]
    whole = np.pad(values, [(0, padding[0]), (0, padding[1])])
    return whole.reshape(rows, side, columns, side)
