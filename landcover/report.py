"""The month's report: one page of HTML that needs nothing beside it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import geopandas
from jinja2 import Environment, PackageLoader, StrictUndefined
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from landcover.aoi import LONLAT_SRID
from landcover.cartography import Frame, frame_around
from landcover.charts import accuracy_chart, hectares_chart
from landcover.classes import colour
from landcover.maps import UNKNOWN, confidence_picture, image_picture, map_picture
from landcover.mosaic import Mosaic
from landcover.report_tables import (
    accuracy_rows,
    confusion_rows,
    hectares_rows,
    mislabel_rows,
    provenance_rows,
    share_rows,
)
from landcover.texts import NONE, Language, Wording
from landcover.validation import BY_CLASS

PNG, SVG = "image/png", "image/svg+xml"

SQUARE_METRES_A_HECTARE = 10_000

# So many classes are named in the descriptions that stand in for pictures.
DESCRIBED = 3


@dataclass(frozen=True)
class Report:
    """All that goes into a month's report.

    Attributes:
        year: of the map.
        month: of the map, 1 to 12.
        map: what GDAL opens to read the map of class codes, on the mosaic's grid.
        mosaic: the month's imagery.
        area: of interest, in the mosaic's CRS.
        polygons: the training polygons, with `class_label`.
        names: the name of each class code.
        hectares: the true area of each class, by name; what is not on the map may be left out.
        metrics: of the model (see `landcover.validation.validate`); empty where there are none.
        area_name: what people call the area of interest.
        confidence: what GDAL opens to read the confidence map, 0 to 100, if there is one.
        shares: shares (0 to 1) of the area of interest: `without_imagery`, `cloud`,
            `low_confidence`, or named in words.
        warnings: sentences; what is wrong or missing.
        provenance: texts and numbers, or lists and mappings of them, by what they are:
            `landcover.texts.TERMS` has the names that are translated.
    """

    year: int
    month: int
    map: str
    mosaic: Mosaic
    area: BaseGeometry
    polygons: geopandas.GeoDataFrame
    names: Mapping[int, str]
    hectares: Mapping[str, float]
    metrics: Mapping[str, Any]
    area_name: str = ""
    confidence: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Attributes:
        kind: its MIME type.
        data: the file.
        alt: what it shows, in words.
    """

    kind: str
    data: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:{self.kind};base64,{b64encode(self.data).decode()}"


def render(
    report: Report, language: Language, pictures: Mapping[str, Picture] | None = None
) -> str:
    """Return the report as a page of HTML.

    Args:
        report: what it tells.
        language: of its texts and numbers.
        pictures: what `draw_pictures` returned, where they are drawn already.

    Raises:
        RasterioIOError: if map, confidence map or imagery cannot be read.
    """
    wording = Wording(language)
    return _template().render(
        say=wording.say,
        wording=wording,
        language=language,
        report=report,
        month=wording.month(report.year, report.month),
        pictures=draw_pictures(report, language) if pictures is None else pictures,
        wide=_frame(report).wide,
        legend=_legend(report, wording),
        warnings=list(report.warnings),
        provenance=provenance_rows(report.provenance, wording),
        shares=share_rows(report.shares, wording),
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
        `map`, `image`, `hectares` and, where there is something to show, `confidence` and
        `accuracy`.

    Raises:
        RasterioIOError: if map, confidence map or imagery cannot be read.
    """
    wording, frame = Wording(language), _frame(report)
    month, area = wording.month(report.year, report.month), report.area
    image = image_picture(report.mosaic, report.polygons, report.names, area, frame, wording)
    largest, colours = _largest(report, wording), _colours(report)
    areas, count = _ordered_hectares(report), wording.number(len(report.polygons))
    pictures = {
        "map": Picture(
            PNG,
            map_picture(report.map, area, frame, wording),
            wording.say("map_alt", month=month, classes=largest),
        ),
        "image": Picture(PNG, image, wording.say("image_alt", month=month, count=count)),
        "hectares": Picture(
            SVG,
            hectares_chart(areas, colours, wording),
            wording.say("areas_alt", classes=largest),
        ),
    }
    if report.confidence is not None:
        pictures["confidence"] = Picture(
            PNG,
            confidence_picture(report.confidence, area, frame, wording),
            wording.say("confidence_alt", month=month),
        )
    measured = _measured(report)
    if measured:
        chart = accuracy_chart(measured, colours, wording)
        pictures["accuracy"] = Picture(SVG, chart, wording.say("quality_alt"))
    return pictures


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("landcover"),
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
    accuracy = report.metrics.get("accuracy")
    error = report.metrics.get("accuracy_se")
    without = report.shares.get("without_imagery")
    lonlat = geopandas.GeoSeries([report.area], crs=report.mosaic.grid.crs).to_crs(LONLAT_SRID)
    square_metres, _ = Geod(ellps="WGS84").geometry_area_perimeter(lonlat.iloc[0])
    return {
        "accuracy": None if accuracy is None else wording.percent(accuracy),
        "accuracy_error": None if error is None else wording.points(error),
        "right": None if accuracy is None else wording.number(100 * accuracy),
        "aoi_hectares": wording.hectares(abs(square_metres) / SQUARE_METRES_A_HECTARE),
        "without_imagery": None if without is None else wording.percent(without),
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
    mislabels, more = mislabel_rows(metrics.get("suspected_mislabels", ()), wording)
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
        "mislabels": mislabels,
        "more_mislabels": more,
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
