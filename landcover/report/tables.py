"""The report's tables: numbers turned into the rows of text that its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from landcover.imagery.coverage import Coverage
from landcover.model.metrics import ClassMetrics, Estimate, Suspect
from landcover.report.wording import NONE, Wording

# At most this many suspected polygons are listed; the metrics hold all.
LISTED = 40

# The tints of cells of the confusion matrix that hold the whole of their row.
RIGHT, WRONG = (11, 102, 62), (178, 58, 42)
WHITE = (255, 255, 255)

# A cell with a larger share of its row is too dark for dark letters.
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
    """Something known about how the map was made: a text, or further facts, under a name."""

    name: str
    text: str = ""
    facts: tuple["Fact", ...] = ()


def hectares_rows(
    hectares: Mapping[str, float], colours: Mapping[str, str], wording: Wording
) -> list[ClassRow]:
    """Return a row for each class: hectares, and share of the total."""
    total = sum(hectares.values()) or 1
    return [
        ClassRow(
            colours[name],
            wording.class_name(name),
            (wording.hectares(area), wording.percent(area / total)),
        )
        for name, area in hectares.items()
    ]


def gap_rows(coverage: Coverage, wording: Wording) -> list[tuple[str, str]]:
    """Return name and hectares of each part without imagery, the largest first."""
    ordered = sorted(coverage.gaps, key=lambda gap: -gap.hectares)
    rows = [
        (wording.say("outside", name=gap.name) if gap.outside else gap.name, gap.hectares)
        for gap in ordered
    ]
    if coverage.more_missing:
        others = coverage.uncovered - sum(gap.hectares for gap in ordered)
        rows.append((wording.say("more", count=wording.number(coverage.more_missing)), others))
    return [(name, wording.hectares(max(0.0, area))) for name, area in rows]


def accuracy_rows(
    classes: Mapping[str, ClassMetrics], colours: Mapping[str, str], wording: Wording
) -> list[ClassRow]:
    """Return a row for each class: precision, recall and F1, numbers of pixels and polygons."""
    return [
        ClassRow(
            colours[name],
            wording.class_name(name),
            (
                *(_percentage(found, wording) for found in line.measures.values()),
                wording.number(line.pixels),
                wording.number(line.polygons),
            ),
        )
        for name, line in classes.items()
    ]


def _percentage(found: Estimate, wording: Wording) -> str:
    """Return a value and its standard error, both in percent."""
    if found.value is None:
        return NONE
    shown, error = wording.points(found.value), found.standard_error
    return shown if error is None else f"{shown} ± {wording.points(error)}"


def confusion_rows(
    matrix: Mapping[str, Mapping[str, int]], wording: Wording
) -> list[tuple[str, list[Cell]]]:
    """Return each true class and its cells, one for each mapped class."""
    rows = []
    for true, counts in matrix.items():
        total = sum(counts.values()) or 1
        cells = [
            tinted_cell(wording.number(count), count / total, right=mapped == true)
            for mapped, count in counts.items()
        ]
        rows.append((wording.class_name(true), cells))
    return rows


def tinted_cell(text: str, share: float, *, right: bool) -> Cell:
    """Return a cell of a matrix.

    Args:
        text: that stands in it.
        share: of its row, 0 to 1, which it is tinted by.
        right: whether it is one of agreement.
    """
    tint = RIGHT if right else WRONG
    mixed = (round(pale + share * (full - pale)) for pale, full in zip(WHITE, tint, strict=True))
    return Cell(text, "#{:02x}{:02x}{:02x}".format(*mixed), share > DARK)


def mislabel_rows(suspects: Sequence[Suspect], wording: Wording) -> list[tuple[str, ...]]:
    """Return a row for each suspected polygon, at most `LISTED`."""
    return [
        (
            str(suspect.polygon_id),
            wording.class_name(suspect.class_label),
            wording.class_name(suspect.predicted_label),
            wording.percent(suspect.predicted_share, 0),
            wording.number(suspect.pixels),
        )
        for suspect in suspects[:LISTED]
    ]


def provenance_rows(provenance: Mapping[str, object], wording: Wording) -> list[Fact]:
    """Return the names and texts of nested mappings; lists are joined by commas."""
    return [_fact(str(name), value, wording) for name, value in provenance.items()]


def _fact(name: str, value: object, wording: Wording) -> Fact:
    term = wording.term(name)
    if isinstance(value, Mapping) and value:
        return Fact(term, facts=tuple(provenance_rows(value, wording)))
    if isinstance(value, (list, tuple, set, frozenset)):
        return Fact(term, ", ".join(map(str, value)) or NONE)
    return Fact(term, NONE if value is None or value in ({}, "") else str(value))
