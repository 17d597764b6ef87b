"""The page about a map that is held against another: where they differ, and how right both are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shapely.geometry.base import BaseGeometry

from landcover.accuracy.areas import Areas
from landcover.accuracy.comparison import (
    BOTH,
    CODES,
    LEGEND,
    NAMES,
    NEITHER,
    ONLY_OURS,
    ONLY_THEIRS,
    Comparison,
)
from landcover.accuracy.estimates import Estimate
from landcover.accuracy.other_map import FOREST, NON_FOREST, UNKNOWN, OtherMap
from landcover.classes import css
from landcover.notices import Notice
from landcover.period import Period, read_month
from landcover.report.cartography import Frame, frame_around
from landcover.report.maps import code_map
from landcover.report.page import template
from landcover.report.pictures import Picture, map_as_picture
from landcover.report.tables import Cell, ClassRow, provenance_rows, tinted_cell
from landcover.report.wording import NONE, Language, Wording

# In the order of the table: forest first.
STATES = (FOREST, NON_FOREST, UNKNOWN)
CODES_SHOWN = (BOTH, ONLY_OURS, ONLY_THEIRS, NEITHER)

# Texts for classes, and for the maps that are judged.
CLASSES = {NAMES[FOREST]: "compare_forest", NAMES[NON_FOREST]: "compare_non_forest"}
MAPS = {"this_map": "compare_this", "other_map": "compare_other"}

# Hectares of no state are written without a tint.
PLAIN = "#ffffff"

# A share below 1, as it is written: 99.9 %.
MOST = 0.9994


@dataclass(frozen=True)
class ComparisonPage:
    """All that goes into the page."""

    label: str
    """The period of the map, such as 2025-06 or 2024."""
    month: Period | None
    """The month of the map; None where it is of a year."""
    result: Comparison
    other: OtherMap
    metres: float
    """The side of a pixel of this map."""
    map: str
    """The raster of the comparison, as GDAL opens it."""
    crs: str
    """Its CRS, as WKT."""
    area: BaseGeometry
    """The area of interest, in that CRS."""
    judged: Mapping[str, Areas]
    """The accuracy of `this_map` and `other_map`; none where no labels were taken in."""
    sample: str | None
    """The month of the sample that they were judged by."""
    unjudged: str | None
    """Why they could not be, though there is a sample."""
    warnings: Sequence[Notice]
    """What is probably wrong."""
    provenance: Mapping[str, object]
    """What made the comparison."""

    @property
    def frame(self) -> Frame:
        """Of the map."""
        return frame_around(self.area, self.crs)


@dataclass(frozen=True)
class Number:
    """One of the figures that the page begins with."""

    name: str
    value: str
    detail: str


def draw_comparison(page: ComparisonPage, language: Language) -> dict[str, Picture]:
    """Draw the map of where two maps differ.

    Args:
        page: what it shows.
        language: of its texts and numbers.

    Raises:
        RasterioIOError: if the raster cannot be read.
    """
    wording = Wording(language)
    figure = code_map(page.map, LEGEND.colours, page.area, page.frame, wording)
    alt = wording.say(
        "compare_map_alt",
        other=page.other.path.name,
        agreement=wording.percent(page.result.agreement),
    )
    return {"map": map_as_picture(figure, alt)}


def render_comparison(
    page: ComparisonPage, language: Language, pictures: Mapping[str, Picture]
) -> str:
    """Return the page as HTML.

    Args:
        page: what it says.
        language: of its texts and numbers.
        pictures: as `draw_comparison` returns them.
    """
    wording = Wording(language)
    when = wording.month(page.month) if page.month else page.label
    return template("comparison.html.j2").render(
        say=wording.say,
        wording=wording,
        title=wording.say("compare_title", period=when, other=page.other.path.name),
        pictures=pictures,
        wide=page.frame.wide,
        figures=_figures(page.result, wording),
        lead=_lead(page, when, wording),
        warnings=[wording.warning(warning) for warning in page.warnings],
        cells=_cells(page.result, wording),
        states=[_state(state, wording) for state in STATES],
        matrix=_matrix(page.result, wording),
        judged=_judged(page, wording),
        unjudged=_unjudged(page, wording),
        notices=_notices(page, wording),
        reading=_reading(page, wording),
        provenance=provenance_rows(page.provenance, wording),
    )


def _figures(result: Comparison, wording: Wording) -> list[Number]:
    known = (FOREST, NON_FOREST)

    def hectares(value: float) -> str:
        return f"{wording.hectares(value)}\N{NO-BREAK SPACE}ha"

    ours, theirs = result.area([FOREST], known), result.area(known, [FOREST])
    return [
        Number(
            wording.say("compare_agreement"),
            wording.percent(result.agreement),
            wording.say("compare_of_compared"),
        ),
        Number(
            wording.say("compare_compared"),
            hectares(result.compared),
            wording.say("compare_both_known"),
        ),
        Number(
            wording.say("compare_forest_this"), hectares(ours), wording.say("compare_of_compared")
        ),
        Number(
            wording.say("compare_forest_other"),
            hectares(theirs),
            wording.say("compare_of_compared"),
        ),
    ]


def _lead(page: ComparisonPage, when: str, wording: Wording) -> str:
    result = page.result
    return wording.say(
        "compare_lead",
        period=when,
        other=page.other.path.name,
        agreement=wording.percent(result.agreement),
        only_ours=wording.hectares(result.area([FOREST], [NON_FOREST])),
        only_theirs=wording.hectares(result.area([NON_FOREST], [FOREST])),
    )


def _cells(result: Comparison, wording: Wording) -> list[ClassRow]:
    """Return hectares and share of each colour of the map."""
    by_code = {code: cell for cell, code in CODES.items()}
    return [
        ClassRow(
            css(LEGEND.colours[code]),
            wording.say(f"compare_code_{code}"),
            (
                wording.hectares(result.hectares.get(by_code[code], 0.0)),
                wording.percent(result.hectares.get(by_code[code], 0.0) / (result.compared or 1)),
            ),
        )
        for code in CODES_SHOWN
    ]


def _state(state: int, wording: Wording) -> str:
    return wording.say("compare_no_data" if state == UNKNOWN else CLASSES[NAMES[state]])


def _matrix(result: Comparison, wording: Wording) -> list[tuple[str, list[Cell]]]:
    """Return the hectares by what either map says, tinted where both know something."""
    rows = []
    for ours in STATES:
        total = result.area([ours], (FOREST, NON_FOREST)) or 1
        cells = []
        for theirs in STATES:
            hectares = result.area([ours], [theirs])
            if ours == theirs == UNKNOWN:
                cells.append(Cell(NONE, PLAIN, dark=False))
            elif UNKNOWN in (ours, theirs):
                cells.append(Cell(wording.hectares(hectares), PLAIN, dark=False))
            else:
                cells.append(
                    tinted_cell(wording.hectares(hectares), hectares / total, right=ours == theirs)
                )
        rows.append((_state(ours, wording), cells))
    return rows


def _judged(page: ComparisonPage, wording: Wording) -> list[tuple[str, tuple[str, str, str]]]:
    """Return a row for each map: overall accuracy, and user's and producer's of forest."""
    rows = []
    for which, areas in page.judged.items():
        found, name = areas.estimates, NAMES[FOREST]
        rows.append(
            (
                wording.say(MAPS[which]),
                (
                    _share(found.overall, wording),
                    _share(found.users[name], wording),
                    _share(found.producers[name], wording),
                ),
            )
        )
    return rows


def _share(found: Estimate | None, wording: Wording) -> str:
    if found is None:
        return NONE
    # Where an error is left, no rounding takes it away.
    shown = wording.points(min(found.value, MOST) if found.value < 1 else 1.0)
    return shown if found.ci95 is None else f"{shown} ± {wording.points(found.ci95)}"


def _unjudged(page: ComparisonPage, wording: Wording) -> str:
    """Return what is said of the labelled points, or why there are none."""
    if page.judged:
        areas = page.judged["this_map"]
        forest = areas.estimates.area_ha[NAMES[FOREST]]
        return wording.say(
            "compare_judged",
            points=wording.number(areas.points),
            drawn=wording.number(areas.drawn),
            month=wording.month(read_month(page.sample)),
            forest=wording.hectares(forest.value),
            error=NONE if forest.ci95 is None else wording.hectares(forest.ci95),
        )
    return wording.say("compare_unjudged" if page.unjudged else "compare_no_sample")


def _notices(page: ComparisonPage, wording: Wording) -> list[str]:
    """Return what is told of the estimates: once what holds for both maps."""
    told = {
        wording.say(MAPS[which]): [_told(notice, wording) for notice in areas.notices]
        for which, areas in page.judged.items()
    }
    both = [
        text for text in next(iter(told.values()), []) if all(text in of for of in told.values())
    ]
    single = [f"{whose}: {text}" for whose, of in told.items() for text in of if text not in both]
    return [*both, *single]


def _told(notice: Notice, wording: Wording) -> str:
    """Return a notice that names classes as the page does."""
    name = notice.values.get("name")
    shown = {"name": wording.say(CLASSES[name])} if name in CLASSES else {}
    return wording.warning(replace(notice, values={**notice.values, **shown}))


def _reading(page: ComparisonPage, wording: Wording) -> list[str]:
    other = page.other
    no_data = (
        wording.say("compare_declared")
        if other.no_data is None
        else ", ".join(map(str, sorted(other.no_data))) or wording.say("compare_nothing")
    )
    return [
        wording.say("compare_reading_1"),
        wording.say(
            "compare_reading_2", forest=other.forest.text, band=other.band, no_data=no_data
        ),
        wording.say(
            "compare_reading_3",
            ours=wording.number(page.metres, 1),
            theirs=wording.number(other.metres, 1),
        ),
        wording.say("compare_reading_4"),
    ]
