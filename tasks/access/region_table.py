"""Regions from a PostGIS table or view."""

import geopandas
import pandas as pd
import shapely
from geoalchemy2 import Geometry
from sqlalchemy import String, cast, func, select, true
from sqlalchemy.types import TypeEngine

from landcover.errors import SettingsError
from landcover.regions import choose_name_column
from landcover.text import as_text
from tasks.access.database import database
from tasks.access.geometry_table import (
    Named,
    check_server,
    decoded,
    describe_table,
    flat_wkb,
    survey,
)


def read_region_table(
    table: str, name_column: str | None, database_block: str | None
) -> geopandas.GeoDataFrame:
    """Read the rows of a table of regions.

    Args:
        table: `table` or `schema.table`.
        name_column: the column that names them; found out if None.
        database_block: see `tasks.access.database.database`.

    Returns:
        `name`, as text, and geometries.

    Raises:
        SettingsError: if the table or a column is missing, or it does not hold polygons.
        LandcoverError: if a name is not text that can be used.
        TransientError: if the database cannot be reached.
    """
    named = Named(table, "REGIONS")
    with database(database_block) as connection, decoded(table):
        check_server(connection, named)
        regions, types = describe_table(connection, named)
        geometry = regions.c[_geometry_column(types, table)]
        texts = {
            name: isinstance(kind, String)
            for name, kind in types.items()
            if not isinstance(kind, Geometry)
        }
        column = choose_name_column(texts, name_column, table)
        srid, _ = survey(connection, geometry, true(), named)
        query = select(
            regions.c[column].label("name"), func.encode(flat_wkb(geometry), "hex")
        ).order_by(cast(regions.c[column], String))
        rows = connection.execute(query).all()
    names = pd.Series([row[0] for row in rows], dtype=object, index=range(1, len(rows) + 1))
    shapes = shapely.from_wkb([row[1] for row in rows])
    return geopandas.GeoDataFrame(
        {"name": as_text(names, f"The column {column} of {table}")},
        geometry=geopandas.GeoSeries(shapes, crs=srid, index=names.index),
    )


def _geometry_column(types: dict[str, TypeEngine[object]], table: str) -> str:
    found = [name for name, kind in types.items() if isinstance(kind, Geometry)]
    if len(found) != 1:
        raise SettingsError(
            f"The table {table}, which REGIONS names, should have one column of geometries, but "
            f"has {', '.join(found) or 'none'}: make a view of it that has one."
        )
    return found[0]
