"""Design of a sample: how many points, and how many of them in each stratum.

>>> weights, users = [0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95]
>>> sample_size(weights, users, 0.01)
641
>>> allocate(641, weights, users, Allocation.PROPORTIONAL, at_least=75)
[75, 75, 163, 328]
"""

from collections.abc import Sequence
from enum import StrEnum
from math import ceil

import numpy as np
from numpy.typing import NDArray


class Allocation(StrEnum):
    """By what points are shared out among strata."""

    NEYMAN = "neyman"
    """Area times the standard deviation that is expected there: the smallest standard error."""

    PROPORTIONAL = "proportional"
    """Area."""

    EQUAL = "equal"
    """The same number in each."""


def sample_size(weights: Sequence[float], users: Sequence[float], standard_error: float) -> int:
    """Return how many points are needed for a standard error of the overall accuracy.

    Olofsson et al. (2014), equation 13, for a population that is large against its sample (Cochran
    1977, equation 5.25). With the share of each stratum that is thought to be of one class, in the
    place of user's accuracies, it is the number of points for a standard error of the share of
    that class in the whole area.

    Args:
        weights: the area of each stratum, in any unit.
        users: the user's accuracy that is expected in each stratum.
        standard_error: that of the overall accuracy, such as 0.01.
    """
    deviation = float((_shares(weights) * _deviations(users)).sum())
    # Rounded first, so that a whole number is not taken for a little more.
    return ceil(round((deviation / standard_error) ** 2, 6))


def allocate(
    size: int,
    weights: Sequence[float],
    users: Sequence[float],
    allocation: Allocation,
    at_least: int,
) -> list[int]:
    """Return how many points each stratum gets.

    Strata that would get too few get the least number, and the others share what is left. What is
    left over by rounding goes to the largest remainders.

    Args:
        size: how many points there are; more are given where they do not suffice for `at_least`.
        weights: the area of each stratum, in any unit.
        users: the user's accuracy that is expected in each stratum; only Neyman's allocation asks.
        allocation: by what they are shared out.
        at_least: points that each stratum gets. Two are needed for a standard error.
    """
    parts = _parts(weights, users, allocation)
    at_floor = np.zeros(len(parts), bool)
    while True:
        left = max(size - at_least * int(at_floor.sum()), 0)
        wanted = left * _shares(np.where(at_floor, 0, parts))
        too_few = ~at_floor & (wanted < at_least)
        if not too_few.any():
            return [int(number) for number in np.where(at_floor, at_least, _rounded(wanted))]
        at_floor |= too_few


def _parts(
    weights: Sequence[float], users: Sequence[float], allocation: Allocation
) -> NDArray[np.float64]:
    match allocation:
        case Allocation.EQUAL:
            return np.ones(len(weights))
        case Allocation.PROPORTIONAL:
            return _shares(weights)
        case Allocation.NEYMAN:
            parts = _shares(weights) * _deviations(users)
            # Where every stratum is expected to be of one class, area is all that is known.
            return parts if parts.any() else _shares(weights)


def _shares(parts: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return parts as shares of their sum; all 0 where there is none."""
    numbers = np.asarray(parts, float)
    shares: NDArray[np.float64] = numbers / (numbers.sum() or 1)
    return shares


def _deviations(shares: Sequence[float]) -> NDArray[np.float64]:
    """Return the standard deviation within strata of which shares are of a class."""
    numbers = np.asarray(shares, float)
    deviations: NDArray[np.float64] = np.sqrt(numbers * (1 - numbers))
    return deviations


def _rounded(wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round numbers and keep their sum, by largest remainders."""
    whole = np.floor(wanted).astype(np.int64)
    missing = round(float(wanted.sum())) - int(whole.sum())
    whole[np.argsort(whole - wanted, kind="stable")[:missing]] += 1
    return whole
