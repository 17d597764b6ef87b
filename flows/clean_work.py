"""Removal of what a month that was cut short has left in the work folder."""

import sys
from collections.abc import Sequence

from prefect import flow

from flows.command import add_settings, month_parser, parse, run_command, settings_from
from flows.parameters import Month, Year
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import FolderSettings
from tasks.run import open_run, remove_work


@flow(name="clean-work", flow_run_name="{year}-{month:02d}")
def clean_work(year: Year, month: Month, blocks: Blocks = Blocks()) -> str:
    """Remove a month's work in progress, so that its next run starts anew; results stay.

    Args:
        year: The year of the month.
        month: The month, 1 to 12.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    with open_run(Period(year, month), blocks) as run:
        removed = remove_work(run, [run.files.work, run.files.index, run.files.polygons])
        return "\n".join([f"{run}: {len(removed)} work files or folders removed", *removed])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = month_parser(
        "Remove what a month that was cut short has left in the work folder; its results stay."
    )
    add_settings(parser, Blocks)
    options = parse(parser, argv)
    blocks = settings_from(parser, options, Blocks)
    return run_command(
        lambda: clean_work(options.year, options.month, blocks), needs=[FolderSettings]
    )


if __name__ == "__main__":
    sys.exit(main())
