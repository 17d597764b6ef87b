"""Hectares by region: the pixels and the true area of each code of a raster, in each region.

A pixel belongs to a region if its centre lies in it, and counts if its centre lies in the area of
interest too: by the same function that decides which pixels a map has. A centre on the border of
two regions lies in exactly one of them (GDAL counts the left end of a span and not the right one,
and of level edges one side). A pixel in regions that overlap counts for each of them.

exactextract was considered. It counts the covered share of each pixel on a border, where maps have
whole pixels; of true areas it knows those of degrees alone; and it reads the raster again for each
region. Here regions are drawn into windows while these are counted: the raster is read once.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window, bounds
from shapely.geometry.base import BaseGeometry

from landcover.areas import KNOTS, SQUARE_METRES_A_HECTARE, areas_at, knots_of
from landcover.classes import NODATA
from landcover.geometry import intersection
from landcover.grid import Grid, grid_of
from landcover.maps.kernels import add_areas_inside, claim
from landcover.notices import Notice
from landcover.windows import BLOCK, LARGEST, pixels_inside, split, windows_touching, within

# Rows of the table that are no class.
NO_IMAGERY = "No imagery"
ALL_FOREST = "All forest"

COLUMNS = ("region", "class", "hectares", "share", "alerts")


@dataclass
class RegionTotals:
    """Pixels and areas of each code in each region, added up window by window."""

    pixels: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """By the region's number, of each code, (256,)."""
    areas: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Likewise, in square metres on WGS 84."""
    shared: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Square metres that two regions have in common, by their numbers."""

    def add(self, other: "RegionTotals") -> None:
        """Add those of another part of the raster."""
        for number in other.pixels:
            if number in self.pixels:
                self.pixels[number] += other.pixels[number]
                self.areas[number] += other.areas[number]
            else:
                self.pixels[number], self.areas[number] = other.pixels[number], other.areas[number]
        self.shared.update(other.shared)


@dataclass(frozen=True)
class RegionalAreas:
    """What a raster says of regions."""

    table: pd.DataFrame
    """`COLUMNS`: a row for each class of each region. `share` is that of the region's part of the
    area of interest, 0 to 1; `alerts`, where it is known, how many of the class there are."""
    notices: tuple[Notice, ...]
    """What is to be told of the regions."""
    map_sha256: str
    """Of the raster."""
    source: str
    """Where the regions come from."""


def measure_regions(
    path: str, shapes: Sequence[BaseGeometry], area: BaseGeometry, workers: int = 1
) -> RegionTotals:
    """Measure each code of a raster in each region, in one pass over the raster.

    Args:
        path: a raster of uint8 codes on this machine, in any CRS.
        shapes: the regions, valid polygons in its CRS.
        area: the area of interest, in its CRS.
        workers: how many windows are measured side by side.

    Raises:
        RasterioIOError: if the raster cannot be read.
    """
    with rasterio.open(path) as dataset:
        grid = grid_of(dataset)
    tree = shapely.STRtree(shapes)

    def measure(window: Window) -> RegionTotals:
        outline = shapely.box(*bounds(window, grid.transform))
        near = sorted(tree.query(outline, predicate="intersects").tolist())
        if not near:
            return RegionTotals()
        # One who reads each: GDAL's datasets are for one thread.
        with rasterio.open(path) as dataset:
            codes = dataset.read(1, window=window)
        return measure_window(codes, window, grid, {n: shapes[n] for n in near}, area)

    totals = RegionTotals()
    windows = windows_touching(grid, area, LARGEST)
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(measure, windows):
            totals.add(found)
    return totals


def measure_window(
    codes: NDArray[np.uint8],
    window: Window,
    grid: Grid,
    shapes: Mapping[int, BaseGeometry],
    area: BaseGeometry,
) -> RegionTotals:
    """Measure each code of a window in each region.

    Args:
        codes: (rows, columns).
        window: which pixels of the grid.
        grid: the raster's.
        shapes: the regions near the window by number, valid polygons in the grid's CRS.
        area: the area of interest, in the grid's CRS.
    """
    outline = shapely.box(*bounds(window, grid.transform))
    # Only what is in the window is drawn; and all rings run the same way round, on which it depends
    # which side of a level edge counts.
    parts = {n: intersection(shape, outline) for n, shape in shapes.items()}
    parts = {n: shapely.orient_polygons(part) for n, part in parts.items() if not part.is_empty}
    totals = RegionTotals()
    for strip in split(window, BLOCK):
        counts = pixels_inside(area, strip, grid.transform)
        owners = np.zeros(counts.shape, np.uint16)
        drawn: list[int] = []
        for number, part in parts.items():
            under = _under(part, strip, grid)
            if under is None:
                continue
            place = within(under, strip)
            inside = pixels_inside(part, under, grid.transform) & counts[place]
            knots = areas_at(grid, *knots_of(under))
            pixels = totals.pixels.setdefault(number, np.zeros(256, np.int64))
            areas = totals.areas.setdefault(number, np.zeros(256))
            add_areas_inside(codes[within(under, window)], inside, knots, KNOTS, pixels, areas)
            shared = np.zeros(len(drawn) + 1, np.int64)
            drawn.append(number)
            claim(inside, len(drawn), owners[place], shared)
            for other in np.flatnonzero(shared).tolist():
                totals.shared[drawn[other - 1], number] += int(shared[other]) * float(knots.mean())
    return totals


def region_table(
    totals: RegionTotals,
    names: Sequence[str],
    classes: Mapping[int, str],
    forest: Collection[int] = (),
    nodata: str | None = NO_IMAGERY,
) -> pd.DataFrame:
    """Return the hectares of each class in each region (see `RegionalAreas`).

    Regions without a pixel in the area of interest are left out.

    Args:
        totals: of a raster.
        names: of the regions, by number.
        classes: the name of each code of the raster.
        forest: the codes that are forest; with any, the table has a row of all of them.
        nodata: what pixels without a class are called; None where they do not count.
    """
    rows = []
    for number, name in enumerate(names):
        areas = totals.areas.get(number, np.zeros(256)) / SQUARE_METRES_A_HECTARE
        if not areas.any():
            continue
        hectares = {told: float(areas[code]) for code, told in sorted(classes.items())}
        if nodata:
            hectares[nodata] = float(areas[NODATA])
        if forest:
            hectares[ALL_FOREST] = sum(float(areas[code]) for code in sorted(forest))
        whole = float(areas.sum())
        rows += [(name, told, area, area / whole, None) for told, area in hectares.items()]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"hectares": float, "share": float, "alerts": "Int64"})


def shared_hectares(totals: RegionTotals, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return the hectares that two regions have in common, by their names.

    Args:
        totals: of a raster.
        names: of the regions, by number.
    """
    return {
        (names[one], names[other]): area / SQUARE_METRES_A_HECTARE
        for (one, other), area in totals.shared.items()
    }


def _under(part: BaseGeometry, strip: Window, grid: Grid) -> Window | None:
    """Return the pixels of a strip that may lie in a polygon; None where there are none."""
    west, south, east, north = part.bounds
    (left, right), (top, bottom) = ~grid.transform @ (
        np.array([west, east]),
        np.array([north, south]),
    )
    first_column = max(int(np.floor(left)), strip.col_off)
    first_row = max(int(np.floor(top)), strip.row_off)
    width = min(int(np.ceil(right)), strip.col_off + strip.width) - first_column
    height = min(int(np.ceil(bottom)), strip.row_off + strip.height) - first_row
    return Window(first_column, first_row, width, height) if min(width, height) > 0 else None
