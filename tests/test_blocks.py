"""Flows take their credentials from Prefect blocks, and from settings where there are none."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import geopandas
import pytest
from prefect import flow
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.client.schemas.filters import LogFilter
from prefect_aws import AwsCredentials
from prefect_aws.client_parameters import AwsClientParameters
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from sqlalchemy import URL, Engine

from flows import monthly, prepare_data, setup_blocks, train_model
from tasks.access.blocks import BLOCK
from tasks.access.storage import AT_ONCE, side_by_side
from tests.rows import query
from tests.servers.swift import Bucket
from tests.servers.waiting import wait_for

MONTH = ["--year", "1999", "--month", "11"]
FEW = ["--trees", "2", "--folds", "2"]
TRAIN = [*MONTH, *FEW, "--input_data", "data/prepared/prepared_data_199911.parquet"]
PASSWORD = "Sésamo-%40 'open'"


@pytest.fixture
def save(client: SyncPrefectClient) -> Callable[..., None]:
    """Save a block; with data, as a person types it into the UI, which does not look at it."""

    def save(block: Block, name: str = BLOCK, **data: object) -> None:
        number = block.save(name, overwrite=True)
        if data:
            document = client.read_block_document(number, include_secrets=True)
            update = BlockDocumentUpdate(
                block_schema_id=document.block_schema_id, data=document.data | data
            )
            client.update_block_document(number, update)

    return save


@pytest.fixture
def chiapas_samples(chiapas: Path, client: SyncPrefectClient) -> Path:
    """The prepared data of a month of Chiapas."""
    assert prepare_data.main(MONTH) == 0
    return chiapas


def connector(url: URL, **others: Any) -> SqlAlchemyConnector:
    parts: dict[str, Any] = {
        "driver": "postgresql+psycopg2",
        "username": url.username,
        "password": url.password,
        "host": url.host,
        "port": url.port,
        "database": url.database,
    }
    return SqlAlchemyConnector(connection_info=ConnectionComponents(**(parts | others)))


def credentials(bucket: Bucket, **others: Any) -> AwsCredentials:
    parts: dict[str, Any] = {
        "aws_access_key_id": bucket.server.key,
        "aws_secret_access_key": bucket.server.secret,
        "region_name": bucket.server.region,
        "aws_client_parameters": AwsClientParameters(endpoint_url=bucket.server.endpoint),
    }
    return AwsCredentials(**(parts | others))


def recorded_models(engine: Engine) -> list[Any]:
    return query(engine, "SELECT model_filename FROM ml_models")


def last_logs(client: SyncPrefectClient) -> str:
    """Return what the last run said, once all of it has come to the server."""
    (run,) = client.read_flow_runs(limit=1, sort="START_TIME_DESC")
    of_run = LogFilter.model_validate({"flow_run_id": {"any_": [run.id]}})

    def all_of_it() -> str | None:
        lines = [line.message for line in client.read_logs(of_run)]
        ended = any(line.startswith("Finished in state") for line in lines)
        return "\n".join(lines) if ended else None

    return wait_for(f"the logs of {run.name}", all_of_it)


# --- blocks that serve ----------------------------------------------------------------------------


def test_a_month_runs_on_saved_blocks_whatever_the_settings_say_and_shows_no_secret(
    client, chiapas, in_database, engine, bucket, settings, capfd, caplog
):
    polygons = geopandas.read_file(chiapas / "training_data.shp")[["class", "geometry"]]
    with engine.begin() as connection:
        polygons.rename_geometry("geom").to_postgis("polygons", connection)
    folders = ("MODEL_OUTPUT_DIR", "PREDICTION_OUTPUT_DIR", "PREPARED_DATA_DIR", "WORK_DIR")
    settings(
        TRAINING_POLYGON_TABLE="polygons",
        TRAINING_POLYGON_GEOM_COL="geom",
        S3_ENDPOINT_URL=bucket.server.endpoint,
        S3_REGION=bucket.server.region,
        S3_ACCESS_KEY_ID=bucket.server.key,
        S3_SECRET_ACCESS_KEY=bucket.server.secret,
        **{folder: f"{bucket.url}/{folder.lower()}" for folder in folders},
    )
    assert setup_blocks.main([]) == 0
    settings(
        DB_HOST="nowhere.invalid",
        DB_PASSWORD=PASSWORD,
        S3_ENDPOINT_URL="http://127.0.0.1:1",
        S3_ACCESS_KEY_ID="nobody",
        S3_SECRET_ACCESS_KEY=PASSWORD,
    )
    assert monthly.main([*MONTH, *FEW]) == 0
    assert recorded_models(engine) == [("rf_model_199911.joblib",)]
    rows = query(
        engine,
        "SELECT prediction_path, p::text, m::text FROM raster_predictions AS p "
        "JOIN ml_models AS m USING (model_id)",
    )
    assert rows[0][0] == f"{bucket.url}/prediction_output_dir/prediction_199911.tif"
    files = bucket.filesystem.find(bucket.name)
    assert f"{bucket.name}/prediction_output_dir/prediction_199911.tif" in files

    (run,) = client.read_flow_runs(limit=1, sort="START_TIME_DESC")
    shown = [
        *capfd.readouterr(),
        caplog.text,
        last_logs(client),
        run.model_dump_json(),
        *(found.model_dump_json() for found in client.read_artifacts()),
        *(found.model_dump_json() for found in client.read_block_documents(include_secrets=False)),
        str(rows),
        *(bucket.filesystem.cat_file(path).decode("latin-1") for path in files),
    ]
    assert "Recorded the model" in shown[3]
    for secret in (in_database.password, bucket.server.secret):
        assert not [text for text in shown if secret in text]


@pytest.mark.usefixtures("chiapas_samples", "in_database")
def test_without_blocks_the_settings_serve(client, engine):
    assert client.read_block_documents() == []
    assert train_model.main(TRAIN) == 0
    assert recorded_models(engine) == [("rf_model_199911.joblib",)]


@pytest.mark.usefixtures("chiapas_samples", "in_database")
def test_none_uses_the_settings_although_there_is_a_block(save, in_database, engine, capfd):
    save(connector(in_database, password=PASSWORD))
    assert train_model.main(TRAIN) == 2
    assert "refuses the connection (password authentication failed" in capfd.readouterr().err
    assert train_model.main([*TRAIN, "--database-block", "none"]) == 0
    assert recorded_models(engine) == [("rf_model_199911.joblib",)]


@pytest.mark.usefixtures("chiapas_samples")
def test_a_block_of_another_name_serves(save, database_url, engine):
    save(connector(database_url, password=PASSWORD))
    save(connector(database_url), "test-database")
    assert train_model.main([*TRAIN, "--database_block", "test-database"]) == 0
    assert recorded_models(engine) == [("rf_model_199911.joblib",)]


@pytest.mark.usefixtures("chiapas_samples")
def test_a_block_that_is_mended_serves_the_next_run(save, database_url, engine):
    save(connector(database_url, password=PASSWORD))
    assert train_model.main(TRAIN) == 2
    save(connector(database_url))
    assert train_model.main(TRAIN) == 0
    assert recorded_models(engine) == [("rf_model_199911.joblib",)]


@pytest.mark.usefixtures("chiapas_samples")
def test_a_url_serves_as_connection_info_and_the_schema_comes_from_the_settings(
    save, database_url, engine, run_sql, settings
):
    run_sql("CREATE SCHEMA maps")
    settings(DB_SCHEMA="maps")
    url = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    save(SqlAlchemyConnector(connection_info=url))
    assert train_model.main(TRAIN) == 0
    assert query(engine, "SELECT model_filename FROM maps.ml_models") == [
        ("rf_model_199911.joblib",)
    ]


@pytest.mark.usefixtures("chiapas_samples")
def test_without_block_and_host_the_embedded_database_serves():
    assert train_model.main(TRAIN) == 0
    with closing(sqlite3.connect("data/chocoforest.db")) as file:
        assert file.execute("SELECT model_filename FROM ml_models").fetchall() == [
            ("rf_model_199911.joblib",)
        ]


def test_threads_use_the_block_that_their_own_flow_run_finds(client, save, bucket, settings):
    settings(S3_ENDPOINT_URL="http://127.0.0.1:1")

    @flow
    def endpoints() -> list[str]:
        def endpoint(_: int) -> str:
            return str(fsspec.config.conf["s3"]["client_kwargs"]["endpoint_url"])

        return side_by_side(endpoint, range(AT_ONCE), BLOCK, "the bucket")

    assert set(endpoints()) == {"http://127.0.0.1:1"}
    save(credentials(bucket))
    assert set(endpoints()) == {bucket.server.endpoint}


def test_a_secret_is_masked_wherever_a_block_is_shown(client, save, bucket):
    url = URL.create("postgresql", "team", PASSWORD, "db.example.org", 5432, "forest")
    for block in (connector(url), credentials(bucket, aws_secret_access_key=PASSWORD)):
        save(block)
        document = client.read_block_document_by_name(
            BLOCK, type(block).get_block_type_slug(), include_secrets=False
        )
        loaded = type(block).load(BLOCK)
        assert "********" in document.model_dump_json()
        for shown in (document.model_dump_json(), repr(document), repr(loaded), str(loaded)):
            assert PASSWORD not in shown
            assert "S%C3%A9samo" not in shown


# --- blocks that will not do ----------------------------------------------------------------------


NAMED = ["--database_block", "other"]


@pytest.mark.parametrize(
    ("block", "data", "options", "told", "status"),
    [
        (
            None,
            {},
            NAMED,
            "There is no block 'other' of type SqlAlchemyConnector: save one with",
            2,
        ),
        (
            AwsCredentials(aws_secret_access_key=PASSWORD),
            {},
            NAMED,
            "no block 'other' of type SqlAlchemyConnector (there is one of type AWS Credentials)",
            2,
        ),
        (
            SqlAlchemyConnector(
                connection_info=ConnectionComponents(driver="sqlite+pysqlite", database="a.db")
            ),
            {},
            NAMED,
            "The block 'other' is not a PostgreSQL database: save it with the driver",
            2,
        ),
        (
            SqlAlchemyConnector(
                connection_info=ConnectionComponents(
                    driver="mysql+pymysql", host="h", password=PASSWORD
                )
            ),
            {},
            NAMED,
            "The block 'other' is not a PostgreSQL database: save it with the driver",
            2,
        ),
        (
            SqlAlchemyConnector(connection_info="postgresql://h/d"),
            {"connection_info": f"postgresql://u:{PASSWORD}@h:port/d"},
            NAMED,
            "'other' of type SqlAlchemyConnector cannot be used (wrong or missing: connection_info",
            2,
        ),
        (
            SqlAlchemyConnector(connection_info="postgresql://h/d"),
            {"connection_info": {"host": "h", "password": PASSWORD}},
            NAMED,
            "'other' of type SqlAlchemyConnector cannot be used (wrong or missing: connection_info",
            2,
        ),
        (
            SqlAlchemyConnector(connection_info="postgresql://h/d"),
            {"connection_info": {"driver": "postgresql+asyncpg", "password": PASSWORD}},
            NAMED,
            "cannot be used (The driver 'postgresql+asyncpg' is an async driver): save it again",
            2,
        ),
        # The UI lets its field be emptied.
        (
            SqlAlchemyConnector(connection_info="postgresql://h/d"),
            {"fetch_size": ""},
            NAMED,
            "'other' of type SqlAlchemyConnector cannot be used (wrong or missing: fetch_size",
            2,
        ),
        (
            SqlAlchemyConnector(connection_info=f"postgresql://u:{PASSWORD}@h/d?color=red"),
            {},
            NAMED,
            'The database block cannot be used (invalid dsn: invalid connection option "color")',
            2,
        ),
        (
            SqlAlchemyConnector(connection_info="postgresql://h/d"),
            {},
            ["--storage_block", "other"],
            "no block 'other' of type AwsCredentials (there is one of type SQLAlchemy Connector)",
            2,
        ),
        (
            AwsCredentials(aws_secret_access_key=PASSWORD),
            {"aws_client_parameters": {"endpoint_url": 7, "verify": PASSWORD}},
            ["--storage_block", "other"],
            "AwsCredentials cannot be used (wrong or missing: aws_client_parameters)",
            2,
        ),
        (None, {}, ["--database_block", ""], "There is no block '' of type SqlAlchemyConnector", 2),
    ],
    ids=[
        "missing",
        "of-another-type",
        "sqlite",
        "mysql",
        "malformed-url",
        "no-driver",
        "async-driver",
        "emptied-field",
        "unknown-option",
        "storage-of-another-type",
        "storage-malformed",
        "no-name",
    ],
)
@pytest.mark.usefixtures("chiapas")
def test_a_block_that_will_not_do_is_told_in_one_sentence(
    client, save, capfd, caplog, block, data, options, told, status
):
    if block:
        save(block, "other", **data)
    assert train_model.main([*TRAIN, *options]) == status
    out, err = capfd.readouterr()
    (error,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert told in error
    said = "".join([out, err, caplog.text, last_logs(client)])
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert not Path("data/models/rf_model_199911.joblib").exists()


@pytest.mark.usefixtures("chiapas")
def test_a_block_with_a_wrong_password_is_told_without_it(
    client, save, database_url, bucket, settings, capfd, caplog
):
    settings(MODEL_OUTPUT_DIR=f"{bucket.url}/models")
    save(connector(database_url, password=PASSWORD))
    save(credentials(bucket, aws_secret_access_key=PASSWORD))
    save(credentials(bucket), "right")
    said = ""
    for options, told in {
        ("--database_block", "none"): "refuses the credentials for MODEL_OUTPUT_DIR s3://",
        ("--storage_block", "right"): "refuses the connection (password authentication failed",
    }.items():
        assert train_model.main([*TRAIN, *options]) == 2
        err = capfd.readouterr().err
        (error,) = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert told in error
        assert "block" in error
        said += err + last_logs(client)
    for shown in (said, caplog.text):
        assert PASSWORD not in shown
        assert "S%C3%A9samo" not in shown
        assert "Traceback" not in shown
