"""Whether the month's imagery is as bright as the month before's, and as the month's samples."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Self

import pandas as pd
from prefect.logging import get_run_logger
from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator
from sqlalchemy import select
from upath import UPath

from landcover.errors import LandcoverError, TransientError
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import (
    Distribution,
    Earlier,
    Radiometry,
    compare_imagery,
    draw_pixels,
    measure,
)
from landcover.model.sampling import read_samples
from landcover.period import Period
from tasks.access.tables import DETAILS, RADIOMETRY, is_before, raster_predictions
from tasks.mosaic import imagery_of
from tasks.retries import io_task
from tasks.run import Run


@io_task("check radiometry", "check radiometry {run}")
def measure_radiometry(
    run: Run, mosaic: Mosaic, samples: Sequence[UPath], before: Period | None = None
) -> Radiometry:
    """Compare the band values of a mosaic with those of the month before and of the samples.

    Args:
        run: that maps the month.
        mosaic: the imagery, of which a small part is read.
        samples: what the model is trained on, as `sample_mosaic` writes it; none if that is not at
            hand.
        before: the month before, whose imagery is read too. If left out, or where its imagery
            cannot be read, the latest of the earlier ones whose map is recorded with what was
            measured on its mosaic.

    Raises:
        TransientError: if the imagery cannot be read, or the database cannot be reached.
    """
    pixels = _draw(run, mosaic)
    rows = pd.concat([_read(run, mosaic, path) for path in samples]) if samples else None
    earlier = (before and _measured_now(run, before)) or _recorded(run)
    radiometry = compare_imagery(mosaic, pixels, earlier, rows)
    for warning in radiometry.warnings:
        get_run_logger().warning("%s", warning)
    return radiometry


def _read(run: Run, mosaic: Mosaic, samples: UPath) -> pd.DataFrame:
    with run.storage(samples):
        return read_samples(samples, list(mosaic.bands))[0]


def _draw(run: Run, mosaic: Mosaic) -> pd.DataFrame:
    with run.imagery(mosaic, "to measure its brightness"):
        return draw_pixels(mosaic, run.area(mosaic.grid.crs))


def _measured_now(run: Run, before: Period) -> Earlier | None:
    """Measure the imagery of another month, as its own run does; None where it cannot be."""
    try:
        with imagery_of(run, before) as mosaic:
            measured = measure(_draw(run, mosaic), mosaic.imagery)
    except TransientError:
        raise
    except LandcoverError as error:
        get_run_logger().info("The imagery of %s is not compared with: %s", before, error)
        return None
    return Earlier(str(before), mosaic.origin, measured) if measured["pixels"] else None


class _Measured(BaseModel):
    """What was measured on a mosaic, as `Distribution` has it."""

    pixels: Annotated[int, Field(strict=True, gt=0)]
    percentiles: list[FiniteFloat]
    bands: dict[str, list[FiniteFloat]]

    @model_validator(mode="after")
    def _have_all(self) -> Self:
        assert all(len(values) == len(self.percentiles) for values in self.bands.values())
        return self


def _recorded(run: Run) -> Earlier | None:
    columns = raster_predictions.c
    query = (
        select(columns.year, columns.month, columns.source_mosaic, columns[DETAILS][RADIOMETRY])
        .where(is_before(raster_predictions, run.period))
        .order_by(columns.year.desc(), columns.month.desc())
    )
    with run.tables() as connection:
        for year, month, origin, details in connection.execute(query):
            # Rows of earlier versions and of other software say nothing of it, or something else.
            with suppress(ValidationError):
                found = _Measured.model_validate(details)
                measured = Distribution(
                    pixels=found.pixels, percentiles=found.percentiles, bands=found.bands
                )
                return Earlier(f"{year}-{month:02d}", origin or "", measured)
    return None
