"""The months that teach a model together, each of which is sampled on its own imagery."""

from dataclasses import fields

import geopandas
from prefect.logging import get_run_logger
from upath import UPath

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.imagery.mosaic import Mosaic
from landcover.model.pooling import TrainOn
from landcover.model.sampling import Origin, SamplingSettings, read_samples
from landcover.notices import Notice
from landcover.period import Period
from tasks.access.settings import PolygonSettings
from tasks.mosaic import imagery_of
from tasks.polygons import log_polygons, months_with_polygons, read_polygons
from tasks.retries import io_task
from tasks.run import Run
from tasks.sampling import origin_of, sample


@io_task("find months", "find months {run}")
def find_months(run: Run, train_on: TrainOn) -> list[Period]:
    """Return the months with training polygons that may teach the model of a month, sorted.

    Args:
        run: of the month.
        train_on: which may.

    Raises:
        SettingsError: if no column says of which month polygons are.
        LandcoverError: if there are none.
        TransientError: if the database cannot be reached.
    """
    there = months_with_polygons(run)
    months = [month for month in there if train_on.reaches(run.period, month)]
    if not months:
        where = run.settings[PolygonSettings].training_polygon_table
        near = f" within {train_on.within} months of {run}" if train_on.within else ""
        has = f"; it has polygons of {', '.join(map(str, there[-12:]))}" if there else ""
        raise LandcoverError(
            f"{where} has no training polygons of any month{near}{has}: draw some, or let more "
            "months teach (--train_on pool:N with a greater N, or all)."
        )
    get_run_logger().info("Months that may teach the model: %s", ", ".join(map(str, months)))
    return months


@io_task("prepare month", "prepare {period}")
def prepare_month(run: Run, period: Period, settings: SamplingSettings) -> UPath | Notice:
    """Sample another month on its own imagery, unless its samples are there and would be the same.

    Args:
        run: that needs them.
        period: the other month.
        settings: how pixels are drawn.

    Returns:
        The samples; or, where the month has no imagery or its polygons cannot be used, what is to
        be told of it.

    Raises:
        SettingsError: if imagery or polygons are looked for where there can be none.
        TransientError: if database or bucket cannot be reached, or the imagery cannot be read.
    """
    theirs = run.of(period)
    try:
        polygons, warnings = read_polygons(theirs)
        with imagery_of(run, period) as mosaic:
            if _is_prepared(theirs, mosaic, polygons, settings):
                get_run_logger().info("%s is as it would be made now", theirs.files.samples)
                return theirs.files.samples
            log_polygons(polygons, warnings, run.settings[PolygonSettings].training_polygon_table)
            return sample(theirs, mosaic, polygons, settings)
    except (SettingsError, TransientError):
        raise
    except LandcoverError as error:
        left_out = Notice("month_left_out", {"month": str(period), "why": str(error).rstrip(".")})
        get_run_logger().warning("%s", left_out)
        return left_out


def _is_prepared(
    run: Run, mosaic: Mosaic, polygons: geopandas.GeoDataFrame, settings: SamplingSettings
) -> bool:
    """Tell whether the samples of a month are there, and made of what there is now."""
    path = run.files.samples
    with run.storage(path):
        if not path.exists():
            return False
        try:
            _, found = read_samples(path, list(mosaic.bands))
        except LandcoverError:
            return False  # they are made anew
    wanted = origin_of(run, mosaic, polygons, settings)
    return all(
        getattr(found, field.name) == value
        for field in fields(Origin)
        if (value := getattr(wanted, field.name)) is not None
    )


def check_any(run: Run, train_on: TrainOn, samples: list[UPath]) -> None:
    """Make sure that there are samples to learn from.

    Args:
        run: of the month that is mapped.
        train_on: which months may teach.
        samples: of those that do.

    Raises:
        LandcoverError: if there are none.
    """
    if not samples:
        raise LandcoverError(
            f"None of the months that may teach the model of {run} can be sampled (each is told "
            "above): look after their imagery and polygons, or let others teach "
            f"(--train_on {train_on.kind} was given)."
        )
