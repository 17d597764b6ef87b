"""A month of the record of deforestation: its windows brought up to date, and put together."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
from prefect.logging import get_run_logger
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from sqlalchemy import select
from upath import UPath

from landcover.change.alert_files import (
    REGIONS,
    read_geopackage,
    write_for_phones,
    write_geopackage,
)
from landcover.change.alerts import (
    new_since,
    no_alerts,
    numbered,
    tally,
    update_alerts,
)
from landcover.change.dates import day_of
from landcover.change.history import MappedMonth, MonthOfRecord, missing_between
from landcover.change.patches import join_windows, window_runs
from landcover.change.plan import (
    FinishedRecord,
    UpdatedWindow,
    UpdatePlan,
    months_unseen,
)
from landcover.change.record import (
    LEGEND,
    check_same_grid,
    layer_values,
    update_window,
)
from landcover.change.rule import FOREST, OUTSIDE, ChangeSettings, what_classes_say
from landcover.classes import names_in_tags
from landcover.errors import LandcoverError
from landcover.files import (
    absolute,
    failure_of,
    fetch,
    file_name,
    on_disk,
    scratch,
    sha256,
)
from landcover.geometry import LONLAT
from landcover.grid import grid_of
from landcover.imagery.images import gdal_path, open_image
from landcover.machine import cores
from landcover.maps.assembly import assemble_counted
from landcover.maps.layers import Layer
from landcover.maps.measure import measure_codes, total_hectares
from landcover.maps.pieces import piece_factors, write_piece
from landcover.maps.sidecar import sidecar_text
from landcover.maps.stac import RECORD, raster_item, stac_text
from landcover.notices import Notice
from landcover.publishing import publish_all
from landcover.version import code_version
from landcover.windows import memory_for_run, plan_windows
from tasks.access.settings import DeforestationSettings
from tasks.access.tables import PEOPLES, REJECTED, deforestation_alerts
from tasks.history import History, digest_of
from tasks.regions import Regions, regions_of_record, with_names
from tasks.retries import io_task
from tasks.run import Run
from tasks.windows import name_windows

# Bytes that a pixel of a window takes: what is known of it, what is written, and its alert.
A_PIXEL = 20

# The share of the forest that falls in one month, at most, without anyone asking why.
MOST_LOST = 0.05


@io_task("plan update", "plan update {run}")
def plan_update(
    run: Run, month: MappedMonth, before: MonthOfRecord | None, settings: ChangeSettings
) -> UpdatePlan:
    """Make sure that a month's map can be compared, and decide which windows are.

    Args:
        run: of the month.
        month: its map.
        before: the record up to the map before it; None where this is the first.
        settings: when lost forest is believed.

    Raises:
        LandcoverError: if the map or its confidence is not there, is not the one that its row
            describes, lies on another grid than the record, or has no class that is forest.
        TransientError: if the bucket cannot be reached.
    """
    ours = run.settings[DeforestationSettings]
    folder = run.files.record_work
    with run.storage(month.classes):
        check_map(month)
        with reading(month.classes), open_image(month.classes) as dataset:
            grid, tags = grid_of(dataset), dataset.tags(1)
        with reading(month.confidence):
            check_same_grid(gdal_path(month.confidence), grid, absolute(month.classes))
    names = names_in_tags(tags)
    says = what_classes_say(
        names, ours.forest_classes, ours.unclear_classes, absolute(month.classes)
    )
    if before:
        earlier = before.path("deforestation")
        with run.storage(before.folder), reading(earlier), open_image(earlier) as dataset:
            known = grid_of(dataset)
        with run.storage(month.classes):
            check_same_grid(gdal_path(month.classes), known, f"the record up to {before.period}")
    area = run.area(grid.crs)
    size, windows = plan_windows(
        grid, area, cores(), memory_for_run(), memory_of=lambda side: A_PIXEL * side**2
    )
    plan = UpdatePlan(
        month=month,
        before=before,
        says=tuple(says.tolist()),
        baseline=None if before else ours.forest_baseline,
        settings=settings,
        grid=grid,
        windows=tuple(windows),
        factors=tuple(piece_factors(grid, size)),
        folder=folder,
    )
    with run.storage(folder), scratch(folder) as local:
        built = local / plan.alerts.name
        last = before.period if before else None
        numbered(alerts_of(before, local), last, settings, grid).to_parquet(built)
        publish_all({plan.alerts: built})
    return plan


@io_task("update windows", partial(name_windows, "update"))
def update_windows_of_record(
    windows: Sequence[Window], run: Run, plan: UpdatePlan
) -> list[UpdatedWindow]:
    """Bring windows of the record up to a month.

    Args:
        windows: which pixels of the map.
        run: of the month.
        plan: what they are made from, and where they go.

    Raises:
        TransientError: if a raster in the bucket cannot be read.
        LandcoverError: if one on this machine cannot, or the baseline does not cover the area.
    """
    return [_update_window(window, run, plan) for window in windows]


def _update_window(window: Window, run: Run, plan: UpdatePlan) -> UpdatedWindow:
    period, grid = plan.period, plan.grid.part(window)
    says = np.array(plan.says, np.int8)
    area = run.area(plan.grid.crs)
    with run.storage(plan.folder), scratch(plan.folder) as local:
        alerts = geopandas.read_parquet(BytesIO(plan.alerts.read_bytes()))
        with reading(plan.month.classes):
            state = update_window(
                window,
                plan.grid,
                area,
                plan.map(),
                says,
                plan.settings,
                plan.record_before(),
                gdal_path(plan.baseline) if plan.baseline else None,
            )
        values, data = layer_values(state), {}
        files: dict[UPath, Path | UPath] = {}
        for layer in plan.layers:
            final = plan.piece(layer, window)
            files[final] = local / final.name
            write_piece(layer, values[layer.key], grid, plan.factors, local / final.name)
            first = values[layer.key].reshape(-1, window.height, window.width)[0]
            data[layer.key] = int(np.count_nonzero(first != layer.nodata))
        smallest, final = plan.settings.smallest_hectares, plan.runs(window)
        files[final] = local / final.name
        runs = window_runs(window, plan.grid, state, day_of(period), alerts, smallest)
        runs.to_parquet(local / final.name)
        publish_all(files)
    _, hectares = measure_codes(state.status, grid, OUTSIDE)
    _, unseen = measure_codes(months_unseen(state, period), grid, OUTSIDE)
    return UpdatedWindow(window, data, hectares, unseen)


@io_task("assemble record", "assemble record {run}")
def assemble_record(
    run: Run,
    plan: UpdatePlan,
    history: History,
    windows: Sequence[UpdatedWindow],
    regions: Regions | None = None,
) -> FinishedRecord:
    """Put the windows of a record together, check it, and bring its alerts up to the month.

    The record waits in the work folder until it is recorded.

    Args:
        run: of the month.
        plan: what it was made from.
        history: the maps that it rests on.
        windows: all of its windows.
        regions: that hectares are given for, if any.

    Raises:
        LandcoverError: if the record is not what its windows are, or the map was made again
            meanwhile.
        TransientError: if the bucket cannot be reached.
    """
    settings, period = plan.settings, plan.period
    with run.storage(plan.folder), scratch(plan.folder) as local:
        # Side by side: much of it is one core's work.
        with ThreadPoolExecutor(cores()) as pool:
            assemble = partial(_assemble, plan=plan, windows=windows, local=local)
            built = list(pool.map(assemble, plan.layers))
        check_map(plan.month)
        runs = [pd.read_parquet(BytesIO(plan.runs(part.window).read_bytes())) for part in windows]
        joined = join_windows(runs, plan.grid)
        standing = geopandas.read_parquet(BytesIO(plan.alerts.read_bytes()))
        before = alerts_of(plan.before, local)
        alerts = update_alerts(before, standing, joined, plan.grid, period, settings)
        alerts = with_names(run, alerts, regions)
        new = new_since(alerts, before)
        said = _said(run)
        rejected = frozenset(said.index[said["verification"] == REJECTED])
        written = [local / file_name("patches", period)]
        write_geopackage(alerts, written[0], said)
        phone_files = write_for_phones(new, period, local)
        digests = {layer.key: sha256(path) for layer, path in zip(plan.layers, built, strict=True)}
        digests["patches"] = sha256(written[0])
        by_region = (
            regions_of_record(run, regions, built[0], digests["deforestation"], alerts, rejected)
            if regions
            else None
        )
        companions = _companions(run, plan, built[0], digests["deforestation"])
        files = [*built, *written, *phone_files, *companions]
        publish_all({plan.folder / file.name: file for file in files})
    hectares = total_hectares([part.hectares for part in windows])
    counts = tally(alerts, new, rejected)
    notices = _notices(plan, history, new, hectares)
    for notice in notices:
        get_run_logger().warning("%s", notice)
    return FinishedRecord(
        plan=plan,
        waiting=plan.folder,
        phone_files=tuple(file.name for file in phone_files),
        sha256=digests,
        hectares=hectares,
        unseen=total_hectares([part.unseen for part in windows]),
        counts=counts,
        rejected=rejected,
        notices=notices,
        regions=by_region,
    )


@contextmanager
def reading(path: UPath, whose: str = "the record of deforestation") -> Iterator[None]:
    """Say in one sentence which raster cannot be read.

    Args:
        path: of the raster.
        whose: what needs it, for the message.

    Raises:
        TransientError: if it is in a bucket.
        LandcoverError: if it is on this machine, where trying again would not help.
    """
    try:
        yield
    except RasterioIOError as error:
        failure = failure_of(path)
        raise failure(
            f"A raster that {whose} needs cannot be read ({error}): put it back or, where it is "
            "the map of a month, map that month again."
        ) from error


def read_alerts(path: UPath, folder: Path) -> geopandas.GeoDataFrame:
    """Return the alerts of a GeoPackage on this machine or in the bucket.

    Args:
        path: of the file.
        folder: on this machine, for a copy.
    """
    return read_geopackage(fetch([path], folder)[0])


def alerts_of(record: MonthOfRecord | None, folder: Path) -> geopandas.GeoDataFrame:
    """Return the alerts of a record; none where there is no record.

    Args:
        record: up to some month.
        folder: on this machine, for a copy.
    """
    if record is None:
        return no_alerts()
    # Regions may be others since.
    return read_alerts(record.path("patches"), folder).drop(columns=REGIONS, errors="ignore")


def check_map(month: MappedMonth, whose: str = "the record of deforestation") -> None:
    """Make sure that a month's map is the one that its row describes.

    Args:
        month: the map.
        whose: what needs it, for messages.

    Raises:
        LandcoverError: if it is not, or is not there.
    """
    if digest_of(month.classes, whose) != month.sha256:
        raise LandcoverError(
            f"{absolute(month.classes)} is not the map that its row in raster_predictions "
            f"describes: if {month.period} was just mapped again, run this again; else map that "
            "month again."
        )


def _assemble(
    layer: Layer, plan: UpdatePlan, windows: Sequence[UpdatedWindow], local: Path
) -> Path:
    """Assemble a raster from its pieces, and make sure that it holds what they do."""
    paths = fetch([plan.piece(layer, part.window) for part in windows], local)
    pieces = dict(zip(paths, (part.window for part in windows), strict=True))
    tags = {"map": plan.month.classes.name, "code": code_version()}
    expected = sum(part.data[layer.key] for part in windows)
    with reading(plan.folder), on_disk(local):
        return assemble_counted(layer, pieces, plan.grid, plan.factors, tags, expected, local)


def _said(run: Run) -> pd.DataFrame:
    """Return what people have said of alerts, by the alert's id."""
    columns = [deforestation_alerts.c[name] for name in ("alert_id", *PEOPLES)]
    with run.tables() as connection:
        rows = connection.execute(select(*columns)).all()
    said = pd.DataFrame(rows, columns=["alert_id", *PEOPLES], dtype=object)
    return said.set_index("alert_id")


