"""Areas: what a labelled sample says of the ground and of a map, with all that is told of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from landcover.accuracy.estimates import AreaEstimates, Estimate, estimate_areas
from landcover.accuracy.labels import UNLABELLED
from landcover.accuracy.sample_files import Sample
from landcover.accuracy.strata import LOSS, Of
from landcover.classes import label_key
from landcover.notices import Notice

# Columns of the CSV and of the table of estimates.
COLUMNS = ("mapped_ha", "area_ha", "ci95_ha", "users", "users_ci95", "producers", "producers_ci95")

# The row of the whole map.
ALL = "all"

# Why a point is left out where another map is judged.
UNMAPPED = "unmapped"

# With fewer points that the map has wrong, the interval of a class holds less often than in 95 of
# 100 samples (docs/areas.md, by benchmarks/intervals.py).
DECIDING = 15

# Digits after the point.
OF_HECTARES, OF_SHARES = 2, 6


@dataclass(frozen=True)
class Areas:
    """What a labelled sample says."""

    of: Of
    """What the sample is of."""
    first: str | None
    """Of deforestation, the month that the period begins with, such as 2024-01."""
    last: str
    """The month of the map, or the last of the period."""
    quoted: str
    """The class that a reader asks for first."""
    map_sha256: str
    """Of the map that the sample was drawn from."""
    points: int
    """How many count."""
    drawn: int
    """How many were drawn."""
    estimates: AreaEstimates
    """Areas and accuracies."""
    outside_ha: Mapping[str, float]
    """Hectares of what no point was drawn from, by why."""
    notices: tuple[Notice, ...] = ()
    """What a reader should know of it."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "outside_ha": dict(self.outside_ha),
            "notices": [notice.to_json() for notice in self.notices],
            **_estimates_to_json(self.estimates),
        }

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> "Areas":
        """Return what `to_json` wrote.

        Raises:
            KeyError: if it was written otherwise.
        """
        return cls(
            **{name: json[name] for name in _PLAIN},
            outside_ha=json["outside_ha"],
            notices=tuple(map(Notice.from_json, json["notices"])),
            estimates=_estimates_from_json(json),
        )


_PLAIN = ("of", "first", "last", "quoted", "map_sha256", "points", "drawn")
_BY_CLASS = ("area_ha", "users", "producers")


def areas_of_sample(
    sample: Sample,
    labels: pandas.DataFrame,
    forest: Collection[str],
    mapped: pandas.Series | None = None,
) -> Areas:
    """Estimate areas and accuracies from the labels of a sample.

    Args:
        sample: the points, and the strata that they were drawn from.
        labels: one row a labelled point, as `landcover.accuracy.labels.settle` returns them.
        forest: the names of the classes that are forest.
        mapped: another map's class of each point, by id; NA where it has none. That of the map
            that the sample was drawn from if None.

    Raises:
        LandcoverError: if a stratum has no labelled point.
    """
    points = sample.points.merge(labels, on="id", how="left")
    points["left_out"] = points["left_out"].where(
        points["reference"].notna() | points["left_out"].notna(), UNLABELLED
    )
    if mapped is not None:
        points["mapped"] = points["id"].map(mapped)
        without = points["mapped"].isna() & points["reference"].notna()
        points.loc[without, "left_out"] = UNMAPPED
    counting = points[points["left_out"].isna()]
    design = sample.design
    strata = {one["name"]: one for one in design["strata"]}
    estimates = estimate_areas(
        counting,
        {name: one["hectares"] for name, one in strata.items()},
        _classes(design["classes"], counting),
        {name: one["pixels"] for name, one in strata.items()},
    )
    return Areas(
        of=design["of"],
        first=design.get("from"),
        last=design.get("to") or design["period"],
        quoted=_quoted(design["classes"], forest),
        map_sha256=design["map"]["sha256"],
        points=len(counting),
        drawn=len(points),
        estimates=estimates,
        outside_ha=design["outside_ha"],
        notices=(
            *_left_out(points),
            *_single(counting),
            *_extremes(estimates),
            *_unsure(estimates),
        ),
    )


