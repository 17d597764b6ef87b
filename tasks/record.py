"""The run that brings the record of deforestation up to a month: opened, checked and tidied."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic_settings import BaseSettings

from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.lock import RECORD, only_run
from tasks.access.tables import CHANGE, deforestation_records
from tasks.retries import io_task
from tasks.run import Run, check, prepare_run, tables_of_regions, tidy


@contextmanager
def open_record(
    period: Period, blocks: Blocks, needs: Sequence[type[BaseSettings]] = ()
) -> Iterator[Run]:
    """Do as `open_run` for a run that brings the record of deforestation up to a month.

    Args:
        period: up to which.
        blocks: the names of the blocks with the credentials of database and bucket.
        needs: the groups of settings that it reads beside those that every run reads.

    Raises:
        SettingsError: if a setting or the area of interest is malformed, or credentials are
            refused.
        LandcoverError: if a place cannot be written, or another run of the record is at work.
        TransientError: if database or bucket cannot be reached.
    """
    run = prepare_run(period, blocks, needs)
    check_record_places(run)
    with only_run(RECORD, blocks.database_block):
        yield run


@io_task("check places", "check places", retries=3)
def check_record_places(run: Run) -> None:
    """Do as `check_places` for a run of the record.

    Args:
        run: whose places.

    Raises:
        SettingsError: if credentials are refused.
        LandcoverError: if a folder or a table cannot be made or written.
        TransientError: if database or bucket cannot be reached.
    """
    check(run, (*CHANGE, *tables_of_regions(run)), run.files.of_record)


@io_task("tidy up", "tidy up {run}")
def tidy_up_record(run: Run) -> None:
    """Do as `tidy_up` for a month of the record.

    Args:
        run: of the month that begins.

    Raises:
        LandcoverError: if something cannot be removed.
        TransientError: if database or bucket cannot be reached.
    """
    groups = {deforestation_records: run.files.of_record}
    tidy(run, run.files.record_work, run.files.of_record, groups)
