"""Areas and accuracies from labelled points, against what others computed by hand and by program.

Where a source prints a slip, the number here is its formula's.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from numpy.typing import NDArray

from landcover.accuracy.estimates import AreaEstimates, Estimate, estimate_areas
from landcover.errors import LandcoverError

PIXEL = 0.09
TINIGUA = [1_611_984 * PIXEL, 63_375 * PIXEL, 711_441 * PIXEL]

# Camara et al., Satellite Image Time Series Analysis on Earth Observation Data Cubes, Rondonia.
RONDONIA = [
    [415, 65, 0, 0, 0, 10, 3, 1, 15],
    [1, 42, 0, 0, 0, 1, 0, 1, 3],
    [1, 0, 22, 9, 0, 0, 0, 0, 0],
    [0, 0, 95, 680, 3, 19, 2, 0, 3],
    [4, 0, 4, 5, 111, 43, 0, 0, 0],
    [1, 17, 0, 0, 0, 82, 0, 0, 0],
    [0, 0, 0, 0, 3, 0, 121, 1, 0],
    [0, 0, 0, 0, 1, 0, 1, 118, 18],
    [0, 2, 0, 0, 1, 4, 0, 6, 88],
]
RONDONIA_HECTARES = [
    *(9537617.8, 124018.1, 113107.2, 13376070.4, 136126.7, 228469.7, 190751.9, 190620.2),
    932298.3,
]

# Stehman 2014, table 2: ten points in each of the strata A to D.
STEHMAN_MAP = "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"
STEHMAN_REFERENCE = "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"
STEHMAN_UNITS = {"A": 40_000, "B": 30_000, "C": 20_000, "D": 10_000}


def points_of(matrix: Sequence[Sequence[int]], stratum: str | None = None) -> pandas.DataFrame:
    """Return the points of an error matrix, (map, reference); strata are the map's classes."""
    names = names_of(matrix)
    rows = [
        (stratum or mapped, mapped, reference)
        for mapped, counts in zip(names, matrix, strict=True)
        for reference, count in zip(names, counts, strict=True)
        for _ in range(count)
    ]
    return pandas.DataFrame(rows, columns=["stratum", "mapped", "reference"])


def names_of(matrix: Sequence[object]) -> list[str]:
    return [f"class {number}" for number in range(len(matrix))]


def of_matrix(matrix: Sequence[Sequence[int]], hectares: Sequence[float]) -> AreaEstimates:
    """Estimate from a sample whose strata are the map's classes."""
    names = names_of(matrix)
    return estimate_areas(points_of(matrix), dict(zip(names, hectares, strict=True)), names)


def values(estimates: Mapping[str, Estimate | None]) -> list[float]:
    return [estimate.value for estimate in estimates.values() if estimate]


def errors(estimates: Mapping[str, Estimate | None]) -> list[float | None]:
    return [estimate.se for estimate in estimates.values() if estimate]


def half_widths(estimates: Mapping[str, Estimate | None]) -> list[float | None]:
    return [estimate.ci95 for estimate in estimates.values() if estimate]


def as_printed(*expected: float, digits: int) -> object:
    """Equal to numbers that are printed with so many digits after the point."""
    return pytest.approx(list(expected), abs=0.51 * 10**-digits)


def test_olofsson_2014_table_8() -> None:
    """Good practices for estimating area and assessing accuracy of land change."""
    found = of_matrix(
        [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]],
        [200_000 * PIXEL, 150_000 * PIXEL, 3_200_000 * PIXEL, 6_450_000 * PIXEL],
    )
    assert values(found.area_ha) == as_printed(21157.76, 11686.15, 285769.93, 581386.15, digits=2)
    assert half_widths(found.area_ha) == as_printed(6157.63, 3755.83, 15509.84, 16281.66, digits=2)
    assert [found.overall.value, found.overall.ci95] == as_printed(0.946512, 0.018484, digits=6)
    assert values(found.users) == as_printed(0.88, 0.733333, 0.927273, 0.963077, digits=6)
    assert values(found.producers) == as_printed(0.748661, 0.847156, 0.934509, 0.961609, digits=6)
    assert list(found.mapped_ha.values()) == pytest.approx([18_000, 13_500, 288_000, 580_500])


