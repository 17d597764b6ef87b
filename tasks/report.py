"""The month's report, for people who use neither a GIS nor a database."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import geopandas
from upath import UPath

from landcover.files import absolute, fetch, publish, scratch
from landcover.imagery.images import gdal_path
from landcover.imagery.mosaic import Mosaic, mosaic_of
from landcover.imagery.radiometry import ImageryWarning
from landcover.imagery.thumbnails import PRIMARIES
from landcover.model.metrics import Metrics
from landcover.period import Period
from landcover.report.page import Report, draw_pictures, render
from tasks.access.settings import ReportSettings, read_settings
from tasks.access.storage import storage
from tasks.artifacts import show_pictures
from tasks.assembly import FinishedMap
from tasks.coverage import Coverage
from tasks.mosaic import reading
from tasks.retries import io_task
from tasks.run import Month


@io_task("write report", "write report {month}")
def write_report(
    month: Month,
    mosaic: Mosaic,
    coverage: Coverage,
    prediction: FinishedMap,
    metrics: Metrics | None,
    warnings: Sequence[ImageryWarning],
    provenance: Mapping[str, object],
) -> UPath:
    """Write the month's report, and show its pictures in the Prefect UI.

    The page stays in the work folder until its map is recorded.

    Args:
        month: that it is about.
        mosaic: the imagery.
        coverage: the area of interest, and how much of it has imagery.
        prediction: the map.
        metrics: of the model; None where none are recorded.
        warnings: what is wrong with the imagery.
        provenance: what made the map: texts and numbers, or lists and mappings of them.

    Returns:
        Where the page is until then.

    Raises:
        SettingsError: if REPORT_LANGUAGE is not one of its languages.
        TransientError: if the imagery or the map cannot be read, or the page cannot be written.
    """
    language = read_settings(ReportSettings).report_language
    with (
        storage(month.blocks.storage_block, absolute(month.report)),
        scratch(month.work) as folder,
    ):
        report = Report(
            period=Period(month.year, month.month),
            map=gdal_path(prediction.waiting(prediction.path)),
            confidence=gdal_path(prediction.waiting(prediction.confidence)),
            mosaic=_to_draw(mosaic, prediction, folder),
            area=coverage.aoi.to_crs(mosaic.grid.crs).iloc[0],
            aoi_hectares=coverage.hectares,
            without_imagery=coverage.missing,
            without_data=coverage.without_data(prediction.hectares),
            gaps=coverage.gaps,
            polygons=_polygons(month.polygons),
            names=prediction.model.names,
            hectares=prediction.hectares,
            low_confidence=prediction.doubtful,
            metrics=metrics,
            warnings=warnings,
            provenance=provenance,
        )
        with reading(mosaic, "to draw the report"):
            pictures = draw_pictures(report, language)
        built = folder / month.report.name
        built.write_text(render(report, language, pictures), "utf-8")
        waiting = prediction.waiting(month.report)
        publish(built, waiting)
    show_pictures(str(month), pictures)
    return waiting


def _to_draw(mosaic: Mosaic, prediction: FinishedMap, folder: Path) -> Mosaic:
    """Return the imagery, or a mosaic of its thumbnails if there are any."""
    if not prediction.thumbnails:
        return mosaic
    small = fetch(list(prediction.thumbnails), folder)
    bands = {name: number for number, name in enumerate(PRIMARIES, start=1)}
    return mosaic_of(small, bands, folder / "thumbnails.parquet")


def _polygons(path: UPath) -> geopandas.GeoDataFrame:
    """Return the training polygons; none if the map is made with the model of an earlier run."""
    if not path.exists():
        return geopandas.GeoDataFrame({"class_label": []}, geometry=[], crs=4326)
    return geopandas.read_parquet(BytesIO(path.read_bytes()))
