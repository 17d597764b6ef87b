"""The database: PostGIS, or the embedded SQLite file where no `DB_HOST` is set."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from landcover.errors import LandcoverError, SettingsError, TransientError
from tasks.settings import DatabaseSettings, read_settings

CONNECT_TIMEOUT = 10  # seconds

# What PostgreSQL says while it starts, stops or is full; all other refusals last.
_PASSING = ("starting up", "shutting down", "recovery mode", "too many", "remaining connection")


@contextmanager
def database() -> Iterator[Connection]:
    """Connect to the database for one transaction, committed at the end.

    Raises:
        SettingsError: if the server refuses the role, the password or the database's name.
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
    except OperationalError as error:
        raise _explain(error, url) from error
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) == "42501":  # insufficient_privilege
            raise LandcoverError(
                f"The role {url.username} lacks a right in the database {url.database} "
                f"({_first_line(error)}): ask its owner to grant it."
            ) from error
        raise
    finally:
        engine.dispose()


def _url(settings: DatabaseSettings) -> URL:
    if not settings.db_host:
        settings.metadata_db.parent.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(settings.metadata_db))
    missing = [name for name in ("db_name", "db_user") if not getattr(settings, name)]
    if missing:
        raise SettingsError(
            f"DB_HOST is set, but {' and '.join(name.upper() for name in missing)} is not: set "
            "it in the environment or in .env."
        )
    return URL.create(
        "postgresql+psycopg2",
        username=settings.db_user,
        password=settings.db_password.get_secret_value() if settings.db_password else None,
        host=settings.db_host,
        port=settings.db_port,
        database=settings.db_name,
    )


def _explain(error: OperationalError, url: URL) -> LandcoverError:
    place = f"{url.username}@{url.host}:{url.port}/{url.database}" if url.host else url.database
    said = _first_line(error)
    if "FATAL" in said and not any(passing in said for passing in _PASSING):
        return SettingsError(
            f"The database {place} refuses the connection ({said.split('FATAL:')[1].strip()}): "
            "check DB_NAME, DB_USER and DB_PASSWORD."
        )
    return TransientError(
        f"The database {place} cannot be reached ({said}): "
        "check that it runs, and DB_HOST and DB_PORT."
    )


def _first_line(error: OperationalError | ProgrammingError) -> str:
    return str(error.orig).strip().splitlines()[0]
