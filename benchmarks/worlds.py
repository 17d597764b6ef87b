"""Worlds whose truth is known: what the record finds of what was felled, and of what was not.

A world is twelve months of a landscape of forest and fields, in which pieces of forest are felled
and all that looks like it happens too: clouds with their shadows and with thin haze around them,
fields that turn green and brown, a month that is half covered and one that is scaled by two. What
is generated are maps, not images, with errors such as maps of the demo have. Measured there, on two
months of 1024 x 1024 pixels, each with the forest that its own polygons trained:

| | wrong, share | again the month after | beside another wrong one, 1, 4 and 16 pixels away |
| --- | --- | --- | --- |
| forest, at its edge | 0.37 | 0.78 | |
| forest, inside | 0.036 | 0.03 | 0.41, 0.21, 0.08 |
| fields and clearings | 0.018 | 0.36 | 0.50, 0.31, 0.13 |

What is wrong is wrong with a confidence of 60, 72, 90, 98 and 100 percent (at the 10th, 25th, 50th,
75th and 90th percentile). Those numbers are what the constants below say.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.features import rasterize
from scipy import fft, ndimage

from landcover.areas import SQUARE_METRES_A_HECTARE, pixel_areas
from landcover.change import rule
from landcover.change.alerts import CONFIRMED, no_alerts, numbered, update_alerts
from landcover.change.dates import day_of
from landcover.change.patches import join_windows, window_runs
from landcover.change.rule import ChangeSettings, State, new_state, update, what_classes_say
from landcover.classes import FIXED_CODES, NODATA
from landcover.grid import Grid
from landcover.period import Period
from landcover.windows import split

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]

SIZE = 512
RESOLUTION = 4.777314267823516
GRID = Grid(
    rasterio.CRS.from_epsg(3857).to_wkt(),
    Affine(RESOLUTION, 0, -8_828_000, 0, -RESOLUTION, 34_000),
    SIZE,
    SIZE,
)
PIXEL = pixel_areas(GRID)(GRID.whole) / SQUARE_METRES_A_HECTARE
MONTHS = [Period(2024, month) for month in range(1, 13)]
NAMES = {code: name for name, code in FIXED_CODES.items()}
SAYS = what_classes_say(NAMES, ["Forest"], ["Cloud", "Shadow", "Haze", "Sensor Error"])

# Patches cross the borders of such windows.
WINDOW = 256

WORKERS = 2

TRIES = 40
SMALLEST, LARGEST = 0.1, 20.0  # hectares
FELLED = range(3, 11)  # months

# How far a pixel is from being mapped wrong, in standard deviations of what may go wrong, and the
# share of their variance that stays from month to month. Forest by its distance to the edge.
EDGE, INSIDE = 1.5, 1.8
EDGE_MARGIN, EDGE_LASTING = 0.33, 0.88
FOREST_LASTING = 0.02
FIELD_MARGIN, FIELD_LASTING = 2.1, 0.65

# What lowers the margin: a field that turns green, a month scaled by two.
GREEN, SCALED = 1.2, 2.8

# The share of fields that turn greener or browner in a month.
TURNING = 0.35

# Hectares of the smallest clearing that is to be found.
WANTED = 0.5

# What is never: more months than there are.
NOT_YET = 99

# Of the table.
HEADINGS = (
    *("way", "confirmed", "precision", "in standing forest", "in fields", "clearings found"),
    *("of their hectares", "clear months to the warning", "to be sure"),
)

# Pixels touch at corners too.
TOUCHING = np.ones((3, 3), bool)

# A clearing is seen clear in a month that shows so much of it.
SEEN = 0.9

# Variance by the length over which errors are alike, in pixels.
SPECTRUM = {0.0: 0.25, 1.5: 0.2, 4.0: 0.25, 12.0: 0.2, 40.0: 0.1}


@dataclass(frozen=True)
class Clearing:
    """A piece of forest that is felled."""

    pixels: Mask
    month: int
    """The first month, from 0, that shows it."""

    @property
    def hectares(self) -> float:
        """Its true area."""
        return float(self.pixels.sum() * PIXEL)


@dataclass(frozen=True)
class MonthOfWorld:
    """What one month's map shows, and what was there."""

    codes: Codes
    confidence: Codes
    clear: Mask
    """Where neither cloud nor shadow nor haze was, in truth."""


@dataclass(frozen=True)
class World:
    """A landscape and its months."""

    forest: Mask
    """Before anything was felled."""
    clearings: Sequence[Clearing]
    months: Sequence[MonthOfWorld]


