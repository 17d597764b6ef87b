"""The pages' section about areas that are estimated from labelled points.

Pages are older than labels: the section has its place in each page, where it is put, and put anew,
without the page being drawn again.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from landcover.accuracy.areas import Areas
from landcover.accuracy.estimates import Estimate
from landcover.accuracy.strata import NOT_KNOWN, TRAINING_POLYGONS
from landcover.notices import Notice
from landcover.period import read_month
from landcover.report.page import template
from landcover.report.tables import Cell, tinted_cell
from landcover.report.wording import NONE, Language, Wording

# Between them a page has the section.
BEGIN, END = "<!-- estimated areas -->", "<!-- /estimated areas -->"

# Texts for what is not a class, of which no point was drawn.
OUTSIDE = {TRAINING_POLYGONS: "estimated_training", NOT_KNOWN: "estimated_not_known"}

# A share below 1, as it is written: 99.9 %.
MOST = 0.9994

# Hectares without decimals from so many on, in the sentence to quote.
ROUND = 100


def section_of(areas: Areas, map_sha256: str, language: Language) -> str:
    """Return the section about areas as HTML.

    Args:
        areas: what a sample says.
        map_sha256: of the map that the page is about. Of another one, no numbers are shown.
        language: of texts and numbers.
    """
    wording = Wording(language)
    stale = areas.map_sha256 != map_sha256
    told = {"stale": _stale(areas, wording)} if stale else _numbers(areas, wording)
    return template("areas.html.j2").render(say=wording.say, **told)


def with_section(page: str, section: str, first: str = BEGIN, last: str = END) -> str | None:
    """Return a page with a section in its place; None where it has no such place.

    Args:
        page: of a month, or about deforestation; one of an earlier version has no such place.
        section: as `section_of` returns it.
        first: what the place begins with.
        last: what it ends with.
    """
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    return f"{before}{begin}\n{section}\n{end}{after}" if begin and end else None


def _stale(areas: Areas, wording: Wording) -> str:
    return wording.say("estimated_stale", points=wording.number(areas.points))


def _numbers(areas: Areas, wording: Wording) -> dict[str, object]:
    found = areas.estimates
    names = {name: _class_name(areas, name, wording) for name in found.classes}
    outside = sum(areas.outside_ha.values())
    return {
        "stale": None,
        "quote": _quote(areas, wording),
        "overall_words": wording.say(
            "estimated_overall", overall=_share(found.overall, wording, wording.percent)
        ),
        "rows": [
            (
                shown,
                (
                    wording.hectares(found.mapped_ha[name]),
                    _area(found.area_ha[name], wording),
                    _points(found.users[name], wording),
                    _points(found.producers[name], wording),
                ),
            )
            for name, shown in names.items()
        ],
        "total": wording.hectares(sum(found.mapped_ha.values())),
        "overall": _points(found.overall, wording),
        "outside": outside
        and wording.say(
            "estimated_outside",
            hectares=wording.hectares(outside),
            what=", ".join(
                wording.say(OUTSIDE[name]) if name in OUTSIDE else wording.class_name(name)
                for name, area in areas.outside_ha.items()
                if area
            ),
        ),
        "notices": [wording.warning(_named(notice, names)) for notice in areas.notices],
        "names": list(names.values()),
        "matrices": [
            (
                wording.say("estimated_counts"),
                _matrix(found.counts, list(names.values()), wording.number),
            ),
            (
                wording.say("estimated_shares"),
                _matrix(
                    100 * found.proportions,
                    list(names.values()),
                    lambda share: wording.number(share, 2),
                ),
            ),
        ],
    }


def _class_name(areas: Areas, name: str, wording: Wording) -> str:
    if areas.of == "deforestation":
        return wording.say(f"estimated_class_{name}")
    return wording.class_name(name)


def _named(notice: Notice, names: dict[str, str]) -> Notice:
    """Return a notice that names classes as the page does."""
    name = notice.values.get("name")
    shown = {"name": names[name]} if name in names else {}
    return replace(notice, values={**notice.values, **shown})


def _quote(areas: Areas, wording: Wording) -> str:
    """Return the sentence for those who read no other."""
    name, lost = areas.quoted, areas.of == "deforestation"
    area = areas.estimates.area_ha[name]
    rounded = partial(wording.number, decimals=0 if area.value >= ROUND else 1)
    unsure = "" if area.ci95 is not None else "_unsure"
    return wording.say(
        f"estimated_loss{unsure}" if lost else f"estimated_quote{unsure}",
        month=wording.month(read_month(areas.last)),
        first=wording.month(read_month(areas.first)) if areas.first else NONE,
        last=wording.month(read_month(areas.last)),
        name=_class_name(areas, name, wording),
        area=rounded(area.value),
        error=rounded(area.ci95 or 0.0),
        mapped=rounded(areas.estimates.mapped_ha[name]),
        total=rounded(sum(areas.estimates.mapped_ha.values())),
        points=wording.number(areas.points),
    )


def _area(found: Estimate, wording: Wording) -> str:
    shown = wording.hectares(found.value)
    return shown if found.ci95 is None else f"{shown} ± {wording.hectares(found.ci95)}"


def _points(found: Estimate | None, wording: Wording) -> str:
    return NONE if found is None else _share(found, wording, wording.points)


def _share(found: Estimate, wording: Wording, write: Callable[[float], str]) -> str:
    """Return a share and half its interval, the latter in percentage points."""
    # Where an error is left, no rounding takes it away.
    shown = write(min(found.value, MOST) if found.value < 1 else 1.0)
    return shown if found.ci95 is None else f"{shown} ± {wording.points(found.ci95)}"


def _matrix(
    values: NDArray[Any], names: list[str], write: Callable[[float], str]
) -> list[tuple[str, list[Cell]]]:
    """Return each class of the map and its cells, one for each class on the ground."""
    rows = []
    for number, (name, row) in enumerate(zip(names, values.tolist(), strict=True)):
        total = sum(row) or 1
        cells = [
            tinted_cell(write(value), value / total, right=place == number)
            for place, value in enumerate(row)
        ]
        rows.append((name, cells))
    return rows
