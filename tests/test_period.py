"""A period: its names, its days, and the one before."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landcover.errors import LandcoverError
from landcover.period import MONTH_NAMES, Period, months_of, read_month

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


# --- as people write months -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        date(2025, 6, 30),
        datetime.fromisoformat("2025-06-30T23:59"),
        pd.Timestamp("2025-06-30T23:00-05:00"),
        np.datetime64("2025-06-11"),
        pd.Period("2025-06"),
        202506,
        202506.0,
        np.int64(202506),
        Decimal("202506.00"),
        20250615,
        2025.06,
        *("2025-06", "2025-6", "2025/06", "2025.06", "2025_06", " 2025-06\u00a0", "'2025-06"),
        *("06/2025", "6/2025", "06-2025", "202506", "202506.0", "20250615"),
        *("2025-06-15", "2025/06/15", "15/06/2025", "06/15/2025", "15.06.2025", "06/06/2025"),
        *("2025-06-15T12:00:00Z", "2025-06-15 12:00:00.25+00", "20250615T101500"),
        *("15/06/2025 12:00", "6/15/2025 3:00:00 PM", "2025/06/15 12:00:00+00"),
        *("June 2025", "june, 2025", "JUN 2025", "jun. 2025", "Jun-25", "June2025", "2025 June"),
        *("15 June 2025", "June 15, 2025", "15th June 2025", "15-Jun-2025", "2025-Jun-15"),
        *("junio 2025", "junio de 2025", "Junio del 2025", "15 de junio de 2025"),
    ],
)
def test_june_is_read_however_it_is_written(value: object) -> None:
    assert read_month(value) == Period(2025, 6)


@given(MONTHS, st.sampled_from(sorted(MONTH_NAMES)), st.integers(3, 12))
def test_every_month_is_read_by_its_name_or_the_beginning_of_it(
    month: Period, language: str, letters: int
) -> None:
    name = MONTH_NAMES[language][month.month - 1]
    assert read_month(f"{name[:letters].upper()} {month.year}") == month


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("05/06/2025", "may be day/month or month/day"),
        ("2025.1", "may be January or October"),
        (2025.1, "may be January or October"),
        *((value, "is not a date") for value in ("2025-13", "31/06/2025", "June 31 2025")),
        *((value, "is not a month") for value in ("2025", "25-06", "foo", "ma 2025", "n/a")),
        *(
            (value, "is not a month")
            for value in (True, 6, 45823, float("inf"), "1025-06", b"2025")
        ),
        *((value, "is not a month of a year") for value in ("June", "25-Jun")),
        ("2025-06 to 2025-07", "is not a month"),
        ([2025, 6], "is not a month"),
    ],
)
def test_what_is_not_one_month_ends_the_run_with_the_value_and_an_example(
    value: object, why: str
) -> None:
    with pytest.raises(LandcoverError) as caught:
        months_of([value], "The column month of drawn.gpkg")
    assert f"The column month of drawn.gpkg holds {str(value)!r}, which {why}" in str(caught.value)
    assert "write months like 2025-06" in str(caught.value)


@pytest.mark.parametrize("blank", [None, "", " ", "\u00a0", float("nan"), pd.NA, pd.NaT])
def test_what_says_nothing_is_of_no_month(blank: object) -> None:
    assert months_of([blank, "2025-06"], "The column month") == [None, Period(2025, 6)]
