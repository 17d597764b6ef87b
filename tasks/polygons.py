"""The month's training polygons."""

from io import BytesIO

import geopandas
import pyarrow
from prefect.logging import get_run_logger
from upath import UPath

from landcover.errors import NoPolygonsError, SettingsError
from landcover.files import scratch
from landcover.model.polygons import digest, tidy_polygons
from landcover.period import Period
from landcover.publishing import publish
from tasks.access.polygon_checks import OTHERS
from tasks.access.polygon_file import months_in_file, read_file
from tasks.access.polygon_table import months_in_table, read_table
from tasks.access.settings import PolygonSettings
from tasks.retries import io_task
from tasks.run import Run


@io_task("fetch polygons", "fetch polygons {run}")
def fetch_polygons(run: Run) -> UPath:
    """Fetch the month's training polygons that touch the area of interest.

    Args:
        run: whose polygons; they are kept in its work folder.

    Returns:
        A GeoParquet file with `polygon_id`, `class_label` and geometries.

    Raises:
        SettingsError: if the table, file or a column is not there.
        NoPolygonsError: if there are no polygons.
        LandcoverError: if a model cannot be trained on them.
        TransientError: if the database cannot be reached.
    """
    return _fetch(run)


@io_task("fetch polygons", "fetch polygons {run}")
def fetch_polygons_if_any(run: Run) -> UPath | None:
    """Do as `fetch_polygons`, but return None where the month has no polygons."""
    try:
        return _fetch(run)
    except NoPolygonsError as error:
        get_run_logger().warning("No polygon of %s itself teaches the model: %s", run, error)
        return None


def _fetch(run: Run) -> UPath:
    polygons, warnings = read_polygons(run)
    log_polygons(polygons, warnings, run.settings[PolygonSettings].training_polygon_table)
    with run.storage(run.files.polygons), scratch(run.files.work) as folder:
        built = folder / run.files.polygons.name
        polygons.to_parquet(built)
        publish(built, run.files.polygons)
    return run.files.polygons


def months_with_polygons(run: Run) -> list[Period]:
    """Return the months of which there are training polygons, wherever these lie, sorted.

    Args:
        run: whose settings say where they are.

    Raises:
        SettingsError: if the table, file or a column is not there, or no column says the month.
        LandcoverError: if that column does not hold months.
        TransientError: if the database cannot be reached.
    """
    settings = run.settings[PolygonSettings]
    if not settings.training_polygon_month_col:
        raise SettingsError(
            "TRAINING_POLYGON_MONTH_COL is not set, so the polygons of one month cannot be told "
            "from those of another, as --train_on pool and all need it: set it, or train on own."
        )
    if settings.vector_file:
        return months_in_file(settings.vector_file, settings)
    return months_in_table(settings, run.blocks.database_block)


def read_polygons(run: Run) -> tuple[geopandas.GeoDataFrame, list[str]]:
    """Return the month's training polygons that touch the area of interest, checked and mended.

    Args:
        run: whose polygons.

    Returns:
        The polygons, and a sentence about each thing that was mended (see `tidy_polygons`).

    Raises:
        SettingsError: if the table, file or a column is not there.
        NoPolygonsError: if there are no polygons.
        LandcoverError: if a model cannot be trained on them.
        TransientError: if the database cannot be reached.
    """
    settings = run.settings[PolygonSettings]
    assert run.aoi is not None
    if settings.vector_file:
        found = read_file(settings.vector_file, settings, str(run), run.aoi)
    else:
        found = read_table(settings, str(run), run.aoi, run.blocks.database_block)
    _check_any(found, str(run), settings)
    return tidy_polygons(found, settings.training_polygon_table)


@io_task("find polygons", "find polygons {run}")
def find_polygons(run: Run, sha256: str | None) -> UPath | None:
    """Return the training polygons that an earlier run of the period has fetched.

    Args:
        run: whose polygons.
        sha256: of those that the model was trained on; None if it is not known.

    Returns:
        Their file; None where it is not there any more, or is another.

    Raises:
        TransientError: if the bucket cannot be reached.
    """
    return run.files.polygons if kept_polygons(run, sha256) is not None else None


def kept_polygons(run: Run, sha256: str | None) -> geopandas.GeoDataFrame | None:
    """Do as `find_polygons`, and return the polygons themselves.

    Args:
        run: whose polygons.
        sha256: of those that the model was trained on; None if it is not known.

    Raises:
        TransientError: if the bucket cannot be reached.
    """
    path = run.files.polygons
    with run.storage(path):
        if sha256 is None or not path.exists():
            return None
        content = path.read_bytes()
    try:
        found = geopandas.read_parquet(BytesIO(content))
    # Of a damaged file pyarrow raises what a disk does.
    except (pyarrow.ArrowException, OSError, ValueError):
        return None
    return found if digest(found) == sha256 else None


def _check_any(found: geopandas.GeoDataFrame, when: str, settings: PolygonSettings) -> None:
    missing = found.geometry.isna() | found.geometry.is_empty
    if missing.all():
        raise NoPolygonsError(
            f"No training polygon of {settings.training_polygon_table} touches the area of "
            f"interest{f' in {when}' if settings.training_polygon_month_col else ''}"
            f"{f' ({len(found)} have no geometry)' if len(found) else ''}: draw some there, or "
            f"check AOI_DEFINITION{f', {OTHERS}' if settings.training_polygon_month_col else ''}."
        )


def log_polygons(polygons: geopandas.GeoDataFrame, warnings: list[str], where: str) -> None:
    """Say in the log how many polygons there are, and what was mended.

    Args:
        polygons: as `read_polygons` returned them.
        warnings: the same.
        where: they come from.
    """
    logger = get_run_logger()
    for warning in warnings:
        logger.warning(warning)
    counts = polygons["class_label"].value_counts()
    classes = ", ".join(f"{name} {count}" for name, count in counts.items())
    logger.info("%d training polygons from %s: %s", len(polygons), where, classes)
