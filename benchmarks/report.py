"""What a benchmark says: rows of a table."""

from dataclasses import dataclass
from pathlib import Path

# Where figures are drawn, and where all that is measured on goes while it is.
FOLDER = Path("data/benchmarks")

# Prefect reports to nobody.
UNTOLD = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


@dataclass(frozen=True)
class Figure:
    """One measured ratio or quantity.

    Attributes:
        what: what was measured, against what.
        found: the figure.
        wanted: what it must reach; empty where it is for information only.
    """

    what: str
    found: str
    wanted: str = ""


def as_table(figures: list[Figure]) -> str:
    """Return figures as a Markdown table."""
    rows = [f"| {figure.what} | {figure.found} | {figure.wanted} |" for figure in figures]
    return "\n".join(["| what | found | wanted |", "| --- | --- | --- |", *rows])


def found_of(what: str, figures: list[Figure]) -> float:
    """Return what figures say of something.

    Args:
        what: the words of its row.
        figures: one of which is a plain number for it.
    """
    found = {figure.what: figure.found for figure in figures}
    return float(found[what])
