"""The month's report: a single page of HTML that needs no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import geopandas
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from shapely.geometry.base import BaseGeometry

from landcover.classes import colour, css
from landcover.grid import Grid
from landcover.imagery.coverage import Coverage
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.unseen import SIDE, Places, share_outside
from landcover.model.metrics import CarriedOver, ClassMetrics, Estimate, Metrics
from landcover.notices import Told
from landcover.period import Period, read_month
from landcover.report.cartography import Frame, frame_around
from landcover.report.charts import accuracy_chart, hectares_chart
from landcover.report.maps import (
    UNKNOWN,
    confidence_map,
    image_map,
    land_cover_map,
    unseen_map,
)
from landcover.report.pictures import (
    Picture,
    chart_as_picture,
    map_as_picture,
    photo_as_picture,
)
from landcover.report.tables import (
    LISTED,
    accuracy_rows,
    confusion_rows,
    gap_rows,
    hectares_rows,
    mislabel_rows,
    provenance_rows,
)
from landcover.report.wording import NONE, SMALLEST_SHARE, Language, Wording

# At most this many classes are named in the descriptions of pictures.
DESCRIBED = 3


@dataclass(frozen=True)
class Report:
    """All that goes into a month's report."""

    period: Period

    map: str
    """The path of the map of class codes, on the mosaic's grid, as GDAL opens it."""

    confidence: str
    """The path of the confidence map, 0 to 100, as GDAL opens it."""

    mosaic: Mosaic
    """The month's imagery."""

    area: BaseGeometry
    """The area of interest, in the mosaic's CRS."""

    coverage: Coverage
    """How much of it has imagery."""

    polygons: geopandas.GeoDataFrame
    """The training polygons, with `class_label`; there may be none."""

    names: Mapping[int, str]
    """The name of each class code."""

    hectares: Mapping[str, float]
    """The true area of each class, by name; classes that are not on the map may be left out."""

    pixels: int
    """How many pixels of the map have a class."""

    low_confidence: float
    """The share of the map, 0 to 1, on which the confidence is below 50 percent."""

    metrics: Metrics | None
    """Of the model; None where none are recorded."""

    warnings: Sequence[Told]
    """What is probably wrong with imagery, training data or map."""

    provenance: Mapping[str, object]
    """What made the map: texts and numbers, or lists and mappings of them, by name (see
    `landcover.report.texts.Texts.terms`)."""

    sieved: float = 0.0
    """The share of the map, 0 to 1, that took the class of what surrounds it."""

    places: Places = field(default_factory=dict)
    """Where the imagery lies outside of what the model has seen; none where that is not known."""

    grid: Grid | None = None
    """The map's, which the places are squares of."""

    taught_by: Sequence[str] = ()
    """The months whose polygons taught the model; none where that is not known."""


def render(report: Report, language: Language, pictures: Mapping[str, Picture]) -> str:
    """Return the report as a page of HTML.

    Args:
        report: what the page says.
        language: of its texts and numbers.
        pictures: as `draw_pictures` returns them.
    """
    wording = Wording(language)
    return template("report.html.j2").render(
        say=wording.say,
        wording=wording,
        month=wording.month(report.period),
        pictures=pictures,
        wide=_frame(report).wide,
        legend=_legend(report, wording),
        warnings=[wording.warning(warning) for warning in report.warnings],
        provenance=provenance_rows(report.provenance, wording),
        **_headline(report, wording),
        **_areas(report, wording),
        **_quality(report, wording),
        unseen=wording.percent(share_outside(report.places)),
        place_side=SIDE,
        learned_from=_learned_from(report, wording),
    )


