"""The map: pieces assembled into one Cloud-Optimized GeoTIFF, tile by tile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from landcover.grid import Grid, grid_of
from landcover.maps.layers import Integers, Layer
from landcover.maps.pieces import overview_factors
from landcover.maps.tiff import Cell, Span, read_places, write_tiff
from landcover.maps.tiles import compress, decompress, with_overviews
from landcover.windows import BLOCK

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

    The pieces' tiles are copied as they are. Pixels that no piece covers are nodata.

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
    has_totals = layer.has_totals and bool(factors)
    found = _tiles_of(pieces, grid, [1, *factors, *factors[-1:]] if has_totals else [1, *factors])
    made: list[dict[Cell, bytes]] = [{} for _ in overview_factors(grid)[len(factors) :]]
    if made:
        finest = _Finest(layer.totals if has_totals else layer, found[-1])
        _halve_tiles(layer, finest, made, (0, 0))
    write_tiff(path, with_overviews(layer, [*found[: len(factors) + 1], *made], grid, tags))


def _tiles_of(
    pieces: Mapping[Path, Window], grid: Grid, factors: Sequence[int]
) -> list[dict[Cell, Span]]:
    """Return the tiles of a map, and of all else that its pieces have; nodata is left out.

    Args:
        pieces: each piece's file and window.
        grid: the map's.
        factors: by how much each raster of a piece is coarser than the map.
    """
    found: list[dict[Cell, Span]] = [{} for _ in factors]
    for piece, window in pieces.items():
        with rasterio.open(piece) as dataset:
            _check_place(dataset, grid.part(window))
        for tiles, factor, places in zip(found, factors, read_places(piece), strict=True):
            row, column = window.row_off // factor, window.col_off // factor
            if row % BLOCK or column % BLOCK:
                raise ValueError(f"{window} does not begin on a block of the overview {factor}.")
            for (down, across), span in places.items():
                tiles[row // BLOCK + down, column // BLOCK + across] = span
    return found


def _check_place(dataset: DatasetReader, wanted: Grid) -> None:
    found = grid_of(dataset)
    off = np.abs(np.subtract(found.bounds, wanted.bounds)).max() / wanted.transform.a
    if off > ROUNDING or (found.width, found.height) != (wanted.width, wanted.height):
        raise RasterioIOError(f"{dataset.name} has changed: it covers another area than before")


@dataclass(frozen=True)
class _Finest:
    """What overviews are made of: the coarsest that the pieces have."""

    layer: Layer
    """What its values are."""
    tiles: Mapping[Cell, Span]
    """Those that hold data."""

    def read(self, cell: Cell) -> Integers | None:
        """Return what `Layer.halve` takes of a tile; None if there is no data."""
        tile = self.tiles.get(cell)
        return None if tile is None else decompress(tile.read(), self.layer)


def _halve_tiles(
    layer: Layer, finest: _Finest, coarser: Sequence[dict[Cell, bytes]], cell: Cell
) -> Integers | None:
    """Make a tile of the coarsest overview, and all tiles beneath it.

    One after the other, so that only four tiles of each level are in memory.

    Args:
        layer: the map's.
        finest: what the first of them is made of.
        coarser: the tiles of each overview, from fine to coarse.
        cell: which tile of the last one.

    Returns:
        What `Layer.halve` takes of the tile; None if there is no data.
    """
    if not coarser:
        return finest.read(cell)
    four = [
        [
            _halve_tiles(layer, finest, coarser[:-1], (2 * cell[0] + down, 2 * cell[1] + across))
            for across in range(2)
        ]
        for down in range(2)
    ]
    if all(tile is None for pair in four for tile in pair):
        return None
    nothing = layer.empty(BLOCK, BLOCK)
    halves = [[layer.halve(nothing if tile is None else tile) for tile in pair] for pair in four]
    made_of = np.concatenate([np.concatenate(pair, axis=-1) for pair in halves], axis=-2)
    coarser[-1][cell] = compress(layer.shown(made_of), layer)
    return made_of
