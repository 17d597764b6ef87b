"""The period that a run is for: a month."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date


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

    def previous(self) -> "Period":
        """Return the month before."""
        return Period(self.year - 1, 12) if self.month == 1 else Period(self.year, self.month - 1)
