"""How well intervals hold: samples drawn again and again from maps whose truth is known.

The maps are the demo's first month, made by a forest that the month's own polygons trained, and
maps of what was felled in four worlds (see `benchmarks.worlds`), half a percent of their area:

- the record of their twelve months, its warnings too: it has much that did not fall;
- maps of a sharper kind, which have each clearing a little too small, and few false ones;
- the same with one clearing in ten missed altogether.

A point falls on a pixel with a chance in proportion to its true area, and is labelled with the
truth.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import PercentFormatter
from scipy import ndimage
from shapely.geometry.base import BaseGeometry
from sklearn.pipeline import Pipeline

from benchmarks import stage, worlds
from benchmarks.report import FOLDER
from demo.world import World, build_world
from landcover.accuracy.design import Allocation, allocate
from landcover.accuracy.estimates import AreaEstimates, Estimate, estimate_from_counts
from landcover.accuracy.strata import (
    FOREST,
    LOSS,
    NON_FOREST,
    Reader,
    Strata,
    Stratum,
    read_strata,
    strata_of_classes,
    strata_of_loss,
)
from landcover.areas import SQUARE_METRES_A_HECTARE, interpolated_areas
from landcover.change import rule
from landcover.change.rule import ChangeSettings, new_state
from landcover.classes import FIXED_CODES, NODATA
from landcover.grid import Grid
from landcover.imagery.mosaic import mosaic_of
from landcover.maps.lookup import Lookup

Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

DRAWS = 2000
SIZES = (600, 1200, 2400, 4800)
AT_LEAST = 50
BUFFER = 3

# Worlds in which little is felled: 0.2, 0.6, 0.9 and 0.6 percent.
SEEDS = (2, 3, 4, 7)
LOSS_CLASSES = (LOSS, FOREST, NON_FOREST)
UNCLEAR = ("Cloud", "Shadow", "Haze", "Sensor Error")

# In pixels: how much too small a clearing is mapped, how far its edge strays from there, and over
# which length it strays alike.
SHRUNK, STRAYING, ALIKE = 1.0, 1.5, 8.0

# Above which standard deviation of noise a clearing is mapped where there is none.
FALSE = 4.3

MISSED = 0.1

# What an interval of 95 percent is taken to hold by.
LEAST, MOST = 0.93, 0.97

PLAIN, BUFFERED = "the map's classes", "with a buffer"

OVERALL = "overall accuracy"


@dataclass(frozen=True)
class Population:
    """A map and its truth, as far as samples of it go."""

    name: str
    strata: tuple[Stratum, ...]
    """Those that have pixels."""
    kind: str
    """Which strata they are."""
    classes: tuple[str, ...]
    hectares: Floats
    """By truth, (strata, classes)."""

    @property
    def weights(self) -> Floats:
        """The share of the whole of each stratum."""
        weights: Floats = self.hectares.sum(axis=1) / self.hectares.sum()
        return weights

    def points(self, size: int) -> list[int]:
        """Return how many of a sample's points each stratum gets, as `flows/draw_sample.py` has it.

        Args:
            size: how many points there are.
        """
        users = [stratum.users for stratum in self.strata]
        return allocate(size, self.weights.tolist(), users, Allocation.NEYMAN, AT_LEAST)

    def truths(self) -> dict[str, float]:
        """Return the hectares of each class that there is, and the overall accuracy."""
        areas = dict(zip(self.classes, self.hectares.sum(axis=0).tolist(), strict=True))
        correct = sum(
            float(hectares[self.classes.index(stratum.mapped)])
            for stratum, hectares in zip(self.strata, self.hectares, strict=True)
        )
        return {name: area for name, area in areas.items() if area > 0} | {
            OVERALL: correct / float(self.hectares.sum())
        }


@dataclass(frozen=True)
class Outcome:
    """What became of the intervals of one quantity over many samples."""

    population: Population
    size: int
    """Points of each sample."""
    what: str
    """A class, whose area is estimated, or `OVERALL`."""
    held: float
    """The share of the samples whose interval holds the truth."""
    width: float
    """The mean half-width, as a share of the truth."""


def population_of(
    name: str,
    maps: Iterable[tuple[Codes, Codes, Grid]],
    strata: Strata,
    classes: Sequence[str],
    polygons: BaseGeometry | None = None,
) -> Population:
    """Return what samples of some maps are drawn from.

    Args:
        name: of the maps.
        maps: of each the codes, the truth as places in `classes` (or `NODATA`), and the grid.
        strata: of the maps.
        classes: the names of all that the truth can be.
        polygons: that the maps were trained on, in the CRS of the grid.
    """
    hectares = np.zeros((len(strata.strata), len(classes)))
    for codes, truth, grid in maps:
        found = read_strata(reading(codes), strata, grid.whole, grid, polygons)
        drawn = (found < len(strata.strata)) & (truth != NODATA)
        areas = interpolated_areas(grid, grid.whole) / SQUARE_METRES_A_HECTARE
        np.add.at(hectares, (found[drawn], truth[drawn]), areas[drawn])
    there = np.flatnonzero(hectares.any(axis=1))
    return Population(
        name,
        tuple(strata.strata[code] for code in there),
        BUFFERED if strata.buffer else PLAIN,
        tuple(classes),
        hectares[there],
    )


def reading(codes: Codes) -> Reader:
    """Return what reads a window of a map that is in memory."""
    return lambda window: codes[window.toslices()]


def demo_month(world: World, model: Pipeline, folder: Path) -> Population:
    """Return the demo's first month as its own forest maps it.

    Args:
        world: the demo's.
        model: trained on the month (see `stage.train`).
        folder: where the index of its quads goes.
    """
    mosaic = mosaic_of(stage.demo_quads(world), stage.BANDS, folder / "intervals.parquet")
    with mosaic.open() as reader:
        values, valid, _ = reader.read(list(stage.BANDS.values()), mosaic.grid.whole)
    codes, _ = Lookup(model).predict(values, valid)
    with rasterio.open(world.truth[world.months[0]]) as truth:
        codes_of_truth = truth.read(1)
    polygons = geopandas.read_file(world.polygons).query(f"month == '{world.months[0]}'")
    names = {code: name for name, code in FIXED_CODES.items()}
    return population_of(
        "the demo's month",
        [(np.where(valid, codes, NODATA).astype(np.uint8), codes_of_truth, mosaic.grid)],
        strata_of_classes(names, ["Forest"], UNCLEAR),
        tuple(FIXED_CODES),
        polygons.to_crs(mosaic.grid.crs).union_all(),
    )


@dataclass(frozen=True)
class Felled:
    """A world in which forest was felled, and maps of it: codes of `landcover.change.rule`."""

    truth: Codes
    """Places in `LOSS_CLASSES`."""
    record: Codes
    sharp: Codes
    missing: Codes
    """As sharp, but some clearings are missed."""


def felled_world(seed: int) -> Felled:
    """Return a world and the maps of it; the same seed gives the same pixels."""
    world = worlds.build(seed)
    random = np.random.default_rng(seed)
    strays = [STRAYING * worlds.noise(random, {ALIKE: 1.0}) for _ in range(2)]
    false = worlds.noise(random, {4.0: 1.0}) > FALSE
    found = random.random(len(world.clearings)) >= MISSED
    forest = _inside(world.forest) + strays[0] > 0
    truth = np.where(world.forest, LOSS_CLASSES.index(FOREST), LOSS_CLASSES.index(NON_FOREST))
    truth[_together(clearing.pixels for clearing in world.clearings)] = LOSS_CLASSES.index(LOSS)

    def mapped(clearings: Iterable[Mask]) -> Codes:
        lost = (_inside(_together(clearings)) - SHRUNK + strays[1] > 0) | false
        codes = np.where(forest, rule.FOREST, rule.NON_FOREST)
        return np.where(lost, rule.CONFIRMED, codes).astype(np.uint8)

    return Felled(
        truth=truth.astype(np.uint8),
        record=record_of(world),
        sharp=mapped(clearing.pixels for clearing in world.clearings),
        missing=mapped(
            clearing.pixels for clearing, was in zip(world.clearings, found, strict=True) if was
        ),
    )


def record_of(world: worlds.World) -> Codes:
    """Return the record after the last month of a world, its warnings as loss."""
    state = new_state(np.ones_like(world.forest))
    for period, month in zip(worlds.MONTHS, world.months, strict=True):
        state = rule.update(
            state, month.codes, month.confidence, worlds.SAYS, period, ChangeSettings()
        )
    return np.where(state.status == rule.WARNING, rule.CONFIRMED, state.status).astype(np.uint8)


def _together(masks: Iterable[Mask]) -> Mask:
    together: Mask = np.any([np.zeros((worlds.SIZE, worlds.SIZE), bool), *masks], axis=0)
    return together


def _inside(mask: Mask) -> Floats:
    """Return how far inside a mask each pixel lies; outside it is less than 0."""
    if not mask.any():
        return np.full(mask.shape, -np.inf)
    inside: Floats = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    return inside


def populations_of(felled: Sequence[Felled]) -> list[Population]:
    """Return what samples of the maps of some worlds are drawn from, without and with a buffer."""
    maps = {
        "the record": [one.record for one in felled],
        "clearings too small": [one.sharp for one in felled],
        "one in ten missed": [one.missing for one in felled],
    }
    truths = [one.truth for one in felled]
    grids = [worlds.GRID] * len(felled)
    return [
        population_of(
            name, zip(codes, truths, grids, strict=True), strata_of_loss(buffer), LOSS_CLASSES
        )
        for name, codes in maps.items()
        for buffer in (0, BUFFER)
    ]


def simulate(
    population: Population, points: Sequence[int], draws: int, seed: int = 0
) -> list[AreaEstimates]:
    """Draw samples, label their points with the truth and estimate from each.

    Args:
        population: drawn from.
        points: how many each stratum gets.
        draws: how many samples.
        seed: of the random numbers.
    """
    random = np.random.default_rng(seed)
    places = [population.classes.index(stratum.mapped) for stratum in population.strata]
    kinds = len(population.classes)
    counts = np.zeros((draws, len(places), kinds, kinds), np.int64)
    for number, (place, size) in enumerate(zip(places, points, strict=True)):
        truth = population.hectares[number]
        counts[:, number, place] = random.multinomial(size, truth / truth.sum(), draws)
    names = [stratum.name for stratum in population.strata]
    hectares = dict(zip(names, population.hectares.sum(axis=1).tolist(), strict=True))
    return [estimate_from_counts(those, hectares, population.classes) for those in counts]


def outcomes_of(population: Population, size: int, draws: int = DRAWS) -> list[Outcome]:
    """Return what becomes of the intervals of samples of a size."""
    estimates = simulate(population, population.points(size), draws)
    outcomes = []
    for what, truth in population.truths().items():
        found = [one.overall if what == OVERALL else one.area_ha[what] for one in estimates]
        held = float(np.mean([holds(one, truth) for one in found]))
        width = float(np.mean([half_width(one) for one in found])) / truth
        outcomes.append(Outcome(population, size, what, held, width))
    return outcomes


def half_width(estimate: Estimate) -> float:
    """Return the half-width of an interval, which all estimates here have."""
    assert estimate.ci95 is not None
    return estimate.ci95


def holds(estimate: Estimate, truth: float) -> bool:
    """Tell whether an interval holds the truth."""
    return abs(estimate.value - truth) <= half_width(estimate)


def deciding_points(outcome: Outcome) -> float:
    """Return how few points decide an estimate: it is as skewed as a count of so many.

    A count of k has the skewness of Poisson's distribution, the root of 1 / k. In a single stratum
    it is about the expected number of points of the rarer label.
    """
    population = outcome.population
    points = np.array(population.points(outcome.size))
    of = population.hectares / population.hectares.sum(axis=1, keepdims=True)
    if outcome.what == OVERALL:
        places = [population.classes.index(stratum.mapped) for stratum in population.strata]
        shares = of[np.arange(len(places)), places]
    else:
        shares = of[:, population.classes.index(outcome.what)]
    variances = shares * (1 - shares)
    second = (population.weights**2 * variances / points).sum()
    # Strata whose skewness is opposite make an estimate symmetric, but no better told.
    third = np.abs(population.weights**3 * variances * (1 - 2 * shares) / points**2).sum()
    return float(second**3 / third**2)


def as_table(outcomes: Sequence[Outcome], sizes: Sequence[int] = SIZES) -> str:
    """Return a Markdown table: how often intervals hold, and how wide they are."""
    rows = [
        f"| map | strata | of | {' | '.join(f'{size:,} points' for size in sizes)} |",
        f"|{' --- |' * (3 + len(sizes))}",
    ]
    of_row: dict[str, dict[int, str]] = {}
    for outcome in outcomes:
        of_row.setdefault(_heading(outcome), {})[outcome.size] = _cell(outcome)
    for heading, cells in of_row.items():
        rows.append(f"| {heading} | {' | '.join(cells[size] for size in sizes)} |")
    return "\n".join(rows)


def _heading(outcome: Outcome) -> str:
    population, what = outcome.population, outcome.what
    share = population.truths()[what] / population.hectares.sum()
    of = what if what == OVERALL else f"{what}, {share * 100:.2f} %"
    return f"{population.name} | {population.kind} | {of}"


def _cell(outcome: Outcome) -> str:
    held = f"{outcome.held * 100:.1f} %"
    held = f"**{held}**" if LEAST <= outcome.held <= MOST else held
    return f"{held}, ± {outcome.width * 100:.1f} %"


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw how often intervals hold, and how wide they are with a buffer and without.

    Args:
        outcomes: of all maps, strata and sizes.
        path: the PNG to write.
    """
    drawing = Drawing(figsize=(10, 4.5), layout="constrained")
    left, right = drawing.subplots(ncols=2)
    _draw_held(left, outcomes)
    _draw_widths(right, [one for one in outcomes if one.what == LOSS])
    drawing.savefig(path, dpi=120)


