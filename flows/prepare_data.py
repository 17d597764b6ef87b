"""The first step of a month: training polygons and imagery to samples."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.parameters import Month, Year
from landcover.model.sampling import SamplingSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import (
    AoiSettings,
    PolygonSettings,
)
from tasks.mosaic import find_mosaic
from tasks.polygons import fetch_polygons
from tasks.run import open_run
from tasks.sampling import sample_mosaic

NEEDS = (PolygonSettings, AoiSettings)


@flow(name="prepare-data", flow_run_name="{year}-{month:02d}")
def prepare_data(
    year: Year,
    month: Month,
    mosaic_path: str | None = None,
    sampling: SamplingSettings = SamplingSettings(),
    blocks: Blocks = Blocks(),
) -> str:
    """Sample the month's mosaic under its training polygons; the result is a file of samples.

    Args:
        year: The year of the imagery and of the training polygons, such as 2025.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob; on the disk of the machine that runs this, or in a bucket as s3://...
        sampling: How pixels are taken from under the training polygons.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    with open_run(Period(year, month), blocks, NEEDS) as run:
        mosaic = find_mosaic(run, mosaic_path)
        polygons = fetch_polygons(run)
        return str(sample_mosaic(run, mosaic, polygons, sampling))


main = command(prepare_data, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
