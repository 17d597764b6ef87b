"""Reference samples: points drawn from a finished map for people to label."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import geopandas
import shapely
from prefect.logging import get_run_logger
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry
from sqlalchemy import func
from upath import UPath

from landcover.accuracy.draw import (
    Drawn,
    SampleSettings,
    Share,
    choose,
    draw_window,
    join_drawn,
    share_out,
)
from landcover.accuracy.sample_files import (
    Sample,
    read_key,
    write_key,
    write_plots,
    write_points,
)
from landcover.accuracy.strata import (
    Of,
    Reader,
    Strata,
    classes_in,
    read_classes,
    read_loss,
    read_strata,
    strata_of_classes,
    strata_of_loss,
)
from landcover.change.dates import day_of
from landcover.classes import names_in_tags
from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import (
    absolute,
    failure_of,
    file_name,
    sample_file_name,
    scratch,
    sha256,
)
from landcover.geometry import reproject_rows, union
from landcover.grid import Grid, grid_of
from landcover.imagery.images import gdal_path, open_image
from landcover.listing import listed
from landcover.machine import cores
from landcover.model.polygons import digest
from landcover.period import Period, read_month
from landcover.publishing import publish_all
from landcover.windows import split
from tasks.access.blocks import Blocks
from tasks.access.lock import RECORD, Alone
from tasks.access.settings import DeforestationSettings
from tasks.access.storage import side_by_side
from tasks.access.tables import (
    DETAILS,
    SAMPLES,
    deforestation_records,
    names_of,
    raster_predictions,
    recorded,
    reference_samples,
    replace_row,
    row_of,
)
from tasks.polygons import kept_polygons, read_polygons
from tasks.records import recording
from tasks.retries import io_task
from tasks.run import Places, Run, described_by, open_alone, prepare_run

# Rows and columns of a window of the map: a thread has some 50 MB at work.
WINDOW = 2048

# So many windows a core are looked at before what they found is put together.
WINDOWS_A_CORE = 8

# In the order in which they are published: the one that the row describes last.
FILES = ("sample_page", "sample_ceo", "sample_key", "sample")

# So many months are named.
SHOWN = 6


@dataclass(frozen=True)
class MapToSample:
    """The map that points are drawn from: of a month, or the record of loss up to one."""

    of: Of
    path: UPath
    """The raster that says what is where."""
    sha256: str
    """Of that file."""
    alerts: UPath | None
    """Of the record, the raster that says since when."""
    first: Period
    """The first month of the period; that of the map where there is none."""
    polygons_sha256: Mapping[Period, str | None]
    """The months of the map, or of the period, and the digest of the polygons of each."""


@dataclass(frozen=True)
class DrawnSample:
    """A sample that is drawn, and waits in the work folder until it is recorded."""

    source: MapToSample
    waiting: UPath
    """The folder of its files."""
    shares: tuple[Share, ...]
    """Its strata."""
    outside_ha: Mapping[str, float]
    """True hectares that belong to no stratum, by why."""

    @property
    def points(self) -> int:
        """How many points it has."""
        return sum(share.points for share in self.shares)


class _MapDetails(BaseModel):
    """What this package reads of the row of a map."""

    sha256: str
    polygons_sha256: str | None = None


class _RecordDetails(BaseModel):
    """What it reads of the row of a record."""

    maps: dict[str, str]
    files: dict[str, str]


def file_of(run: Run, what: str, of: Of) -> UPath:
    """Return where a file of a sample, or of what is estimated from its labels, is.

    Args:
        run: of the month.
        what: which, of `landcover.files.NAMES`.
        of: what the sample is of.
    """
    return run.files.maps / sample_file_name(what, of, run.period)


def sample_files(run: Run, of: Of) -> dict[str, UPath]:
    """Return where the files of a sample are, by what they are.

    Args:
        run: of the month.
        of: what the sample is of.
    """
    return {what: file_of(run, what, of) for what in FILES}


def lock_of(run: Run, of: Of) -> Alone:
    """Return what is locked, so that the map is not replaced while it is used.

    Args:
        run: of the month.
        of: what the sample is of.
    """
    return RECORD if of == "deforestation" else run.period


def open_sample(
    period: Period, of: Of, blocks: Blocks, needs: Sequence[type[BaseSettings]] = ()
) -> AbstractContextManager[Run]:
    """Open a run that draws a sample, with a work folder of its own.

    Args:
        period: the month of the map, or the last of the period.
        of: what the sample is of.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting or the area of interest is malformed, or credentials are
            refused.
        LandcoverError: if a place cannot be written, or a run that makes the map is at work.
        TransientError: if database or bucket cannot be reached.
    """
    run = prepare_run(period, blocks, needs).working_in(work_name("sample", of, period))
    files = tuple(sample_files(run, of).values())
    described = described_by(reference_samples, files)
    places = Places(run.files.work, names_of(SAMPLES), files, (described,))
    return open_alone(run, lock_of(run, of), places)


def work_name(what: str, of: Of, period: Period) -> str:
    """Return the name of a folder of work in progress: that of its main file.

    >>> work_name("sample", "deforestation", Period(2024, 12))
    'deforestation_sample_202412'

    Args:
        what: the main file, of `landcover.files.NAMES`.
        of: what the sample is of.
        period: the month of the map, or the last of the period.
    """
    return UPath(sample_file_name(what, of, period)).stem


@io_task("find map", "find map {run}")
def find_map_to_sample(run: Run, of: Of, since: str | None) -> MapToSample:
    """Find the map that points are drawn from, and make sure that it is the one that was recorded.

    Args:
        run: of the month.
        of: what the sample is of.
        since: of loss, the first month of the period; that of the record if None.

    Raises:
        LandcoverError: if there is none, its file is gone or has changed, or the record begins
            later.
        TransientError: if database or bucket cannot be reached.
    """
    source = _find_record(run, since) if of == "deforestation" else _find_prediction(run)
    _check_file(run, source.path, source.sha256)
    return source


def _find_prediction(run: Run) -> MapToSample:
    with run.tables(reading=True) as connection:
        row = row_of(connection, raster_predictions, run.files.map.name)
    if row is None:
        raise LandcoverError(
            f"No map of {run} is recorded in raster_predictions, and a sample is drawn from a "
            f"finished map: map the month first, with python flows/monthly.py --year "
            f"{run.period.year} --month {run.period.month}."
        )
    try:
        told = _MapDetails.model_validate(row[DETAILS])
    except (KeyError, ValidationError) as error:
        raise _untold(run.files.map.name, "raster_predictions") from error
    return MapToSample(
        of="prediction",
        path=UPath(row["prediction_path"]),
        sha256=told.sha256,
        alerts=None,
        first=run.period,
        polygons_sha256={run.period: told.polygons_sha256},
    )


def _find_record(run: Run, since: str | None) -> MapToSample:
    name = run.files.record["deforestation"].name
    with run.tables(reading=True) as connection:
        row = row_of(connection, deforestation_records, name)
    if row is None:
        raise LandcoverError(
            f"No record of deforestation up to {run} is in deforestation_records, and loss is "
            f"sampled from it: make it first, with python flows/deforestation.py --year "
            f"{run.period.year} --month {run.period.month}."
        )
    try:
        told = _RecordDetails.model_validate(row[DETAILS])
        digests = {key: told.files[key] for key in ("deforestation", "alerts")}
    except (KeyError, ValidationError) as error:
        raise _untold(name, "deforestation_records") from error
    months = sorted(told.maps)
    if since and since < months[0]:
        raise LandcoverError(
            f"The record of deforestation up to {run} begins with {months[0]}, and --from {since} "
            "is before: name a month of the record, or leave --from out."
        )
    first = read_month(since or months[0])
    path = UPath(row["record_path"])
    alerts = path.with_name(file_name("alerts", run.period))
    _check_file(run, alerts, digests["alerts"])
    mapped = [read_month(month) for month in months if month >= str(first)]
    return MapToSample(
        of="deforestation",
        path=path,
        sha256=digests["deforestation"],
        alerts=alerts,
        first=first,
        polygons_sha256=_digests_of_polygons(run, mapped),
    )


def _digests_of_polygons(run: Run, months: Sequence[Period]) -> dict[Period, str | None]:
    """Return the digests of the polygons that maps of months were made from, where rows tell."""
    with run.tables(reading=True) as connection:
        return {
            month: recorded(connection, raster_predictions, file_name("map", month)).get(
                "polygons_sha256"
            )
            for month in months
        }


def _untold(name: str, table: str) -> LandcoverError:
    return LandcoverError(
        f"The row of {name} in {table} does not say what its file is (sha256): make it again with "
        "this version."
    )


def _check_file(run: Run, path: UPath, expected: str) -> None:
    """Make sure that a raster is the one that its row describes."""
    with run.storage(path):
        if not path.exists():
            raise LandcoverError(
                f"{absolute(path)} is not there, and the sample is drawn from it: put it back, or "
                "make it again."
            )
        if sha256(path) != expected:
            raise LandcoverError(
                f"{absolute(path)} is not the file that its row describes, and a sample must be of "
                "a map that is known: put that file back, or make it again."
            )


@io_task("draw points", "draw points {run}")
def draw_points(run: Run, source: MapToSample, settings: SampleSettings) -> DrawnSample:
    """Draw the points of a sample, and write the files that tools and the estimate take.

    Args:
        run: of the month.
        source: the map.
        settings: how many points are drawn, and from where.

    Raises:
        LandcoverError: if the map has no two classes to draw from, or the sample would be too
            large, or labels of another sample were taken in.
        TransientError: if database or bucket cannot be reached.
    """
    with run.storage(source.path), reading_map(source.path), open_image(source.path) as dataset:
        grid, names = grid_of(dataset), names_in_tags(dataset.tags(1))
    strata = _strata(run, source, names, settings.buffer_of(source.of))
    polygons, unknown = training_polygons(run, source, grid)
    with reading_map(source.path):
        drawn = _draw(run, source, strata, grid, polygons, settings.seed)
    _check_classes(source, strata, drawn)
    shares = share_out(drawn, strata, settings, source.of)
    _tell(shares)
    sample = Sample(
        choose(drawn, shares, grid, settings.seed),
        _design(run, source, strata, drawn, shares, settings, unknown),
    )
    _check_labels(run, source.of, sample)
    _write_files(run, source.of, sample)
    return DrawnSample(source, run.files.work, tuple(shares), sample.design["outside_ha"])


@contextmanager
def reading_map(path: UPath) -> Iterator[None]:
    """Say in one sentence which map cannot be read.

    Args:
        path: of the map.

    Raises:
        TransientError: if it is in a bucket.
        LandcoverError: if it is on this machine, where trying again would not help.
    """
    try:
        yield
    except RasterioIOError as error:
        failure = failure_of(path)
        raise failure(
            f"The map that the sample is drawn from cannot be read ({error}): put {absolute(path)} "
            "back, or make it again."
        ) from error


def _strata(run: Run, source: MapToSample, names: Mapping[int, str], buffer: int) -> Strata:
    if source.of == "deforestation":
        return strata_of_loss(buffer)
    ours = run.settings[DeforestationSettings]
    return strata_of_classes(names, ours.forest_classes, ours.unclear_classes, buffer)


def training_polygons(
    run: Run, source: MapToSample, grid: Grid
) -> tuple[BaseGeometry | None, list[Period]]:
    """Return the training polygons of a map's models, together, and the months without.

    Those that the models were trained on where they are kept; else those that there are now, which
    are at hand wherever a month can be mapped. Samples would be, too, but are only some pixels of
    each polygon.

    Args:
        run: that draws.
        source: the map.
        grid: the map's.

    Raises:
        SettingsError: if the table, file or a column is not there.
        TransientError: if database or bucket cannot be reached.
    """
    found, unknown, changed = [], [], []
    for period, trained_on in source.polygons_sha256.items():
        theirs = run.of(period)
        polygons = kept_polygons(theirs, trained_on)
        if polygons is None:
            polygons = _polygons_of_today(theirs)
            if polygons is None:
                unknown.append(period)
                continue
            if trained_on not in (None, digest(polygons)):
                changed.append(period)
        found += list(reproject_rows(polygons.geometry, grid.crs))
    log = get_run_logger()
    if changed:
        log.warning(
            "The training polygons of %s are not those that their models were trained on any more: "
            "points are not drawn from those of today.",
            listed(changed, SHOWN),
        )
    if unknown:
        log.warning(
            "The training polygons of %s are not there any more: points may lie in them.",
            listed(unknown, SHOWN),
        )
    return (union(found) if found else None), unknown


def _polygons_of_today(run: Run) -> geopandas.GeoDataFrame | None:
    try:
        polygons, _ = read_polygons(run)
    except (SettingsError, TransientError):
        raise
    except LandcoverError as error:
        get_run_logger().info("%s", error)
        return None
    return polygons


def _draw(
    run: Run,
    source: MapToSample,
    strata: Strata,
    grid: Grid,
    polygons: BaseGeometry | None,
    seed: int,
) -> Drawn:
    """Look at all of the map once, some of its windows side by side."""
    read = _reader(source)
    outline = polygons and polygons.wkb

    def draw(before: Drawn, window: Window) -> Drawn:
        # Each its own: GEOS prepares a geometry for one thread.
        inside = shapely.from_wkb(outline) if outline else None
        codes = read_strata(read, strata, window, grid, inside)
        return draw_window(codes, window, grid, strata, seed, before)

    drawn, block, what = join_drawn([]), run.blocks.storage_block, absolute(source.path)
    windows, some = list(split(grid.whole, WINDOW, WINDOW)), WINDOWS_A_CORE * cores()
    for first in range(0, len(windows), some):
        part = windows[first : first + some]
        found = side_by_side(partial(draw, drawn), part, block, what, cores())
        drawn = join_drawn([drawn, *found])
    return drawn


def _reader(source: MapToSample) -> Reader:
    path = gdal_path(source.path)
    if source.alerts is None:
        return partial(read_classes, path)
    return partial(read_loss, path, gdal_path(source.alerts), day_of(source.first))


def _check_classes(source: MapToSample, strata: Strata, drawn: Drawn) -> None:
    there = classes_in(strata, drawn.pixels)
    if len(there) < 2:
        raise LandcoverError(
            f"{absolute(source.path)} has {' '.join(['only', *there]) if there else 'nothing'} to "
            "draw points from, and a sample needs two classes that people can tell apart: map the "
            "month with polygons of more classes."
        )


def _tell(shares: Sequence[Share]) -> None:
    for share in shares:
        if share.points < share.wanted:
            get_run_logger().warning("%s", describe_whole(share))


def describe_whole(share: Share) -> str:
    """Say that a stratum is so small that each of its pixels is a point.

    Args:
        share: of a stratum.
    """
    return (
        f"{share.stratum.name} has {share.pixels:,} pixels, fewer than the {share.wanted:,} points "
        "that were to be drawn there: each of them is one."
    )


def _design(
    run: Run,
    source: MapToSample,
    strata: Strata,
    drawn: Drawn,
    shares: Sequence[Share],
    settings: SampleSettings,
    unknown: Sequence[Period],
) -> dict[str, Any]:
    """Return what the key says of a sample."""
    is_loss = source.of == "deforestation"
    first = len(strata.strata)
    return {
        "of": source.of,
        "period": str(run),
        "from": str(source.first) if is_loss else None,
        "to": str(run) if is_loss else None,
        "map": {"path": absolute(source.path), "sha256": source.sha256},
        "classes": list(strata.classes),
        "strata": [
            {
                "name": share.stratum.name,
                "mapped": share.stratum.mapped,
                "hectares": round(share.hectares, 4),
                "pixels": share.pixels,
                "points": share.points,
            }
            for share in shares
        ],
        "outside_ha": {
            name: round(drawn.hectares.get(code, 0.0), 4)
            for code, name in enumerate(strata.outside, first)
        },
        "polygons_unknown": [str(month) for month in unknown],
        **settings.model_dump(mode="json"),
        "standard_error": None if settings.size else settings.error_of(source.of),
        "buffer": strata.buffer,
        "size": sum(share.points for share in shares),
    }


def _check_labels(run: Run, of: Of, sample: Sample) -> None:
    """Make sure that no labels of another sample would lose their points."""
    labels, key = file_of(run, "labels", of), file_of(run, "sample_key", of)
    with run.storage(labels):
        if not labels.exists():
            return
        earlier = read_key(key) if key.exists() else None
    if earlier is None or not earlier.points.equals(sample.points):
        raise LandcoverError(
            f"{absolute(labels)} has labels of another sample of {run}, which would lose its "
            f"points: draw it with the options and the seed that {key.name} tells, or move the "
            "labels and all files of that sample to another folder first."
        )


def _write_files(run: Run, of: Of, sample: Sample) -> None:
    waiting = run.files.work
    writers = {
        "sample": partial(write_points, sample.points),
        "sample_ceo": partial(write_plots, sample.points),
        "sample_key": partial(write_key, sample),
    }
    with run.storage(waiting), scratch(waiting) as folder:
        built = {}
        for what, write in writers.items():
            name = sample_file_name(what, of, run.period)
            built[waiting / name] = folder / name
            write(folder / name)
        publish_all(built)


@io_task("record sample", "record sample {run}")
def record_sample(run: Run, drawn: DrawnSample, made_by: Mapping[str, object]) -> int:
    """Publish and record a sample, in place of an earlier one of the same file name.

    The files are published as those of a model are: see `tasks.records.recording`.

    Args:
        run: of the month.
        drawn: the sample.
        made_by: command, code version, flow run and settings.

    Returns:
        The `sample_id`.

    Raises:
        LandcoverError: if a run that makes the map has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    of = drawn.source.of
    finals = sample_files(run, of)
    files = {final: drawn.waiting / final.name for final in finals.values()}
    final = finals["sample"]
    with run.storage(drawn.waiting):
        design = read_key(drawn.waiting / finals["sample_key"].name).design
        digests = {what: sha256(drawn.waiting / path.name) for what, path in finals.items()}
    with recording(run, lock_of(run, of), reference_samples, files, made_by) as connection:
        sample_id = replace_row(
            connection,
            reference_samples,
            {
                "sample_filename": final.name,
                "sample_path": absolute(final),
                "generated_at": func.now(),
                "year": run.period.year,
                "month": run.period.month,
                "points": drawn.points,
                DETAILS: {**design, "files": digests, "sha256": digests["sample"], **made_by},
            },
        )
    get_run_logger().info("Sample of %d points written to %s", drawn.points, final)
    return int(sample_id)
