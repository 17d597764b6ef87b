"""Training polygons: fetched from a real PostGIS, and read from files."""

import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import geopandas
import pandas as pd
import pytest
from shapely.geometry import MultiPolygon, Polygon, box
from sqlalchemy import URL, Engine, create_engine, event, text

from landcover.errors import LandcoverError, SettingsError
from tasks.access.settings import PolygonSettings
from tasks.polygons import fetch_polygons
from tests.months import run_of

pytestmark = pytest.mark.usefixtures("prefect_api")

PAGE = Path(__file__).parents[1] / "docs" / "own-data.md"

# Near Quinindé, in UTM 17 S.
WEST, SOUTH = 660_000, 10_020_000
AOI = "SRID=32717;" + box(WEST, SOUTH, WEST + 10_000, SOUTH + 10_000).wkt
CRS = "EPSG:32717"


def square(column: int, row: int, side: float = 300) -> Polygon:
    """A square whose corner is so many kilometres east and north of the area's."""
    west, south = WEST + 1000 * column, SOUTH + 1000 * row
    return box(west, south, west + side, south + side)


@pytest.fixture
def drawn() -> geopandas.GeoDataFrame:
    """Polygons as a person draws them: the last two are outside the area of interest."""
    return geopandas.GeoDataFrame(
        {
            "number": [11, 5, 7, 3, 12, 4],
            "label": ["Forest", "Forest", "Water", "Pasture", "Pasture", "Forest"],
        },
        geometry=[
            square(1, 1),
            square(2, 5),
            square(9, 9, 2000),  # over the area's edge
            square(3, 3),
            square(20, 3),
            square(-5, 0),
        ],
        crs=CRS,
    )


@pytest.fixture
def put(engine: Engine, in_database: URL, settings) -> Callable[..., None]:
    """Write polygons to a table, and point the settings to it."""

    def write(rows: geopandas.GeoDataFrame, name: str = "polygons", **others: object) -> None:
        with engine.begin() as connection:
            rows.rename_geometry("geom").to_postgis(name, connection, index=False)
        settings(
            TRAINING_POLYGON_TABLE=name,
            TRAINING_POLYGON_GEOM_COL="geom",
            TRAINING_POLYGON_CLASS_COL="label",
            **others,
        )

    return write


def fetch(month: int = 6, year: int = 2025, aoi: str = AOI) -> geopandas.GeoDataFrame:
    path = fetch_polygons(run_of(year, month, PolygonSettings, aoi=aoi))
    return geopandas.read_parquet(path)


def areas_by_id(polygons: geopandas.GeoDataFrame) -> dict[str, float]:
    return dict(zip(polygons["polygon_id"], polygons.to_crs(CRS).area.round(), strict=True))


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("srid", [4326, 3857, 32717, 32617])
def test_only_polygons_that_touch_the_area_come_from_a_table_of_any_srid(put, drawn, srid):
    put(drawn.to_crs(srid), TRAINING_POLYGON_ID_COL="number")
    found = fetch()
    assert list(found["polygon_id"]) == ["3", "5", "7", "11"]
    assert list(found["class_label"]) == ["Pasture", "Forest", "Water", "Forest"]
    assert found.crs.to_epsg() == srid
    assert list(areas_by_id(found).values()) == pytest.approx([9e4, 9e4, 4e6, 9e4], rel=0.001)


@pytest.mark.parametrize("crs", [4326, 3857, 32717])
def test_the_area_may_be_in_another_crs_than_the_table(put, drawn, crs):
    area = geopandas.GeoSeries.from_wkt([AOI.rpartition(";")[2]], crs=CRS).to_crs(crs).iloc[0]
    put(drawn, TRAINING_POLYGON_ID_COL="number")
    assert list(fetch(aoi=f"SRID={crs};{area.wkt}")["polygon_id"]) == ["3", "5", "7", "11"]


