"""Hectares by region: the regions that the settings name, and what maps say of them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import geopandas
import pandas as pd
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from pydantic_settings import BaseSettings
from rasterio.errors import RasterioIOError
from sqlalchemy import bindparam, select, update
from upath import UPath

from landcover.change import annual_map
from landcover.change.alert_files import read_geopackage
from landcover.change.alerts import counted
from landcover.change.record import LEGEND
from landcover.change.rule import CONFIRMED, WARNING
from landcover.classes import label_key, names_in_tags
from landcover.errors import LandcoverError, SettingsError
from landcover.files import absolute, fetch, file_name, scratch, sha256
from landcover.geometry import reproject_rows
from landcover.grid import grid_of
from landcover.imagery.images import open_image
from landcover.machine import cores
from landcover.maps.regional import (
    NO_DATA,
    NO_IMAGERY,
    RegionalAreas,
    measure_regions,
    region_table,
    shared_hectares,
)
from landcover.notices import Notice
from landcover.period import CalendarYear, Period
from landcover.publishing import publish
from landcover.regions import (
    names_under,
    outside,
    overlaps,
    part_regions,
    read_regions,
    tidy_regions,
)
from landcover.vectors import PARTS, VectorFile
from tasks.access.blocks import Blocks
from tasks.access.lock import RECORD, only_run
from tasks.access.region_table import read_region_table
from tasks.access.settings import DeforestationSettings, RegionSettings, ReportSettings
from tasks.access.tables import (
    DETAILS,
    REGIONS,
    REJECTED,
    deforestation_alerts,
    names_of,
    region_statistics,
    replace_rows,
)
from tasks.artifacts import show_regions
from tasks.retries import io_task
from tasks.run import Places, Run, open_alone, prepare_run

# What regions are measured on: a month's map, the record up to it, or the map of a year.
Of = Literal["prediction", "deforestation", "forest"]

# All of it that there may be of a month, and of a year.
MEASURED: Mapping[type[Period | CalendarYear], tuple[Of, ...]] = {
    Period: ("prediction", "deforestation"),
    CalendarYear: ("forest",),
}


@dataclass(frozen=True)
class Regions:
    """The regions of a run."""

    path: UPath
    """A GeoParquet file of `name` and geometries, in their own CRS."""
    source: str
    """The file or table that they come from."""
    far: tuple[str, ...]
    """The names of those that do not touch the area of interest, which are not in the file."""
    notices: tuple[Notice, ...]
    """What is to be told of them."""

    def load(self, run: Run) -> geopandas.GeoDataFrame:
        """Return `name` and geometries.

        Args:
            run: whose bucket they may be in.
        """
        with run.storage(self.path):
            return geopandas.read_parquet(BytesIO(self.path.read_bytes()))


@io_task("fetch regions", "fetch regions {run}")
def fetch_regions(run: Run, work: UPath) -> Regions | None:
    """Fetch the regions that hectares are given for.

    Args:
        run: whose settings name them.
        work: the folder of its work in progress, where they are kept as they are now.

    Returns:
        None where the settings name none.

    Raises:
        SettingsError: if there is no such table, file or column, it does not hold polygons, or none
            of them has a name, or touches the area of interest.
        LandcoverError: if a name is not text that can be used.
        TransientError: if database or bucket cannot be reached.
    """
    settings = run.settings[RegionSettings]
    if settings.regions is None:
        return None
    assert run.aoi is not None
    final = work / "regions.parquet"
    with run.storage(final), scratch(work) as folder:
        if settings.vector_file:
            file = _here(run, settings.vector_file, folder)
            found = read_regions(file, settings.regions_name_col)
        else:
            block = run.blocks.database_block
            found = read_region_table(settings.regions, settings.regions_name_col, block)
        tidied, notices = tidy_regions(found, settings.regions)
        near, far = part_regions(tidied, run.aoi, settings.regions)
        built = folder / final.name
        near.to_parquet(built)
        publish(built, final)
    for notice in notices:
        get_run_logger().warning("%s", notice)
    get_run_logger().info("%d regions from %s", len(near), settings.regions)
    return Regions(final, settings.regions, tuple(far), tuple(notices))


def _here(run: Run, file: VectorFile, folder: Path) -> VectorFile:
    """Return a file of the bucket as one on this machine; others as they are."""
    if not file.text.strip().startswith("s3://"):
        return file
    path = UPath(file.text.strip().partition("|")[0])
    with run.storage(path):
        if not path.is_file():
            return file
        parts = [path]
        if path.suffix.lower() == ".shp":
            beside = (path.with_suffix(suffix) for part in PARTS for suffix in (part, part.upper()))
            parts += [part for part in beside if part.is_file()]
        return replace(file, path=fetch(parts, folder)[0])


def regions_of_map(
    run: Run, regions: Regions, raster: Path, digest: str, names: Mapping[int, str]
) -> RegionalAreas:
    """Measure the classes of a month's map in each region.

    Args:
        run: whose map.
        regions: see `fetch_regions`.
        raster: the map, on this machine.
        digest: its SHA-256.
        names: the name of each class code.

    Raises:
        RasterioIOError: if the map cannot be read.
    """
    forest = {label_key(name) for name in run.settings[DeforestationSettings].forest_classes}
    codes = {code for code, name in names.items() if label_key(name) in forest}
    return areas_of_regions(run, regions, raster, digest, names, codes)


def regions_of_record(
    run: Run,
    regions: Regions,
    raster: Path,
    digest: str,
    alerts: geopandas.GeoDataFrame,
    rejected: Collection[str],
) -> RegionalAreas:
    """Measure what is known of lost forest in each region, and count its alerts.

    Args:
        run: of the month.
        regions: see `fetch_regions`.
        raster: the record, on this machine.
        digest: its SHA-256.
        alerts: up to the month, with the names of their `regions`.
        rejected: the ids of those that people have rejected.

    Raises:
        RasterioIOError: if the record cannot be read.
    """
    areas = areas_of_regions(run, regions, raster, digest, LEGEND.names, nodata=None)
    each = counted(alerts, rejected).explode("regions")
    counts = each.groupby(["regions", "state"]).size()
    state_of = {LEGEND.names[WARNING]: "warning", LEGEND.names[CONFIRMED]: "confirmed"}
    table = areas.table
    table["alerts"] = pd.array(
        [
            counts.get((region, state_of[name]), 0) if name in state_of else None
            for region, name in zip(table["region"], table["class"], strict=True)
        ],
        dtype="Int64",
    )
    return areas


def regions_of_year(run: Run, regions: Regions, raster: Path, digest: str) -> RegionalAreas:
    """Measure forest, other land and what has no data in each region.

    Args:
        run: of the year.
        regions: see `fetch_regions`.
        raster: its map, on this machine.
        digest: its SHA-256.

    Raises:
        RasterioIOError: if the map cannot be read.
    """
    names = annual_map.LEGEND.names
    return areas_of_regions(run, regions, raster, digest, names, nodata=NO_DATA)


def areas_of_regions(
    run: Run,
    regions: Regions,
    raster: Path,
    digest: str,
    classes: Mapping[int, str],
    forest: Collection[int] = (),
    nodata: str | None = NO_IMAGERY,
) -> RegionalAreas:
    """Measure each class of any raster of codes in each region.

    Args:
        run: whose area of interest.
        regions: see `fetch_regions`.
        raster: on this machine: a map of a month or of a year, or a record.
        digest: its SHA-256.
        classes: the name of each of its codes.
        forest: those that are forest; with any, the table has a row of all of them.
        nodata: what pixels without a class are called; None where they do not count.

    Raises:
        RasterioIOError: if it cannot be read.
    """
    with open_image(UPath(raster)) as dataset:
        grid = grid_of(dataset)
    shapes = regions.load(run)
    names = shapes["name"].to_list()
    outlines = list(reproject_rows(shapes.geometry, grid.crs))
    totals = measure_regions(str(raster), outlines, run.area(grid.crs), cores())
    table = region_table(totals, names, classes, forest, nodata)
    left_out = sorted({*names, *regions.far} - set(table["region"]))
    notices = [
        *outside(left_out, len(names) + len(regions.far)),
        *overlaps(shared_hectares(totals, names)),
    ]
    for notice in notices:
        get_run_logger().warning("%s", notice)
    told = (*regions.notices, *notices)
    return RegionalAreas(table, told, digest, regions.source)


def with_names(
    run: Run, alerts: geopandas.GeoDataFrame, regions: Regions | None
) -> geopandas.GeoDataFrame:
    """Return alerts with the names of the `regions` that each has a part in.

    Args:
        run: of the month.
        alerts: in longitude and latitude.
        regions: see `fetch_regions`; without any, there is no such column.
    """
    if regions is None:
        return alerts
    return alerts.assign(regions=names_under(alerts.geometry, regions.load(run)))


def period_of(run: Run, of: Of) -> Period | CalendarYear:
    """Return the month that regions are measured for, or the year where it is of one.

    Args:
        run: of the month; for a year, of one of its months.
        of: what they are measured on.
    """
    return CalendarYear(run.period.year) if of == "forest" else run.period


def regions_file(run: Run, of: Of) -> UPath:
    """Return where the hectares by region of a month or a year are.

    Args:
        run: see `period_of`.
        of: what they are measured on.
    """
    what = "regions" if of == "prediction" else f"{of}_regions"
    return run.files.maps / file_name(what, period_of(run, of))


def record_regions_of(
    run: Run, of: Of, areas: RegionalAreas | None, made_by: Mapping[str, object]
) -> None:
    """Do as `record_regions`, where regions are set.

    Args:
        run: see `period_of`.
        of: what they were measured on.
        areas: what it says; nothing is done where it is None.
        made_by: command, code version, flow run.
    """
    if areas is not None:
        record_regions(run, of, areas, made_by)


def _name_run(doing: str) -> str:
    given = task_run.parameters
    return f"{doing} on {given['of']} of {period_of(given['run'], given['of'])}"


@io_task("record regions", partial(_name_run, "record regions"))
def record_regions(run: Run, of: Of, areas: RegionalAreas, made_by: Mapping[str, object]) -> None:
    """Publish hectares by region as a table, record them, and show them in the Prefect UI.

    A row takes the place of the one of the same file, region and class; one of a region that there
    is no more loses its numbers.

    Args:
        run: see `period_of`.
        of: what they were measured on.
        areas: what it says.
        made_by: command, code version, flow run.

    Raises:
        LandcoverError: if the table does not take the rows.
        TransientError: if database or bucket cannot be reached.
    """
    table, final, period = areas.table, regions_file(run, of), period_of(run, of)
    with run.storage(final), scratch(run.files.work) as folder:
        built = folder / final.name
        # Hectares to a square metre, a share to a millionth.
        rounded = table.round({"hectares": 4, "share": 6})
        rounded = rounded if table["alerts"].notna().any() else rounded.drop(columns="alerts")
        rounded.to_csv(built, index=False)
        details = {
            "map_sha256": areas.map_sha256,
            "sha256": sha256(built),
            "regions": areas.source,
            "flow_run_id": made_by.get("flow_run_id"),
        }
        publish(built, final)
    values = table.astype(object).where(table.notna(), None)
    rows: list[dict[str, Any]] = [
        {
            **{str(column): value for column, value in row.items()},
            "statistic_name": f"{final.name}: {row['region']}: {row['class']}",
            "raster": of,
            "year": period.year,
            "month": period.month if isinstance(period, Period) else None,
            "generated_at": datetime.now(UTC),
            DETAILS: details,
        }
        for row in values.to_dict("records")
    ]
    ours = region_statistics.c.statistic_name.startswith(f"{final.name}: ", autoescape=True)
    with run.tables() as connection:
        # What is there no more keeps its row, without numbers: a role may not be let delete.
        numbers = dict.fromkeys(("hectares", "share", "alerts"))
        connection.execute(update(region_statistics).where(ours).values(numbers))
        replace_rows(connection, region_statistics, rows)
    get_run_logger().info("Hectares by region written to %s", final)
    show_regions(f"{of}-{period}", rounded)


def page_with_regions(run: Run, of: Of, page: str, areas: RegionalAreas | None) -> str:
    """Return a page with a section about regions, if anything was measured.

    Args:
        run: whose language (see `period_of`).
        of: what the page is about.
        page: as it was rendered; one of an earlier version has no place for it.
        areas: what the raster says.
    """
    if areas is None:
        return page
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.areas import with_section
    from landcover.report.regions import BEGIN, END, section_of

    language = run.settings[ReportSettings].report_language
    section = section_of(areas, of, regions_file(run, of).name, language)
    found = with_section(page, section, BEGIN, END)
    if found is None:
        get_run_logger().warning(
            "The page of %s is of an earlier version, so it does not show regions: make it again",
            period_of(run, of),
        )
    return found or page


def work_of_regions(period: Period | CalendarYear) -> str:
    """Return the name of the folder of work of a run that measures regions alone.

    Args:
        period: the month, or the year.
    """
    return f"regions_{period.key}"


def open_regions(
    period: Period | CalendarYear, blocks: Blocks, needs: Sequence[type[BaseSettings]]
) -> AbstractContextManager[Run]:
    """Open a run that measures regions on what is there, with a work folder of its own.

    Args:
        period: the month; or the year, whose run is that of its last month.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting is malformed, REGIONS is not set, or credentials are refused.
        LandcoverError: if a place cannot be written, or another run of that period is at work.
        TransientError: if database or bucket cannot be reached.
    """
    month = period if isinstance(period, Period) else period.months[-1]
    run = prepare_run(month, blocks, needs).working_in(work_of_regions(period))
    if run.settings[RegionSettings].regions is None:
        raise SettingsError(
            "REGIONS is not set, so there is nothing to measure: set it to a vector file or table "
            "of polygons, such as parishes."
        )
    files = tuple(regions_file(run, of) for of in MEASURED[type(period)])
    return open_alone(run, period, Places(run.files.work, names_of(REGIONS), files))


def alone(run: Run, of: Of) -> AbstractContextManager[None]:
    """Keep others from making anew what is measured: the record, as maps are kept by the run.

    Args:
        run: see `period_of`.
        of: what is measured.
    """
    if of != "deforestation":
        return nullcontext()
    return only_run(RECORD, run.blocks.database_block)


@io_task("measure regions", partial(_name_run, "measure regions"))
def measure_again(
    run: Run, regions: Regions, of: Of, made_by: Mapping[str, object]
) -> RegionalAreas | None:
    """Measure regions on a map or a record that is published, and put them on its page.

    Args:
        run: see `period_of`.
        regions: see `fetch_regions`.
        of: what is measured.
        made_by: command, code version, flow run.

    Returns:
        What was measured; None where there is no such raster.

    Raises:
        LandcoverError: if the raster cannot be read, or the table does not take the rows.
        TransientError: if database or bucket cannot be reached.
    """
    raster, page = _raster_and_page(run, of)
    with run.storage(raster), scratch(run.files.work) as folder:
        if not raster.exists():
            return None
        (here,) = fetch([raster], folder)
        digest = sha256(here)
        try:
            if of == "prediction":
                areas = regions_of_map(run, regions, here, digest, _names_of(here))
            elif of == "forest":
                areas = regions_of_year(run, regions, here, digest)
            else:
                areas = _record_again(run, regions, here, digest, folder)
        except RasterioIOError as error:
            raise LandcoverError(
                f"{absolute(raster)} cannot be read ({error}), so regions cannot be measured on "
                "it: make it again."
            ) from error
        if page.exists():
            built = folder / page.name
            text = page_with_regions(run, of, page.read_text("utf-8"), areas)
            built.write_text(text, "utf-8")
            publish(built, page)
    record_regions_of(run, of, areas, made_by)
    return areas


def _raster_and_page(run: Run, of: Of) -> tuple[UPath, UPath]:
    """Return what is measured, and the page about it."""
    if of == "forest":
        forest, page = (file_name(what, period_of(run, of)) for what in ("forest", "forest_page"))
        return run.files.maps / forest, run.files.maps / page
    if of == "prediction":
        return run.files.map, run.files.report
    return run.files.record["deforestation"], run.files.record["record_page"]


def _names_of(raster: Path) -> dict[int, str]:
    """Return the name of each class code, as a map says it of itself."""
    with open_image(UPath(raster)) as dataset:
        return names_in_tags(dataset.tags(1))


def _record_again(
    run: Run, regions: Regions, raster: Path, digest: str, folder: Path
) -> RegionalAreas:
    """Do as `regions_of_record`; alerts get the names of their regions in the database too."""
    alerts = read_geopackage(fetch([run.files.record["patches"]], folder)[0])
    alerts = with_names(run, alerts, regions)
    columns = deforestation_alerts.c
    with run.tables() as connection:
        said = select(columns.alert_id).where(columns.verification == REJECTED)
        rejected = set(connection.scalars(said))
        named = [
            {"alert": alert, "names": names}
            for alert, names in zip(alerts["alert_id"], alerts["regions"], strict=True)
        ]
        is_it = columns.alert_id == bindparam("alert")
        statement = update(deforestation_alerts).where(is_it).values(regions=bindparam("names"))
        if named:
            connection.execute(statement, named)
    return regions_of_record(run, regions, raster, digest, alerts, rejected)
