"""The month that is run: when, where its files go, and which blocks hold the credentials."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from upath import UPath

from landcover.files import (
    absolute,
    check_writable,
    confidence_name,
    held_out_name,
    model_name,
    prediction_name,
    prepared_data_name,
    remove,
    remove_unfinished,
    report_name,
)
from tasks.access.blocks import Blocks
from tasks.access.lock import only_run
from tasks.access.process import configure
from tasks.access.settings import FolderSettings, ReportSettings, read_settings
from tasks.access.storage import storage
from tasks.access.tables import check_tables
from tasks.retries import io_task


@dataclass(frozen=True)
class Month:
    """One run of one month; as text it is the month, such as 2025-06.

    Attributes:
        year: of the month.
        month: 1 to 12.
        folders: where its files go.
        blocks: the credentials of database and bucket.
        check_alone: raises an error where another run of the month is at work.
    """

    year: int
    month: int
    folders: FolderSettings
    blocks: Blocks
    check_alone: Callable[[], None] = field(repr=False, compare=False)

    def __str__(self) -> str:
        """Return the month."""
        return f"{self.year}-{self.month:02d}"

    @property
    def samples(self) -> UPath:
        """The file of its samples."""
        return self.folders.prepared_data_dir / prepared_data_name(self.year, self.month)

    @property
    def model(self) -> UPath:
        """The file of its model."""
        return self.folders.model_output_dir / model_name(self.year, self.month)

    @property
    def held_out(self) -> UPath:
        """The file of what was predicted for each training polygon while it was held out."""
        return self.folders.model_output_dir / held_out_name(self.year, self.month)

    @property
    def prediction(self) -> UPath:
        """The file of its map."""
        return self.folders.prediction_output_dir / prediction_name(self.year, self.month)

    @property
    def confidence(self) -> UPath:
        """The file of the confidence in its map."""
        return self.folders.prediction_output_dir / confidence_name(self.year, self.month)

    @property
    def report(self) -> UPath:
        """The file of its report."""
        return self.folders.prediction_output_dir / report_name(self.year, self.month)

    @property
    def headers(self) -> UPath:
        """The file of the headers of its quads."""
        return self.folders.work_dir / f"mosaic_{self.year}{self.month:02d}.parquet"

    @property
    def polygons(self) -> UPath:
        """The file of its training polygons, as they were fetched."""
        return self.folders.work_dir / f"polygons_{self.year}{self.month:02d}.parquet"

    @property
    def work(self) -> UPath:
        """The folder of its work in progress."""
        return self.folders.work_dir / self.prediction.stem

    @property
    def training(self) -> UPath:
        """The folder of its model until that is recorded."""
        return self.work / "training"


@contextmanager
def open_month(year: int, month: int, blocks: Blocks) -> Iterator[Month]:
    """Make sure that all that a month needs can be reached and written, and run it alone.

    Args:
        year: of the month.
        month: 1 to 12.
        blocks: the credentials of database and bucket.

    Raises:
        SettingsError: if a setting is malformed, or credentials are refused.
        LandcoverError: if a place cannot be written, or another run of the month is at work.
        TransientError: if database or bucket cannot be reached.
    """
    configure()
    folders = check_places(blocks)
    with only_run(year, month, blocks.database_block) as check_alone:
        opened = Month(year, month, folders, blocks, check_alone)
        remove_unfinished(opened.work)
        yield opened


@io_task("remove work", "remove work {month}")
def remove_work(month: Month, places: Sequence[UPath]) -> list[str]:
    """Remove work of a month that is no longer needed.

    Args:
        month: that was run.
        places: files and folders of its work.

    Returns:
        What was removed: those of them that were there.

    Raises:
        TransientError: if the bucket cannot be reached.
    """
    with storage(month.blocks.storage_block, absolute(month.work)):
        removed = [place for place in places if place.exists()]
        for place in removed:
            remove(place)
    return [absolute(place) for place in removed]


# What cannot be reached at the start is more likely misspelt than away.
@io_task("check places", "check places", retries=3)
def check_places(blocks: Blocks) -> FolderSettings:
    """Make sure, before hours of work, that all of a month's files and rows can be written.

    Args:
        blocks: the credentials of database and bucket.

    Returns:
        Where results and work files go.

    Raises:
        SettingsError: if a setting is malformed, or credentials are refused.
        LandcoverError: if a folder or a table cannot be made or written.
        TransientError: if database or bucket cannot be reached.
    """
    folders = read_settings(FolderSettings)
    read_settings(ReportSettings)
    check_tables(blocks.database_block)
    for setting, folder in folders:
        with storage(blocks.storage_block, f"{setting.upper()} {folder}"):
            check_writable(folder, setting.upper())
    return folders
