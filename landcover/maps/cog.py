"""The map: pieces assembled into one Cloud-Optimized GeoTIFF, tile by tile."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from landcover.classes import NODATA, colour
from landcover.grid import Grid, grid_of
from landcover.maps.kernels import halve, halve_mean
from landcover.maps.pieces import (
    PROFILE,
    coarser,
    levels,
    overview_factors,
    part_of,
)
from landcover.maps.tiff import (
    Cell,
    Level,
    Span,
    read_tags,
    write_tiff,
)
from landcover.windows import BLOCK

Tiles = dict[Cell, Span | bytes]

# Edges of a piece may be so many pixels off, because file headers round coordinates.
ROUNDING = 0.01


def write_cog(
    pieces: Mapping[Path, Window],
    grid: Grid,
    factors: Sequence[int],
    names: Mapping[int, str] | None,
    tags: Mapping[str, str],
    path: Path,
) -> None:
    """Assemble pieces into a map: uint8, DEFLATE, nodata 255, with overviews down to one block.

    The pieces' tiles are copied as they are. Class names and colours are in the file: its palette,
    and a tag `class_<code>` of the band for each name. Pixels that no piece covers are nodata.

    Args:
        pieces: each piece's file (see `pieces.write_piece`) and the window of the grid
            that it covers.
        grid: the mosaic's grid, which the map has too.
        factors: of the overviews that the pieces have; the coarser ones are made here.
        names: the name of each class code; None for a map of numbers, such as confidence.
        tags: what else the file should say of itself.
        path: the file to write.

    Raises:
        RasterioIOError: if a piece cannot be read, or is not what was written.
        OSError: if there is no room for the map.
    """
    with TemporaryDirectory(dir=path.parent) as folder:
        blank = Path(folder) / path.name
        _write_blank(blank, grid, names, tags)
        with rasterio.open(blank) as dataset:
            ((_, nowhere),) = _spans(dataset, blank)
        nothing = nowhere.read()
        tiles = _tiles_of(pieces, grid, factors, nothing)
        smaller = halve_mean if names is None else halve
        for factor in overview_factors(grid)[len(factors) :]:
            tiles.append(_halve_tiles(tiles[-1], coarser(grid, factor // 2), smaller))
        grids = [grid, *(coarser(grid, factor) for factor in overview_factors(grid))]
        write_tiff(
            path,
            read_tags(blank),
            [Level(of.width, of.height, its) for of, its in zip(grids, tiles, strict=True)],
        )


def _write_blank(
    path: Path, grid: Grid, names: Mapping[int, str] | None, tags: Mapping[str, str]
) -> None:
    """Write the upper left block of a map without pixels; the map has its tags."""
    with rasterio.open(
        path,
        "w",
        **PROFILE,
        width=BLOCK,
        height=BLOCK,
        crs=grid.crs,
        transform=grid.transform,
        photometric="MINISBLACK" if names is None else "PALETTE",
        bigtiff="YES",
        endianness="LITTLE",
    ) as blank:
        blank.write(np.full((BLOCK, BLOCK), NODATA, np.uint8), 1)
        blank.update_tags(**tags)
        if names is not None:
            blank.write_colormap(1, {code: colour(code) for code in names})
            blank.update_tags(1, **{f"class_{code}": name for code, name in names.items()})


def _tiles_of(
    pieces: Mapping[Path, Window], grid: Grid, factors: Sequence[int], nothing: bytes
) -> list[Tiles]:
    """Return the tiles of a map and of the overviews that its pieces have; nodata is left out."""
    found: list[Tiles] = [{} for _ in (1, *factors)]
    for piece, window in pieces.items():
        for tiles, factor, location in zip(
            found, (1, *factors), levels(piece, factors), strict=True
        ):
            row, column = window.row_off // factor, window.col_off // factor
            if row % BLOCK or column % BLOCK:
                raise ValueError(f"{window} does not begin on a block of the overview {factor}.")
            with rasterio.open(location) as dataset:
                _check_place(dataset, coarser(part_of(grid, window), factor))
                for (down, across), span in _spans(dataset, piece):
                    if span.size != len(nothing) or span.read() != nothing:
                        tiles[row // BLOCK + down, column // BLOCK + across] = span
    return found


def _check_place(dataset: DatasetReader, wanted: Grid) -> None:
    found = grid_of(dataset)
    off = np.abs(np.subtract(found.bounds, wanted.bounds)).max() / wanted.transform.a
    if off > ROUNDING or (found.width, found.height) != (wanted.width, wanted.height):
        raise RasterioIOError(f"{dataset.name} has changed: it covers another area than before")


def _spans(dataset: DatasetReader, path: Path) -> Iterator[tuple[Cell, Span]]:
    """Yield where the tiles of an open raster are in its file.

    Raises:
        RasterioIOError: if one is not there.
    """
    tiles = -(-dataset.height // BLOCK), -(-dataset.width // BLOCK)
    for row, column in np.ndindex(tiles):
        offset, size = (
            dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1)
            for what in ("OFFSET", "SIZE")
        )
        if offset is None:
            raise RasterioIOError(f"{dataset.name} lacks its block {column}, {row}")
        yield (row, column), Span(path, int(offset), int(size))


def _halve_tiles(
    tiles: Tiles, grid: Grid, smaller: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> Tiles:
    """Return the tiles of the overview that is half as large as a level.

    Args:
        tiles: of the level.
        grid: of the level.
        smaller: what halves pixels.
    """
    halved: Tiles = {}
    for row, column in {(row // 2, column // 2) for row, column in tiles}:
        four = np.full((2 * BLOCK, 2 * BLOCK), NODATA, np.uint8)
        for down, across in np.ndindex(2, 2):
            tile = tiles.get((2 * row + down, 2 * column + across))
            if tile is not None:
                four[down * BLOCK : (down + 1) * BLOCK, across * BLOCK : (across + 1) * BLOCK] = (
                    _pixels(tile)
                )
        # What a tile holds beyond the edge of its level is no part of the map.
        four[max(0, grid.height - 2 * BLOCK * row) :] = NODATA
        four[:, max(0, grid.width - 2 * BLOCK * column) :] = NODATA
        halved[row, column] = zlib.compress(smaller(four).tobytes(), PROFILE["zlevel"])
    return halved


def _pixels(tile: Span | bytes) -> NDArray[np.uint8]:
    content = tile if isinstance(tile, bytes) else tile.read()
    return np.frombuffer(zlib.decompress(content), np.uint8).reshape(BLOCK, BLOCK)
