"""The page about a year: what was forest at its end, and how often it was seen."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib import colormaps
from shapely.geometry.base import BaseGeometry

from landcover.change.annual_map import LEGEND, NO_DATA, FinishedYear
from landcover.change.rule import FOREST, NON_FOREST
from landcover.classes import Colour, css
from landcover.report.cartography import Frame, frame_around
from landcover.report.deforestation import Number
from landcover.report.maps import CONFIDENCE_COLOURS, code_map
from landcover.report.page import template
from landcover.report.pictures import Picture, map_as_picture
from landcover.report.tables import ClassRow, provenance_rows
from landcover.report.wording import Language, Wording

# By class, for tables. What has no data is hatched on the map.
SHADES: Mapping[int, str] = {
    **{code: css(colour) for code, colour in LEGEND.colours.items()},
    NO_DATA: "var(--hatching)",
}


@dataclass(frozen=True)
class AnnualReport:
    """All that goes into the page."""

    finished: FinishedYear
    """The annual map."""
    map: str
    """Its classes, as GDAL opens them."""
    clear: str
    """How many months saw each pixel clear, likewise."""
    area: BaseGeometry
    """The area of interest, in the map's CRS."""
    provenance: Mapping[str, object]
    """What made the map."""

    @property
    def frame(self) -> Frame:
        """Of its pictures."""
        return frame_around(self.area, self.finished.plan.grid.crs)


def render_annual(report: AnnualReport, language: Language, pictures: Mapping[str, Picture]) -> str:
    """Return the page as HTML.

    Args:
        report: what it says.
        language: of its texts and numbers.
        pictures: as `draw_annual` returns them.
    """
    wording, finished = Wording(language), report.finished
    return template("annual.html.j2").render(
        say=wording.say,
        wording=wording,
        year=finished.plan.year,
        pictures=pictures,
        wide=report.frame.wide,
        figures=_figures(finished, wording),
        lead=_lead(finished, wording),
        warnings=[wording.warning(notice) for notice in finished.notices],
        areas=[
            _row(SHADES[code], wording.say(f"annual_class_{code}"), area, finished, wording)
            for code, area in _by_class(finished).items()
        ],
        clear=[
            _row(css(shade), wording.number(count), finished.clear.get(count, 0), finished, wording)
            for count, shade in clear_shades(len(finished.plan.maps)).items()
        ],
        months=_months(finished, wording),
        reading=_reading(finished, wording),
        provenance=provenance_rows(report.provenance, wording),
    )


def draw_annual(report: AnnualReport, language: Language) -> dict[str, Picture]:
    """Draw the pictures of the page: `map` and `seen`.

    Args:
        report: what they show.
        language: of their texts and numbers.

    Raises:
        RasterioIOError: if the rasters cannot be read.
    """
    wording, finished, frame = Wording(language), report.finished, report.frame
    forest = code_map(report.map, LEGEND.colours, report.area, frame, wording)
    clear = code_map(
        report.clear, clear_shades(len(finished.plan.maps)), report.area, frame, wording
    )
    clear_alt = wording.say("annual_clear_map_alt", year=finished.plan.year)
    return {
        "map": map_as_picture(forest, _say_areas("annual_map_alt", finished, wording)),
        "seen": map_as_picture(clear, clear_alt),
    }


def clear_shades(months: int) -> dict[int, Colour]:
    """Return the colour of each number of clear months, up to all that have a map.

    Args:
        months: how many have one.
    """
    shades = colormaps[CONFIDENCE_COLOURS].resampled(months + 1)
    found = {}
    for count in range(months + 1):
        red, green, blue, _ = shades(count, bytes=True)
        found[count] = (int(red), int(green), int(blue))
    return found


def _by_class(finished: FinishedYear) -> dict[int, float]:
    return {code: finished.hectares.get(code, 0.0) for code in (FOREST, NON_FOREST, NO_DATA)}


def _share(hectares: float, finished: FinishedYear) -> float:
    return hectares / (sum(finished.hectares.values()) or 1)


def _row(
    colour: str, name: str, hectares: float, finished: FinishedYear, wording: Wording
) -> ClassRow:
    share = wording.percent(_share(hectares, finished))
    return ClassRow(colour, name, (wording.hectares(hectares), share))


def _say_areas(key: str, finished: FinishedYear, wording: Wording) -> str:
    forest, other, nodata = map(wording.hectares, _by_class(finished).values())
    return wording.say(key, year=finished.plan.year, forest=forest, other=other, nodata=nodata)


def _lead(finished: FinishedYear, wording: Wording) -> str:
    lead, last = _say_areas("annual_lead", finished, wording), finished.plan.maps[-1].period
    if last == finished.plan.year.months[-1]:
        return lead
    return f"{lead} {wording.say('annual_lead_until', month=wording.month(last))}"


def _figures(finished: FinishedYear, wording: Wording) -> list[Number]:
    areas = [
        Number(
            wording.say(f"annual_class_{code}"),
            f"{wording.hectares(area)}\N{NO-BREAK SPACE}ha",
            f"{wording.percent(_share(area, finished))} {wording.say('share_of_aoi')}",
        )
        for code, area in _by_class(finished).items()
    ]
    missing = len(finished.plan.missing)
    months = Number(
        wording.say("annual_months"),
        wording.say("annual_months_value", count=len(finished.plan.maps)),
        wording.say("annual_months_missing" if missing else "annual_months_all", count=missing),
        alert=missing > 0,
    )
    return [*areas, months]


def _months(finished: FinishedYear, wording: Wording) -> list[tuple[str, str]]:
    """Return each month in words, and its map."""
    plan = finished.plan
    files = {month.period: month.classes.name for month in plan.maps}
    none = wording.say("annual_no_map")
    return [(wording.month(period), files.get(period, none)) for period in plan.year.months]


def _reading(finished: FinishedYear, wording: Wording) -> list[str]:
    settings = finished.plan.settings
    shares = {
        name: wording.percent(value) for name, value in settings.parameters().items() if value < 1
    }
    meaning = wording.say(f"annual_rule_{settings.rule}", **shares)
    return [
        wording.say("annual_rule", rule=settings.rule, meaning=meaning, least=settings.least),
        wording.say("annual_reading_unseen"),
        wording.say("annual_reading_late"),
        wording.say("annual_reading_counted"),
    ]
