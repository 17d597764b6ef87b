"""Maps measured: the pixels of each value, and the true hectares of each class code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from landcover.areas import KNOTS, SQUARE_METRES_A_HECTARE, areas_at, knots_of
from landcover.classes import NODATA
from landcover.grid import Grid, grid_of
from landcover.maps.kernels import add_areas, count_codes
from landcover.windows import BLOCK, LARGEST, split

# How many pixels have each value; values that no pixel has are left out.
Counts = Counter[int]


def count_values(values: NDArray[np.integer[Any]]) -> Counts:
    """Count the pixels of each value.

    Args:
        values: of any integer type, (rows, columns).
    """
    if values.dtype == np.uint8:
        counts = count_codes(values.astype(np.uint8, copy=False))
        present = np.flatnonzero(counts)
        return Counter(dict(zip(present.tolist(), counts[present].tolist(), strict=True)))
    found, pixels = np.unique(values, return_counts=True)
    return Counter(dict(zip(found.tolist(), pixels.tolist(), strict=True)))


def measure_classes(path: str, nodata: int = NODATA) -> tuple[Counts, dict[int, float]]:
    """Count the pixels of each class code of a map, and return the area of each class.

    Every pixel counts its own area: in most projections it changes along rows too.

    Args:
        path: what GDAL opens: a GeoTIFF of class codes, in any CRS.
        nodata: the code of pixels that have none.

    Returns:
        The pixels and the hectares of each class code that is there, without nodata.
    """
    totals = Totals()
    with rasterio.open(path) as dataset:
        grid = grid_of(dataset)
        for part in split(grid.whole, BLOCK, LARGEST):
            totals.add(dataset.read(1, window=part), grid, part)
    return totals.without(nodata)


def measure_codes(
    codes: NDArray[np.uint8], grid: Grid, nodata: int = NODATA
) -> tuple[Counts, dict[int, float]]:
    """Count the pixels of each code, and return the area of each, as `measure_classes` does.

    Args:
        codes: (rows, columns).
        grid: theirs.
        nodata: the code of pixels that have none.
    """
    totals = Totals()
    for part in split(grid.whole, BLOCK, LARGEST):
        totals.add(codes[part.toslices()], grid, part)
    return totals.without(nodata)


class Totals:
    """Pixels and square metres of each code, added up part by part."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pixels, self._areas = np.zeros(256, dtype=np.int64), np.zeros(256)

    def add(self, codes: NDArray[np.uint8], grid: Grid, part: Window) -> None:
        """Add the codes of a part of a grid, (rows, columns)."""
        add_areas(codes, areas_at(grid, *knots_of(part)), KNOTS, self._pixels, self._areas)

    def without(self, nodata: int) -> tuple[Counts, dict[int, float]]:
        """Return the pixels and the hectares of each code that is there, but for one."""
        found = [code for code in np.flatnonzero(self._pixels).tolist() if code != nodata]
        hectares = {code: float(self._areas[code]) / SQUARE_METRES_A_HECTARE for code in found}
        return Counter({code: int(self._pixels[code]) for code in found}), hectares


def total_hectares(parts: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the hectares of all parts of a map together, by their code.

    Args:
        parts: hectares of each.
    """
    codes = sorted({code for part in parts for code in part})
    return {code: sum(part.get(code, 0.0) for part in parts) for code in codes}


def count_map(path: str, nodata: int = NODATA) -> Counts:
    """Count the pixels of each value of a finished map, all of it, without nodata.

    Args:
        path: what GDAL opens.
        nodata: the value of pixels that hold none.
    """
    counts: Counts = Counter()
    with rasterio.open(path) as dataset:
        for part in split(grid_of(dataset).whole, BLOCK, LARGEST):
            if _has_tiles(dataset, part):
                counts.update(count_values(dataset.read(1, window=part)))
    del counts[nodata]
    return counts


def count_data(path: str, nodata: int) -> int:
    """Count the pixels of the first band of a raster that are not nodata.

    Args:
        path: what GDAL opens.
        nodata: the value of pixels that hold none.
    """
    with rasterio.open(path) as dataset:
        return sum(
            int(np.count_nonzero(dataset.read(1, window=part) != nodata))
            for part in split(grid_of(dataset).whole, BLOCK, LARGEST)
            if _has_tiles(dataset, part)
        )


def _has_tiles(dataset: DatasetReader, part: Window) -> bool:
    """Tell whether a part of a raster is in its file; what is not, reads as nodata.

    A map of an area far larger than its imagery has millions of tiles that are not there.

    Args:
        dataset: an open raster.
        part: a row of its blocks.
    """
    if dataset.driver != "GTiff" or dataset.block_shapes[0] != (BLOCK, BLOCK):
        return True
    row, first = part.row_off // BLOCK, part.col_off // BLOCK
    return any(
        dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1) is not None
        for column in range(first, first - (-part.width // BLOCK))
    )
