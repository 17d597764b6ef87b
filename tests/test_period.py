"""A period: its names, its days, and the one before."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landcover.period import Period

MONTHS = st.builds(Period, st.integers(1972, 2100), st.integers(1, 12))


@pytest.mark.parametrize(("year", "days"), [(2024, 29), (2025, 28), (2000, 29), (2100, 28)])
def test_a_february_ends_on_its_last_day(year: int, days: int) -> None:
    assert Period(year, 2).end == date(year, 2, days)


@given(MONTHS)
def test_the_month_before_ends_the_day_before(month: Period) -> None:
    assert month.previous().end + timedelta(days=1) == month.start
    assert month.previous() < month


@given(MONTHS, MONTHS)
def test_labels_and_keys_sort_as_periods_do(one: Period, other: Period) -> None:
    assert (one < other) == (one.label < other.label) == (one.key < other.key)
