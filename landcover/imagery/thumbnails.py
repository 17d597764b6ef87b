"""Thumbnails: each window's imagery, small, made while it is predicted.

A mosaic without overviews would have to be decoded a second time to be drawn.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

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
from landcover.imagery.kernels import mean_cells
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.quads import Header

# The longest side of a picture of all imagery, in pixels.
PICTURE = 1500

# Rows and columns of imagery to one of the coarsest thumbnail; of a cell's, at most so many are
# looked at.
COARSEST = 16
LOOKED_AT = 4

PRIMARIES = ("red", "green", "blue")


def primaries(names: Sequence[str]) -> list[int]:
    """Return where red, green and blue stand among bands.

    Where one of the three is missing, the first three bands stand for them, and the last again
    where there are fewer.
    """
    if all(name in names for name in PRIMARIES):
        return [names.index(name) for name in PRIMARIES]
    numbers = list(range(len(names)))
    return [*numbers, *numbers[-1:] * 2][:3]


def thumbnail_factor(mosaic: Mosaic, area: BaseGeometry) -> int | None:
    """Return how many rows and columns of imagery a row and a column of a thumbnail stand for.

    It is a power of two, at most `COARSEST`, and no greater than a picture needs.

    Args:
        mosaic: the imagery.
        area: of interest, in the mosaic's CRS.

    Returns:
        The factor; None where quads have overviews, and the imagery is drawn from these.

    Raises:
        RasterioIOError: if a quad cannot be opened.
    """
    shapely.prepare(area)
    quads = (quad for quad in mosaic.quads() if area.intersects(shapely.box(*quad.grid.bounds)))
    first = next(quads, None)
    if first is not None and all(_has_overviews(header) for header in first.headers):
        return None
    west, south, east, north = area.bounds
    step = mosaic.grid.transform
    side = max((east - west) / step.a, (south - north) / step.e)
    factor = 1
    while factor < COARSEST and side >= 2 * factor * PICTURE:
        factor *= 2
    return factor


def _has_overviews(header: Header) -> bool:
    with open_image(UPath(header.path)) as dataset:
        return bool(dataset.overviews(1))


class Thumbnail:
    """A window's red, green and blue, small: each pixel the mean of the valid ones beneath it."""

    def __init__(
        self, window: Window, bands: Sequence[str], factor: int, imagery: Collection[str] = ()
    ) -> None:
        """Make an empty thumbnail.

        Args:
            window: which pixels of the mosaic it shows.
            bands: the names of the bands that it will be given.
            factor: how many rows and columns one of it stands for (see `thumbnail_factor`).
            imagery: the names of those that are imagery; all if left out.
        """
        self._window = window
        seen = [name for name in bands if name in imagery] or list(bands)
        self._primaries = [bands.index(seen[place]) for place in primaries(seen)]
        self._factor = factor
        shape = len(PRIMARIES), -(-window.height // factor), -(-window.width // factor)
        self.values = np.full(shape, np.nan, dtype=np.float32)

    def add(self, strip: Window, values: NDArray[np.generic], valid: NDArray[np.bool_]) -> None:
        """Add a part of the window that begins at a multiple of the factor.

        Args:
            strip: which pixels of the mosaic.
            values: (bands, rows, columns).
            valid: which of them count (rows, columns).
        """
        factor, step = self._factor, max(1, self._factor // LOOKED_AT)
        row = (strip.row_off - self._window.row_off) // factor
        column = (strip.col_off - self._window.col_off) // factor
        rows, columns = -(-strip.height // factor), -(-strip.width // factor)
        for shown, band in zip(self.values, self._primaries, strict=True):
            place = shown[row : row + rows, column : column + columns]
            mean_cells(values[band], valid, factor, step, place)

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
            transform=mosaic.transform @ corner @ Affine.scale(self._factor),
            compress="zstd",
        ) as file:
            file.write(self.values)
