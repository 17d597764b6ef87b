"""Fixtures: servers (Prefect, PostGIS, S3), real imagery, and a folder with settings."""

import gc
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import hypothesis
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from sqlalchemy import URL, Engine, create_engine, make_url

from demo.world import World, build_world
from landcover.imagery import images
from soak.proxy import Proxy, proxy
from tasks.retries import TASK_PAUSES
from tests.servers.environment import SETTINGS, of_database
from tests.servers.hosts import Network, network_of
from tests.servers.postgis import new_database, postgis_server
from tests.servers.prefect import Shell, prefect_server, reporting_to, send_what_is_left
from tests.servers.shared import made_once, shared_server
from tests.servers.swift import Bucket, S3Server, listening_at, new_bucket, swift_server

# How long an example takes says nothing where tests run side by side; and what fails, fails again.
hypothesis.settings.register_profile(
    "side by side",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("side by side")


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but not among modules and tests: it is a sixth of the time."""
    gc.freeze()
    gc.enable()


REAL = Path(__file__).parents[2] / "shared" / "real"

# To note each state of each task takes a server four times as long as all else; that of
# test_deployments does.
QUIET = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}

# What a server looks for every few seconds, which none of the runs that are started here needs: it
# is half of what a server does that nobody asks anything.
ROUNDS = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in (
        *("SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP"),
        *("FOREMAN", "REPOSSESSOR", "EVENT_PERSISTER"),
    )
}


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of the session."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def landscape(session_folder: Path) -> World:
    """The session's landscape of two months, each of nine quads; it is only read."""

    def make(path: Path) -> None:
        made = build_world(path.with_suffix(""), size=768, quad_size=256, seed=3)
        path.write_bytes(pickle.dumps(made))

    described = made_once(session_folder / "landscape.pickle", make)
    found: World = pickle.loads(described.read_bytes())
    return found


@pytest.fixture(scope="session")
def prefect_database(session_folder: Path) -> Path:
    """An empty database of a Prefect server, to be copied: to make one takes ten seconds."""

    def make(path: Path) -> None:
        url = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}"}
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            env=os.environ | url,
            check=True,
            capture_output=True,
        )

    return made_once(session_folder / "prefect.db", make)


@pytest.fixture(scope="session")
def prefect_api(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real Prefect server with a database of its own, one for each process of the session."""
    folder = tmp_path_factory.mktemp("prefect")
    # Of servers that tests start themselves.
    patient = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 300}
    with (
        prefect_server(
            folder, "prefect server start", prefect_database, **QUIET, **ROUNDS
        ) as shell,
        temporary_settings({**patient, PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        reporting_to(shell),
    ):
        yield


@pytest.fixture
def prefect_proxy(prefect_api: None) -> Iterator[Proxy]:
    """What stands before the Prefect server, and can take it away."""
    there = str(PREFECT_API_URL.value())
    port = urlsplit(there).port
    assert port
    with (
        proxy(port, http=False) as before,
        temporary_settings({PREFECT_API_URL: there.replace(str(port), str(before.port))}),
    ):
        yield before
        send_what_is_left()


@pytest.fixture
def client(prefect_api: None) -> Iterator[SyncPrefectClient]:
    """The Prefect server's client; blocks that are saved meanwhile are removed."""
    with get_client(sync_client=True) as client:
        yield client
        for document in client.read_block_documents():
            client.delete_block_document(document.id)


@pytest.fixture(scope="session")
def postgis(session_folder: Path) -> Iterator[URL]:
    """The session's PostGIS server."""

    @contextmanager
    def start() -> Iterator[str]:
        with postgis_server() as url:
            yield url.render_as_string(hide_password=False)

    with shared_server(session_folder, "postgis", start) as url:
        yield make_url(url)


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
def s3_server(session_folder: Path) -> Iterator[S3Server]:
    """The session's S3 server."""

    @contextmanager
    def start() -> Iterator[str]:
        with swift_server() as server:
            yield json.dumps({"endpoint": server.endpoint, "log": str(server.log)})

    with shared_server(session_folder, "swift", start) as described:
        server = json.loads(described)
        yield S3Server(server["endpoint"], Path(server["log"]))


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    """An empty bucket."""
    with new_bucket(s3_server, f"test-{uuid4().hex}") as bucket:
        yield bucket


class Hosts(NamedTuple):
    """Two hosts, and servers that they reach."""

    network: Network
    prefect: Shell
    s3: S3Server


@pytest.fixture(scope="session")
def hosts(
    tmp_path_factory: pytest.TempPathFactory, prefect_database: Path, s3_server: S3Server
) -> Iterator[Hosts]:
    """Two hosts, north and south, a Prefect server and the session's S3 server for them."""
    folder = tmp_path_factory.mktemp("hosts")
    # Heartbeats are kept, by which a row of months knows who is alive.
    with (
        network_of(folder, "north", "south") as network,
        prefect_server(
            folder, "prefect server start", prefect_database, network.address, **QUIET
        ) as prefect,
        listening_at(s3_server, network.address) as s3,
    ):
        yield Hosts(network, prefect, s3)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """An empty working folder without settings; call it to set some (None removes one)."""
    for name in list(os.environ):
        if name in SETTINGS:
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
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages whose maps are small, for months whose pictures nobody looks at."""
    # By its name, because matplotlib comes with the module.
    monkeypatch.setattr("landcover.report.cartography.LONGEST", 300)
    monkeypatch.setattr("landcover.report.cartography.COLUMN", 200)


@pytest.fixture
def shown(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Returns what was logged and printed since it was called last."""

    def read() -> str:
        logged, printed = caplog.messages, capfd.readouterr()
        caplog.clear()
        return "\n".join([*logged, printed.out, printed.err])

    return read


@pytest.fixture
def hasty(prefect_api: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retries of all tasks, and of reading images, that follow each other at once."""
    monkeypatch.setattr(images, "READ_PAUSES", [0.01] * len(images.READ_PAUSES))
    pauses = TASK_PAUSES.copy()
    TASK_PAUSES[:] = [0.01]
    yield
    TASK_PAUSES[:] = pauses


@pytest.fixture
def in_database(settings: Callable[..., None], database_url: URL) -> URL:
    """Settings that point to the test's database."""
    settings(**of_database(database_url))
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)
