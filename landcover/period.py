"""The period that a run is for: a month; and the months that people write."""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd

from landcover.errors import LandcoverError
from landcover.text import clean

# fmt: off
MONTH_NAMES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
    "es": (
        "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
        "octubre", "noviembre", "diciembre",
    ),
}
# fmt: on


@dataclass(frozen=True, order=True)
class Period:
    """A month of imagery, its polygons, its model and its map; as text it is its label.

    >>> june = Period(2025, 6)
    >>> str(june), june.key, june.start, june.end
    ('2025-06', '202506', datetime.date(2025, 6, 1), datetime.date(2025, 6, 30))
    >>> Period(2025, 1).previous()
    Period(year=2024, month=12)
    """

    year: int
    """Such as 2025."""
    month: int
    """1 to 12."""

    def __str__(self) -> str:
        """Return the label."""
        return self.label

    @property
    def label(self) -> str:
        """What people and the polygons' month column call it, such as 2025-06."""
        return f"{self.year}-{self.month:02d}"

    @property
    def key(self) -> str:
        """What stands in the names of its files, such as 202506."""
        return f"{self.year}{self.month:02d}"

    @property
    def start(self) -> date:
        """Its first day."""
        return date(self.year, self.month, 1)

    @property
    def end(self) -> date:
        """Its last day."""
        return self.start.replace(day=monthrange(self.year, self.month)[1])

    @property
    def number(self) -> int:
        """Months since the year 0, so that the difference of two says how far they are apart."""
        return self.year * 12 + self.month - 1

    def previous(self) -> "Period":
        """Return the month before."""
        return Period(self.year - 1, 12) if self.month == 1 else Period(self.year, self.month - 1)


@dataclass(frozen=True, order=True)
class CalendarYear:
    """A year, whose maps are put together to one; as text it is its number.

    >>> year = CalendarYear(2024)
    >>> str(year), year.key, year.start, year.end, len(year.months)
    ('2024', '2024', datetime.date(2024, 1, 1), datetime.date(2024, 12, 31), 12)
    """

    year: int
    """Such as 2024."""

    def __str__(self) -> str:
        """Return its number."""
        return self.key

    @property
    def key(self) -> str:
        """What stands in the names of its files."""
        return f"{self.year}"

    @property
    def start(self) -> date:
        """Its first day."""
        return date(self.year, 1, 1)

    @property
    def end(self) -> date:
        """Its last day."""
        return date(self.year, 12, 31)

    @property
    def months(self) -> list[Period]:
        """Its months."""
        return months_between(Period(self.year, 1), Period(self.year, 12))


def month_or_year(year: int, month: int | None) -> Period | CalendarYear:
    """Return a month; the year where none is named.

    >>> str(month_or_year(2025, 6)), str(month_or_year(2025, None))
    ('2025-06', '2025')
    """
    return CalendarYear(year) if month is None else Period(year, month)


def months_between(first: Period, last: Period) -> list[Period]:
    """Return the months from one to another, both included.

    >>> [str(month) for month in months_between(Period(2024, 12), Period(2025, 2))]
    ['2024-12', '2025-01', '2025-02']
    """
    numbers = range(first.number, last.number + 1)
    return [Period(number // 12, number % 12 + 1) for number in numbers]


# A year that a month can be of; a number that begins otherwise is not one.
YEARS = range(1900, 2200)

# September has a second name in Spanish.
_OTHER_NAMES = {"setiembre": 9}

# Names are abbreviated to so many letters or more.
_SHORTEST = 3

# What may stand between the parts of a date in words, in English and Spanish.
_PARTICLES = {"de", "del", "of", "the"}

_TIME = re.compile(
    r"(?P<date>.*\d)(?:T\d{4,6}|(?:T|,?\s+)\d{1,2}:\d{2}(?::\d{2})?)(?:[.,]\d+)?"
    r"(?:\s*[ap]\.?\s?m\.?)?(?:\s*(?:Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?",
    re.IGNORECASE,
)
_SEPARATOR = r"\s*[-/. _]\s*"
_YEAR_FIRST = re.compile(rf"(\d{{4}}){_SEPARATOR}(\d{{1,2}})(?:{_SEPARATOR}(\d{{1,2}}))?")
_YEAR_LAST = re.compile(rf"(?:(\d{{1,2}}){_SEPARATOR})?(\d{{1,2}}){_SEPARATOR}(\d{{4}})")
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})?")


