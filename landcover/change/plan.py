"""What brings a record up to a month: what it is made from, and what is made of each window."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from upath import UPath

from landcover.change.alerts import Tally
from landcover.change.dates import FIRST, LAST_DAY, day_of
from landcover.change.history import MappedMonth, MonthOfRecord
from landcover.change.record import MonthMap, record_layers
from landcover.change.rule import NEVER, OUTSIDE, ChangeSettings, State
from landcover.grid import Grid
from landcover.imagery.images import gdal_path
from landcover.imagery.kernels import compiled
from landcover.maps.layers import Layer
from landcover.maps.regional import RegionalAreas
from landcover.notices import Notice
from landcover.period import Period, months_between

# How many months ago a pixel was seen clear: so many or more, never, and not to be seen.
LONG_AGO, NEVER_SEEN = 253, 254


@dataclass(frozen=True)
class UpdatePlan:
    """How a record is brought up to a month."""

    month: MappedMonth
    """The map."""
    before: MonthOfRecord | None
    """The record up to the map before it; None where this is the first."""
    says: tuple[int, ...]
    """What each class code of the map says (see `landcover.change.rule.what_classes_say`)."""
    baseline: UPath | None
    """Where there was forest before the first month; None where that is not known."""
    settings: ChangeSettings
    """When lost forest is believed."""
    grid: Grid
    """Of the map and the record."""
    windows: tuple[Window, ...]
    """The parts of it that touch the area of interest."""
    factors: tuple[int, ...]
    """By how much each overview of a piece is coarser."""
    folder: UPath
    """Holds what is made."""

    @property
    def period(self) -> Period:
        """The month."""
        return self.month.period

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The rasters of the record."""
        return record_layers(self.period)

    @property
    def alerts(self) -> UPath:
        """The file of the alerts that stand, each with its number."""
        return self.folder / "standing.parquet"

    def map(self) -> MonthMap:
        """Return the map as GDAL opens it."""
        return MonthMap(
            self.period, gdal_path(self.month.classes), gdal_path(self.month.confidence)
        )

    def record_before(self) -> dict[str, str] | None:
        """Return what GDAL opens to read the record before, by the layer's key."""
        if self.before is None:
            return None
        return {layer.key: gdal_path(self.before.path(layer.key)) for layer in self.layers}

    def piece(self, layer: Layer, window: Window) -> UPath:
        """The file of a layer of a window."""
        return self.folder / f"{layer.key}_{window.col_off}_{window.row_off}.tif"

    def runs(self, window: Window) -> UPath:
        """The file of a window's runs of lost forest (see `landcover.change.patches`)."""
        return self.folder / f"runs_{window.col_off}_{window.row_off}.parquet"


@dataclass(frozen=True)
class UpdatedWindow:
    """What was found in a window."""

    window: Window
    """Which pixels."""
    data: Mapping[str, int]
    """How many of them hold data, by the layer's key."""
    hectares: Mapping[int, float]
    """The true area of each status (see `landcover.change.rule`)."""
    unseen: Mapping[int, float]
    """True hectares by how many months ago they were seen clear, or `NEVER_SEEN`."""


@dataclass(frozen=True)
class FinishedRecord:
    """A record up to a month, which waits in the work folder until it is recorded."""

    plan: UpdatePlan
    """What it was made from."""
    waiting: UPath
    """The folder where its files wait, under their names."""
    phone_files: tuple[str, ...]
    """The names of the small files of the month's new alerts."""
    sha256: Mapping[str, str]
    """Of the files that the next month is made from, by the key of the file's name."""
    hectares: Mapping[int, float]
    """The true area of each status."""
    unseen: Mapping[int, float]
    """True hectares by how many months ago they were seen clear, or `NEVER_SEEN`."""
    counts: Tally
    """Its alerts."""
    rejected: frozenset[str]
    """The ids of the alerts that people have rejected."""
    notices: tuple[Notice, ...] = ()
    """What is probably wrong with it."""
    regions: RegionalAreas | None = None
    """What it says of regions; None where none are set."""

    @property
    def period(self) -> Period:
        """The month."""
        return self.plan.period

    def as_record(
        self, folder: UPath, rests_on: Mapping[str, str], made_with: Mapping[str, Any]
    ) -> MonthOfRecord:
        """Return it as the next month finds it, once it is recorded.

        Args:
            folder: that it was published in.
            rests_on: the SHA-256 of the map of each of its months.
            made_with: all else that it depends on.
        """
        return MonthOfRecord(
            self.period, folder, rests_on, made_with, self.sha256, tuple(sorted(self.rejected))
        )


def months_unseen(state: State, period: Period) -> NDArray[np.uint8]:
    """Return how many months before a month each pixel was last seen clear.

    Args:
        state: what is known of pixels, (rows, columns).
        period: the month.

    Returns:
        Months, at most `LONG_AGO`; `NEVER_SEEN`, and `OUTSIDE` beyond the area of interest.
    """
    months = np.zeros(LAST_DAY + 1, np.uint8)
    for ago, earlier in enumerate(reversed(months_between(FIRST, period))):
        months[day_of(earlier)] = min(ago, LONG_AGO)
    found = np.empty(state.seen.shape, np.uint8)
    _count_months(state.status, state.seen, months, found)
    return found


@compiled
def _count_months(
    status: NDArray[np.uint8],
    seen: NDArray[np.int16],
    months: NDArray[np.uint8],
    found: NDArray[np.uint8],
) -> None:
    """Write for each pixel how many months ago it was seen."""
    for row in range(status.shape[0]):
        for column in range(status.shape[1]):
            day = seen[row, column]
            if status[row, column] == OUTSIDE:
                found[row, column] = OUTSIDE
            else:
                found[row, column] = NEVER_SEEN if day == NEVER else months[day]
