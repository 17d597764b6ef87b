"""Annual maps: which rule is wrong how often, where the truth is known; and how fast they are made.

A world is twelve months of forest, of which pieces are felled. In each month a tenth of the pixels
is mapped wrong, in patches of all sizes, and clouds hide two fifths. Confidence is as in
`benchmarks.worlds`. Errors are new every month, or half of their variance stays all the year, as
where a field looks like forest in every month: what is wrong there in most months, no rule can
know.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import get_args

import numpy as np
import rasterio
import shapely
from upath import UPath

from benchmarks import worlds
from benchmarks.change import grid_of, write_map
from benchmarks.copying import WORKERS
from benchmarks.report import Figure
from landcover.change.annual import AnnualSettings, Rule, annual_classes
from landcover.change.annual_map import AnnualPlan, annual_window, measure_window
from landcover.change.history import MappedMonth
from landcover.change.rule import FOREST, NON_FOREST, SAYS_FOREST, SAYS_NON_FOREST, UNCLEAR
from landcover.classes import NODATA
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.layers import Layer
from landcover.maps.measure import count_data
from landcover.maps.pieces import piece_factors, write_piece
from landcover.period import CalendarYear
from landcover.windows import LARGEST, split

RULES: tuple[Rule, ...] = get_args(Rule)

WRONG, CLOUDS = 0.1, 0.4

# The margin that a tenth of a normal distribution falls below.
MARGIN = 1.2816

# Of the variance of errors, what stays all the year.
STAYING = {"new every month": 0.0, "half of them lasting": 0.5}

WORLDS = range(100, 108)

REPEATS = 3

YEAR = CalendarYear(2024)


@dataclass(frozen=True)
class YearOfWorld:
    """What twelve months say of a world, and the truth."""

    said: np.ndarray
    """(months, pixels)."""
    confidence: np.ndarray
    """(months, pixels)."""
    forest: np.ndarray
    """At the end of the year, (pixels,)."""
    felled: np.ndarray
    """In the year, (pixels,)."""


@dataclass(frozen=True)
class Score:
    """What a rule makes of a world, in shares of its pixels."""

    wrong: float
    """Of those that have a class."""
    nodata: float
    """Of all."""
    missed: float
    """Of those that were felled in the year and have a class: still forest."""


def build(seed: int, staying: float) -> YearOfWorld:
    """Return a world; the same seed gives the same pixels.

    Args:
        seed: of all that is random.
        staying: the share of the errors' variance that is the same in all months.
    """
    random = np.random.default_rng(seed)
    forest = worlds.noise(random, {30.0: 0.6, 10.0: 0.3, 4.0: 0.1}) > -0.4
    clearings = worlds.fell(random, forest)
    stays = worlds.noise(random)
    standing, said, confidence = forest.copy(), [], []
    for number in range(len(worlds.MONTHS)):
        for clearing in clearings:
            if clearing.month == number:
                standing &= ~clearing.pixels
        surplus = MARGIN - np.sqrt(staying) * stays - np.sqrt(1 - staying) * worlds.noise(random)
        seems = np.where(standing == (surplus > 0), SAYS_FOREST, SAYS_NON_FOREST)
        sky = worlds.noise(random, {25.0: 0.7, 8.0: 0.3})
        said.append(np.where(sky > np.quantile(sky, 1 - CLOUDS), UNCLEAR, seems).astype(np.int8))
        sure = 50 + 50 * (1 - np.exp(-np.abs(surplus) / 0.25))
        confidence.append(np.rint(sure).astype(np.uint8))
    says, sureness = (np.stack(of).reshape(len(of), -1) for of in (said, confidence))
    return YearOfWorld(says, sureness, standing.ravel(), (forest & ~standing).ravel())


def score(world: YearOfWorld, settings: AnnualSettings) -> Score:
    """Hold what a rule makes of a world against the truth."""
    months = range(1, len(world.said) + 1)
    classes = annual_classes(world.said, months, settings, world.confidence)
    known = classes != NODATA
    wrong = known & (classes != np.where(world.forest, FOREST, NON_FOREST))
    felled = known & world.felled
    return Score(
        float(wrong.sum() / known.sum()),
        float(1 - known.mean()),
        float((wrong & felled).sum() / felled.sum()),
    )


def scores(settings: AnnualSettings, made: Sequence[YearOfWorld]) -> Score:
    """Return the mean score of worlds."""
    found = [score(world, settings) for world in made]
    return Score(*np.mean([[one.wrong, one.nodata, one.missed] for one in found], axis=0).tolist())


def accuracy() -> str:
    """Return a table of the pixels that each rule maps wrong."""
    lines = [
        "| errors | rule | wrong, % | without data, % | felled, but still forest, % |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    with ProcessPoolExecutor(WORKERS) as pool:
        for name, staying in STAYING.items():
            made = list(pool.map(partial(build, staying=staying), WORLDS))
            for rule in RULES:
                found = scores(AnnualSettings(rule=rule), made)
                shares = (found.wrong, found.nodata, found.missed)
                cells = " | ".join(f"{100 * share:.2f}" for share in shares)
                lines.append(f"| {name} | `{rule}` | {cells} |")
    return "\n".join(lines)


def make_year(folder: Path, plan: AnnualPlan) -> None:
    """Make the rasters of an annual map, as the flow does.

    Args:
        folder: where they are written.
        plan: what of.
    """
    area = shapely.box(*plan.grid.bounds)

    def piece(layer: Layer, window: rasterio.windows.Window) -> Path:
        return folder / f"{layer.key}_{window.col_off}_{window.row_off}.tif"

    def make(window: rasterio.windows.Window) -> None:
        made = annual_window(window, plan, area)
        for layer, values in zip(plan.layers, made, strict=True):
            part = plan.grid.part(window)
            write_piece(layer, values, part, plan.factors, piece(layer, window))
        measure_window(window, plan.grid, *made)

    def assemble(layer: Layer) -> None:
        pieces = {piece(layer, window): window for window in plan.windows}
        write_cog(layer, pieces, plan.grid, plan.factors, {}, folder / layer.file)
        count_data(str(folder / layer.file), layer.nodata)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(make, plan.windows))
        list(pool.map(assemble, plan.layers))


def read_year(plan: AnnualPlan) -> None:
    """Read the same rasters with the same threads, and do nothing with them."""

    def read(window: rasterio.windows.Window) -> None:
        for paths in plan.rasters():
            for path in paths:
                with rasterio.open(path) as source:
                    source.read(1, window=window)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(read, plan.windows))


def plan_of(folder: Path, grid: Grid, maps: Sequence[MappedMonth], rule: Rule) -> AnnualPlan:
    """Return how the maps of a year are put together."""
    return AnnualPlan(
        year=YEAR,
        maps=tuple(maps),
        says=(tuple(worlds.SAYS.tolist()),) * len(maps),
        settings=AnnualSettings(rule=rule),
        grid=grid,
        windows=tuple(split(grid.whole, LARGEST, LARGEST)),
        factors=tuple(piece_factors(grid, LARGEST)),
        folder=UPath(folder),
    )


def measure(folder: Path, quads: int = 2) -> list[Figure]:
    """Return the figures of a year of quads x quads quads."""
    place = folder / "annual"
    place.mkdir()
    grid = grid_of(quads)
    felled, quiet = worlds.build(2), worlds.build(2, is_felled=False)
    maps = []
    for period, busy, calm in zip(worlds.MONTHS, felled.months, quiet.months, strict=True):
        written = write_map(place, period, (busy, calm), grid)
        maps.append(MappedMonth(period, UPath(written.classes), ""))
    figures = []
    for rule in ("hmm", "trend"):
        plan = plan_of(place, grid, maps, rule)
        make_year(place, plan)
        making = _seconds(partial(make_year, place, plan))
        reading = _seconds(partial(read_year, plan))
        minutes = making * 277 / quads**2 / 60
        figures += [
            Figure(f"annual map by {rule}, {quads**2} quads: seconds", f"{making:.1f}"),
            Figure("reading its twelve maps: seconds", f"{reading:.1f}"),
            Figure("the one against the other", f"{making / reading:.2f}", "at most 1.3"),
            Figure("western Ecuador, 277 quads: minutes", f"{minutes:.1f}", "at most 10"),
        ]
    return figures


def _seconds(do: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return median(taken)


if __name__ == "__main__":
    print(accuracy())
