"""The area of interest."""

import re
from pathlib import Path

import geopandas
import shapely
from pyogrio.errors import DataSourceError
from pyproj.exceptions import CRSError

from landcover.errors import SettingsError
from landcover.geometry import LONLAT_SRID, fold, union


def load_aoi(definition: str) -> geopandas.GeoSeries:
    """Read the area of interest.

    Args:
        definition: WKT in longitude and latitude, EWKT (`SRID=3857;POLYGON(...)`), or the path of a
            vector file in any CRS.

    Returns:
        One geometry, a valid polygon or multipolygon, with its CRS; in degrees it is cut at the
        antimeridian where it reaches over it.

    Raises:
        SettingsError: if the definition is not an area.
    """
    text = definition.strip()
    outlines = _from_wkt(text) if _looks_like_wkt(text) else _from_file(Path(text))
    if outlines.crs is None:
        raise SettingsError(
            f"The area of interest {_short(text)} does not say its coordinate reference system: "
            "set it in the file."
        )
    _check_lonlat(outlines, text)
    area = union(list(outlines.make_valid()))
    if area.is_empty:
        raise SettingsError(
            f"The area of interest {_short(text)} holds no polygon: AOI_DEFINITION should be a "
            "polygon or multipolygon."
        )
    return geopandas.GeoSeries(
        [fold(area) if outlines.crs.is_geographic else area], crs=outlines.crs
    )


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
        return geopandas.GeoSeries([geometry], crs=srid)
    except CRSError as error:
        raise SettingsError(
            f"AOI_DEFINITION starts with {prefix!r}, which does not name a known coordinate "
            "reference system; it should be like SRID=3857;"
        ) from error


def _from_file(path: Path) -> geopandas.GeoSeries:
    if not _is_file(path):
        raise SettingsError(
            f"AOI_DEFINITION is neither WKT nor a file that exists: {_short(str(path))}."
        )
    try:
        rows = geopandas.read_file(path)
    except DataSourceError as error:
        raise SettingsError(f"AOI_DEFINITION cannot be read: {path} ({error}).") from error
    if not isinstance(rows, geopandas.GeoDataFrame):
        raise SettingsError(f"AOI_DEFINITION is a file without geometries: {path}.")
    return rows.geometry


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # text that is too long for a file name
        return False


def _check_lonlat(outlines: geopandas.GeoSeries, text: str) -> None:
    """Find coordinates in metres that are said to be degrees: a GeoJSON often has them."""
    west, south, east, north = outlines.total_bounds
    # An area across the antimeridian is drawn in halves, or goes on beyond 180 degrees.
    around = west < -360 or east > 360 or east - west > 360
    if outlines.crs.is_geographic and (around or south < -90 or north > 90):
        raise SettingsError(
            "AOI_DEFINITION has coordinates that are not longitudes and latitudes: "
            f"{_short(text)}. Where they are in another system, say so: in WKT as "
            "SRID=3857;POLYGON(...), in a file as its coordinate reference system."
        )


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
