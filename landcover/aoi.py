"""The area of interest."""

import re

import geopandas
import shapely
from pyproj.exceptions import CRSError

from landcover.errors import SettingsError
from landcover.geometry import LONLAT_SRID, fold, union
from landcover.vectors import (
    VectorFile,
    are_finite,
    check_crs,
    describe_kinds,
    has_area,
    read_features,
    vector_file,
)


def load_aoi(definition: str) -> geopandas.GeoSeries:
    """Read the area of interest.

    Args:
        definition: WKT in longitude and latitude, EWKT (`SRID=3857;POLYGON(...)`), or the path of a
            vector file in any CRS, with the layer's name where it has several layers of polygons
            (`areas.gpkg|layername=parishes`).

    Returns:
        One geometry, a valid polygon or multipolygon, with its CRS; in degrees it is cut at the
        antimeridian where it reaches over it.

    Raises:
        SettingsError: if the definition is not an area.
    """
    text = definition.strip()
    outlines = _from_wkt(text) if _looks_like_wkt(text) else _from_file(vector_file(text))
    if not are_finite(outlines).all():
        raise SettingsError(
            f"The area of interest {_short(text)} has coordinates that are not numbers: mend it, "
            "or draw it again."
        )
    try:
        area = union(list(outlines.make_valid()))
    except shapely.errors.GEOSException as error:
        raise SettingsError(
            f"The area of interest {_short(text)} cannot be made one valid area ({error}): mend "
            "it, such as with QGIS (Fix Geometries)."
        ) from error
    if area.is_empty:
        raise SettingsError(
            f"The area of interest {_short(text)} holds no polygon{_what_else(outlines)}: "
            "AOI_DEFINITION should be a polygon or multipolygon."
        )
    return geopandas.GeoSeries(
        [fold(area) if outlines.crs.is_geographic else area], crs=outlines.crs
    )


def _what_else(outlines: geopandas.GeoSeries) -> str:
    there = outlines[~(outlines.isna() | outlines.is_empty)]
    kinds = describe_kinds(list(there.geom_type))
    flat = " without an area" if has_area(there).any() else ""
    return f", but {kinds}{flat}" if kinds else ""


def _looks_like_wkt(text: str) -> bool:
    kind = "(MULTI)?(POLYGON|SURFACE|POINT|LINESTRING|CURVE)|CURVEPOLYGON|GEOMETRYCOLLECTION"
    return re.match(rf"([^;(]*;)?\s*({kind})[ZM ]*(\(|EMPTY)", text, re.IGNORECASE) is not None


def _from_wkt(text: str) -> geopandas.GeoSeries:
    prefix, _, wkt = text.rpartition(";")
    try:
        geometry = shapely.from_wkt(wkt)
    except shapely.errors.ShapelyError as error:
        raise SettingsError(
            f"AOI_DEFINITION is not valid WKT: {_short(text)} ({error}). "
            "It should be like POLYGON((-79.5 0.1, -79.4 0.1, -79.4 0.2, -79.5 0.1))."
        ) from error
    named = re.fullmatch(r"\s*SRID=(\d+)\s*", prefix, re.IGNORECASE)
    if ";" in text and not named:
        raise SettingsError(f"AOI_DEFINITION starts with {prefix!r}; it should be like SRID=3857;")
    srid = int(named[1]) if named else LONLAT_SRID
    try:
        outlines = geopandas.GeoSeries([geometry], crs=srid)
    except CRSError as error:
        raise SettingsError(
            f"AOI_DEFINITION starts with {prefix!r}, which does not name a known coordinate "
            "reference system; it should be like SRID=3857;"
        ) from error
    check_crs(outlines, f"AOI_DEFINITION ({_short(text)})", "its SRID, as SRID=3857;POLYGON(...)")
    return outlines


def _from_file(file: VectorFile) -> geopandas.GeoSeries:
    if not file.exists() or file.is_plain_folder():
        folder = " is a folder" if file.exists() else ""
        raise SettingsError(
            f"AOI_DEFINITION is neither WKT nor a file that exists: {_short(str(file))}{folder}."
        )
    return read_features(file, "AOI_DEFINITION").rows.geometry


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
