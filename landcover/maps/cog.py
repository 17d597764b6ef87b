"""The map: pieces assembled into one Cloud-Optimized GeoTIFF, tile by tile."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from pyarrow import Codec
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from landcover.grid import Grid, grid_of
from landcover.maps.layers import Integers, Layer
from landcover.maps.pieces import LEVEL, levels, overview_factors, profile_of, totals_of
from landcover.maps.tiff import (
    Cell,
    Level,
    Span,
    read_tags,
    write_tiff,
)
from landcover.windows import BLOCK

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
    """Assemble pieces into a map, with overviews down to one block.

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
        copied = _tiles_of(pieces, grid, factors, nothing)
        made: list[dict[Cell, bytes]] = [{} for _ in overview_factors(grid)[len(factors) :]]
        if made:
            _halve_tiles(_Finest(layer, pieces, grid, factors, copied[-1]), made, (0, 0))
        tiles: list[Mapping[Cell, Span | bytes]] = [*copied, *made]
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
        **profile_of(layer),
        count=len(layer.bands) or 1,
        interleave="pixel",
        dtype=layer.dtype,
        nodata=layer.nodata,
        width=BLOCK,
        height=BLOCK,
        crs=grid.crs,
        transform=grid.transform,
        photometric="PALETTE" if palette else "MINISBLACK",
        bigtiff="YES",
    ) as blank:
        blank.write(layer.empty(BLOCK, BLOCK).reshape(-1, BLOCK, BLOCK))
        blank.update_tags(**tags)
        if legend is not None and palette:
            blank.write_colormap(1, dict(legend.colours))
        blank.update_tags(1, **{f"class_{code}": name for code, name in layer.names.items()})
        for number, name in enumerate(layer.bands, start=1):
            blank.set_band_description(number, name)


def _tiles_of(
    pieces: Mapping[Path, Window], grid: Grid, factors: Sequence[int], nothing: bytes
) -> list[dict[Cell, Span]]:
    """Return the tiles of a map and of the overviews that its pieces have; nodata is left out."""
    found: list[dict[Cell, Span]] = [{} for _ in (1, *factors)]
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


@dataclass(frozen=True)
class _Finest:
    """The level of a map that overviews are made of: the coarsest that its pieces have."""

    layer: Layer
    pieces: Mapping[Path, Window]
    grid: Grid
    """The map's."""
    factors: Sequence[int]
    """Of the overviews that the pieces have."""
    tiles: Mapping[Cell, Span]
    """Of the level, where they are in the pieces."""

    def read(self, cell: Cell) -> Integers | None:
        """Return what `Layer.halve` takes of a tile, nodata beyond the edges; None without data."""
        tile = self.tiles.get(cell)
        if tile is None:
            return None
        level = self.grid.coarser(self.factors[-1] if self.factors else 1)
        height, width = (
            min(BLOCK, side - BLOCK * place)
            for side, place in zip((level.height, level.width), cell, strict=True)
        )
        if self.layer.has_totals and self.factors:
            return self._read_totals(tile, cell, height, width)
        values = _pixels(tile, self.layer)
        # What a tile holds beyond the edge of its level is not part of the map.
        values[..., height:, :] = self.layer.nodata
        values[..., width:] = self.layer.nodata
        return values

    def _read_totals(self, tile: Span, cell: Cell, height: int, width: int) -> Integers:
        window, factor = self.pieces[tile.path], self.factors[-1]
        row, column = BLOCK * cell[0], BLOCK * cell[1]
        inside = Window(
            column - window.col_off // factor, row - window.row_off // factor, width, height
        )
        totals = np.zeros((2, BLOCK, BLOCK), self.layer.totals)
        with rasterio.open(totals_of(tile.path, self.factors)) as dataset:
            totals[:, :height, :width] = dataset.read(window=inside)
        return totals


def _halve_tiles(
    finest: _Finest, coarser: Sequence[dict[Cell, bytes]], cell: Cell
) -> Integers | None:
    """Make a tile of the coarsest overview, and all tiles beneath it.

    One after the other, so that only four tiles of each level are in memory.

    Args:
        finest: what the first of them is made of.
        coarser: the tiles of each overview, from fine to coarse.
        cell: which tile of the last one.

    Returns:
        What `Layer.halve` takes of the tile; None if there is no data.
    """
    if not coarser:
        return finest.read(cell)
    layer = finest.layer
    four = [
        [
            _halve_tiles(finest, coarser[:-1], (2 * cell[0] + down, 2 * cell[1] + across))
            for across in range(2)
        ]
        for down in range(2)
    ]
    if all(tile is None for pair in four for tile in pair):
        return None
    nothing = layer.empty(BLOCK, BLOCK)
    halves = [[layer.halve(nothing if tile is None else tile) for tile in pair] for pair in four]
    made_of = np.concatenate([np.concatenate(pair, axis=-1) for pair in halves], axis=-2)
    coarser[-1][cell] = _compressed(layer.shown(made_of), layer)
    return made_of


def _compressed(values: Integers, layer: Layer) -> bytes:
    """Return a tile, of whose bands each pixel's values are together."""
    bands = values.astype(_little(layer.dtype), copy=False).reshape(-1, BLOCK, BLOCK)
    content = np.moveaxis(bands, 0, -1).tobytes()
    if layer.compression == "zstd":
        compressed: bytes = Codec("zstd", LEVEL).compress(content, asbytes=True)
        return compressed
    return zlib.compress(content, LEVEL)


def _pixels(tile: Span, layer: Layer) -> Integers:
    """Return the values of a tile, of the layer's type and bands."""
    dtype, content = _little(layer.dtype), tile.read()
    if layer.compression == "zstd":
        size = BLOCK * BLOCK * (len(layer.bands) or 1) * dtype.itemsize
        content = Codec("zstd").decompress(content, size, asbytes=True)
    else:
        content = zlib.decompress(content)
    values = np.frombuffer(content, dtype)
    bands = np.moveaxis(values.reshape(BLOCK, BLOCK, -1), -1, 0).astype(layer.dtype, order="C")
    return bands if layer.bands else bands[0]


def _little(dtype: str) -> np.dtype[Any]:
    """Return a type as it is in the files, with the lowest byte first."""
    return np.dtype(dtype).newbyteorder("<")
