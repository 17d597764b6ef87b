"""Points drawn at random from the strata of a map, in proportion to true area.

A pixel of Web Mercator is smaller away from the equator. So each pixel draws a waiting time that is
exponential with its true area as the rate, and a stratum's points are those of its pixels that come
first: of any two the larger comes first the more often, as their areas are to each other, and none
comes twice (Efraimidis and Spirakis 2006, Weighted random sampling with a reservoir; Rosén 1997
calls it successive sampling). While a stratum has far more pixels than points, the chance of each
is proportional to its area.

Waiting times belong to blocks of the grid and to the seed, so the windows that a map is read in
change nothing. One pass is enough: how many points a stratum gets may be decided at its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rasterio.transform import xy
from rasterio.windows import Window

from landcover.accuracy.design import Allocation, allocate, sample_size
from landcover.accuracy.strata import Codes, Strata, Stratum
from landcover.areas import interpolated_areas
from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.geometry import to_lonlat
from landcover.grid import Grid
from landcover.maps.measure import Totals, total_hectares
from landcover.windows import BLOCK, split, within

# People look at each of them, and the page with their pictures is 10 kB a point.
MOST_POINTS = 3000

STANDARD_ERROR = 0.01

# Of a degree: a centimetre.
DECIMALS = 7

CANDIDATES = ("time", "row", "column", "stratum")


class SampleSettings(BaseModel):
    """How many points are drawn, and from where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    standard_error: float | None = Field(
        default=None,
        gt=0,
        lt=0.5,
        title="Standard error",
        description="Draw as many points as give the overall accuracy this standard error; 0.01, "
        "which is an interval of ±2 percentage points, where neither it nor --size is given.",
    )
    size: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        title="Size",
        description="Draw so many points instead.",
    )
    allocation: Allocation = Field(
        default=Allocation.NEYMAN,
        title="Allocation",
        description="How strata share the points: neyman (by area and by how wrong the map may be "
        "there), proportional (by area) or equal.",
    )
    at_least: int = Field(
        default=50,
        ge=2,
        le=MOST_POINTS,
        title="At least",
        description="So many points a stratum at least, however small it is.",
    )
    buffer: int = Field(
        default=0,
        ge=0,
        le=256,
        title="Buffer",
        description="Make forest within so many pixels of loss (of what is not forest, in the map "
        "of a month) a stratum of its own: most of what a map misses lies there.",
    )
    seed: int = Field(
        default=42, ge=0, title="Random seed", description="The same seed draws the same points."
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.standard_error and self.size:
            raise ValueError("give --standard_error or --size, not both")
        return self


@dataclass(frozen=True)
class Drawn:
    """What was found in a part of a map: what may be drawn, and how much there is."""

    candidates: pd.DataFrame
    """The first pixels of each stratum, with `time`, `row`, `column` and `stratum`."""
    pixels: Mapping[int, int]
    """How many pixels each code has."""
    hectares: Mapping[int, float]
    """Their true area."""


@dataclass(frozen=True)
class Share:
    """A stratum and its part of the sample."""

    stratum: Stratum
    code: int
    hectares: float
    pixels: int
    points: int
    wanted: int
    """More than its points where it has fewer pixels."""


def draw_window(
    codes: Codes,
    window: Window,
    grid: Grid,
    strata: Strata,
    seed: int,
    before: Drawn | None = None,
    most: int = MOST_POINTS,
) -> Drawn:
    """Return the pixels of a window that come first in each stratum, and measure all.

    Args:
        codes: the strata of its pixels, (rows, columns).
        window: which pixels of the grid; it begins at a block.
        grid: the map's.
        strata: of the map.
        seed: of the random numbers.
        before: what was found elsewhere, which spares what comes too late beside it.
        most: how many pixels of each stratum are kept.
    """
    totals, candidates = Totals(), _none()
    times = np.full(256, 0.0)
    times[: len(strata.strata)] = np.inf
    if before is not None:
        times = _last_times(before.candidates, times, most)
    for block in split(window, BLOCK, BLOCK):
        found = codes[within(block, window)]
        if (found == NODATA).all():
            continue
        totals.add(found, grid, block)
        new = _candidates(found, block, grid, seed, times)
        if len(new):
            candidates = first_of([candidates, new], most)
            times = _last_times(candidates, times, most)
    pixels, hectares = totals.without(NODATA)
    return Drawn(candidates, pixels, hectares)


def join_drawn(parts: Sequence[Drawn], most: int = MOST_POINTS) -> Drawn:
    """Return what was found in all parts of a map.

    Args:
        parts: each as `draw_window` returns it.
        most: how many pixels of each stratum are kept.
    """
    codes = {code for part in parts for code in part.pixels}
    return Drawn(
        first_of([part.candidates for part in parts], most),
        {code: sum(part.pixels.get(code, 0) for part in parts) for code in sorted(codes)},
        total_hectares([part.hectares for part in parts]),
    )


def first_of(candidates: Sequence[pd.DataFrame], most: int) -> pd.DataFrame:
    """Return the first pixels of each stratum, in the order in which they come.

    Args:
        candidates: of parts of a map.
        most: how many of each stratum.
    """
    # pandas cannot tell the types of columns by tables without rows.
    there = [part for part in candidates if len(part)]
    if not there:
        return _none()
    joined = pd.concat(there, ignore_index=True).sort_values("time", kind="stable")
    return joined.groupby("stratum").head(most).reset_index(drop=True)


def _none() -> pd.DataFrame:
    types = {"time": float, "row": np.int64, "column": np.int64, "stratum": np.int64}
    return pd.DataFrame({name: np.empty(0, types[name]) for name in CANDIDATES})


def _candidates(
    codes: Codes, block: Window, grid: Grid, seed: int, times: NDArray[np.float64]
) -> pd.DataFrame:
    """Return the pixels of a block that come before the time at which their stratum is full."""
    waiting = _waiting_times(block, grid, seed)
    rows, columns = np.nonzero(waiting < times[codes])
    return pd.DataFrame(
        {
            "time": waiting[rows, columns],
            "row": rows + block.row_off,
            "column": columns + block.col_off,
            "stratum": codes[rows, columns].astype(np.int64),
        }
    )


def _waiting_times(block: Window, grid: Grid, seed: int) -> NDArray[np.float64]:
    """Return when each pixel of a block comes, by its true area."""
    row, column = block.row_off // BLOCK, block.col_off // BLOCK
    # All of the block, of whatever part of it there is: random numbers keep their places.
    generator = np.random.default_rng([seed, row, column])
    drawn = generator.standard_exponential((BLOCK, BLOCK))[: block.height, : block.width]
    times: NDArray[np.float64] = drawn / interpolated_areas(grid, block)
    return times


def _last_times(
    candidates: pd.DataFrame, times: NDArray[np.float64], most: int
) -> NDArray[np.float64]:
    """Return the time after which a pixel comes too late, by the code of its stratum."""
    by_stratum = candidates.groupby("stratum")["time"].agg(["size", "max"])
    full = by_stratum[by_stratum["size"] == most]
    last = times.copy()
    last[full.index.to_numpy()] = full["max"].to_numpy()
    return last


def share_out(
    drawn: Drawn, strata: Strata, settings: SampleSettings, most: int = MOST_POINTS
) -> list[Share]:
    """Return how many points each stratum gets, of those that have pixels.

    A stratum of fewer pixels than that is taken whole.

    Args:
        drawn: what was found in all of the map.
        strata: of the map.
        settings: how many points are wanted.
        most: that may be drawn in all.

    Raises:
        LandcoverError: if they are more than people can look at.
    """
    there = [code for code in range(len(strata.strata)) if drawn.pixels.get(code)]
    hectares = [drawn.hectares[code] for code in there]
    users = [strata.strata[code].users for code in there]
    error = settings.standard_error or STANDARD_ERROR
    size = settings.size or sample_size(hectares, users, error)
    wanted = allocate(size, hectares, users, settings.allocation, settings.at_least)
    _check_number(sum(wanted), error, settings, most)
    return [
        Share(
            strata.strata[code],
            code,
            drawn.hectares[code],
            drawn.pixels[code],
            min(number, drawn.pixels[code]),
            number,
        )
        for code, number in zip(there, wanted, strict=True)
    ]


def _check_number(points: int, error: float, settings: SampleSettings, most: int) -> None:
    """Make sure that people can look at so many points."""
    if points <= most:
        return
    if settings.size:
        raise LandcoverError(
            f"With {settings.at_least} of them in each stratum the sample would have {points:,} "
            f"points, and at most {most:,} are drawn: give a smaller --at_least."
        )
    raise LandcoverError(
        f"A standard error of {error:g} takes {points:,} points, and at most {most:,} are drawn, "
        "because people look at each: give a larger --standard_error, or the number of points as "
        "--size."
    )


def choose(drawn: Drawn, shares: Sequence[Share], grid: Grid, seed: int) -> pd.DataFrame:
    """Return the points of a sample.

    Args:
        drawn: what was found in all of the map.
        shares: how many points each stratum gets.
        grid: the map's.
        seed: of the random numbers.

    Returns:
        One row a point: `id` from 1, in random order, so that it tells nothing of strata; `lon` and
        `lat` of the pixel's centre (WGS 84, degrees), `row` and `column` of the grid, `stratum` and
        `mapped`.
    """
    of_strata = [
        drawn.candidates[drawn.candidates["stratum"] == share.code]
        .head(share.points)
        .assign(stratum=share.stratum.name, mapped=share.stratum.mapped)
        for share in shares
    ]
    points = pd.concat(of_strata, ignore_index=True)
    order = np.random.default_rng(seed).permutation(len(points))
    points = points.iloc[order].reset_index(drop=True)
    lons, lats = to_lonlat(grid.crs).transform(*xy(grid.transform, points["row"], points["column"]))
    return pd.DataFrame(
        {
            "id": np.arange(1, len(points) + 1, dtype=np.int64),
            "lon": np.round(lons, DECIMALS),
            "lat": np.round(lats, DECIMALS),
            **{name: points[name] for name in ("row", "column", "stratum", "mapped")},
        }
    )
