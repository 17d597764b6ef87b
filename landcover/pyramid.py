"""Pieces: the small maps of windows, with the overviews that the whole map will have.

Overviews are made where the classes are known already, window by window and side by side, so that
assembling the map is mere copying.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window, transform

from landcover.classes import NODATA
from landcover.kernels import halve
from landcover.tile_index import Grid
from landcover.windows import BLOCK

# GDAL keeps a block of every level of every piece while it assembles a map.
PIECE_BLOCK = 256


def overview_factors(grid: Grid, window_size: int) -> list[int]:
    """Return by how much each overview of a map is coarser: 2, 4, ... until it fits one block.

    Args:
        grid: the map's.
        window_size: of the pieces; no overview is so coarse that a piece has less than a pixel.
    """
    factors: list[int] = []
    factor = 2
    while max(grid.width, grid.height) * 2 > BLOCK * factor and factor <= window_size:
        factors.append(factor)
        factor *= 2
    return factors


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
    factors: list[int],
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
            driver="GTiff",
            width=level.width,
            height=level.height,
            count=1,
            dtype="uint8",
            nodata=NODATA,
            crs=level.crs,
            transform=level.transform,
            tiled=True,
            blockxsize=PIECE_BLOCK,
            blockysize=PIECE_BLOCK,
            # Pieces are read once, so speed counts, not size.
            compress="zstd",
            zstd_level=1,
            append_subdataset=factor > 1,
        ) as dataset:
            dataset.write(codes, 1)


def levels(path: Path, factors: list[int]) -> list[str]:
    """Return what GDAL opens to read a piece and each of its overviews."""
    overviews = range(2, len(factors) + 2)
    return [str(path.absolute()), *(f"GTIFF_DIR:{n}:{path.absolute()}" for n in overviews)]
