"""Pieces: the small rasters of windows, with overviews, compressed as the whole map will be.

All of that is done window by window and side by side, so that a map is assembled by copying.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from upath import UPath

from landcover.grid import Grid
from landcover.imagery.doubts import Doubts
from landcover.imagery.images import gdal_path
from landcover.maps.layers import Integers, Layer
from landcover.maps.measure import Counts, count_map, measure_classes, measure_codes
from landcover.maps.tiff import write_tiff
from landcover.maps.tiles import compress_tiles, with_overviews
from landcover.windows import BLOCK

# The tags of a piece that keep doubts about the imagery, and how many pixels have each class code.
DOUBTS, PIXELS = "DOUBTS", "PIXELS"


@dataclass(frozen=True)
class Plan:
    """What is to be predicted, and where the work is kept.

    A window that begins at column 4096 and row 0 of the map has its classes in
    `piece_4096_0.tif` and its confidence in `confidence_4096_0.tif`.
    """

    folder: UPath
    """Holds the pieces; named after all that they depend on, so that a run that was cut short is
    taken up only by one that would make the same pieces."""
    grid: Grid
    """The mosaic's, which the map has too."""
    windows: tuple[Window, ...]
    """The parts of the mosaic that touch the area of interest."""
    factors: tuple[int, ...]
    """By how much each overview of a piece is coarser."""
    layers: tuple[Layer, ...]
    """What the map is made of: the classes first."""
    thumbnails: int | None
    """How many rows and columns one of a thumbnail stands for; None where none is made."""
    code: str
    """The version of what makes the pieces, of which all are to be made."""

    @property
    def classes(self) -> Layer:
        """The layer of class codes."""
        return self.layers[0]

    def piece(self, layer: Layer, window: Window) -> UPath:
        """The file of a layer of a window."""
        return self._file(layer.key, window)

    def pieces(self, window: Window) -> dict[str, UPath]:
        """The files of all layers of a window, by the layer's key; the classes last."""
        return {layer.key: self.piece(layer, window) for layer in reversed(self.layers)}

    def sieved(self, window: Window, smallest: int) -> dict[str, UPath]:
        """The files of all layers of a window without patches of fewer pixels; the classes last."""
        others = {
            layer.key: self._file(f"sieved{smallest}{layer.key}", window)
            for layer in reversed(self.layers[1:])
        }
        return {**others, self.classes.key: self._file(f"sieved{smallest}", window)}

    def thumbnail(self, window: Window) -> UPath:
        """The file of a window's thumbnail."""
        return self._file("thumbnail", window)

    def _file(self, key: str, window: Window) -> UPath:
        return self.folder / f"{key}_{window.col_off}_{window.row_off}.tif"


@dataclass(frozen=True)
class Piece:
    """The finished part of a map that a window is."""

    window: Window
    """Which pixels of the map it covers."""
    files: Mapping[str, UPath]
    """Its GeoTIFFs, by the layer's key."""
    hectares: Mapping[int, float]
    """The true area of each class code."""
    pixels: Counts
    """How many have each class code."""
    sieved: int = 0
    """How many of them took the class of what surrounds them, for which no confidence is known."""
    doubts: Doubts = field(default_factory=Doubts)
    """What is doubtful about the imagery that it was made from."""

    @property
    def tags(self) -> dict[str, str]:
        """What its files keep for a run that takes it up."""
        return {DOUBTS: self.doubts.to_json(), PIXELS: json.dumps(self.pixels)}


def overview_factors(grid: Grid) -> list[int]:
    """Return by how much each overview of a map is coarser: 2, 4, ... until it fits one block.

    >>> from affine import Affine
    >>> overview_factors(Grid("EPSG:3857", Affine.identity(), width=4096, height=1000))
    [2, 4, 8]

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


def write_piece(
    layer: Layer,
    values: Integers,
    grid: Grid,
    factors: Sequence[int],
    path: Path,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a layer of a window, and its overviews.

    Where coarser overviews are not made of the last one's values, what they are made of follows.

    Args:
        layer: what the values are.
        values: of the layer's type, (rows, columns) or (bands, rows, columns).
        grid: the window's.
        factors: of the overviews.
        path: the GeoTIFF to write.
        tags: what else the file is to keep.

    Raises:
        OSError: if there is no room for it.
    """
    halved, tiles = values, [compress_tiles(values, layer)]
    for _ in factors:
        halved = layer.halve(halved)
        tiles.append(compress_tiles(layer.shown(halved), layer))
    rasters = with_overviews(layer, tiles, grid, tags or {})
    if layer.has_totals and factors:
        coarsest = grid.coarser(factors[-1])
        sums = compress_tiles(halved, layer.totals)
        rasters += with_overviews(layer.totals, [sums], coarsest, {})
    write_tiff(path, rasters)


