"""What a benchmark says: rows of a table."""

from dataclasses import dataclass


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
