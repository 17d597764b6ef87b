"""Training polygons from a PostGIS table or view."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
from geoalchemy2 import Geometry
from pyproj import CRS
from pyproj.exceptions import CRSError
from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Double,
    TableClause,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    inspect,
    null,
    select,
    table,
    true,
)
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import TypeEngine

from landcover.errors import LandcoverError, SettingsError
from landcover.geometry import LONLAT_SRID, reproject
from landcover.period import Period, months_of
from landcover.text import as_text
from landcover.vectors import check_degrees, describe_kinds, touching
from tasks.access.database import check_postgis, database
from tasks.access.polygon_checks import check_columns, check_month
from tasks.access.settings import PolygonSettings

# What PostGIS calls surfaces that lie in space.
NOT_READ = {"POLYHEDRALSURFACE", "TIN", "TRIANGLE"}


def read_table(
    settings: PolygonSettings, when: str, aoi: geopandas.GeoSeries, database_block: str | None
) -> geopandas.GeoDataFrame:
    """Read the month's polygons that touch the area of interest, and those without a geometry.

    Args:
        settings: the table and its columns.
        when: the month, YYYY-MM.
        aoi: the area of interest, one geometry.
        database_block: see `tasks.access.database.database`.

    Raises:
        SettingsError: if the table or a column is missing, or the geometry's column is of another
            type or does not hold polygons.
        LandcoverError: if there are none of that month, or a column is not what it should be.
        TransientError: if the database cannot be reached.
    """
    if not settings.training_polygon_geom_col:
        raise SettingsError(
            "TRAINING_POLYGON_GEOM_COL is not set; it should be the geometry column of "
            f"{settings.training_polygon_table}, such as geom."
        )
    with database(database_block) as connection, _decoded(settings):
        _check_dialect(connection, settings)
        check_postgis(connection)
        polygons, types = _describe_table(connection, settings)
        geometry = polygons.c[settings.training_polygon_geom_col]
        if not isinstance(types[geometry.name], Geometry):
            raise SettingsError(
                f"The column {geometry.name} of {settings.training_polygon_table} is "
                f"{types[geometry.name]}, not a geometry: set TRAINING_POLYGON_GEOM_COL."
            )
        in_month = _in_month(connection, polygons, types, settings, when)
        srid, all_sound = _survey(connection, geometry, in_month, settings)
        near = geometry.is_(None) | geometry.bool_op("&&")(_bounds(aoi, srid))
        # Bounds that hold no numbers are nowhere. To look for them costs the spatial index.
        ours = near if all_sound else near | ~_is_sound(geometry)
        return _read(connection, polygons, settings, and_(in_month, ours), aoi, srid)


def months_in_table(settings: PolygonSettings, database_block: str | None) -> list[Period]:
    """Return the months that a table has polygons of, sorted.

    Args:
        settings: the table and its columns; with that of the month.
        database_block: see `tasks.access.database.database`.

    Raises:
        SettingsError: if the table or the column is missing.
        LandcoverError: if the column does not hold months.
        TransientError: if the database cannot be reached.
    """
    with database(database_block) as connection, _decoded(settings):
        _check_dialect(connection, settings)
        polygons, types = _describe_table(connection, settings)
        _, written = _months(connection, polygons, types, settings)
    return sorted({month for month in written.values() if month})


def _check_dialect(connection: Connection, settings: PolygonSettings) -> None:
    if connection.dialect.name == "sqlite":
        raise SettingsError(
            f"TRAINING_POLYGON_TABLE is {settings.training_polygon_table}, a table, but there "
            "is no DB_HOST: set DB_HOST, or give the path of a GeoPackage, GeoJSON, Shapefile "
            "or another vector file."
        )


@contextmanager
def _decoded(settings: PolygonSettings) -> Iterator[None]:
    """Tell of text that the database itself cannot read, as one of the encoding SQL_ASCII."""
    try:
        yield
    except UnicodeError as error:
        raise LandcoverError(
            f"{settings.training_polygon_table} holds text that is not in the encoding of its "
            f"database ({error}): let its owner correct the text, or move the table to a database "
            "of the encoding UTF8."
        ) from error


def _survey(
    connection: Connection,
    geometry: ColumnElement[object],
    in_month: ColumnElement[bool],
    settings: PolygonSettings,
) -> tuple[int, bool]:
    """Return the SRID of the month's geometries, and whether all are sound."""
    kind, number, sound = _kind(geometry), func.ST_SRID(geometry), _is_sound(geometry)
    extent = func.ST_Extent(func.ST_Envelope(geometry)).filter(sound)
    edges = [side(extent) for side in (func.ST_XMin, func.ST_YMin, func.ST_XMax, func.ST_YMax)]
    described = select(number, kind, func.count(), *edges, func.bool_and(sound))
    query = described.where(in_month, geometry.is_not(None)).group_by(number, kind)
    groups = connection.execute(query).all()
    srids = sorted({group[0] for group in groups})
    if len(srids) > 1 or 0 in srids:
        raise SettingsError(
            f"The geometries of {settings.training_polygon_table} should have one SRID, but have "
            f"{' and '.join(str(srid or 'none') for srid in srids)}: "
            "set it with UpdateGeometrySRID."
        )
    srid = srids[0] if srids else LONLAT_SRID
    try:
        crs = CRS.from_epsg(srid)
    except CRSError as error:
        raise SettingsError(
            f"The geometries of {settings.training_polygon_table} have SRID {srid}, which is "
            "not an EPSG code: transform them to one, such as 4326, with ST_Transform."
        ) from error
    _check_polygons(groups, crs, settings.training_polygon_table)
    return srid, all(group[-1] for group in groups)


