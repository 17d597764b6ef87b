"""One run of a month at a time: two would remove each other's work."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text

from landcover.errors import LandcoverError, TransientError
from tasks.access.database import access, schema, translated

# The connection is idle for as long as the run takes, and the server should not end it for that.
# Of a machine that was switched off it learns within two minutes, not the usual two hours.
_STAY = text(
    "SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES"
    " ('idle_session_timeout', '0'), ('tcp_keepalives_idle', '60'),"
    " ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '6')"
    ") AS wanted (name, value) USING (name)"
)

# Seconds between tries to connect: a connection cannot be what a task returns, nor be retried so.
PAUSES = (2, 4, 8)


@contextmanager
def only_run(year: int, month: int, database_block: str | None) -> Iterator[Callable[[], None]]:
    """Keep others from running a month on the same database; the lock ends with this process.

    Args:
        year: of the month.
        month: 1 to 12.
        database_block: see `tasks.access.database.database`.

    Yields:
        What makes sure, before something is published, that the month is still this run's alone:
        a connection that was cut has lost the lock, and another run may have it now.

    Raises:
        LandcoverError: if another run of the month is at work.
    """
    url, arguments = access(database_block)
    number = 100 * year + month
    embedded = url.get_backend_name() == "sqlite"
    lock = _lock_file(url, number) if embedded else _lock_session(url, arguments, number)
    with lock as still_held:
        yield still_held


@contextmanager
def _lock_session(
    url: URL, arguments: dict[str, object], number: int
) -> Iterator[Callable[[], None]]:
    """Take PostgreSQL's lock of a number, which lasts as long as the connection."""
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args=arguments,
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with ExitStack() as closing:
        held = closing.enter_context(_lock_patiently(engine, number))

        def still_held() -> None:
            nonlocal held
            try:
                with translated(url):
                    held.execute(text("SELECT 1"))
            except TransientError:
                held = closing.enter_context(_lock_patiently(engine, number))

        yield still_held


def _lock_patiently(engine: Engine, number: int) -> Connection:
    """Connect and take the lock, again where the connection fails."""
    for pause in PAUSES:
        try:
            return _try_lock(engine, number)
        except TransientError:
            time.sleep(pause)
    return _try_lock(engine, number)


def _try_lock(engine: Engine, number: int) -> Connection:
    with ExitStack() as closing, translated(engine.url):
        connection = closing.enter_context(engine.connect())
        connection.execute(_STAY)
        free = connection.scalar(
            text("SELECT pg_try_advisory_lock(hashtext('chocoforest ' || :schema), :number)"),
            {"schema": schema() or "", "number": number},
        )
        if not free:
            raise _taken(number)
        closing.pop_all()
    return connection


def _taken(number: int) -> LandcoverError:
    year, month = divmod(number, 100)
    return LandcoverError(
        f"Another run of {year}-{month:02d} is at work on the same database: wait for its end, or "
        "cancel it."
    )


@contextmanager
def _lock_file(url: URL, number: int) -> Iterator[Callable[[], None]]:
    """Lock a file beside the embedded database."""
    path = Path(f"{url.database}.{number}.lock")
    try:
        file = path.open("w")
    except OSError as error:
        raise LandcoverError(
            f"The lock {path} cannot be written ({error.strerror}): give this user the rights of "
            "its owner, or set another METADATA_DB."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(number) from None
        yield lambda: None
