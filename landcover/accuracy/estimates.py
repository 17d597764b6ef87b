"""Estimates: areas and accuracies of a map, from labelled points of a stratified random sample.

One estimator does all of it. The strata need not be the classes of the map (Stehman 2014,
Estimating area and map accuracy for stratified random sampling when the strata are different from
the map classes); where they are, it gives the numbers of Olofsson et al. (2014, Good practices for
estimating area and assessing accuracy of land change), and with a single stratum those of simple
random sampling. Strata of points that were drawn without them are post-strata.

>>> counts = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
>>> classes = ["deforestation", "gain", "forest", "other"]
>>> points = pandas.DataFrame(
...     [
...         (mapped, mapped, reference)
...         for mapped, row in zip(classes, counts, strict=True)
...         for reference, count in zip(classes, row, strict=True)
...         for _ in range(count)
...     ],
...     columns=["stratum", "mapped", "reference"],
... )
>>> hectares = dict(zip(classes, [18_000, 13_500, 288_000, 580_500], strict=True))
>>> lost = estimate_areas(points, hectares, classes).area_ha["deforestation"]
>>> round(lost.value, 2), round(lost.ci95, 2)
(21157.76, 6157.63)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas
from numpy.typing import NDArray

from landcover.errors import LandcoverError

Number = TypeVar("Number", bound=np.generic)

# As the published tables have it, rather than 1.959964.
Z95 = 1.96


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error."""

    value: float

    se: float | None
    """None where the sample does not tell it, because a stratum has a single point."""

    @property
    def ci95(self) -> float | None:
        """Half the width of the 95 % confidence interval."""
        return None if self.se is None else Z95 * self.se


@dataclass(frozen=True)
class AreaEstimates:
    """What a sample says of a map and of the ground."""

    classes: tuple[str, ...]

    counts: NDArray[np.int64]
    """Points, (map, reference)."""

    proportions: NDArray[np.float64]
    """Estimated shares of the whole area, (map, reference); their sum is 1."""

    mapped_ha: Mapping[str, float]
    """Hectares that the map gives each class: exactly so where each stratum lies in one class of
    the map, else estimated from the sample."""

    area_ha: Mapping[str, Estimate]
    """Hectares of each class on the ground."""

    users: Mapping[str, Estimate | None]
    """User's accuracy: of the area mapped as a class, the share that is of it. None for a class
    that the map gave to no point."""

    producers: Mapping[str, Estimate | None]
    """Producer's accuracy: of the area of a class, the share mapped as it. None for a class that
    was found at no point."""

    overall: Estimate
    """The share of the area that is mapped as what it is."""