def test_names_may_be_odd(put, drawn, run_sql, settings):
    put(drawn)
    run_sql(
        """
        CREATE SCHEMA "Field work";
        ALTER TABLE polygons SET SCHEMA "Field work";
        ALTER TABLE "Field work".polygons RENAME TO "Polígonos ""2025"" 100%%";
        ALTER TABLE "Field work"."Polígonos ""2025"" 100%%" RENAME label TO "select";
        ALTER TABLE "Field work"."Polígonos ""2025"" 100%%" RENAME number TO "N°(%%s):x";
        ALTER TABLE "Field work"."Polígonos ""2025"" 100%%" RENAME geom TO "The Geom; --";
        ALTER TABLE "Field work"."Polígonos ""2025"" 100%%" ADD "Month'" text DEFAULT '2025-06';
        """
    )
    settings(
        TRAINING_POLYGON_TABLE='Field work.Polígonos "2025" 100%',
        TRAINING_POLYGON_GEOM_COL="The Geom; --",
        TRAINING_POLYGON_CLASS_COL="select",
        TRAINING_POLYGON_ID_COL="N°(%s):x",
        TRAINING_POLYGON_MONTH_COL="Month'",
    )
    assert list(fetch()["polygon_id"]) == ["3", "5", "7", "11"]


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_serves_as_a_table(put, drawn, run_sql, settings, kind):
    put(drawn)
    run_sql(
        f"CREATE {kind} labelled AS SELECT number, label, ST_Buffer(geom, 1) AS geom FROM polygons"
    )
    settings(TRAINING_POLYGON_TABLE="labelled", TRAINING_POLYGON_ID_COL="number")
    assert list(fetch()["polygon_id"]) == ["3", "5", "7", "11"]


def test_without_an_id_column_the_primary_key_tells_polygons_apart(put, drawn, run_sql):
    put(drawn)
    run_sql("ALTER TABLE polygons ADD PRIMARY KEY (number)")
    assert list(fetch()["polygon_id"]) == ["3", "5", "7", "11"]


@pytest.mark.parametrize("key", ["", "ALTER TABLE polygons ADD PRIMARY KEY (number, label)"])
def test_without_id_and_key_the_polygons_are_numbered_in_one_order(put, drawn, run_sql, key):
    put(drawn)
    if key:
        run_sql(key)
    first = fetch()
    assert list(first["polygon_id"]) == ["1", "2", "3", "4"]
    run_sql("CREATE TABLE again AS SELECT * FROM polygons ORDER BY number; DELETE FROM polygons")
    run_sql("INSERT INTO polygons SELECT * FROM again ORDER BY random()")
    assert fetch().equals(first)


def test_duplicate_and_missing_ids_are_told_apart_and_told(put, drawn, caplog):
    numbers = pd.Series([7, 7, 7, None, 12, None], dtype="Int64")
    put(drawn.assign(number=numbers), TRAINING_POLYGON_ID_COL="number")
    assert list(fetch()["polygon_id"]) == ["7", "7#2", "7#3", "none"]
    assert "polygons has several polygons with the id 7;" in caplog.text


MONTHS = {
    "date": ["2025-06-01", "2025-06-30", "2025-05-31", "2025-07-01", "2025-06-01", "2025-06-01"],
    "timestamp": ["2025-06-01 00:00", "2025-06-30 23:59:59.9"] + 4 * ["2025-07-01 00:00"],
    "timestamptz": ["2025-06-15 00:00Z", "2025-06-15 23:59Z"] + 4 * ["2025-07-15 00:00Z"],
    "text": ["2025-06", "2025-06", "2025-05", "2024-06", "2025-06", "2025-06"],
    "varchar(10)": ["2025-06-30", "2025-06-01", "2025-05-30", "2024-06-01", "2025-06-01", None],
    "char(7)": ["2025-06", "2025-06", "2025-05", "2024-06", "2025-06", "2025-06"],
}


