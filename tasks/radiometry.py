"""Whether the month's imagery is as bright as the month before's, and as the month's samples."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from prefect.logging import get_run_logger
from sqlalchemy import select
from upath import UPath

from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import (
    Distribution,
    ImageryWarning,
    beyond,
    compare,
    draw_pixels,
    measure,
)
from landcover.model.sampling import read_samples
from landcover.report.wording import Wording
from tasks.access.tables import DETAILS, raster_predictions
from tasks.retries import io_task
from tasks.run import Run

# The key under which the details of a map hold what was measured on its mosaic.
RADIOMETRY = "radiometry"

# Of logs and rows.
WORDING = Wording("en")


@dataclass(frozen=True)
class Radiometry:
    """How bright a month's imagery is, and what is wrong with that.

    Attributes:
        measured: for the details of the month's map, under `RADIOMETRY`: what was measured (see
            `landcover.imagery.radiometry.Distribution`), the month that it was compared with, if
            any, and the warnings in words.
        warnings: none where nothing is wrong.
    """

    measured: Mapping[str, object]
    warnings: tuple[ImageryWarning, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The warnings in words, for logs and summaries."""
        return tuple(map(WORDING.warning, self.warnings))


@dataclass(frozen=True)
class _Earlier:
    """An earlier month: as text, where its imagery was, and what was measured on it."""

    month: str
    origin: str
    measured: Distribution


@io_task("check radiometry", "check radiometry {run}")
def measure_radiometry(run: Run, mosaic: Mosaic, samples: UPath | None) -> Radiometry:
    """Compare the band values of a mosaic with those of the month before and of the samples.

    Args:
        run: that maps the month. The month before is the latest of the earlier ones whose map is
            recorded with what was measured on its mosaic.
        mosaic: the imagery, of which a small part is read.
        samples: what the model is trained on, as `sample_mosaic` writes it; None if that is not at
            hand.

    Raises:
        TransientError: if the imagery cannot be read, or the database not reached.
    """
    with run.imagery(mosaic, "to measure its brightness"):
        pixels = draw_pixels(mosaic, run.area(mosaic.grid.crs))
    measured = measure(pixels, mosaic.bands)
    before = _month_before(run)
    found = [_against_month(mosaic, measured, before)]
    if samples is not None and measured["pixels"]:
        with run.storage(samples):
            rows, _ = read_samples(samples, list(mosaic.bands))
        found.append(_against_samples(mosaic, pixels, measured, rows))
    warnings = tuple(warning for warning in found if warning)
    told = [WORDING.warning(warning) for warning in warnings]
    for sentence in told:
        get_run_logger().warning("%s", sentence)
    compared = before.month if before else None
    return Radiometry({**measured, "compared_with": compared, "warnings": told}, warnings)


def _month_before(run: Run) -> _Earlier | None:
    columns = raster_predictions.c
    number = columns.year * 12 + columns.month
    # A path that is not there, or leads to JSON's null, is never more than 0.
    measured = columns[DETAILS][RADIOMETRY, "pixels"].as_integer() > 0
    query = (
        select(columns.year, columns.month, columns.source_mosaic, columns[DETAILS][RADIOMETRY])
        .where(number < run.period.year * 12 + run.period.month, measured)
        .order_by(number.desc())
    )
    with run.tables() as connection:
        row = connection.execute(query.limit(1)).one_or_none()
    return _Earlier(f"{row[0]}-{row[1]:02d}", row[2], row[3]) if row else None


def _against_month(
    mosaic: Mosaic, measured: Distribution, before: _Earlier | None
) -> ImageryWarning | None:
    found = compare(measured, before.measured) if before else None
    if not before or not found:
        return None
    return ImageryWarning("month", mosaic.origin, (before.month, before.origin), found)


def _against_samples(
    mosaic: Mosaic, pixels: pd.DataFrame, measured: Distribution, samples: pd.DataFrame
) -> ImageryWarning | None:
    found = compare(measured, measure(samples, mosaic.bands))
    if found:
        return ImageryWarning("samples", mosaic.origin, difference=found)
    shares = beyond(pixels, samples)
    if shares:
        return ImageryWarning("range", mosaic.origin, beyond=shares)
    return None
