"""The run: for which period, with which settings, files and credentials."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache

from geopandas import GeoSeries
from prefect.logging import get_run_logger
from pydantic_settings import BaseSettings
from pyproj import CRS
from rasterio.errors import RasterioIOError
from shapely import from_wkb
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, Table
from upath import UPath

from landcover.aoi import load_aoi
from landcover.errors import LandcoverError, TransientError
from landcover.files import (
    COLLECTION_NAME,
    absolute,
    check_writable,
    file_name,
    on_disk,
    remove,
    remove_unfinished,
    sha256,
)
from landcover.geometry import reproject
from landcover.imagery.mosaic import Mosaic
from landcover.period import Period
from landcover.publishing import check_replaceable, drop, leftovers, settle
from tasks.access.blocks import Blocks
from tasks.access.lock import Alone, only_run
from tasks.access.process import configure
from tasks.access.settings import (
    EVERY_RUN,
    AoiSettings,
    FolderSettings,
    RegionSettings,
    Settings,
    read_settings,
)
from tasks.access.storage import storage
from tasks.access.tables import (
    MAPS,
    REGIONS,
    check_tables,
    metadata,
    ml_models,
    names_of,
    raster_predictions,
    recorded,
    tables,
)
from tasks.retries import io_task

# By the keys of their names, in the order in which they are published.
OF_RECORD = (
    *("record_page", "record_legend", "record_item", "new_geojson", "new_kml"),
    *("patches", "alerts", "last_seen", "state", "deforestation"),
)


@dataclass(frozen=True)
class Files:
    """Where the files of a period are."""

    samples: UPath
    """Samples of the mosaic under the training polygons."""
    model: UPath
    """The trained forest."""
    held_out: UPath
    """What was predicted for each training polygon while it was held out."""
    report: UPath
    """The page about the map."""
    maps: UPath
    """The folder of the map and of all that lies beside it."""
    map: UPath
    """The Cloud-Optimized GeoTIFF of classes."""
    confidence: UPath
    """That of how sure the model is of them."""
    legend: UPath
    """The names of the map's classes, for QGIS."""
    item: UPath
    """The map's STAC item."""
    index: UPath
    """Headers of the image files; kept for the next run."""
    polygons: UPath
    """The training polygons, as they were fetched; kept for the next run."""
    work: UPath
    """The folder of work in progress."""
    record: Mapping[str, UPath]
    """What is known of lost forest up to the month, by the key of its name: what the record is
    brought up to date from, and what people read. The one that its row describes comes last."""
    record_work: UPath
    """The folder of work in progress on it."""

    @property
    def training(self) -> UPath:
        """The folder of the model until it is recorded."""
        return self.work / "training"

    @property
    def of_model(self) -> tuple[UPath, ...]:
        """What is published when the model is recorded: the one that its row describes last."""
        return self.held_out, self.model

    @property
    def of_map(self) -> tuple[UPath, ...]:
        """What is published when the map is recorded: the one that its row describes last."""
        return self.report, self.legend, self.item, self.confidence, self.map

    @property
    def of_record(self) -> tuple[UPath, ...]:
        """What is published when the record is: the one that its row describes last."""
        return tuple(self.record.values())

    @property
    def collection(self) -> UPath:
        """The STAC collection of the maps of all months."""
        return self.maps / COLLECTION_NAME

    @property
    def of_period(self) -> tuple[UPath, ...]:
        """All files that no run of another period writes."""
        return self.index, self.polygons, self.samples, *self.of_model, *self.of_map


def files_of(period: Period, folders: FolderSettings) -> Files:
    """Return where the files of a period are.

    Args:
        period: whose files.
        folders: where they go.
    """
    models, maps, work = folders.model_output_dir, folders.prediction_output_dir, folders.work_dir
    return Files(
        samples=folders.prepared_data_dir / file_name("samples", period),
        model=models / file_name("model", period),
        held_out=models / file_name("held_out", period),
        report=maps / file_name("report", period),
        maps=maps,
        map=maps / file_name("map", period),
        confidence=maps / file_name("confidence", period),
        legend=maps / file_name("legend", period),
        item=maps / file_name("item", period),
        index=work / file_name("index", period),
        polygons=work / file_name("polygons", period),
        work=work / period.key,
        record={name: maps / file_name(name, period) for name in OF_RECORD},
        record_work=work / f"deforestation_{period.key}",
    )


