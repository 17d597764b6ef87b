"""One run of a period at a time: two would remove each other's work.

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
from pathlib import Path
from threading import Event, Lock, Thread

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DatabaseError

from landcover.errors import LandcoverError, TransientError
from landcover.period import Period
from tasks.access.database import CONNECT_TIMEOUT, access, cannot_lock, place_of, schema, translated
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
    """Take PostgreSQL's lock of a period, which lasts as long as the transaction."""
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        poolclass=NullPool,
    )
    with ExitStack() as closing:
        held = closing.enter_context(_lock_patiently(engine, period))
        _try_second(engine)
        # One connection, two threads.
        using = Lock()

        def use() -> None:
            with using, translated(url):
                if held.invalidated:
                    raise TransientError("The connection that held the lock was cut.")
                held.execute(text("SELECT 1"))

        def still_held() -> None:
            nonlocal held
            try:
                use()
            except LandcoverError:
                taken = closing.enter_context(_lock_patiently(engine, period))
                with using:
                    held = taken

        closing.enter_context(_pulse(use))
        yield still_held


@contextmanager
def _pulse(use: Callable[[], None]) -> Iterator[None]:
    """Use the connection now and then while the block runs."""
    over = Event()

    def beat() -> None:
        while not over.wait(PULSE):
            # A connection that is lost is found, and told, by `hold`.
            with suppress(LandcoverError, DatabaseError):
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
        connection.execute(_STAY, {"silence": f"{SILENCE}s"})
        free = connection.scalar(
            text("SELECT pg_try_advisory_xact_lock(hashtext('chocoforest ' || :schema), :number)"),
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
        except OSError as error:
            raise cannot_lock(path, error) from error
        yield lambda: None
