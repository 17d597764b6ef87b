"""Maps measured: the pixels and the true hectares of each class code."""

from collections import Counter

import numpy as np
import rasterio
from numpy.typing import NDArray

from landcover.areas import SQUARE_METRES_A_HECTARE, pixel_areas
from landcover.classes import NODATA
from landcover.grid import grid_of
from landcover.maps.kernels import count_codes
from landcover.windows import BLOCK, split


def measure_classes(path: str) -> tuple[NDArray[np.int64], dict[int, float]]:
    """Count the pixels of each of the 256 codes of a map, and return the area of each class.

    Every pixel of a block of 512 x 512 counts the block's mean pixel area.

    Args:
        path: what GDAL opens: a GeoTIFF of class codes (uint8), in any CRS.

    Returns:
        The pixels of each code, (256,), and the hectares of each class code that is there; nodata
        has none.
    """
    counts = np.zeros(NODATA + 1, dtype=np.int64)
    hectares: Counter[int] = Counter()
    with rasterio.open(path) as dataset:
        grid = grid_of(dataset)
        pixel_area = pixel_areas(grid)
        for block in split(grid.whole, BLOCK, BLOCK):
            pixels = count_codes(dataset.read(1, window=block))
            counts += pixels
            present = np.flatnonzero(pixels[:NODATA])
            if present.size:
                area = pixel_area(block) / SQUARE_METRES_A_HECTARE
                hectares.update({int(code): float(pixels[code]) * area for code in present})
    return counts, dict(sorted(hectares.items()))


def count_map(path: str) -> NDArray[np.int64]:
    """Count the pixels of each of the 256 codes of a finished map, all of it.

    Args:
        path: what GDAL opens.
    """
    counts = np.zeros(NODATA + 1, dtype=np.int64)
    with rasterio.open(path) as dataset:
        for strip in split(grid_of(dataset).whole, BLOCK):
            counts += count_codes(dataset.read(1, window=strip))
    return counts