@dataclass(frozen=True)
class _Sample:
    counts: NDArray[np.int64]
    """Points, (strata, map, reference)."""

    weights: NDArray[np.float64]
    """The share of the whole area of each stratum; their sum is 1."""

    unsampled: NDArray[np.float64]
    """The share of each stratum's units without a point: the finite population correction."""

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Points of each stratum."""
        return _sums(self.counts)

    @cached_property
    def proportions(self) -> NDArray[np.float64]:
        """Estimated shares of the whole area, (map, reference)."""
        return np.tensordot(self.weights / self.sizes, self.counts, axes=1)


def estimate_areas(
    points: pandas.DataFrame,
    hectares: Mapping[str, float],
    classes: Sequence[str],
    sizes: Mapping[str, int] | None = None,
) -> AreaEstimates:
    """Estimate areas and accuracies, each with its standard error.

    Args:
        points: one row a labelled point, drawn at random within its stratum: the text columns
            `stratum`, `mapped` (the map's class there) and `reference` (what people say it is).
        hectares: the true area of each stratum; those without any are passed over.
        classes: the names of all classes of the map and of the reference, in the order wanted.
        sizes: how many units (such as pixels) each stratum has that was sampled so densely that
            the finite population correction matters; the others count as infinite.

    Raises:
        LandcoverError: if a stratum has no point, so that nothing is known of it.
        ValueError: if a point has a stratum or a class that is not among those given.
    """
    counts = _count(points, list(hectares), classes)
    return estimate_from_counts(counts, hectares, classes, sizes)


def estimate_from_counts(
    counts: NDArray[np.int64],
    hectares: Mapping[str, float],
    classes: Sequence[str],
    sizes: Mapping[str, int] | None = None,
) -> AreaEstimates:
    """Estimate areas and accuracies from points that are counted already.

    Args:
        counts: points, (strata, map, reference), in the order of `hectares` and of `classes`.
        hectares: see `estimate_areas`, as the others.
        classes: of the map and of the reference.
        sizes: how many units each stratum has.

    Raises:
        LandcoverError: if a stratum has no point, so that nothing is known of it.
    """
    areas = np.array(list(hectares.values()), float)
    units = np.array([(sizes or {}).get(stratum, np.inf) for stratum in hectares])
    for stratum, area, size in zip(hectares, areas, _sums(counts), strict=True):
        if area > 0 and size == 0:
            raise LandcoverError(
                f"None of the labelled points lies in the stratum {stratum} ({area:,.0f} ha): "
                "label at least two of its points, since nothing is known of its area without."
            )
    there = areas > 0
    total = float(areas.sum())
    sample = _Sample(counts[there], areas[there] / total, 1 - _sums(counts[there]) / units[there])
    return _all_estimates(sample, tuple(classes), total)


def _count(
    points: pandas.DataFrame, strata: Sequence[str], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Count the points, (strata, map, reference)."""
    names = {"stratum": strata, "mapped": classes, "reference": classes}
    cells = []
    for column, known in names.items():
        cells.append(pandas.Index(known).get_indexer(pandas.Index(points[column])))
        if (cells[-1] < 0).any():
            unknown = sorted(set(points[column]) - set(known))
            raise ValueError(f"Points have {column} {unknown}, which is not among {list(known)}.")
    counts = np.zeros([len(known) for known in names.values()], np.int64)
    np.add.at(counts, tuple(cells), 1)
    return counts


def _all_estimates(sample: _Sample, classes: tuple[str, ...], hectares: float) -> AreaEstimates:
    everywhere = np.ones((len(classes), len(classes)), bool)
    correct = np.eye(len(classes), dtype=bool)
    area_ha, users, producers = {}, {}, {}
    for name, of_class in zip(classes, correct, strict=True):
        mapped, found = everywhere & of_class[:, np.newaxis], everywhere & of_class
        share = _share(sample, found, everywhere)
        area_ha[name] = Estimate(
            share.value * hectares, None if share.se is None else share.se * hectares
        )
        users[name] = _share(sample, correct & mapped, mapped) if _any(sample, mapped) else None
        producers[name] = _share(sample, correct & found, found) if _any(sample, found) else None
    return AreaEstimates(
        classes=classes,
        counts=sample.counts.sum(axis=0),
        proportions=sample.proportions,
        mapped_ha=dict(
            zip(classes, (hectares * sample.proportions.sum(axis=1)).tolist(), strict=True)
        ),
        area_ha=area_ha,
        users=users,
        producers=producers,
        overall=_share(sample, correct, everywhere),
    )


def _any(sample: _Sample, cells: NDArray[np.bool_]) -> bool:
    return bool(sample.counts[:, cells].any())


def _share(sample: _Sample, part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> Estimate:
    """Estimate which share of an area belongs to a part of it.

    The combined ratio estimator and its variance (Stehman 2014, equations 27 and 28; Cochran 1977,
    section 6.11). Over the whole map its denominator is known, and it is the stratified mean.

    Args:
        sample: the points.
        part: the cells of the error matrix that make the part, (map, reference).
        whole: likewise the whole; some point lies in it.
    """
    proportions = sample.proportions
    area = proportions[whole].sum()
    # Summed over the same cells, so that a part that is all of the whole is exactly 1.
    share = np.where(part, proportions, 0)[whole].sum() / area
    rows = np.flatnonzero(whole.any(axis=1))
    variance = _variance_of_mean(sample, part - share * whole, rows)
    return Estimate(float(share), None if variance is None else float(np.sqrt(variance) / area))


def _variance_of_mean(
    sample: _Sample, values: NDArray[np.float64], rows: NDArray[np.intp]
) -> float | None:
    """Return the variance of a stratified mean.

    Stehman 2014, equation 25; Cochran 1977, section 5.4.

    Args:
        sample: the points.
        values: of a point by its cell of the error matrix, (map, reference).
        rows: the classes of the map in which values can differ from 0.

    Returns:
        None where a stratum with a single point has a part in it, and more units than that.
    """
    sizes = sample.sizes
    takes_part = sample.counts[:, rows].any(axis=(1, 2))
    if (takes_part & (sizes == 1) & (sample.unsampled > 0)).any():
        return None
    # Divided first, so that points that are all of one kind have exactly their mean.
    shares = sample.counts / sizes[:, np.newaxis, np.newaxis]
    means = _sums(shares * values)[:, np.newaxis, np.newaxis]
    # Of a single point the squares are 0.
    variances = _sums(shares * (values - means) ** 2) * sizes / np.maximum(sizes - 1, 1)
    return float((sample.weights**2 * sample.unsampled * variances / sizes).sum())


def _sums(cells: NDArray[Number]) -> NDArray[Number]:
    """Return the sum of each stratum's cells, (strata,) of (strata, map, reference)."""
    sums: NDArray[Number] = cells.sum(axis=(1, 2))
    return sums