def noise(random: np.random.Generator, spectrum: dict[float, float] = SPECTRUM) -> Floats:
    """Return a random field of mean 0 and variance 1, (SIZE, SIZE).

    Args:
        random: the source.
        spectrum: the share of the variance of each length in pixels.
    """
    frequency = np.hypot(fft.fftfreq(SIZE)[:, None], fft.rfftfreq(SIZE)[None, :])
    total = np.zeros((SIZE, SIZE))
    for length, variance in spectrum.items():
        smooth = np.exp(-2 * (np.pi * length * frequency) ** 2)
        made = fft.irfft2(fft.rfft2(random.standard_normal((SIZE, SIZE))) * smooth, (SIZE, SIZE))
        total += np.sqrt(variance) * made / made.std()
    return total


def build(seed: int, *, is_felled: bool = True) -> World:
    """Return a world; the same seed gives the same pixels.

    Args:
        seed: of all that is random.
        is_felled: whether anything is; nothing else depends on it.
    """
    random = np.random.default_rng(seed)
    forest = noise(random, {30.0: 0.6, 10.0: 0.3, 4.0: 0.1}) > -0.4
    clearings = fell(random, forest)
    clearings = clearings if is_felled else []
    fields = parcels(random)
    lasting = noise(random), noise(random)
    half, scaled = random.choice(np.arange(1, len(MONTHS)), 2, replace=False)
    months = []
    standing = forest.copy()
    green = np.zeros(fields.max() + 1)
    for number in range(len(MONTHS)):
        for clearing in clearings:
            if clearing.month == number:
                standing &= ~clearing.pixels
        # A crop is green for some months, and then is not.
        green = np.where(
            random.random(green.size) < 0.35, random.uniform(0, 1, green.size) ** 2, green
        )
        margin = margins(standing) - GREEN * np.where(standing, 0, green[fields])
        if number == scaled:
            margin = margin - SCALED * standing
        covered = half_of(random) if number == half else np.zeros_like(forest)
        months.append(draw(random, standing, margin, lasting, covered))
    return World(forest, clearings, months)


def fell(random: np.random.Generator, forest: Mask) -> list[Clearing]:
    """Choose pieces of forest, smooth and ragged, of all sizes, that do not touch."""
    clearings: list[Clearing] = []
    room = forest.copy()
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for number in range(TRIES):
        hectares = np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST)))
        row, column = random.integers(40, SIZE - 40, 2)
        angle, stretch = random.uniform(0, np.pi), random.uniform(1, 2)
        along = (columns - column) * np.cos(angle) + (rows - row) * np.sin(angle)
        across = (rows - row) * np.cos(angle) - (columns - column) * np.sin(angle)
        radius = np.hypot(along / stretch, across * stretch)
        if number % 2:
            radius = radius * (1 + 0.35 * noise(random, {5.0: 0.6, 2.0: 0.4}))
        count = round(hectares / PIXEL)
        pixels = radius <= np.partition(radius.ravel(), count)[count]
        pixels = ndimage.binary_opening(pixels, np.ones((2, 2)))
        if pixels.any() and (pixels & room).sum() > 0.95 * pixels.sum():
            pixels &= room
            clearings.append(Clearing(pixels, int(random.choice(FELLED)) - 1))
            room &= ~ndimage.binary_dilation(pixels, iterations=4)
    return clearings


