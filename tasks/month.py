"""The month that is run: when, where its files go, and which blocks hold the credentials."""

from dataclasses import dataclass

from upath import UPath

from landcover.files import check_writable, model_name, prediction_name, prepared_data_name
from tasks.blocks import Blocks
from tasks.retries import io_task
from tasks.settings import FolderSettings, read_settings
from tasks.storage import storage


@dataclass(frozen=True)
class Month:
    """One run of one month; as text it is the month, such as 2025-06.

    Attributes:
        year: of the month.
        month: 1 to 12.
        folders: where its files go.
        blocks: the credentials of database and bucket.
    """

    year: int
    month: int
    folders: FolderSettings
    blocks: Blocks

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
    def prediction(self) -> UPath:
        """The file of its map."""
        return self.folders.prediction_output_dir / prediction_name(self.year, self.month)

    @property
    def headers(self) -> UPath:
        """The file of the headers of its quads."""
        return self.folders.work_dir / f"mosaic_{self.year}{self.month:02d}.parquet"

    @property
    def polygons(self) -> UPath:
        """The file of its training polygons, as they were fetched."""
        return self.folders.work_dir / f"polygons_{self.year}{self.month:02d}.parquet"

    @property
    def pieces(self) -> UPath:
        """The folder of its predictions in progress."""
        return self.folders.work_dir / self.prediction.stem


@io_task("open month", "open month {year}-{month:02d}")
def open_month(year: int, month: int, blocks: Blocks) -> Month:
    """Read where results and work files go, and make sure that all of it can be written.

    Args:
        year: of the month.
        month: 1 to 12.
        blocks: the credentials of database and bucket.

    Raises:
        SettingsError: if a setting is malformed, or a bucket refuses the credentials.
        LandcoverError: if a folder cannot be made or written.
        TransientError: if the bucket cannot be reached.
    """
    folders = read_settings(FolderSettings)
    for setting, folder in folders:
        with storage(blocks.storage_block, f"{setting.upper()} {folder}"):
            check_writable(folder, setting.upper())
    return Month(year, month, folders, blocks)
