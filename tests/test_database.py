"""PostGIS as others keep it: schemas, roles, TLS, time limits, tables of the same name."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely.geometry import box
from sqlalchemy import URL, Engine, create_engine, event, text

from landcover.errors import LandcoverError, SettingsError
from tasks.access.database import database
from tasks.access.settings import PolygonSettings
from tasks.polygons import fetch_polygons
from tasks.records import load_classes
from tests.months import run_of
from tests.rows import CONTRACT, classes_of, query, record, record_map

pytestmark = pytest.mark.usefixtures("prefect_api")

AOI = box(-79.5, 0, -79, 0.5).wkt

WITH_DETAILS = CONTRACT + "ALTER TABLE raster_predictions ADD details jsonb;"


def catalogue(engine: Engine) -> list[Any]:
    """All that the database holds, in its own schemas: relations, columns, constraints."""
    columns = """
        SELECT nspname, relname, relkind, relowner, attname, format_type(atttypid, atttypmod),
            attnotnull, pg_get_expr(adbin, adrelid)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE nspname !~ '^pg_|^information_schema$' ORDER BY nspname, relname, attnum
    """
    constraints = (
        "SELECT conrelid, conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY oid"
    )
    return query(engine, columns) + query(engine, constraints)


def schemas_with(engine: Engine, table: str) -> list[str]:
    found = query(
        engine, f"SELECT schemaname FROM pg_tables WHERE tablename = '{table}' ORDER BY 1"
    )
    return [schema for (schema,) in found]


def fetch() -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(fetch_polygons(run_of(2025, 6, PolygonSettings, aoi=AOI)))


@pytest.fixture
def polygons(run_sql, settings) -> None:
    """Two polygons in the area of interest, in a table that the settings name."""
    run_sql(
        """
        CREATE TABLE polygons AS SELECT number, label,
            ST_SetSRID(ST_MakeEnvelope(-79.3, 0.1, -79.2, 0.2), 4326) AS geom
        FROM (VALUES (1, 'Forest'), (2, 'Water')) AS given (number, label)
        """
    )
    settings(
        TRAINING_POLYGON_TABLE="polygons",
        TRAINING_POLYGON_GEOM_COL="geom",
        TRAINING_POLYGON_CLASS_COL="label",
        TRAINING_POLYGON_ID_COL="number",
    )


# --- schemas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["maps", "Land Cover", """L'État "2025" (100%)"""])
@pytest.mark.usefixtures("in_database", "polygons")
def test_tables_are_made_and_read_in_the_schema_of_the_settings(engine, run_sql, settings, name):
    quoted = '"' + name.replace('"', '""') + '"'
    run_sql(f"CREATE SCHEMA {quoted}".replace("%", "%%"))
    settings(DB_SCHEMA=name)
    assert record_map(record(labels="cacao")) == record_map(record(labels="cacao"))
    assert classes_of(6) == {"cacao": 7}
    assert schemas_with(engine, "ml_models") == [name]
    assert schemas_with(engine, "raster_predictions") == [name]
    joined = f"SELECT ST_SRID(aoi_definition) FROM {quoted}.raster_predictions JOIN "
    assert query(engine, f"{joined} {quoted}.ml_models USING (model_id)") == [(4326,)]
    assert list(fetch()["polygon_id"]) == ["1", "2"]

    run_sql(f"ALTER TABLE {quoted}.raster_predictions DROP details".replace("%", "%%"))
    assert record_map(1) == 1
    run_sql(f"CREATE TABLE {quoted}.polygons AS SELECT * FROM public.polygons".replace("%", "%%"))
    run_sql("DELETE FROM public.polygons")
    assert list(fetch()["polygon_id"]) == ["1", "2"]


@pytest.mark.usefixtures("in_database")
def test_a_schema_that_is_not_there_is_told_and_not_made(engine, settings):
    settings(DB_SCHEMA="Maps")
    before = catalogue(engine)
    with pytest.raises(SettingsError, match="no schema 'Maps', which DB_SCHEMA names: let its own"):
        load_classes(run_of())
    assert catalogue(engine) == before


