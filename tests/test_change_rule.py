"""The rule of forest loss: a month's evidence, and what becomes of a pixel."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from landcover.change.dates import date_of, day_of, months_before, period_of
from landcover.change.rule import (
    CONFIRMED,
    FOREST,
    NEVER,
    NON_FOREST,
    NOT_KNOWN,
    OUTSIDE,
    WARNING,
    ChangeSettings,
    State,
    log_odds,
    new_state,
    odds_on,
    probability,
    update,
    weights,
    what_classes_say,
)
from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.period import Period

NAMES = {0: "Forest", 1: "Non-Forest", 2: "Cloud", 4: "Water", 7: "Palma"}
SAYS = what_classes_say(NAMES, ["Forest"], ["Cloud", "Haze"])
SETTINGS = ChangeSettings()
START = Period(2024, 1)

# A month of one pixel: its class code and the confidence in percent.
F, N, CLOUD = (0, 90), (1, 90), (2, 90)
NOTHING = (NODATA, NODATA)

months = st.lists(
    st.tuples(st.sampled_from([*NAMES, NODATA]), st.one_of(st.integers(20, 100), st.just(NODATA))),
    max_size=24,
)


def later(count: int) -> Period:
    number = START.year * 12 + START.month - 1 + count
    return Period(number // 12, number % 12 + 1)


def pixel(*, baseline: bool | None = None) -> State:
    inside = np.ones((1, 1), bool)
    return new_state(inside, None if baseline is None else np.full((1, 1), baseline))


def after(
    series: Sequence[tuple[int, int]],
    state: State | None = None,
    first: int = 0,
    settings: ChangeSettings = SETTINGS,
) -> State:
    """Return what a pixel is after months; None in their place stands for a month without a map."""
    state = pixel(baseline=True) if state is None else state
    for number, month in enumerate(series, first):
        if month is not None:
            codes, confidence = (np.array([[value]], np.uint8) for value in month)
            state = update(state, codes, confidence, SAYS, later(number), settings)
    return state


def values(state: State) -> list[int]:
    return [int(part[0, 0]) for part in state]


def status(series: Sequence[tuple[int, int]], **kwargs: object) -> int:
    return values(after(series, **kwargs))[0]


def test_three_clear_months_are_as_sure_as_bayes_says() -> None:
    odds = [values(after([F, *[N] * count]))[1] for count in (1, 2, 3)]
    assert np.round(probability(np.array(odds)), 6).tolist() == [0.9, 0.987805, 0.998630]
    assert [status([F, *[N] * count]) for count in (1, 2, 3)] == [WARNING, WARNING, CONFIRMED]


def test_evidence_in_whole_units_adds_up_as_probabilities_multiply() -> None:
    chances = np.arange(50, 91) / 100
    for one in chances:
        for other in chances:
            summed = probability(log_odds(one) + log_odds(other))
            assert float(summed) == pytest.approx(odds_on(one, other), abs=6e-5)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([F], NOT_KNOWN),
        ([F, F], FOREST),
        ([F, N], NOT_KNOWN),
        ([F, N, N], NON_FOREST),
        ([F, CLOUD, NOTHING, F], FOREST),
        ([F, N, CLOUD, F], FOREST),
        ([F, N, F, F], FOREST),
        ([N, N, F, F, F], NON_FOREST),
        ([CLOUD] * 5, NOT_KNOWN),
        # One bad month is not a loss, and neither is one in a cloud.
        ([F, F, N], WARNING),
        ([F, F, CLOUD, CLOUD, CLOUD], FOREST),
        ([F, F, N, F, F], FOREST),
        ([F, F, N, N, CLOUD, N], CONFIRMED),
        # What is confirmed stays.
        ([F, F, N, N, N, F, F, F, F], CONFIRMED),
        # Months without a clear view are no evidence, but time goes on.
        ([F, F, N, *[CLOUD] * 5], WARNING),
        ([F, F, N, *[CLOUD] * 6], FOREST),
        ([F, F, N, *[CLOUD] * 4, N, N], CONFIRMED),
        # The month after its last one opens a new warning.
        ([F, F, N, *[CLOUD] * 6, N], WARNING),
        # Low confidence neither opens a warning nor says the contrary.
        ([F, F, (1, 50)], FOREST),
        ([F, F, (1, 35)], FOREST),
        ([F, F, (0, 35)], FOREST),
        ([F, F, (1, NODATA)], FOREST),
        ([F, F, (1, 51)], WARNING),
    ],
)  # fmt: skip
def test_what_a_pixel_is_after_months(series: list[tuple[int, int]], expected: int) -> None:
    assert status(series, state=pixel()) == expected


def test_a_baseline_says_what_was_forest() -> None:
    assert status([N], state=pixel(baseline=True)) == WARNING
    assert status([N] * 5, state=pixel(baseline=False)) == NON_FOREST
    assert values(after([CLOUD], pixel(baseline=True)))[4] == NEVER


def test_what_lies_outside_stays_outside() -> None:
    outside = new_state(np.zeros((1, 1), bool))
    assert values(after([F, F, N, N, N], outside)) == [OUTSIDE, 0, 0, 0, NEVER]


def test_a_warning_remembers_when_forest_was_last_seen() -> None:
    state = after([F, F, CLOUD, N, N])
    assert period_of(state.first[0, 0]) == later(3)
    assert period_of(state.forest_seen[0, 0]) == later(1)
    assert period_of(state.seen[0, 0]) == later(4)


@given(months)
@settings(max_examples=300, deadline=None)
def test_month_by_month_is_all_at_once(series: list[tuple[int, int]]) -> None:
    """Pixels of an array do not depend on one another, nor on where a run of months ended."""
    whole = values(after(series, pixel()))
    split = len(series) // 2
    before = after(series[:split], pixel())
    kept = State._make(np.frombuffer(part.tobytes(), part.dtype).reshape(1, 1) for part in before)
    assert values(after(series[split:], kept, first=split)) == whole


@given(months, st.integers(0, 23))
@settings(max_examples=300, deadline=None)
def test_a_month_without_a_map_is_a_month_not_seen(
    series: list[tuple[int, int]], place: int
) -> None:
    without = [*series[:place], None, *series[place:]]
    unclear = [*series[:place], NOTHING, *series[place:], CLOUD]
    assert values(after([*without, CLOUD], pixel())) == values(after(unclear, pixel()))


@given(months, st.sampled_from([CLOUD, NOTHING]))
@settings(max_examples=300, deadline=None)
def test_unclear_months_change_nothing_but_the_time(
    series: list[tuple[int, int]], unclear: tuple[int, int]
) -> None:
    before = after(series, pixel())
    now = after([unclear], before, first=len(series))
    over = months_before(later(len(series)), SETTINGS.within)
    if values(before)[0] == WARNING and values(before)[2] <= over:
        assert values(now) == [FOREST, 0, 0, 0, values(before)[4]]
    else:
        assert values(now) == values(before)


@given(st.permutations([(1, 90), (1, 70), (0, 60), (4, 80)]))
def test_the_order_of_the_months_of_a_warning_does_not_matter(
    series: list[tuple[int, int]],
) -> None:
    lasting = ChangeSettings(threshold=0.999)
    opened = after([(1, 90)], settings=lasting)
    state = after(series, opened, first=1, settings=lasting)
    expected = sum((1 if code else -1) * log_odds(chance / 100) for code, chance in series)
    assert values(state)[:2] == [WARNING, log_odds(0.9) + expected]


def test_pixels_do_not_depend_on_one_another() -> None:
    random = np.random.default_rng(3)
    codes = random.choice([*NAMES, NODATA], (12, 9, 7)).astype(np.uint8)
    confidence = random.integers(30, 101, codes.shape).astype(np.uint8)
    state = new_state(np.ones(codes.shape[1:], bool))
    for number in range(len(codes)):
        state = update(state, codes[number], confidence[number], SAYS, later(number), SETTINGS)
    for row, column in np.ndindex(codes.shape[1:]):
        series = list(zip(codes[:, row, column], confidence[:, row, column], strict=True))
        alone = after(series, pixel())
        assert [int(part[row, column]) for part in state] == values(alone)


def test_classes_are_known_in_any_spelling() -> None:
    says = what_classes_say(
        {0: "forest", 9: "Bosque seco", 3: "shadow"}, ["Bosque-Seco"], ["Shadow"]
    )
    assert says[[0, 9, 3, NODATA]].tolist() == [1, -1, 0, 0]


def test_a_map_without_forest_says_nothing_of_it() -> None:
    with pytest.raises(LandcoverError, match="has none of the classes Bosque, Manglar"):
        what_classes_say({1: "Non-Forest", 2: "Cloud"}, ["Bosque", "Manglar"], ["Cloud"])


def test_confidence_counts_for_no_more_than_the_clamp() -> None:
    said = weights(0.9)
    assert said[[0, 49, 50, 90, 100, NODATA]].tolist() == [0, 0, 0, 10_000, 10_000, 0]
    assert (np.diff(said[50:91].astype(int)) > 0).all()


@pytest.mark.parametrize("wrong", [{"clamp": 0.99}, {"threshold": 0.9}, {"prior": 0.95}])
def test_one_month_may_never_confirm(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="a single month could confirm a loss"):
        ChangeSettings(**wrong)


def test_days_are_those_of_global_forest_watch() -> None:
    assert day_of(Period(2025, 6)) == 3805
    assert str(date_of(1847)) == "2020-01-21"
    assert months_before(Period(2024, 3), 6) == day_of(Period(2023, 9))
    for period in (Period(2014, 12), Period(2042, 6)):
        with pytest.raises(LandcoverError, match="run from 2015-01 to 2042-05"):
            day_of(period)
    assert day_of(Period(2042, 5)) == 9983
