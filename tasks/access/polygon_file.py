"""Training polygons from a vector file."""

import geopandas
import pandas as pd

from landcover.errors import SettingsError
from landcover.period import Period, months_of
from landcover.text import as_text
from landcover.vectors import (
    Features,
    VectorFile,
    are_finite,
    describe_kinds,
    has_area,
    read_features,
    touching,
)
from tasks.access.polygon_checks import check_columns, check_month
from tasks.access.settings import PolygonSettings


def read_file(
    file: VectorFile, settings: PolygonSettings, when: str, aoi: geopandas.GeoSeries
) -> geopandas.GeoDataFrame:
    """Read the month's polygons that touch the area of interest, and those without a geometry.

    Args:
        file: the file.
        settings: its columns.
        when: the month, YYYY-MM.
        aoi: the area of interest, one geometry.

    Returns:
        `polygon_id` and `class_label`, as text, and geometries.

    Raises:
        SettingsError: if the file or a column is missing, the file cannot be read, or it does not
            hold polygons.
        LandcoverError: if there are none of that month, a column is not what it should be, or the
            area of interest cannot be brought to their CRS.
    """
    named = {
        "class_label": settings.training_polygon_class_col,
        "polygon_id": settings.training_polygon_id_col,
        "month": settings.training_polygon_month_col,
    }
    wanted = [name for name in named.values() if name]
    features = read_features(file, "TRAINING_POLYGON_TABLE", wanted)
    feature_ids = [name for name in wanted if features.has(name)]
    check_columns([*features.columns, *feature_ids], settings, with_geometry=False)
    _check_polygons(features, file)
    # The number of its row is the id of a polygon that has no other.
    rows = features.rows
    ids = named["polygon_id"]
    polygons = geopandas.GeoDataFrame(
        {
            "polygon_id": _text(features, ids, file) if ids else range(1, len(rows) + 1),
            "class_label": _text(features, settings.training_polygon_class_col, file),
        },
        geometry=rows.geometry.where(are_finite(rows.geometry)),
    )
    if settings.training_polygon_month_col:
        polygons = polygons[_in_month(features, settings, when)]
    missing = polygons.geometry.isna() | polygons.geometry.is_empty
    return polygons[touching(polygons.geometry, aoi) | missing].reset_index(drop=True)


def months_in_file(file: VectorFile, settings: PolygonSettings) -> list[Period]:
    """Return the months that a file has polygons of, sorted.

    Args:
        file: the file.
        settings: its columns; with that of the month.

    Raises:
        SettingsError: if the file or the column is missing, or the file cannot be read.
        LandcoverError: if the column does not hold months.
    """
    name = settings.training_polygon_month_col
    assert name
    features = read_features(file, "TRAINING_POLYGON_TABLE", [name])
    return sorted({month for month in _months(features, settings) if month})


def _text(features: Features, name: str, file: VectorFile) -> pd.Series:
    return as_text(features.column(name), f"The column {name} of {file}")


def _in_month(features: Features, settings: PolygonSettings, when: str) -> list[bool]:
    months = [str(month or "") for month in _months(features, settings)]
    check_month(sorted({*months} - {""}), when, settings)
    return [month == when for month in months]


def _months(features: Features, settings: PolygonSettings) -> list[Period | None]:
    name = settings.training_polygon_month_col
    assert name
    where = f"The column {name} of {settings.training_polygon_table}"
    return months_of(features.column(name), where)


def _check_polygons(features: Features, file: VectorFile) -> None:
    shapes = features.rows.geometry
    there = shapes[~(shapes.isna() | shapes.is_empty)]
    if len(there) and not has_area(there).any():
        raise SettingsError(
            f"TRAINING_POLYGON_TABLE holds {describe_kinds(list(there.geom_type))}, but no "
            f"polygon: {file}; draw polygons, because pixels are taken from under them."
        )
