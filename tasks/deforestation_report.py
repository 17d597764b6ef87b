"""The page about deforestation, for people who use neither a GIS nor a database."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect.logging import get_run_logger
from upath import UPath

from landcover.change.plan import FinishedRecord
from landcover.errors import LandcoverError, TransientError
from landcover.files import absolute, file_name, scratch
from landcover.imagery.images import gdal_path
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.quads import write_index
from landcover.period import Period
from landcover.publishing import publish
from landcover.version import library_versions
from tasks.access.settings import ReportSettings
from tasks.area_estimates import with_areas
from tasks.artifacts import show_alerts, show_pictures
from tasks.change import read_alerts, reading
from tasks.history import History
from tasks.mosaic import describe_imagery
from tasks.regions import page_with_regions
from tasks.retries import io_task
from tasks.run import Run


@io_task("write deforestation report", "write deforestation report {run}")
def write_deforestation_report(
    run: Run, finished: FinishedRecord, history: History, made_by: Mapping[str, object]
) -> UPath:
    """Write the page about deforestation, and show its pictures in the Prefect UI.

    The page stays in the work folder until its record is recorded.

    Args:
        run: of the month.
        finished: the record.
        history: the maps that it rests on.
        made_by: command, code version, flow run and settings.

    Returns:
        Where the page is until then.

    Raises:
        TransientError: if a raster in the bucket cannot be read.
        LandcoverError: if one on this machine cannot.
    """
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.deforestation import (
        LossReport,
        draw_loss,
        largest_alerts,
        months_drawn,
        render_loss,
    )

    plan, language = finished.plan, run.settings[ReportSettings].report_language
    raster = finished.waiting / file_name("deforestation", run.period)
    with run.storage(run.files.record["record_page"]), scratch(plan.folder) as folder:
        alerts = read_alerts(finished.waiting / file_name("patches", run.period), folder)
        largest = largest_alerts(alerts, finished.rejected, run.period)
        report = LossReport(
            period=run.period,
            first=history.maps[0].period,
            map=gdal_path(raster),
            crs=plan.grid.crs,
            area=run.area(plan.grid.crs),
            alerts=alerts,
            rejected=finished.rejected,
            counts=finished.counts,
            hectares=finished.hectares,
            unseen=finished.unseen,
            imagery=_imagery(run, history, months_drawn(largest), folder),
            settings=plan.settings,
            warnings=finished.notices,
            provenance={
                "map": {"path": absolute(plan.month.classes), "sha256": plan.month.sha256},
                **made_by,
                "versions": library_versions(),
            },
        )
        with reading(raster):
            pictures = draw_loss(report, language)
        built = folder / file_name("record_page", run.period)
        page = render_loss(report, language, pictures)
        digest = finished.sha256["deforestation"]
        page = with_areas(run, "deforestation", page, digest)
        page = page_with_regions(run, "deforestation", page, finished.regions)
        built.write_text(page, "utf-8")
        waiting = finished.waiting / built.name
        publish(built, waiting)
    show_pictures(f"deforestation-{run}", pictures)
    show_alerts(str(run), [_as_row(alert) for alert in largest.itertuples()])
    return waiting


def _as_row(alert: Any) -> dict[str, str]:  # noqa: ANN401
    """Return an alert as a row of the table in the Prefect UI."""
    point = alert.geometry.representative_point()
    return {
        "hectares": f"{alert.area_ha:,.1f}",
        "state": alert.state,
        "first detected": f"{alert.first_detected:%Y-%m}",
        "probability": f"{alert.probability:.1%}",
        "longitude": f"{point.x:.5f}",
        "latitude": f"{point.y:.5f}",
    }


def _imagery(
    run: Run, history: History, months: Iterable[Period], folder: Path
) -> dict[Period, Mosaic]:
    """Return the imagery of months, as far as it is there; it may have been removed since."""
    places = {month.period: month.mosaic for month in history.maps}
    found = {}
    for period in months:
        place = places.get(period)
        if place is None:
            continue
        try:
            mosaic, rasters = describe_imagery(run.of(period), place)
        except TransientError:
            raise
        except LandcoverError as error:
            get_run_logger().warning("The page does not show %s: %s", period, error)
            continue
        # Not where a run of that month keeps its own.
        index = folder / f"imagery_{period.key}.parquet"
        write_index(rasters, index)
        found[period] = replace(mosaic, index=UPath(index))
    return found
