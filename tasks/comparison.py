"""A month's or a year's map held against another map: raster, tables, page."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from prefect.logging import get_run_logger
from pydantic_settings import BaseSettings
from rasterio.errors import RasterioIOError
from sqlalchemy import Table
from upath import UPath

from landcover.accuracy.areas import Areas
from landcover.accuracy.comparison import (
    LEGEND,
    NOTHING,
    Comparison,
    Says,
    accuracy_table,
    codes_of,
    compare_window,
    judge,
    layer_of,
    notices_of,
    says_of_classes,
    says_of_forest_map,
)
from landcover.accuracy.other_map import (
    OtherMap,
    check_seen,
    find_other,
    pixel_metres,
    read_no_data,
    read_rule,
)
from landcover.accuracy.sample_files import read_key
from landcover.classes import names_in_tags
from landcover.errors import LandcoverError, SettingsError
from landcover.files import (
    absolute,
    comparison_files,
    expanded,
    failure_of,
    file_name,
    on_disk,
    scratch,
    sha256,
)
from landcover.geometry import to_lonlat
from landcover.grid import Grid, grid_of
from landcover.imagery.images import gdal_path, open_image
from landcover.machine import cores
from landcover.maps.assembly import assemble_counted
from landcover.maps.measure import measure_codes, total_hectares
from landcover.maps.pieces import piece_factors, write_piece
from landcover.maps.sidecar import sidecar_text
from landcover.notices import Notice
from landcover.period import CalendarYear, Period
from landcover.publishing import publish_all
from landcover.version import code_version, library_versions
from landcover.windows import memory_for_run, plan_windows
from tasks.access.blocks import Blocks
from tasks.access.lock import hold
from tasks.access.settings import DeforestationSettings, ReportSettings
from tasks.access.storage import side_by_side
from tasks.access.tables import (
    DETAILS,
    MAPS,
    annual_maps,
    names_of,
    raster_predictions,
    row_of,
)
from tasks.area_estimates import read_taken
from tasks.artifacts import show_comparison, show_pictures
from tasks.reference_sample import file_of
from tasks.retries import io_task
from tasks.run import Places, Run, open_alone, prepare_run

# Bytes that a pixel of a window takes: both maps, values of eight bytes, and what is written.
A_PIXEL = 40


@dataclass(frozen=True)
class Compared:
    """What is held against another map, and under which name; as text, such as 2025-06 or 2024."""

    period: Period | CalendarYear
    """Of the map. It is locked meanwhile, so that the map is not replaced."""
    name: str | None = None
    """What the other map is called in the names of files, where several are compared."""

    def __str__(self) -> str:
        """Return the month, or the year."""
        return str(self.period)

    @property
    def month(self) -> Period | None:
        """The month of the map; None where it is that of a year."""
        return self.period if isinstance(self.period, Period) else None

    @property
    def label(self) -> str:
        """Its name with that of the other map, such as 2025-06-worldcover."""
        return f"{self}-{self.name}" if self.name else str(self)


@dataclass(frozen=True)
class Ours:
    """A map that is held against another."""

    path: UPath
    sha256: str
    says: tuple[int, ...]
    """What each of its codes says, as `landcover.accuracy.other_map` numbers it."""
    grid: Grid

    def table(self) -> Says:
        """Return what its codes say, (256,)."""
        return np.array(self.says, np.uint8)


@dataclass(frozen=True)
class Finished:
    """A comparison that waits in the work folder until it is published."""

    result: Comparison
    notices: tuple[Notice, ...]
    judged: Mapping[str, Areas] = field(default_factory=dict)
    """The accuracy of `this_map` and `other_map`; none where no labels were taken in."""
    sample: str | None = None
    """The month of the sample that they were judged by."""
    unjudged: str | None = None
    """Why they could not be, though there is one."""


def open_comparison(
    compared: Compared, blocks: Blocks, needs: Sequence[type[BaseSettings]]
) -> AbstractContextManager[Run]:
    """Open a run that compares maps, with a work folder of its own.

    Args:
        compared: what is compared.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting is malformed, or credentials are refused.
        LandcoverError: if a place cannot be written, or a run that makes the map is at work.
        TransientError: if database or bucket cannot be reached.
    """
    period = compared.period
    last = period.months[-1] if isinstance(period, CalendarYear) else period
    run = prepare_run(last, blocks, needs).working_in(f"comparison_{compared.label}")
    files = tuple(files_of_comparison(run, compared).values())
    return open_alone(run, period, Places(run.files.work, names_of(MAPS), files))


def files_of_comparison(run: Run, compared: Compared) -> dict[str, UPath]:
    """Return where the files of a comparison are, by what they are; its raster's comes last.

    Args:
        run: that compares.
        compared: what is compared.
    """
    names = comparison_files(compared.period.key, compared.name)
    return {what: run.files.maps / name for what, name in names.items()}


@io_task("find map", "find map {compared}")
def find_ours(run: Run, compared: Compared) -> Ours:
    """Find the map that is held against another.

    Args:
        run: that compares.
        compared: the month or the year.

    Raises:
        LandcoverError: if there is none, it is not the one that its row describes, or it has no
            class that is forest.
        TransientError: if database or bucket cannot be reached.
    """
    path, digest = _recorded_map(run, compared)
    ours = run.settings[DeforestationSettings]
    with run.storage(path), reading(path), open_image(path) as dataset:
        grid, names = grid_of(dataset), names_in_tags(dataset.tags(1))
    if compared.month is None:
        return Ours(path, digest, tuple(says_of_forest_map().tolist()), grid)
    says = says_of_classes(names, ours.forest_classes, ours.unclear_classes, absolute(path))
    return Ours(path, digest, tuple(says.tolist()), grid)


def _recorded_map(run: Run, compared: Compared) -> tuple[UPath, str]:
    """Return where a map is, and its SHA-256, which is that of its row if that tells one."""
    table = annual_maps if compared.month is None else raster_predictions
    path, told = _told_by_row(run, compared, table)
    with run.storage(path):
        if not path.exists():
            raise LandcoverError(
                f"{absolute(path)} is not there, so there is nothing to hold against another map: "
                f"put it back, or make the map of {compared} again."
            )
        digest = sha256(path)
    if told not in (digest, None):
        raise LandcoverError(
            f"{absolute(path)} is not the map that its row in {table.name} describes, so it is "
            f"not compared: put that file back, or make the map of {compared} again."
        )
    return path, digest


def _told_by_row(run: Run, compared: Compared, table: Table) -> tuple[UPath, object]:
    """Return the path and the SHA-256 that the row of a map tells."""
    what, path, first = "map", "prediction_path", "map that month first"
    if table is annual_maps:
        what, path = "forest", "annual_path"
        first = f"make it first, with python flows/annual.py --year {compared}, or add --month"
    with run.tables(reading=True) as connection:
        row = row_of(connection, table, file_name(what, compared.period))
    if row is None or not row[path]:
        raise LandcoverError(
            f"No map of {compared} is recorded in {table.name}, so there is nothing to hold "
            f"against another map: {first}."
        )
    details = row.get(DETAILS)
    return UPath(row[path]), details.get("sha256") if isinstance(details, dict) else None


@contextmanager
def reading(path: UPath) -> Iterator[None]:
    """Say in one sentence which raster cannot be read.

    Args:
        path: of the raster.

    Raises:
        TransientError: if it is in a bucket.
        LandcoverError: if it is on this machine, where trying again would not help.
    """
    try:
        yield
    except RasterioIOError as error:
        failure = failure_of(path)
        raise failure(
            f"{absolute(path)}, which is compared, cannot be read as a raster ({error}): put it "
            "back, or fetch it again."
        ) from error


@io_task("find other map", "find other map {run}")
def find_theirs(
    run: Run, ours: Ours, path: str, band: int | None, forest: str, no_data: str
) -> OtherMap:
    """Find the other map, and make sure that it can be laid over this one.

    Args:
        run: that compares.
        ours: this map.
        path: of the other, on this machine or in the bucket.
        band: which of its bands; its only one if None.
        forest: which of its values are forest (see `read_rule`).
        no_data: which stand for no data (see `read_no_data`).

    Raises:
        SettingsError: if there is no such file or band.
        LandcoverError: if it cannot be read, or does not lie over the area.
        TransientError: if the bucket cannot be reached.
    """
    theirs = UPath(expanded(path))
    with run.storage(theirs):
        if not theirs.exists():
            raise SettingsError(f"--with names a raster that is not there: {absolute(theirs)}.")
        with reading(theirs):
            return find_other(
                theirs,
                band,
                read_rule(forest),
                read_no_data(no_data),
                run.area(ours.grid.crs),
                ours.grid.crs,
            )


@io_task("compare maps", "compare maps {compared}")
def compare(run: Run, compared: Compared, ours: Ours, theirs: OtherMap) -> Finished:
    """Hold a map against another, window by window; the raster waits in the work folder.

    Args:
        run: that compares.
        compared: what is compared.
        ours: this map.
        theirs: the other.

    Raises:
        LandcoverError: if the other map has no data in the area of interest, or no forest.
        TransientError: if a raster in the bucket cannot be read.
    """
    grid, waiting = ours.grid, run.files.work
    final = files_of_comparison(run, compared)["comparison"]
    layer = layer_of(final.name)
    size, windows = plan_windows(
        grid,
        run.area(grid.crs),
        cores(),
        memory_for_run(),
        memory_of=lambda side: A_PIXEL * side**2,
    )
    factors = piece_factors(grid, size)
    with run.storage(waiting), scratch(waiting) as local:
        pieces = {local / f"{window.col_off}_{window.row_off}.tif": window for window in windows}

        def one(piece: Path) -> tuple[dict[int, float], frozenset[float], int]:
            window = pieces[piece]
            # Each its own area: GEOS prepares a geometry for one thread.
            with reading(ours.path), reading(theirs.path):
                cells, seen = compare_window(
                    window, grid, run.area(grid.crs), gdal_path(ours.path), ours.table(), theirs
                )
            part, codes = grid.part(window), codes_of(cells)
            with on_disk(local):
                write_piece(layer, codes, part, factors, piece)
            known = int(np.count_nonzero(codes != layer.nodata))
            return measure_codes(cells, part, NOTHING)[1], seen, known

        what = f"{absolute(ours.path)} and {absolute(theirs.path)}"
        found = side_by_side(one, list(pieces), run.blocks.storage_block, what, cores())
        hectares, seen, known = zip(*found, strict=True)
        absent = check_seen(theirs, frozenset().union(*seen))
        result = Comparison(total_hectares(hectares))
        if not result.compared:
            raise LandcoverError(
                f"{absolute(ours.path)} and {absolute(theirs.path)} have no pixel that both know "
                "something of: where one has data, the other has none."
            )
        tags = {
            "this_map": ours.path.name,
            "other_map": theirs.path.name,
            "forest": theirs.forest.text,
            "code": code_version(),
        }
        with on_disk(local):
            built = assemble_counted(layer, pieces, grid, factors, tags, sum(known), local)
        publish_all({waiting / final.name: built})
    notices = notices_of(result, theirs, absent)
    for notice in notices:
        get_run_logger().warning("%s", notice)
    return Finished(result, tuple(notices))


@io_task("judge maps", "judge maps {compared}")
def judge_both(run: Run, compared: Compared, finished: Finished, month: Period | None) -> Finished:
    """Judge both maps by the labels of a reference sample that were taken in, if there are any.

    Args:
        run: that compares.
        compared: what is compared.
        finished: what came of it.
        month: whose sample; that of the map if None.

    Raises:
        SettingsError: if a month is named that has no labelled sample.
        TransientError: if the bucket cannot be reached.
    """
    wanted = month or compared.month
    if wanted is None:
        return finished
    theirs = run.of(wanted)
    key, labels = (file_of(theirs, what, "prediction") for what in ("sample_key", "labels"))
    with run.storage(key):
        if not (key.exists() and labels.exists()):
            if month:
                raise SettingsError(
                    f"--sample names {month}, but no labels of a sample of that month's map were "
                    f"taken in ({absolute(labels)}): name another month, or leave --sample out."
                )
            return finished
        sample = read_key(key)
        taken = read_taken(labels, sample)
    raster = run.files.work / files_of_comparison(run, compared)["comparison"].name
    with run.storage(raster), reading(raster), open_image(raster) as dataset:
        lonlat = to_lonlat(dataset.crs.to_wkt())
        places = lonlat.transform(sample.points["lon"], sample.points["lat"], direction="INVERSE")
        values = dataset.sample(zip(*places, strict=True), 1)
        codes = np.array([one[0] for one in values])
    forest = run.settings[DeforestationSettings].forest_classes
    try:
        judged = judge(sample, taken, codes, forest)
    except LandcoverError as error:
        # A comparison is of use without it.
        get_run_logger().warning("The accuracy of the two maps cannot be estimated: %s", error)
        return replace(finished, sample=str(wanted), unjudged=str(error))
    return replace(finished, judged=judged, sample=str(wanted))


@io_task("publish comparison", "publish comparison {compared}")
def publish_comparison(
    run: Run,
    compared: Compared,
    ours: Ours,
    theirs: OtherMap,
    finished: Finished,
    made_by: Mapping[str, object],
) -> dict[str, UPath]:
    """Write the tables and the page of a comparison, and publish all of its files.

    Args:
        run: that compares.
        compared: what is compared.
        ours: this map.
        theirs: the other.
        finished: what came of it.
        made_by: command, code version, flow run and settings.

    Returns:
        Where its files are, by what they are.

    Raises:
        LandcoverError: if a run that makes the map has begun while the database was away.
        TransientError: if the bucket cannot be reached.
    """
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.comparison import ComparisonPage, draw_comparison, render_comparison

    finals = files_of_comparison(run, compared)
    language = run.settings[ReportSettings].report_language
    raster = run.files.work / finals["comparison"].name
    page = ComparisonPage(
        label=str(compared),
        month=compared.month,
        result=finished.result,
        other=theirs,
        metres=pixel_metres(ours.grid, run.area(ours.grid.crs), ours.grid.crs),
        map=gdal_path(raster),
        crs=ours.grid.crs,
        area=run.area(ours.grid.crs),
        judged=finished.judged,
        sample=finished.sample,
        unjudged=finished.unjudged,
        warnings=finished.notices,
        provenance={
            "map": {"path": absolute(ours.path), "sha256": ours.sha256},
            "other_map": {
                "path": absolute(theirs.path),
                "band": theirs.band,
                "values_of_forest": theirs.forest.text,
                "no_data": "declared" if theirs.no_data is None else sorted(theirs.no_data),
            },
            **made_by,
            "versions": library_versions(),
        },
    )
    with run.storage(raster), scratch(run.files.work) as local:
        with reading(raster):
            pictures = draw_comparison(page, language)
        texts = {
            "comparison_page": render_comparison(page, language, pictures),
            "comparison_legend": sidecar_text(LEGEND),
            "comparison_table": finished.result.table().to_csv(index=False),
            "comparison_accuracy": accuracy_table(finished.judged).to_csv(index=False),
        }
        built: dict[UPath, Path | UPath] = {}
        for what, text in texts.items():
            built[finals[what]] = local / finals[what].name
            (local / finals[what].name).write_text(text, "utf-8")
        hold(compared.period)
        publish_all({**built, finals["comparison"]: raster})
    show_pictures(f"comparison-{compared.label}", pictures)
    show_comparison(compared.label, finished.result)
    get_run_logger().info("Comparison written to %s", finals["comparison"])
    return finals
