"""The page about a year, for people who use neither a GIS nor a database."""

from collections.abc import Mapping

from upath import UPath

from landcover.change.annual_map import FinishedYear
from landcover.files import absolute, file_name, scratch
from landcover.imagery.images import gdal_path
from landcover.publishing import publish
from landcover.version import library_versions
from tasks.access.settings import ReportSettings
from tasks.annual_map import NEEDS_IT, annual_files
from tasks.artifacts import show_pictures
from tasks.change import reading
from tasks.regions import page_with_regions
from tasks.retries import io_task
from tasks.run import Run


@io_task("write annual page", "write annual page {finished.plan.year}")
def write_annual_page(run: Run, finished: FinishedYear, made_by: Mapping[str, object]) -> UPath:
    """Write the page about a year, and show its pictures in the Prefect UI.

    The page stays in the work folder until its map is recorded.

    Args:
        run: of the year.
        finished: the annual map.
        made_by: command, code version, flow run and settings.

    Returns:
        Where the page is until then.

    Raises:
        TransientError: if a raster in the bucket cannot be read.
        LandcoverError: if one on this machine cannot.
    """
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.annual import AnnualReport, draw_annual, render_annual

    plan, language = finished.plan, run.settings[ReportSettings].report_language
    final = annual_files(run)["forest"]
    forest, clear = (finished.waiting / layer.file for layer in plan.layers)
    report = AnnualReport(
        finished=finished,
        map=gdal_path(forest),
        clear=gdal_path(clear),
        area=run.area(plan.grid.crs),
        provenance={
            "map": {"path": absolute(final), "sha256": finished.sha256["forest"]},
            "rule": {"name": plan.settings.rule, **plan.settings.parameters()},
            "maps": {str(month.period): month.sha256 for month in plan.maps},
            **made_by,
            "versions": library_versions(),
        },
    )
    with run.storage(final), scratch(plan.folder) as folder:
        with reading(forest, NEEDS_IT):
            pictures = draw_annual(report, language)
        built = folder / file_name("forest_page", plan.year)
        page = render_annual(report, language, pictures)
        built.write_text(page_with_regions(run, "forest", page, finished.regions), "utf-8")
        waiting = finished.waiting / built.name
        publish(built, waiting)
    show_pictures(f"forest-{plan.year}", pictures)
    return waiting
