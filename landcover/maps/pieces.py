"""Pieces: the small maps of windows, with overviews, compressed as the whole map will be.

All of that is done window by window and side by side, so that assembling the map is mere copying.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window, transform

from landcover.classes import NODATA
from landcover.grid import Grid
from landcover.maps.kernels import halve
from landcover.windows import BLOCK

# Of a map and of its pieces. On classified maps DEFLATE's level 6 takes four times as long as 1 for
# files a fifth smaller.
PROFILE: dict[str, Any] = {
    "driver": "GTiff",
    "count": 1,
    "dtype": "uint8",
    "nodata": NODATA,
    "tiled": True,
    "blockxsize": BLOCK,
    "blockysize": BLOCK,
    "compress": "deflate",
    "zlevel": 1,
}


def overview_factors(grid: Grid) -> list[int]:
    """Return by how much each overview of a map is coarser: 2, 4, ... until it fits one block.

    Args:
        grid: the map's.
    """
    factors: list[int] = []
    factor = 2
    while max(grid.width, grid.height) * 2 > BLOCK * factor:
        factors.append(factor)
        factor *= 2
    return factors


def piece_factors(grid: Grid, window_size: int) -> list[int]:
    """Return the factors of those overviews of which a piece has blocks of its own.

    Args:
        grid: the map's.
        window_size: of the pieces, a multiple of `BLOCK`.
    """
    return [factor for factor in overview_factors(grid) if factor * BLOCK <= window_size]


def coarser(grid: Grid, factor: int) -> Grid:
    """Return the grid of an overview; what does not fill its last row or column is rounded up."""
    scaled = grid.transform @ grid.transform.scale(factor)
    return Grid(grid.crs, scaled, -(-grid.width // factor), -(-grid.height // factor))


def part_of(grid: Grid, window: Window) -> Grid:
    """Return the grid of a window."""
    return Grid(grid.crs, transform(window, grid.transform), window.width, window.height)


def write_piece(
    codes: NDArray[np.uint8],
    grid: Grid,
    factors: Sequence[int],
    path: Path,
    halve: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = halve,
) -> None:
    """Write a window's map and its overviews.

    Args:
        codes: class codes, or confidence (rows, columns).
        grid: the window's.
        factors: of the overviews.
        path: the GeoTIFF to write.
        halve: what makes an overview from the one before: by mode for classes, by mean for
            confidence.
    """
    for factor in [1, *factors]:
        level = coarser(grid, factor)
        if factor > 1:
            codes = halve(codes)
        with rasterio.open(
            path,
            "w",
            **PROFILE,
            width=level.width,
            height=level.height,
            crs=level.crs,
            transform=level.transform,
            append_subdataset=factor > 1,
        ) as dataset:
            dataset.write(codes, 1)


def levels(path: Path, factors: Sequence[int]) -> list[str]:
    """Return what GDAL opens to read a piece and each of its overviews."""
    overviews = range(2, len(factors) + 2)
    return [str(path.absolute()), *(f"GTIFF_DIR:{n}:{path.absolute()}" for n in overviews)]
