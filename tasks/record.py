"""The run that brings the record of deforestation up to a month: opened, checked and tidied."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from pydantic_settings import BaseSettings

from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.lock import RECORD
from tasks.access.tables import CHANGE, deforestation_records, names_of
from tasks.run import (
    Places,
    Run,
    described_by,
    open_alone,
    prepare_run,
    tables_of_regions,
)


def open_record(
    period: Period, blocks: Blocks, needs: Sequence[type[BaseSettings]] = ()
) -> AbstractContextManager[Run]:
    """Open a run that brings the record of deforestation up to a month.

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
    run = prepare_run(period, blocks, needs).working_in("deforestation")
    return open_alone(run, RECORD, places_of_record(run))


def places_of_record(run: Run) -> Places:
    """Return what a month of the record writes.

    Args:
        run: of the month.
    """
    return Places(
        run.files.record_work,
        names_of((*CHANGE, *tables_of_regions(run))),
        run.files.of_record,
        (described_by(deforestation_records, run.files.of_record),),
    )
