"""Hectares by region: the pixels and the true area of each code of a raster, in each region.

A pixel belongs to a region if its centre lies in it, and counts if its centre lies in the area of
interest too. Of a centre on a border, the region to the right has it, or on a level border the one
below: so it belongs to one of two regions that touch, whatever window it is in. GDAL follows the
same rule, but rounds coordinates by where a window begins, so that windows drawn by it would not
agree on such a centre. A pixel in regions that overlap counts for each of them.

exactextract was considered. It counts the covered share of each pixel on a border, where maps have
whole pixels; of true areas it knows those of degrees alone; and it goes through the raster region
by region. Here the raster is read once, whichever regions there are.
"""

from collections import defaultdict
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
from landcover.grid import Grid, grid_of
from landcover.maps.kernels import add_region, crossings
from landcover.notices import Notice
from landcover.windows import BLOCK, LARGEST, pixels_inside, split, windows_touching, within

# Rows of the table that are no class.
NO_IMAGERY = "No imagery"
NO_DATA = "No data"  # of a year, which no month or too few have seen
ALL_FOREST = "All forest"

COLUMNS = ("region", "class", "hectares", "share", "alerts")


@dataclass
class RegionTotals:
    """Pixels and areas of each code in each region, added up window by window."""

    pixels: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """By the region's number, of each code, (256,)."""
    areas: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Likewise, in square metres on WGS 84."""
    shared: dict[tuple[int, int], float] = field(default_factory=lambda: defaultdict(float))
    """Square metres that two regions have in common, by their numbers."""

    def add(self, other: "RegionTotals") -> None:
        """Add those of another part of the raster."""
        for number in other.pixels:
            if number in self.pixels:
                self.pixels[number] += other.pixels[number]
                self.areas[number] += other.areas[number]
            else:
                self.pixels[number], self.areas[number] = other.pixels[number], other.areas[number]
        for both, area in other.shared.items():
            self.shared[both] += area


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
    tree, outline_of_area = shapely.STRtree(shapes), area.wkb

    def measure(window: Window) -> RegionTotals:
        outline = shapely.box(*bounds(window, grid.transform))
        near = sorted(tree.query(outline).tolist())
        if not near:
            return RegionTotals()
        # One who reads each: GDAL's datasets are for one thread.
        with rasterio.open(path) as dataset:
            codes = dataset.read(1, window=window)
        # Each its own: GEOS prepares a geometry for one thread, and ends the process of two.
        own = shapely.from_wkb(outline_of_area)
        return measure_window(codes, window, grid, {n: shapes[n] for n in near}, own)

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
    edges = {number: _edges(shape, grid) for number, shape in shapes.items()}
    totals = RegionTotals()
    for strip in split(window, BLOCK):
        place = within(strip, window)
        counts = pixels_inside(area, strip, grid.transform)
        owners = np.zeros(counts.shape, np.uint16)
        knots = areas_at(grid, *knots_of(strip))
        found: list[int] = []
        for number, sides in edges.items():
            begin, columns = crossings(sides, strip.row_off, strip.height)
            if not len(columns):
                continue
            pixels = totals.pixels.setdefault(number, np.zeros(256, np.int64))
            areas = totals.areas.setdefault(number, np.zeros(256))
            found.append(number)
            shared = np.zeros(len(found), np.int64)
            columns -= strip.col_off
            add_region(
                codes[place], counts, begin, columns, knots, KNOTS, pixels, areas,
                len(found), owners, shared,
            )  # fmt: skip
            for other in np.flatnonzero(shared).tolist():
                both = found[other - 1], number
                totals.shared[both] += shared[other] * knots.mean()
    return totals


def region_table(
    totals: RegionTotals,
    names: Sequence[str],
    classes: Mapping[int, str],
    forest: Collection[int] = (),
    nodata: str | None = NO_IMAGERY,
) -> pd.DataFrame:
    """Return the hectares of each class in each region (see `RegionalAreas`).

    Regions without a pixel in the area of interest are left out. A class that is called as a row
    that is no class has its code behind its name.

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
        hectares = {
            f"{told} (class {code})" if told in (nodata, ALL_FOREST) else told: float(areas[code])
            for code, told in sorted(classes.items())
        }
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


def _edges(shape: BaseGeometry, grid: Grid) -> NDArray[np.float64]:
    """Return the edges of polygons in pixels of a grid (see `landcover.maps.kernels.crossings`)."""
    points, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(shape)), return_index=True
    )
    ends = np.stack(~grid.transform @ points.T, axis=-1)
    edges: NDArray[np.float64] = np.hstack([ends[:-1], ends[1:]])[ring[1:] == ring[:-1]]
    # From above, whichever way it runs: two regions must find the same crossings of one edge.
    upwards = edges[:, 3] < edges[:, 1]
    edges[upwards] = edges[upwards][:, [2, 3, 0, 1]]
    return edges
