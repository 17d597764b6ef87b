"""A PostGIS server for the tests: one for the session, and a fresh database for each test."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url, text

TEMPLATE = "chocoforest_template"


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
    folder = Path(tempfile.mkdtemp(prefix="postgis-"))
    port = _free_port()
    data = folder / "data"
    _as_postgres(
        folder,
        "initdb",
        "-D",
        data,
        "-A",
        "scram-sha-256",
        "-U",
        "postgres",
        "--pwfile",
        _password_file(folder),
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        _as_postgres(
            folder, "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"
        )
        url = URL.create("postgresql+psycopg2", "postgres", PASSWORD, "127.0.0.1", port, "postgres")
        _make_template(url)
        yield url
    finally:
        _as_postgres(folder, "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@contextmanager
def new_database(server: URL, name: str) -> Iterator[URL]:
    """Make a database with PostGIS, and drop it afterwards."""
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
    try:
        yield server.set(database=name)
    finally:
        _run(server, f'DROP DATABASE "{name}" WITH (FORCE)')


PASSWORD = "pässword of the tests'"


def _make_template(server: URL) -> None:
    _run(server, f"DROP DATABASE IF EXISTS {TEMPLATE}")
    _run(server, f"CREATE DATABASE {TEMPLATE}")
    _run(server.set(database=TEMPLATE), "CREATE EXTENSION postgis")


def _run(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _password_file(folder: Path) -> Path:
    path = folder / "password"
    path.write_text(PASSWORD)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_postgres(folder: Path, program: str, *arguments: str | Path) -> None:
    """Run one of PostgreSQL's programs; it refuses to be run by root."""
    found = shutil.which(program) or max(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    command = [str(found), *map(str, arguments)]
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
    # Its output goes to a file: the server would hold a pipe open.
    with (folder / "output").open("a") as output:
        done = subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False)
    if done.returncode:
        raise RuntimeError((folder / "output").read_text())
