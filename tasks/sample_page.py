"""The page on which people label a sample's points, with pictures of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
from prefect.logging import get_run_logger
from sqlalchemy import select
from upath import UPath

from landcover.accuracy.sample_files import read_key
from landcover.accuracy.strata import Of
from landcover.areas import areas_of
from landcover.errors import LandcoverError, TransientError
from landcover.files import sample_file_name, scratch, sha256
from landcover.imagery.mosaic import Mosaic
from landcover.machine import cores
from landcover.period import Period, months_between
from landcover.publishing import publish
from tasks.access.settings import ReportSettings
from tasks.access.storage import side_by_side
from tasks.access.tables import columns_there, raster_predictions
from tasks.mosaic import imagery_of
from tasks.reference_sample import DrawnSample
from tasks.retries import io_task
from tasks.run import Run


@io_task("write sample page", "write sample page {run}")
def write_sample_page(run: Run, drawn: DrawnSample) -> list[Period]:
    """Write the page on which people label a sample's points, with a picture before and after.

    The page stays in the work folder until its sample is recorded.

    Args:
        run: of the month.
        drawn: the sample.

    Returns:
        The months that it shows.

    Raises:
        TransientError: if database or bucket cannot be reached, or imagery in it not be read.
        LandcoverError: if imagery on this machine cannot be read.
    """
    # Here, because matplotlib comes with it, for which --help would wait.
    from landcover.report.sample import SamplePage, render_sample

    of = drawn.source.of
    names = {what: sample_file_name(what, of, run.period) for what in ("sample", "sample_page")}
    with run.storage(drawn.waiting):
        sample = read_key(drawn.waiting / sample_file_name("sample_key", of, run.period))
        digest = sha256(drawn.waiting / names["sample"])
    pictures: dict[Period, Sequence[bytes | None]] = {}
    metres = None
    for wanted in months_wanted(of, drawn.source.first, run.period):
        with _first_there(run, [month for month in wanted if month not in pictures]) as found:
            if found:
                period, mosaic = found
                pictures[period] = _pictures(run, mosaic, sample.points)
                metres = metres or _metres(mosaic)
    stem = UPath(names["sample"]).stem
    page = SamplePage(
        of=of,
        first=drawn.source.first,
        last=run.period,
        points=sample.points[["id", "lon", "lat"]],
        classes=sample.design["classes"],
        pictures=dict(sorted(pictures.items())),
        metres=metres,
        # A browser may be given samples of several projects.
        name=f"{stem} {digest}",
        file=f"{stem}_labels.csv",
    )
    with run.storage(drawn.waiting), scratch(drawn.waiting) as folder:
        built = folder / names["sample_page"]
        built.write_text(render_sample(page, run.settings[ReportSettings].report_language), "utf-8")
        publish(built, drawn.waiting / built.name)
    return list(page.pictures)


def months_wanted(of: Of, first: Period, last: Period) -> list[list[Period]]:
    """Return the months of which the page shows one each, the most wanted first.

    Of a map they are its own month, and the nearest before or after it. Of loss they are two before
    the period and its last two, because one may be under clouds.

    >>> now, other = months_wanted("prediction", Period(2025, 6), Period(2025, 6))
    >>> [str(month) for month in now + other[:3]]
    ['2025-06', '2025-05', '2025-07', '2025-04']
    >>> before, _, after, _ = months_wanted("deforestation", Period(2024, 1), Period(2024, 12))
    >>> [str(month) for month in before[:2] + after[:2]]
    ['2023-12', '2023-11', '2024-12', '2024-11']

    Args:
        of: what the sample is of.
        first: the first month of the period.
        last: its last month, or that of the map.
    """
    if of == "prediction":
        year = months_between(Period(last.year - 1, last.month), Period(last.year + 1, last.month))
        around = sorted(year, key=lambda month: (abs(_apart(month, last)), _apart(month, last)))
        return [[last], around[1:]]
    before = months_between(Period(first.year - 1, first.month), first.previous())
    during = months_between(first, last)
    return [before[::-1] + during[:-1], before[::-1], during[::-1], during[::-1]]


def _apart(month: Period, other: Period) -> int:
    return 12 * (month.year - other.year) + month.month - other.month


@contextmanager
def _first_there(run: Run, months: Iterable[Period]) -> Iterator[tuple[Period, Mosaic] | None]:
    """Yield the first of some months whose imagery is there, and that; None where none is."""
    places = _places(run)
    with ExitStack() as stack:
        for period in months:
            try:
                mosaic = stack.enter_context(imagery_of(run, period, places.get(period)))
            except TransientError:
                raise
            except LandcoverError as error:
                get_run_logger().info("The page does not show %s: %s", period, error)
                continue
            yield period, mosaic
            return
        yield None


def _places(run: Run) -> dict[Period, str]:
    """Return where the imagery of mapped months was found."""
    with run.tables(reading=True) as connection:
        if not columns_there(connection, raster_predictions):
            return {}
        rows = raster_predictions.c
        found = connection.execute(select(rows.year, rows.month, rows.source_mosaic)).all()
    return {Period(row.year, row.month): row.source_mosaic for row in found if row.source_mosaic}


def _pictures(run: Run, mosaic: Mosaic, points: pd.DataFrame) -> list[bytes | None]:
    from landcover.report.sample import draw_places, read_places, squares_of

    with run.imagery(mosaic, "to show the points of the sample"):
        squares = squares_of(mosaic, points)
        block = run.blocks.storage_block
        places = side_by_side(partial(read_places, mosaic), squares, block, mosaic.origin, cores())
    return draw_places(list(chain.from_iterable(places)))


def _metres(mosaic: Mosaic) -> float:
    """Return how wide a picture is on the ground."""
    from landcover.report.sample import SIDE

    grid = mosaic.grid
    middle = np.array([grid.width / 2]), np.array([grid.height / 2])
    return float(SIDE * np.sqrt(areas_of(grid, *middle)[0]))
