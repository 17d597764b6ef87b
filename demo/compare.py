"""How the demo's maps, and what they say of lost forest, compare with the known truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from demo.world import LONLAT, What
from landcover.areas import polygon_hectares
from landcover.change import rule
from landcover.change.alerts import CONFIRMED, WARNING
from landcover.classes import FIXED_CODES, NODATA
from landcover.geometry import intersection

Codes = NDArray[np.uint8]

# What can be told of the ground.
CLEAR = [FIXED_CODES[name] for name in ("Forest", "Non-Forest", "Water")]

# By how much the hectares of loss may be wrong, as a share of the truth.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Agreement:
    """How far a map agrees with the truth.

    Attributes:
        accuracy: the share of mapped pixels that have the true class.
        recall: for each class, the share of its true pixels that were mapped as it.
    """

    accuracy: float
    recall: dict[str, float]


@dataclass(frozen=True)
class Place:
    """A place where something happened, and the confirmed loss there.

    Attributes:
        what: happened.
        month: when, such as 2025-03.
        hectares: of the place.
        confirmed: hectares of it that are confirmed loss.
    """

    what: What
    month: str
    hectares: float
    confirmed: float


@dataclass(frozen=True)
class Year:
    """How far an annual map agrees with the truth at its end.

    Attributes:
        agreement: of forest and non-forest, where both are known.
        unknown: the share of the area whose truth is known that has no data on the map.
        fell: of the pixels that were felled, the share that is not forest any more on the map.
    """

    agreement: Agreement
    unknown: float
    fell: float


@dataclass(frozen=True)
class Loss:
    """How far confirmed loss agrees with the truth.

    Attributes:
        places: where something happened.
        confirmed: hectares of confirmed loss, wherever it is.
        elsewhere: hectares of those confirmed alerts that touch no clearing.
        warned: hectares of alerts that are not sure yet.
    """

    places: tuple[Place, ...]
    confirmed: float
    elsewhere: float
    warned: float

    @property
    def clearings(self) -> list[Place]:
        """Where forest fell."""
        return [place for place in self.places if place.what == What.CLEARING]

    @property
    def felled(self) -> float:
        """Hectares that fell."""
        return sum(place.hectares for place in self.clearings)

    @property
    def is_right(self) -> bool:
        """Whether each clearing is found where it is, with its hectares, and nothing else."""
        least = 1 - TOLERANCE
        found = all(place.confirmed >= least * place.hectares for place in self.clearings)
        as_large = abs(self.confirmed - self.felled) <= TOLERANCE * self.felled
        return found and as_large and not self.elsewhere


def read_codes(path: Path) -> Codes:
    """Read a map of class codes, (rows, columns)."""
    with rasterio.open(path) as dataset:
        codes: Codes = dataset.read(1)
    return codes


def agreement(mapped: Codes, truth: Codes) -> Agreement:
    """Compare a map with the truth where both have a class."""
    both = (mapped != NODATA) & (truth != NODATA)
    right = mapped == truth
    return Agreement(
        accuracy=float(right[both].mean()),
        recall={
            name: float(right[both & (truth == code)].mean())
            for name, code in FIXED_CODES.items()
            if (both & (truth == code)).any()
        },
    )


def compare_year(
    mapped: Path, truths: Sequence[Path], area: Path, events: geopandas.GeoDataFrame
) -> Year:
    """Compare an annual map with the truth of each pixel when it was last clear.

    Args:
        mapped: of forest and non-forest.
        truths: the rasters of what is where, in the order of their months.
        area: the area of interest.
        events: see `demo.world.World`.
    """
    ground = ground_at_the_end([read_codes(truth) for truth in truths])
    with rasterio.open(mapped) as dataset:
        codes, transform, crs = dataset.read(1), dataset.transform, dataset.crs
    ours = np.full_like(ground, NODATA)
    ours[codes == rule.FOREST] = FIXED_CODES["Forest"]
    ours[codes == rule.NON_FOREST] = FIXED_CODES["Non-Forest"]
    outline, clearings = (
        rows.to_crs(crs).geometry
        for rows in (geopandas.read_file(area), events[events["what"] == What.CLEARING])
    )
    inside = geometry_mask(outline, codes.shape, transform, invert=True) & (ground != NODATA)
    felled = geometry_mask(clearings, codes.shape, transform, invert=True)
    return Year(
        agreement=agreement(ours, ground),
        unknown=float((ours[inside] == NODATA).mean()),
        fell=float((ours[felled] == FIXED_CODES["Non-Forest"]).mean()),
    )


def ground_at_the_end(truths: Sequence[Codes]) -> Codes:
    """Return forest or not of each pixel when it was last clear, nodata where it never was.

    Args:
        truths: what is where, in the order of their months.
    """
    ground = np.full_like(truths[0], NODATA)
    for truth in truths:
        ground = np.where(np.isin(truth, CLEAR), truth, ground)
    return np.where(ground == FIXED_CODES["Water"], FIXED_CODES["Non-Forest"], ground).astype(
        np.uint8
    )


def compare_loss(alerts: geopandas.GeoDataFrame, events: geopandas.GeoDataFrame) -> Loss:
    """Compare the confirmed ones of alerts with what happened.

    Args:
        alerts: up to a month, with `state` and `area_ha`, in EPSG:4326.
        events: see `demo.world.World`.
    """
    confirmed = alerts[alerts["state"] == CONFIRMED]
    lost = confirmed.union_all()
    clearings = events.geometry[events["what"] == What.CLEARING].union_all()
    apart = [intersection(alert, clearings).is_empty for alert in confirmed.geometry]
    return Loss(
        places=tuple(
            Place(
                What(event.what),
                event.month,
                polygon_hectares(event.geometry, LONLAT),
                polygon_hectares(intersection(event.geometry, lost), LONLAT),
            )
            for event in events.itertuples()
        ),
        confirmed=float(confirmed["area_ha"].sum()),
        elsewhere=float(confirmed.loc[apart, "area_ha"].sum()),
        warned=float(alerts.loc[alerts["state"] == WARNING, "area_ha"].sum()),
    )
