"""Maps measured: the pixels of each value, and the true hectares of each class code."""

from collections import Counter
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from landcover.areas import SQUARE_METRES_A_HECTARE, pixel_areas
from landcover.classes import NODATA
from landcover.grid import grid_of
from landcover.maps.kernels import count_codes
from landcover.windows import BLOCK, split

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

    Every pixel of a block of 512 x 512 counts the block's mean pixel area.

    Args:
        path: what GDAL opens: a GeoTIFF of class codes, in any CRS.
        nodata: the code of pixels that have none.

    Returns:
        The pixels and the hectares of each class code that is there, without nodata.
    """
    counts: Counts = Counter()
    hectares: dict[int, float] = {}
    with rasterio.open(path) as dataset:
        grid = grid_of(dataset)
        pixel_area = pixel_areas(grid)
        for block in split(grid.whole, BLOCK, BLOCK):
            pixels = count_values(dataset.read(1, window=block))
            del pixels[nodata]
            if pixels:
                area = pixel_area(block) / SQUARE_METRES_A_HECTARE
                for code, count in pixels.items():
                    hectares[code] = hectares.get(code, 0.0) + count * area
            counts.update(pixels)
    return counts, dict(sorted(hectares.items()))


def count_map(path: str, nodata: int = NODATA) -> Counts:
    """Count the pixels of each value of a finished map, all of it, without nodata.

    Args:
        path: what GDAL opens.
        nodata: the value of pixels that hold none.
    """
    counts: Counts = Counter()
    with rasterio.open(path) as dataset:
        for strip in split(grid_of(dataset).whole, BLOCK):
            counts.update(count_values(dataset.read(1, window=strip)))
    del counts[nodata]
    return counts