def draw_pictures(report: Report, language: Language) -> dict[str, Picture]:
    """Draw the pictures of a report, from overviews, so that memory does not grow with the month.

    Args:
        report: what they show.
        language: of their texts and numbers.

    Returns:
        `map`, `image`, `confidence`, `hectares`; `unseen`, where the range of the samples is known;
        and `accuracy`, where classes could be validated.

    Raises:
        RasterioIOError: if map, confidence map or imagery cannot be read.
    """
    wording, colours = Wording(language), _colours(report)
    drawn = _draw_maps(report, wording)
    drawn["hectares"] = chart_as_picture(
        hectares_chart(_ordered_hectares(report), colours, wording),
        wording.say("areas_alt", classes=_largest(report, wording)),
    )
    measured = _measured(report)
    if measured:
        drawn["accuracy"] = chart_as_picture(
            accuracy_chart(measured, colours, wording), wording.say("quality_alt")
        )
    return drawn


def _draw_maps(report: Report, wording: Wording) -> dict[str, Picture]:
    area, frame = report.area, _frame(report)
    month, count = wording.month(report.period), wording.number(len(report.polygons))
    largest = _largest(report, wording)
    drawn = {}
    if report.places and report.grid:
        drawn["unseen"] = map_as_picture(
            unseen_map(report.places, report.grid, area, frame, wording),
            wording.say("unseen_alt", month=month),
        )
    return drawn | {
        "map": map_as_picture(
            land_cover_map(report.map, area, frame, wording),
            wording.say("map_alt", month=month, classes=largest),
        ),
        "image": photo_as_picture(
            image_map(report.mosaic, report.polygons, report.names, area, frame, wording),
            wording.say("image_alt", month=month, count=count),
        ),
        "confidence": photo_as_picture(
            confidence_map(report.confidence, area, frame, wording),
            wording.say("confidence_alt", month=month),
        ),
    }