@dataclass(frozen=True)
class Run:
    """One execution of a flow for a period; as text it is the period, such as 2025-06.

    It is a value: it pickles without secrets, and a task on another machine can be given it. What
    it knows of settings and of the area of interest is what they were when it was opened.
    """

    period: Period
    """What it is for."""
    settings: Settings = field(compare=False)
    """The groups of settings that its flow needs."""
    files: Files
    """Where its files are."""
    blocks: Blocks
    """The names of the blocks with the credentials of database and bucket."""
    aoi: GeoSeries | None = field(default=None, repr=False, compare=False)
    """The area of interest, one geometry with its CRS; None in a run that needs none."""

    def __str__(self) -> str:
        """Return the period."""
        return str(self.period)

    def of(self, period: Period) -> "Run":
        """Return the same run as it would be of another period, at work in the same folder.

        Args:
            period: which. A run of its own may be at work in the usual folder of that.
        """
        files = files_of(period, self.settings[FolderSettings])
        return replace(self, period=period, files=replace(files, work=self.files.work))

    def working_in(self, folder: str) -> "Run":
        """Return the same run with a folder of work in progress that is of no month's run.

        Args:
            folder: its name.
        """
        work = self.settings[FolderSettings].work_dir / folder
        return replace(self, files=replace(self.files, work=work))

    def area(self, crs: str | CRS) -> BaseGeometry:
        """Return the area of interest in a CRS.

        Args:
            crs: as WKT, or as pyproj has it.

        Raises:
            LandcoverError: if it cannot be brought to it.
        """
        assert self.aoi is not None
        # Every window asks for it. Each gets its own: GEOS prepares an area for one thread.
        return from_wkb(_in_crs(self.aoi.iloc[0].wkb, self.aoi.crs, crs))

    @contextmanager
    def storage(self, what: str | UPath) -> Iterator[None]:
        """Let this thread reach the bucket (see `tasks.access.storage.storage`), and this disk.

        Args:
            what: is read or written: a path, or words for messages.

        Raises:
            LandcoverError: if a file on this machine cannot be read or written.
        """
        named = what if isinstance(what, str) else absolute(what)
        with on_disk(), storage(self.blocks.storage_block, named):
            yield

    @contextmanager
    def imagery(self, mosaic: Mosaic, doing: str) -> Iterator[None]:
        """Let this thread read a mosaic, and say which file of it cannot be read.

        Args:
            mosaic: what is read.
            doing: which part or what for, such as "under the training polygons".

        Raises:
            TransientError: if GDAL cannot read it from a bucket.
            LandcoverError: if GDAL cannot read it from this machine, where trying again would not
                help.
        """
        with self.storage(mosaic.origin):
            try:
                yield
            except RasterioIOError as error:
                remote = any(origin.startswith("s3://") for origin in mosaic.origins)
                failure = TransientError if remote else LandcoverError
                raise failure(
                    f"Cannot read the mosaic {mosaic.origin} {doing} ({error}): fetch that file "
                    "again."
                ) from error

    def tables(self, reading: bool = False) -> AbstractContextManager[Connection]:
        """Connect to the tables for one transaction (see `tasks.access.tables.tables`).

        Args:
            reading: whether they are only read, and may not have been made yet.
        """
        return tables(self.blocks.database_block, reading)


@lru_cache(maxsize=4)
def _in_crs(area: bytes, source: CRS, target: str | CRS) -> bytes:
    return bytes(reproject(from_wkb(area), source, target).wkb)


@dataclass(frozen=True)
class Described:
    """Files that a row describes."""

    table: str
    """Its name."""
    row: str
    """What is unique of the row."""
    files: tuple[UPath, ...]
    """The one that the row tells the SHA-256 of comes last."""


def described_by(table: Table, files: Iterable[UPath]) -> Described:
    """Return files that the row of the last of them describes.

    Args:
        table: of the row.
        files: in the order in which they are published.
    """
    files = tuple(files)
    return Described(table.name, files[-1].name, files)


@dataclass(frozen=True)
class Places:
    """What a run writes, and no other run meanwhile."""

    work: UPath
    """The folder of work in progress."""
    tables: tuple[str, ...]
    """The names of its tables, each after those that it refers to."""
    files: tuple[UPath, ...]
    """Its files."""
    described: tuple[Described, ...] = ()
    """Those of them that rows describe."""


