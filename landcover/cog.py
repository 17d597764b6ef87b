"""The map: pieces assembled into one Cloud-Optimized GeoTIFF."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray

# The public names do not cover what copying a raster raises.
from rasterio._err import CPLE_BaseError
from rasterio.windows import Window

from landcover.classes import NODATA, colour
from landcover.kernels import count_codes
from landcover.pyramid import coarser, levels, part_of
from landcover.tile_index import Grid, check_tiles, grid_of, write_tile_index
from landcover.windows import BLOCK, split, whole

# DEFLATE's level. On classified maps 6 takes four times as long as 1 for files a fifth smaller.
COMPRESSION = 1


def write_cog(
    pieces: Mapping[Path, Window],
    grid: Grid,
    factors: list[int],
    names: Mapping[int, str] | None,
    tags: Mapping[str, str],
    path: Path,
) -> None:
    """Assemble pieces into a map: uint8, DEFLATE, nodata 255, with the pieces' overviews.

    Class names and colours are in the file: its palette, and a tag `class_<code>` of the band for
    each name. Pixels that no piece covers are nodata. Takes a few blocks of memory, whatever the
    map's size.

    Args:
        pieces: each piece's file (see `landcover.pyramid.write_piece`) and the window of the grid
            that it covers.
        grid: the mosaic's grid, which the map has too.
        factors: of the overviews, which the pieces have.
        names: the name of each class code; None for a map of numbers, such as confidence.
        tags: what else the file should say of itself.
        path: the file to write.

    Raises:
        RasterioIOError: if a piece cannot be read.
        OSError: if there is no room for the map.
    """
    with TemporaryDirectory(dir=path.parent) as folder, _telling_of_room(list(pieces), path):
        indexes = _index_levels(pieces, grid, factors, Path(folder))
        description = Path(folder) / "map.gti"
        ElementTree.ElementTree(_describe(indexes, names, tags)).write(description)
        rasterio.shutil.copy(
            description,
            path,
            driver="COG",
            compress="DEFLATE",
            level=COMPRESSION,
            blocksize=BLOCK,
            overviews="FORCE_USE_EXISTING",
            sparse_ok=True,
            bigtiff="IF_SAFER",
            num_threads="ALL_CPUS",
        )


@contextmanager
def _telling_of_room(pieces: Sequence[Path], path: Path) -> Iterator[None]:
    """Raise the operating system's error where there was no room for a map.

    GDAL does not say why it could not write, and removes what it has written.
    """
    try:
        yield
    except (OSError, CPLE_BaseError) as error:
        # A map takes about as much as its pieces.
        wanted = 2 * sum(piece.stat().st_size for piece in pieces if piece.exists())
        if shutil.disk_usage(path.parent).free < wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise


def count_map(path: str) -> NDArray[np.int64]:
    """Count the pixels of each of the 256 codes of a finished map, all of it.

    Args:
        path: what GDAL opens.
    """
    counts = np.zeros(NODATA + 1, dtype=np.int64)
    with rasterio.open(path) as dataset:
        for strip in split(whole(grid_of(dataset)), BLOCK):
            counts += count_codes(dataset.read(1, window=strip))
    return counts


def _index_levels(
    pieces: Mapping[Path, Window], grid: Grid, factors: list[int], folder: Path
) -> list[Path]:
    """Write a tile index of each level of the pieces."""
    parts = [part_of(grid, window) for window in pieces.values()]
    locations = zip(*(levels(piece, factors) for piece in pieces), strict=True)
    indexes = []
    for factor, places in zip([1, *factors], locations, strict=True):
        index = folder / f"{factor}.gti.gpkg"
        whole = coarser(grid, factor)
        write_tile_index(list(places), [coarser(part, factor) for part in parts], whole, index)
        check_tiles(index, whole.bounds, whole.transform)
        indexes.append(index)
    return indexes


def _describe(
    indexes: list[Path], names: Mapping[int, str] | None, tags: Mapping[str, str]
) -> ElementTree.Element:
    """Describe the assembled map and its overviews in the XML of GDAL's GTI driver."""
    root = ElementTree.Element("GDALTileIndexDataset")
    ElementTree.SubElement(root, "IndexDataset").text = str(indexes[0].absolute())
    ElementTree.SubElement(root, "LocationField").text = "location"
    for index in indexes[1:]:
        overview = ElementTree.SubElement(root, "Overview")
        ElementTree.SubElement(overview, "Dataset").text = str(index.absolute())
    _add_tags(root, tags)
    ElementTree.SubElement(root, "BandCount").text = "1"
    band = ElementTree.SubElement(root, "Band", band="1", dataType="Byte")
    ElementTree.SubElement(band, "NoDataValue").text = str(NODATA)
    if names is None:
        ElementTree.SubElement(band, "ColorInterp").text = "Gray"
        return root
    ElementTree.SubElement(band, "ColorInterp").text = "Palette"
    _add_palette(band, names)
    _add_tags(band, {f"class_{code}": name for code, name in sorted(names.items())})
    return root


def _add_palette(band: ElementTree.Element, names: Mapping[int, str]) -> None:
    table = ElementTree.SubElement(band, "ColorTable")
    for code in range(NODATA + 1):
        red, green, blue = colour(code) if code in names else (0, 0, 0)
        ElementTree.SubElement(
            table,
            "Entry",
            c1=str(red),
            c2=str(green),
            c3=str(blue),
            c4="255" if code in names else "0",
        )


def _add_tags(element: ElementTree.Element, tags: Mapping[str, str]) -> None:
    metadata = ElementTree.SubElement(element, "Metadata")
    for key, value in tags.items():
        ElementTree.SubElement(metadata, "MDI", key=key).text = value
