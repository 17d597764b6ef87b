"""PgBouncer before the tests' PostGIS server, in transaction mode: as hosted databases have it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.servers.ports import free_port
from tests.servers.waiting import tail, wait_for

# Nothing is ignored that a client may send beyond what PgBouncer knows.
_SETTINGS = """
[databases]
* = host={url.host} port={url.port} user={url.username} password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""


@contextmanager
def pooled(url: URL, size: int) -> Iterator[URL]:
    """Start a pool of connections.

    Args:
        url: of the database behind it.
        size: how many connections it lends at a time.

    Yields:
        The address of the same database behind the pool.
    """
    # Not in pytest's folder, which the user postgres may not enter.
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    pool = url.set(host="127.0.0.1", port=free_port())
    settings, log = folder / "pgbouncer.ini", folder / "log"
    password = str(url.password).replace("'", "''")
    settings.write_text(_SETTINGS.format(url=url, password=password, port=pool.port, size=size))
    folder.chmod(0o755)
    user = ["-u", "postgres"] if os.geteuid() == 0 else []
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program, *user, settings],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for("PgBouncer answers", lambda: _answers(pool, process, log), log=log)
        yield pool
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _answers(pool: URL, process: subprocess.Popen[bytes], log: Path) -> bool | None:
    if process.poll() is not None:
        raise RuntimeError(f"PgBouncer did not start:\n{tail(log)}")
    engine = create_engine(pool, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError:
        return None
    return True
