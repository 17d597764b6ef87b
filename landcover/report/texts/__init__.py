"""What the report says, a module for each of its languages."""

from collections.abc import Mapping
from dataclasses import dataclass

# Neither a line nor a cell may break within a number and its unit.
NARROW, FIXED = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Texts:
    """What a language says, and how it writes numbers; all languages have the same keys."""

    months: tuple[str, ...]

    class_names: Mapping[str, str]
    """Of the fixed classes; others are shown as they were drawn."""

    terms: Mapping[str, str]
    """The names of what made a map (see `landcover.report.page.Report.provenance`); other names are
    shown as they are."""

    texts: Mapping[str, str]
    """Sentences and labels by key, with placeholders for values."""

    thousands: str
    decimal_mark: str
    percent_sign: str