def _companions(run: Run, plan: UpdatePlan, built: Path, digest: str) -> list[Path]:
    """Write the sidecar and the STAC item of a record beside its raster."""
    before = f" and the record up to {plan.before.period}" if plan.before else ""
    item = raster_item(
        RECORD,
        built,
        digest,
        plan.period,
        run.area(LONLAT),
        LEGEND,
        f"Made from the map {plan.month.classes.name}{before}.",
        datetime.now(UTC),
    )
    texts = {
        built.with_name(file_name("record_legend", plan.period)): sidecar_text(LEGEND),
        built.with_name(file_name("record_item", plan.period)): stac_text(item),
    }
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    return list(texts)


def _notices(
    plan: UpdatePlan,
    history: History,
    new: geopandas.GeoDataFrame,
    hectares: Mapping[int, float],
) -> tuple[Notice, ...]:
    """Return what is probably wrong with a month of the record."""
    month = str(plan.period)
    upto = [mapped for mapped in history.maps if mapped.period <= plan.period]
    found = []
    if missing := missing_between(upto):
        found.append(Notice("record_gap", {"months": ", ".join(map(str, missing))}))
    if plan.month.warnings:
        found.append(Notice("map_warned", {"month": month, "count": plan.month.warnings}))
    fell = new["area_ha"].sum()
    share = fell / max(fell + hectares.get(FOREST, 0.0), 1e-9)
    if share > MOST_LOST:
        found.append(Notice("much_fell", {"month": month, "share": float(share)}))
    return tuple(found)
