"""A month's update of the record of deforestation, against GDAL reading and writing the same."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import geopandas
import numpy as np
import pandas as pd
import rasterio
import rasterio.shutil
import shapely
from rasterio.windows import Window

from benchmarks import worlds
from benchmarks.copying import LEVEL, WORKERS, write_tile_index
from benchmarks.imagery import QUAD
from benchmarks.report import Figure
from landcover.change.alerts import new_since, no_alerts, numbered, update_alerts
from landcover.change.dates import day_of
from landcover.change.patches import join_windows, window_runs
from landcover.change.record import (
    MonthMap,
    layer_values,
    record_layers,
    update_window,
)
from landcover.change.rule import ChangeSettings
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.layers import Layer
from landcover.maps.measure import count_map
from landcover.maps.pieces import piece_factors, write_piece
from landcover.maps.tiles import PROFILE
from landcover.period import Period
from landcover.windows import BLOCK, LARGEST, split

REPEATS = 3
SETTINGS = ChangeSettings()

# One in which the month that is scaled by two comes later, and with it its false warnings.
WORLD = 10

# Forest is felled in one block in so many: 3 300 new alerts a month in western Ecuador, whose 277
# quads are 100 000 square kilometres.
EVERY = 16

# Months before the one that is measured, so that there are warnings and alerts.
BEFORE = 5


def grid_of(quads: int) -> Grid:
    """Return a grid of so many quads across and down."""
    return Grid(worlds.GRID.crs, worlds.GRID.transform, quads * QUAD, quads * QUAD)


def write_map(
    folder: Path,
    period: Period,
    months: tuple[worlds.MonthOfWorld, worlds.MonthOfWorld],
    grid: Grid,
) -> MonthMap:
    """Write the map of a month of two worlds, one in a block of `EVERY`, until it fills a grid."""
    paths = []
    for what in ("codes", "confidence"):
        path = folder / f"{what}_{period.key}.tif"
        busy, quiet = (getattr(month, what) for month in months)
        profile = PROFILE | {
            "zlevel": LEVEL,
            "crs": grid.crs,
            "transform": grid.transform,
            "nodata": 255,
        }
        size = {"width": grid.width, "height": grid.height}
        with rasterio.open(path, "w", **profile, **size, count=1, dtype="uint8") as dataset:
            for down, strip in enumerate(split(grid.whole, worlds.SIZE)):
                across = range(grid.width // worlds.SIZE)
                blocks = [quiet if (down + block) % EVERY else busy for block in across]
                dataset.write(np.concatenate(blocks, axis=1), 1, window=strip)
        paths.append(str(path))
    return MonthMap(period, *paths)


def files(folder: Path, period: Period) -> dict[str, str]:
    """Return the rasters of a record by key."""
    return {layer.key: str(folder / layer.file) for layer in record_layers(period)}


def update_record(
    folder: Path,
    grid: Grid,
    month: MonthMap,
    before: Mapping[str, str] | None,
    standing: geopandas.GeoDataFrame,
) -> tuple[dict[str, str], pd.DataFrame]:
    """Bring the rasters of a record up to a month, as the flow does, and find runs of alerts.

    Args:
        folder: where they are written.
        grid: theirs.
        month: the map.
        before: the record of the month before.
        standing: the alerts until then (see `numbered`).
    """
    area = shapely.box(*grid.bounds)
    factors = piece_factors(grid, LARGEST)
    windows = list(split(grid.whole, LARGEST, LARGEST))
    layers = record_layers(month.period)

    def piece(layer: Layer, window: Window) -> Path:
        return folder / f"{layer.key}_{window.col_off}_{window.row_off}.tif"

    def update(window: Window) -> pd.DataFrame:
        state = update_window(window, grid, area, month, worlds.SAYS, SETTINGS, before)
        values = layer_values(state)
        for layer in layers:
            write_piece(layer, values[layer.key], grid.part(window), factors, piece(layer, window))
        today, smallest = day_of(month.period), SETTINGS.smallest_hectares
        return window_runs(window, grid, state, today, standing, smallest)

    def assemble(layer: Layer) -> None:
        pieces = {piece(layer, window): window for window in windows}
        write_cog(layer, pieces, grid, factors, {}, folder / layer.file)

    with ThreadPoolExecutor(WORKERS) as pool:
        runs = list(pool.map(update, windows))
        list(pool.map(assemble, layers))
    count_map(str(folder / layers[0].file))
    return files(folder, month.period), join_windows(runs, grid)


def copy(folder: Path, grid: Grid, month: MonthMap, record: Mapping[str, str]) -> None:
    """Read the same maps and the same record with the same threads, and write it anew with GDAL."""
    maps = [month.classes, month.confidence]
    windows = list(split(grid.whole, LARGEST, LARGEST))

    def piece(window: Window) -> None:
        for path in maps:
            with rasterio.open(path) as source:
                source.read(window=window)
        for key, path in record.items():
            with rasterio.open(path) as source:
                values, profile = source.read(window=window), source.profile
            place = grid.part(window)
            size = {"transform": place.transform, "width": place.width, "height": place.height}
            name = str(folder / f"copy_{key}_{window.col_off}_{window.row_off}.tif")
            # What is written twice is written fast at first.
            fast = {"compress": "zstd", "zstd_level": 1}
            with rasterio.open(name, "w", **profile | size | fast) as target:
                target.write(values)

    def assemble(key: str) -> None:
        places = [grid.part(window) for window in windows]
        names = [str(folder / f"copy_{key}_{w.col_off}_{w.row_off}.tif") for w in windows]
        index = write_tile_index(names, places, grid, folder / f"{key}.gti.gpkg")
        options = {"compress": "DEFLATE", "level": LEVEL, "blocksize": BLOCK}
        rasterio.shutil.copy(index, folder / f"copy_{key}.tif", driver="COG", **options)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(piece, windows))
        list(pool.map(assemble, record))


def measure(folder: Path, quads: int = 4) -> list[Figure]:
    """Return the figures of a month of quads x quads quads."""
    place = folder / "change"
    place.mkdir()
    grid = grid_of(quads)
    felled, quiet = worlds.build(WORLD), worlds.build(WORLD, is_felled=False)
    shown = zip(felled.months, quiet.months, strict=True)
    record: dict[str, str] | None = None
    alerts, last = no_alerts(), None
    for period, months in list(zip(worlds.MONTHS, shown, strict=True))[: BEFORE + 1]:
        month, before, known = write_map(place, period, months, grid), record, alerts
        standing = numbered(known, last, SETTINGS, grid)
        record, runs = update_record(place, grid, month, before, standing)
        alerts = update_alerts(known, standing, runs, grid, period, SETTINGS)
        last = period
    assert before is not None
    updating = _seconds(lambda: update_record(place, grid, month, before, standing))
    copying = _seconds(lambda: copy(place, grid, month, before))
    joining = _seconds(lambda: update_alerts(known, standing, runs, grid, period, SETTINGS))
    share = 277 / quads**2 / 60
    return [
        Figure(f"month of the record, {quads**2} quads: seconds", f"{updating:.1f}"),
        Figure("reading and writing the same with GDAL: seconds", f"{copying:.1f}"),
        Figure("the one against the other", f"{updating / copying:.2f}", "at most 1.5"),
        Figure(
            f"its alerts, {len(new_since(alerts, known))} new of {len(alerts)}: seconds",
            f"{joining:.1f}",
        ),
        Figure(
            "western Ecuador, 277 quads, at this speed: minutes",
            f"{(updating + joining) * share:.1f}",
            "at most 3",
        ),
    ]


def _seconds(do: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return median(taken)
