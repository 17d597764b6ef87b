"""Records of small maps, written and read as the flow does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from landcover.change.alerts import no_alerts, numbered, update_alerts
from landcover.change.dates import day_of
from landcover.change.patches import join_windows, window_runs
from landcover.change.record import (
    MonthMap,
    layer_values,
    read_state,
    record_layers,
    update_window,
)
from landcover.change.rule import ChangeSettings, State, new_state, update, what_classes_say
from landcover.classes import FIXED_CODES
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.pieces import piece_factors, write_piece
from landcover.period import Period
from landcover.windows import split
from tests.rasters import ORIGIN, write_raster

FOREST, NON_FOREST, CLOUD = (FIXED_CODES[name] for name in ("Forest", "Non-Forest", "Cloud"))
SAYS = what_classes_say({code: name for name, code in FIXED_CODES.items()}, ["Forest"], ["Cloud"])
MERCATOR = "EPSG:3857"


def grid_of_maps(height: int, width: int) -> Grid:
    return Grid(MERCATOR, ORIGIN, width, height)


def write_map(
    folder: Path, period: Period, codes: NDArray[np.uint8], confidence: int | NDArray[np.uint8] = 95
) -> MonthMap:
    """Write a month's map of class codes (rows, columns)."""
    sure = np.full_like(codes, 1) * confidence
    paths = (folder / f"{what}_{period.key}.tif" for what in ("prediction", "confidence"))
    written = [
        str(write_raster(path, values[np.newaxis].astype(np.uint8), nodata=255))
        for path, values in zip(paths, (codes, sure), strict=True)
    ]
    return MonthMap(period, *written)


@dataclass
class Record:
    """The rasters of a record, which are brought up to date month by month, in windows."""

    folder: Path
    grid: Grid
    size: int = 512
    settings: ChangeSettings = field(default_factory=ChangeSettings)
    area: shapely.Geometry | None = None
    baseline: str | None = None
    period: Period | None = None

    def files(self, period: Period) -> dict[str, str]:
        return {layer.key: str(self.folder / layer.file) for layer in record_layers(period)}

    def state(self) -> State:
        assert self.period is not None
        return read_state(self.files(self.period), self.grid.whole)

    def update(self, month: MonthMap) -> None:
        """Bring the rasters up to a month."""
        self.folder.mkdir(exist_ok=True)
        before = self.files(self.period) if self.period else None
        area = self.area or shapely.box(*self.grid.bounds)
        factors = piece_factors(self.grid, self.size)
        pieces: dict[str, dict[Path, Window]] = {}
        for window in split(self.grid.whole, self.size, self.size):
            state = update_window(
                window, self.grid, area, month, SAYS, self.settings, before, self.baseline
            )
            values = layer_values(state)
            for layer in record_layers(month.period):
                path = self.folder / f"{layer.key}_{window.col_off}_{window.row_off}.tif"
                write_piece(layer, values[layer.key], self.grid.part(window), factors, path)
                pieces.setdefault(layer.key, {})[path] = window
        for layer in record_layers(month.period):
            path = self.folder / layer.file
            write_cog(layer, pieces[layer.key], self.grid, factors, {}, path)
        self.period = month.period


def follow(record: Record, months: Sequence[MonthMap]) -> Record:
    """Bring a record up to date with months."""
    for month in months:
        record.update(month)
    return record


@dataclass
class Alerts:
    """The alerts of maps, which are brought up to date month by month, in windows."""

    grid: Grid
    size: int = 256
    settings: ChangeSettings = field(default_factory=ChangeSettings)
    period: Period | None = None
    found: geopandas.GeoDataFrame = field(default_factory=no_alerts)

    def __post_init__(self) -> None:
        self.state = new_state(np.ones((self.grid.height, self.grid.width), bool))

    def update(self, period: Period, codes: NDArray[np.uint8]) -> None:
        """Bring them up to a month, whose map is sure of its class codes (rows, columns)."""
        sure = np.full_like(codes, 95)
        self.state = update(self.state, codes, sure, SAYS, period, self.settings)
        standing = numbered(self.found, self.period, self.settings, self.grid)
        runs = [
            window_runs(
                window,
                self.grid,
                State._make(part[window.toslices()] for part in self.state),
                day_of(period),
                standing,
                self.settings.smallest_hectares,
            )
            for window in split(self.grid.whole, self.size, self.size)
        ]
        joined = join_windows(runs, self.grid)
        self.found = update_alerts(self.found, standing, joined, self.grid, period, self.settings)
        self.period = period
