"""Tables and views of polygons in PostGIS, whatever they are for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import geopandas
import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError
from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    TableClause,
    case,
    cast,
    column,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import TypeEngine

from landcover.errors import LandcoverError, SettingsError
from landcover.geometry import LONLAT_SRID, reproject
from landcover.vectors import check_degrees, describe_kinds
from tasks.access.database import check_postgis

# What PostGIS calls surfaces that lie in space.
NOT_READ = {"POLYHEDRALSURFACE", "TIN", "TRIANGLE"}


class Named(NamedTuple):
    """A table, and the setting that names it."""

    table: str
    """`table` or `schema.table`."""
    setting: str
    """For messages."""


def check_server(connection: Connection, named: Named) -> None:
    """Make sure that a database has tables of polygons at all.

    Args:
        connection: to the database.
        named: the table that is to be read.

    Raises:
        SettingsError: if it is the embedded one, or has no PostGIS.
    """
    if connection.dialect.name == "sqlite":
        raise SettingsError(
            f"{named.setting} is {named.table}, a table, but there is no DB_HOST: set DB_HOST, or "
            "give the path of a GeoPackage, GeoJSON, Shapefile or another vector file."
        )
    check_postgis(connection)


def describe_table(
    connection: Connection, named: Named
) -> tuple[TableClause, dict[str, TypeEngine[object]]]:
    """Return a table or view, and the type of each of its columns.

    Args:
        connection: to the database.
        named: which.

    Raises:
        SettingsError: if there is no such table.
    """
    schema, _, name = named.table.rpartition(".")
    inspector = inspect(connection)
    try:
        columns = inspector.get_columns(name, schema=schema or None)
    except NoSuchTableError:
        there = [
            *inspector.get_table_names(schema or None),
            *inspector.get_view_names(schema or None),
        ]
        raise SettingsError(
            f"The database has no table {named.table}, which "
            f"{named.setting} names; {f'schema {schema}' if schema else 'it'} has "
            f"{', '.join(sorted(there)) or 'none'}."
        ) from None
    types = {str(found["name"]): found["type"] for found in columns}
    return table(name, *map(column, types), schema=schema or None), types


@contextmanager
def decoded(where: str) -> Iterator[None]:
    """Tell of text that the database itself cannot read, as one of the encoding SQL_ASCII.

    Args:
        where: the table, as a setting names it.

    Raises:
        LandcoverError: if there is such text.
    """
    try:
        yield
    except UnicodeError as error:
        raise LandcoverError(
            f"{where} holds text that is not in the encoding of its "
            f"database ({error}): let its owner correct the text, or move the table to a database "
            "of the encoding UTF8."
        ) from error


def survey(
    connection: Connection,
    geometry: ColumnElement[object],
    ours: ColumnElement[bool],
    named: Named,
) -> tuple[int, bool]:
    """Return the SRID of some rows' geometries, and whether all are sound.

    Args:
        connection: to the database.
        geometry: their column.
        ours: which rows.
        named: the table.

    Raises:
        SettingsError: if they have no SRID or several, or one that is not known, or are not
            polygons, or may not be where they are said to be.
    """
    kind, number, sound = _kind(geometry), func.ST_SRID(geometry), is_sound(geometry)
    extent = func.ST_Extent(func.ST_Envelope(geometry)).filter(sound)
    edges = [side(extent) for side in (func.ST_XMin, func.ST_YMin, func.ST_XMax, func.ST_YMax)]
    described = select(number, kind, func.count(), *edges, func.bool_and(sound))
    query = described.where(ours, geometry.is_not(None)).group_by(number, kind)
    groups = connection.execute(query).all()
    srids = sorted({group[0] for group in groups})
    if len(srids) > 1 or 0 in srids:
        raise SettingsError(
            f"The geometries of {named.table} should have one SRID, but have "
            f"{' and '.join(str(srid or 'none') for srid in srids)}: "
            "set it with UpdateGeometrySRID."
        )
    srid = srids[0] if srids else LONLAT_SRID
    try:
        crs = CRS.from_epsg(srid)
    except CRSError as error:
        raise SettingsError(
            f"The geometries of {named.table} have SRID {srid}, which is "
            "not an EPSG code: transform them to one, such as 4326, with ST_Transform."
        ) from error
    _check_polygons(groups, crs, named)
    return srid, all(group[-1] for group in groups)


def _kind(geometry: ColumnElement[object]) -> ColumnElement[str]:
    """Return what PostGIS calls a geometry, or what is not read in a collection."""
    kind = func.GeometryType(geometry)
    within = func.substring(func.ST_AsText(geometry), "|".join(sorted(NOT_READ)))
    return case((kind == "GEOMETRYCOLLECTION", func.coalesce(within, kind)), else_=kind)


def is_sound(geometry: ColumnElement[object]) -> ColumnElement[bool]:
    """Tell whether there are coordinates, and all are numbers: NaN is the largest of PostgreSQL.

    Args:
        geometry: a column.
    """
    return ~func.ST_IsEmpty(geometry) & (func.ST_Perimeter(geometry) < cast("Infinity", Double))


def bounds_of(aoi: geopandas.GeoSeries, srid: int) -> ColumnElement[object]:
    """Return the bounds of the area of interest in the table's SRID, as its index has it.

    Args:
        aoi: the area of interest, one geometry.
        srid: the table's.
    """
    return func.ST_MakeEnvelope(*reproject(aoi.iloc[0], aoi.crs, srid).bounds, srid)


def flat_wkb(geometry: ColumnElement[object]) -> ColumnElement[Any]:
    """Return sound geometries as WKB, without heights and curves; null for others.

    Args:
        geometry: a column.
    """
    return case(
        (is_sound(geometry), func.ST_AsBinary(func.ST_Force2D(func.ST_CurveToLine(geometry))))
    )


def _check_polygons(groups: Sequence[Any], crs: CRS, named: Named) -> None:
    """Make sure that geometries are polygons, and may be where they are said to be.

    Args:
        groups: SRID, kind, number, west, south, east and north of the geometries of each kind, and
            whether all are sound.
        crs: theirs.
        named: their table.
    """
    kinds = [group[1] for group in groups for _ in range(group[2])]
    odd = sorted({kind for kind in kinds if kind in NOT_READ})
    if odd:
        raise SettingsError(
            f"{named.table} holds geometries of the kind {' and '.join(odd)}, which are not read: "
            "make polygons of them, or delete them."
        )
    if kinds and not any(mark in kind for kind in kinds for mark in ("POLYGON", "SURF", "COLL")):
        raise SettingsError(
            f"{named.setting} holds {describe_kinds(kinds)}, but no polygon: {named.table}; draw "
            "polygons, because pixels are taken from under them."
        )
    edges = np.array([group[3:7] for group in groups if group[3] is not None], dtype=np.float64)
    if len(edges):
        bounds = [*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0)]
        check_degrees(bounds, crs, named.table, "their SRID with UpdateGeometrySRID")