def parcels(random: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the number of each pixel's field: about 2 hectares each."""
    count = round(SIZE**2 * PIXEL / 2)
    seeds = np.ones((SIZE, SIZE), bool)
    seeds[tuple(random.integers(0, SIZE, (2, count)))] = False
    nearest = ndimage.distance_transform_edt(seeds, return_distances=False, return_indices=True)
    return np.unique(nearest[0] * SIZE + nearest[1], return_inverse=True)[1].reshape(SIZE, SIZE)


def half_of(random: np.random.Generator) -> Mask:
    """Return a half of the world, whose edge runs at an angle."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    angle = random.uniform(0, 2 * np.pi)
    half: Mask = rows * np.sin(angle) + columns * np.cos(angle) > 0
    return half


def margins(forest: Mask) -> Floats:
    """Return how far each pixel is from being mapped wrong."""
    distance = ndimage.distance_transform_edt(forest)
    at_edge = np.where(distance <= EDGE, EDGE_MARGIN, INSIDE)
    return np.where(forest, at_edge, FIELD_MARGIN)


def draw(
    random: np.random.Generator,
    forest: Mask,
    margin: Floats,
    lasting: tuple[Floats, Floats],
    covered: Mask,
) -> MonthOfWorld:
    """Return a month's map.

    Args:
        random: the source.
        forest: what there is.
        margin: see `margins`.
        lasting: what goes wrong every month, of forest and of fields.
        covered: what no image shows.
    """
    distance = ndimage.distance_transform_edt(forest)
    share = np.where(
        forest, np.where(distance <= EDGE, EDGE_LASTING, FOREST_LASTING), FIELD_LASTING
    )
    stays = np.where(forest, *lasting)
    cloud, shadow, haze = sky(random)
    surplus = margin - np.sqrt(share) * stays - np.sqrt(1 - share) * noise(random)
    seems_forest = forest == (surplus > 0)
    # Of the ground under a shadow a map knows little, and of that under haze nothing.
    dark = noise(random)
    seems_forest = np.where(shadow, dark < 1.0, seems_forest)
    sure = np.where(shadow, np.abs(dark - 1.0) + 0.1, np.abs(surplus))
    seems_forest &= ~haze
    codes = np.where(seems_forest, FIXED_CODES["Forest"], FIXED_CODES["Non-Forest"]).astype(
        np.uint8
    )
    told = noise(random)
    codes[shadow & (told < 1.05)] = FIXED_CODES["Shadow"]
    codes[haze & (told < 1.7)] = FIXED_CODES["Haze"]
    codes[cloud] = FIXED_CODES["Cloud"]
    confidence = np.rint(50 + 50 * (1 - np.exp(-sure / 0.25))).astype(np.uint8)
    codes[covered], confidence[covered] = NODATA, NODATA
    return MonthOfWorld(codes, confidence, ~(cloud | shadow | haze | covered))


def sky(random: np.random.Generator) -> tuple[Mask, Mask, Mask]:
    """Return where clouds, their shadows and haze are; some months have many, some few."""
    shape = noise(random, {25.0: 0.7, 8.0: 0.3})
    cloud = shape > random.uniform(0.6, 2.2)
    shadow = np.roll(cloud, random.integers(8, 25, 2), (0, 1)) & ~cloud
    haze = (noise(random, {30.0: 1.0}) > random.uniform(1.0, 2.5)) & ~cloud & ~shadow
    return cloud, shadow, haze


@dataclass(frozen=True)
class Outcome:
    """What became of a world in the record."""

    alerts: geopandas.GeoDataFrame
    """After the last month."""
    states: Sequence[State]
    """After each month."""


def follow(world: World, settings: ChangeSettings) -> Outcome:
    """Run the months of a world through the rule and the alerts."""
    state = new_state(np.ones((SIZE, SIZE), bool))
    alerts, last = no_alerts(), None
    states = []
    for period, month in zip(MONTHS, world.months, strict=True):
        state = update(state, month.codes, month.confidence, SAYS, period, settings)
        standing = numbered(alerts, last, settings, GRID)
        runs = [
            window_runs(
                window,
                GRID,
                State._make(values[window.toslices()] for values in state),
                day_of(period),
                standing,
                settings.smallest_hectares,
            )
            for window in split(GRID.whole, WINDOW, WINDOW)
        ]
        joined = join_windows(runs, GRID)
        alerts, last = update_alerts(alerts, standing, joined, GRID, period, settings), period
        states.append(state)
    return Outcome(alerts, states)


def confirmed_alerts(outcome: Outcome) -> list[Mask]:
    """Return the pixels of each confirmed alert."""
    confirmed = outcome.alerts[outcome.alerts["state"] == CONFIRMED].to_crs(GRID.crs)
    return [
        rasterize([outline], (SIZE, SIZE), transform=GRID.transform).astype(bool)
        for outline in confirmed.geometry
    ]


def plain_patches(outcome: Outcome, *, by_month: bool) -> list[Mask]:
    """Return what alerts would be without their history: patches of confirmed loss that touch.

    Args:
        outcome: of a world.
        by_month: whether those of different months of first detection are apart.
    """
    state = outcome.states[-1]
    lost = state.status == rule.CONFIRMED
    days = np.unique(state.first[lost]) if by_month else [None]
    found = []
    for day in days:
        patches, count = ndimage.label(
            lost if day is None else lost & (state.first == day), TOUCHING
        )
        sizes = np.bincount(patches.ravel(), minlength=count + 1)[1:] * PIXEL
        found += [patches == number for number in np.flatnonzero(sizes >= WANTED) + 1]
    return found


@dataclass(frozen=True)
class Score:
    """What was found of some worlds, and what was not there."""

    confirmed: int = 0
    """Alerts."""
    true: int = 0
    """Those that lie for the most part where forest was felled."""
    nowhere: int = 0
    """Those in forest that touch nothing that was felled."""
    fields: int = 0
    """Those in fields, which maps took for forest at first."""
    felled: tuple[float, ...] = ()
    """Hectares of each clearing that was to be found."""
    found: tuple[float, ...] = ()
    """Hectares of it in confirmed alerts, where these cover most of it; else 0."""
    warned: tuple[int, ...] = ()
    """In which clear month most of it was under warning; `NOT_YET` where that never was."""
    sure: tuple[int, ...] = ()
    """In which clear month most of it was confirmed loss."""

    def __add__(self, other: "Score") -> "Score":
        """Return the score of both."""
        return Score(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def precision(self) -> float:
        """The share of confirmed alerts that are true."""
        return self.true / max(self.confirmed, 1)

    @property
    def recall(self) -> float:
        """The share of clearings that are found."""
        return float(np.mean(np.array(self.found) > 0))

    @property
    def hectares(self) -> float:
        """The share of the area of the clearings found that is in alerts."""
        found, felled = np.array(self.found), np.array(self.felled)
        return float(found.sum() / felled[found > 0].sum())


def score(world: World, outcome: Outcome, alerts: Sequence[Mask]) -> Score:
    """Hold confirmed alerts against what was felled."""
    nothing = np.zeros((SIZE, SIZE), bool)
    felled = np.any([nothing, *(clearing.pixels for clearing in world.clearings)], axis=0)
    covered = np.any([nothing, *alerts], axis=0)
    idle = [alert for alert in alerts if not felled[alert].any()]
    total = Score(
        confirmed=len(alerts),
        true=sum(bool(felled[alert].mean() >= 0.5) for alert in alerts),
        nowhere=sum(bool(world.forest[alert].mean() >= 0.5) for alert in idle),
        fields=sum(bool(world.forest[alert].mean() < 0.5) for alert in idle),
    )
    for clearing in filter(lambda one: is_wanted(world, one), world.clearings):
        share = float(covered[clearing.pixels].mean())
        total += Score(
            felled=(clearing.hectares,),
            found=(share * clearing.hectares if share >= 0.5 else 0.0,),
            warned=(clear_months(world, outcome, clearing, (rule.WARNING, rule.CONFIRMED)),),
            sure=(clear_months(world, outcome, clearing, (rule.CONFIRMED,)),),
        )
    return total


def is_wanted(world: World, clearing: Clearing) -> bool:
    """Tell whether a clearing is large enough, was known as forest, and was then seen clear."""
    clear = [month.clear[clearing.pixels].mean() >= SEEN for month in world.months]
    before, after = clear[: clearing.month], clear[clearing.month :]
    return clearing.hectares >= WANTED and sum(before) >= 2 and sum(after) >= 3


def clear_months(
    world: World, outcome: Outcome, clearing: Clearing, statuses: tuple[int, ...]
) -> int:
    """Return in which clear month most of a clearing had a status."""
    clear = 0
    for number in range(clearing.month, len(MONTHS)):
        clear += int(world.months[number].clear[clearing.pixels].mean() >= SEEN)
        if np.isin(outcome.states[number].status[clearing.pixels], statuses).mean() >= 0.5:
            return clear
    return NOT_YET


def measure(seed: int) -> dict[str, Score]:
    """Return the scores of a world by way of finding what was felled in it."""
    world = build(seed)
    plain, wary = (follow(world, ChangeSettings(prior=prior)) for prior in (0.5, 0.4))
    found = {
        "patches of one month's first detection": (plain, plain_patches(plain, by_month=True)),
        "patches of confirmed loss": (plain, plain_patches(plain, by_month=False)),
        "alerts, prior 0.4": (wary, confirmed_alerts(wary)),
        "**alerts**": (plain, confirmed_alerts(plain)),
    }
    return {way: score(world, outcome, alerts) for way, (outcome, alerts) in found.items()}


def as_table(scores: Sequence[dict[str, Score]]) -> str:
    """Return a Markdown table of the scores of some worlds."""
    rows = [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    for way in scores[0]:
        total = sum((score[way] for score in scores), Score())
        rows.append(
            f"| {way} | {total.confirmed} | {total.precision:.3f} | {total.nowhere} "
            f"| {total.fields} "
            f"| {total.recall:.3f} of {len(total.felled)} | {total.hectares:.2f} "
            f"| {np.median(total.warned):.0f} | {np.median(total.sure):.0f} |"
        )
    last = sum((score["**alerts**"] for score in scores), Score())
    missed = [felled for felled, found in zip(last.felled, last.found, strict=True) if not found]
    sizes = ", ".join(f"{hectares:.2f}" for hectares in sorted(missed))
    return "\n".join([*rows, "", f"Hectares of the clearings missed: {sizes or 'none'}"])


def table(count: int = 60) -> str:
    """Return a Markdown table of the scores of so many worlds."""
    with ProcessPoolExecutor(WORKERS) as pool:
        return as_table(list(pool.map(measure, range(count))))


if __name__ == "__main__":
    print(table(*map(int, sys.argv[1:])))
