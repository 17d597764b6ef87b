"""The tables of models and predictions, on a real PostGIS and on SQLite."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import IntegrityError
from upath import UPath

from landcover.classes import FIXED_CODES
from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.lookalikes import class_notices
from landcover.model.forest import Model
from landcover.model.metrics import Metrics
from tasks import records
from tasks.access.tables import check_tables
from tasks.training import Training
from tests.months import run_of
from tests.rows import (
    CONTRACT,
    classes_of,
    find_model,
    load_classes,
    query,
    record,
    record_map,
    record_training,
    training,
)
from tests.servers.postgis import spanish_cluster, spanish_server
from tests.servers.waiting import wait_for

pytestmark = pytest.mark.usefixtures("prefect_api")

# Column, type and nullability, in order: what other software relies on.
ML_MODELS = [
    ("model_id", "integer", "NO"),
    ("model_filename", "character varying", "YES"),
    ("model_type", "character varying", "YES"),
    ("trained_at", "timestamp with time zone", "YES"),
    ("training_data_source", "character varying", "YES"),
    ("parameters", "jsonb", "YES"),
    ("metrics", "jsonb", "YES"),
    ("year", "integer", "YES"),
    ("month", "integer", "YES"),
]
RASTER_PREDICTIONS = [
    ("prediction_id", "integer", "NO"),
    ("prediction_filename", "character varying", "YES"),
    ("prediction_path", "character varying", "YES"),
    ("generated_at", "timestamp with time zone", "YES"),
    ("model_id", "integer", "YES"),
    ("source_mosaic", "character varying", "YES"),
    ("year", "integer", "YES"),
    ("month", "integer", "YES"),
    ("aoi_definition", "geometry", "YES"),
]


@pytest.fixture(params=["postgis", "sqlite"])
def tables(request: pytest.FixtureRequest, settings) -> Engine:
    """An empty database of either kind, which the settings point to."""
    if request.param == "postgis":
        request.getfixturevalue("in_database")
        engine: Engine = request.getfixturevalue("engine")
        return engine
    settings(METADATA_DB="deep/down/meta.db")
    return create_engine("sqlite:///deep/down/meta.db")


def columns(engine: Engine, table: str) -> list[Any]:
    return query(
        engine,
        "SELECT column_name, CASE data_type WHEN 'USER-DEFINED' THEN udt_name ELSE data_type END, "
        f"is_nullable FROM information_schema.columns WHERE table_name = '{table}' "
        "ORDER BY ordinal_position",
    )


# --- the tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "contract", "key"),
    [
        ("ml_models", ML_MODELS, "model_id"),
        ("raster_predictions", RASTER_PREDICTIONS, "prediction_id"),
    ],
)
@pytest.mark.usefixtures("in_database")
def test_missing_tables_are_made_with_the_contracts_columns(engine, table, contract, key):
    check_tables(None)
    made = columns(engine, table)
    assert made[: len(contract)] == contract
    assert all(nullable == "YES" for _, _, nullable in made[len(contract) :])
    found = inspect(engine)
    assert found.get_pk_constraint(table)["constrained_columns"] == [key]
    (unique,) = found.get_unique_constraints(table)
    assert unique["column_names"] == [contract[1][0]]
    defaults = {column["name"]: column["default"] for column in found.get_columns(table)}
    assert defaults[contract[3][0] if table == "ml_models" else "generated_at"] == "now()"
    assert defaults[key] == f"nextval('{table}_{key}_seq'::regclass)"
    references = found.get_foreign_keys(table)
    if table == "ml_models":
        assert not references
    else:
        assert references[0]["referred_table"] == "ml_models"
        assert references[0]["constrained_columns"] == ["model_id"]


def test_sqlite_has_the_same_columns_and_the_area_as_text(settings):
    settings(METADATA_DB="meta.db")
    record_map(record())
    engine = create_engine("sqlite:///meta.db")
    made = {
        table: [column["name"] for column in inspect(engine).get_columns(table)]
        for table in ("ml_models", "raster_predictions")
    }
    assert made["ml_models"] == [name for name, *_ in ML_MODELS]
    assert made["raster_predictions"][:-1] == [name for name, *_ in RASTER_PREDICTIONS]
    ((area,),) = query(engine, "SELECT aoi_definition FROM raster_predictions")
    assert area == "POLYGON ((-79.5 0.1, -79.4 0.1, -79.4 0.2, -79.5 0.1))"


@pytest.mark.usefixtures("in_database")
def test_the_area_is_a_geometry_in_postgis(engine):
    record_map(record())
    ((kind, srid, area),) = query(
        engine,
        "SELECT GeometryType(aoi_definition), ST_SRID(aoi_definition), ST_AsText(aoi_definition) "
        "FROM raster_predictions",
    )
    assert (kind, srid) == ("MULTIPOLYGON", 4326)
    assert area == "MULTIPOLYGON(((-79.5 0.1,-79.4 0.1,-79.4 0.2,-79.5 0.1)))"


@pytest.mark.usefixtures("in_database")
def test_tables_that_are_there_with_more_columns_are_used(engine, run_sql):
    run_sql(CONTRACT)
    run_sql("ALTER TABLE ml_models ADD note text NOT NULL DEFAULT 'x', ADD remark text")
    assert record_map(record(), hectares=2.5) == record_map(record(), hectares=3.5)
    assert query(engine, "SELECT note, year FROM ml_models") == [("x", 2025)]
    made = columns(engine, "raster_predictions")
    assert made[: len(RASTER_PREDICTIONS)] == RASTER_PREDICTIONS
    assert query(engine, "SELECT details -> 'hectares' ->> 'Forest' FROM raster_predictions") == [
        ("3.5",)
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "DROP TABLE ml_models CASCADE; CREATE TABLE ml_models (id int, parameters text)",
            r'ml_models does not take .* \(column "model_filename" of relation .*: add the column',
        ),
        (
            "ALTER TABLE ml_models DROP metrics",
            r'ml_models does not take .* \(column "metrics" of relation "ml_models" does not exist',
        ),
        (
            (
                "ALTER TABLE raster_predictions "
                "DROP CONSTRAINT raster_predictions_prediction_filename_key"
            ),
            "raster_predictions does not take .* add a unique .* on prediction_filename",
        ),
        (
            "ALTER TABLE ml_models ADD note text NOT NULL",
            'ml_models does not take .*null value in column "note" .* give it a default',
        ),
    ],
    ids=["another-table", "column-missing", "not-unique", "not-null"],
)
@pytest.mark.usefixtures("in_database")
def test_a_table_of_another_kind_is_told_and_left_alone(engine, run_sql, change, told):
    run_sql(CONTRACT)
    run_sql(change)
    before = columns(engine, "ml_models"), columns(engine, "raster_predictions")
    with pytest.raises(SettingsError, match=told):
        check_tables(None)
    assert before == (columns(engine, "ml_models"), columns(engine, "raster_predictions"))


@pytest.mark.usefixtures("in_database")
def test_only_the_other_table_there_is_told_and_nothing_is_made(engine, run_sql):
    run_sql("CREATE TABLE raster_predictions (id int)")
    with pytest.raises(SettingsError, match="raster_predictions does not take a run's rows"):
        check_tables(None)
    assert columns(engine, "ml_models") == []


# --- rows -----------------------------------------------------------------------------------------


def test_a_month_recorded_again_replaces_its_row_and_keeps_its_key(tables):
    first = record(accuracy=0.5), record(month=7)
    maps = record_map(first[0], hectares=1.0), record_map(first[1], month=7)
    before = query(tables, "SELECT trained_at FROM ml_models WHERE month = 6")
    assert record(accuracy=0.75) == first[0]
    assert record_map(first[0], hectares=2.0) == maps[0]

    models = query(
        tables, "SELECT model_id, model_filename, month, metrics FROM ml_models ORDER BY 1"
    )
    assert [row[:3] for row in models] == [
        (first[0], "rf_model_202506.joblib", 6),
        (first[1], "rf_model_202507.joblib", 7),
    ]
    assert "0.75" in str(models[0][3])
    assert query(tables, "SELECT trained_at FROM ml_models WHERE month = 6") >= before
    predictions = query(
        tables,
        "SELECT prediction_id, prediction_filename, model_id, details FROM raster_predictions "
        "ORDER BY 1",
    )
    assert [row[:3] for row in predictions] == [
        (maps[0], "prediction_202506.tif", first[0]),
        (maps[1], "prediction_202507.tif", first[1]),
    ]
    assert "2.0" in str(predictions[0][3])


def test_a_map_whose_model_was_replaced_says_so(tables):
    model = record()
    other = record(month=7)
    record_map(model)
    record_map(other, month=7)

    def replaced() -> list[bool]:
        rows = query(tables, "SELECT details FROM raster_predictions ORDER BY year, month")
        return ["was replaced: map the month again" in str(row[0]) for row in rows]

    assert replaced() == [False, False]
    assert record_training(training(sha256="ef" * 32)) == model
    assert replaced() == [True, False]
    # Trained again as it was: the map is that model's after all.
    assert record_training(training()) == model
    assert replaced() == [False, False]


@pytest.mark.usefixtures("in_database", "hasty")
def test_files_whose_row_is_not_committed_are_taken_back(run_sql, engine):
    model = record()
    record_map(model)
    folder = run_of().files.maps
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    row = query(engine, "SELECT generated_at, details::text FROM raster_predictions")
    # The server ends the connection at COMMIT.
    run_sql(
        """
        CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER leave AFTER INSERT OR UPDATE ON raster_predictions
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.month = 6)
            EXECUTE FUNCTION leave()
        """
    )
    with pytest.raises(TransientError):
        record_map(model, hectares=2.0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert query(engine, "SELECT generated_at, details::text FROM raster_predictions") == row
    run_sql("DROP TRIGGER leave ON raster_predictions")
    record_map(model, hectares=2.0)
    assert (folder / "prediction_202506.tif").read_text() == "2025-6 2.0"


@pytest.mark.usefixtures("in_database")
def test_a_prediction_refers_to_a_model_that_is_there(engine):
    record_map(record())
    joined = "SELECT model_filename FROM raster_predictions JOIN ml_models USING (model_id)"
    assert query(engine, joined) == [("rf_model_202506.joblib",)]
    with pytest.raises(IntegrityError, match="violates foreign key"), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ml_models")


def test_a_model_is_found_as_it_was_recorded(tables):
    number = record(labels="Forest barren Water")
    assert find_model(run_of(2025, 6)) == (
        number,
        Training(
            Model(
                UPath("data/models/rf_model_202506.joblib"),
                "ab" * 32,
                ("blue", "nir"),
                {0: "Forest", 4: "Water", 7: "barren"},
            ),
            "samples",
            {"forest": {"trees": 5}, "sampling": None},
            Metrics.from_json({"accuracy": 0.9}),
            # Which polygons of its own month taught it is not in the row.
            taught_by={"2025-06": None},
        ),
    )
    assert query(tables, "SELECT count(*) FROM ml_models") == [(1,)]


@pytest.mark.parametrize("metrics", ["NULL", "'null'", "'{}'"])
def test_a_row_without_metrics_has_none(tables, metrics):
    record()
    with tables.begin() as connection:
        connection.execute(text(f"UPDATE ml_models SET metrics = {metrics}"))
    _, found = find_model(run_of(2025, 6))
    assert found.metrics is None


@pytest.mark.usefixtures("tables")
def test_a_month_without_model_is_told_with_what_to_do(settings):
    record(month=5)
    with pytest.raises(LandcoverError) as error:
        find_model(run_of(2025, 6))
    assert "No model of 2025-06 is recorded in ml_models" in str(error.value)
    assert "flows/train_model.py --year 2025 --month 6" in str(error.value)
    assert error.value.exit_status == 1


@pytest.mark.parametrize(
    "parameters",
    [
        "NULL",
        "'{}'",
        '\'{"classes": {}, "bands": []}\'',
        "'\"trees: 5\"'",
        "'[1, 2]'",
        '\'{"classes": {"0": "Forest"}, "bands": ["nir"]}\'',
        '\'{"classes": {"Forest": true}, "bands": ["nir"]}\'',
        '\'{"classes": {"Forest": 255}, "bands": ["nir"]}\'',
        '\'{"classes": ["Forest"], "bands": 4}\'',
    ],
)
def test_a_model_row_of_other_software_is_told(tables, parameters):
    check_tables(None)
    with tables.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ml_models (model_filename, parameters) "
            f"VALUES ('rf_model_202506.joblib', {parameters})"
        )
    assert load_classes(run_of()) == {}
    with pytest.raises(LandcoverError, match=r"does not say its .*sha256 in parameters"):
        find_model(run_of(2025, 6))


# --- class codes ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_a_label_of_the_teams_own_keeps_its_code_whatever_others_come():
    record(month=1, labels="Forest pasture")
    record(month=2, labels="Forest cacao banana pasture")
    record(month=3, labels="Forest Pasture")
    record(month=4, labels="aardvark banana Water")
    assert classes_of(1) == {"Forest": 0, "pasture": 7}
    assert classes_of(2) == {"Forest": 0, "pasture": 7, "banana": 8, "cacao": 9}
    assert classes_of(3) == {"Forest": 0, "pasture": 7}
    assert classes_of(4) == {"Water": 4, "banana": 8, "aardvark": 10}
    record(month=1, labels="Forest zebra pasture")
    assert classes_of(1) == {"Forest": 0, "pasture": 7, "zebra": 11}
    assert load_classes(run_of()).keys() - FIXED_CODES == {
        "pasture",
        "banana",
        "cacao",
        "aardvark",
        "zebra",
    }


@pytest.mark.usefixtures("tables")
def test_what_is_told_of_a_new_class_is_told_again_when_its_month_is_run_again():
    record(month=1, labels="pasture")
    record(month=2, labels="pastures")
    known = records.load_classes.fn(run_of(2025, 2))
    assert known.codes == {"pasture": 7, "pastures": 8}
    assert known.earlier == {"pasture": 7}
    (notice,) = class_notices({"pastures": 8}, known.earlier)
    assert str(notice).startswith("The class pastures is new and has the code 8")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("banana Forest", "This month gave cacao the class code 7, but another .* gave banana 7:"),
        ("banana cacao", "This month gave cacao the class code 7, but another .* gave banana 7:"),
    ],
)
def test_two_months_that_clash_are_told_and_the_first_stays(tables, other, told):
    check_tables(None)
    mine = training(month=2, given=load_classes(run_of()), labels="cacao Water")
    record(month=1, labels=other)
    with pytest.raises(LandcoverError, match=told):
        record_training(mine, 2025, 2)
    assert query(tables, "SELECT month FROM ml_models") == [(1,)]
    record(month=2, labels="cacao Water")


@pytest.mark.usefixtures("tables")
def test_one_label_never_gets_two_codes():
    record(month=1, labels="banana")
    mine = training(month=2, given=load_classes(run_of()), labels="cacao")
    record(month=1, labels="cacao")  # banana is forgotten, and cacao is 8 all the same
    assert record_training(mine, 2025, 2)
    record(month=3, labels="Forest")
    other = training(month=3, given={"xylo": 9}, labels="cacao")
    with pytest.raises(LandcoverError, match=r"gave cacao the class code 10, but .* gave cacao 8:"):
        record_training(other, 2025, 3)


# --- a database that will not do ------------------------------------------------------------------


@pytest.mark.usefixtures("in_database")
def test_a_database_without_postgis_is_told(engine, run_sql):
    run_sql("DROP EXTENSION postgis CASCADE")
    with pytest.raises(SettingsError, match=r"has no PostGIS: .* CREATE EXTENSION postgis"):
        check_tables(None)
    assert columns(engine, "ml_models") == []


def test_a_role_without_rights_is_told(role, run_sql):
    with pytest.raises(
        LandcoverError, match=f"role {role} may not .* schema public.*: ask .* CREATE"
    ):
        check_tables(None)
    run_sql(CONTRACT)
    run_sql("ALTER TABLE raster_predictions ADD details jsonb")
    with pytest.raises(LandcoverError, match=f"role {role} may not write the table ml_models"):
        check_tables(None)


SECRET = "Sésamo-%40 'open'"


def said(error: BaseException) -> str:
    """All that a failure and its causes say."""
    causes = []
    cause: BaseException | None = error
    while cause:
        causes += [str(cause), repr(cause)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(causes)


@pytest.mark.parametrize(
    ("changed", "told", "advice"),
    [
        ({"DB_PASSWORD": SECRET}, "password authentication failed", "check DB_USER and DB_PASSW"),
        (
            {"DB_PASSWORD": SECRET, "DB_HOST": "localhost"},
            "password authentication failed",
            "check DB_USER and DB_PASSWORD",
        ),
        ({"DB_PASSWORD": None}, "it wants a password, and DB_PASSWORD is not set", "set it"),
        (
            {"DB_USER": "nobody"},
            'password authentication failed for user "nobody"',
            "check DB_USER and DB_PASSWORD",
        ),
        ({"DB_NAME": "nothing"}, 'database "nothing" does not exist', "check DB_NAME"),
    ],
    ids=["password", "password-at-a-name", "no-password", "role", "database"],
)
def test_a_refused_connection_is_told_at_once_and_never_shows_the_password(
    in_database: URL, settings, changed, told, advice, capfd, caplog
):
    settings(**changed)
    with pytest.raises(SettingsError) as error:
        load_classes(run_of())
    assert f"refuses the connection ({told}" in str(error.value)
    assert f"): {advice}" in str(error.value)
    captured = "".join([*capfd.readouterr(), caplog.text, said(error.value)])
    for secret in (SECRET, "S%C3%A9samo", in_database.password):
        assert secret not in captured


def refusal(settings, url: URL, **changed: object) -> LandcoverError:
    """Why a server refuses a connection."""
    settings(
        DB_HOST=url.host,
        DB_PORT=url.port,
        DB_USER=changed.get("user", url.username),
        DB_PASSWORD=changed.get("password", url.password),
        DB_NAME=changed.get("name", url.database),
    )
    with pytest.raises(LandcoverError) as error:
        check_tables(None)
    return error.value


@pytest.fixture
def cluster() -> Iterator[Path]:
    if "TEST_DATABASE_URL" in os.environ:
        pytest.skip("the server is not of these tests")
    with spanish_cluster() as folder:
        yield folder


def test_what_a_server_refuses_in_spanish_is_final_or_heals_as_in_english(cluster, settings):
    with spanish_server(cluster) as url:
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0 PASSWORD 'many'"))
            connection.execute(text("CREATE DATABASE closed ALLOW_CONNECTIONS false"))
        admin.dispose()
        final = {
            "la autentificación password falló": refusal(settings, url, password="wrong"),
            "no existe la base de datos": refusal(settings, url, name="nothing"),
        }
        passing = {
            "demasiadas conexiones": refusal(settings, url, user="crowd", password="many"),
            "no acepta conexiones": refusal(settings, url, name="closed"),
        }
    for said, error in final.items():
        assert isinstance(error, SettingsError)
        assert said in str(error)
    for said, error in passing.items():
        assert isinstance(error, TransientError)
        assert said in str(error)

    with spanish_server(cluster, waits=True) as url:

        def answer() -> LandcoverError | None:
            found = refusal(settings, url)
            return None if "Connection refused" in str(found) else found

        error = wait_for("the server answers", answer)
    assert isinstance(error, TransientError)
    assert "wait until it takes connections" in str(error)


def test_a_server_that_is_not_reachable_is_tried_again_and_told(in_database, settings, caplog):
    settings(DB_PORT=1)
    hasty = records.load_classes.with_options(retry_delay_seconds=0.1, retry_jitter_factor=None)
    with pytest.raises(TransientError) as error:
        hasty(run_of())
    assert f"@127.0.0.1:1/{in_database.database} cannot be reached" in str(error.value)
    assert "Connection refused" in str(error.value)
    assert "check that it runs, and DB_HOST and DB_PORT" in str(error.value)
    assert error.value.exit_status == 1
    assert caplog.text.count("cannot be reached") >= 4
    assert in_database.password not in caplog.text


def test_a_connection_that_the_server_cuts_is_tried_again(in_database, engine):
    record(labels="cacao")
    cut: list[str] = []

    def cut_once(connection, _cursor, statement, *_):
        if "SELECT ml_models.parameters" in statement and not cut:
            cut.append(statement)
            number = connection.connection.dbapi_connection.info.backend_pid
            with engine.begin() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")

    event.listen(Engine, "before_cursor_execute", cut_once)
    try:
        hasty = records.load_classes.with_options(retry_delay_seconds=0.1, retry_jitter_factor=None)
        assert hasty(run_of()).codes == {"cacao": 7}
    finally:
        event.remove(Engine, "before_cursor_execute", cut_once)
    assert cut


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"DB_NAME": None}, "DB_HOST is set, but DB_NAME is not"),
        ({"DB_NAME": "", "DB_USER": None}, "DB_HOST is set, but DB_NAME and DB_USER are not"),
        ({"DB_PORT": "five"}, "DB_PORT is wrong .* a port number, such as 5432"),
        ({"DB_PORT": "70000"}, "DB_PORT is wrong .* a port number, such as 5432"),
    ],
)
@pytest.mark.usefixtures("in_database")
def test_settings_of_the_database_that_do_not_go_together_are_told(settings, changed, told):
    settings(**changed)
    with pytest.raises(SettingsError, match=told):
        load_classes(run_of())


def test_a_file_that_is_no_database_is_told_and_left_alone(settings):
    Path("notes.db").write_text("Not a database at all, but notes. " * 100)
    settings(METADATA_DB="notes.db")
    with pytest.raises(LandcoverError, match=r"METADATA_DB cannot be used: notes.db \(file is not"):
        load_classes(run_of())
    assert Path("notes.db").read_text().startswith("Not a database")


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that all users of this machine may enter, as those of pytest are not."""
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.parametrize(
    ("file", "folder"), [(0o644, 0o777), (0o666, 0o755)], ids=["file", "folder"]
)
def test_a_file_that_this_user_cannot_write_is_told_at_the_start(
    shared_folder, settings, file, folder
):
    real, link = shared_folder / "real", shared_folder / "link.db"
    settings(METADATA_DB=link)
    real.mkdir()
    link.symlink_to("real/meta.db")
    check_tables(None)
    (real / "meta.db").chmod(file)
    real.chmod(folder)
    os.seteuid(65534)
    try:
        with pytest.raises(LandcoverError, match=r"METADATA_DB cannot be used: .*readonly.* Give"):
            check_tables(None)
    finally:
        os.seteuid(0)


def test_text_that_is_not_json_is_not_read(settings):
    settings(METADATA_DB="meta.db")
    record()
    with create_engine("sqlite:///meta.db").begin() as connection:
        connection.exec_driver_sql("INSERT INTO ml_models (parameters) VALUES ('{classes}')")
    assert load_classes(run_of()) == {"Forest": 0}


def test_a_folder_for_the_database_that_cannot_be_made_is_told(settings):
    Path("file").touch()
    settings(METADATA_DB="file/meta.db")
    with pytest.raises(LandcoverError, match="METADATA_DB cannot be written: file"):
        load_classes(run_of())
    settings(METADATA_DB=".")
    with pytest.raises(LandcoverError, match=r"METADATA_DB cannot be used: . "):
        load_classes(run_of())
