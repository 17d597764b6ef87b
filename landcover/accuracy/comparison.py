"""A map of forest held against another: pixel by pixel, and both against labelled points."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from landcover.accuracy.areas import COLUMNS, Areas, areas_of_sample, areas_table
from landcover.accuracy.other_map import FOREST, NON_FOREST, UNKNOWN, OtherMap, read_states
from landcover.accuracy.sample_files import Sample
from landcover.change.rule import SAYS_FOREST, UNCLEAR, what_classes_say
from landcover.classes import NODATA, Legend, label_key
from landcover.grid import Grid
from landcover.maps.layers import Layer
from landcover.notices import Notice
from landcover.windows import pixels_inside

# What either map says: a cell is three times what ours says, and what theirs does.
STATES = (NON_FOREST, FOREST, UNKNOWN)
NAMES: Mapping[int, str] = {NON_FOREST: "non-forest", FOREST: "forest", UNKNOWN: "no data"}
NOTHING = 3 * UNKNOWN + UNKNOWN

# The codes of the raster.
NEITHER, ONLY_THEIRS, ONLY_OURS, BOTH = range(4)
CODES: Mapping[int, int] = {
    3 * ours + theirs: 2 * ours + theirs
    for ours in (NON_FOREST, FOREST)
    for theirs in (NON_FOREST, FOREST)
}

# Of ColorBrewer's PuOr, which the colour-blind tell apart, where maps differ.
LEGEND = Legend(
    {
        NEITHER: "neither is forest",
        ONLY_THEIRS: "forest only on the other map",
        ONLY_OURS: "forest only on this map",
        BOTH: "both are forest",
    },
    {
        NEITHER: (240, 232, 205),
        ONLY_THEIRS: (94, 60, 153),
        ONLY_OURS: (230, 97, 1),
        BOTH: (27, 120, 55),
    },
)

# A smaller share of this map's area that the other one knows is told.
LITTLE = 0.9

Says = NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison."""

    hectares: Mapping[int, float]
    """True hectares in the area of interest, by cell: three times what this map says, and what the
    other does."""

    def area(self, ours: Collection[int] = STATES, theirs: Collection[int] = STATES) -> float:
        """Return the hectares of which the two maps say something.

        >>> Comparison({0: 5.0, 4: 3.0, 1: 2.0}).area(theirs=[FOREST])
        5.0

        Args:
            ours: what this map says.
            theirs: what the other one does.
        """
        return sum(self.hectares.get(3 * one + other, 0.0) for one in ours for other in theirs)

    @property
    def compared(self) -> float:
        """The hectares that both maps know."""
        return self.area((NON_FOREST, FOREST), (NON_FOREST, FOREST))

    @property
    def agreement(self) -> float:
        """The share of them of which both say the same."""
        same = sum(self.area([state], [state]) for state in (NON_FOREST, FOREST))
        return same / (self.compared or 1)

    def table(self) -> pandas.DataFrame:
        """Return a row for each cell: what either map says, hectares, and share of what both know.

        The share of what one of them does not know is missing.
        """
        rows = []
        for ours in STATES:
            for theirs in STATES:
                hectares = self.area([ours], [theirs])
                both = UNKNOWN not in (ours, theirs)
                share = hectares / (self.compared or 1) if both else None
                rows.append((NAMES[ours], NAMES[theirs], hectares, share))
        table = pandas.DataFrame(rows[:-1], columns=["this_map", "other_map", "hectares", "share"])
        return table.astype({"share": float}).round({"hectares": 2, "share": 6})


def layer_of(file: str) -> Layer:
    """Return the raster of a comparison.

    Args:
        file: the name of its finished file.
    """
    return Layer("comparison", file, LEGEND, "mode")


def says_of_classes(
    names: Mapping[int, str], forest: Collection[str], unclear: Collection[str], of: str
) -> Says:
    """Return what each code of a map of classes says (see `what_classes_say`), (256,).

    Raises:
        LandcoverError: if the map has no class that is forest.
    """
    says = what_classes_say(names, forest, unclear, of)
    found: Says = np.where(
        says == UNCLEAR, UNKNOWN, np.where(says == SAYS_FOREST, FOREST, NON_FOREST)
    ).astype(np.uint8)
    return found


