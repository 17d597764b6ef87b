"""The month's report: one page of HTML that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import geopandas
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from shapely.geometry.base import BaseGeometry

from landcover.classes import colour
from landcover.imagery.coverage import Gap
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import ImageryWarning
from landcover.model.validation import BY_CLASS
from landcover.report.cartography import Frame, frame_around
from landcover.report.charts import accuracy_chart, hectares_chart
from landcover.report.maps import UNKNOWN, confidence_map, image_map, land_cover_map
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
from landcover.report.wording import NONE, Language, Wording

# So many classes are named in the descriptions that stand in for pictures.
DESCRIBED = 3


@dataclass(frozen=True)
class Report:
    """All that goes into a month's report.

    Attributes:
        year: of the map.
        month: of the map, 1 to 12.
        map: what GDAL opens to read the map of class codes, on the mosaic's grid.
        confidence: what GDAL opens to read the confidence map, 0 to 100.
        mosaic: the month's imagery.
        area: of interest, in the mosaic's CRS.
        aoi_hectares: the true area of it.
        gaps: its parts without imagery.
        polygons: the training polygons, with `class_label`; there may be none.
        names: the name of each class code.
        hectares: the true area of each class, by name; what is not on the map may be left out.
        doubtful: the share of the map, 0 to 1, on which fewer than half of the trees agree.
        metrics: of the model (see `validation.validate`); empty where there are none.
        warnings: what is wrong with the imagery.
        provenance: texts and numbers, or lists and mappings of them, by what they are:
            `landcover.report.wording.TERMS` has the names that are translated.
    """

    year: int
    month: int
    map: str
    confidence: str
    mosaic: Mosaic
    area: BaseGeometry
    aoi_hectares: float
    gaps: Sequence[Gap]
    polygons: geopandas.GeoDataFrame
    names: Mapping[int, str]
    hectares: Mapping[str, float]
    doubtful: float
    metrics: Mapping[str, Any]
    warnings: Sequence[ImageryWarning]
    provenance: Mapping[str, object]


def render(report: Report, language: Language, pictures: Mapping[str, Picture]) -> str:
    """Return the report as a page of HTML.

    Args:
        report: what it tells.
        language: of its texts and numbers.
        pictures: of `draw_pictures`.
    """
    wording = Wording(language)
    return _template().render(
        say=wording.say,
        wording=wording,
        month=wording.month(report.year, report.month),
        pictures=pictures,
        wide=_frame(report).wide,
        legend=_legend(report, wording),
        warnings=[wording.warning(warning) for warning in report.warnings],
        provenance=provenance_rows(report.provenance, wording),
        **_headline(report, wording),
        **_areas(report, wording),
        **_quality(report, wording),
    )


def draw_pictures(report: Report, language: Language) -> dict[str, Picture]:
    """Draw the pictures of a report, from overviews: memory does not grow with the month.

    Args:
        report: what they show.
        language: of their texts and numbers.

    Returns:
        `map`, `image`, `confidence`, `hectares` and, where classes could be validated, `accuracy`.

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
    month, count = wording.month(report.year, report.month), wording.number(len(report.polygons))
    largest = _largest(report, wording)
    return {
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
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("landcover.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _frame(report: Report) -> Frame:
    return frame_around(report.area, report.mosaic.grid.crs)


def _colours(report: Report) -> dict[str, str]:
    """Return the colour of each class as CSS writes it."""
    known = {name: colour(code) for code, name in report.names.items()}
    named = [*known, *report.hectares, *report.metrics.get("classes", {})]
    return {name: "#{:02x}{:02x}{:02x}".format(*known.get(name, UNKNOWN)) for name in named}


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


def _measured(report: Report) -> dict[str, Mapping[str, Any]]:
    """Return the metrics of the classes that could be validated."""
    classes: Mapping[str, Mapping[str, Any]] = report.metrics.get("classes", {})
    return {
        name: line
        for name, line in classes.items()
        if any(line[measure] is not None for measure in BY_CLASS)
    }


def _headline(report: Report, wording: Wording) -> dict[str, object]:
    accuracy, error = report.metrics.get("accuracy"), report.metrics.get("accuracy_se")
    without = sum(gap.hectares for gap in report.gaps)
    empty = max(0.0, 1 - sum(report.hectares.values()) / report.aoi_hectares)
    return {
        "accuracy": _known_percent(accuracy, wording),
        "accuracy_error": None if error is None else wording.points(error),
        "right": None if accuracy is None else wording.number(100 * accuracy),
        "aoi_hectares": wording.hectares(report.aoi_hectares),
        "without_imagery": wording.percent(without / report.aoi_hectares),
        "without_class": wording.percent(empty),
        "doubtful": wording.percent(report.doubtful),
        "gaps": gap_rows(report.gaps, wording),
    }


def _areas(report: Report, wording: Wording) -> dict[str, object]:
    areas = _ordered_hectares(report)
    return {
        "areas": hectares_rows(areas, _colours(report), wording),
        "total": wording.hectares(sum(areas.values())),
    }


def _quality(report: Report, wording: Wording) -> dict[str, object]:
    metrics, colours = report.metrics, _colours(report)
    classes = metrics.get("classes", {})
    matrix = metrics.get("confusion_matrix", {}) if metrics.get("accuracy") is not None else {}
    not_validated = [wording.class_name(name) for name in metrics.get("not_validated", ())]
    suspected = metrics.get("suspected_mislabels", ())
    return {
        "quality": accuracy_rows(classes, colours, wording),
        "validation": wording.validation(str(metrics.get("validation", NONE))),
        "folds": metrics.get("folds", 0),
        "macro_f1": _with_error(metrics, "macro_f1", wording),
        "random": _random_pixels(metrics, wording),
        "oob": _known_percent(metrics.get("oob_accuracy"), wording),
        "not_validated": ", ".join(not_validated),
        "confusion": confusion_rows(matrix, wording),
        "confused": [wording.class_name(name) for name in matrix],
        "mislabels": mislabel_rows(suspected, wording),
        "more_mislabels": max(0, len(suspected) - LISTED),
    }


def _random_pixels(metrics: Mapping[str, Any], wording: Wording) -> dict[str, str] | None:
    random, optimism = metrics.get("random_pixels"), metrics.get("optimism")
    if not random or optimism is None or random["accuracy"] is None:
        return None
    return {
        "accuracy": _with_error(random, "accuracy", wording) or NONE,
        "optimism": wording.points(optimism),
        "honest": wording.percent(metrics["accuracy"]),
    }


def _with_error(line: Mapping[str, Any], name: str, wording: Wording) -> str | None:
    value, error = line.get(name), line.get(f"{name}_se")
    if value is None:
        return None
    shown = wording.percent(value)
    return shown if error is None else f"{shown} ± {wording.points(error)}"


def _known_percent(share: float | None, wording: Wording) -> str | None:
    return None if share is None else wording.percent(share)
