"""One run of a month at a time: two would remove each other's work."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, create_engine, text

from landcover.errors import LandcoverError
from tasks.database import access, schema, translated


@contextmanager
def only_run(year: int, month: int, database_block: str | None) -> Iterator[None]:
    """Keep others from running a month on the same database; the lock ends with this process.

    Args:
        year: of the month.
        month: 1 to 12.
        database_block: see `tasks.database.database`.

    Raises:
        LandcoverError: if another run of the month is at work.
    """
    url, arguments = access(database_block)
    number = 100 * year + month
    lock = _lock_file(url, number) if not url.host else _lock_session(url, arguments, number)
    with lock as free:
        if not free:
            raise LandcoverError(
                f"Another run of {year}-{month:02d} is at work on the same database: wait for its "
                "end, or cancel it."
            )
        yield


@contextmanager
def _lock_session(url: URL, arguments: dict[str, object], number: int) -> Iterator[bool]:
    """Take PostgreSQL's lock of a number, which lasts as long as the connection."""
    engine = create_engine(
        url, hide_parameters=True, connect_args=arguments, isolation_level="AUTOCOMMIT"
    )
    try:
        with translated(url):
            connection = engine.connect()
            free = connection.scalar(
                text("SELECT pg_try_advisory_lock(hashtext('chocoforest ' || :schema), :number)"),
                {"schema": schema() or "", "number": number},
            )
        yield bool(free)
    finally:
        engine.dispose()


@contextmanager
def _lock_file(url: URL, number: int) -> Iterator[bool]:
    """Lock a file beside the embedded database."""
    with open(f"{url.database}.{number}.lock", "w") as file:  # noqa: PTH123
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
