"""Fixtures: servers (Prefect, PostGIS, S3), real imagery, and a folder with settings."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from prefect.testing.utilities import prefect_test_harness
from sqlalchemy import URL, Engine, create_engine

from tests.postgis import new_database, postgis_server
from tests.swift import Bucket, S3Server, new_bucket, swift_server

# How long an example takes says nothing where tests run side by side.
hypothesis.settings.register_profile("side by side", deadline=None)
hypothesis.settings.load_profile("side by side")

REAL = Path(__file__).parents[2] / "shared" / "real"

SETTINGS = (
    "DB_",
    "METADATA_DB",
    "TRAINING_POLYGON_",
    "MODEL_OUTPUT_DIR",
    "PREDICTION_OUTPUT_DIR",
    "PREPARED_DATA_DIR",
    "WORK_DIR",
    "PLANET_MOSAIC_DIR",
    "MOSAIC_",
    "AOI_",
    "S3_",
    "REPORT_",
)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """A real Prefect server with a database of its own."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def postgis() -> Iterator[URL]:
    """A real PostGIS server."""
    with postgis_server() as url:
        yield url


@pytest.fixture
def database_url(postgis: URL) -> Iterator[URL]:
    """An empty database with PostGIS."""
    with new_database(postgis, f"test_{uuid4().hex}") as url:
        yield url


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """Connections to the test's database, beside the code under test."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server."""
    with swift_server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    """An empty bucket."""
    with new_bucket(s3_server, f"test-{uuid4().hex}") as bucket:
        yield bucket


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """An empty working folder without settings; call it to set some (None removes one)."""
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def put(**values: object) -> None:
        for name, value in values.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, str(value))

    return put


@pytest.fixture
def in_database(settings: Callable[..., None], database_url: URL) -> URL:
    """Settings that point to the test's database."""
    settings(
        DB_HOST=database_url.host,
        DB_PORT=database_url.port,
        DB_NAME=database_url.database,
        DB_USER=database_url.username,
        DB_PASSWORD=database_url.password,
    )
    return database_url


@pytest.fixture
def run_sql(engine: Engine) -> Callable[[str], None]:
    """Run statements in the test's database."""

    def run(statements: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(statements)

    return run


@pytest.fixture
def role(
    in_database: URL, run_sql: Callable[[str], None], settings: Callable[..., None]
) -> Iterator[str]:
    """A role without any rights, which the settings name."""
    name = f"role_{in_database.database}"
    run_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'of the role'")
    settings(DB_USER=name, DB_PASSWORD="of the role")
    yield name
    run_sql(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


@pytest.fixture
def chiapas(settings: Callable[..., None]) -> Path:
    """Settings for the two Landsat scenes of Chiapas, with the polygons' Shapefile."""
    folder = REAL / "chiapas_landsat"
    settings(
        PLANET_MOSAIC_DIR=folder,
        MOSAIC_PATTERN="LE7022049{year}*_stack.gtif",
        TRAINING_POLYGON_TABLE=folder / "training_data.shp",
        TRAINING_POLYGON_CLASS_COL="class",
        AOI_DEFINITION="SRID=32615;POLYGON((462405 1734315, 469905 1734315, 469905 1741815, "
        "462405 1741815, 462405 1734315))",
    )
    return folder
