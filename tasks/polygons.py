"""Training polygons, fetched from PostGIS or read from a vector file."""

from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pyogrio
from geoalchemy2 import Geometry
from geoalchemy2.shape import from_shape
from prefect.logging import get_run_logger
from pyogrio.errors import DataSourceError, GeometryError
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

from landcover.aoi import LONLAT_SRID, load_aoi
from landcover.errors import LandcoverError, SettingsError
from landcover.polygons import tidy_polygons
from tasks.database import database
from tasks.retries import io_task
from tasks.settings import PolygonSettings


@io_task("fetch polygons", "fetch polygons {year}-{month:02d}")
def fetch_polygons(
    year: int, month: int, aoi_definition: str, settings: PolygonSettings, work_dir: Path
) -> Path:
    """Fetch the month's training polygons that touch the area of interest.

    Args:
        year: of the month.
        month: 1 to 12.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        settings: which table or file, and its columns.
        work_dir: where to keep them for the run.

    Returns:
        A GeoParquet file with `polygon_id`, `class_label` and geometries.

    Raises:
        SettingsError: if the table, file or a column is not there.
        LandcoverError: if there are no polygons, or a model cannot be trained on them.
        TransientError: if the database cannot be reached.
    """
    aoi = load_aoi(aoi_definition)
    when = f"{year}-{month:02d}"
    if settings.vector_file:
        found = _from_file(settings.vector_file, settings, when, aoi)
    else:
        found = _from_database(settings, when, aoi)
    missing = found.geometry.isna() | found.geometry.is_empty
    if missing.all():
        raise LandcoverError(
            f"No training polygon of {settings.training_polygon_table} touches the area of "
            f"interest{f' in {when}' if settings.training_polygon_month_col else ''}"
            f"{f' ({len(found)} have no geometry)' if len(found) else ''}: draw some there, or "
            "check AOI_DEFINITION."
        )
    ids = found["polygon_id"].astype("string").fillna("none")
    polygons, warnings = tidy_polygons(
        found.assign(polygon_id=ids), settings.training_polygon_table
    )
    logger = get_run_logger()
    for warning in warnings:
        logger.warning(warning)
    counts = polygons["class_label"].value_counts()
    logger.info(
        "%d training polygons from %s: %s",
        len(polygons),
        settings.training_polygon_table,
        ", ".join(f"{name} {count}" for name, count in counts.items()),
    )
    path = work_dir / f"polygons_{year}{month:02d}.parquet"
    polygons.attrs = {"source": settings.training_polygon_table}
    polygons.to_parquet(path)
    return path


def _check_columns(there: list[str], settings: PolygonSettings, with_geometry: bool) -> None:
    wanted = {
        "TRAINING_POLYGON_GEOM_COL": settings.training_polygon_geom_col if with_geometry else None,
        "TRAINING_POLYGON_CLASS_COL": settings.training_polygon_class_col,
        "TRAINING_POLYGON_ID_COL": settings.training_polygon_id_col,
        "TRAINING_POLYGON_MONTH_COL": settings.training_polygon_month_col,
    }
    for setting, name in wanted.items():
        if name and name not in there:
            raise SettingsError(
                f"{settings.training_polygon_table} has no column {name!r}, which {setting} "
                f"names; its columns are {', '.join(there)}."
            )


def _check_month(months: list[str], when: str, settings: PolygonSettings) -> None:
    if when not in months:
        there = f"it has {', '.join(months[-12:])}" if months else "it is empty"
        raise LandcoverError(
            f"{settings.training_polygon_table} has no training polygons of {when} in its column "
            f"{settings.training_polygon_month_col}; {there}. Draw the month's polygons first."
        )


# --- from a vector file ---------------------------------------------------------------------------