def _kind(geometry: ColumnElement[object]) -> ColumnElement[str]:
    """Return what PostGIS calls a geometry, or what is not read in a collection."""
    kind = func.GeometryType(geometry)
    within = func.substring(func.ST_AsText(geometry), "|".join(sorted(NOT_READ)))
    return case((kind == "GEOMETRYCOLLECTION", func.coalesce(within, kind)), else_=kind)


def _is_sound(geometry: ColumnElement[object]) -> ColumnElement[bool]:
    """Tell whether there are coordinates, and all are numbers: NaN is the largest of PostgreSQL."""
    return ~func.ST_IsEmpty(geometry) & (func.ST_Perimeter(geometry) < cast("Infinity", Double))


def _bounds(aoi: geopandas.GeoSeries, srid: int) -> ColumnElement[object]:
    """Return the bounds of the area of interest in the table's SRID, as its index has it."""
    return func.ST_MakeEnvelope(*reproject(aoi.iloc[0], aoi.crs, srid).bounds, srid)


def _check_polygons(groups: Sequence[Any], crs: CRS, where: str) -> None:
    """Make sure that geometries are polygons, and may be where they are said to be.

    Args:
        groups: SRID, kind, number, west, south, east and north of the geometries of each kind, and
            whether all are sound.
        crs: theirs.
        where: their table.
    """
    kinds = [group[1] for group in groups for _ in range(group[2])]
    odd = sorted({kind for kind in kinds if kind in NOT_READ})
    if odd:
        raise SettingsError(
            f"{where} holds geometries of the kind {' and '.join(odd)}, which are not read: make "
            "polygons of them, or delete them."
        )
    if kinds and not any(mark in kind for kind in kinds for mark in ("POLYGON", "SURF", "COLL")):
        raise SettingsError(
            f"TRAINING_POLYGON_TABLE holds {describe_kinds(kinds)}, but no polygon: {where}; draw "
            "polygons, because pixels are taken from under them."
        )
    edges = np.array([group[3:7] for group in groups if group[3] is not None], dtype=np.float64)
    if len(edges):
        bounds = [*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0)]
        check_degrees(bounds, crs, where, "their SRID with UpdateGeometrySRID")


