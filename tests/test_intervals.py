"""Intervals of 95 % hold the truth of a known map in 95 of 100 samples, where loss is rare too.

`python -m benchmarks.intervals` has the maps of worlds and of the demo; here is one, in hectares.
"""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine

from benchmarks.intervals import (
    BUFFERED,
    LEAST,
    LOSS_CLASSES,
    MOST,
    OVERALL,
    PLAIN,
    Population,
    as_table,
    deciding_points,
    outcomes_of,
    population_of,
)
from landcover.accuracy.strata import FOREST, LOSS, strata_of_loss
from landcover.areas import SQUARE_METRES_A_HECTARE, interpolated_areas
from landcover.change import rule
from landcover.classes import NODATA
from landcover.grid import Grid

DRAWS = 1000

# Half a percent is lost, and what the map misses of it lies beside what it finds.
_IN_LOSS, _IN_BUFFER = [47.0, 3.0, 0.5], [7.0, 50.0, 3.0]
_IN_FOREST, _IN_NON_FOREST = [1.0, 6700.0, 149.0], [0.0, 60.0, 2980.0]
LOSS_OF, FOREST_OF, OTHER_OF, BUFFER_OF = strata_of_loss(3).strata
RARE = Population(
    name="rare loss",
    strata=(LOSS_OF, FOREST_OF, OTHER_OF, BUFFER_OF),
    kind=BUFFERED,
    classes=LOSS_CLASSES,
    hectares=np.array([_IN_LOSS, _IN_FOREST, _IN_NON_FOREST, _IN_BUFFER]),
)
RARE_PLAIN = replace(
    RARE,
    strata=RARE.strata[:3],
    kind=PLAIN,
    hectares=np.array([_IN_LOSS, np.add(_IN_FOREST, _IN_BUFFER), _IN_NON_FOREST]),
)


def test_intervals_hold_in_95_of_100_samples_for_rare_loss_with_a_buffer() -> None:
    outcomes = {one.what: one for one in outcomes_of(RARE, 2400, DRAWS)}
    assert set(outcomes) == {*LOSS_CLASSES, OVERALL}
    for outcome in outcomes.values():
        assert LEAST <= outcome.held <= MOST
    assert as_table(list(outcomes.values()), [2400]).count("**") == 2 * len(outcomes)


def test_a_buffer_narrows_the_interval_of_loss_at_equal_size() -> None:
    with_buffer, without = (
        {one.what: one for one in outcomes_of(population, 1200, 200)}[LOSS]
        for population in (RARE, RARE_PLAIN)
    )
    assert sum(RARE.points(1200)) == sum(RARE_PLAIN.points(1200)) == 1200
    assert with_buffer.width < 0.7 * without.width
    assert with_buffer.held > without.held


def test_few_points_decide_where_a_rare_class_is_missed_far_from_where_it_is_found() -> None:
    """A stratum where one point in a thousand is lost: as many decide as are expected to be."""
    population = replace(
        RARE_PLAIN, hectares=np.array([[10.0, 0, 0], [10.0, 9990, 0], [0, 0, 1000.0]])
    )
    outcome = {one.what: one for one in outcomes_of(population, 2000, 50)}[LOSS]
    in_forest = population.points(2000)[1]
    assert deciding_points(outcome) == pytest.approx(in_forest / 1000, rel=0.01)


def test_a_population_is_what_the_map_and_the_truth_say_of_true_area() -> None:
    grid = Grid("EPSG:3857", Affine(10, 0, -8_800_000, 0, -10, 8_000_000), 3, 2)
    codes = np.array(
        [[rule.CONFIRMED, rule.FOREST, rule.FOREST], [rule.NOT_KNOWN, rule.FOREST, NODATA]],
        np.uint8,
    )
    truth = np.array([[0, 0, 1], [0, NODATA, 1]], np.uint8)
    found = population_of("a map", [(codes, truth, grid)] * 2, strata_of_loss(), LOSS_CLASSES)
    areas = interpolated_areas(grid, grid.whole) / SQUARE_METRES_A_HECTARE
    assert [stratum.name for stratum in found.strata] == [LOSS, FOREST]
    expected = [[areas[0, 0], 0, 0], [areas[0, 1], areas[0, 2], 0]]
    assert found.hectares == pytest.approx(2 * np.array(expected))
    assert found.truths() == {
        LOSS: pytest.approx(2 * (areas[0, 0] + areas[0, 1])),
        FOREST: pytest.approx(2 * areas[0, 2]),
        OVERALL: pytest.approx(2 / 3),
    }
