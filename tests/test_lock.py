"""The lock of a run: behind a pool, after a power cut, and where files cannot be locked."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, event, text

from landcover.errors import LandcoverError, TransientError
from landcover.period import Period
from tasks.access import lock
from tasks.access.database import access
from tasks.access.lock import _lock_session, hold, only_run
from tasks.access.tables import check_tables
from tests.servers.pgbouncer import pooled
from tests.servers.waiting import PATIENCE, wait_for
from tests.users import COLLEAGUE, as_user

JUNE = Period(2025, 6)

# Of this test's database: others use the same server.
HOLDERS = text(
    "SELECT DISTINCT pg_stat_activity.pid, state, backend_xmin, backend_xid"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND datname = current_database() AND granted"
)


def holders(engine: Engine):
    """Return the server's connections that hold a lock of a run."""
    with engine.connect() as connection:
        return connection.execute(HOLDERS).all()


@pytest.fixture
def pool(
    in_database: URL, settings: Callable[..., None], request: pytest.FixtureRequest
) -> Iterator[URL]:
    """Settings that point to a pool before the test's database, of as many connections."""
    with pooled(in_database, request.param) as url:
        settings(DB_HOST=url.host, DB_PORT=url.port)
        yield url


@pytest.mark.parametrize("pool", [5], indirect=True)
def test_behind_a_pool_a_period_is_run_by_one_at_a_time_and_is_free_afterwards(
    pool: URL, engine: Engine
):
    check_tables(None)
    for _ in range(2):
        with only_run(JUNE, None):
            check_tables(None)
            with (
                pytest.raises(LandcoverError, match="Another run of 2025-06"),
                only_run(JUNE, None),
            ):
                pass
            with only_run(Period(2025, 5), None):
                hold(JUNE)
            hold(JUNE)
            assert len(holders(engine)) == 1
        # The pool keeps the connection, which would keep a lock of its session.
        wait_for("the lock is free", lambda: not holders(engine) or None)


@pytest.mark.parametrize("pool", [1], indirect=True)
def test_a_pool_of_one_connection_is_told_at_once(
    pool: URL, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lock, "SECOND", 1)
    with (
        pytest.raises(LandcoverError, match="lends no second connection within 1 seconds"),
        only_run(JUNE, None),
    ):
        pass
    wait_for("the lock is free", lambda: not holders(engine) or None)


def test_the_lock_keeps_no_vacuum_back_and_outlasts_the_servers_patience(
    role: str, engine: Engine, run_sql
):
    run_sql(f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = 500")
    with only_run(JUNE, None):
        ((pid, state, *numbers),) = holders(engine)
        assert (state, numbers) == ("idle in transaction", [None, None])
        time.sleep(1.5)
        hold(JUNE)
        assert [holder.pid for holder in holders(engine)] == [pid]


def test_the_server_ends_the_lock_of_a_machine_that_is_silent(
    in_database: URL, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lock, "SILENCE", 1)
    with only_run(JUNE, None):
        wait_for("the lock is free", lambda: not holders(engine) or None)
        # Alive after all, and nobody else came meanwhile.
        hold(JUNE)
        assert len(holders(engine)) == 1


def test_the_connection_is_used_now_and_then(
    in_database: URL, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lock, "PULSE", 0.05)

    def used() -> bool | None:
        with engine.connect() as connection:
            found = connection.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1'"
                    " AND state = 'idle in transaction' AND datname = current_database()"
                )
            )
        return bool(found) or None

    with only_run(JUNE, None):
        wait_for("the connection is used", used)
        # What the pulse finds lost, `hold` takes again.
        with engine.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(:pid, 300000)"), {"pid": holders(engine)[0].pid}
            )
        time.sleep(0.5)
        hold(JUNE)
        assert len(holders(engine)) == 1


def refuse_connections(postgis: URL, name: str | None, *, refused: bool) -> None:
    admin = create_engine(postgis, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {not refused}'))
        if refused:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 300000) FROM pg_stat_activity"
                    f" WHERE datname = '{name}'"
                )
            )
    admin.dispose()


