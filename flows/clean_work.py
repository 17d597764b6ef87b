"""Removal of what a month that was cut short has left in the work folder."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.parameters import Month, Year
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.regions import work_of_regions
from tasks.run import open_run, remove_work


@flow(name="clean-work", flow_run_name="{year}-{month:02d}")
def clean_work(year: Year, month: Month, blocks: Blocks = Blocks()) -> str:
    """Remove a month's work in progress, so that its next run starts anew; results stay.

    Args:
        year: The year of the month, such as 2025.
        month: The month, 1 to 12.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    with open_run(Period(year, month), blocks) as run:
        of_regions = run.working_in(work_of_regions(run.period)).files.work
        kept = [run.files.index, run.files.polygons, of_regions]
        removed = remove_work(run, [run.files.work, *kept])
        return "\n".join([f"{run}: {len(removed)} work files or folders removed", *removed])


main = command(clean_work)


if __name__ == "__main__":
    sys.exit(main())