def _from_file(
    path: Path, settings: PolygonSettings, when: str, aoi: geopandas.GeoSeries
) -> geopandas.GeoDataFrame:
    if not path.is_file():
        raise SettingsError(
            "TRAINING_POLYGON_TABLE is a file that does not exist: "
            f"{settings.training_polygon_table}."
        )
    try:
        rows = _read_file(path).reset_index(drop=True)
    except (DataSourceError, GeometryError, ValueError) as error:
        raise SettingsError(f"TRAINING_POLYGON_TABLE cannot be read: {path} ({error}).") from error
    if not isinstance(rows, geopandas.GeoDataFrame):
        raise SettingsError(f"TRAINING_POLYGON_TABLE holds no geometries: {path}.")
    if rows.crs is None:
        raise SettingsError(f"{path} does not say its coordinate reference system: set it.")
    _check_columns([str(name) for name in rows.columns], settings, with_geometry=False)
    if settings.training_polygon_month_col:
        months = _month_text(rows[settings.training_polygon_month_col])
        _check_month(sorted(set(months.dropna())), when, settings)
        rows = rows[months == when]
    ids = settings.training_polygon_id_col
    polygons = geopandas.GeoDataFrame(
        {
            # Whole numbers stay whole where some polygons have none.
            "polygon_id": rows[ids].convert_dtypes() if ids else rows.index + 1,
            "class_label": rows[settings.training_polygon_class_col],
        },
        geometry=rows.geometry.force_2d(),
    )
    touching = polygons.geometry.to_crs(aoi.crs).make_valid().intersects(aoi.iloc[0])
    missing = polygons.geometry.isna() | polygons.geometry.is_empty
    return polygons[touching | missing].reset_index(drop=True)


def _read_file(path: Path) -> pd.DataFrame:
    rows: pd.DataFrame
    if path.suffix.lower() == ".parquet":
        rows = geopandas.read_parquet(path)
        return rows
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if len(layers) > 1:
        raise SettingsError(
            f"TRAINING_POLYGON_TABLE should hold one layer of polygons, but {path} holds "
            f"{', '.join(layers)}: save the one to be used as a file of its own."
        )
    rows = geopandas.read_file(path, layer=layers[0] if layers else None)
    return rows


def _month_text(values: pd.Series) -> pd.Series:
    date = pd.api.types.is_datetime64_any_dtype(values)
    text: pd.Series = values.dt.strftime("%Y-%m") if date else values.astype("string")
    return text.str.slice(0, 7)


# --- from PostGIS ---------------------------------------------------------------------------------


def _from_database(
    settings: PolygonSettings, when: str, aoi: geopandas.GeoSeries
) -> geopandas.GeoDataFrame:
    if not settings.training_polygon_geom_col:
        raise SettingsError(
            "TRAINING_POLYGON_GEOM_COL is not set; it should be the geometry column of "
            f"{settings.training_polygon_table}, such as geom."
        )
    with database() as connection:
        if connection.dialect.name == "sqlite":
            raise SettingsError(
                f"TRAINING_POLYGON_TABLE is {settings.training_polygon_table}, a table, but there "
                "is no DB_HOST: set DB_HOST, or give the path of a GeoPackage, GeoJSON or "
                "Shapefile."
            )
        polygons, types = _describe_table(connection, settings)
        geometry = polygons.c[settings.training_polygon_geom_col]
        if not isinstance(types[geometry.name], Geometry):
            raise SettingsError(
                f"The column {geometry.name} of {settings.training_polygon_table} is "
                f"{types[geometry.name]}, no geometry: set TRAINING_POLYGON_GEOM_COL."
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
            f"The geometries of {settings.training_polygon_table} have SRID {srid}, which is no "
            "EPSG code: transform them to one that is, such as 4326, with ST_Transform."
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
    _check_columns(list(types), settings, with_geometry=True)
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
    _check_month(sorted(months), when, settings)
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

    The area is brought to the table's SRID, not the table to the area's, so that the spatial index
    serves.
    """
    assert settings.training_polygon_geom_col
    geometry = polygons.c[settings.training_polygon_geom_col]
    area = from_shape(aoi.to_crs(srid).iloc[0], srid=srid)
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
    return geopandas.read_postgis(query, connection, geom_col="geometry", crs=srid)


def _primary_key(connection: Connection, polygons: TableClause) -> str | None:
    keys = inspect(connection).get_pk_constraint(polygons.name, schema=polygons.schema)
    columns = keys["constrained_columns"]
    return columns[0] if len(columns) == 1 else None
