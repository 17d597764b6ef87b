"""Training polygons from a vector file."""

from pathlib import Path

import geopandas
import pandas as pd
import pyogrio
from pyogrio.errors import DataSourceError, GeometryError

from landcover.errors import SettingsError
from landcover.geometry import reproject
from tasks.access.polygon_checks import check_columns, check_month
from tasks.access.settings import PolygonSettings


def read_file(
    path: Path, settings: PolygonSettings, when: str, aoi: geopandas.GeoSeries
) -> geopandas.GeoDataFrame:
    """Read the month's polygons that touch the area of interest, and those without a geometry.

    Args:
        path: the file.
        settings: its columns.
        when: the month, YYYY-MM.
        aoi: the area of interest, one geometry.

    Raises:
        SettingsError: if the file or a column is missing, or the file cannot be read.
        LandcoverError: if there are none of that month, or the area of interest cannot be brought
            to their CRS.
    """
    if not path.is_file():
        raise SettingsError(
            "TRAINING_POLYGON_TABLE is a file that does not exist: "
            f"{settings.training_polygon_table}."
        )
    try:
        rows = _read_layer(path).reset_index(drop=True)
    except (DataSourceError, GeometryError, ValueError) as error:
        raise SettingsError(f"TRAINING_POLYGON_TABLE cannot be read: {path} ({error}).") from error
    if not isinstance(rows, geopandas.GeoDataFrame):
        raise SettingsError(f"TRAINING_POLYGON_TABLE holds no geometries: {path}.")
    if rows.crs is None:
        raise SettingsError(f"{path} does not say its coordinate reference system: set it.")
    check_columns([str(name) for name in rows.columns], settings, with_geometry=False)
    if settings.training_polygon_month_col:
        months = _month_text(rows[settings.training_polygon_month_col])
        check_month(sorted(set(months.dropna())), when, settings)
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
    area = reproject(aoi.iloc[0], aoi.crs, rows.crs)
    touching = polygons.geometry.make_valid().intersects(area)
    missing = polygons.geometry.isna() | polygons.geometry.is_empty
    return polygons[touching | missing].reset_index(drop=True)


def _read_layer(path: Path) -> pd.DataFrame:
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