def test_the_lock_is_taken_again_when_the_database_is_back(
    postgis: URL, in_database: URL, engine: Engine
):
    with only_run(JUNE, None):
        refuse_connections(postgis, in_database.database, refused=True)
        for _ in range(2):
            with pytest.raises(TransientError, match="cannot be reached"):
                hold(JUNE)
        refuse_connections(postgis, in_database.database, refused=False)
        hold(JUNE)
        assert len(holders(engine)) == 1
        refuse_connections(postgis, in_database.database, refused=True)
    refuse_connections(postgis, in_database.database, refused=False)


def test_a_connection_that_was_cut_on_its_way_is_known_as_ones_own(
    in_database: URL, engine: Engine
):
    opened: list[int] = []

    def note(connection, _) -> None:
        opened.append(connection.fileno())

    event.listen(Engine, "connect", note)
    try:
        with only_run(JUNE, None):
            ((first, *_),) = holders(engine)
            # The server sees its end of the connection open as before.
            its_end = os.dup(opened[0])
            ours, theirs = socket.socketpair()
            theirs.close()
            os.dup2(ours.fileno(), opened[0])
            hold(JUNE)
            ((second, *_),) = holders(engine)
            assert second != first
            with pytest.raises(LandcoverError, match="Another run"), only_run(JUNE, None):
                pass
    finally:
        event.remove(Engine, "connect", note)
    os.close(its_end)
    ours.close()


def test_what_is_locked_is_the_table_whatever_leads_to_it(in_database: URL, run_sql, settings):
    check_tables(None)
    run_sql("CREATE SCHEMA maps")
    with only_run(JUNE, None):
        settings(DB_SCHEMA="public")
        with pytest.raises(LandcoverError, match="Another run"), only_run(JUNE, None):
            pass
        settings(DB_SCHEMA="maps")
        check_tables(None)
        with _lock_session(*access(None), JUNE):
            pass


def test_what_is_locked_is_the_file_whatever_leads_to_it(settings):
    Path("one").mkdir()
    Path("other").symlink_to("one")
    Path("link.db").symlink_to("one/meta.db")
    settings(METADATA_DB="one/meta.db")
    with only_run(JUNE, None):
        for path in ("other/meta.db", "link.db", Path("one/meta.db").absolute()):
            settings(METADATA_DB=path)
            with pytest.raises(LandcoverError, match="Another run"), only_run(JUNE, None):
                pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_a_team_shares_the_file_in_its_folder(settings):
    # Not in pytest's own folder, which is this user's alone.
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o775)
        settings(METADATA_DB=f"{shared}/meta.db")
        before = os.umask(0o077)
        try:
            check_tables(None)
            with only_run(JUNE, None):
                pass
        finally:
            os.umask(before)
        # Still of this user's group, as the folder is.
        with as_user(COLLEAGUE):
            check_tables(None)
            with only_run(JUNE, None):
                pass


UNLOCKABLE = """
from pathlib import Path
from landcover.errors import LandcoverError
from landcover.period import Period
from tasks.access.lock import only_run
from tasks.access.tables import check_tables
from tests.servers.syscalls import refuse_locks

Path("data").mkdir(exist_ok=True)
refuse_locks()
for what in (check_tables, lambda _: only_run(Period(2025, 6), None).__enter__()):
    try:
        what(None)
    except LandcoverError as error:
        print(type(error).__name__, error)
"""


def test_a_file_system_that_cannot_lock_is_told(settings):
    done = subprocess.run(
        [sys.executable, "-c", UNLOCKABLE],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    said = done.stdout.splitlines()
    assert len(said) == 2
    for line in said:
        assert line.startswith("LandcoverError The file system of METADATA_DB cannot lock ")
        assert "data/chocoforest.db" in line
        assert "(No locks available)" in line
        assert "set METADATA_DB to a file on a disk of this machine" in line
