"""The month's training polygons."""

import geopandas
from prefect.logging import get_run_logger
from upath import UPath

from landcover.aoi import load_aoi
from landcover.errors import LandcoverError
from landcover.files import absolute, publish, scratch
from landcover.model.polygons import tidy_polygons
from tasks.access.polygon_file import read_file
from tasks.access.polygon_table import read_table
from tasks.access.settings import PolygonSettings
from tasks.access.storage import storage
from tasks.retries import io_task
from tasks.run import Month


@io_task("fetch polygons", "fetch polygons {month}")
def fetch_polygons(month: Month, aoi_definition: str, settings: PolygonSettings) -> UPath:
    """Fetch the month's training polygons that touch the area of interest.

    Args:
        month: whose polygons; they are kept in its work folder for the run.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        settings: which table or file, and its columns.

    Returns:
        A GeoParquet file with `polygon_id`, `class_label` and geometries.

    Raises:
        SettingsError: if the table, file or a column is not there.
        LandcoverError: if there are no polygons, or a model cannot be trained on them.
        TransientError: if the database cannot be reached.
    """
    aoi = load_aoi(aoi_definition)
    when = str(month)
    if settings.vector_file:
        found = read_file(settings.vector_file, settings, when, aoi)
    else:
        found = read_table(settings, when, aoi, month.blocks.database_block)
    _check_any(found, when, settings)
    ids = found["polygon_id"].astype("string").fillna("none")
    polygons, warnings = tidy_polygons(
        found.assign(polygon_id=ids), settings.training_polygon_table
    )
    _tell(polygons, warnings, settings.training_polygon_table)
    polygons.attrs = {"source": settings.training_polygon_table}
    with (
        storage(month.blocks.storage_block, absolute(month.polygons)),
        scratch(month.work) as folder,
    ):
        built = folder / month.polygons.name
        polygons.to_parquet(built)
        publish(built, month.polygons)
    return month.polygons


def _check_any(found: geopandas.GeoDataFrame, when: str, settings: PolygonSettings) -> None:
    missing = found.geometry.isna() | found.geometry.is_empty
    if missing.all():
        raise LandcoverError(
            f"No training polygon of {settings.training_polygon_table} touches the area of "
            f"interest{f' in {when}' if settings.training_polygon_month_col else ''}"
            f"{f' ({len(found)} have no geometry)' if len(found) else ''}: draw some there, or "
            "check AOI_DEFINITION."
        )


def _tell(polygons: geopandas.GeoDataFrame, warnings: list[str], where: str) -> None:
    logger = get_run_logger()
    for warning in warnings:
        logger.warning(warning)
    counts = polygons["class_label"].value_counts()
    classes = ", ".join(f"{name} {count}" for name, count in counts.items())
    logger.info("%d training polygons from %s: %s", len(polygons), where, classes)
