"""Strata: the parts of a map that points are drawn from, each by itself.

They cover the population: all pixels that the map gives a class to which people can hold it. What
hides the ground, what is not known and what the model was trained on belong to no stratum.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window, intersection
from shapely.geometry.base import BaseGeometry

from landcover.change import rule
from landcover.change.dates import DATES
from landcover.classes import NODATA, label_key
from landcover.grid import Grid
from landcover.windows import pixels_inside, within

# What a sample is of: a month's map, or the loss of forest over a period.
Of = Literal["prediction", "deforestation"]

LOSS, FOREST, NON_FOREST = "loss", "forest", "non-forest"
WARNING, BUFFER = "warning", "buffer"

# Why ground belongs to no stratum.
TRAINING_POLYGONS, NOT_KNOWN = "training polygons", "not known yet"

# What is thought of each stratum before anyone has looked: the share of it that is as mapped. Those
# of loss and of stable ground are Olofsson et al.'s (2014, table 5); most of what a map misses lies
# beside what it finds, and what is seen once may be either.
CONJECTURED_LOSS, CONJECTURED_WARNING, CONJECTURED_BUFFER, CONJECTURED = 0.7, 0.5, 0.8, 0.9

# Reads the codes of a window of a map.
Reader = Callable[[Window], NDArray[np.uint8]]

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Stratum:
    """A part of a map that points are drawn from."""

    name: str
    mapped: str
    """The map's class of its pixels."""
    users: float = CONJECTURED
    """The share of it that is thought to be as mapped, which decides how many points it takes."""


@dataclass(frozen=True)
class Strata:
    """The strata of a map: which codes of the map are in which."""

    strata: tuple[Stratum, ...]
    """A stratum's code is its place here."""
    outside: tuple[str, ...]
    """Why other ground belongs to none; the codes follow those of the strata. The last is that of
    training polygons."""
    of_codes: Mapping[int, int]
    """The code here of each code of the map; others are no part of it."""
    classes: tuple[str, ...]
    """All that a point may be found to be."""
    buffer: int = 0
    """How many pixels buffers are wide: across, down and diagonally; 0 where there are none."""
    around: frozenset[int] = frozenset()
    """The codes of the strata that buffers lie around."""
    buffered: Mapping[int, int] = field(default_factory=dict)
    """The code of the buffer of each stratum that has one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all codes."""
        return (*(stratum.name for stratum in self.strata), *self.outside)


def strata_of_classes(
    names: Mapping[int, str],
    forest: Collection[str],
    unclear: Collection[str],
    buffer: int = 0,
) -> Strata:
    """Return the strata of a map of classes: one a class, but for what hides the ground.

    >>> found = strata_of_classes({0: "Forest", 1: "Pasture", 2: "Cloud"}, ["Forest"], ["Cloud"], 3)
    >>> found.names
    ('Forest', 'Pasture', 'Forest, buffer', 'Cloud', 'training polygons')

    Args:
        names: the name of each class code of the map.
        forest: the names of the classes that are forest. Their pixels near to what is not forest
            are strata of their own where there is a buffer.
        unclear: the names of those that hide the ground.
        buffer: how many pixels wide; 0 for none.
    """
    are_forest, are_unclear = (set(map(label_key, those)) for those in (forest, unclear))
    clear = {code: name for code, name in names.items() if label_key(name) not in are_unclear}
    hidden = {code: name for code, name in names.items() if code not in clear}
    strata = [Stratum(name, name) for name in clear.values()]
    wooded = [place for place, name in enumerate(clear.values()) if label_key(name) in are_forest]
    buffered = {}
    if buffer:
        buffered = {place: len(strata) + number for number, place in enumerate(wooded)}
        strata += [
            Stratum(f"{strata[place].name}, {BUFFER}", strata[place].name, CONJECTURED_BUFFER)
            for place in wooded
        ]
    return Strata(
        strata=tuple(strata),
        outside=(*hidden.values(), TRAINING_POLYGONS),
        of_codes={code: place for place, code in enumerate(clear)}
        | {code: place for place, code in enumerate(hidden, len(strata))},
        classes=tuple(clear.values()),
        buffer=buffer,
        around=frozenset(range(len(clear))) - set(wooded) if buffer else frozenset(),
        buffered=buffered,
    )