def test_without_a_schema_of_the_settings_the_roles_own_search_path_serves(role, engine, run_sql):
    run_sql(f"CREATE SCHEMA maps; GRANT ALL ON SCHEMA maps TO {role}")
    run_sql(f"ALTER ROLE {role} SET search_path = maps, public")
    record_map(record())
    assert schemas_with(engine, "raster_predictions") == ["maps"]


def test_tables_of_a_later_schema_of_the_search_path_are_used(role, engine, run_sql):
    run_sql(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
    run_sql(WITH_DETAILS)
    run_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    record_map(record())
    assert schemas_with(engine, "raster_predictions") == ["public"]
    assert query(engine, "SELECT count(*) FROM public.ml_models") == [(1,)]


@pytest.mark.usefixtures("in_database")
def test_postgis_may_be_in_a_schema_that_is_not_on_the_search_path(engine, run_sql, settings):
    run_sql("DROP EXTENSION postgis; CREATE SCHEMA gis; CREATE EXTENSION postgis SCHEMA gis")
    run_sql(
        """
        CREATE TABLE polygons (label text, geom gis.geometry(Polygon, 4326));
        INSERT INTO polygons SELECT label,
            gis.ST_SetSRID(gis.ST_MakeEnvelope(-79.3, 0.1, -79.2, 0.2), 4326)
        FROM unnest(array['Forest', 'Water']) AS label
        """
    )
    settings(
        TRAINING_POLYGON_TABLE="polygons",
        TRAINING_POLYGON_GEOM_COL="geom",
        TRAINING_POLYGON_CLASS_COL="label",
    )
    assert sorted(fetch()["class_label"]) == ["Forest", "Water"]
    assert record_map(record()) == record_map(record())
    assert query(engine, "SELECT gis.ST_SRID(aoi_definition) FROM raster_predictions") == [(4326,)]


@pytest.mark.usefixtures("in_database")
def test_two_first_runs_at_once_make_the_tables_once(engine):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(load_classes.fn, [run_of(2025, month) for month in range(1, 5)]))
    assert found == [{}] * 4
    assert schemas_with(engine, "ml_models") == ["public"]


# --- roles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["serial", "integer GENERATED BY DEFAULT AS IDENTITY"])
def test_a_role_that_may_make_nothing_uses_the_tables_of_another(role, engine, run_sql, key):
    run_sql(WITH_DETAILS.replace("serial", key))
    run_sql(f"GRANT SELECT, INSERT, UPDATE ON ml_models, raster_predictions TO {role}")
    if key == "serial":
        run_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    before = catalogue(engine)
    assert record_map(record()) == record_map(record())
    assert classes_of(6) == {"Forest": 0}
    assert catalogue(engine) == before