def _describe_table(
    connection: Connection, settings: PolygonSettings
) -> tuple[TableClause, dict[str, TypeEngine[object]]]:
    schema, _, name = settings.training_polygon_table.rpartition(".")
    inspector = inspect(connection)
    try:
        columns = inspector.get_columns(name, schema=schema or None)
    except NoSuchTableError:
        there = [
            *inspector.get_table_names(schema or None),
            *inspector.get_view_names(schema or None),
        ]
        raise SettingsError(
            f"The database has no table {settings.training_polygon_table}, which "
            f"TRAINING_POLYGON_TABLE names; {f'schema {schema}' if schema else 'it'} has "
            f"{', '.join(sorted(there)) or 'none'}."
        ) from None
    types = {str(found["name"]): found["type"] for found in columns}
    check_columns(list(types), settings, with_geometry=True)
    return table(name, *map(column, types), schema=schema or None), types


def _in_month(
    connection: Connection,
    polygons: TableClause,
    types: dict[str, TypeEngine[object]],
    settings: PolygonSettings,
    when: str,
) -> ColumnElement[bool]:
    if not settings.training_polygon_month_col:
        return true()
    text, written = _months(connection, polygons, types, settings)
    check_month(sorted({str(month) for month in written.values() if month}), when, settings)
    return text.in_([value for value, month in written.items() if str(month) == when])


def _months(
    connection: Connection,
    polygons: TableClause,
    types: dict[str, TypeEngine[object]],
    settings: PolygonSettings,
) -> tuple[ColumnElement[str], dict[str, Period | None]]:
    """Return the text of the month's column, and the month that each of its values is."""
    name = settings.training_polygon_month_col
    assert name
    month: ColumnElement[Any] = polygons.c[name]
    kind = types[name]
    if isinstance(kind, DateTime) and kind.timezone:
        # Not the month that it is in this machine's time zone.
        month = func.timezone("UTC", month)
    text = (
        func.to_char(month, "YYYY-MM") if isinstance(kind, Date | DateTime) else cast(month, Text)
    )
    written = connection.scalars(select(text).where(text.is_not(None)).distinct()).all()
    where = f"The column {name} of {settings.training_polygon_table}"
    return text, dict(zip(written, months_of(written, where), strict=True))


def _read(
    connection: Connection,
    polygons: TableClause,
    settings: PolygonSettings,
    ours: ColumnElement[bool],
    aoi: geopandas.GeoSeries,
    srid: int,
) -> geopandas.GeoDataFrame:
    """Read the polygons that touch the area of interest, and those that have no geometry.

    The database compares bounds alone: asked for more, it gives up at a geometry that is broken.
    """
    assert settings.training_polygon_geom_col
    geometry = polygons.c[settings.training_polygon_geom_col]
    label = polygons.c[settings.training_polygon_class_col]
    key = settings.training_polygon_id_col or _primary_key(connection, polygons)
    flat = case(
        (_is_sound(geometry), func.ST_AsBinary(func.ST_Force2D(func.ST_CurveToLine(geometry))))
    )
    order: list[ColumnElement[Any]] = [flat, cast(label, Text)]
    if key:
        order.insert(0, polygons.c[key])
    query = (
        select(
            (polygons.c[key] if key else null()).label("polygon_id"),
            label.label("class_label"),
            func.encode(flat, "hex").label("geometry"),
        )
        .where(ours)
        .order_by(*order)
    )
    # geopandas' own reader would hide the database's refusal behind another error.
    rows = connection.execute(query).all()
    shapes = geopandas.GeoSeries(shapely.from_wkb([row.geometry for row in rows]), crs=srid)
    near = touching(shapes, aoi) | shapes.isna() | shapes.is_empty
    columns = pd.DataFrame(rows, columns=query.selected_columns.keys(), dtype=object)
    found = geopandas.GeoDataFrame(columns, geometry=shapes)[near].reset_index(drop=True)
    if not key:
        found["polygon_id"] = range(1, len(found) + 1)
    where = f"of {settings.training_polygon_table}"
    for name, named in {"polygon_id": key, "class_label": label.name}.items():
        found[name] = as_text(found[name], f"The column {named} {where}")
    return found


def _primary_key(connection: Connection, polygons: TableClause) -> str | None:
    keys = inspect(connection).get_pk_constraint(polygons.name, schema=polygons.schema)
    columns = keys["constrained_columns"]
    return columns[0] if len(columns) == 1 else None
