"""Patches: pixels of lost forest that touch, at edges or corners, over the borders of windows too.

A patch is kept as its *runs*: stretches of a row whose pixels are alike. Each window gives its
runs, without the small patches that lie inside it; joined anew, those of all windows are the
patches of the whole area. So memory is for what may be an alert, not for pixels.

Where forest meets a field, maps waver along a line a pixel or two wide, which may be long enough
for an alert and is never felled forest. Such patches have no *square* of a few pixels across.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import geopandas
import numpy as np
import pandas as pd
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from rasterio.windows import Window, bounds
from shapely.geometry import MultiPolygon

from landcover.areas import SQUARE_METRES_A_HECTARE, areas_of
from landcover.change.patch_kernels import NEW, burn, find_runs, join_runs, next_rows
from landcover.change.rule import State
from landcover.grid import Grid
from landcover.windows import BLOCK, split, within

# What is told of a run: where it is, of which alert, what its pixels have in common, and the sum of
# their log odds.
COLUMNS = [
    *("row", "start", "stop", "alert", "status", "first", "forest_seen", "is_seen", "log_odds"),
]

# Pixels across a square: 24 m on NICFI's grid. With fewer, edges of forest became alerts; with
# more, narrow clearings did not (see `benchmarks/worlds.py`).
SQUARE = 5

# Pixels that an outline is vectorised at once in: 64 MB. What takes more is in tiles, and their
# polygons are united, which takes a hundred times as long.
AT_ONCE = 2**26

# Height and width of such a tile.
SIDE = 4096

# Small patches are left out of a window by a round figure; what is measured decides, run by run.
ROUNDING = 1.001


def window_runs(
    window: Window,
    grid: Grid,
    state: State,
    today: int,
    alerts: geopandas.GeoDataFrame,
    smallest_hectares: float,
) -> pd.DataFrame:
    """Return the runs of a window that are of alerts, or may be of new ones.

    Args:
        window: which pixels of the grid.
        grid: of the record.
        state: what is known of the window's pixels.
        today: the day of this month.
        alerts: in the grid's CRS: `geometry` and `number`, from 1; less than 0 where one does not
            change any more.
        smallest_hectares: of the smallest alert.

    Returns:
        A row a run, `COLUMNS`; rows and columns count from the grid's upper left corner. The alert
        is a number, or `NEW`. Of alerts there are runs of what is forest again, too.
    """
    found = []
    for strip in split(window, BLOCK):
        known = State._make(values[within(strip, window)] for values in state)
        found.append(_runs(strip, grid, known, today, alerts))
    runs = pd.DataFrame(np.concatenate(found), columns=COLUMNS)
    return runs[~_is_small(runs, window, grid, smallest_hectares)].reset_index(drop=True)


def _runs(
    window: Window, grid: Grid, state: State, today: int, alerts: geopandas.GeoDataFrame
) -> NDArray[np.int32]:
    """Return all runs of a window that are of alerts or of lost forest, `COLUMNS`."""
    owner = _owners(window, grid, alerts)
    found = np.empty((0, len(COLUMNS)), np.int32)
    found = np.empty((find_runs(state, owner, today, found), len(COLUMNS)), np.int32)
    if len(found):
        find_runs(state, owner, today, found)
    found[:, 0] += window.row_off
    found[:, 1:3] += window.col_off
    return found


def _owners(window: Window, grid: Grid, alerts: geopandas.GeoDataFrame) -> NDArray[np.int32]:
    """Return the number of the alert that each pixel lies in."""
    shape = (window.height, window.width)
    here = alerts.iloc[alerts.sindex.query(shapely.box(*bounds(window, grid.transform)))]
    if here.empty:
        return np.zeros(shape, np.int32)
    numbered = zip(here.geometry, here["number"].tolist(), strict=True)
    place = grid.part(window).transform
    owners: NDArray[np.int32] = rasterize(numbered, shape, transform=place, dtype=np.int32)
    return owners


def _is_small(
    runs: pd.DataFrame, window: Window, grid: Grid, smallest_hectares: float
) -> NDArray[np.bool_]:
    """Tell which new runs are of small patches that touch no alert, and end within the window."""
    patch, beside = patches_of(runs)
    pixels = np.bincount(patch, runs["stop"] - runs["start"])[patch]
    goes_on = (
        (beside != NEW)
        | (runs["row"] == window.row_off)
        | (runs["row"] == window.row_off + window.height - 1)
        | (runs["start"] == window.col_off)
        | (runs["stop"] == window.col_off + window.width)
    )
    columns = np.array([0, 1, 0, 1]) * window.width + window.col_off
    rows = np.array([0, 0, 1, 1]) * window.height + window.row_off
    largest = areas_of(grid, columns.astype(float), rows.astype(float)).max() * ROUNDING
    too_small = pixels * largest < smallest_hectares * SQUARE_METRES_A_HECTARE
    ends = np.bincount(patch, goes_on)[patch] == 0
    small: NDArray[np.bool_] = (runs["alert"] == NEW).to_numpy() & too_small & ends
    return small


def join_windows(runs: Sequence[pd.DataFrame], grid: Grid) -> pd.DataFrame:
    """Return the runs of all windows with their true areas, sorted by row and column.

    Args:
        runs: of each window.
        grid: of the record.

    Returns:
        `COLUMNS`, and `hectares`.
    """
    joined = pd.concat([*runs, pd.DataFrame(columns=COLUMNS, dtype=np.int32)])
    joined = _joined(joined.sort_values(["row", "start"], ignore_index=True), COLUMNS[3:-1])
    pixels = joined["stop"] - joined["start"]
    middle = (joined["start"] + joined["stop"]).to_numpy() / 2
    areas = areas_of(grid, middle, joined["row"].to_numpy() + 0.5) if len(joined) else 0.0
    return joined.assign(hectares=pixels * areas / SQUARE_METRES_A_HECTARE)


def _joined(runs: pd.DataFrame, alike: Sequence[str]) -> pd.DataFrame:
    """Return runs joined where one goes on in the next.

    Those of one window so depend neither on the border of windows, nor on what of them is told.

    Args:
        runs: sorted by row and column.
        alike: the columns in which runs that are joined are equal.
    """
    earlier, same = runs.shift(), ["row", *alike]
    goes_on = (runs[same] == earlier[same]).all(axis=1) & (runs["start"] == earlier["stop"])
    of_run = dict.fromkeys(runs, "first") | {"stop": "last", "log_odds": "sum"}
    return runs.groupby((~goes_on).cumsum()).agg(of_run).reset_index(drop=True).astype(np.int32)


def patches_of(runs: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the number of each run's patch, and the alert beside it.

    Args:
        runs: sorted by row and column.

    Returns:
        The numbers, in the order of the patches' first pixels; and for each new run that touches
        alerts, the lowest of theirs, else `NEW`.
    """
    row, start, stop, alert = (runs[name].to_numpy(np.int32) for name in COLUMNS[:4])
    beside = np.empty(len(runs), np.int32)
    first = join_runs(row, start, stop, alert, beside)
    return np.unique(first, return_inverse=True)[1], beside


