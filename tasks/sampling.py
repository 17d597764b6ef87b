"""Samples of the mosaic under the training polygons, as a parquet file."""

from io import BytesIO

import geopandas
import pandas as pd
from prefect.logging import get_run_logger
from upath import UPath

from landcover.classes import label_key
from landcover.errors import LandcoverError
from landcover.files import absolute, publish, scratch
from landcover.imagery.mosaic import Mosaic
from landcover.model.sampling import Samples, SamplingSettings, sample_polygons
from tasks.access.storage import storage
from tasks.mosaic import reading
from tasks.retries import io_task
from tasks.run import Month

# So many polygons are named.
SHOWN = 20


@io_task("sample mosaic", "sample mosaic {month}")
def sample_mosaic(
    month: Month, mosaic: Mosaic, polygons: UPath, settings: SamplingSettings
) -> UPath:
    """Write the month's samples.

    Args:
        month: whose samples.
        mosaic: the imagery.
        polygons: the training polygons (see `fetch_polygons`).
        settings: how pixels are drawn.

    Returns:
        A GeoParquet file of points: a row a sample, with `polygon_id`, `class_label`, `x`, `y` and
        a column a band.

    Raises:
        LandcoverError: if fewer than two classes have samples.
        TransientError: if the imagery cannot be read.
    """
    block = month.blocks.storage_block
    with storage(block), reading(mosaic, "under the training polygons"):
        drawn = geopandas.read_parquet(BytesIO(polygons.read_bytes()))
        samples = sample_polygons(mosaic, drawn, settings)
    _tell(samples)
    if samples.rows["class_label"].map(label_key).nunique() < 2:
        raise LandcoverError(
            f"The training polygons gave samples of fewer than two classes from {mosaic.origin}"
            f"{_why(samples.skipped)}: check that they lie on the month's imagery."
        )
    samples.rows.attrs = {
        "mosaic": mosaic.origin,
        "polygons": drawn.attrs["source"],
        "sampling": settings.model_dump(),
    }
    with storage(block, absolute(month.samples)), scratch(month.work) as folder:
        built = folder / month.samples.name
        samples.rows.to_parquet(built, index=False)
        publish(built, month.samples)
    get_run_logger().info("%d samples written to %s", len(samples.rows), month.samples)
    return month.samples


def _tell(samples: Samples) -> None:
    logger = get_run_logger()
    skipped = pd.Series(samples.skipped, dtype=object)
    for reason, ids in skipped.groupby(skipped).groups.items():
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        shown = ", ".join(ids[:SHOWN])
        logger.warning("%d polygons gave no sample (id %s%s): %s.", len(ids), shown, more, reason)
    if samples.contested:
        logger.warning(
            "%d pixels lie under polygons of different classes; each went to the first.",
            samples.contested,
        )


def _why(skipped: dict[str, str]) -> str:
    if not skipped:
        return ""
    reasons = sorted(set(skipped.values()))
    return f" ({len(skipped)} polygons gave none: {', '.join(reasons)})"
