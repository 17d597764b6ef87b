"""The report's tables: numbers as the rows of text that its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from landcover.imagery.coverage import Gap
from landcover.model.validation import BY_CLASS
from landcover.report.wording import NONE, Wording

# So many suspected polygons are listed; the metrics hold all.
LISTED = 40

# What cells of the confusion matrix are tinted with, at the whole of their row.
RIGHT, WRONG = (11, 102, 62), (178, 58, 42)
WHITE = (255, 255, 255)

# From this share on a cell is too dark for dark letters.
DARK = 0.55


@dataclass(frozen=True)
class ClassRow:
    """A row of a table of classes: colour, name, and the cells after them."""

    colour: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: its number, its tint, and whether that is dark."""

    text: str
    colour: str
    dark: bool


@dataclass(frozen=True)
class Fact:
    """What is known of how the map was made: text, or more facts beneath a name."""

    name: str
    text: str = ""
    facts: tuple["Fact", ...] = ()


def hectares_rows(
    hectares: Mapping[str, float], colours: Mapping[str, str], wording: Wording
) -> list[ClassRow]:
    """Return a row a class: hectares, and share of the total."""
    total = sum(hectares.values()) or 1
    return [
        ClassRow(
            colours[name],
            wording.class_name(name),
            (wording.hectares(area), wording.percent(area / total)),
        )
        for name, area in hectares.items()
    ]


def gap_rows(gaps: Sequence[Gap], wording: Wording) -> list[tuple[str, str]]:
    """Return name and hectares of each part without imagery, the largest first."""
    ordered = sorted(gaps, key=lambda gap: -gap.hectares)
    return [(gap.name, wording.hectares(gap.hectares)) for gap in ordered]


def accuracy_rows(
    classes: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str], wording: Wording
) -> list[ClassRow]:
    """Return a row a class: precision, recall and F1, numbers of pixels and polygons."""
    return [
        ClassRow(
            colours[name],
            wording.class_name(name),
            (
                *(_percentage(line, measure, wording) for measure in BY_CLASS),
                wording.number(line["pixels"]),
                wording.number(line["polygons"]),
            ),
        )
        for name, line in classes.items()
    ]


def _percentage(line: Mapping[str, Any], measure: str, wording: Wording) -> str:
    """Return a value and its standard error, both in percent."""
    value, error = line[measure], line[f"{measure}_se"]
    if value is None:
        return NONE
    shown = wording.points(value)
    return shown if error is None else f"{shown} ± {wording.points(error)}"


def confusion_rows(
    matrix: Mapping[str, Mapping[str, int]], wording: Wording
) -> list[tuple[str, list[Cell]]]:
    """Return each true class and its cells, a cell a mapped class."""
    rows = []
    for known, counts in matrix.items():
        total = sum(counts.values()) or 1
        cells = [
            _cell(count, count / total, wording, right=found == known)
            for found, count in counts.items()
        ]
        rows.append((wording.class_name(known), cells))
    return rows


def _cell(count: int, share: float, wording: Wording, *, right: bool) -> Cell:
    tint = RIGHT if right else WRONG
    mixed = (round(pale + share * (full - pale)) for pale, full in zip(WHITE, tint, strict=True))
    return Cell(wording.number(count), "#{:02x}{:02x}{:02x}".format(*mixed), share > DARK)


def mislabel_rows(
    suspected: Sequence[Mapping[str, Any]], wording: Wording
) -> list[tuple[str, ...]]:
    """Return a row a suspected polygon, `LISTED` at most."""
    return [
        (
            str(line["polygon_id"]),
            wording.class_name(line["class_label"]),
            wording.class_name(line["predicted_label"]),
            wording.percent(line["predicted_share"], 0),
            wording.number(line["pixels"]),
        )
        for line in suspected[:LISTED]
    ]


def provenance_rows(provenance: Mapping[str, object], wording: Wording) -> list[Fact]:
    """Return names and texts of nested mappings; lists are joined by commas."""
    return [_fact(str(name), value, wording) for name, value in provenance.items()]


def _fact(name: str, value: object, wording: Wording) -> Fact:
    term = wording.term(name)
    if isinstance(value, Mapping) and value:
        return Fact(term, facts=tuple(provenance_rows(value, wording)))
    if isinstance(value, (list, tuple, set, frozenset)):
        return Fact(term, ", ".join(map(str, value)) or NONE)
    return Fact(term, NONE if value is None or value in ({}, "") else str(value))
