"""Runs as the flows open them, for tests of single tasks."""

from dataclasses import replace

from pydantic_settings import BaseSettings

from landcover.aoi import load_aoi
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.run import Run, prepare_run

NO_BLOCKS = Blocks(database_block=None, storage_block=None)


def run_of(
    year: int = 2025,
    month: int = 6,
    *needs: type[BaseSettings],
    aoi: str | None = None,
) -> Run:
    """Return a run of a month with the folders and credentials of the settings."""
    run = prepare_run(Period(year, month), NO_BLOCKS, needs)
    return run if aoi is None else replace(run, aoi=load_aoi(aoi))