def strata_of_loss(buffer: int = 0) -> Strata:
    """Return the strata of loss over a period, of what `read_loss` reads.

    Warnings are loss, and by themselves: most of them are withdrawn by later months, so among what
    is confirmed they would widen the interval of both.

    Args:
        buffer: how many pixels of forest around confirmed loss are a stratum of their own; 0 for
            none.
    """
    strata = [
        Stratum(LOSS, LOSS, CONJECTURED_LOSS),
        Stratum(WARNING, LOSS, CONJECTURED_WARNING),
        Stratum(FOREST, FOREST),
        Stratum(NON_FOREST, NON_FOREST),
    ]
    if buffer:
        strata.append(Stratum(BUFFER, FOREST, CONJECTURED_BUFFER))
    return Strata(
        strata=tuple(strata),
        outside=(NOT_KNOWN, TRAINING_POLYGONS),
        of_codes={
            rule.CONFIRMED: 0,
            rule.WARNING: 1,
            rule.FOREST: 2,
            rule.NON_FOREST: 3,
            rule.NOT_KNOWN: len(strata),
        },
        classes=(LOSS, FOREST, NON_FOREST),
        buffer=buffer,
        around=frozenset({0}) if buffer else frozenset(),
        buffered={2: 4} if buffer else {},
    )


def read_classes(path: str, window: Window) -> Codes:
    """Return the class codes of a window of a map.

    Args:
        path: what GDAL opens.
        window: which pixels.

    Raises:
        RasterioIOError: if it cannot be read.
    """
    with rasterio.open(path) as dataset:
        codes: Codes = dataset.read(1, window=window)
    return codes


def read_loss(status: str, alerts: str, since: int, window: Window) -> Codes:
    """Return what a window of the record of deforestation says of a period.

    Args:
        status: what GDAL opens to read what each pixel is at the period's end.
        alerts: what it opens to read when loss was first detected.
        since: the day that the period begins with (see `landcover.change.dates`).
        window: which pixels.

    Returns:
        The record's codes; what was first detected before the period is `NON_FOREST`.

    Raises:
        RasterioIOError: if one of them cannot be read.
    """
    codes, dates = read_classes(status, window), read_classes(alerts, window)
    lost = (codes == rule.WARNING) | (codes == rule.CONFIRMED)
    codes[lost & (dates % DATES < since)] = rule.NON_FOREST
    return codes


def read_strata(
    read: Reader,
    strata: Strata,
    window: Window,
    grid: Grid,
    polygons: BaseGeometry | None = None,
) -> Codes:
    """Return the stratum of each pixel of a window, or why it has none.

    Buffers go on over the window's edges, because so much more of the map is read.

    Args:
        read: reads the map.
        strata: what its codes are.
        window: which pixels.
        grid: the map's.
        polygons: training polygons, in the grid's CRS: what they touch belongs to no stratum.

    Returns:
        Codes of `strata`, (rows, columns); `NODATA` where there is no map.
    """
    wide = _grown(window, strata.buffer, grid)
    table = np.full(256, NODATA, np.uint8)
    table[list(strata.of_codes)] = list(strata.of_codes.values())
    codes = table[read(wide)]
    if strata.buffer:
        _add_buffers(codes, strata)
    codes = np.ascontiguousarray(codes[within(window, wide)])
    if polygons is not None:
        trained = pixels_inside(polygons, window, grid.transform, all_touched=True)
        codes[trained & (codes < len(strata.strata))] = len(strata.names) - 1
    return codes


def _grown(window: Window, pixels: int, grid: Grid) -> Window:
    grown = Window(
        window.col_off - pixels,
        window.row_off - pixels,
        window.width + 2 * pixels,
        window.height + 2 * pixels,
    )
    return intersection(grown, grid.whole)


def _add_buffers(codes: Codes, strata: Strata) -> None:
    """Give pixels of a stratum to its buffer where another is near."""
    # Here, because it takes a tenth of the time in which a command starts.
    from scipy.ndimage import maximum_filter

    core = np.isin(codes, list(strata.around))
    near = maximum_filter(core, size=2 * strata.buffer + 1, mode="constant", cval=0)
    for plain, buffer in strata.buffered.items():
        codes[near & (codes == plain)] = buffer


def classes_in(strata: Strata, pixels: Mapping[int, int]) -> Sequence[str]:
    """Return the map's classes that have pixels to draw from.

    Args:
        strata: of the map.
        pixels: how many each code has.
    """
    found = [stratum.mapped for code, stratum in enumerate(strata.strata) if pixels.get(code)]
    return list(dict.fromkeys(found))
