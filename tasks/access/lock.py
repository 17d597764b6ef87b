"""One run of a period at a time, and one of the record of deforestation: two would undo each other.

The lock belongs to the process of the flow run and is no part of the run, so that a run can be
pickled. What publishes something asks for it again with `hold`.

On a server it belongs to a transaction that stays open as long as the run. A pool of connections
(PgBouncer in transaction mode) lends a connection for one transaction: a lock of the session would
be another's a moment later, and would outlast the run. The transaction holds neither a snapshot nor
a number, so that it keeps no VACUUM back.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final, Literal, NamedTuple

from sqlalchemy import URL, Connection, Engine, NullPool, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from landcover.errors import LandcoverError, TransientError
from landcover.files import make_file
from landcover.period import CalendarYear, Period
from tasks.access.database import access, make_engine, set_up, translated
from tasks.access.database_refusals import CONNECT_TIMEOUT, place_of
from tasks.access.embedded import cannot_lock
from tasks.access.tables import MAPS
from tasks.retries import LOCK_PAUSES

# How often the connection that holds the lock is used. Pools, firewalls and servers end what is
# idle for longer than they like.
PULSE = 60  # seconds

# The server ends the transaction, and so the lock, of a machine that was switched off: also where a
# pool between them does not notice.
SILENCE = 300  # seconds

# How long a pool may take to lend a second connection beside the one that holds the lock; a network
# that is slow fails before. Without it each task would wait for the end of the first, which comes
# with that of the run.
SECOND = CONNECT_TIMEOUT + 2  # seconds

# For this transaction alone: what else would be set is another's at its end. transaction_timeout
# is known since PostgreSQL 17.
_STAY = text(
    "SELECT set_config(name, value, true) FROM pg_settings JOIN (VALUES"
    " ('idle_in_transaction_session_timeout', :silence), ('transaction_timeout', '0'),"
    " ('tcp_keepalives_idle', '60'), ('tcp_keepalives_interval', '10'),"
    " ('tcp_keepalives_count', '6')"
    ") AS wanted (name, value) USING (name)"
)

# The key is what is locked: the tables that are used, however this run came to them.
_TAKE = text(
    "SELECT bool_and(pg_try_advisory_xact_lock("
    "hashtext('chocoforest ' || coalesce(to_regclass(name)::oid, 0)), :number))"
    " FROM unnest(:tables) AS name"
)

# A transaction is known by the connection's process and its own beginning.
_WHO = text("SELECT pg_backend_pid(), now()")
_END = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = :pid AND xact_start = :since"
)

# How long the server may take to end a transaction.
ENDING = 10  # seconds

RECORD: Final = "the record of deforestation"

# What is run alone: the month of a map, the year of one, or what is of all months.
Alone = Period | CalendarYear | Literal["the record of deforestation"]

# What makes sure that a lock of this process is still held, by what is locked.
_HELD: dict[Alone, Callable[[], None]] = {}


class _Held(NamedTuple):
    """The transaction that holds a lock."""

    connection: Connection
    pid: int
    since: datetime


@contextmanager
def only_run(period: Alone, database_block: str | None) -> Iterator[None]:
    """Keep others from running a period on the same database; the lock ends with this process.

    Args:
        period: that is run, or `RECORD`.
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


def hold(period: Alone) -> None:
    """Make sure, before something is published, that a period is still this process's alone.

    A connection that was cut has lost the lock, and another run may have it now.

    Args:
        period: that is run, or `RECORD`.

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
    url: URL, arguments: dict[str, object], period: Alone
) -> Iterator[Callable[[], None]]:
    """Take PostgreSQL's lock of a period, which lasts as long as the transaction."""
    engine = make_engine(url, arguments, isolation_level="READ COMMITTED", poolclass=NullPool)
    # One connection, two threads.
    using = Lock()
    held = _lock_patiently(engine, period)

    def use() -> None:
        with using, translated(url):
            held.connection.execute(text("SELECT 1"))

    def still_held() -> None:
        nonlocal held
        try:
            use()
        except (LandcoverError, SQLAlchemyError):
            with using:
                _drop(held.connection)
                _end_transaction(engine, held)
                held = _try_lock(engine, period)

    try:
        _try_second(engine)
        with _pulse(use):
            yield still_held
    finally:
        # Where it was cut, the lock has ended with it.
        with suppress(DBAPIError):
            held.connection.close()


