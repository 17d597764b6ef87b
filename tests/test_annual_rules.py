"""The rules of annual maps: what they make of the months of one pixel."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from landcover.change.annual import (
    LEAST,
    AnnualSettings,
    Rule,
    annual_classes,
    count_clear,
)
from landcover.change.rule import FOREST, NON_FOREST, SAYS_FOREST, SAYS_NON_FOREST, UNCLEAR
from landcover.classes import NODATA

RULES: tuple[Rule, ...] = get_args(Rule)

SAYS = {"F": SAYS_FOREST, "N": SAYS_NON_FOREST, "-": UNCLEAR}

CONFIDENCES = st.one_of(st.integers(0, 100), st.just(NODATA))


def by_rule(rule: Rule, series: str, confidence: list[int] | None = None) -> int:
    """The class of a pixel; the last month of the series is December."""
    said = np.array([[SAYS[month]] for month in series], np.int8)
    months = range(13 - len(series), 13)
    sure = np.array(confidence or [90] * len(series), np.uint8)[:, np.newaxis]
    (found,) = annual_classes(said, months, AnnualSettings(rule=rule), sure)
    return int(found)


@pytest.mark.parametrize(
    ("series", "expected", "rules"),
    [
        ("-" * 12, NODATA, RULES),
        ("-" * 11 + "N", NODATA, [rule for rule in RULES if rule != "latest"]),
        ("F" + "-" * 11, NODATA, [rule for rule in RULES if rule != "latest"]),
        ("N" + "-" * 11, NON_FOREST, ["latest"]),
        ("-" * 11 + "F", FOREST, ["latest"]),
        ("FFNF", FOREST, RULES),
        ("F" * 8 + "NF", FOREST, RULES),
        ("FFFNNN", NON_FOREST, [*("trend", "change_point", "latest", "hmm"), "majority"]),
        ("NNFF", FOREST, ["trend", "latest", "majority"]),
        # A tie goes to the later half and, where that is one too, to its later half.
        ("FNNF", FOREST, ["majority"]),
        # What is odd at the end is unlike both of the two before it.
        ("FFFN", FOREST, ["trend"]),
        ("FNNF", NON_FOREST, ["trend"]),
        ("NFNF", FOREST, ["trend"]),
        ("F-N", NODATA, ["trend"]),
        # One month after a change is too few, and so are shares that agree too little.
        ("FFFFN", FOREST, ["change_point"]),
        ("FFFNFNN", NON_FOREST, ["change_point"]),
        ("FFN", NODATA, ["change_point"]),
        # Twelve months before, a month counts for 1/37.
        ("FFFFF-----N", NON_FOREST, ["weighted"]),
        ("FF--------NN", NON_FOREST, ["hmm"]),
    ],
)
def test_each_series_gets_what_its_rule_says(series, expected, rules) -> None:
    assert {rule: by_rule(rule, series) for rule in rules} == dict.fromkeys(rules, expected)


@given(
    rule=st.sampled_from(RULES),
    months=st.lists(st.tuples(st.sampled_from("FN-"), CONFIDENCES), min_size=1, max_size=12),
)
@settings(deadline=None)
def test_no_rule_gives_a_class_to_land_that_was_not_seen_often_enough(rule, months) -> None:
    series = "".join(said for said, _ in months)
    found = by_rule(rule, series, [sure for _, sure in months])
    seen = series.replace("-", "")
    assert (found == NODATA) == (len(seen) < LEAST[rule])
    # Nor one that no month said.
    if found != NODATA:
        assert "NF"[found] in seen


@given(
    rule=st.sampled_from(["trend", "hmm"]),
    place=st.integers(0, 8),
    gaps=st.lists(st.integers(0, 8), max_size=3),
    confidence=st.lists(CONFIDENCES, min_size=12, max_size=12),
    odd=st.sampled_from("FN"),
)
@settings(deadline=None)
def test_one_odd_month_among_many_changes_neither_trend_nor_hmm(
    rule, place, gaps, confidence, odd
) -> None:
    usual = "F" if odd == "N" else "N"
    months = [usual] * 9
    months[place] = odd
    for gap in gaps:
        months.insert(gap, "-")
    expected = FOREST if usual == "F" else NON_FOREST
    assert by_rule(rule, "".join(months), confidence[: len(months)]) == expected


def test_a_month_that_says_little_is_outweighed_by_one_that_is_sure() -> None:
    assert by_rule("hmm", "FFNN", [55, 55, 95, 95]) == NON_FOREST
    assert by_rule("hmm", "FFNN", [95, 95, 55, 55]) == FOREST


def test_clear_months_are_counted() -> None:
    said = np.array([[-1, 0], [0, 0], [1, 0]], np.int8)
    assert count_clear(said).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"loss": 0.2}, "a single month could outweigh all others of a year"),
        ({"least_said": 0.8, "most_said": 0.7}, "the least that a month may say is more than"),
    ],
)
def test_parameters_that_let_one_month_decide_are_refused(values, told) -> None:
    with pytest.raises(ValidationError, match=told):
        AnnualSettings(**values)
