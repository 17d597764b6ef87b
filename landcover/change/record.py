"""The record: rasters that keep what is known of each pixel's forest up to a month.

They hold the whole state of the rule, so that the next month needs nothing but them and its map.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from landcover.change.dates import DATES
from landcover.change.rule import (
    CONFIRMED,
    FOREST,
    NEVER,
    NON_FOREST,
    NOT_KNOWN,
    WARNING,
    ChangeSettings,
    State,
    new_state,
    update,
)
from landcover.classes import NODATA, Legend
from landcover.errors import LandcoverError
from landcover.files import file_name
from landcover.grid import Grid, grid_of, same_crs
from landcover.imagery.kernels import compiled
from landcover.maps.layers import Integers, Layer
from landcover.period import Period
from landcover.windows import BLOCK, pixels_inside, split, within

LEGEND = Legend(
    names={
        NON_FOREST: "Non-forest",
        FOREST: "Forest",
        WARNING: "Warning",
        CONFIRMED: "Confirmed loss",
        NOT_KNOWN: "Not known yet",
    },
    colours={
        NON_FOREST: (240, 228, 200),
        FOREST: (27, 120, 55),
        WARNING: (255, 170, 0),
        CONFIRMED: (215, 25, 28),
        NOT_KNOWN: (190, 190, 190),
    },
)

# What Global Forest Watch gives a pixel with an alert, so that its tile code shows it in full; in
# overviews it is averaged, and what is single fades. More would run into the tile's confidence.
INTENSITY = 55

# Edges of grids that are one may be so many pixels off, because file headers round coordinates.
ROUNDING = 0.01


@dataclass(frozen=True)
class MonthMap:
    """A month's map, which a record is brought up to date with."""

    period: Period
    """The month."""
    classes: str
    """What GDAL opens to read its class codes."""
    confidence: str
    """What GDAL opens to read its confidence in percent."""


def record_layers(period: Period) -> tuple[Layer, ...]:
    """Return the rasters of a month's record, the one that people look at first.

    Args:
        period: the month up to which it is known.
    """
    return (
        Layer("deforestation", file_name("deforestation", period), LEGEND, "mode"),
        Layer(
            key="alerts",
            file=file_name("alerts", period),
            legend=None,
            halving="fading",
            dtype="uint16",
            nodata=0,
            bands=("date_conf", "intensity"),
        ),
        Layer("last_seen", file_name("last_seen", period), None, "mode", "int16", NEVER),
        Layer(
            key="state",
            file=file_name("state", period),
            legend=None,
            halving="mode",
            dtype="int16",
            nodata=0,
            bands=("log_odds", "forest_seen"),
        ),
    )


def update_window(
    window: Window,
    grid: Grid,
    area: BaseGeometry,
    month: MonthMap,
    says: NDArray[np.int8],
    settings: ChangeSettings,
    before: Mapping[str, str] | None = None,
    baseline: str | None = None,
) -> State:
    """Return what is known of a window's pixels after one more month.

    It is worked on in strips: beside the result, which takes 9 bytes a pixel, only one of them is
    in memory.

    Args:
        window: which pixels of the grid.
        grid: of the map and the record.
        area: the area of interest, in the grid's CRS.
        month: the map.
        says: what each of its class codes says (see `what_classes_say`).
        settings: when lost forest is believed.
        before: what GDAL opens to read the layers of the record before it, by key; None where this
            month is the first.
        baseline: of the first month, what GDAL opens to read where forest was (1) and was not (0).

    Raises:
        RasterioIOError: if a raster cannot be read.
        LandcoverError: if the baseline does not cover the area.
    """
    shape = (window.height, window.width)
    after = State(np.empty(shape, np.uint8), *(np.empty(shape, np.int16) for _ in range(4)))
    maps = {"classes": month.classes, "confidence": month.confidence}
    with _opened(maps) as shown, _opened(before or {}) as record:
        for strip in split(window, BLOCK):
            if record:
                known = _state(record, strip)
            else:
                inside = pixels_inside(area, strip, grid.transform)
                forest = read_baseline(baseline, grid.part(strip), inside) if baseline else None
                known = new_state(inside, forest)
            codes, confidence = (dataset.read(1, window=strip) for dataset in shown.values())
            now = update(known, codes, confidence, says, month.period, settings)
            place = within(strip, window)
            for number in range(len(after)):
                after[number][place] = now[number]
    return after