def with_squares(runs: pd.DataFrame, of: pd.Series) -> NDArray[np.int64]:
    """Return the numbers of those whose pixels fill a square of `SQUARE` pixels across somewhere.

    Args:
        runs: of pixels, sorted by row and column.
        of: a number for each run.
    """
    wide = _joined(runs[COLUMNS].assign(of=of), ["of"])
    wide = wide[wide["stop"] - wide["start"] >= SQUARE]
    row, start, stop = (wide[name].to_numpy(np.int32) for name in COLUMNS[:3])
    number = wide["of"].to_numpy(np.int64)
    squares = np.column_stack([np.arange(len(wide)), start, stop])
    for depth in range(1, SQUARE):
        squares = next_rows(row, start, stop, number, squares, depth)
        squares = squares[squares[:, 2] - squares[:, 1] >= SQUARE]
    return np.unique(number[squares[:, 0]])


def outlines(runs: pd.DataFrame, of: pd.Series, grid: Grid) -> dict[int, MultiPolygon]:
    """Return the outlines of pixels, in the grid's CRS.

    Args:
        runs: of the pixels, sorted by row.
        of: a number for each run; those of one number have one outline.
        grid: of the record.

    Returns:
        The outline of each number.
    """
    found = {int(number): _outline(part[COLUMNS[:3]]) for number, part in runs.groupby(of)}
    # Of whole pixels until here, so that a corner is the same point in all outlines that share it.
    placed = shapely.transform(
        list(found.values()), lambda points: np.stack(grid.transform @ points.T, axis=-1)
    )
    return dict(zip(found, placed, strict=True))


def _outline(runs: pd.DataFrame) -> MultiPolygon:
    """Return the outline of pixels by columns and rows."""
    row, start, stop = runs.to_numpy(np.int32).T
    left, top = int(start.min()), int(row.min())
    place = Window(left, top, int(stop.max()) - left, int(row.max()) + 1 - top)
    if place.width * place.height <= AT_ONCE:
        return _vectorised(row, start, stop, place)
    parts = [_vectorised(row, start, stop, tile) for tile in split(place, SIDE, SIDE)]
    # Without the points at which tiles met.
    merged = shapely.simplify(shapely.union_all(parts), 0)
    return MultiPolygon(shapely.get_parts(merged).tolist())


def _vectorised(
    row: NDArray[np.int32], start: NDArray[np.int32], stop: NDArray[np.int32], tile: Window
) -> MultiPolygon:
    """Return the outline of pixels as far as they lie in a tile, by columns and rows."""
    raster = np.zeros((tile.height, tile.width), np.uint8)
    burn(row, start, stop, tile.row_off, tile.col_off, raster)
    place = Affine.translation(tile.col_off, tile.row_off)
    found = shapes(raster, raster.view(np.bool_), connectivity=4, transform=place)
    polygons = [outline["coordinates"] for outline, _ in found]
    rings = list(chain.from_iterable(polygons))
    ends = (_ends(map(len, rings)), _ends(map(len, polygons)), np.array([0, len(polygons)]))
    points = np.array(list(chain.from_iterable(rings))).reshape(-1, 2)
    (outline,) = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, points, ends)
    return outline


def _ends(counts: Iterable[int]) -> NDArray[np.int64]:
    """Return where each part begins and ends, by how many items each has."""
    return np.cumsum([0, *counts])