def months_of(values: Iterable[object], where: str) -> list[Period | None]:
    """Return the month of each value of a column, in the ways in which people write months.

    Dates and date-times, `2025-06`, `06/2025`, `202506`, `15/06/2025`, `June 2025`, `15 de junio de
    2025` and the like. A time zone does not change the date that is written.

    Args:
        values: of the column; those that are missing or blank are of no month.
        where: the column and its file or table, for messages.

    Raises:
        LandcoverError: if a value is not a month, or may be either of two.
    """
    return [None if _is_blank(value) else _month_of(value, where) for value in values]


def _month_of(value: object, where: str) -> Period:
    try:
        return read_month(value)
    except ValueError as error:
        raise LandcoverError(
            f"{where} holds {str(value)!r}, which {error}: write months like 2025-06, or dates "
            "like 2025-06-15."
        ) from error


def read_month(value: object) -> Period:
    """Return the month that a value says.

    >>> str(read_month("junio de 2025")), str(read_month(202506)), str(read_month("15/06/2025"))
    ('2025-06', '2025-06', '2025-06')

    Args:
        value: text, a number, or a date.

    Raises:
        ValueError: if it is not a month, or may be either of two; its text goes on after "which".
    """
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, date | pd.Period):
        return Period(value.year, value.month)
    if isinstance(value, float | np.floating):
        return _of_text(np.format_float_positional(value, trim="-"))
    if isinstance(value, int | np.integer | Decimal | str) and not isinstance(value, bool):
        return _of_text(clean(str(value)).strip("\"'"))
    raise ValueError("is not a month")


def _is_blank(value: object) -> bool:
    if isinstance(value, str):
        return clean(value) == ""
    # What is missing is unequal to itself, as NaN and NaT are, or None, or NA.
    return value is None or value is pd.NA or (pd.api.types.is_scalar(value) and value != value)


def _of_text(text: str) -> Period:
    timed = _TIME.fullmatch(text)
    text = timed["date"] if timed else text
    if re.fullmatch(r"\d{4}\.1", text):
        raise ValueError("may be January or October, because a number drops its last 0")
    found = _DIGITS.fullmatch(text) or _YEAR_FIRST.fullmatch(text)
    if found:
        return _of_year_first(*found.groups())
    found = _YEAR_LAST.fullmatch(text)
    return _of_year_last(*found.groups()) if found else _of_words(text)


def _of_year_first(year: str, month: str, day: str | None) -> Period:
    return _checked(int(year), int(month), int(day or 1))


def _of_year_last(first: str | None, second: str, year: str) -> Period:
    if first is None:
        return _checked(int(year), int(second), 1)
    one, two = int(first), int(second)
    if max(one, two) > 12:
        return _checked(int(year), min(one, two), max(one, two))
    if one != two:
        raise ValueError("may be day/month or month/day")
    return _checked(int(year), one, two)


def _of_words(text: str) -> Period:
    """Read a month by its name: `Jun-25`, `15 June 2025`, `junio de 2025`."""
    parts = re.findall(r"[^\W\d_]+|\d+(?:st|nd|rd|th|º|°)?\b|\d+", text.casefold())
    parts = [part for part in parts if part not in _PARTICLES]
    words = [part for part in parts if not part[0].isdigit()]
    numbers = [re.sub(r"\D", "", part) for part in parts if part[0].isdigit()]
    if len(words) != 1:
        raise ValueError("is not a month")
    month = _named(words[0])
    years = [number for number in numbers if len(number) == 4]
    days = [number for number in numbers if len(number) <= 2]
    if len(years) == 1 and len(days) <= 1 and len(numbers) == len(years) + len(days):
        return _checked(int(years[0]), month, int(days[0]) if days else 1)
    # Jun-25, as spreadsheets write June 2025; 25-Jun is a day without a year.
    if not years and len(numbers) == 1 and parts[-1] == numbers[0] and len(numbers[0]) == 2:
        return _checked(2000 + int(numbers[0]), month, 1)
    raise ValueError("is not a month of a year")


def _named(word: str) -> int:
    plain = unicodedata.normalize("NFC", word)
    names = {
        name.casefold(): month
        for names in MONTH_NAMES.values()
        for month, name in enumerate(names, 1)
    } | _OTHER_NAMES
    found = {month for name, month in names.items() if name.startswith(plain)}
    if len(plain) < _SHORTEST or len(found) != 1:
        raise ValueError("is not a month")
    return found.pop()


def _checked(year: int, month: int, day: int) -> Period:
    try:
        found = date(year, month, day)
    except ValueError:
        raise ValueError("is not a date") from None
    if year not in YEARS:
        raise ValueError("is not a month")
    return Period(found.year, found.month)
