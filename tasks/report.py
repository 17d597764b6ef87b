"""The month's report, for people who use neither a GIS nor a database."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import geopandas
from upath import UPath

from landcover.files import fetch, scratch
from landcover.imagery.images import gdal_path
from landcover.imagery.mosaic import Mosaic, mosaic_of
from landcover.imagery.survey import Survey
from landcover.imagery.thumbnails import PRIMARIES
from landcover.maps.assembly import FinishedMap
from landcover.publishing import publish
from tasks.access.settings import ReportSettings
from tasks.area_estimates import with_areas
from tasks.artifacts import show_pictures
from tasks.regions import page_with_regions
from tasks.retries import io_task
from tasks.run import Run
from tasks.training import Training


@io_task("write report", "write report {run}")
def write_report(
    run: Run,
    survey: Survey,
    finished: FinishedMap,
    polygons: UPath | None,
    training: Training,
    provenance: Mapping[str, object],
) -> UPath:
    """Write the month's report, and show its pictures in the Prefect UI.

    The page stays in the work folder until its map is recorded.

    Args:
        run: whose report.
        survey: the imagery, and what was found about it.
        finished: the map.
        polygons: the training polygons of its model; None where they are not at hand.
        training: the model, how good it is and what is probably wrong with it.
        provenance: what made the map: texts and numbers, or lists and mappings of them.

    Returns:
        Where the page is until then.

    Raises:
        SettingsError: if REPORT_LANGUAGE is not one of its languages.
        TransientError: if the imagery or the map cannot be read, or the page cannot be written.
    """
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.page import Report, draw_pictures, render

    mosaic = survey.mosaic
    language = run.settings[ReportSettings].report_language
    with run.storage(run.files.report), scratch(run.files.work) as folder:
        report = Report(
            period=run.period,
            map=gdal_path(finished.folder / finished.layers[0].file),
            confidence=gdal_path(finished.folder / finished.layers[1].file),
            mosaic=_to_draw(mosaic, finished, folder),
            area=run.area(mosaic.grid.crs),
            coverage=survey.coverage,
            polygons=_read_polygons(polygons),
            names=finished.model.names,
            hectares=finished.hectares,
            pixels=finished.pixels,
            low_confidence=finished.low_confidence,
            metrics=training.metrics,
            warnings=(*training.notices, *survey.notices, *finished.notices),
            provenance=provenance,
            sieved=finished.sieved,
            places=finished.places,
            grid=mosaic.grid,
            taught_by=tuple(training.taught_by),
        )
        with run.imagery(mosaic, "to draw the report"):
            pictures = draw_pictures(report, language)
        built = folder / run.files.report.name
        page = with_areas(run, "prediction", render(report, language, pictures), finished.sha256)
        page = page_with_regions(run, "prediction", page, finished.regions)
        built.write_text(page, "utf-8")
        waiting = finished.folder / built.name
        publish(built, waiting)
    show_pictures(str(run), pictures)
    return waiting


def _to_draw(mosaic: Mosaic, finished: FinishedMap, folder: Path) -> Mosaic:
    """Return the imagery, or a mosaic of its thumbnails if there are any."""
    if not finished.thumbnails:
        return mosaic
    small = fetch(list(finished.thumbnails), folder)
    bands = {name: number for number, name in enumerate(PRIMARIES, start=1)}
    return mosaic_of(small, bands, folder / "thumbnails.parquet")


def _read_polygons(path: UPath | None) -> geopandas.GeoDataFrame:
    if path is None:
        return geopandas.GeoDataFrame({"class_label": []}, geometry=[], crs=4326)
    return geopandas.read_parquet(BytesIO(path.read_bytes()))