@pytest.mark.parametrize(
    ("revoked", "told"),
    [
        ("INSERT ON raster_predictions", "may not INSERT in the table raster_predictions"),
        ("INSERT, UPDATE ON ml_models", "may not INSERT and UPDATE in the table ml_models"),
        (
            "USAGE ON SEQUENCE raster_predictions_prediction_id_seq",
            "has no USAGE of the sequence of the table raster_predictions",
        ),
        ("USAGE ON SCHEMA public", "may not use PostGIS, which is in the schema public of"),
        ("USAGE ON SCHEMA field", "permission denied for schema field"),
    ],
)
def test_a_right_that_is_missing_is_told_at_the_start(role, run_sql, settings, revoked, told):
    settings(DB_SCHEMA="field")
    run_sql(f"CREATE SCHEMA field; SET search_path = field, public; {WITH_DETAILS}")
    run_sql(f"GRANT USAGE ON SCHEMA field TO {role}")
    run_sql(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA field TO {role}")
    run_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA field TO {role}")
    run_sql(f"SET search_path = field; REVOKE {revoked} FROM {role}, public")
    with pytest.raises(LandcoverError) as error:
        load_classes(run_of())
    assert f"role {role} " in str(error.value)
    assert told.replace("the table ", "the table field.") in str(error.value)
    assert "ask its owner to grant" in str(error.value)
    assert error.value.exit_status == 1


def test_the_owner_is_asked_for_the_column_that_another_role_may_not_add(role, engine, run_sql):
    run_sql(CONTRACT)
    run_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    with pytest.raises(SettingsError, match=f"another role than {role}: let its owner") as error:
        load_classes(run_of())
    run_sql(str(error.value).partition("let its owner run ")[2].rstrip("."))
    record_map(record())
    assert query(engine, "SELECT details ->> 'command' FROM raster_predictions") == [("test",)]


@pytest.mark.usefixtures("polygons")
def test_a_time_limit_that_cuts_a_statement_is_told(role, run_sql, settings):
    run_sql(
        f"""
        CREATE VIEW slow AS SELECT *, pg_sleep(60)::text AS waited FROM polygons;
        GRANT SELECT ON slow TO {role};
        ALTER ROLE {role} SET statement_timeout = '500ms';
        """
    )
    settings(TRAINING_POLYGON_TABLE="slow", TRAINING_POLYGON_CLASS_COL="waited")
    with pytest.raises(LandcoverError) as error:
        fetch()
    assert "canceling statement due to statement timeout" in str(error.value)
    assert f"let its owner raise statement_timeout for the role {role}" in str(error.value)
    assert error.value.exit_status == 1


@pytest.mark.usefixtures("in_database", "polygons")
def test_a_connection_that_is_cut_while_polygons_are_read_is_tried_again(engine):
    cut: list[str] = []

    def cut_once(connection, _cursor, statement, *_):
        if "ST_Intersects" in statement and not cut:
            cut.append(statement)
            number = connection.connection.dbapi_connection.info.backend_pid
            with engine.begin() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")

    event.listen(Engine, "before_cursor_execute", cut_once)
    try:
        hasty = fetch_polygons.with_options(retry_delay_seconds=0.1, retry_jitter_factor=None)
        path = hasty(run_of(2025, 6, PolygonSettings, aoi=AOI))
    finally:
        event.remove(Engine, "before_cursor_execute", cut_once)
    assert cut
    assert list(geopandas.read_parquet(path)["polygon_id"]) == ["1", "2"]


# --- tables of the same name ----------------------------------------------------------------------


@pytest.mark.parametrize("schema", [None, "Maps"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE ml_models CASCADE; CREATE TABLE ml_models (id int)", "without metrics, model"),
        ("ALTER TABLE raster_predictions DROP month", "without month: add the columns"),
        (
            "ALTER TABLE ml_models ALTER parameters TYPE text",
            "whose column parameters is TEXT, not JSONB: change its type",
        ),
        (
            "ALTER TABLE raster_predictions ALTER year TYPE date USING now()",
            "whose column year is DATE, not INTEGER: change its type",
        ),
        (
            "ALTER TABLE raster_predictions ALTER aoi_definition TYPE text",
            r"whose column aoi_definition is TEXT, not geometry\(MULTIPOLYGON,4326\)",
        ),
        (
            "ALTER TABLE raster_predictions ALTER aoi_definition TYPE geometry(Polygon, 3857)",
            r"whose column aoi_definition is geometry\(POLYGON,3857\), not geometry\(MULTIPOLYGON",
        ),
    ],
    ids=["another", "column-missing", "text", "date", "no-geometry", "another-geometry"],
)
@pytest.mark.usefixtures("in_database")
def test_a_table_of_another_kind_is_told_and_nothing_is_changed(
    engine, run_sql, settings, schema, change, told
):
    table = change.partition("TABLE ")[2].split()[0]
    if schema:
        run_sql('CREATE SCHEMA "Maps"')
        settings(DB_SCHEMA=schema)
        table = f"Maps.{table}"
    run_sql(f'SET search_path = "{schema or "public"}", public; {CONTRACT} {change}')
    before = catalogue(engine)
    with pytest.raises(SettingsError, match=f"a table {table} of another kind, {told}"):
        load_classes(run_of())
    assert catalogue(engine) == before


@pytest.mark.usefixtures("in_database")
def test_a_table_of_another_kind_in_another_schema_is_none_of_ours(engine, run_sql, settings):
    run_sql("CREATE SCHEMA maps; CREATE TABLE ml_models (id int)")
    settings(DB_SCHEMA="maps")
    assert record_map(record()) == 1
    assert schemas_with(engine, "ml_models") == ["maps", "public"]
    assert query(engine, "SELECT count(*) FROM public.ml_models") == [(0,)]


@pytest.mark.usefixtures("in_database")
def test_columns_of_wider_types_serve(engine, run_sql):
    run_sql(
        WITH_DETAILS.replace("integer", "bigint")
        .replace("varchar", "text")
        .replace("jsonb", "json")
        .replace("timestamptz", "timestamp")
        .replace("geometry", "geometry(Geometry, 4326)")
    )
    record_map(record(labels="cacao"))
    assert classes_of(6) == {"cacao": 7}
    assert query(engine, "SELECT year, details ->> 'command' FROM raster_predictions") == [
        (2025, "test")
    ]


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def with_tls(postgis: URL) -> Iterator[None]:
    """Let the server speak TLS, with a certificate that nobody has signed."""
    if "TEST_DATABASE_URL" in os.environ:
        pytest.skip("the server is not of these tests")
    engine = create_engine(postgis, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        folder = Path(connection.scalar(text("SHOW data_directory")))
        make_certificate(folder)
        for change in ("SET ssl = on", "RESET ssl"):
            connection.execute(text(f"ALTER SYSTEM {change}"))
            connection.execute(text("SELECT pg_reload_conf()"))
            if change == "SET ssl = on":
                yield
    engine.dispose()


def make_certificate(folder: Path) -> None:
    key, certificate = folder / "server.key", folder / "server.crt"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1"
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    key.chmod(0o600)
    for path in (key, certificate):
        shutil.chown(path, folder.owner())


def is_encrypted() -> bool:
    with database(None) as connection:
        found = connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    assert isinstance(found, bool)
    return found


@pytest.mark.usefixtures("in_database", "with_tls")
def test_a_server_with_tls_is_used_so(settings):
    for mode, encrypted in {"require": True, "disable": False, "prefer": True}.items():
        settings(DB_SSLMODE=mode)
        assert is_encrypted() is encrypted
    for mode in ("verify-ca", "verify-full"):
        settings(DB_SSLMODE=mode)
        with pytest.raises(SettingsError, match=r"refuses the connection \(root certificate file"):
            is_encrypted()


@pytest.mark.usefixtures("in_database")
def test_a_server_without_tls_is_told_at_once(settings):
    settings(DB_SSLMODE="require")
    with pytest.raises(SettingsError) as error:
        load_classes(run_of())
    assert "(server does not support SSL, but SSL was required): check " in str(error.value)
    assert "DB_SSLMODE" in str(error.value)
    settings(DB_SSLMODE="prefer")
    assert is_encrypted() is False


@pytest.mark.usefixtures("in_database")
def test_a_mode_that_is_none_is_told(settings):
    settings(DB_SSLMODE="sometimes")
    with pytest.raises(SettingsError, match=r"DB_SSLMODE is wrong .* verify-ca or verify-full"):
        load_classes(run_of())


@pytest.mark.usefixtures("in_database")
def test_a_machine_that_was_switched_off_is_noticed_within_two_minutes():
    with (
        database(None) as connection,
        socket.socket(fileno=os.dup(connection.connection.fileno())) as opened,
    ):
        kept = {
            name: opened.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    silence = kept["TCP_KEEPIDLE"] + kept["TCP_KEEPINTVL"] * kept["TCP_KEEPCNT"]
    assert silence == 120
    assert kept["TCP_USER_TIMEOUT"] == 120_000