def areas_table(estimates: AreaEstimates) -> pandas.DataFrame:
    """Return a row a class, then one of all with the overall accuracy as its user's.

    Args:
        estimates: of a sample.

    Returns:
        `class` and `COLUMNS`: hectares and shares, NaN where nothing is known.
    """
    rows = [
        (
            name,
            estimates.mapped_ha[name],
            *_with_interval(estimates.area_ha[name]),
            *_with_interval(estimates.users[name]),
            *_with_interval(estimates.producers[name]),
        )
        for name in estimates.classes
    ]
    total = sum(estimates.mapped_ha.values())
    rows.append((ALL, total, total, None, *_with_interval(estimates.overall), None, None))
    table = pandas.DataFrame(rows, columns=["class", *COLUMNS])
    decimals = {name: OF_HECTARES if name.endswith("_ha") else OF_SHARES for name in COLUMNS}
    return table.astype(dict.fromkeys(COLUMNS, float)).round(decimals)


def _with_interval(found: Estimate | None) -> tuple[float | None, float | None]:
    return (None, None) if found is None else (found.value, found.ci95)


def _classes(drawn: Sequence[str], counting: pandas.DataFrame) -> list[str]:
    """Return all classes: those of the map, then those that only people or another map name."""
    named = {*counting["mapped"], *counting["reference"]}
    return [*drawn, *sorted(named - set(drawn))]


def _quoted(classes: Sequence[str], forest: Collection[str]) -> str:
    """Return loss, of a sample of it; else the first class that is forest, or the first of all."""
    are_forest = {label_key(name) for name in (LOSS, *forest)}
    return next((name for name in classes if label_key(name) in are_forest), classes[0])


def _left_out(points: pandas.DataFrame) -> list[Notice]:
    counts = points["left_out"].value_counts()
    return [
        Notice(f"areas_{why}", {"count": int(count), "drawn": len(points)})
        for why, count in counts.items()
    ]


def _single(counting: pandas.DataFrame) -> list[Notice]:
    counts = counting["stratum"].value_counts()
    return [Notice("areas_single", {"name": name}) for name in sorted(counts[counts == 1].index)]


# What is told of a class whose user's accuracy, or producer's, is exactly 1.
_WHOLE = {
    (True, True): "areas_whole",
    (True, False): "areas_users_whole",
    (False, True): "areas_producers_whole",
    (False, False): None,
}


def _extremes(found: AreaEstimates) -> list[Notice]:
    """Return what an error of exactly 0 means, and which classes nobody found."""
    right = found.counts.diagonal()
    if right.sum() == found.counts.sum():
        return [Notice("areas_all_right", {"count": int(right.sum())})]
    notices = []
    of_map, of_ground = found.counts.sum(axis=1), found.counts.sum(axis=0)
    for number, name in enumerate(found.classes):
        if of_map[number] and not of_ground[number]:
            values = {"name": name, "hectares": float(found.mapped_ha[name])}
            notices.append(Notice("areas_never_found", values))
        elif of_ground[number] and not of_map[number]:
            notices.append(Notice("areas_never_mapped", {"name": name}))
        elif right[number]:
            users, producers = right[number] == of_map[number], right[number] == of_ground[number]
            if kind := _WHOLE[users, producers]:
                values = {"name": name, "count": int(right[number])}
                notices.append(Notice(kind, values))
    return notices


def _unsure(found: AreaEstimates) -> list[Notice]:
    """Return which intervals say less than they seem to."""
    notices = []
    right = found.counts.diagonal()
    wrong = found.counts.sum(axis=0) + found.counts.sum(axis=1) - 2 * right
    for name, number in zip(found.classes, wrong.tolist(), strict=True):
        area = found.area_ha[name]
        if area.ci95 and area.ci95 > area.value:
            most = {"name": name, "hectares": area.value + area.ci95}
            notices.append(Notice("areas_wide", most))
        elif area.ci95 and 0 < number < DECIDING:
            notices.append(Notice("areas_few", {"name": name, "count": number}))
    return notices


def _estimates_to_json(found: AreaEstimates) -> dict[str, Any]:
    return {
        "classes": list(found.classes),
        "counts": found.counts.tolist(),
        "proportions": found.proportions.tolist(),
        "mapped_ha": dict(found.mapped_ha),
        **{
            what: {name: one and vars(one) for name, one in getattr(found, what).items()}
            for what in _BY_CLASS
        },
        "overall": vars(found.overall),
    }


def _estimates_from_json(json: Mapping[str, Any]) -> AreaEstimates:
    by_class = {
        what: {name: one and Estimate(**one) for name, one in json[what].items()}
        for what in _BY_CLASS
    }
    return AreaEstimates(
        classes=tuple(json["classes"]),
        counts=np.array(json["counts"], np.int64),
        proportions=np.array(json["proportions"], float),
        mapped_ha=json["mapped_ha"],
        overall=Estimate(**json["overall"]),
        **by_class,
    )
