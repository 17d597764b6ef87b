"""The page about deforestation up to a month: where forest fell, and how sure that is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import geopandas
import numpy as np
from shapely import affinity, box
from shapely.geometry.base import BaseGeometry

from landcover.change import rule
from landcover.change.alerts import (
    CONFIRMED,
    WARNING,
    Tally,
    counted,
    hectares_by_month,
)
from landcover.change.plan import LONG_AGO, NEVER_SEEN
from landcover.change.record import LEGEND
from landcover.change.rule import ChangeSettings
from landcover.classes import css
from landcover.geometry import LONLAT, reproject
from landcover.imagery.mosaic import Mosaic
from landcover.notices import Told
from landcover.period import Period, read_month
from landcover.report.cartography import Frame, frame_around
from landcover.report.charts import loss_chart
from landcover.report.maps import alert_map, place_picture
from landcover.report.page import template
from landcover.report.pictures import Picture, chart_as_picture, map_as_picture, photo_as_picture
from landcover.report.tables import ClassRow, provenance_rows
from landcover.report.wording import Language, Wording

# So many alerts are listed, and drawn before and after.
LISTED, DRAWN = 20, 6

# Months: alerts that were detected earlier are not listed.
RECENT = 12

# The size of pictures of an alert in pixels, what they show around it, and at least, in metres.
PLACE, AROUND, LEAST = 460, 2.2, 600

SHADES = {
    WARNING: LEGEND.colours[rule.WARNING],
    CONFIRMED: LEGEND.colours[rule.CONFIRMED],
}

# Rows of the table of what was not seen: its text, and up to how many months ago.
AGES = (
    ("loss_this_month", 0),
    ("loss_1", 1),
    ("loss_3", 3),
    ("loss_6", 6),
    ("loss_12", 12),
    ("loss_more", LONG_AGO),
    ("loss_never", NEVER_SEEN),
)


@dataclass(frozen=True)
class LossReport:
    """All that goes into the page."""

    period: Period
    """Up to which month."""
    first: Period
    """The month that the record begins with."""
    map: str
    """The raster of the record, as GDAL opens it."""
    crs: str
    """Its CRS, as WKT."""
    area: BaseGeometry
    """The area of interest, in that CRS."""
    alerts: geopandas.GeoDataFrame
    """Up to the month, all of them."""
    rejected: Collection[str]
    """The ids of those that people have rejected."""
    counts: Tally
    """Of the alerts."""
    hectares: Mapping[int, float]
    """The true area of each code of the raster."""
    unseen: Mapping[int, float]
    """True hectares by how many months ago they were seen clear."""
    imagery: Mapping[Period, Mosaic]
    """Of those months whose imagery is there."""
    settings: ChangeSettings
    """When lost forest is believed."""
    warnings: Sequence[Told]
    """What is probably wrong."""
    provenance: Mapping[str, object]
    """What made the record."""

    @property
    def largest(self) -> geopandas.GeoDataFrame:
        """The alerts that are listed, the largest first."""
        return largest_alerts(self.alerts, self.rejected, self.period)


@dataclass(frozen=True)
class Number:
    """One of the figures that the page begins with."""

    name: str
    value: str
    detail: str
    alert: bool = False


@dataclass(frozen=True)
class AlertRow:
    """An alert of the table, and its pictures: caption, picture, or why there is none."""

    number: int
    title: str
    hectares: str
    state: str
    first: str
    probability: str
    place: str
    pair: tuple[tuple[str, Picture | None, str], ...]


def largest_alerts(
    alerts: geopandas.GeoDataFrame, rejected: Collection[str], period: Period
) -> geopandas.GeoDataFrame:
    """Return the alerts that the page lists, the largest first.

    Args:
        alerts: all of them.
        rejected: the ids of those that people have rejected.
        period: the month of the page.
    """
    standing = counted(alerts, rejected)
    since = date(period.year - RECENT // 12, period.month, 1)
    recent = standing[standing["first_detected"].astype("datetime64[s]") > np.datetime64(since)]
    return recent.sort_values(["area_ha", "alert_id"], ascending=[False, True]).head(LISTED)


def months_drawn(largest: geopandas.GeoDataFrame) -> set[Period]:
    """Return the months whose imagery the page shows.

    Args:
        largest: the alerts that it lists (see `largest_alerts`).
    """
    drawn = largest.head(DRAWN)
    days = [*drawn["date_start_t0"], *drawn["date_start_t1"]]
    return {read_month(day) for day in days if day is not None}


def render_loss(report: LossReport, language: Language, pictures: Mapping[str, Picture]) -> str:
    """Return the page as HTML.

    Args:
        report: what it says.
        language: of its texts and numbers.
        pictures: as `draw_loss` returns them.
    """
    wording = Wording(language)
    counts = report.counts
    rejected = wording.say("loss_rejected", count=wording.number(counts.rejected))
    return template("deforestation.html.j2").render(
        say=wording.say,
        wording=wording,
        month=wording.month(report.period),
        pictures=pictures,
        wide=_frame(report).wide,
        figures=_figures(report, wording),
        lead=_lead(report, wording),
        rejected=rejected if counts.rejected else None,
        warnings=[wording.warning(warning) for warning in report.warnings],
        areas=_areas(report, wording),
        largest=_rows(report, wording, pictures),
        unseen=_unseen(report, wording),
        reading=_reading(report.settings, wording),
        provenance=provenance_rows(report.provenance, wording),
    )


def draw_loss(report: LossReport, language: Language) -> dict[str, Picture]:
    """Draw the pictures of the page.

    Args:
        report: what they show.
        language: of their texts and numbers.

    Returns:
        `map`, `months` and, for the largest alerts, `before-1`, `after-1`, `before-2` and so on.

    Raises:
        RasterioIOError: if record or imagery cannot be read.
    """
    wording = Wording(language)
    counts, standing = report.counts, counted(report.alerts, report.rejected)
    standing = standing.assign(shade=[SHADES[state] for state in standing["state"]])
    figure = alert_map(report.map, standing, LEGEND.colours, report.area, _frame(report), wording)
    count = wording.number(counts.standing)
    alt = wording.say("loss_map_alt", count=count, month=wording.month(report.period))
    by_month = hectares_by_month(standing, report.first, report.period)
    parts = {
        wording.say("loss_confirmed"): (by_month[CONFIRMED].tolist(), css(SHADES[CONFIRMED])),
        wording.say("loss_warnings"): (by_month[WARNING].tolist(), css(SHADES[WARNING])),
    }
    chart = loss_chart([str(month) for month in by_month.index], parts, wording)
    drawn = {
        "map": map_as_picture(figure, alt),
        "months": chart_as_picture(
            chart,
            wording.say(
                "loss_chart_alt",
                confirmed=wording.hectares(counts.confirmed_hectares),
                warnings=wording.hectares(counts.warning_hectares),
            ),
        ),
    }
    for number, alert in enumerate(report.largest.head(DRAWN).itertuples(), 1):
        drawn |= _pair(report, wording, number, alert)
    return drawn


def _pair(report: LossReport, wording: Wording, number: int, alert: Any) -> dict[str, Picture]:
    """Draw an alert before and after, where there is imagery."""
    drawn = {}
    for when, day in _days(alert).items():
        month = read_month(day) if day else None
        if month is None or month not in report.imagery:
            continue
        mosaic = report.imagery[month]
        place = reproject(alert.geometry, LONLAT, mosaic.grid.crs)
        shade = SHADES[alert.state]
        figure = place_picture(mosaic, place, shade, _frame_of(place, mosaic.grid.crs), wording)
        alt = wording.say("loss_picture_alt", month=wording.month(month), number=number)
        drawn[f"{when}-{number}"] = photo_as_picture(figure, alt)
    return drawn


def _days(alert: Any) -> dict[str, date | None]:
    return {"before": alert.date_start_t0, "after": alert.date_start_t1}


def _frame_of(place: BaseGeometry, crs: str) -> Frame:
    """Return the square frame around an alert."""
    west, south, east, north = place.bounds
    x, y = (west + east) / 2, (south + north) / 2
    around = box(x - 0.5, y - 0.5, x + 0.5, y + 0.5)
    unit = frame_around(around, crs).metres
    side = max(AROUND * max(east - west, north - south), LEAST / unit)
    bounds = affinity.scale(around, side, side).bounds
    return Frame(crs, bounds, PLACE, PLACE)


def _frame(report: LossReport) -> Frame:
    return frame_around(report.area, report.crs)


def _figures(report: LossReport, wording: Wording) -> list[Number]:
    counts = report.counts
    total = sum(report.unseen.values()) or 1
    since = wording.say("loss_since", month=wording.month(report.first))
    return [
        Number(
            wording.say("loss_new"),
            _hectares(counts.new_hectares, wording),
            _alerts(counts.new, wording),
            alert=counts.new > 0,
        ),
        Number(
            wording.say("loss_confirmed"),
            _hectares(counts.confirmed_hectares, wording),
            f"{_alerts(counts.confirmed, wording)}, {since}",
        ),
        Number(
            wording.say("loss_warnings"),
            _hectares(counts.warning_hectares, wording),
            _alerts(counts.warnings, wording),
        ),
        Number(
            wording.say("loss_not_seen"),
            wording.percent(1 - report.unseen.get(0, 0.0) / total),
            wording.say("share_of_aoi"),
        ),
    ]


def _hectares(value: float, wording: Wording) -> str:
    return f"{wording.hectares(value)}\N{NO-BREAK SPACE}ha"


def _alerts(count: int, wording: Wording) -> str:
    key = "loss_alerts_one" if count == 1 else "loss_alerts_many"
    return wording.say(key, count=wording.number(count))


def _lead(report: LossReport, wording: Wording) -> str:
    counts = report.counts
    return wording.say(
        "loss_lead_new" if counts.new else "loss_lead_none",
        month=wording.month(report.period),
        hectares=wording.hectares(counts.new_hectares),
    )


def _areas(report: LossReport, wording: Wording) -> list[ClassRow]:
    total = sum(report.hectares.values()) or 1
    return [
        ClassRow(
            css(LEGEND.colours[code]),
            wording.say(f"loss_status_{code}"),
            (
                wording.hectares(report.hectares.get(code, 0.0)),
                wording.percent(report.hectares.get(code, 0.0) / total),
            ),
        )
        for code in LEGEND.names
    ]


def _rows(report: LossReport, wording: Wording, pictures: Mapping[str, Picture]) -> list[AlertRow]:
    return [
        _row(number, alert, wording, pictures)
        for number, alert in enumerate(report.largest.itertuples(), 1)
    ]


def _row(number: int, alert: Any, wording: Wording, pictures: Mapping[str, Picture]) -> AlertRow:
    hectares = wording.hectares(alert.area_ha)
    point = alert.geometry.representative_point()
    place = "°, ".join(wording.number(degrees, 5) for degrees in (point.x, point.y)) + "°"
    sure = alert.confirmed_on
    state = (
        wording.say("loss_state_confirmed", month=_month(sure, wording))
        if sure
        else wording.say("loss_state_warning")
    )
    pair = (
        tuple(_shown(number, when, day, wording, pictures) for when, day in _days(alert).items())
        if number <= DRAWN
        else ()
    )
    return AlertRow(
        number=number,
        title=wording.say("loss_pair", number=number, hectares=hectares),
        hectares=hectares,
        state=state,
        first=_month(alert.first_detected, wording),
        probability=wording.percent(alert.probability),
        place=place,
        pair=pair,
    )


def _shown(
    number: int,
    when: str,
    day: date | None,
    wording: Wording,
    pictures: Mapping[str, Picture],
) -> tuple[str, Picture | None, str]:
    """Return a picture of a pair: its caption, the picture, or why there is none."""
    if day is None:
        return "", None, wording.say("loss_never_before")
    month = _month(day, wording)
    picture = pictures.get(f"{when}-{number}")
    missing = wording.say("loss_no_picture", month=month)
    return wording.say(f"loss_{when}", month=month), picture, missing


def _month(day: date, wording: Wording) -> str:
    return wording.month(read_month(day))


def _unseen(report: LossReport, wording: Wording) -> list[tuple[str, str, str]]:
    total = sum(report.unseen.values()) or 1
    rows, after = [], -1
    for key, upto in AGES:
        hectares = sum(area for ago, area in report.unseen.items() if after < ago <= upto)
        rows.append(
            (wording.say(key), wording.hectares(hectares), wording.percent(hectares / total))
        )
        after = upto
    return rows


def _reading(settings: ChangeSettings, wording: Wording) -> list[str]:
    return [
        wording.say("loss_reading_1"),
        wording.say(
            "loss_reading_2",
            threshold=wording.percent(settings.threshold),
            within=settings.within,
        ),
        wording.say("loss_reading_3", smallest=wording.hectares(settings.smallest_hectares)),
        wording.say("loss_reading_4"),
    ]
