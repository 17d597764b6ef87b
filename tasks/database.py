"""The database: PostGIS, or the embedded SQLite file where no `DB_HOST` is set."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import DatabaseError, OperationalError

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import check_writable
from tasks.settings import DatabaseSettings, read_settings

CONNECT_TIMEOUT = 10  # seconds

# What PostgreSQL says while it starts, stops or is full; all other refusals last.
_PASSING = (
    "starting up",
    "shutting down",
    "recovery mode",
    "too many",
    "remaining connection",
    "terminating connection",
)

_NOT_ALLOWED = {"42501", "25006"}  # insufficient_privilege, read_only_sql_transaction


@contextmanager
def database() -> Iterator[Connection]:
    """Connect to the database for one transaction, committed at the end.

    Raises:
        SettingsError: if the server refuses the role, the password or the database's name, or the
            embedded file is no database.
        TransientError: if the server cannot be reached or drops the connection.
        LandcoverError: if the role may not do what was asked.
    """
    settings = read_settings(DatabaseSettings)
    url = _url(settings)
    timeout = {"connect_timeout" if settings.db_host else "timeout": CONNECT_TIMEOUT}
    engine = create_engine(url, hide_parameters=True, connect_args=timeout)
    try:
        with engine.begin() as connection:
            yield connection
    except DatabaseError as error:
        explained = _explain(error, url)
        if explained is None:
            raise
        raise explained from error
    finally:
        engine.dispose()


def _url(settings: DatabaseSettings) -> URL:
    if not settings.db_host:
        check_writable(settings.metadata_db.parent, "METADATA_DB")
        return URL.create("sqlite", database=str(settings.metadata_db))
    missing = [name for name in ("db_name", "db_user") if not getattr(settings, name)]
    if missing:
        raise SettingsError(
            f"DB_HOST is set, but {' and '.join(name.upper() for name in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not: set it in the environment or in .env."
        )
    return URL.create(
        "postgresql+psycopg2",
        username=settings.db_user,
        password=settings.db_password.get_secret_value() if settings.db_password else None,
        host=settings.db_host,
        port=settings.db_port,
        database=settings.db_name,
    )


def _explain(error: DatabaseError, url: URL) -> LandcoverError | None:
    """Return the failure in one sentence; None where it is none that a user can mend."""
    if not url.host:
        return _explain_embedded(error, url)
    if getattr(error.orig, "pgcode", None) in _NOT_ALLOWED:
        return LandcoverError(
            f"The role {url.username} lacks a right in the database {url.database} "
            f"({first_line(error)}): ask its owner to grant it."
        )
    if not isinstance(error, OperationalError):
        return None
    place = f"{url.username}@{url.host}:{url.port}/{url.database}"
    refusal = _refusal(str(error.orig))
    if refusal:
        return SettingsError(
            f"The database {place} refuses the connection ({refusal}): "
            "check DB_NAME, DB_USER and DB_PASSWORD."
        )
    return TransientError(
        f"The database {place} cannot be reached ({first_line(error)}): "
        "check that it runs, and DB_HOST and DB_PORT."
    )


def _explain_embedded(error: DatabaseError, url: URL) -> LandcoverError | None:
    said = first_line(error)
    if "locked" in said:
        return TransientError(
            f"The database {url.database} is in use by another program: close it there."
        )
    if isinstance(error, OperationalError) or "not a database" in said:
        return LandcoverError(
            f"METADATA_DB cannot be used: {url.database} ({said}). Give its owner's rights to "
            "this user, or set another file."
        )
    return None


def _refusal(said: str) -> str | None:
    """Return why the server refuses for good; a host of several addresses answers in many lines."""
    if any(passing in said for passing in _PASSING):
        return None
    for line in said.splitlines():
        if "FATAL:" in line:
            return line.split("FATAL:")[1].strip()
        if "no password supplied" in line:
            return "it wants a password, and DB_PASSWORD is not set"
    return None


def first_line(error: DatabaseError) -> str:
    """Return what the database says, without the statement."""
    return str(error.orig).strip().splitlines()[0]
