"""The command that saves the blocks: what it tests, saves, leaves out and says."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_aws import AwsCredentials
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import URL

from flows import setup_blocks
from tasks.access.database import connector_of_settings
from tests.servers.swift import Bucket
from tests.servers.waiting import PATIENCE

COMMAND = Path(__file__).parents[1] / "flows" / "setup_blocks.py"

DATABASE, STORAGE = "sqlalchemy-connector", "aws-credentials"

api = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def in_both(in_database: URL, bucket: Bucket, settings: Callable[..., None]) -> Bucket:
    """Settings of the test's database and of folders in the test's bucket."""
    settings(
        PLANET_MOSAIC_DIR=f"{bucket.url}/NICFI Monthly Mosaics",
        MODEL_OUTPUT_DIR=f"{bucket.url}/models",
        S3_ENDPOINT_URL=bucket.server.endpoint,
        S3_REGION=bucket.server.region,
        S3_ACCESS_KEY_ID=bucket.server.key,
        S3_SECRET_ACCESS_KEY=bucket.server.secret,
    )
    return bucket


def saved(client: SyncPrefectClient) -> set[str]:
    documents = client.read_block_documents()
    return {f"{found.block_type.slug}/{found.name}" for found in documents if found.block_type}


def test_both_blocks_are_saved_and_no_secret_is_shown(client, in_both, in_database, capfd):
    assert setup_blocks.main([]) == 0
    out, err = capfd.readouterr()
    place = f"postgres@{in_database.host}:{in_database.port}/{in_database.database}"
    imagery, models = f"{in_both.url}/NICFI Monthly Mosaics", f"{in_both.url}/models"
    folders = f"PLANET_MOSAIC_DIR {imagery}, MODEL_OUTPUT_DIR {models}"
    assert out.splitlines() == [
        f"Prefect server: {PREFECT_API_URL.value()}",
        f"Saved {DATABASE}/chocoforest: {place}, which was opened and has PostGIS.",
        f"Saved {STORAGE}/chocoforest: {in_both.server.endpoint}, which was tested with {folders}.",
    ]
    assert "Error" not in err
    assert in_both.filesystem.find(in_both.name) == []

    database, storage = SqlAlchemyConnector.load("chocoforest"), AwsCredentials.load("chocoforest")
    assert database.connection_info.create_url() == in_database
    assert storage.aws_secret_access_key.get_secret_value() == in_both.server.secret
    documents = client.read_block_documents(include_secrets=False)
    for shown in (out, err, repr([database, storage]), str(documents)):
        assert in_database.password not in shown
        assert in_both.server.secret not in shown


@pytest.mark.usefixtures("in_database")
def test_blocks_are_saved_again_and_under_another_name(client, settings, capfd):
    assert setup_blocks.main(["--name", "test-1"]) == 0
    settings(DB_SSLMODE="prefer")
    assert setup_blocks.main(["--name=test-1"]) == 0
    said = capfd.readouterr().out
    assert said.count(f"Saved {DATABASE}/test-1") == 2
    assert said.count("Left out the storage block: S3_ACCESS_KEY_ID is not set.") == 2
    assert SqlAlchemyConnector.load("test-1").connection_info.query == {"sslmode": "prefer"}
    assert saved(client) == {f"{DATABASE}/test-1"}


def test_without_a_database_only_the_storage_is_saved_and_a_test_left_out_is_told(
    client, in_both, settings, capfd
):
    settings(DB_HOST=None, PLANET_MOSAIC_DIR="imagery", MODEL_OUTPUT_DIR=None)
    assert setup_blocks.main([]) == 0
    out = capfd.readouterr().out
    assert "Left out the database block: DB_HOST is not set." in out
    assert f"{in_both.server.endpoint}, not tested, because no folder of the settings is" in out
    assert saved(client) == {f"{STORAGE}/chocoforest"}


@pytest.mark.parametrize(
    ("changed", "told", "status", "left"),
    [
        (
            {"DB_PASSWORD": "abracadabra"},
            "The database block is not saved. .* authentication failed .*check DB_USER",
            1,
            {STORAGE},
        ),
        ({"DB_PORT": "1"}, "The database block is not saved. .* cannot be reached", 1, {STORAGE}),
        ({"DB_NAME": None}, "DB_HOST is set, but DB_NAME is not", 2, {STORAGE}),
        (
            {"S3_SECRET_ACCESS_KEY": "abracadabra"},
            "The storage block is not saved. .* refuses the credentials for PLANET_MOSAIC_DIR s3:",
            1,
            {DATABASE},
        ),
        (
            {"S3_SECRET_ACCESS_KEY": None},
            "S3_SECRET_ACCESS_KEY is not set, but its counterpart is",
            2,
            {DATABASE},
        ),
        (
            {"S3_ENDPOINT_URL": "http://127.0.0.1:1"},
            "The storage block is not saved. http://127.0.0.1:1 cannot be reached",
            1,
            {DATABASE},
        ),
        (
            {"PLANET_MOSAIC_DIR": "s3://nowhere/imagery"},
            "The storage block is not saved. .* has no such bucket: PLANET_MOSAIC_DIR s3://nowhere",
            1,
            {DATABASE},
        ),
        (
            {"S3_ACCESS_KEY_ID": "test:reader", "S3_SECRET_ACCESS_KEY": "readersecret"},
            "The storage block is not saved. .* does not allow access to MODEL_OUTPUT_DIR",
            1,
            {DATABASE},
        ),
    ],
    ids=[
        "password",
        "server",
        "name",
        "secret",
        "no-secret",
        "endpoint",
        "bucket",
        "read-only",
    ],
)
def test_a_block_that_does_not_connect_is_not_saved_and_the_other_is(
    client, in_both, settings, capfd, changed, told, status, left
):
    in_both.server.let_read(in_both.name)
    settings(**changed)
    assert setup_blocks.main([]) == status
    out, err = capfd.readouterr()
    (error,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert re.search(told, error)
    assert "Traceback" not in err
    for secret in ("abracadabra", in_both.server.secret, "readersecret"):
        assert secret not in out + err
    assert saved(client) == {f"{kind}/chocoforest" for kind in left}
    assert out.count("Saved ") == 1


@pytest.mark.usefixtures("in_database")
def test_what_is_saved_is_what_was_tested(client, in_database, settings, monkeypatch):
    def read_and_edit() -> SqlAlchemyConnector | None:
        found = connector_of_settings()
        settings(DB_HOST="nowhere.invalid", DB_PASSWORD="other")
        return found

    monkeypatch.setattr(setup_blocks, "connector_of_settings", read_and_edit)
    told = setup_blocks.save_database("edited")
    assert f"{in_database.host}:{in_database.port}" in told
    assert SqlAlchemyConnector.load("edited").connection_info.create_url() == in_database


@pytest.mark.usefixtures("in_database")
def test_a_database_without_postgis_is_not_saved(client, run_sql, capfd):
    run_sql("DROP EXTENSION postgis")
    assert setup_blocks.main([]) == 1
    assert "The database block is not saved. The database" in capfd.readouterr().err
    assert saved(client) == set()


@api
@pytest.mark.usefixtures("settings")
def test_nothing_to_save_is_told(capfd):
    assert setup_blocks.main([]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "Error: There is nothing to save: neither DB_HOST nor S3_ACCESS_KEY_ID is set" in err


@api
@pytest.mark.usefixtures("in_database")
def test_a_setting_that_is_malformed_is_told_first(settings, capfd):
    settings(S3_ENDPOINT_URL="nyc3.digitaloceanspaces.com")
    assert setup_blocks.main([]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "Error: S3_ENDPOINT_URL is wrong (it does not start with https://" in err


@pytest.mark.parametrize("name", ["My Block", "", "Ä", "a_b"])
def test_a_name_that_prefect_does_not_take_is_told(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        setup_blocks.main(["--name", name])
    assert stopped.value.code == 2
    assert "has characters other than lower-case letters, digits and -" in capsys.readouterr().err


@pytest.mark.usefixtures("in_database")
def test_a_prefect_server_that_does_not_answer_is_told_once(capfd):
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert setup_blocks.main([]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("Error: ") == 1
    assert "The Prefect server http://127.0.0.1:1/api does not answer: start it with" in err


@pytest.mark.usefixtures("in_database")
def test_without_a_prefect_server_the_block_lies_encrypted_in_the_users_own_database(
    in_database, prefect_database, tmp_path
):
    home = tmp_path / "prefect"
    home.mkdir()
    shutil.copy(prefect_database, home / "prefect.db")
    others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, COMMAND, "--name", "alone"],
        env={**others, "PREFECT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "Prefect server: none is set, so blocks go to the database of this user" in done.stdout
    assert f"Saved {DATABASE}/alone" in done.stdout
    with closing(sqlite3.connect(home / "prefect.db")) as file:
        rows = file.execute("SELECT name, data FROM block_document").fetchall()
    assert [name for name, _ in rows] == ["alone"]
    assert in_database.password not in str(rows) + done.stdout + done.stderr


@api
def test_help_tells_the_name_and_what_is_tested(capsys):
    with pytest.raises(SystemExit) as stopped:
        setup_blocks.main(["--help"])
    assert stopped.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--name NAME of the two blocks; default: chocoforest" in said
    assert "the database is opened" in said
    with pytest.raises(ObjectNotFound), get_client(sync_client=True) as client:
        client.read_block_document_by_name("chocoforest", DATABASE)
