"""Prediction: from the pixels of a window to class codes."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rasterio.windows import Window, bounds
from shapely.geometry.base import BaseGeometry

from landcover.classes import NODATA
from landcover.geometry import intersection
from landcover.imagery.doubts import Inspection
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.thumbnails import Thumbnail
from landcover.windows import BLOCK, pixels_inside, split, within

# scikit-learn comes with it.
if TYPE_CHECKING:
    from landcover.maps.lookup import Predictor


class PredictionSettings(BaseModel):
    """How the map is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_gaps: bool = Field(
        default=False,
        title="Allow gaps",
        description="Map what there is where quads that the area of interest needs are missing or "
        "hold no valid pixel, or where a single image does not cover it. Without it they end the "
        "run.",
    )
    smallest_patch: int = Field(
        default=1,
        ge=1,
        le=1000,
        title="Smallest patch",
        description="The minimum mapping unit in pixels: smaller patches take the class of what "
        "surrounds them, and have no confidence then. With 1 the map stays as predicted.",
    )


def predict_window(
    mosaic: Mosaic,
    predictor: "Predictor",
    bands: Sequence[str],
    area: BaseGeometry,
    window: Window,
    thumbnail: Thumbnail | None = None,
    inspection: Inspection | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Predict the valid pixels of a window that lie inside an area.

    The window is streamed in strips, so that beside the result (two bytes a pixel) only a strip of
    imagery is in memory.

    Args:
        mosaic: the imagery.
        predictor: the model.
        bands: the names of the bands that the model reads, in order.
        area: the area of interest, in the mosaic's CRS.
        window: which pixels of the mosaic.
        thumbnail: of the window, to which the imagery is added; None where none is wanted.
        inspection: to which doubts about the pixels are added; None where none are wanted.

    Returns:
        Class codes and the model's confidence in percent, both (rows, columns), nodata where a
        pixel is invalid or outside, and nowhere else.

    Raises:
        RasterioIOError: if the imagery cannot be read.
    """
    codes, confidence = np.full((2, window.height, window.width), NODATA, dtype=np.uint8)
    numbers = [mosaic.bands[name] for name in bands]

    # A function, so that a strip's imagery is let go of before the next one is read.
    def predict(strip: Window, inside: NDArray[np.bool_]) -> None:
        pixels = reader.read(numbers, strip)
        values, valid = pixels.values, pixels.valid
        if thumbnail is not None:
            thumbnail.add(strip, values, valid)
        if inspection is not None:
            inspection.add(strip, pixels, inside)
        place, wanted = within(strip, window), valid & inside
        codes[place], certain = predictor.predict(values, wanted)
        np.copyto(confidence[place], certain, where=wanted)
        # A hole here would be one that nobody notices.
        if not np.array_equal(codes[place] != NODATA, wanted):
            raise RuntimeError(f"The model left pixels of {strip} without a class.")

    with mosaic.open() as reader:
        for strip, inside in strips_inside(mosaic, area, window):
            predict(strip, inside)
    return codes, confidence


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
    near = intersection(area, shapely.box(*bounds(window, mosaic.grid.transform)))
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
