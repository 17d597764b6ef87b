"""Months as the flows open them, for tests of single tasks."""

from tasks.access.blocks import Blocks
from tasks.access.settings import FolderSettings, read_settings
from tasks.run import Month

NO_BLOCKS = Blocks(database_block=None, storage_block=None)


def month_of(year: int = 2025, month: int = 6) -> Month:
    """Return a month with the folders and credentials of the settings."""
    return Month(year, month, read_settings(FolderSettings), NO_BLOCKS, lambda: None)