@pytest.fixture
def two_classes(drawn: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The first two polygons are of different classes."""
    return drawn.assign(label=["Forest", "Water", "Water", "Pasture", "Pasture", "Forest"])


@pytest.mark.parametrize("kind", MONTHS)
def test_only_the_month_is_fetched(put, two_classes, run_sql, kind):
    put(
        two_classes.assign(month=MONTHS[kind]),
        TRAINING_POLYGON_ID_COL="number",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    run_sql(f"ALTER TABLE polygons ALTER month TYPE {kind} USING month::{kind}")
    assert list(fetch(6)["polygon_id"]) == ["5", "11"]
    with pytest.raises(
        LandcoverError, match=r"no training polygons of 2025-08 .* it has .*2025-06"
    ):
        fetch(8)


WRITTEN = {
    "integer": [202506, 202506, 202505, 202406, 202507, None],
    "numeric(8,2)": [202506, 202506, 202505, 202406, 202507, None],
    "double precision": [20250615, 202506, 202505, 202406, 202507, None],
    "text": ["June 2025", " 06/2025", "mayo de 2025", "15/06/2024", "Jul-25", ""],
    "json": ['"2025-06"', '"2025-06-30"', '"2025-05"', '"2024-06"', '"2025-07"', None],
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_months_are_read_in_the_ways_in_which_people_write_them(put, two_classes, run_sql, kind):
    months = pd.Series(WRITTEN[kind], dtype=object).map(str, na_action="ignore")
    put(
        two_classes.assign(month=months.where(months.notna(), None)),
        TRAINING_POLYGON_ID_COL="number",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    run_sql(f"ALTER TABLE polygons ALTER month TYPE {kind} USING month::{kind}")
    assert list(fetch(6)["polygon_id"]) == ["5", "11"]


@pytest.mark.parametrize("value", ["05/06/2025", "last June", "2025"])
def test_what_may_be_two_months_or_none_is_told_with_an_example(put, two_classes, value):
    months = ["2025-06", "2025-06", value, "2025-06", "2025-06", "2025-06"]
    put(two_classes.assign(month=months), TRAINING_POLYGON_MONTH_COL="month")
    told = f"The column month of polygons holds '{value}', .*: write months like 2025-06"
    with pytest.raises(LandcoverError, match=told):
        fetch()


def test_moments_count_in_utc_whatever_the_time_zone_of_the_session(
    put, two_classes, run_sql, database_url
):
    months = ["2025-06-01 00:00Z", "2025-06-30 23:59Z"] + 4 * ["2025-07-01 00:00Z"]
    put(
        two_classes.assign(month=months),
        TRAINING_POLYGON_ID_COL="number",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    run_sql("ALTER TABLE polygons ALTER month TYPE timestamptz USING month::timestamptz")
    run_sql(f"ALTER DATABASE {database_url.database} SET timezone = 'America/Guayaquil'")
    assert list(fetch(6)["polygon_id"]) == ["5", "11"]


def test_the_spatial_index_serves(put, run_sql, engine):
    kilometres = range(-40, 40)
    squares = [square(east + 0.35, north + 0.35) for east in kilometres for north in kilometres]
    labels = ["Forest", "Water"] * (len(squares) // 2)
    put(geopandas.GeoDataFrame({"label": labels}, geometry=squares, crs=CRS).to_crs(3857))
    run_sql("INSERT INTO polygons (label) VALUES ('Forest'); ANALYZE polygons")
    sent: list[tuple[str, object]] = []

    def note(_connection, _cursor, statement, parameters, *_):
        if "ST_CurveToLine" in statement:
            sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert len(fetch()) == 10 * 10
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    ((statement, parameters),) = sent
    with engine.connect() as connection:
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
    assert "on idx_polygons_geom" in plan
    assert "Seq Scan" not in plan


NUMBERS = {
    "integer": "number",
    "numeric(10,2)": "number",
    "double precision": "number",
    "text": "number || '.0'",
    "bytea": "convert_to(number::text, 'UTF8')",
    "json": "to_json(number)",
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_labels_and_ids_are_the_same_text_whatever_their_type(put, two_classes, run_sql, kind):
    put(two_classes)
    value = NUMBERS[kind]
    run_sql(
        f"ALTER TABLE polygons DROP label, ADD label {kind}, ADD id {kind};"
        f"UPDATE polygons SET label = ({value})::{kind}, id = ({value})::{kind};"
        "INSERT INTO polygons (number) VALUES (99)"
    )
    run_sql("DELETE FROM polygons WHERE label IS NULL")
    found = fetch()
    assert sorted(found["class_label"]) == ["11", "3", "5", "7"]


@pytest.mark.parametrize("kind", ["integer", "numeric(10,2)", "double precision"])
def test_ids_are_whole_numbers_whatever_their_type(put, two_classes, run_sql, kind):
    put(two_classes, TRAINING_POLYGON_ID_COL="number")
    run_sql(f"ALTER TABLE polygons ALTER number TYPE {kind}")
    assert list(fetch()["polygon_id"]) == ["3", "5", "7", "11"]


def test_bytes_that_are_not_text_are_told_with_their_column(put, two_classes, run_sql):
    put(two_classes)
    run_sql("ALTER TABLE polygons ALTER label TYPE bytea USING '\\xe1'::bytea")
    told = "The column label of polygons holds bytes that are not text in UTF-8"
    with pytest.raises(LandcoverError, match=told):
        fetch()


def test_text_of_another_encoding_than_the_database_s_is_told(
    put, two_classes, run_sql, postgis, settings
):
    name = f"ascii_{uuid4().hex}"
    admin = create_engine(postgis, isolation_level="AUTOCOMMIT")
    own = create_engine(postgis.set(database=name))
    with admin.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        )
    try:
        with own.begin() as connection:
            connection.exec_driver_sql("CREATE EXTENSION postgis")
            connection.exec_driver_sql(
                "CREATE TABLE polygons AS SELECT 'p' || chr(225) AS label, "
                f"ST_GeomFromText('{square(1, 1).wkt}', 32717) AS geom"
            )
        settings(
            DB_NAME=name,
            TRAINING_POLYGON_TABLE="polygons",
            TRAINING_POLYGON_GEOM_COL="geom",
            TRAINING_POLYGON_CLASS_COL="label",
            DB_HOST=postgis.host,
            DB_PORT=postgis.port,
            DB_USER=postgis.username,
            DB_PASSWORD=postgis.password,
        )
        with pytest.raises(LandcoverError, match="polygons holds text that is not in the encoding"):
            fetch()
    finally:
        own.dispose()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ST_Centroid(geom)", "holds 6 points, but no polygon: polygons"),
        ("ST_ExteriorRing(geom)", "holds 6 lines, but no polygon: polygons"),
        ("ST_SetSRID(geom, 4326)", "polygons has coordinates that are not longitudes"),
        (
            "ST_GeomFromText('SRID=32717;TIN(((0 0 0, 0 1 0, 1 1 0, 0 0 0)))')",
            "geometries of the kind TIN, which are not read",
        ),
        (
            "ST_Collect(geom, 'SRID=32717;POLYHEDRALSURFACE(((0 0, 0 1, 1 1, 0 0)))'::geometry)",
            "geometries of the kind POLYHEDRALSURFACE, which are not read",
        ),
    ],
    ids=["points", "lines", "metres as degrees", "tin", "surface in a collection"],
)
def test_what_is_not_a_polygon_or_not_where_it_says_is_told(put, drawn, run_sql, change, told):
    put(drawn)
    run_sql(f"ALTER TABLE polygons ALTER geom TYPE geometry USING {change}")
    with pytest.raises(SettingsError, match=told):
        fetch()


def test_polygons_without_geometry_are_told_and_left_out(put, drawn, run_sql, caplog):
    put(drawn, TRAINING_POLYGON_ID_COL="number")
    run_sql("UPDATE polygons SET geom = NULL WHERE number IN (3, 12)")
    assert list(fetch()["polygon_id"]) == ["5", "7", "11"]
    assert "2 of 5 polygons (id 3, 12) of polygons have no area and are left out" in caplog.text
    run_sql("UPDATE polygons SET geom = NULL")
    with pytest.raises(LandcoverError, match=r"No training polygon .* \(6 have no geometry\)"):
        fetch()


@pytest.mark.parametrize(
    "shape",
    [
        "POLYGON EMPTY",
        f"POLYGON(({WEST} {SOUTH}, {WEST} NaN, {WEST + 9} {SOUTH + 9}, {WEST} {SOUTH}))",
        "POLYGON((NaN NaN, NaN NaN, NaN NaN, NaN NaN))",
        f"CURVEPOLYGON(CIRCULARSTRING({WEST} {SOUTH}, {WEST} NaN, {WEST} {SOUTH}))",
    ],
    ids=["empty", "a number missing", "no numbers", "curve"],
)
def test_geometries_without_numbers_are_told_and_left_out(put, drawn, run_sql, caplog, shape):
    put(drawn, TRAINING_POLYGON_ID_COL="number")
    run_sql("ALTER TABLE polygons ALTER geom TYPE geometry")
    run_sql(
        f"UPDATE polygons SET geom = ST_GeomFromText('SRID=32717;{shape}') WHERE number IN (3, 12)"
    )
    assert list(fetch()["polygon_id"]) == ["5", "7", "11"]
    assert "2 of 5 polygons (id 3, 12) of polygons have no area and are left out" in caplog.text


def test_geometries_in_three_dimensions_and_with_curves_become_plain_polygons(put, drawn, run_sql):
    put(drawn, TRAINING_POLYGON_ID_COL="number")
    run_sql(
        f"""
        ALTER TABLE polygons ALTER geom TYPE geometry;
        UPDATE polygons SET geom = ST_Force3D(geom, 250) WHERE number = 3;
        UPDATE polygons SET geom = ST_Force4D(ST_Multi(geom)) WHERE number = 5;
        UPDATE polygons SET geom = ST_GeomFromText('SRID=32717;CURVEPOLYGON(CIRCULARSTRING(
            {WEST + 1000} {SOUTH + 1000}, {WEST + 1500} {SOUTH + 1500},
            {WEST + 2000} {SOUTH + 1000}, {WEST + 1500} {SOUTH + 500},
            {WEST + 1000} {SOUTH + 1000}))') WHERE number = 11;
        """
    )
    found = fetch()
    assert not found.has_z.any()
    assert set(found.geom_type) <= {"Polygon", "MultiPolygon"}
    assert areas_by_id(found)["3"] == 9e4
    assert areas_by_id(found)["5"] == 9e4
    assert areas_by_id(found)["11"] == pytest.approx(3.14159 * 500**2, rel=0.001)


def test_polygons_that_cross_themselves_are_mended_and_told(put, drawn, caplog):
    bow_tie = Polygon([(0, 0), (300, 300), (300, 0), (0, 300)])
    corner = [WEST + 1000, SOUTH + 1000]
    crossing = Polygon([(x + corner[0], y + corner[1]) for x, y in bow_tie.exterior.coords])
    put(
        drawn.set_geometry([crossing, *drawn.geometry[1:]], crs=CRS),
        TRAINING_POLYGON_ID_COL="number",
    )
    assert areas_by_id(fetch())["11"] == 45_000
    assert "(id 11) of polygons cross themselves and were mended" in caplog.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "ALTER geom TYPE geometry USING ST_SetSRID(geom, (4326 + number %% 2)::int)",
            "4326 and 4327",
        ),
        ("ALTER geom TYPE geometry USING ST_SetSRID(geom, 0)", "but have none"),
        ("ALTER geom TYPE geometry USING ST_SetSRID(geom, 900914)", "SRID 900914, which is no"),
        (
            "ADD outline text, DROP geom; ALTER TABLE polygons RENAME outline TO geom",
            "geom of polygons is TEXT, not a geometry",
        ),
        ("DROP geom", r"no column 'geom', .*GEOM_COL names; its columns are number, label"),
    ],
    ids=["two-srids", "no-srid", "unknown-srid", "text", "no-geometry"],
)
def test_a_geometry_column_that_will_not_do_is_told(put, drawn, run_sql, change, told):
    put(drawn)
    run_sql(f"ALTER TABLE polygons {change}")
    with pytest.raises(SettingsError, match=told):
        fetch()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("polygon", r"no table polygon, .*; it has .*polygons"),
        ("public.polygon", r"no table public.polygon, .*; schema public has .*polygons"),
        ("field.polygons", r"no table field.polygons, .*; schema field has none"),
    ],
)
def test_a_table_that_is_not_there_is_told_with_those_that_are(put, drawn, settings, table, told):
    put(drawn)
    settings(TRAINING_POLYGON_TABLE=table)
    with pytest.raises(SettingsError, match=told):
        fetch()


def test_a_role_that_may_not_read_the_table_is_told(put, drawn, role):
    put(drawn)
    with pytest.raises(
        LandcoverError, match=f"{role} lacks a permission .* ask its owner"
    ) as error:
        fetch()
    assert not isinstance(error.value, SettingsError)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "parquet", "fgb", "GPKG"])
def test_a_file_gives_the_same_polygons_as_the_table(put, drawn, settings, suffix):
    put(drawn.to_crs(4326), TRAINING_POLYGON_ID_COL="number")
    from_table = fetch()
    path = Path(f"polygons.{suffix}").absolute()
    # The index says nothing of the file.
    rows = drawn.to_crs(4326).set_index(pd.Index([5, 5, 1, 0, 9, 8]))
    # Without a spatial index, a FlatGeobuf keeps the order, too.
    options = {"SPATIAL_INDEX": "NO"} if suffix == "fgb" else {}
    rows.to_parquet(path) if suffix == "parquet" else rows.to_file(path, index=False, **options)
    settings(TRAINING_POLYGON_TABLE=path, TRAINING_POLYGON_GEOM_COL=None)
    from_file = fetch()
    assert list(from_file["polygon_id"]) == ["11", "5", "7", "3"]
    order = [list(from_file["polygon_id"]).index(number) for number in from_table["polygon_id"]]
    same = from_file.iloc[order].reset_index(drop=True)
    assert list(same["class_label"]) == list(from_table["class_label"])
    assert same.normalize().geom_equals_exact(from_table.normalize(), 1e-9).all()
    assert same.crs == from_table.crs

    settings(TRAINING_POLYGON_ID_COL=None)
    assert list(fetch()["polygon_id"]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "parquet"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "text", "varchar(10)"])
def test_only_the_month_is_read_from_a_file(settings, two_classes, suffix, kind):
    months = pd.Series(MONTHS[kind])
    if kind == "timestamp":
        months = pd.to_datetime(months, format="ISO8601")
    elif kind == "date":
        months = pd.to_datetime(months).dt.date
    rows = two_classes.assign(month=months)
    path = Path(f"polygons.{suffix}")
    if suffix == "parquet":
        rows.to_parquet(path)
    elif kind == "timestamp" and suffix == "shp":
        pytest.skip("a Shapefile has no timestamps")
    else:
        rows.to_file(path)
    settings(
        TRAINING_POLYGON_TABLE=path,
        TRAINING_POLYGON_CLASS_COL="label",
        TRAINING_POLYGON_ID_COL="number",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    assert list(fetch(6)["polygon_id"]) == ["11", "5"]
    with pytest.raises(LandcoverError, match="no training polygons of 2025-08"):
        fetch(8)


@pytest.fixture
def in_file(settings) -> Callable[[Path], None]:
    """Point the settings to a file."""
    return lambda path: settings(
        TRAINING_POLYGON_TABLE=path,
        TRAINING_POLYGON_CLASS_COL="label",
        TRAINING_POLYGON_ID_COL="number",
    )


def test_a_file_with_3d_curved_and_missing_geometries_gives_plain_polygons(
    in_file, drawn, engine, caplog
):
    drawn.geometry = [None, *drawn.geometry[1:]]
    solid = drawn.force_3d(250)
    drawn.set_geometry(solid).to_file("polygons.gpkg", layer="june", SPATIAL_INDEX="NO")
    circle = (
        f"CURVEPOLYGON(CIRCULARSTRING({WEST + 1000} {SOUTH + 1000}, {WEST + 1500} {SOUTH + 1500}, "
        f"{WEST + 2000} {SOUTH + 1000}, {WEST + 1500} {SOUTH + 500}, {WEST + 1000} {SOUTH + 1000}))"
    )
    with engine.connect() as connection:
        wkb = connection.scalar(text("SELECT ST_AsBinary(ST_GeomFromText(:wkt))"), {"wkt": circle})
    header = struct.pack("<2sBBi", b"GP", 0, 1, 32717)
    with closing(sqlite3.connect("polygons.gpkg")) as file, file:
        file.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'GEOMETRY', z = 0")
        file.execute("UPDATE june SET geom = ? WHERE number = 5", [header + bytes(wkb)])
    in_file("polygons.gpkg")
    found = fetch()
    assert not found.has_z.any()
    assert areas_by_id(found) == pytest.approx(
        {"5": 3.14159 * 500**2, "7": 4e6, "3": 9e4}, rel=1e-3
    )
    assert "(id 11) of polygons.gpkg have no area and are left out" in caplog.text


def test_duplicate_and_missing_ids_of_a_file_are_told_apart_and_told(in_file, drawn, caplog):
    numbers = pd.Series([7, 7, 7, None, 12, None], dtype="Int64")
    drawn.assign(number=numbers).to_file("polygons.gpkg")
    in_file("polygons.gpkg")
    assert list(fetch()["polygon_id"]) == ["7", "7#2", "7#3", "none"]
    assert "polygons.gpkg has several polygons with the id 7;" in caplog.text


def test_a_file_of_points_is_told_as_what_it_is(in_file, drawn):
    drawn.set_geometry(drawn.centroid).to_file("polygons.gpkg")
    in_file("polygons.gpkg")
    with pytest.raises(SettingsError, match=r"holds 6 points, but no polygon: polygons\.gpkg"):
        fetch()


def test_a_polygon_with_coordinates_that_are_not_numbers_is_told_and_left_out(
    in_file, drawn, caplog
):
    broken = Polygon([(WEST, SOUTH), (WEST + 9, float("nan")), (WEST + 9, SOUTH + 9)])
    drawn.geometry = [broken, *drawn.geometry[1:]]
    drawn.to_parquet("polygons.parquet")
    in_file("polygons.parquet")
    assert list(fetch()["polygon_id"]) == ["5", "7", "3"]
    assert "(id 11) of polygons.parquet have no area and are left out" in caplog.text


def test_the_ids_that_qgis_shows_are_those_of_the_polygons(in_file, drawn, settings):
    drawn.drop(columns="number").to_file("polygons.gpkg", layer="june")
    in_file("polygons.gpkg|layername=june")
    settings(TRAINING_POLYGON_ID_COL="fid")
    assert list(fetch()["polygon_id"]) == ["1", "2", "3", "4"]


def test_a_missing_class_of_another_month_does_not_change_the_others(
    in_file, two_classes, settings
):
    classes = pd.Series([1, 10, 1, 10, 1, None], dtype="Int64")
    months = ["2025-06"] * 5 + ["2025-05"]
    two_classes.assign(label=classes, month=months).to_file("polygons.gpkg")
    in_file("polygons.gpkg")
    settings(TRAINING_POLYGON_MONTH_COL="month")
    assert list(fetch()["class_label"]) == ["1", "10", "1", "10"]


def test_a_file_of_several_layers_is_told(in_file, drawn):
    drawn.to_file("both.gpkg", layer="june")
    drawn.to_file("both.gpkg", layer="july")
    in_file("both.gpkg")
    with pytest.raises(
        SettingsError, match=r"one layer of polygons, but both.gpkg holds june, july"
    ):
        fetch()


# --- the team's own table -------------------------------------------------------------------------


def feature(number: object, label: str | None, polygon: Polygon | None) -> dict[str, object]:
    """A feature as the Django application writes it: metres that do not say so."""
    found: dict[str, object] = {
        "type": "Feature",
        "geometry": polygon and polygon.__geo_interface__,
        "properties": {"classLabel": label},
    }
    return found if number is None else {"id": number, **found}


@pytest.fixture
def team_table(engine: Engine, in_database: URL, settings) -> Callable[..., None]:
    """The application's table and the documented view; call it to add a set of polygons."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            """
            CREATE TABLE core_trainingpolygonset (
                id serial PRIMARY KEY, project_id int NOT NULL, basemap_date varchar(7) NOT NULL,
                excluded boolean NOT NULL DEFAULT false, polygons jsonb NOT NULL)
            """
        )
        connection.exec_driver_sql(PAGE.read_text().split("```sql\n")[1].split("```")[0])
    settings(
        TRAINING_POLYGON_TABLE="training_polygons",
        TRAINING_POLYGON_GEOM_COL="geom",
        TRAINING_POLYGON_CLASS_COL="class_label",
        TRAINING_POLYGON_ID_COL="polygon_id",
        TRAINING_POLYGON_MONTH_COL="month",
    )

    def add(project: int, month: str, features: object, excluded: bool = False) -> None:
        polygons = json.dumps(features)
        if isinstance(features, list):
            polygons = json.dumps({"type": "FeatureCollection", "features": features})
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO core_trainingpolygonset "
                    "(project_id, basemap_date, excluded, polygons) VALUES (:p, :m, :e, :f)"
                ),
                {"p": project, "m": month, "e": excluded, "f": polygons},
            )

    return add


def metres(column: int, row: int) -> Polygon:
    """A square in Web Mercator near 0.3 N, 79.3 W."""
    return box(
        -8_828_000 + 1000 * column,
        34_000 + 1000 * row,
        -8_827_700 + 1000 * column,
        34_300 + 1000 * row,
    )


TEAM_AOI = f"SRID=3857;{box(-8_830_000, 30_000, -8_810_000, 50_000).wkt}"


def test_the_documented_view_turns_the_teams_table_into_polygons(team_table, engine, caplog):
    a_multipolygon = MultiPolygon([metres(6, 0), metres(6, 2)])
    team_table(
        1,
        "2025-06",
        [
            feature(0, "Forest", metres(0, 0)),
            feature("1", "Water", metres(1, 0)),
            feature(None, "Forest", metres(2, 0)),
            feature(None, "Water", metres(3, 0)),
            feature(9, "Forest", None),
        ],
    )
    team_table(
        2, "2025-06", [feature(0, "Forest", metres(5, 0)), feature("7", "Water", a_multipolygon)]
    )
    team_table(1, "2025-06", [feature(4, "Cloud", metres(7, 0))], excluded=True)
    team_table(1, "2025-05", [feature(0, "Forest", metres(0, 0)), feature(1, "Haze", metres(8, 0))])
    team_table(3, "2025-06", [])
    team_table(3, "2025-06", None)
    team_table(3, "2025-06", {"type": "FeatureCollection", "features": None})

    found = fetch(6, aoi=TEAM_AOI)
    assert dict(zip(found["polygon_id"], found["class_label"], strict=True)) == {
        "1-#3": "Forest",
        "1-#4": "Water",
        "1-0": "Forest",
        "1-1": "Water",
        "2-0": "Forest",
        "2-7#1": "Water",
        "2-7#2": "Water",
    }
    assert found.crs.to_epsg() == 3857
    shapes = dict(zip(found["polygon_id"], found.geometry, strict=True))
    assert shapes["1-#3"].equals(metres(2, 0))
    assert shapes["2-7#1"].union(shapes["2-7#2"]).equals(a_multipolygon)
    assert "(id 1-9) of training_polygons have no area" in caplog.text
    assert list(fetch(5, aoi=TEAM_AOI)["polygon_id"]) == ["4-0", "4-1"]
    with pytest.raises(LandcoverError, match=r"no training polygons of 2025-07 .*2025-05, 2025-06"):
        fetch(7, aoi=TEAM_AOI)

    with engine.connect() as connection:
        columns = connection.execute(
            text(
                "SELECT column_name, format_type(atttypid, atttypmod) "
                "FROM information_schema.columns JOIN pg_attribute ON attname = column_name "
                "WHERE table_name = 'training_polygons' "
                "AND attrelid = 'training_polygons'::regclass ORDER BY ordinal_position"
            )
        ).all()
    assert columns[:4] == [
        ("polygon_id", "text"),
        ("class_label", "text"),
        ("month", "text"),
        ("geom", "geometry(Geometry,3857)"),
    ]


def test_a_feature_of_the_teams_table_without_label_is_told(team_table):
    team_table(1, "2025-06", [feature(0, "Forest", metres(0, 0)), feature(1, None, metres(1, 0))])
    with pytest.raises(
        LandcoverError, match=r"\(id 1-1\) of training_polygons have no class label"
    ):
        fetch(6, aoi=TEAM_AOI)
