"""Checks shared by training polygons from a table and from a file."""

from landcover.errors import NoPolygonsError, SettingsError
from tasks.access.settings import PolygonSettings

# What else can be done about a month without polygons.
OTHERS = (
    "or let other months teach (flows/monthly.py --train_on pool:2, all or model:YYYY-MM; own, the "
    "default, takes the month's alone)"
)

NO_COLUMNS = "none (a Shapefile has them in the .dbf beside it)"


def check_columns(there: list[str], settings: PolygonSettings, with_geometry: bool) -> None:
    """Make sure that the columns that the settings name are there.

    Args:
        there: the columns of the table or file.
        settings: which are wanted.
        with_geometry: whether the geometry's column is one that the settings name.

    Raises:
        SettingsError: if one is missing; it says which there are.
    """
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
                f"names; its columns are {', '.join(there) or NO_COLUMNS}."
            )


def check_month(months: list[str], when: str, settings: PolygonSettings) -> None:
    """Make sure that there are polygons of a month.

    Args:
        months: that have polygons, as YYYY-MM, sorted.
        when: the month wanted.
        settings: where they come from.

    Raises:
        NoPolygonsError: if there are none; it says which months have some.
    """
    if when not in months:
        there = f"it has {', '.join(months[-12:])}" if months else "it is empty"
        raise NoPolygonsError(
            f"{settings.training_polygon_table} has no training polygons of {when} in its column "
            f"{settings.training_polygon_month_col}; {there}. Draw the month's polygons first, "
            f"{OTHERS}."
        )
