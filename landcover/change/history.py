"""The history of a record: the maps that it rests on, and where it can be taken up again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from upath import UPath

from landcover.files import file_name
from landcover.period import Period, months_between


@dataclass(frozen=True)
class MappedMonth:
    """A month's map, as its row tells."""

    period: Period
    """The month."""
    classes: UPath
    """The map of class codes."""
    sha256: str
    """Of that file."""
    mosaic: str | None = None
    """Where its imagery was found."""
    warnings: int = 0
    """How many things were probably wrong with it."""

    @property
    def confidence(self) -> UPath:
        """The map of confidence, beside that of class codes."""
        return self.classes.with_name(file_name("confidence", self.period))


@dataclass(frozen=True)
class MonthOfRecord:
    """A record up to a month, as its row tells."""

    period: Period
    """The month."""
    folder: UPath
    """Where its files are."""
    rests_on: Mapping[str, str]
    """The SHA-256 of the map of each of its months, by the month."""
    made_with: Mapping[str, Any]
    """All else that it depends on."""
    sha256: Mapping[str, str]
    """Of each of its files that the next month is made from, by the key of the file's name."""
    rejected: tuple[str, ...]
    """The ids of the alerts that people had rejected when it was made."""

    def path(self, name: str) -> UPath:
        """Return where one of its files is.

        Args:
            name: of the file, as `landcover.files.NAMES` calls it.
        """
        return self.folder / file_name(name, self.period)


def standing_records(
    maps: Sequence[MappedMonth],
    records: Sequence[MonthOfRecord],
    made_with: Mapping[str, Any],
) -> list[MonthOfRecord]:
    """Return those records that rest on the maps that are there now, the newest first.

    Args:
        maps: from the first month of the record on.
        records: of any months.
        made_with: all else that a record depends on, as it is now.
    """
    standing = [record for record in records if not why_stale(record, maps, made_with)]
    return sorted(standing, key=lambda record: record.period, reverse=True)


def why_stale(
    record: MonthOfRecord, maps: Sequence[MappedMonth], made_with: Mapping[str, Any]
) -> str | None:
    """Say why a record cannot be taken up; None where it can.

    Args:
        record: up to some month.
        maps: from the first month of the record on.
        made_with: all else that a record depends on, as it is now.
    """
    now = {str(month.period): month.sha256 for month in maps if month.period <= record.period}
    changed = sorted(
        name
        for name in made_with.keys() | record.made_with.keys()
        if made_with.get(name) != record.made_with.get(name)
    )
    if changed:
        return f"it was made with other settings ({', '.join(changed)})"
    for month in sorted(now.keys() | record.rests_on.keys()):
        if month not in now:
            return f"it rests on a map of {month}, which is not there or comes before its beginning"
        if month not in record.rests_on:
            return f"{month} was mapped since"
        if now[month] != record.rests_on[month]:
            return f"{month} was mapped again"
    return None


def missing_between(maps: Sequence[MappedMonth]) -> list[Period]:
    """Return the months without a map, from the first that has one to the last.

    Args:
        maps: at least one, in the order of their months.
    """
    there = {month.period for month in maps}
    between = months_between(maps[0].period, maps[-1].period)
    return [period for period in between if period not in there]