def measure_piece(
    window: Window,
    files: Mapping[str, UPath],
    codes: NDArray[np.uint8],
    grid: Grid,
    doubts: Doubts,
    sieved: int = 0,
) -> Piece:
    """Return the piece that is to be written.

    Args:
        window: which pixels of the map.
        files: by the layer's key.
        codes: its class codes, (rows, columns).
        grid: the window's.
        doubts: about the imagery.
        sieved: how many pixels took the class of what surrounds them.
    """
    pixels, hectares = measure_codes(codes, grid)
    return Piece(window, files, hectares, pixels, sieved, doubts)


def read_again(window: Window, files: Mapping[str, UPath], classes: str, sieved: int = 0) -> Piece:
    """Return a piece that was written, by reading its classes.

    Args:
        window: which pixels of the map.
        files: by the layer's key.
        classes: what GDAL opens to read the class codes.
        sieved: how many pixels took the class of what surrounds them.

    Raises:
        RasterioIOError: if they cannot be read, or are not what was written.
    """
    pixels, hectares = measure_classes(classes)
    kept = _read_tags(classes)
    written = json.loads(kept.get(PIXELS, "{}"))
    if pixels != Counter({int(code): count for code, count in written.items()}):
        raise RasterioIOError(f"{classes} does not hold what was written")
    return Piece(window, files, hectares, pixels, sieved, _doubts_in(kept))


def read_doubts(classes: str) -> Doubts:
    """Return what the file of a piece's classes keeps of doubts about the imagery.

    Args:
        classes: what GDAL opens to read the class codes.

    Raises:
        RasterioIOError: if it cannot be opened.
    """
    return _doubts_in(_read_tags(classes))


def _read_tags(classes: str) -> Mapping[str, str]:
    with rasterio.open(classes) as dataset:
        tags: dict[str, str] = dataset.tags()
    return tags


def _doubts_in(tags: Mapping[str, str]) -> Doubts:
    kept = tags.get(DOUBTS)
    return Doubts.from_json(kept) if kept else Doubts()


def read_finished(plan: Plan, window: Window) -> Piece:
    """Return the piece that an earlier run has finished.

    Args:
        plan: where it is.
        window: which pixels of the map.

    Raises:
        RasterioIOError: if one of its files is not whole.
    """
    files = plan.pieces(window)
    for layer in plan.layers[1:]:
        count_map(gdal_path(files[layer.key]), layer.nodata)
    if plan.thumbnails:
        with rasterio.open(gdal_path(plan.thumbnail(window))) as thumbnail:
            thumbnail.read()
    return read_again(window, files, gdal_path(files[plan.classes.key]))


def read_sieved(plan: Plan, window: Window, smallest: int) -> Piece:
    """Return the piece that an earlier run has sieved.

    Args:
        plan: where it is.
        window: which pixels of the map.
        smallest: pixels of the smallest patch that was kept.

    Raises:
        RasterioIOError: if one of its files is not whole.
    """
    files = plan.sieved(window, smallest)
    for layer in plan.layers[1:]:
        count_map(gdal_path(files[layer.key]), layer.nodata)
    classes = files[plan.classes.key]
    taken = read_piece(classes) != read_piece(plan.piece(plan.classes, window))
    return read_again(window, files, gdal_path(classes), int(taken.sum()))


def read_piece(path: UPath) -> Integers:
    """Return the values of a piece, (rows, columns).

    Args:
        path: of one of its layers.

    Raises:
        RasterioIOError: if it cannot be read.
    """
    with rasterio.open(gdal_path(path)) as dataset:
        values: Integers = dataset.read(1)
    return values
