"""Annual maps: a year's maps found, put together window by window, published and recorded."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect.logging import get_run_logger
from pydantic_settings import BaseSettings
from rasterio.windows import Window
from sqlalchemy import func
from upath import UPath

from landcover.change.annual import MONTHS, AnnualSettings
from landcover.change.annual_map import (
    LEGEND,
    NO_DATA,
    AnnualPlan,
    AnnualWindow,
    FinishedYear,
    annual_window,
    measure_window,
)
from landcover.change.history import MappedMonth
from landcover.change.record import check_same_grid
from landcover.change.rule import what_classes_say
from landcover.classes import names_in_tags
from landcover.errors import LandcoverError
from landcover.files import absolute, fetch, file_name, on_disk, scratch, sha256
from landcover.geometry import LONLAT
from landcover.grid import Grid, grid_of
from landcover.imagery.images import gdal_path, open_image
from landcover.machine import cores
from landcover.maps import regional
from landcover.maps.assembly import assemble_counted
from landcover.maps.layers import Layer
from landcover.maps.measure import total_hectares
from landcover.maps.pieces import piece_factors, write_piece
from landcover.maps.sidecar import sidecar_text
from landcover.maps.stac import ANNUAL as ANNUAL_ITEM
from landcover.maps.stac import raster_item, stac_text
from landcover.notices import Notice
from landcover.period import CalendarYear
from landcover.publishing import publish_all
from landcover.version import code_version
from landcover.windows import BLOCK, memory_for_run, plan_windows
from tasks.access.blocks import Blocks
from tasks.access.settings import DeforestationSettings
from tasks.access.tables import ANNUAL, DETAILS, annual_maps, names_of, replace_row
from tasks.change import check_map, reading
from tasks.history import recorded_maps, with_digest
from tasks.records import recording
from tasks.regions import Regions, regions_of_year
from tasks.retries import io_task
from tasks.run import (
    Places,
    Run,
    described_by,
    open_alone,
    prepare_run,
    tables_of_regions,
)
from tasks.windows import name_windows

# In the order in which they are published: the one that the row describes last.
FILES = ("forest_page", "forest_legend", "forest_item", "clear_months", "forest")

NEEDS_IT = "the annual map"


def year_of(run: Run) -> CalendarYear:
    """Return the year that a run is for.

    Args:
        run: of its last month.
    """
    return CalendarYear(run.period.year)


def annual_files(run: Run) -> dict[str, UPath]:
    """Return where the files of an annual map are, by the keys of their names.

    Args:
        run: of the year.
    """
    return {what: run.files.maps / file_name(what, year_of(run)) for what in FILES}


def open_annual(
    year: CalendarYear, blocks: Blocks, needs: Sequence[type[BaseSettings]] = ()
) -> AbstractContextManager[Run]:
    """Open a run that makes an annual map.

    Args:
        year: which.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Returns:
        The run, as that of the year's last month, with a work folder of its own.

    Raises:
        SettingsError: if a setting or the area of interest is malformed, or credentials are
            refused.
        LandcoverError: if a place cannot be written, or another run of the year is at work.
        TransientError: if database or bucket cannot be reached.
    """
    run = prepare_run(year.months[-1], blocks, needs).working_in(f"forest_{year}")
    tables, files = (*ANNUAL, *tables_of_regions(run)), tuple(annual_files(run).values())
    described = described_by(annual_maps, files)
    return open_alone(run, year, Places(run.files.work, names_of(tables), files, (described,)))


@io_task("plan annual map", "plan annual map {run.period.year}")
def plan_annual(run: Run, settings: AnnualSettings) -> AnnualPlan:
    """Find the maps of a year, and make sure that they can be put together.

    Args:
        run: of the year.
        settings: the rule.

    Raises:
        LandcoverError: if the year has no map, or a map is not there, is not the one that its row
            describes, lies on another grid than the first, or has no class that is forest.
        TransientError: if database or bucket cannot be reached.
    """
    year, ours = year_of(run), run.settings[DeforestationSettings]
    maps = _maps_of(run, year)
    grid: Grid | None = None
    says = []
    for month in maps:
        with run.storage(month.classes), reading(month.classes, NEEDS_IT):
            check_map(month, NEEDS_IT)
            with open_image(month.classes) as dataset:
                names, found = names_in_tags(dataset.tags(1)), grid_of(dataset)
            grid = grid or found
            for path in [month.classes, month.confidence][: 1 + settings.needs_confidence]:
                check_same_grid(gdal_path(path), grid, f"that of {maps[0].period}", "")
        told = what_classes_say(
            names, ours.forest_classes, ours.unclear_classes, absolute(month.classes)
        )
        says.append(tuple(told.tolist()))
    assert grid is not None  # of the first map
    rasters = len(maps) * (1 + settings.needs_confidence)
    size, windows = plan_windows(
        grid,
        run.area(grid.crs),
        cores(),
        memory_for_run(),
        # What is made, its areas and its pieces; and a strip of all months.
        memory_of=lambda side: 4 * side**2 + (rasters + 12) * BLOCK * side,
    )
    plan = AnnualPlan(
        year=year,
        maps=maps,
        says=tuple(says),
        settings=settings,
        grid=grid,
        windows=tuple(windows),
        factors=tuple(piece_factors(grid, size)),
        folder=run.files.work,
    )
    months = ", ".join(str(month.period) for month in maps)
    get_run_logger().info("%s is put together from the maps of %s", year, months)
    return plan


def _maps_of(run: Run, year: CalendarYear) -> tuple[MappedMonth, ...]:
    """Return the recorded maps of a year, in the order of their months."""
    with run.tables() as connection:
        rows = recorded_maps(run, connection)
    of_year = [row for month, row in rows.items() if month.startswith(f"{year}-")]
    if not of_year:
        years = sorted({month[:4] for month in rows})
        found = f"of {years[0]} to {years[-1]}" if years else "of no year at all"
        raise LandcoverError(
            f"No map of a month of {year} is recorded in raster_predictions, which has maps "
            f"{found}: map its months first, with python flows/backfill.py --from {year}-01 --to "
            f"{year}-12."
        )
    with run.storage(run.files.maps):
        return tuple(with_digest(row) for row in of_year)


@io_task("make annual windows", partial(name_windows, "make"))
def make_annual_windows(
    windows: Sequence[Window], run: Run, plan: AnnualPlan
) -> list[AnnualWindow]:
    """Put windows of a year's maps together.

    Args:
        windows: which pixels of the map.
        run: of the year.
        plan: what they are made from, and where they go.

    Raises:
        TransientError: if a map in the bucket cannot be read.
        LandcoverError: if one on this machine cannot.
    """
    return [_make_window(window, run, plan) for window in windows]


def _make_window(window: Window, run: Run, plan: AnnualPlan) -> AnnualWindow:
    area = run.area(plan.grid.crs)
    with run.storage(plan.folder), scratch(plan.folder) as local:
        with reading(plan.maps[0].classes, NEEDS_IT):
            made = annual_window(window, plan, area)
        files: dict[UPath, Path | UPath] = {}
        for layer, values in zip(plan.layers, made, strict=True):
            final = plan.piece(layer, window)
            files[final] = local / final.name
            write_piece(layer, values, plan.grid.part(window), plan.factors, local / final.name)
        publish_all(files)
    return measure_window(window, plan.grid, *made)


@io_task("assemble annual map", "assemble annual map {plan.year}")
def assemble_annual(
    run: Run,
    plan: AnnualPlan,
    windows: Sequence[AnnualWindow],
    regions: Regions | None = None,
) -> FinishedYear:
    """Put the windows of an annual map together, and check it.

    It waits in the work folder until it is recorded.

    Args:
        run: of the year.
        plan: what it was made from.
        windows: all of its windows.
        regions: that hectares are given for, if any.

    Raises:
        LandcoverError: if the map is not what its windows are, or one that it was made from was
            made again meanwhile.
        TransientError: if the bucket cannot be reached.
    """
    with run.storage(plan.folder), scratch(plan.folder) as local:
        # Side by side: much of it is one core's work.
        with ThreadPoolExecutor(cores()) as pool:
            assemble = partial(_assemble, plan=plan, windows=windows, local=local)
            built = list(pool.map(assemble, plan.layers))
        for month in plan.maps:
            check_map(month, NEEDS_IT)
        digests = {layer.key: sha256(path) for layer, path in zip(plan.layers, built, strict=True)}
        by_region = regions_of_year(run, regions, built[0], digests["forest"]) if regions else None
        files = [*built, *_companions(run, plan, built[0], digests["forest"])]
        publish_all({plan.folder / file.name: file for file in files})
    notices = _notices(plan)
    for notice in notices:
        get_run_logger().warning("%s", notice)
    return FinishedYear(
        plan=plan,
        sha256=digests,
        hectares=total_hectares([part.hectares for part in windows]),
        clear=total_hectares([part.clear for part in windows]),
        notices=notices,
        regions=by_region,
    )


def _assemble(layer: Layer, plan: AnnualPlan, windows: Sequence[AnnualWindow], local: Path) -> Path:
    """Assemble a raster from its pieces, and make sure that it holds what they do."""
    paths = fetch([plan.piece(layer, part.window) for part in windows], local)
    pieces = dict(zip(paths, (part.window for part in windows), strict=True))
    tags = {
        "rule": plan.settings.rule,
        "months": ", ".join(str(month.period) for month in plan.maps),
        "code": code_version(),
    }
    expected = sum(part.data[layer.key] for part in windows)
    with reading(plan.folder, NEEDS_IT), on_disk(local):
        return assemble_counted(layer, pieces, plan.grid, plan.factors, tags, expected, local)


def _companions(run: Run, plan: AnnualPlan, built: Path, digest: str) -> list[Path]:
    """Write the sidecar and the STAC item of an annual map beside its raster."""
    names = ", ".join(month.classes.name for month in plan.maps)
    item = raster_item(
        ANNUAL_ITEM,
        built,
        digest,
        plan.year,
        run.area(LONLAT),
        LEGEND,
        f"Made by the rule {plan.settings.rule} from the maps {names}.",
        datetime.now(UTC),
    )
    texts = {
        built.with_name(file_name("forest_legend", plan.year)): sidecar_text(LEGEND),
        built.with_name(file_name("forest_item", plan.year)): stac_text(item),
    }
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    return list(texts)


def _notices(plan: AnnualPlan) -> tuple[Notice, ...]:
    """Return what is probably wrong with an annual map."""
    found = []
    if plan.missing:
        months = ", ".join(map(str, plan.missing))
        found.append(Notice("annual_gap", {"months": months, "count": len(plan.maps)}))
    if len(plan.maps) < plan.settings.least:
        found.append(
            Notice(
                "annual_too_few",
                {
                    "rule": plan.settings.rule,
                    "least": plan.settings.least,
                    "count": len(plan.maps),
                },
            )
        )
    for month in plan.maps:
        if month.warnings:
            values = {"month": str(month.period), "count": month.warnings}
            found.append(Notice("annual_warned", values))
    return tuple(found)


@io_task("record annual map", "record annual map {finished.plan.year}")
def record_annual(run: Run, finished: FinishedYear, made_by: Mapping[str, object]) -> int:
    """Publish and record an annual map, in place of an earlier one of the same year.

    The files are published as those of a map are: see `tasks.records.recording`.

    Args:
        run: of the year.
        finished: the map.
        made_by: command, code version, flow run.

    Returns:
        The `annual_id`.

    Raises:
        LandcoverError: if another run of the year has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    finals = annual_files(run)
    final = finals["forest"]
    files = {path: finished.waiting / path.name for path in finals.values()}
    with recording(run, year_of(run), annual_maps, files, made_by) as connection:
        annual_id = replace_row(
            connection,
            annual_maps,
            {
                "annual_filename": final.name,
                "annual_path": absolute(final),
                "generated_at": func.now(),
                "year": finished.plan.year.year,
                DETAILS: {**_details(finished), **made_by},
            },
        )
    get_run_logger().info("Annual map written to %s", final)
    get_run_logger().info("Recorded it as annual_maps.annual_id %d", annual_id)
    return int(annual_id)


def _details(finished: FinishedYear) -> dict[str, Any]:
    plan = finished.plan
    names = {**LEGEND.names, NO_DATA: regional.NO_DATA}
    return {
        "rule": plan.settings.rule,
        "parameters": plan.settings.parameters(),
        "least_clear_months": plan.settings.least,
        "hectares": {
            name: round(finished.hectares.get(code, 0.0), 2) for code, name in names.items()
        },
        "clear_months_ha": {
            str(count): round(finished.clear.get(count, 0.0), 2) for count in range(MONTHS + 1)
        },
        "maps": {str(month.period): month.sha256 for month in plan.maps},
        "missing": [str(period) for period in plan.missing],
        "sha256": finished.sha256["forest"],
        "files": dict(finished.sha256),
        "warnings": [str(notice) for notice in finished.notices],
    }
