"""Prediction: from the pixels of a window to a small map of class codes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window, transform
from shapely.geometry.base import BaseGeometry
from sklearn.pipeline import Pipeline

from landcover.classes import NODATA
from landcover.mosaic import Mosaic
from landcover.pixels import read_pixels
from landcover.tile_index import Grid
from landcover.windows import BLOCK, pixels_inside, split

# Rows of a window that are predicted at once: a million pixels of a window of 2048 columns, which
# with the forest's votes for seven classes is about 200 MB.
STRIP = BLOCK


def predict_window(
    mosaic: Mosaic,
    model: Pipeline,
    bands: Sequence[str],
    area: BaseGeometry,
    window: Window,
    piece: Path,
) -> None:
    """Predict the valid pixels of a window that lie inside an area, and write them as a piece.

    Args:
        mosaic: the imagery.
        model: takes raw band values (pixels, bands) and gives class codes.
        bands: the names of the bands that the model reads, in order.
        area: the area of interest, in the mosaic's CRS.
        window: which pixels of the mosaic.
        piece: the GeoTIFF to write, uint8 with nodata 255; it appears when it is whole.
    """
    unfinished = piece.with_suffix(".unfinished")
    numbers = [mosaic.bands[name] for name in bands]
    with mosaic.open() as dataset, _new_piece(unfinished, mosaic.grid, window) as out:
        for strip in split(window, STRIP):
            inside = pixels_inside(area, strip, mosaic.grid.transform)
            if inside.any():
                codes = predict_strip(dataset, numbers, model, inside, strip)
                row = strip.row_off - window.row_off
                out.write(codes, 1, window=Window(0, row, strip.width, strip.height))
    unfinished.replace(piece)


def predict_strip(
    dataset: DatasetReader,
    numbers: Sequence[int],
    model: Pipeline,
    inside: NDArray[np.bool_],
    strip: Window,
) -> NDArray[np.uint8]:
    """Predict the valid pixels of a strip.

    Args:
        dataset: the open mosaic.
        numbers: of the bands that the model reads, in its order.
        model: takes raw band values (pixels, bands) and gives class codes.
        inside: which of the strip's pixels are wanted, (rows, columns).
        strip: which pixels of the mosaic.

    Returns:
        Class codes, (rows, columns), nodata where a pixel is invalid or not wanted.
    """
    values, valid = read_pixels(dataset, numbers, strip)
    wanted = inside & valid
    codes = np.full(wanted.shape, NODATA, dtype=np.uint8)
    if wanted.any():
        codes[wanted] = model.predict(values[:, wanted].T)
    return codes


def _new_piece(path: Path, grid: Grid, window: Window) -> rasterio.io.DatasetWriter:
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=window.width,
        height=window.height,
        count=1,
        dtype="uint8",
        nodata=NODATA,
        crs=grid.crs,
        transform=transform(window, grid.transform),
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        compress="deflate",
    )
