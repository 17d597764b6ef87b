"""What the GeoTIFF of a layer is made of: tiles, which are compressed here, and GDAL's tags.

ISA-L compresses a tile in a fifth of the time that GDAL takes or less. It is DEFLATE as well, and
larger: classes by a twelfth, `alerts` and `last_seen` by a fifth.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from isal import isal_zlib
from rasterio.io import MemoryFile
from rasterio.windows import Window

from landcover.grid import Grid
from landcover.maps.layers import Integers, Layer
from landcover.maps.tiff import Cell, Raster, Span, Tag, overview_tags, read_tags
from landcover.windows import BLOCK, split

# Of every map and piece.
PROFILE: dict[str, Any] = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": BLOCK,
    "blockysize": BLOCK,
    "compress": "deflate",
    "endianness": "LITTLE",
}

# Of ISA-L: higher ones take longer and save nothing.
LEVEL = 1

# The types whose rasters a GeoTIFF may give a palette.
WITH_PALETTE = {"uint8", "uint16"}


def compress_tiles(values: Integers, layer: Layer) -> dict[Cell, bytes]:
    """Return the tiles of a raster; those without data are left out.

    Args:
        values: (rows, columns) or (bands, rows, columns).
        layer: what they are.
    """
    nothing = compress(layer.empty(BLOCK, BLOCK), layer)
    tiles = {
        (window.row_off // BLOCK, window.col_off // BLOCK): compress(
            values[..., *window.toslices()], layer
        )
        for window in split(Window(0, 0, *values.shape[:-3:-1]), BLOCK, BLOCK)
    }
    return {cell: tile for cell, tile in tiles.items() if tile != nothing}


def compress(values: Integers, layer: Layer) -> bytes:
    """Return a tile as it is in a file.

    Args:
        values: (rows, columns) or (bands, rows, columns); fewer of them at the edge of a raster.
        layer: what they are.
    """
    bands = values.reshape(-1, *values.shape[-2:])
    count, height, width = bands.shape
    # All bands of a pixel are together, with the lowest byte first.
    tile = np.full((BLOCK, BLOCK, count), layer.nodata, _little(layer))
    # Not all at once, which takes five times as long.
    for number, band in enumerate(bands):
        tile[:height, :width, number] = band
    compressed: bytes = isal_zlib.compress(tile, LEVEL)
    return compressed


def decompress(tile: bytes, layer: Layer) -> Integers:
    """Return the values of a tile, nodata beyond the edge of its raster.

    Args:
        tile: as it is in a file.
        layer: what the values are.

    Returns:
        (rows, columns), or (bands, rows, columns) where the layer has several.
    """
    # Not by ISA-L, which fails on some ARM processors: https://github.com/intel/isa-l/issues/316
    values = np.frombuffer(zlib.decompress(tile), _little(layer)).reshape(BLOCK, BLOCK, -1)
    bands = np.moveaxis(values, -1, 0).astype(layer.dtype, order="C")
    return bands if layer.bands else bands[0]


def _little(layer: Layer) -> np.dtype[Any]:
    """Return the type of a layer as it is in the files, with the lowest byte first."""
    return np.dtype(layer.dtype).newbyteorder("<")


def with_overviews(
    layer: Layer, tiles: Sequence[Mapping[Cell, Span | bytes]], grid: Grid, tags: Mapping[str, str]
) -> list[Raster]:
    """Return the rasters of the file of a layer.

    A legend is in the file: as its palette, where the type may have one, and as a tag
    `class_<code>` of the band for each name.

    Args:
        layer: what the file holds.
        tiles: of the layer, and of each overview from fine to coarse.
        grid: of the layer's pixels.
        tags: what else the file should say of itself.
    """
    of_file = _file_tags(layer, grid, tags)
    grids = [grid.coarser(2**number) for number in range(len(tiles))]
    return [
        Raster(of.width, of.height, its, overview_tags(of_file) if number else of_file)
        for number, (of, its) in enumerate(zip(grids, tiles, strict=True))
    ]


def _file_tags(layer: Layer, grid: Grid, tags: Mapping[str, str]) -> dict[int, Tag]:
    """Return what GDAL writes of a layer beside its pixels."""
    legend = layer.legend
    palette = legend is not None and layer.dtype in WITH_PALETTE
    with MemoryFile() as file:
        with file.open(
            **PROFILE,
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
            sparse_ok=True,
        ) as blank:
            blank.update_tags(**tags)
            if legend is not None and palette:
                blank.write_colormap(1, dict(legend.colours))
            blank.update_tags(1, **{f"class_{code}": name for code, name in layer.names.items()})
            for number, name in enumerate(layer.bands, start=1):
                blank.set_band_description(number, name)
        (found,) = read_tags(file.read())
    return found