@contextmanager
def open_run(
    period: Period, blocks: Blocks, needs: Sequence[type[BaseSettings]] = ()
) -> Iterator[Run]:
    """Open a run that maps a month, or does a part of that.

    Args:
        period: what it is for.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting or the area of interest is malformed, or credentials are
            refused.
        LandcoverError: if a place cannot be written, or another run of the period is at work.
        TransientError: if database or bucket cannot be reached.
    """
    run = prepare_run(period, blocks, needs)
    files = run.files
    places = Places(
        files.work,
        names_of((*MAPS, *tables_of_regions(run))),
        files.of_period,
        (described_by(raster_predictions, files.of_map), described_by(ml_models, files.of_model)),
    )
    with open_alone(run, period, places):
        yield run


@contextmanager
def open_alone(run: Run, alone: Alone, places: Places) -> Iterator[Run]:
    """Make sure that all that a run needs can be reached and written, and run it alone.

    Args:
        run: that begins.
        alone: what no other run is at work on meanwhile.
        places: what it writes.

    Raises:
        SettingsError: if credentials are refused.
        LandcoverError: if a place cannot be written, or another such run is at work.
        TransientError: if database or bucket cannot be reached.
    """
    check_places(run, places)
    with only_run(alone, run.blocks.database_block):
        tidy_up(run, places)
        yield run


def prepare_run(period: Period, blocks: Blocks, needs: Sequence[type[BaseSettings]] = ()) -> Run:
    """Read the settings that a run needs, and its area of interest.

    Args:
        period: what it is for.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting or the area of interest is malformed.
    """
    configure()
    settings = Settings(read_settings(group) for group in (*EVERY_RUN, *needs))
    aoi = load_aoi(settings[AoiSettings].aoi_definition) if AoiSettings in settings else None
    return Run(period, settings, files_of(period, settings[FolderSettings]), blocks, aoi)


# What cannot be reached at the start is more likely misspelt than away.
@io_task("check places", "check places", retries=3)
def check_places(run: Run, places: Places) -> None:
    """Make sure, before hours of work, that all of a run's files and rows can be written.

    Args:
        run: that begins.
        places: what it writes.

    Raises:
        SettingsError: if credentials are refused.
        LandcoverError: if a folder or a table cannot be made or written.
        TransientError: if database or bucket cannot be reached.
    """
    wanted = [metadata.tables[name] for name in places.tables]
    check_tables(run.blocks.database_block, run.period, wanted)
    for setting, folder in run.settings[FolderSettings]:
        with run.storage(f"{setting.upper()} {folder}"):
            check_writable(folder, setting.upper())
    check_replaceable([*places.files, run.files.collection])


def tables_of_regions(run: Run) -> tuple[Table, ...]:
    """Return the tables of hectares by region; none where the settings name no regions.

    Args:
        run: whose settings.
    """
    wanted = RegionSettings in run.settings and run.settings[RegionSettings].regions
    return REGIONS if wanted else ()


@io_task("tidy up", "tidy up {run}")
def tidy_up(run: Run, places: Places) -> None:
    """Remove what an earlier run that was killed has left half done.

    Where it was killed between the publishing of files and the commit of their row, the files that
    the row describes are put back.

    Args:
        run: that begins.
        places: what it writes. Not the collection: another month's run may be writing that.

    Raises:
        LandcoverError: if something cannot be removed.
        TransientError: if database or bucket cannot be reached.
    """
    for folder in remove_unfinished(places.work):
        get_run_logger().warning(
            "%s is what another user's run has left: let them remove it.", folder
        )
    with run.storage(run.files.maps):
        left = leftovers(places.files)
        if left:
            with run.tables() as connection:
                for group in places.described:
                    row = recorded(connection, metadata.tables[group.table], group.row)
                    _put_back(group.files, left, row.get("sha256"))
        for path in left:
            drop(path)


def _put_back(finals: Sequence[UPath], left: Sequence[UPath], digest: object) -> None:
    """Put those files back that a row describes by the SHA-256 of the last of them."""
    for path in settle(finals, left, lambda kept: sha256(kept) == digest):
        get_run_logger().warning(
            "%s is the earlier file again: the run that replaced it ended before it was recorded.",
            path,
        )


@io_task("remove work", "remove work {run}")
def remove_work(run: Run, places: Sequence[UPath]) -> list[str]:
    """Remove work of a run that is no longer needed.

    Args:
        run: whose work.
        places: files and folders of it.

    Returns:
        What was removed: those of them that were there.

    Raises:
        TransientError: if the bucket cannot be reached.
    """
    with run.storage(run.files.work):
        removed = [place for place in places if place.exists()]
        for place in removed:
            remove(place)
    return [absolute(place) for place in removed]