def test_olofsson_2013_example_1() -> None:
    """Making better use of accuracy data in land change studies; areas in pixels.

    Alone of these numbers, its half-widths are those of z = 1.959964.
    """

    def widths(estimates: Iterable[Estimate | None]) -> list[float]:
        return [1.959964 * found.se for found in estimates if found and found.se is not None]

    found = of_matrix([[97, 0, 3], [3, 279, 18], [2, 1, 97]], [22_353, 1_122_543, 610_228])
    area = found.area_ha["class 0"]
    assert [area.value] == as_printed(45112.4, digits=1)
    assert [area.se] == as_printed(10751.40, digits=2)
    assert widths([area]) == as_printed(21072, digits=0)
    assert widths(found.users.values()) == as_printed(0.03360292, 0.02892031, 0.03360292, digits=8)
    assert values(found.producers) == as_printed(0.4806308, 0.9941887, 0.8969259, digits=7)
    assert widths(found.producers.values()) == as_printed(
        0.22453045, 0.01132522, 0.04120541, digits=8
    )
    assert [found.overall.value] == as_printed(0.9444168, digits=7)


def test_olofsson_2013_example_2() -> None:
    found = of_matrix([[127, 66, 54], [2, 322, 17], [0, 15, 540]], [0.007, 0.295, 0.698])
    assert values(found.area_ha) == as_printed(0.0053294, 0.2992984, 0.6953722, digits=7)
    assert half_widths(found.area_ha) == as_printed(0.0024340, 0.0118627, 0.0116425, digits=7)
    assert values(found.users) == as_printed(0.51417, 0.94428, 0.97297, digits=5)
    assert values(found.producers) == as_printed(0.6753468, 0.9307203, 0.9766498, digits=7)
    assert [found.overall.value, found.overall.se] == as_printed(0.9612974, 0.0060533, digits=7)


def test_nine_classes_of_rondonia() -> None:
    found = of_matrix(RONDONIA, RONDONIA_HECTARES)
    assert values(found.area_ha) == as_printed(
        *(7787913.8, 1383783.9, 1665469.0, 11377193.6, 155704.6, 766171.1, 275599.8, 241225.8),
        1176018.6,
        digits=1,
    )
    assert half_widths(found.area_ha) == as_printed(
        *(321996.87, 278746.61, 299925.62, 333181.29, 60452.25, 186476.04, 78786.79, 58098.50),
        163726.86,
        digits=2,
    )
    assert values(found.producers) == as_printed(
        *(0.9985024, 0.0784196, 0.0466903, 0.9968457, 0.5810966, 0.2445213, 0.6699854, 0.6756909),
        0.6907199,
        digits=7,
    )
    assert [found.overall.value, found.overall.se] == as_printed(0.8353753, 0.0096170, digits=7)


def test_tinigua_by_strata() -> None:
    """AcATaMa's example; the standard errors of its producer's accuracies have a slip."""
    found = of_matrix([[287, 1, 25], [3, 43, 4], [11, 1, 127]], TINIGUA)
    assert values(found.area_ha) == as_printed(138436.62858, 5829.38003, 70545.99139, digits=5)
    assert half_widths(found.area_ha) == as_printed(5310.38057, 1395.55993, 5313.77015, digits=5)
    assert values(found.producers) == as_printed(0.96093, 0.84147, 0.82927, digits=5)
    assert errors(found.producers) == as_printed(0.0103211, 0.0946421, 0.0265625, digits=7)
    assert [found.overall.value, found.overall.se] == as_printed(0.9144483, 0.0128011, digits=7)


TINIGUA_SIMPLE = [[325, 0, 15], [0, 17, 0], [7, 1, 135]]


def test_tinigua_simple_random() -> None:
    """The whole area is the only stratum; AcATaMa divides by n where n - 1 is right."""
    points = points_of(TINIGUA_SIMPLE, stratum="all")
    found = estimate_areas(points, {"all": sum(TINIGUA)}, names_of(TINIGUA_SIMPLE))
    assert values(found.area_ha) == as_printed(142635.168, 7733.232, 64443.6, digits=3)
    assert errors(found.area_ha) == as_printed(4542.1549, 1791.4225, 4406.7449, digits=4)
    assert [found.overall.value, found.overall.se] == as_printed(0.954, 0.00938, digits=5)


def test_tinigua_simple_random_with_the_maps_classes_as_post_strata() -> None:
    found = of_matrix(TINIGUA_SIMPLE, TINIGUA)
    assert values(found.area_ha) == as_printed(141812.35578, 6151.51007, 66848.13415, digits=5)
    assert errors(found.area_ha) == as_printed(1990.590, 447.760, 2035.478, digits=3)
    assert found.users["class 1"] == Estimate(1, 0)
    assert values(found.producers)[1:2] == as_printed(0.92721, digits=5)


def test_three_classes() -> None:
    found = of_matrix([[41, 6, 3], [4, 88, 8], [2, 7, 141]], [5_200, 61_000, 133_800])
    assert values(found.area_ha) == as_printed(8488, 60548, 130964, digits=0)
    assert half_widths(found.area_ha) == as_printed(3453.938, 6000.516, 6064.589, digits=3)
    assert values(found.producers) == as_printed(0.5023563, 0.8865693, 0.9603555, digits=7)
    assert [found.overall.value, found.overall.se] == as_printed(0.91858, 0.0164522, digits=7)


