"""Training polygons from a PostGIS table or view."""

from typing import Any

import geopandas
import shapely
from geoalchemy2 import Geometry
from geoalchemy2.shape import from_shape
from pyproj import CRS
from pyproj.exceptions import CRSError
from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    TableClause,
    Text,
    cast,
    column,
    func,
    inspect,
    select,
    table,
    true,
)
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import TypeEngine

from landcover.errors import SettingsError
from landcover.geometry import LONLAT_SRID, reproject
from tasks.access.database import check_postgis, database
from tasks.access.polygon_checks import check_columns, check_month
from tasks.access.settings import PolygonSettings


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
            type.
        LandcoverError: if there are none of that month.
        TransientError: if the database cannot be reached.
    """
    if not settings.training_polygon_geom_col:
        raise SettingsError(
            "TRAINING_POLYGON_GEOM_COL is not set; it should be the geometry column of "
            f"{settings.training_polygon_table}, such as geom."
        )
    with database(database_block) as connection:
        if connection.dialect.name == "sqlite":
            raise SettingsError(
                f"TRAINING_POLYGON_TABLE is {settings.training_polygon_table}, a table, but there "
                "is no DB_HOST: set DB_HOST, or give the path of a GeoPackage, GeoJSON or "
                "Shapefile."
            )
        check_postgis(connection)
        polygons, types = _describe_table(connection, settings)
        geometry = polygons.c[settings.training_polygon_geom_col]
        if not isinstance(types[geometry.name], Geometry):
            raise SettingsError(
                f"The column {geometry.name} of {settings.training_polygon_table} is "
                f"{types[geometry.name]}, not a geometry: set TRAINING_POLYGON_GEOM_COL."
            )
        in_month = _in_month(connection, polygons, types, settings, when)
        srid = _srid(connection, geometry, in_month, settings)
        return _read(connection, polygons, settings, in_month, aoi, srid)


def _srid(
    connection: Connection,
    geometry: ColumnElement[object],
    in_month: ColumnElement[bool],
    settings: PolygonSettings,
) -> int:
    query = select(func.ST_SRID(geometry)).where(in_month, geometry.is_not(None)).distinct()
    srids: list[int] = list(connection.scalars(query))
    if len(srids) > 1 or 0 in srids:
        raise SettingsError(
            f"The geometries of {settings.training_polygon_table} should have one SRID, but have "
            f"{' and '.join(str(srid or 'none') for srid in sorted(srids))}: "
            "set it with UpdateGeometrySRID."
        )
    srid = srids[0] if srids else LONLAT_SRID
    try:
        CRS.from_epsg(srid)
    except CRSError as error:
        raise SettingsError(
            f"The geometries of {settings.training_polygon_table} have SRID {srid}, which is "
            "not an EPSG code: transform them to one, such as 4326, with ST_Transform."
        ) from error
    return srid


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
    name = settings.training_polygon_month_col
    if not name:
        return true()
    date = isinstance(types[name], Date | DateTime)
    month = polygons.c[name]
    text = func.to_char(month, "YYYY-MM") if date else func.left(cast(month, Text), 7)
    months = connection.scalars(select(text).where(text.is_not(None)).distinct()).all()
    check_month(sorted(months), when, settings)
    return text == when


def _read(
    connection: Connection,
    polygons: TableClause,
    settings: PolygonSettings,
    in_month: ColumnElement[bool],
    aoi: geopandas.GeoSeries,
    srid: int,
) -> geopandas.GeoDataFrame:
    """Read the polygons that touch the area of interest, and those that have no geometry.

    The area is transformed to the table's SRID, not the table to the area's CRS, so that the
    spatial index is used.
    """
    assert settings.training_polygon_geom_col
    geometry = polygons.c[settings.training_polygon_geom_col]
    area = from_shape(reproject(aoi.iloc[0], aoi.crs, srid), srid=srid)
    label = polygons.c[settings.training_polygon_class_col]
    key = settings.training_polygon_id_col or _primary_key(connection, polygons)
    flat = func.ST_AsBinary(func.ST_Force2D(func.ST_CurveToLine(geometry)))
    order: list[ColumnElement[Any]] = [flat, cast(label, Text)]
    if key:
        order.insert(0, polygons.c[key])
    ids = cast(polygons.c[key], Text) if key else func.row_number().over(order_by=order)
    query = (
        select(
            ids.label("polygon_id"),
            label.label("class_label"),
            func.encode(flat, "hex").label("geometry"),
        )
        .where(in_month, func.ST_Intersects(geometry, area) | geometry.is_(None))
        .order_by(*order)
    )
    # geopandas' own reader would hide the database's refusal behind another error.
    rows = connection.execute(query).all()
    return geopandas.GeoDataFrame(
        {
            "polygon_id": [row.polygon_id for row in rows],
            "class_label": [row.class_label for row in rows],
        },
        geometry=shapely.from_wkb([row.geometry for row in rows]),
        crs=srid,
    )


def _primary_key(connection: Connection, polygons: TableClause) -> str | None:
    keys = inspect(connection).get_pk_constraint(polygons.name, schema=polygons.schema)
    columns = keys["constrained_columns"]
    return columns[0] if len(columns) == 1 else None
