"""The first step of a month: training polygons and imagery to samples."""

import sys
from collections.abc import Sequence

from prefect import flow

from flows.command import (
    MOSAIC_PATH_HELP,
    add_settings,
    month_parser,
    parse,
    run_command,
    settings_from,
)
from flows.parameters import Month, Year
from landcover.model.sampling import SamplingSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import (
    AoiSettings,
    FolderSettings,
    MosaicSettings,
    PolygonSettings,
)
from tasks.mosaic import find_mosaic
from tasks.polygons import fetch_polygons
from tasks.run import open_run
from tasks.sampling import sample_mosaic

NEEDS = (MosaicSettings, PolygonSettings, AoiSettings)


@flow(name="prepare-data", flow_run_name="{year}-{month:02d}")
def prepare_data(
    year: Year,
    month: Month,
    mosaic_path: str | None = None,
    sampling: SamplingSettings = SamplingSettings(),
    blocks: Blocks = Blocks(),
) -> str:
    """Sample the month's mosaic under its training polygons; return the parquet file of samples.

    Args:
        year: The year of the imagery and of the training polygons.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob; on the worker's disk, or in a bucket as s3://...
        sampling: How pixels are taken from under the training polygons.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    with open_run(Period(year, month), blocks, NEEDS) as run:
        mosaic = find_mosaic(run, mosaic_path)
        polygons = fetch_polygons(run)
        return str(sample_mosaic(run, mosaic, polygons, sampling))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = month_parser(
        "Sample the month's mosaic under its training polygons and print the path of the samples."
    )
    parser.add_argument("--mosaic_path", help=MOSAIC_PATH_HELP)
    add_settings(parser, SamplingSettings)
    add_settings(parser, Blocks)
    options = parse(parser, argv)
    sampling = settings_from(parser, options, SamplingSettings)
    blocks = settings_from(parser, options, Blocks)
    return run_command(
        lambda: prepare_data(options.year, options.month, options.mosaic_path, sampling, blocks),
        needs=[FolderSettings, MosaicSettings, PolygonSettings, AoiSettings],
    )


if __name__ == "__main__":
    sys.exit(main())