def test_strata_that_are_not_the_maps_classes() -> None:
    """Stehman 2014; the paper prints .114 for the producer's standard error of B."""
    points = pandas.DataFrame(
        {
            "stratum": np.repeat(list(STEHMAN_UNITS), 10),
            "mapped": list(STEHMAN_MAP),
            "reference": list(STEHMAN_REFERENCE),
        }
    )
    shares = {stratum: units / 100_000 for stratum, units in STEHMAN_UNITS.items()}
    found = estimate_areas(points, shares, list("ABCD"), STEHMAN_UNITS)
    assert values(found.area_ha) == pytest.approx([0.35, 0.34, 0.20, 0.11])
    assert errors(found.area_ha) == as_printed(
        0.08224780, 0.07585307, 0.06427977, 0.03072223, digits=8
    )
    assert [found.overall.value, found.overall.se] == as_printed(0.63, 0.08464219, digits=8)
    assert values(found.users) == as_printed(0.7419355, 0.5744681, 0.5, 0.7, digits=7)
    assert errors(found.users) == as_printed(0.1645420, 0.1247822, 0.2151119, 0.1526761, digits=7)
    assert values(found.producers) == as_printed(0.6571429, 0.7941176, 0.3, 0.6363636, digits=7)
    assert errors(found.producers) == as_printed(
        0.1477101, 0.1165479, 0.1504108, 0.1622797, digits=7
    )
    assert found.proportions[1, 2] == pytest.approx(0.08)


def test_a_class_that_the_map_lacks_and_one_that_was_never_found() -> None:
    found = of_matrix([[8, 1, 1], [0, 0, 0], [0, 0, 10]], [60, 0, 40])
    assert found.users["class 1"] is None
    assert found.producers["class 1"] == Estimate(0, 0)
    assert found.area_ha["class 1"].value == pytest.approx(6)
    assert found.mapped_ha["class 1"] == 0

    found = of_matrix([[9, 0, 1], [1, 0, 9], [0, 0, 10]], [50, 10, 40])
    assert found.producers["class 1"] is None
    assert found.users["class 1"] == Estimate(0, 0)
    assert found.area_ha["class 1"] == Estimate(0, 0)
    assert found.mapped_ha["class 1"] == pytest.approx(10)


def test_a_map_without_a_fault_is_estimated_without_an_error() -> None:
    found = of_matrix([[7, 0, 0], [0, 13, 0], [0, 0, 11]], [1 / 3, 0.1, 0.7])
    one = Estimate(1, 0)
    assert found.overall == one
    assert list(found.users.values()) == list(found.producers.values()) == [one] * 3
    assert errors(found.area_ha) == [0] * 3


def test_a_stratum_with_a_single_point_has_no_variance() -> None:
    found = of_matrix([[1, 0], [2, 8]], [10, 90])
    assert found.area_ha["class 0"] == Estimate(pytest.approx(28), None)
    assert found.area_ha["class 0"].ci95 is None
    assert found.overall.se is None
    assert found.users["class 0"] == Estimate(1, None)
    # No point of the other stratum is mapped as this class.
    assert found.users["class 1"] == Estimate(0.8, pytest.approx((0.8 * 0.2 / 9) ** 0.5))
    assert errors(found.producers) == [None, None]


def test_a_stratum_that_is_a_single_unit_is_known() -> None:
    points = points_of([[1, 0], [2, 8]])
    hectares = {"class 0": 1.0, "class 1": 99.0}
    found = estimate_areas(points, hectares, list(hectares), {"class 0": 1})
    assert found.area_ha["class 0"].se == pytest.approx(99 * (0.2 * 0.8 / 9) ** 0.5)


def test_shares_that_do_not_sum_to_1_are_areas() -> None:
    matrix = [[41, 6, 3], [4, 88, 8], [2, 7, 141]]
    found, shares = (
        of_matrix(matrix, hectares) for hectares in ([0.3, 0.3, 0.3], [1 / 3, 1 / 3, 1 / 3])
    )
    assert found.proportions == pytest.approx(shares.proportions)
    assert sum(values(found.area_ha)) == pytest.approx(0.9)


def test_a_stratum_without_a_point_is_told() -> None:
    with pytest.raises(LandcoverError, match=r"stratum class 1 \(1,200 ha\)"):
        of_matrix([[3, 1], [0, 0]], [5, 1200])


