"""The database: PostGIS, or the embedded SQLite file where neither block nor `DB_HOST` is set."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from upath import UPath

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import check_writable
from tasks.blocks import load_block
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
_CANCELLED = "57014"  # query_canceled

# The schema of the settings comes first; that of PostGIS is added for its functions.
_SEARCH_PATH = text(
    "SELECT set_config('search_path', concat_ws(', ', quote_ident(:schema),"
    " nullif(current_setting('search_path'), ''),"
    " (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace"
    " ON pg_namespace.oid = extnamespace WHERE extname = 'postgis')), true)"
)


@contextmanager
def database(block: str | None) -> Iterator[Connection]:
    """Connect to the database for one transaction, committed at the end.

    Args:
        block: the name of the `SqlAlchemyConnector` block; without one the settings serve.

    Raises:
        SettingsError: if the server refuses the role, the password or the database's name, or the
            embedded file is no database.
        TransientError: if the server cannot be reached or drops the connection.
        LandcoverError: if the role may not do what was asked.
    """
    url, arguments = _access(block)
    engine = create_engine(url, hide_parameters=True, connect_args=arguments)
    try:
        with engine.begin() as connection:
            if url.get_backend_name() == "postgresql":
                connection.execute(_SEARCH_PATH, {"schema": schema()})
            yield connection
    except DatabaseError as error:
        explained = _explain(error, url)
        if explained is None:
            raise
        raise explained from error
    finally:
        engine.dispose()


def schema() -> str | None:
    """Return the schema of the tables that a month is recorded in."""
    return read_settings(DatabaseSettings).db_schema


def _access(block: str | None) -> tuple[URL, dict[str, object]]:
    """Return the database's address and how to connect to it."""
    connector = load_block(SqlAlchemyConnector, block) or connector_of_settings()
    if connector is None:
        path = read_settings(DatabaseSettings).metadata_db
        check_writable(UPath(path.parent), "METADATA_DB")
        return URL.create("sqlite", database=str(path)), {"timeout": CONNECT_TIMEOUT}
    url = _url(connector, block)
    return url, {"connect_timeout": CONNECT_TIMEOUT, **(connector.connect_args or {})}


def connector_of_settings() -> SqlAlchemyConnector | None:
    """Return the database that the settings name; None where there is no `DB_HOST`.

    Raises:
        SettingsError: if a setting is missing or malformed.
    """
    settings = read_settings(DatabaseSettings)
    if not settings.db_host:
        return None
    missing = [name for name in ("db_name", "db_user") if not getattr(settings, name)]
    if missing:
        raise SettingsError(
            f"DB_HOST is set, but {' and '.join(name.upper() for name in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not: set it in the environment or in .env."
        )
    return SqlAlchemyConnector(
        connection_info=ConnectionComponents(
            driver=SyncDriver.POSTGRESQL_PSYCOPG2,
            username=settings.db_user,
            password=settings.db_password,
            host=settings.db_host,
            port=settings.db_port,
            database=settings.db_name,
            query={"sslmode": settings.db_sslmode} if settings.db_sslmode else None,
        )
    )


def _url(connector: SqlAlchemyConnector, block: str | None) -> URL:
    said = connector.connection_info
    try:
        url = said.create_url() if isinstance(said, ConnectionComponents) else make_url(str(said))
        known = url.get_backend_name() == "postgresql"
    except ArgumentError:
        known = False
    if not known:
        raise SettingsError(
            f"The block {block!r} is no PostgreSQL database: save it with the driver "
            "postgresql+psycopg2, or with python flows/setup_blocks.py."
        )
    return url.set(drivername="postgresql+psycopg2")


def _explain(error: DatabaseError, url: URL) -> LandcoverError | None:
    """Return the failure in one sentence; None where it is none that a user can mend."""
    if not url.host:
        return _explain_embedded(error, url)
    if getattr(error.orig, "pgcode", None) in _NOT_ALLOWED:
        return LandcoverError(
            f"The role {url.username} lacks a right in the database {url.database} "
            f"({first_line(error)}): ask its owner to grant it."
        )
    if getattr(error.orig, "pgcode", None) == _CANCELLED:
        return LandcoverError(
            f"The database {url.database} cancelled a statement ({first_line(error)}): let its "
            f"owner raise statement_timeout for the role {url.username}."
        )
    if not isinstance(error, OperationalError):
        return None
    place = f"{url.username}@{url.host}:{url.port}/{url.database}"
    refusal = _refusal(str(error.orig))
    if refusal:
        return SettingsError(
            f"The database {place} refuses the connection ({refusal}): "
            "check DB_NAME, DB_USER, DB_PASSWORD and DB_SSLMODE, or the database block."
        )
    return TransientError(
        f"The database {place} cannot be reached ({first_line(error)}): "
        "check that it runs, and DB_HOST and DB_PORT, or the database block."
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
