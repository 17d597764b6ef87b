"""Samples of the mosaic under the training polygons, as a parquet file."""

from dataclasses import replace
from functools import partial
from io import BytesIO

import geopandas
import pandas as pd
from prefect.logging import get_run_logger
from upath import UPath

from landcover.classes import label_key
from landcover.errors import LandcoverError
from landcover.files import scratch
from landcover.imagery.doubts import check_flat
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import draw_pixels
from landcover.listing import listed
from landcover.model.polygons import digest
from landcover.model.reflectance import reflectances_of
from landcover.model.sampling import (
    Origin,
    Samples,
    SamplingSettings,
    sample_polygons,
    write_samples,
)
from landcover.publishing import publish
from tasks.access.settings import PolygonSettings
from tasks.access.storage import side_by_side
from tasks.retries import io_task
from tasks.run import Run

# At most this many polygons are named.
SHOWN = 20

# The share of what lies under the polygons that may hold one value in all bands: in the few pixels
# of small polygons chance weighs more than in an area.
MOST_FLAT = 0.01


@io_task("sample mosaic", "sample mosaic {run}")
def sample_mosaic(run: Run, mosaic: Mosaic, polygons: UPath, settings: SamplingSettings) -> UPath:
    """Write the month's samples.

    Args:
        run: whose samples.
        mosaic: the imagery.
        polygons: the training polygons (see `fetch_polygons`).
        settings: how pixels are drawn.

    Returns:
        A GeoParquet file of points: a row a sample, with `polygon_id`, `class_label`, `x`, `y` and
        a column a band.

    Raises:
        LandcoverError: if fewer than two classes have samples, or if too much under the polygons
            looks like no data.
        TransientError: if the imagery cannot be read.
    """
    with run.storage(polygons):
        found = geopandas.read_parquet(BytesIO(polygons.read_bytes()))
    return sample(run, mosaic, found, settings)


def sample(
    run: Run, mosaic: Mosaic, found: geopandas.GeoDataFrame, settings: SamplingSettings
) -> UPath:
    """Do as `sample_mosaic` under polygons that are at hand."""
    with run.imagery(mosaic, "under the training polygons"):
        reach = partial(side_by_side, block=run.blocks.storage_block, what=mosaic.origin)
        samples = sample_polygons(mosaic, found, settings, reach)
        reflectances = reflectances_of(mosaic)
    _log(samples)
    _check_flat(samples, run, mosaic)
    if samples.rows["class_label"].map(label_key).nunique() < 2:
        raise LandcoverError(
            f"The training polygons gave samples of fewer than two classes from {mosaic.origin}"
            f"{_describe_skipped(samples.skipped)}: check that they lie on the month's imagery."
        )
    origin = replace(
        origin_of(run, mosaic, found, settings),
        together=samples.together,
        reflectances=reflectances,
        dtype=", ".join(mosaic.dtypes()),
        crs=mosaic.grid.crs,
        pixel=mosaic.grid.pixel,
    )
    final = run.files.samples
    with run.storage(final), scratch(run.files.work) as folder:
        built = folder / final.name
        write_samples(samples.rows, origin, built)
        publish(built, final)
    get_run_logger().info("%d samples written to %s", len(samples.rows), final)
    return final


def origin_of(
    run: Run, mosaic: Mosaic, polygons: geopandas.GeoDataFrame, settings: SamplingSettings
) -> Origin:
    """Return what samples are made of, and by which it is known whether they would be others now.

    Args:
        run: whose samples.
        mosaic: the imagery.
        polygons: the training polygons.
        settings: how pixels are drawn.
    """
    return Origin(
        bands=tuple(mosaic.bands),
        mosaic=mosaic.origin,
        polygons=run.settings[PolygonSettings].training_polygon_table,
        polygons_sha256=digest(polygons),
        sampling=settings.model_dump(),
        month=str(run),
        fingerprint=mosaic.fingerprint,
    )


def _check_flat(samples: Samples, run: Run, mosaic: Mosaic) -> None:
    """Make sure that what lies under the polygons does not look like no data."""
    try:
        # Of polygons that lie wholly in it, saturated cloud cannot be told from an empty part.
        where = "of what lies under the training polygons"
        check_flat(samples.doubts, mosaic, where, MOST_FLAT, with_edge=True)
    except LandcoverError:
        # Where it is so elsewhere too, the share of the area tells more.
        with run.imagery(mosaic, "to see how much of it looks like no data"):
            draw_pixels(mosaic, run.area(mosaic.grid.crs))
        raise


def _log(samples: Samples) -> None:
    logger = get_run_logger()
    skipped = pd.Series(samples.skipped, dtype=object)
    for reason, ids in skipped.groupby(skipped).groups.items():
        shown = listed(list(ids), SHOWN)
        logger.warning("%d polygons gave no sample (id %s): %s.", len(ids), shown, reason)
    if samples.together:
        logger.info(
            "%d polygons lie on the same ground as others (such as id %s), so validation holds "
            "them out together.",
            sum(map(len, samples.together)),
            listed(list(samples.together[0]), SHOWN),
        )
    if samples.contested:
        logger.warning(
            "%d pixels lie under polygons of different classes; each went to the first.",
            samples.contested,
        )


def _describe_skipped(skipped: dict[str, str]) -> str:
    if not skipped:
        return ""
    reasons = sorted(set(skipped.values()))
    return f" ({len(skipped)} polygons gave none: {', '.join(reasons)})"
