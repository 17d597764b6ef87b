"""The history of a record: which records stand, and why others do not."""

import pytest
from upath import UPath

from landcover.change.history import (
    MappedMonth,
    MonthOfRecord,
    missing_between,
    standing_records,
    why_stale,
)
from landcover.period import Period

WITH = {"threshold": 0.99, "forest_classes": ["Forest"]}
JANUARY, FEBRUARY, MARCH, APRIL = (Period(2024, month) for month in range(1, 5))


def mapped(*months: Period, **digests: str) -> list[MappedMonth]:
    return [
        MappedMonth(month, UPath(f"{month}.tif"), digests.get(f"m{month.month}", f"of {month}"))
        for month in months
    ]


def record(*months: Period) -> MonthOfRecord:
    rests_on = {str(month): f"of {month}" for month in months}
    return MonthOfRecord(months[-1], UPath("maps"), rests_on, WITH, {}, ())


@pytest.mark.parametrize(
    ("maps", "made_with", "why"),
    [
        (mapped(JANUARY, FEBRUARY, MARCH, APRIL), WITH, None),
        (mapped(JANUARY, FEBRUARY, MARCH, m2="another"), WITH, "2024-02 was mapped again"),
        (mapped(JANUARY, MARCH), WITH, "it rests on a map of 2024-02, which is not there"),
        (mapped(Period(2023, 12), JANUARY, FEBRUARY, MARCH), WITH, "2023-12 was mapped since"),
        (
            mapped(JANUARY, FEBRUARY, MARCH),
            WITH | {"threshold": 0.95},
            "it was made with other settings (threshold)",
        ),
    ],
)
def test_a_record_stands_while_its_maps_and_settings_are_what_they_were(maps, made_with, why):
    found = why_stale(record(JANUARY, FEBRUARY, MARCH), maps, made_with)
    assert found == why if why is None else str(found).startswith(why)


def test_the_newest_record_that_stands_comes_first():
    records = [record(JANUARY), record(JANUARY, FEBRUARY, MARCH), record(JANUARY, FEBRUARY)]
    maps = mapped(JANUARY, FEBRUARY, MARCH, m3="another")
    standing = standing_records(maps, records, WITH)
    assert [found.period for found in standing] == [FEBRUARY, JANUARY]


def test_months_without_a_map_are_those_between():
    assert missing_between(mapped(JANUARY, APRIL)) == [FEBRUARY, MARCH]
    assert missing_between(mapped(APRIL)) == []
