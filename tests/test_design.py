"""How many points, and how many in each stratum, against what others computed."""

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from landcover.accuracy.design import Allocation, allocate, sample_size

RONDONIA = [
    *(0.3841309, 0.004994874, 0.004555433, 0.538726, 0.005482552, 0.009201698, 0.007682599),
    *(0.007677294, 0.03754864),
]
RONDONIA_USERS = [0.75, 0.7, 0.7, 0.75, 0.7, 0.7, 0.7, 0.7, 0.7]
CAMBODIA = [0.41211, 0.49320, 0.02195, 0.06674, 0.00365, 0.00234]
TINIGUA = [1_611_984, 63_375, 711_441]


def test_the_size_of_olofssons_sample() -> None:
    assert sample_size([0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95], 0.01) == 641


def test_the_size_of_rondonias_sample() -> None:
    assert sample_size(RONDONIA, RONDONIA_USERS, 0.01) == 1892
    # A tenth of the standard error takes a hundred times the points: 1891.90.
    assert sample_size(RONDONIA, RONDONIA_USERS, 0.001) in range(189_190 - 1, 189_190 + 2)


def test_the_size_of_tiniguas_sample_from_its_pixels() -> None:
    assert sample_size(TINIGUA, [0.9, 0.8, 0.9], 0.0135) == 503
    thousandfold = sample_size(TINIGUA, [0.9, 0.8, 0.9], 0.0135 / 1000**0.5)
    assert thousandfold == pytest.approx(502_607, abs=1)


def test_the_size_of_a_sample_for_one_class() -> None:
    """AREA2's example: the share of the fourth class in each stratum."""
    assert sample_size(CAMBODIA, [0.01, 0.01, 0.01, 0.6, 0, 0], 0.005) == 625


def test_a_size_that_is_a_whole_number_is_not_rounded_up() -> None:
    assert sample_size([1], [0.5], 0.05) == 100
    assert sample_size([0.5, 0.5], [0.5, 0.5], 0.05) == 100


@pytest.mark.parametrize(
    ("at_least", "numbers"),
    [
        (0, [727, 9, 9, 1019, 10, 17, 15, 15, 71]),
        (120, [438, 120, 120, 614, 120, 120, 120, 120, 120]),
        (100, [496, 100, 100, 696, 100, 100, 100, 100, 100]),
    ],
)
def test_rondonias_points_in_proportion_to_area(at_least: int, numbers: list[int]) -> None:
    proportional = Allocation.PROPORTIONAL
    assert allocate(1892, RONDONIA, RONDONIA_USERS, proportional, at_least) == numbers


def test_cambodias_points_in_proportion_to_area() -> None:
    numbers = allocate(625, CAMBODIA, [0.5] * 6, Allocation.PROPORTIONAL, 0)
    assert numbers == [258, 308, 14, 42, 2, 1]


def test_neymans_allocation_follows_area_times_deviation() -> None:
    assert allocate(80, [3, 5], [0.5, 0.9], Allocation.NEYMAN, 0) == [40, 40]  # 3 x 0.5 : 5 x 0.3
    assert allocate(100, [0.5, 0.5], [0.5, 1.0], Allocation.NEYMAN, 10) == [90, 10]


def test_neymans_allocation_of_classes_without_doubt_follows_area() -> None:
    assert allocate(10, [0.3, 0.7], [1.0, 0.0], Allocation.NEYMAN, 0) == [3, 7]


def test_equal_allocation_gives_the_odd_points_to_the_first() -> None:
    assert allocate(11, [0.9, 0.05, 0.05], [0.9] * 3, Allocation.EQUAL, 2) == [4, 4, 3]


def test_a_stratum_that_falls_short_when_others_are_raised_is_raised_too() -> None:
    # 10, 50 and 40 in proportion; with 38 for the first, the last would have 28 of the rest.
    assert allocate(120, [0.1, 0.5, 0.4], [0.9] * 3, Allocation.PROPORTIONAL, 38) == [38, 44, 38]


def test_the_least_number_holds_where_the_size_does_not_suffice() -> None:
    assert allocate(100, [0.1, 0.5, 0.4], [0.9] * 3, Allocation.NEYMAN, 50) == [50, 50, 50]


@trying(max_examples=60)
@given(
    st.integers(1, 5000),
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(0, 1)), min_size=1, max_size=12),
    st.sampled_from(Allocation),
    st.integers(0, 100),
)
def test_points_sum_to_the_size_and_none_falls_short(
    size: int, strata: list[tuple[float, float]], allocation: Allocation, at_least: int
) -> None:
    weights, users = zip(*strata, strict=True)
    numbers = allocate(size, weights, users, allocation, at_least)
    assert sum(numbers) == max(size, at_least * len(numbers))
    assert min(numbers) >= at_least


@trying(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.05, 0.95)), min_size=1, max_size=8),
    st.floats(0.005, 0.1),
)
def test_neymans_sample_has_the_standard_error_that_it_was_made_for(
    strata: list[tuple[float, float]], standard_error: float
) -> None:
    weights, users = zip(*strata, strict=True)
    size = sample_size(weights, users, standard_error)
    numbers = allocate(size, weights, users, Allocation.NEYMAN, 2)
    variance = sum(
        (weight / sum(weights)) ** 2 * user * (1 - user) / number
        for (weight, user), number in zip(strata, numbers, strict=True)
    )
    # Points are whole, which costs little.
    assert variance**0.5 <= standard_error * (1 + len(strata) / size)
