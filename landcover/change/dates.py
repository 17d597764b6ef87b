"""Dates in rasters: days as Global Forest Watch counts them, and its `date_conf`.

A value of `date_conf` is 20,000 for a warning or 30,000 for confirmed loss, and the days since
2014-12-31; 0 is no alert. A month's day is its first.
"""

from datetime import date, timedelta

from landcover.errors import LandcoverError
from landcover.period import Period

# Day 1 is 2015-01-01.
DAY_ZERO = date(2014, 12, 31)
FIRST = Period(2015, 1)

# Four digits of `date_conf` are for days.
DATES = 10_000
LAST_DAY = DATES - 1


def day_of(period: Period) -> int:
    """Return the day that stands for a month.

    >>> day_of(Period(2015, 1)), day_of(Period(2025, 6))
    (1, 3805)

    Args:
        period: the month.

    Raises:
        LandcoverError: if it is one that `date_conf` cannot hold.
    """
    day = (period.start - DAY_ZERO).days
    if not 0 < day < DATES:
        raise LandcoverError(
            f"{period} cannot be in the record of deforestation, whose dates (those of Global "
            "Forest Watch) run from 2015-01 to 2042-05: begin it later (--since), or map a month "
            "of these years."
        )
    return day


def date_of(day: int) -> date:
    """Return the date of a day.

    >>> date_of(55), date_of(1847)
    (datetime.date(2015, 2, 24), datetime.date(2020, 1, 21))

    Args:
        day: as `day_of` returns it.
    """
    return DAY_ZERO + timedelta(days=int(day))


def period_of(day: int) -> Period:
    """Return the month that a day lies in.

    Args:
        day: as `day_of` returns it.
    """
    found = date_of(day)
    return Period(found.year, found.month)


def months_before(period: Period, months: int) -> int:
    """Return the day that stands for the month so many months earlier, also where it is before 1.

    >>> months_before(Period(2015, 3), 2), months_before(Period(2015, 1), 6)
    (1, -183)

    Args:
        period: the month.
        months: how many.
    """
    number = period.year * 12 + period.month - 1 - months
    return (date(number // 12, number % 12 + 1, 1) - DAY_ZERO).days