def read_state(record: Mapping[str, str], window: Window) -> State:
    """Return what a record knows of a window's pixels.

    Args:
        record: what GDAL opens to read each of its layers, by key.
        window: which pixels of its grid.

    Raises:
        RasterioIOError: if a raster cannot be read.
    """
    with _opened(record) as rasters:
        return _state(rasters, window)


def layer_values(state: State) -> dict[str, Integers]:
    """Return the values of the layers of a record, by key.

    Args:
        state: what is known of pixels, (rows, columns).
    """
    alerts = np.empty((2, *state.status.shape), np.uint16)
    _encode(state.status, state.first, alerts)
    return {
        "deforestation": state.status,
        "alerts": alerts,
        "last_seen": state.seen,
        "state": np.stack([state.log_odds, state.forest_seen]),
    }


def read_baseline(path: str, grid: Grid, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where forest was, by the nearest pixel of a raster in any CRS.

    Args:
        path: what GDAL opens: 1 is forest, 0 is not.
        grid: of the pixels that are asked for.
        inside: which of them must be known, (rows, columns).

    Raises:
        LandcoverError: if one of them is not.
        RasterioIOError: if it cannot be read.
    """
    # An alpha band tells what lies beyond the raster, which would read as 0, from what is 0.
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source,
            crs=grid.crs,
            transform=grid.transform,
            width=grid.width,
            height=grid.height,
            resampling=Resampling.nearest,
            add_alpha=True,
            # Many say of what is not forest that it is no data.
            src_nodata=NODATA if source.nodata == 0 else source.nodata,
        ) as warped,
    ):
        values, valid = warped.read(1), warped.dataset_mask() > 0
    unknown = inside & ~(valid & np.isin(values, (0, 1)))
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        x, y = grid.transform @ (column + 0.5, row + 0.5)
        raise LandcoverError(
            f"FOREST_BASELINE, {path}, does not say whether there was forest everywhere in the "
            f"area of interest, such as at {x:.10g} {y:.10g}: it must hold 1 (forest) or 0 there."
        )
    forest: NDArray[np.bool_] = values == 1
    return forest


def check_same_grid(
    path: str, grid: Grid, of: str, instead: str = ", or begin the record after it (--since)"
) -> None:
    """Make sure that the pixels of a raster lie on a grid.

    Args:
        path: what GDAL opens.
        grid: the one that they should lie on.
        of: what lies on it, for the message.
        instead: what else may be done about it, for the message.

    Raises:
        LandcoverError: if they do not.
        RasterioIOError: if the raster cannot be opened.
    """
    with rasterio.open(path) as dataset:
        found = grid_of(dataset)
    sizes = (found.width, found.height), (grid.width, grid.height)
    off = np.abs(np.subtract(found.bounds, grid.bounds)).max() / grid.transform.a
    if sizes[0] != sizes[1] or not same_crs(found.crs, grid.crs) or off > ROUNDING:
        raise LandcoverError(
            f"{path} lies on another grid than {of} ({found.width} x {found.height} pixels from "
            f"{found.bounds[0]:.10g} {found.bounds[3]:.10g}, not {grid.width} x {grid.height} from "
            f"{grid.bounds[0]:.10g} {grid.bounds[3]:.10g}): map that month again with the same "
            f"area of interest and imagery of the same grid{instead}."
        )


@contextmanager
def _opened(paths: Mapping[str, str]) -> Iterator[dict[str, DatasetReader]]:
    with ExitStack() as open_files:
        yield {key: open_files.enter_context(rasterio.open(path)) for key, path in paths.items()}


def _state(record: Mapping[str, DatasetReader], window: Window) -> State:
    log_odds, forest_seen = record["state"].read(window=window)
    return State(
        status=record["deforestation"].read(1, window=window),
        log_odds=log_odds,
        first=_decode(record["alerts"].read(1, window=window)),
        forest_seen=forest_seen,
        seen=record["last_seen"].read(1, window=window),
    )


@compiled
def _decode(date_conf: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Return the days of first detection."""
    height, width = date_conf.shape
    first = np.empty((height, width), np.int16)
    for row in range(height):
        for column in range(width):
            first[row, column] = date_conf[row, column] % DATES
    return first


@compiled
def _encode(
    status: NDArray[np.uint8], first: NDArray[np.int16], alerts: NDArray[np.uint16]
) -> None:
    """Write `date_conf` and intensity, (2, rows, columns)."""
    for row in range(status.shape[0]):
        for column in range(status.shape[1]):
            kind = int(status[row, column])
            is_alert = WARNING <= kind <= CONFIRMED
            alerts[0, row, column] = kind * DATES + first[row, column] if is_alert else 0
            alerts[1, row, column] = INTENSITY if is_alert else 0
