"""A PostGIS server for the tests: one for the session, and an empty database for each test."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import Server, running

TEMPLATE = "chocoforest_template"

MEMORY = Path("/dev/shm")
ROOM = 1024**3  # bytes, many times what a cluster of the tests grows to

# Loaded once, and not by each connection.
PRELOADED = "shared_preload_libraries=postgis-3"


@contextmanager
def postgis_server() -> Iterator[URL]:
    """Start a server, or use TEST_DATABASE_URL's, and make a template database with PostGIS.

    Yields:
        The address of the server's maintenance database.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        url = make_url(given)
        _make_template(url)
        yield url
        return
    with own_server() as (url, _):
        yield url


@contextmanager
def own_server(address: str = LOOPBACK) -> Iterator[tuple[URL, Server]]:
    """Start a server with a template database.

    Args:
        address: where it listens; who shares a network with it is let in.

    Yields:
        The address of its maintenance database, and the server, which can be restarted.
    """
    folder = _new_folder("postgis-")
    try:
        _make_cluster(folder)
        _let_in(folder, "samenet")
        url, server = _server_of(folder, PRELOADED, address=address)
        with running([server]):
            _make_template(url)
            yield url, server
    finally:
        shutil.rmtree(folder)


@contextmanager
def spanish_cluster() -> Iterator[Path]:
    """Make a cluster without PostGIS, in an encoding that is not UTF-8; yield its folder."""
    folder = _new_folder("spanish-")
    try:
        _make_cluster(folder, "LATIN1")
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def spanish_server(folder: Path, *, waits: bool = False) -> Iterator[URL]:
    """Start a server that speaks Spanish.

    Args:
        folder: of a cluster.
        waits: whether it is a copy that waits for another server and takes no connections.

    Yields:
        The address of its maintenance database.
    """
    options = ["lc_messages=C.UTF-8"]
    if waits:
        (folder / "data" / "standby.signal").touch()
        options.append("hot_standby=off")
    with _server(folder, *options, answers=not waits) as url:
        yield url


@contextmanager
def new_database(server: URL, name: str) -> Iterator[URL]:
    """Make a database with PostGIS, and drop it afterwards."""
    # To copy its files takes less than half of the time of writing each page to the log as well.
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} STRATEGY file_copy')
    try:
        yield server.set(database=name)
    finally:
        _run(server, f'DROP DATABASE "{name}" WITH (FORCE)')


PASSWORD = "pässword of the tests'"

# Many tests at once, each with several connections.
CONNECTIONS = 300


def _new_folder(prefix: str) -> Path:
    """Make a folder for a cluster, in memory where there is room.

    Where many files were removed a moment ago, ext4 takes a fifth of a second to make the 300 of
    a database.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    # Not in pytest's folder, which the user postgres may not enter.
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if roomy else None))


def _make_cluster(folder: Path, encoding: str = "UTF8") -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    options: list[str | Path] = ["-A", "scram-sha-256", "-U", "postgres", "--pwfile", password]
    command: list[str | Path] = [
        "-D",
        folder / "data",
        *options,
        "-E",
        encoding,
        "--locale=C",
        "--no-sync",
    ]
    done = subprocess.run(
        [*_as_postgres(), _program("initdb"), *command],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{done.stdout}{done.stderr}")


def _let_in(folder: Path, whom: str) -> None:
    """Let others than this machine in, with the password."""
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {whom} scram-sha-256\n")


@contextmanager
def _server(folder: Path, *more: str, answers: bool = True) -> Iterator[URL]:
    """Run the server on a cluster until the block ends."""
    url, server = _server_of(folder, *more, answers=answers)
    with running([server]):
        yield url


def _server_of(
    folder: Path, *more: str, answers: bool = True, address: str = LOOPBACK
) -> tuple[URL, Server]:
    """Return the address and the server of a cluster; it may be one that takes no connections."""
    port = free_port()
    options = [f"listen_addresses={address}", "fsync=off", f"max_connections={CONNECTIONS}", *more]
    settings = [word for option in options for word in ("-c", option)]
    command: list[str | Path] = [
        _program("postgres"),
        "-D",
        folder / "data",
        "-p",
        str(port),
        "-k",
        folder,
    ]
    url = URL.create("postgresql+psycopg2", "postgres", PASSWORD, address, port, "postgres")
    return url, Server(
        "PostgreSQL",
        # The signal ends it where the tests are killed and no block ends.
        [*_as_postgres("--pdeathsig", "QUIT"), *command, *settings],
        folder / "log",
        lambda: _answers(url) if answers else True,
        signal.SIGQUIT,
        # It counts where messages have another locale than plain C.
        os.environ | {"LANGUAGE": "es"},
    )


def _answers(url: URL) -> bool:
    """Tell whether the server takes connections."""
    try:
        _run(url, "SELECT 1")
    except OperationalError:
        return False
    return True


def _make_template(server: URL) -> None:
    _run(server, f"DROP DATABASE IF EXISTS {TEMPLATE}")
    _run(server, f"CREATE DATABASE {TEMPLATE}")
    _run(server.set(database=TEMPLATE), "CREATE EXTENSION postgis")


def _run(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _program(name: str) -> str:
    found = shutil.which(name) or max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found)


def _as_postgres(*options: str) -> list[str]:
    """Return the words before a command of PostgreSQL's, which refuses to be run by root."""
    user = ["--reuid=postgres", "--regid=postgres", "--init-groups"]
    return ["setpriv", *(user if os.geteuid() == 0 else ()), *options]
