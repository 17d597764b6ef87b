"""Training polygons from a PostGIS table or view."""

from typing import Any

import geopandas
import pandas as pd
import shapely
from geoalchemy2 import Geometry
from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    TableClause,
    Text,
    and_,
    cast,
    func,
    inspect,
    null,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from landcover.errors import SettingsError
from landcover.period import Period, months_of
from landcover.text import as_text
from landcover.vectors import touching
from tasks.access.database import database
from tasks.access.geometry_table import (
    Named,
    bounds_of,
    check_server,
    decoded,
    describe_table,
    flat_wkb,
    is_sound,
    survey,
)
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
            type or does not hold polygons.
        LandcoverError: if there are none of that month, or a column is not what it should be.
        TransientError: if the database cannot be reached.
    """
    if not settings.training_polygon_geom_col:
        raise SettingsError(
            "TRAINING_POLYGON_GEOM_COL is not set; it should be the geometry column of "
            f"{settings.training_polygon_table}, such as geom."
        )
    named = Named(settings.training_polygon_table, "TRAINING_POLYGON_TABLE")
    with database(database_block) as connection, decoded(named.table):
        check_server(connection, named)
        polygons, types = describe_table(connection, named)
        check_columns(list(types), settings, with_geometry=True)
        geometry = polygons.c[settings.training_polygon_geom_col]
        if not isinstance(types[geometry.name], Geometry):
            raise SettingsError(
                f"The column {geometry.name} of {settings.training_polygon_table} is "
                f"{types[geometry.name]}, not a geometry: set TRAINING_POLYGON_GEOM_COL."
            )
        in_month = _in_month(connection, polygons, types, settings, when)
        srid, all_sound = survey(connection, geometry, in_month, named)
        near = geometry.is_(None) | geometry.bool_op("&&")(bounds_of(aoi, srid))
        # Bounds that hold no numbers are nowhere. To look for them costs the spatial index.
        ours = near if all_sound else near | ~is_sound(geometry)
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
    named = Named(settings.training_polygon_table, "TRAINING_POLYGON_TABLE")
    with database(database_block) as connection, decoded(named.table):
        check_server(connection, named)
        polygons, types = describe_table(connection, named)
        check_columns(list(types), settings, with_geometry=True)
        _, written = _months(connection, polygons, types, settings)
    return sorted({month for month in written.values() if month})


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
    flat = flat_wkb(geometry)
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
