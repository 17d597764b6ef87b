"""Prediction: from the pixels of a window to class codes."""

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window, bounds
from shapely.geometry.base import BaseGeometry

from landcover.classes import NODATA
from landcover.lookup import Predictor
from landcover.mosaic import Mosaic
from landcover.windows import BLOCK, pixels_inside, split


def predict_window(
    mosaic: Mosaic,
    predictor: Predictor,
    bands: Sequence[str],
    area: BaseGeometry,
    window: Window,
) -> NDArray[np.uint8]:
    """Predict the valid pixels of a window that lie inside an area.

    The window is streamed in strips, so that beside the result (a byte a pixel) only a strip of
    imagery is in memory.

    Args:
        mosaic: the imagery.
        predictor: the model.
        bands: the names of the bands that the model reads, in order.
        area: the area of interest, in the mosaic's CRS.
        window: which pixels of the mosaic.

    Returns:
        Class codes, (rows, columns), nodata where a pixel is invalid or outside.

    Raises:
        RasterioIOError: if the imagery cannot be read.
    """
    codes = np.full((window.height, window.width), NODATA, dtype=np.uint8)
    numbers = [mosaic.bands[name] for name in bands]
    with mosaic.open() as reader:
        for strip, inside in strips_inside(mosaic, area, window):
            values, valid = reader.read(numbers, strip)
            rows, columns = strip.toslices()
            place = _shift(rows, window.row_off), _shift(columns, window.col_off)
            codes[place], _ = predictor.predict(values, valid & inside)
    return codes


def strips_inside(
    mosaic: Mosaic, area: BaseGeometry, window: Window
) -> Iterator[tuple[Window, NDArray[np.bool_]]]:
    """Yield the strips of a window that have pixels in an area, no wider than the area needs.

    Args:
        mosaic: the imagery.
        area: the area of interest, in the mosaic's CRS.
        window: which pixels of the mosaic.

    Yields:
        The strip, on the map's blocks, and which of its pixels are inside, (rows, columns).
    """
    # Of an area with thousands of vertices, only those near the window matter to its strips.
    near = shapely.intersection(area, shapely.box(*bounds(window, mosaic.grid.transform)))
    for strip in split(window, BLOCK):
        inside = pixels_inside(near, strip, mosaic.grid.transform)
        columns = np.flatnonzero(inside.any(axis=0))
        if columns.size:
            left = int(columns[0]) // BLOCK * BLOCK
            right = min((int(columns[-1]) // BLOCK + 1) * BLOCK, strip.width)
            yield (
                Window(strip.col_off + left, strip.row_off, right - left, strip.height),
                inside[:, left:right],
            )


def _shift(part: slice, by: int) -> slice:
    return slice(int(part.start) - by, int(part.stop) - by)
