"""One run of a period at a time: two would remove each other's work.

The lock belongs to the process of the flow run and is no part of the run, so that a run can be
pickled. What publishes something asks for it again with `hold`.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text

from landcover.errors import LandcoverError, TransientError
from landcover.period import Period
from tasks.access.database import access, schema, translated
from tasks.retries import LOCK_PAUSES

# The connection is idle for as long as the run takes, and the server should not end it for that.
# The server notices within two minutes, not two hours, that our machine was switched off.
_STAY = text(
    "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES"
    " ('idle_session_timeout', '0'), ('tcp_keepalives_idle', '60'),"
    " ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '6')"
    ") AS wanted (name, value) USING (name)"
)


# What makes sure that a lock of this process is still held, by period.
_HELD: dict[Period, Callable[[], None]] = {}


@contextmanager
def only_run(period: Period, database_block: str | None) -> Iterator[None]:
    """Keep others from running a period on the same database; the lock ends with this process.

    Args:
        period: that is run.
        database_block: see `tasks.access.database.database`.

    Raises:
        LandcoverError: if another run of the period is at work.
    """
    url, arguments = access(database_block)
    embedded = url.get_backend_name() == "sqlite"
    lock = _lock_file(url, period) if embedded else _lock_session(url, arguments, period)
    with lock as still_held:
        _HELD[period] = still_held
        try:
            yield
        finally:
            del _HELD[period]


def hold(period: Period) -> None:
    """Make sure, before something is published, that a period is still this process's alone.

    A connection that was cut has lost the lock, and another run may have it now.

    Args:
        period: that is run.

    Raises:
        LandcoverError: if another run of the period is at work.
        TransientError: if the database cannot be reached.
    """
    still_held = _HELD.get(period)
    if still_held is None:
        raise LandcoverError(
            f"{period} is not locked by this process, so nothing is published: run it with a flow."
        )
    still_held()


@contextmanager
def _lock_session(
    url: URL, arguments: dict[str, object], period: Period
) -> Iterator[Callable[[], None]]:
    """Take PostgreSQL's lock of a period, which lasts as long as the connection."""
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args=arguments,
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with ExitStack() as closing:
        held = closing.enter_context(_lock_patiently(engine, period))

        def still_held() -> None:
            nonlocal held
            try:
                with translated(url):
                    held.execute(text("SELECT 1"))
            except TransientError:
                held = closing.enter_context(_lock_patiently(engine, period))

        yield still_held


def _lock_patiently(engine: Engine, period: Period) -> Connection:
    """Connect and take the lock, again where the connection fails."""
    for pause in LOCK_PAUSES:
        try:
            return _try_lock(engine, period)
        except TransientError:
            time.sleep(pause)
    return _try_lock(engine, period)


def _try_lock(engine: Engine, period: Period) -> Connection:
    with ExitStack() as closing, translated(engine.url):
        connection = closing.enter_context(engine.connect())
        connection.execute(_STAY)
        free = connection.scalar(
            text("SELECT pg_try_advisory_lock(hashtext('chocoforest ' || :schema), :number)"),
            {"schema": schema() or "", "number": _number(period)},
        )
        if not free:
            raise _taken(period)
        closing.pop_all()
    return connection


def _number(period: Period) -> int:
    return int(period.key)


def _taken(period: Period) -> LandcoverError:
    return LandcoverError(
        f"Another run of {period} is at work on the same database: wait for its end, or cancel it."
    )


@contextmanager
def _lock_file(url: URL, period: Period) -> Iterator[Callable[[], None]]:
    """Lock a file beside the embedded database."""
    path = Path(f"{url.database}.{_number(period)}.lock")
    try:
        file = path.open("w")
    except OSError as error:
        raise LandcoverError(
            f"The lock {path} cannot be written ({error.strerror}): give this user permission to "
            "write it, or set another METADATA_DB."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(period) from None
        yield lambda: None
