"""The map: pieces assembled into one Cloud-Optimized GeoTIFF, tile by tile."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from landcover.grid import Grid, grid_of
from landcover.maps.layers import Integers, Layer
from landcover.maps.pieces import PROFILE, levels, overview_factors
from landcover.maps.tiff import (
    Cell,
    Level,
    Span,
    read_tags,
    write_tiff,
)
from landcover.windows import BLOCK

Tiles = dict[Cell, Span | bytes]

# The types whose rasters a GeoTIFF may give a palette.
WITH_PALETTE = {"uint8", "uint16"}

# Edges of a piece may be so many pixels off, because file headers round coordinates.
ROUNDING = 0.01


def write_cog(
    layer: Layer,
    pieces: Mapping[Path, Window],
    grid: Grid,
    factors: Sequence[int],
    tags: Mapping[str, str],
    path: Path,
) -> None:
    """Assemble pieces into a map: one band, DEFLATE, with overviews down to one block.

    The pieces' tiles are copied as they are. A legend is in the file: as its palette, where the
    type may have one, and as a tag `class_<code>` of the band for each name. Pixels that no piece
    covers are nodata.

    Args:
        layer: what the pieces hold.
        pieces: each piece's file (see `write_piece`) and the window of the grid that it covers.
        grid: the mosaic's grid, which the map has too.
        factors: of the overviews that the pieces have; the coarser ones are made here.
        tags: what else the file should say of itself.
        path: the file to write.

    Raises:
        RasterioIOError: if a piece cannot be read, or is not what was written.
        OSError: if there is no room for the map.
    """
    with TemporaryDirectory(dir=path.parent) as folder:
        blank = Path(folder) / path.name
        _write_blank(blank, layer, grid, tags)
        # What a tile without data is when it is compressed: such tiles are left out.
        with rasterio.open(blank) as dataset:
            ((_, only),) = _spans(dataset, blank)
        nothing = only.read()
        tiles = _tiles_of(pieces, grid, factors, nothing)
        for factor in overview_factors(grid)[len(factors) :]:
            tiles.append(_halve_tiles(layer, tiles[-1], grid.coarser(factor // 2)))
        grids = [grid, *(grid.coarser(factor) for factor in overview_factors(grid))]
        write_tiff(
            path,
            read_tags(blank),
            [Level(of.width, of.height, its) for of, its in zip(grids, tiles, strict=True)],
        )


def _write_blank(path: Path, layer: Layer, grid: Grid, tags: Mapping[str, str]) -> None:
    """Write the upper left block of a map without pixels; the map has its tags."""
    legend = layer.legend
    palette = legend is not None and layer.dtype in WITH_PALETTE
    with rasterio.open(
        path,
        "w",
        **PROFILE,
        dtype=layer.dtype,
        nodata=layer.nodata,
        width=BLOCK,
        height=BLOCK,
        crs=grid.crs,
        transform=grid.transform,
        photometric="PALETTE" if palette else "MINISBLACK",
        bigtiff="YES",
    ) as blank:
        blank.write(layer.empty(BLOCK, BLOCK), 1)
        blank.update_tags(**tags)
        if legend is not None and palette:
            blank.write_colormap(1, dict(legend.colours))
        blank.update_tags(1, **{f"class_{code}": name for code, name in layer.names.items()})


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
                _check_place(dataset, grid.part(window).coarser(factor))
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


def _halve_tiles(layer: Layer, tiles: Tiles, grid: Grid) -> Tiles:
    """Return the tiles of the overview that is half as large as a level.

    Args:
        layer: of the map.
        tiles: of the level.
        grid: of the level.
    """
    halved: Tiles = {}
    for row, column in {(row // 2, column // 2) for row, column in tiles}:
        four = layer.empty(2 * BLOCK, 2 * BLOCK)
        for down, across in np.ndindex(2, 2):
            tile = tiles.get((2 * row + down, 2 * column + across))
            if tile is not None:
                four[down * BLOCK : (down + 1) * BLOCK, across * BLOCK : (across + 1) * BLOCK] = (
                    _pixels(tile, layer.dtype)
                )
        # What a tile holds beyond the edge of its level is not part of the map.
        four[max(0, grid.height - 2 * BLOCK * row) :] = layer.nodata
        four[:, max(0, grid.width - 2 * BLOCK * column) :] = layer.nodata
        halved[row, column] = zlib.compress(
            layer.halve(four).astype(_little(layer.dtype)).tobytes(), PROFILE["zlevel"]
        )
    return halved


def _pixels(tile: Span | bytes, dtype: str) -> Integers:
    content = tile if isinstance(tile, bytes) else tile.read()
    return np.frombuffer(zlib.decompress(content), _little(dtype)).reshape(BLOCK, BLOCK)


def _little(dtype: str) -> np.dtype[Any]:
    """Return a type as it is in the files, with the lowest byte first."""
    return np.dtype(dtype).newbyteorder("<")