def says_of_forest_map() -> Says:
    """Return what each code of a map of forest says, (256,): 1 forest, 0 non-forest."""
    says = np.full(256, UNKNOWN, np.uint8)
    says[[0, 1]] = NON_FOREST, FOREST
    return says


def compare_window(
    window: Window, grid: Grid, area: BaseGeometry, path: str, says: Says, other: OtherMap
) -> tuple[NDArray[np.uint8], frozenset[float]]:
    """Hold a window of a map against another map.

    Args:
        window: which pixels.
        grid: the map's.
        area: of interest, in the grid's CRS.
        path: of the map, as GDAL opens it.
        says: what each of its codes says.
        other: the other map.

    Returns:
        The cell of each pixel, (rows, columns), `NOTHING` outside the area; and which values of the
        other map were seen.

    Raises:
        RasterioIOError: if one of them cannot be read.
    """
    with rasterio.open(path) as dataset:
        ours = says[dataset.read(1, window=window)]
    theirs, seen = read_states(other, grid.part(window))
    cells = 3 * ours + theirs
    cells[~pixels_inside(area, window, grid.transform)] = NOTHING
    return cells, seen


def codes_of(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the raster's codes of cells: nodata where either map knows nothing."""
    table = np.full(NOTHING + 1, NODATA, np.uint8)
    table[list(CODES)] = list(CODES.values())
    codes: NDArray[np.uint8] = table[cells]
    return codes


def notices_of(compared: Comparison, other: OtherMap, absent: Sequence[int]) -> list[Notice]:
    """Return what is probably wrong with a comparison.

    Args:
        compared: what came of it.
        other: the other map.
        absent: its codes of forest that do not occur.
    """
    found = []
    name = other.path.name
    if absent:
        codes = ", ".join(map(str, absent))
        found.append(Notice("compare_absent", {"name": name, "codes": codes}))
    if not compared.area(theirs=[NON_FOREST]):
        found.append(Notice("compare_all_forest", {"name": name}))
    known, whole = compared.compared, compared.area(ours=[NON_FOREST, FOREST])
    if known < LITTLE * whole:
        found.append(Notice("compare_little", {"name": name, "share": 1 - known / whole}))
    return found


def judge(
    sample: Sample, labels: pandas.DataFrame, codes: NDArray[Any], forest: Collection[str]
) -> dict[str, Areas]:
    """Estimate the accuracy of both maps from the same labelled points: those that both know.

    The strata stay those that the points were drawn from, which is right for any map (Stehman
    2014).

    Args:
        sample: of a map of classes.
        labels: one row a labelled point, as `landcover.accuracy.labels.settle` returns them.
        codes: of the comparison, at each point.
        forest: the names of the classes that are forest.

    Returns:
        Of `this_map` and `other_map`, in forest and non-forest.

    Raises:
        LandcoverError: if a stratum has no labelled point that both maps know.
    """
    are_forest = set(map(label_key, forest))
    names = NAMES[FOREST], NAMES[NON_FOREST]

    def lumped(name: str) -> str:
        return names[label_key(name) not in are_forest]

    reference = labels.assign(reference=labels["reference"].map(lumped, na_action="ignore"))
    lumping = replace(sample, design={**sample.design, "classes": list(names)})
    maps = {"this_map": (ONLY_OURS, BOTH), "other_map": (ONLY_THEIRS, BOTH)}
    judged = {}
    for which, wooded in maps.items():
        mapped = pandas.Series(
            np.where(np.isin(codes, wooded), *names), sample.points["id"], dtype=object
        ).where(codes != NODATA)
        judged[which] = areas_of_sample(lumping, reference, [names[0]], mapped)
    return judged


def accuracy_table(judged: Mapping[str, Areas]) -> pandas.DataFrame:
    """Return the rows of `areas_table` of both maps, with `map` before them.

    Args:
        judged: see `judge`; none where no points were labelled.
    """
    if not judged:
        return pandas.DataFrame(columns=["map", "class", *COLUMNS])
    tables = [areas_table(areas.estimates).assign(map=which) for which, areas in judged.items()]
    table = pandas.concat(tables, ignore_index=True)
    return table[["map", *table.columns.drop("map")]]
