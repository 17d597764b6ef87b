"""PostGIS as others keep it: schemas, roles, TLS, time limits, tables of the same name."""

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import geopandas
import pytest
from prefect import flow, task
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from shapely.geometry import box
from sqlalchemy import URL, Engine, create_engine, event, text

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.period import Period
from tasks.access.database import access, access_of, connect, database, schema
from tasks.access.settings import PolygonSettings
from tasks.access.storage import storage
from tasks.access.tables import check_tables
from tasks.polygons import fetch_polygons
from tests.months import run_of
from tests.rows import CONTRACT, classes_of, load_classes, query, record, record_map
from tests.servers.environment import of_database
from tests.servers.postgis import new_database, postgis_server
from tests.servers.waiting import wait_for

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
    record_map(record())
    run_sql(f"CREATE TABLE {quoted}.polygons AS SELECT * FROM public.polygons".replace("%", "%%"))
    run_sql("DELETE FROM public.polygons")
    assert list(fetch()["polygon_id"]) == ["1", "2"]


@pytest.mark.usefixtures("in_database")
def test_a_schema_that_is_not_there_is_told_and_not_made(engine, settings):
    settings(DB_SCHEMA="Maps")
    before = catalogue(engine)
    with pytest.raises(SettingsError, match="no schema 'Maps', which DB_SCHEMA names: let its own"):
        check_tables(None)
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
        list(pool.map(check_tables, [None] * 4))
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
        ("INSERT ON raster_predictions", "may not write the table raster_predictions (permission"),
        ("UPDATE ON ml_models", "may not write the table ml_models (permission denied"),
        ("SELECT ON ml_models", "may not write the table ml_models (permission denied"),
        (
            "USAGE ON SEQUENCE raster_predictions_prediction_id_seq",
            "(permission denied for sequence raster_predictions_prediction_id_seq): ask",
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
        check_tables(None)
    assert f"role {role} " in str(error.value)
    assert told.replace("the table ", "the table field.") in str(error.value)
    assert "ask its owner to grant" in str(error.value)
    assert error.value.exit_status == 1


def test_the_owner_is_asked_for_the_column_that_another_role_may_not_add(role, engine, run_sql):
    run_sql(CONTRACT)
    run_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    with pytest.raises(LandcoverError, match=f"{role} may not write .*: let its owner") as error:
        check_tables(None)
    run_sql(str(error.value).partition("let its owner run ")[2].rstrip("."))
    record_map(record())
    assert query(engine, "SELECT details ->> 'command' FROM raster_predictions") == [("test",)]


@pytest.mark.usefixtures("polygons")
def test_a_time_limit_that_cuts_a_statement_is_told(role, run_sql, settings):
    run_sql(
        f"""
        CREATE VIEW slow AS SELECT *, pg_sleep(60)::text AS waited FROM polygons;
        GRANT SELECT ON slow TO {role};
        ALTER ROLE {role} SET statement_timeout = '3s';
        """
    )
    settings(TRAINING_POLYGON_TABLE="slow", TRAINING_POLYGON_CLASS_COL="waited")
    with pytest.raises(LandcoverError) as error:
        fetch()
    assert "canceling statement due to statement timeout" in str(error.value)
    assert f"let its owner raise statement_timeout for the role {role}" in str(error.value)
    assert error.value.exit_status == 1


def test_a_lock_of_another_is_waited_for_and_may_heal(role, run_sql, engine):
    run_sql(WITH_DETAILS)
    run_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    run_sql(f"ALTER ROLE {role} SET statement_timeout = '2s'")
    with engine.begin() as other:
        other.exec_driver_sql("LOCK ml_models")
        with pytest.raises(
            TransientError, match=r"cannot do now .* wait for the end of what holds"
        ):
            check_tables(None)
    check_tables(None)


@pytest.mark.usefixtures("polygons")
def test_what_a_view_stumbles_over_is_told(in_database, run_sql, settings):
    run_sql("CREATE VIEW broken AS SELECT *, (label || number)::int AS code FROM polygons")
    settings(TRAINING_POLYGON_TABLE="broken", TRAINING_POLYGON_CLASS_COL="code")
    with pytest.raises(
        LandcoverError, match=r"refuses a statement \(invalid input syntax for type"
    ):
        fetch()


def test_a_block_without_a_host_is_told_as_what_it_is(monkeypatch):
    # No server is there.
    monkeypatch.setenv("PGPORT", "1")
    components = ConnectionComponents(
        driver=SyncDriver.POSTGRESQL_PSYCOPG2, username="team", password="secret", database="maps"
    )
    block = SqlAlchemyConnector(connection_info=components)
    told = (
        r"team@\(no host, so this machine\)/maps cannot be reached .*: set a host, or the databas"
    )
    with pytest.raises(TransientError, match=told), connect(*access_of(block)):
        pass


@pytest.mark.usefixtures("in_database", "polygons")
def test_a_connection_that_is_cut_while_polygons_are_read_is_tried_again(engine):
    cut: list[str] = []

    def cut_once(connection, _cursor, statement, *_):
        if "ST_CurveToLine" in statement and not cut:
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

DROP_UNIQUE = "ALTER TABLE ml_models DROP CONSTRAINT ml_models_model_filename_key;"

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE 'only the office writes here'; END $$;
"""

DROP_ROW = """
    CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
"""

EACH = "FOR EACH ROW EXECUTE FUNCTION"


@pytest.mark.parametrize("schema", [None, "Maps"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "DROP TABLE ml_models CASCADE; CREATE TABLE ml_models (id int)",
            r"\(column .model_filename. of relation .ml_models. does not exist\): add the column",
        ),
        ("ALTER TABLE raster_predictions DROP month", "column .month. of .*: add the column"),
        (
            "ALTER TABLE ml_models ALTER parameters TYPE text",
            r"\(the column parameters gives '.*' for {.*}\): change its type to JSONB",
        ),
        (
            "ALTER TABLE raster_predictions ALTER year TYPE date USING now()",
            "column .year. is of type date .*: change the column's type",
        ),
        (
            "ALTER TABLE raster_predictions ALTER year TYPE text",
            r"\(the column year gives '2025' for 2025\): change its type to INTEGER",
        ),
        (
            "ALTER TABLE ml_models ALTER trained_at TYPE date",
            r"\(the column trained_at gives .*\): change its type to TIMESTAMP WITH TIME ZONE",
        ),
        ("ALTER TABLE ml_models ALTER model_filename TYPE varchar(20)", "value too long for type"),
        (
            "ALTER TABLE raster_predictions ALTER aoi_definition TYPE text",
            r"\(it has no geometry in a column aoi_definition\): give it one",
        ),
        (
            "ALTER TABLE raster_predictions ALTER aoi_definition TYPE geometry(Polygon, 4326)",
            r"\(Geometry .*\): change the column's type",
        ),
        (
            "ALTER TABLE raster_predictions ALTER aoi_definition TYPE geometry(MultiPolygon, 3857)",
            r"\(Geometry SRID \(4326\) does not match .*\): change the column's type",
        ),
        (
            DROP_UNIQUE,
            "add a unique constraint, or a unique index without a condition, on model_filename",
        ),
        # Such an index is unique, but serves no upsert.
        (
            f"{DROP_UNIQUE} CREATE UNIQUE INDEX ON ml_models (model_filename) WHERE year > 2000",
            "add a unique constraint, or a unique index without a condition, on model_filename",
        ),
        (
            f"{DROP_UNIQUE} ALTER TABLE ml_models ADD UNIQUE (model_filename) DEFERRABLE",
            "ON CONFLICT does not support deferrable unique constraints",
        ),
        # Such constraints judge the rows that are there by what a run of their month writes.
        (
            """INSERT INTO ml_models (model_filename, year, month) VALUES ('of others', 2025, 6);
                CREATE UNIQUE INDEX ON ml_models (year, month) WHERE year < 2090""",
            r"\(duplicate key value .*\): where it names .* else change the row or",
        ),
        (
            """INSERT INTO ml_models (model_filename, year, month) VALUES ('of others', 2025, 6);
                ALTER TABLE ml_models ADD UNIQUE (year, month) DEFERRABLE INITIALLY DEFERRED""",
            r"\(duplicate key value .*\): where it names .* else change the row or",
        ),
        (
            """DROP TABLE raster_predictions; ALTER TABLE ml_models DROP CONSTRAINT ml_models_pkey,
                ADD PRIMARY KEY (model_id) DEFERRABLE""",
            "cannot use a deferrable .*: let no constraint on model_id .* be deferrable",
        ),
        (
            "DROP TABLE raster_predictions; ALTER TABLE ml_models DROP CONSTRAINT ml_models_pkey",
            "no unique constraint .*: add a primary key on model_id",
        ),
        (
            "ALTER TABLE ml_models ADD note text NOT NULL",
            "null value in column .note. .*: let the column be null, or give it a default",
        ),
        (
            "ALTER TABLE raster_predictions ALTER prediction_id DROP DEFAULT",
            "null value in column .prediction_id. .*: let the column be null, or give it a default",
        ),
        (
            "ALTER TABLE raster_predictions ADD CHECK (model_id IS NULL)",
            "violates check constraint .*: change the table",
        ),
        # A restored copy has rows that its sequence does not know of.
        (
            "INSERT INTO ml_models (model_id) VALUES (1)",
            "where it names model_id, set its sequence past the highest model_id there, with set",
        ),
        (
            f"{REFUSE} CREATE TRIGGER refuse BEFORE UPDATE ON ml_models {EACH} refuse()",
            r"\(only the office writes here\): change the table",
        ),
        (
            f"""{REFUSE} CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON ml_models
                INITIALLY DEFERRED {EACH} refuse()""",
            r"\(only the office writes here\): change the table",
        ),
        (
            f"{DROP_ROW} CREATE TRIGGER drop_row BEFORE INSERT ON ml_models {EACH} drop_row()",
            "a trigger or rule drops them",
        ),
        (
            """ALTER TABLE ml_models RENAME TO kept;
                CREATE VIEW ml_models AS SELECT DISTINCT * FROM kept""",
            "cannot insert into view",
        ),
    ],
    ids=[
        "another",
        "column-missing",
        "text",
        "date",
        "number-as-text",
        "time-as-date",
        "too-short",
        "no-geometry",
        "another-geometry",
        "another-srid",
        "not-unique",
        "unique-in-part",
        "unique-at-the-end",
        "a-month-of-others",
        "a-month-of-others-at-the-end",
        "key-at-the-end",
        "no-key",
        "not-null",
        "no-number",
        "check",
        "sequence-behind",
        "trigger",
        "deferred-trigger",
        "rows-dropped",
        "view",
    ],
)
@pytest.mark.usefixtures("in_database")
def test_a_table_of_another_kind_is_told_and_nothing_is_changed(
    engine, run_sql, settings, schema, change, told
):
    if schema:
        run_sql('CREATE SCHEMA "Maps"')
        settings(DB_SCHEMA=schema)
    run_sql(f'SET search_path = "{schema or "public"}", public; {CONTRACT} {change}')
    before = catalogue(engine)
    table = f"The table {schema}." if schema else "The table "
    with pytest.raises(
        SettingsError, match=rf"^{table}(ml_models|raster_predictions) .*{told}"
    ) as error:
        check_tables(None, Period(2025, 6))
    assert str(error.value).endswith(", or use another database or DB_SCHEMA.")
    assert catalogue(engine) == before


@pytest.mark.usefixtures("in_database")
def test_a_table_of_another_kind_in_another_schema_is_none_of_ours(engine, run_sql, settings):
    run_sql("CREATE SCHEMA maps; CREATE TABLE ml_models (id int)")
    settings(DB_SCHEMA="maps")
    record_map(record())
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


@pytest.mark.usefixtures("in_database")
def test_what_is_tried_leaves_nothing_and_disturbs_no_row(engine, run_sql):
    number = record_map(record())
    # A row of the very names that are tried.
    run_sql("UPDATE ml_models SET model_filename = 'rf_model_209912.joblib', year = 1")
    rows = [f"SELECT * FROM {table}" for table in ("ml_models", "raster_predictions")]
    before = catalogue(engine), [query(engine, row) for row in rows]
    check_tables(None)
    assert (catalogue(engine), [query(engine, row) for row in rows]) == before
    assert query(engine, "SELECT prediction_id FROM raster_predictions") == [(number,)]


def test_what_is_tried_leaves_nothing_in_sqlite(settings):
    settings(METADATA_DB="meta.db")
    check_tables(None)
    with closing(sqlite3.connect("meta.db")) as file:
        for table in ("ml_models", "raster_predictions"):
            assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE ml_models DROP COLUMN metrics", "has no column named metrics"),
        (
            """CREATE TRIGGER refuse BEFORE UPDATE ON ml_models
                BEGIN SELECT raise(ABORT, 'only the office'); END""",
            "(only the office): change the table",
        ),
    ],
    ids=["column", "trigger"],
)
def test_a_table_of_another_kind_in_sqlite_is_told(settings, change, told):
    settings(METADATA_DB="meta.db")
    check_tables(None)
    with closing(sqlite3.connect("meta.db")) as file:
        file.execute(change)
    with pytest.raises(SettingsError) as error:
        check_tables(None)
    assert "The table ml_models does not take a run's rows (" in str(error.value)
    assert told in str(error.value)
    assert str(error.value).endswith("or use another METADATA_DB.")


def test_row_level_security_that_keeps_the_role_out_is_told(role, run_sql):
    run_sql(WITH_DETAILS)
    run_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    run_sql("ALTER TABLE raster_predictions ENABLE ROW LEVEL SECURITY")
    with pytest.raises(LandcoverError, match=r"violates row-level security policy .* let the role"):
        check_tables(None)


def test_a_read_only_copy_is_told(role, run_sql):
    run_sql(WITH_DETAILS)
    run_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    run_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    run_sql(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    with pytest.raises(LandcoverError, match=r"takes no changes .* set DB_HOST to the server"):
        check_tables(None)


@pytest.mark.usefixtures("in_database")
def test_a_wrong_table_fails_only_what_writes_it(run_sql):
    record(labels="cacao")
    run_sql("DROP TABLE raster_predictions; CREATE TABLE raster_predictions (id int)")
    assert load_classes(run_of()) == {"cacao": 7}


# --- settings -------------------------------------------------------------------------------------


def test_an_env_file_edited_in_the_middle_of_a_run_changes_nothing_in_it(settings):
    def write(name: str) -> None:
        Path(".env").write_text(
            f"DB_HOST={name}.example.org\nDB_NAME={name}\nDB_USER=team\nDB_SCHEMA={name}\n"
            f"DB_PASSWORD=secret-{name}\nS3_ENDPOINT_URL=https://{name}.example.org\n"
        )

    @task
    def seen() -> list[object]:
        url, _ = access(None)
        with storage(None):
            endpoint = fsspec.config.conf["s3"]["client_kwargs"]["endpoint_url"]
        return [url.host, url.password, schema(), endpoint]

    @flow
    def edited(first: str, then: str) -> list[list[object]]:
        write(first)
        before = seen()
        write(then)
        return [before, seen(), seen.submit().result()]

    for first, then in (("old", "new"), ("new", "other")):
        host = f"{first}.example.org"
        assert edited(first, then) == 3 * [[host, f"secret-{first}", first, f"https://{host}"]]
    assert schema() == "other"  # outside a run nothing is kept


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def with_tls(settings) -> Iterator[None]:
    """Settings of a server of this test's own that speaks TLS, with a certificate of nobody."""
    if "TEST_DATABASE_URL" in os.environ:
        pytest.skip("the server is not of these tests")
    with postgis_server() as server, new_database(server, "with_tls") as url:
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            make_certificate(Path(connection.scalar(text("SHOW data_directory"))))
            connection.execute(text("ALTER SYSTEM SET ssl = on"))
            connection.execute(text("SELECT pg_reload_conf()"))
        wait_for("the server speaks TLS", lambda: shows_tls(server))
        engine.dispose()
        settings(**of_database(url))
        yield


def shows_tls(server: URL) -> bool | None:
    engine = create_engine(server)
    with engine.connect() as connection:
        shown = connection.scalar(text("SHOW ssl"))
    engine.dispose()
    return shown == "on" or None


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


@pytest.mark.usefixtures("with_tls")
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
        check_tables(None)
    assert "(server does not support SSL, but SSL was required): set " in str(error.value)
    assert "DB_SSLMODE" in str(error.value)
    settings(DB_SSLMODE="prefer")
    assert is_encrypted() is False


@pytest.mark.usefixtures("in_database")
def test_a_mode_that_is_none_is_told(settings):
    settings(DB_SSLMODE="sometimes")
    with pytest.raises(SettingsError, match=r"DB_SSLMODE is wrong .* verify-ca or verify-full"):
        check_tables(None)


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