def test_points_of_another_sample_are_refused() -> None:
    points = points_of([[3, 1], [1, 3]])
    with pytest.raises(ValueError, match="stratum"):
        estimate_areas(points, {"class 0": 1}, ["class 0", "class 1"])
    with pytest.raises(ValueError, match=r"mapped \['class 1'\]"):
        estimate_areas(points, {"class 0": 1, "class 1": 2}, ["class 0"])


def weighted(size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0.001, 1e6), min_size=size, max_size=size)


@st.composite
def samples(draw: st.DrawFn) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Return counts by stratum, map class and reference, and the strata's hectares."""
    strata, classes = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    cells = strata * classes**2
    counts = np.array(draw(st.lists(st.integers(0, 30), min_size=cells, max_size=cells)))
    counts = counts.reshape(strata, classes, classes)
    counts[:, 0, 0] += 2
    hectares = {f"stratum {number}": area for number, area in enumerate(draw(weighted(strata)))}
    return counts, hectares


def points_in(counts: NDArray[np.int64]) -> pandas.DataFrame:
    cells = np.argwhere(counts >= 0).repeat(counts.ravel(), axis=0)
    names = ["stratum {}", "class {}", "class {}"]
    columns = ["stratum", "mapped", "reference"]
    return pandas.DataFrame(
        {
            column: [name.format(number) for number in numbers]
            for column, name, numbers in zip(columns, names, cells.T, strict=True)
        }
    )


Sampled = tuple[NDArray[np.int64], dict[str, float]]


@trying(max_examples=30)
@given(samples())
def test_shares_sum_to_1_and_areas_to_the_whole(sampled: Sampled) -> None:
    counts, hectares = sampled
    found = estimate_areas(points_in(counts), hectares, names_of(counts[0]))
    whole = sum(hectares.values())
    assert found.counts.sum() == counts.sum()
    assert found.proportions.sum() == pytest.approx(1)
    assert sum(values(found.area_ha)) == pytest.approx(whole)
    assert sum(found.mapped_ha.values()) == pytest.approx(whole)
    shares = [found.overall, *found.users.values(), *found.producers.values()]
    assert all(0 <= share.value <= 1 + 1e-12 for share in shares if share)


@trying(max_examples=15)
@given(samples())
def test_neither_the_order_of_points_nor_that_of_strata_matters(
    sampled: Sampled,
) -> None:
    counts, hectares = sampled
    points, names = points_in(counts), names_of(counts[0])
    shuffled = points.sample(frac=1, random_state=len(points))
    turned = dict(reversed(hectares.items()))
    one, other = estimate_areas(points, hectares, names), estimate_areas(shuffled, turned, names)
    assert values(one.area_ha) == pytest.approx(values(other.area_ha))
    assert errors(one.area_ha) == pytest.approx(errors(other.area_ha))
    assert errors(one.producers) == pytest.approx(errors(other.producers))


@trying(max_examples=15)
@given(samples(), st.floats(0.01, 100))
def test_the_unit_of_area_does_not_matter(sampled: Sampled, factor: float) -> None:
    counts, hectares = sampled
    points, names = points_in(counts), names_of(counts[0])
    one = estimate_areas(points, hectares, names)
    other = estimate_areas(points, {name: factor * ha for name, ha in hectares.items()}, names)
    scaled = [factor * error for error in errors(one.area_ha) if error is not None]
    assert errors(other.area_ha) == pytest.approx(scaled)
    assert errors(other.users) == pytest.approx(errors(one.users), abs=1e-12)


@trying(max_examples=15)
@given(samples())
def test_strata_that_are_alike_may_be_merged(sampled: Sampled) -> None:
    """Two strata with the same counts, and areas as their points are, estimate what one does."""
    counts, hectares = sampled
    names = names_of(counts[0])
    whole = estimate_areas(points_in(2 * counts), hectares, names)
    halves = {f"stratum {number}": area / 2 for number, area in enumerate([*hectares.values()] * 2)}
    split = estimate_areas(points_in(np.concatenate([counts, counts])), halves, names)
    assert values(split.area_ha) == pytest.approx(values(whole.area_ha))
    assert values(split.users) == pytest.approx(values(whole.users))
    assert values(split.producers) == pytest.approx(values(whole.producers))


@trying(max_examples=15)
@given(samples())
def test_two_classes_that_become_one_have_the_area_of_both(sampled: Sampled) -> None:
    counts, hectares = sampled
    points, names = points_in(counts), names_of(counts[0])
    before = estimate_areas(points, hectares, names)
    after = estimate_areas(points.replace("class 1", "class 0"), hectares, names)
    both = before.area_ha["class 0"].value + before.area_ha["class 1"].value
    assert after.area_ha["class 0"].value == pytest.approx(both)
    assert after.overall.value >= before.overall.value - 1e-12