def _draw_held(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    axes.axhspan(LEAST, MOST, color="0.9")
    axes.axhline(0.95, color="0.6", linewidth=1)
    for name, colour in _colours(outcomes).items():
        those = [one for one in outcomes if one.population.name == name]
        axes.plot(
            [deciding_points(one) for one in those],
            [one.held for one in those],
            "o",
            color=colour,
            alpha=0.7,
            label=name,
        )
    axes.set(
        title="Intervals that hold the truth",
        xscale="log",
        xlabel="points that decide the estimate",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.legend(loc="lower right")


def _draw_widths(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    for name, colour in _colours(outcomes).items():
        for kind, line in ((PLAIN, "--"), (BUFFERED, "-")):
            those = [
                one
                for one in outcomes
                if (one.population.name, one.population.kind) == (name, kind)
            ]
            axes.plot(
                [one.size for one in those],
                [one.width for one in those],
                line,
                marker="o",
                color=colour,
                label=f"{name}, {'buffer' if kind == BUFFERED else 'no buffer'}",
            )
    axes.set(
        title="Interval of loss, as a share of its area",
        xscale="log",
        xlabel="points",
        xticks=SIZES,
        xticklabels=[f"{size:,}" for size in SIZES],
        ylim=(0, None),
    )
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.grid(alpha=0.3)
    axes.legend()


def _colours(outcomes: Sequence[Outcome]) -> Mapping[str, str]:
    names = dict.fromkeys(one.population.name for one in outcomes)
    colours = {
        "the demo's month": "tab:green",
        "the record": "tab:blue",
        "clearings too small": "tab:orange",
        "one in ten missed": "tab:red",
    }
    return {name: colours[name] for name in names}


def measure(month: Population) -> list[Outcome]:
    """Return what becomes of the intervals of all maps, by strata and by size.

    Args:
        month: the demo's (see `demo_month`).
    """
    with ProcessPoolExecutor(worlds.WORKERS) as pool:
        populations = [month, *populations_of(list(pool.map(felled_world, SEEDS)))]
        jobs = [(population, size) for population in populations for size in SIZES]
        found = pool.map(outcomes_of, *zip(*jobs, strict=True))
        return [outcome for those in found for outcome in those]


def main() -> int:
    """Draw samples of all maps; return the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as place:
        folder = Path(place).absolute()
        world = build_world(folder / "world")
        month = demo_month(world, stage.train(world, folder), folder)
    outcomes = measure(month)
    print(as_table(outcomes))
    draw(outcomes, FOLDER / "intervals.png")
    print(f"\nHow often intervals hold: {FOLDER / 'intervals.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