@contextmanager
def _pulse(use: Callable[[], None]) -> Iterator[None]:
    """Use the connection now and then while the block runs."""
    over = Event()

    def beat() -> None:
        while not over.wait(PULSE):
            # A connection that is lost is found, and told, by `hold`.
            with suppress(LandcoverError, SQLAlchemyError):
                use()

    thread = Thread(target=beat, name="pulse of the lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _try_second(engine: Engine) -> None:
    """Make sure that there is a connection beside the one that holds the lock."""
    failures: list[LandcoverError] = []

    def connect() -> None:
        try:
            with translated(engine.url), engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except TransientError:
            pass  # each task tries again
        except LandcoverError as error:
            failures.append(error)

    # A thread, because the pool lets a question wait, and libpq waits with it.
    thread = Thread(target=connect, name="second connection", daemon=True)
    thread.start()
    thread.join(SECOND)
    if thread.is_alive():
        raise LandcoverError(
            f"The database {place_of(engine.url)} lends no second connection within {SECOND} "
            "seconds while the first holds the run's lock, as a pool (PgBouncer) does that has no "
            "other left: let its owner raise default_pool_size by 2 for each run at a time, or set "
            "DB_HOST and DB_PORT to the server itself."
        )
    if failures:
        raise failures[0]


def _lock_patiently(engine: Engine, period: Alone) -> _Held:
    """Connect and take the lock, again where the connection fails."""
    for pause in LOCK_PAUSES:
        try:
            return _try_lock(engine, period)
        except TransientError:
            time.sleep(pause)
    return _try_lock(engine, period)


def _try_lock(engine: Engine, period: Alone) -> _Held:
    with ExitStack() as closing, translated(engine.url):
        connection = closing.enter_context(engine.connect())
        set_up(connection)
        connection.execute(_STAY, {"silence": f"{SILENCE}s"})
        pid, since = connection.execute(_WHO).one()
        names = [table.name for table in MAPS]
        if not connection.scalar(_TAKE, {"tables": names, "number": number_of(period)}):
            raise _taken(period)
        closing.pop_all()
    return _Held(connection, pid, since)


def _drop(connection: Connection) -> None:
    """Close a connection that was cut, without a word to the server."""
    if not connection.closed:
        connection.invalidate()
        connection.close()


def _end_transaction(engine: Engine, held: _Held) -> None:
    """End what a connection that was cut has left on the server, which may not have noticed.

    It would hold the lock for as long, and pass for another run.
    """
    end = time.monotonic() + ENDING
    while time.monotonic() < end:
        with translated(engine.url), engine.connect() as connection:
            if not connection.execute(_END, {"pid": held.pid, "since": held.since}).all():
                return
        time.sleep(0.1)
    raise TransientError(
        f"The database {place_of(engine.url)} does not end the transaction of a connection that "
        "was cut, which holds the run's lock: it is tried again."
    )


def number_of(period: Alone) -> int:
    """Return the number of a lock: that of nothing else that is locked.

    >>> number_of(Period(2025, 6)), number_of(CalendarYear(2025)), number_of(RECORD)
    (202506, 2025, 0)

    Args:
        period: that is run, or `RECORD`.
    """
    return 0 if period == RECORD else int(period.key)


def _taken(period: Alone) -> LandcoverError:
    return LandcoverError(
        f"Another run of {period} is at work on the same database: wait for its end, or cancel it."
    )


@contextmanager
def _lock_file(url: URL, period: Alone) -> Iterator[Callable[[], None]]:
    """Lock a file beside the embedded database."""
    # Beside the file itself, whatever links lead to it.
    path = Path(f"{Path(str(url.database)).resolve()}.{number_of(period)}.lock")
    try:
        make_file(path)
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
        except OSError as error:
            raise cannot_lock(path, error) from error
        yield lambda: None
