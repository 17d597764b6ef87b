"""The map: pieces assembled into one Cloud-Optimized GeoTIFF."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import rasterio
import rasterio.shutil
from rasterio.windows import Window, transform

from landcover.classes import NODATA, colour
from landcover.tile_index import Grid, write_tile_index
from landcover.windows import BLOCK


def write_cog(
    pieces: Mapping[Path, Window],
    grid: Grid,
    names: Mapping[int, str],
    tags: Mapping[str, str],
    path: Path,
) -> None:
    """Assemble pieces into a map: uint8, DEFLATE, nodata 255, overviews by mode.

    Class names and colours are in the file: its palette, and a tag `class_<code>` of the band for
    each name. Pixels that no piece covers are nodata.

    Args:
        pieces: each piece's file and the window of the grid that it covers.
        grid: the mosaic's grid, which the map has too.
        names: the name of each class code.
        tags: what else the file should say of itself.
        path: the file to write.
    """
    index = path.with_suffix(".gti.gpkg")
    write_tile_index(
        [str(piece) for piece in pieces],
        [_part(grid, window) for window in pieces.values()],
        grid,
        index,
    )
    description = path.with_suffix(".gti")
    ElementTree.ElementTree(_describe(index, names, tags)).write(description)
    rasterio.shutil.copy(
        description,
        path,
        driver="COG",
        compress="DEFLATE",
        blocksize=BLOCK,
        overview_resampling="MODE",
        sparse_ok=True,
        bigtiff="IF_SAFER",
        num_threads="ALL_CPUS",
    )
    index.unlink()
    description.unlink()


def _part(grid: Grid, window: Window) -> Grid:
    return Grid(grid.crs, transform(window, grid.transform), window.width, window.height)


def _describe(
    index: Path, names: Mapping[int, str], tags: Mapping[str, str]
) -> ElementTree.Element:
    """Describe the assembled map in the XML of GDAL's GTI driver."""
    root = ElementTree.Element("GDALTileIndexDataset")
    ElementTree.SubElement(root, "IndexDataset").text = str(index.absolute())
    ElementTree.SubElement(root, "LocationField").text = "location"
    _add_tags(root, tags)
    ElementTree.SubElement(root, "BandCount").text = "1"
    band = ElementTree.SubElement(root, "Band", band="1", dataType="Byte")
    ElementTree.SubElement(band, "NoDataValue").text = str(NODATA)
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
