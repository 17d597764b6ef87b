"""Samples of the mosaic under the training polygons, as a parquet file."""

from pathlib import Path

import geopandas
from prefect.logging import get_run_logger

from landcover.classes import label_key
from landcover.errors import LandcoverError
from landcover.files import prepared_data_name, publish
from landcover.mosaic import Mosaic
from landcover.sampling import Samples, SamplingSettings, sample_polygons
from tasks.mosaic import reading
from tasks.retries import io_task


@io_task("sample mosaic", "sample mosaic {year}-{month:02d}")
def sample_mosaic(
    year: int,
    month: int,
    mosaic: Mosaic,
    polygons: Path,
    settings: SamplingSettings,
    folder: Path,
    work_dir: Path,
) -> Path:
    """Write the month's samples.

    Args:
        year: of the month.
        month: 1 to 12.
        mosaic: the imagery.
        polygons: the training polygons (see `fetch_polygons`).
        settings: how pixels are drawn.
        folder: where the samples go.
        work_dir: where they are written first.

    Returns:
        A GeoParquet file of points: a row a sample, with `polygon_id`, `class_label`, `x`, `y` and
        a column a band.

    Raises:
        LandcoverError: if fewer than two classes have samples.
        TransientError: if the imagery cannot be read.
    """
    drawn = geopandas.read_parquet(polygons)
    with reading(mosaic, "under the training polygons"):
        samples = sample_polygons(mosaic, drawn, settings)
    _tell(samples)
    if samples.rows["class_label"].map(label_key).nunique() < 2:
        raise LandcoverError(
            f"The training polygons gave samples of fewer than two classes from {mosaic.origin}"
            f"{_why(samples.skipped)}: check that they lie on the month's imagery."
        )
    built = work_dir / prepared_data_name(year, month)
    samples.rows.attrs = {
        "mosaic": mosaic.origin,
        "polygons": drawn.attrs["source"],
        "sampling": settings.model_dump(),
    }
    samples.rows.to_parquet(built, index=False)
    path = folder / built.name
    publish(built, path)
    get_run_logger().info("%d samples written to %s", len(samples.rows), path)
    return path


def _tell(samples: Samples) -> None:
    logger = get_run_logger()
    for polygon_id, reason in samples.skipped.items():
        logger.warning("Polygon %s gave no sample: %s.", polygon_id, reason)
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
