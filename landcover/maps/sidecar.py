"""The names of a map's classes for QGIS, in the file beside the map where GDAL looks for them.

A GeoTIFF has no place of its own for them: GDAL keeps them in the "persistent auxiliary metadata"
of `<map>.tif.aux.xml`.
"""

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from landcover.classes import Legend

SUFFIX = ".aux.xml"

# Name, type and usage of each column, the latter two as GDAL numbers them in gdal.h
# (GDALRATFieldType, GDALRATFieldUsage).
_INTEGER, _TEXT = 0, 2
_COLUMNS = (
    ("Value", _INTEGER, 5),
    ("Class", _TEXT, 2),
    ("Red", _INTEGER, 6),
    ("Green", _INTEGER, 7),
    ("Blue", _INTEGER, 8),
)


def sidecar_text(legend: Legend) -> str:
    """Return the names of a map's classes as GDAL keeps them beside a file, to be written in UTF-8.

    They are given twice: as category names, which QGIS labels the palette's 256 colours by, and as
    a raster attribute table, from which later versions of QGIS make a legend of just the classes
    (`QgsGdalProviderBase::colorTable` and `QgsRasterRendererRegistry` in its source).

    Args:
        legend: of at least one code.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    _add_categories(band, legend.names)
    _add_table(band, legend)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _add_categories(band: ElementTree.Element, names: Mapping[int, str]) -> None:
    categories = ElementTree.SubElement(band, "CategoryNames")
    # A category's code is its place in the list, so codes without a class have empty names.
    for code in range(max(names) + 1):
        ElementTree.SubElement(categories, "Category").text = names.get(code)


def _add_table(band: ElementTree.Element, legend: Legend) -> None:
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, column in enumerate(_COLUMNS):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        _add_texts(field, ("Name", "Type", "Usage"), column)
    for index, (code, name) in enumerate(sorted(legend.names.items())):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        _add_texts(row, ["F"] * len(_COLUMNS), (code, name, *legend.colours[code]))


def _add_texts(element: ElementTree.Element, tags: Iterable[str], texts: Iterable[object]) -> None:
    for tag, text in zip(tags, texts, strict=True):
        ElementTree.SubElement(element, tag).text = str(text)