@cache
def template(name: str) -> Template:
    """Return the template of a page.

    Args:
        name: of its file in this package.
    """
    environment = Environment(
        loader=PackageLoader("landcover.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _frame(report: Report) -> Frame:
    return frame_around(report.area, report.mosaic.grid.crs)


def _colours(report: Report) -> dict[str, str]:
    """Return the colour of each class as CSS writes it."""
    known = {name: colour(code) for code, name in report.names.items()}
    named = [*known, *report.hectares, *_classes(report)]
    return {name: css(known.get(name, UNKNOWN)) for name in named}


def _ordered_hectares(report: Report) -> dict[str, float]:
    """Return the hectares of every class, the largest first."""
    every = {name: 0.0 for _, name in sorted(report.names.items())} | dict(report.hectares)
    return dict(sorted(every.items(), key=lambda item: -item[1]))


def _largest(report: Report, wording: Wording) -> str:
    total = sum(report.hectares.values()) or 1
    largest = list(_ordered_hectares(report).items())[:DESCRIBED]
    return ", ".join(
        f"{wording.class_name(name)} {wording.percent(area / total)}" for name, area in largest
    )


def _legend(report: Report, wording: Wording) -> list[tuple[str, str]]:
    """Return colour and name of each class, by code."""
    colours = _colours(report)
    return [(colours[name], wording.class_name(name)) for _, name in sorted(report.names.items())]


def _classes(report: Report) -> Mapping[str, ClassMetrics]:
    return report.metrics.classes if report.metrics else {}


def _measured(report: Report) -> dict[str, ClassMetrics]:
    """Return the metrics of the classes that could be validated."""
    return {
        name: line
        for name, line in _classes(report).items()
        if any(found.value is not None for found in line.measures.values())
    }


def _headline(report: Report, wording: Wording) -> dict[str, object]:
    coverage = report.coverage
    without_class = coverage.without_class(report.hectares, report.pixels)
    accuracy = report.metrics.accuracy if report.metrics else Estimate(None)
    value, error = accuracy.value, accuracy.standard_error
    return {
        "accuracy": _known_percent(value, wording),
        "accuracy_error": None if error is None else wording.points(error),
        "accuracy_words": _accuracy_words(report.metrics, wording),
        "aoi_hectares": wording.hectares(coverage.hectares),
        "without_imagery": wording.percent(coverage.without_imagery),
        "holes": without_class > 0,
        "without_class": wording.percent(without_class),
        "low_confidence": wording.percent(report.low_confidence),
        "sieved": wording.percent(report.sieved) if report.sieved else None,
        "gaps": gap_rows(coverage, wording),
    }


def _accuracy_words(metrics: Metrics | None, wording: Wording) -> str:
    if metrics is None:
        return wording.say("accuracy_unrecorded")
    if metrics.accuracy.value is None:
        return wording.say("accuracy_missing")
    return wording.say("accuracy_meaning", right=wording.number(100 * metrics.accuracy.value))


def _areas(report: Report, wording: Wording) -> dict[str, object]:
    areas = _ordered_hectares(report)
    return {
        "areas": hectares_rows(areas, _colours(report), wording),
        "total": wording.hectares(sum(areas.values())),
    }


def _quality(report: Report, wording: Wording) -> dict[str, object]:
    metrics = report.metrics
    if metrics is None:
        return {"quality": [], "confusion": [], "mislabels": [], "carried_over": None}
    matrix = {} if metrics.accuracy.value is None else metrics.confusion_matrix
    not_validated = [wording.class_name(name) for name in metrics.not_validated]
    suspects = metrics.suspected_mislabels
    return {
        "quality": accuracy_rows(metrics.classes, _colours(report), wording),
        "held_out": wording.held_out(metrics.holdout),
        "folds": metrics.folds,
        "macro_f1": _with_error(metrics.macro_f1, wording),
        "random": _random_pixels(metrics, wording),
        "oob": _known_percent(metrics.oob_accuracy, wording),
        "not_validated": ", ".join(not_validated),
        "carried_over": _carried_over(metrics, wording),
        "carried_over_rows": _carried_over_rows(metrics.carried_over, wording),
        "confusion": confusion_rows(matrix, wording),
        "confused": [wording.class_name(name) for name in matrix],
        "mislabels": mislabel_rows(suspects, wording),
        "more_mislabels": max(0, len(suspects) - LISTED),
    }


def _random_pixels(metrics: Metrics, wording: Wording) -> str | None:
    random, ours = metrics.random_pixels, metrics.accuracy.value
    if random is None or metrics.optimism is None or ours is None:
        return None
    accuracy = _with_error(random.accuracy, wording)
    if metrics.optimism < SMALLEST_SHARE:
        return wording.say("random_same", accuracy=accuracy)
    optimism, honest = wording.points(metrics.optimism), wording.percent(ours)
    return wording.say("random", accuracy=accuracy, optimism=optimism, honest=honest)


def _learned_from(report: Report, wording: Wording) -> str | None:
    """Say which months taught the model, unless it is the month alone."""
    if list(report.taught_by) in ([], [str(report.period)]):
        return None
    months = (wording.month(read_month(name)) for name in report.taught_by)
    return wording.say("learned_from", months=", ".join(months))


def _carried_over(metrics: Metrics, wording: Wording) -> str | None:
    """Say how well a model of several months carries over to one that it has not seen."""
    found = metrics.carried_over
    if found is None:
        return None
    accuracy, macro_f1 = (_with_error(it, wording) for it in (found.accuracy, found.macro_f1))
    if accuracy is None:
        return wording.say("carried_over_none")
    seen, seen_f1 = (_with_error(it, wording) for it in (metrics.accuracy, metrics.macro_f1))
    return wording.say(
        "carried_over_reading",
        accuracy=accuracy,
        macro_f1=macro_f1,
        seen=seen or NONE,
        seen_f1=seen_f1 or NONE,
    )


def _carried_over_rows(found: CarriedOver | None, wording: Wording) -> list[tuple[str, ...]]:
    """Return name, accuracy and macro F1 of each month that was held out."""
    if found is None:
        return []
    return [
        (
            wording.month(read_month(name)),
            _with_error(of_it.accuracy, wording) or NONE,
            _with_error(of_it.macro_f1, wording) or NONE,
        )
        for name, of_it in found.months.items()
    ]


def _with_error(found: Estimate, wording: Wording) -> str | None:
    if found.value is None:
        return None
    shown, error = wording.percent(found.value), found.standard_error
    return shown if error is None else f"{shown} ± {wording.points(error)}"


def _known_percent(share: float | None, wording: Wording) -> str | None:
    return None if share is None else wording.percent(share)
