"""What is made sure of before training polygons are read, without a server."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import shapely

from landcover.errors import SettingsError
from landcover.vectors import vector_file
from tasks.access.polygon_checks import check_columns
from tasks.access.polygon_file import read_file
from tasks.access.polygon_table import read_table
from tasks.access.settings import PolygonSettings

COLUMNS = ["id", "class", "geom"]
AREA = geopandas.GeoSeries([shapely.box(0, 0, 1, 1)], crs=4326)


def of(**settings: str | None) -> PolygonSettings:
    given = {"training_polygon_table": "polygons", "training_polygon_class_col": "class"}
    return PolygonSettings(**given | settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", ["geom_col", "class_col", "id_col", "month_col"])
@pytest.mark.parametrize("column", ["outline", "Class", "'; DROP TABLE polygons; --"])
def test_a_column_that_is_not_there_is_told_with_those_that_are(setting: str, column: str) -> None:
    settings = of(**{f"training_polygon_{setting}": column})
    with pytest.raises(SettingsError) as caught:
        check_columns(COLUMNS, settings, with_geometry=True)
    assert f"polygons has no column {column!r}" in str(caught.value)
    named = f"which TRAINING_POLYGON_{setting.upper()} names; its columns are id, class, geom."
    assert named in str(caught.value)


def test_a_shapefile_without_its_table_is_told() -> None:
    with pytest.raises(SettingsError, match=r"its columns are none \(a Shapefile has them in"):
        check_columns([], of(), with_geometry=False)


def test_a_table_needs_a_geometry_column() -> None:
    with pytest.raises(SettingsError) as caught:
        read_table(of(), "1999-11", AREA, None)
    told = "TRAINING_POLYGON_GEOM_COL is not set; it should be the geometry column of polygons"
    assert told in str(caught.value)


def write_nothing(_: Path) -> None:
    """The file is missing."""


def write_text(path: Path) -> None:
    path.write_text("{}")


def write_without_crs(path: Path) -> None:
    geopandas.GeoDataFrame({"class": ["a"]}, geometry=list(AREA)).to_file(path)


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("polygons.gpkg", write_nothing, "is a file that does not exist: polygons.gpkg"),
        ("polygons.geojson", write_text, "cannot be read: polygons.geojson"),
        ("polygons.gpkg", write_without_crs, "does not say its coordinate reference system"),
    ],
)
@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_file_that_does_not_hold_polygons_is_told(
    name: str, write: Callable[[Path], None], told: str, settings: Callable[..., None]
) -> None:
    write(Path(name))
    with pytest.raises(SettingsError) as caught:
        read_file(vector_file(name), of(training_polygon_table=name), "1999-11", AREA)
    assert told in str(caught.value)
