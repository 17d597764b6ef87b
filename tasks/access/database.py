"""The database: PostGIS, or the embedded SQLite file where neither block nor `DB_HOST` is set."""

import errno
import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from upath import UPath

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import check_writable
from tasks.access.blocks import load_block
from tasks.access.once import settings_of_run
from tasks.access.process import configure
from tasks.access.settings import DatabaseSettings

CONNECT_TIMEOUT = 10  # seconds
DEFAULT_PORT = 5432

# By default a connection waits two hours for a machine that was switched off; with these options,
# two minutes.
NOTICE_SILENCE = {
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 120_000,  # milliseconds
}

# What PostgreSQL and pools say while they start, stop or are full; other refusals are for good.
_PASSING = (
    "starting up",
    "shutting down",
    "recovery mode",
    "too many",
    "remaining connection",
    "terminating connection",
    "query_wait_timeout",
    "no more connections allowed",
    "server login has been failing",
    "cannot connect to server",
)

# What to do, by what the server, a pool before it or libpq says; no library has codes for these
# where a connection is not made.
_ADVICE = {
    "too many": "wait for others to end, or let its owner allow more connections",
    "remaining connection": "wait for others to end, or let its owner allow more connections",
    "query_wait_timeout": "wait for others to end, or let its owner raise default_pool_size",
    "no more connections allowed": "wait for others to end, or let its owner raise max_client_conn",
    "translate host name": "check DB_HOST and the network",
    "timeout expired": "check DB_HOST and DB_PORT, and that no firewall is between",
    "server closed the connection unexpectedly": "check that DB_PORT is PostgreSQL's",
    "invalid response to SSL negotiation": "check that DB_PORT is PostgreSQL's",
    "password authentication failed": "check DB_USER and DB_PASSWORD",
    "it wants a password": "set it",
    "no pg_hba.conf entry": "let the server's owner allow this machine, role and database in "
    "pg_hba.conf; where it says no encryption, set DB_SSLMODE to require",
    "does not support SSL": "set DB_SSLMODE to prefer",
    "certificate": "check DB_SSLMODE, and that ~/.postgresql/root.crt holds who signed it",
    "startup parameter": "let the owner of the pool (PgBouncer) add it to "
    "ignore_startup_parameters, or set DB_HOST and DB_PORT to the server itself",
    "no such database": "check DB_NAME",
    'database "': "check DB_NAME",
    "no such user": "check DB_USER",
    'role "': "check DB_USER",
}

NO_PERMISSION = "42501"  # insufficient_privilege
_READ_ONLY = "25006"  # read_only_sql_transaction
_CANCELLED = "57014"  # query_canceled

# What a system says of a lock on a file system that has none: some network and FUSE file systems.
CANNOT_LOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}

# What libpq says where TLS cannot be had at all; a connection that is lost may name SSL too.
_TLS = ("does not support SSL", "certificate", "sslmode")

# What to do, by SQLite's name for what it refuses.
_EMBEDDED = {
    "SQLITE_IOERR": "Look after its disk, or set a file on a disk of this machine",
    "SQLITE_FULL": "Make room on its disk, or set a file on another",
    "SQLITE_NOTADB": "Set another file",
    "SQLITE_CORRUPT": "The file is damaged: put back a copy of it, or set another",
}

# The schema of the settings comes first; that of PostGIS is added for its functions.
_SEARCH_PATH = text(
    "SELECT set_config('search_path', concat_ws(', ', quote_ident(:schema),"
    " nullif(current_setting('search_path'), ''),"
    " (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace"
    " ON pg_namespace.oid = extnamespace WHERE extname = 'postgis')), true)"
)

_POSTGIS = text(
    "SELECT nspname AS schema, has_schema_privilege(extnamespace, 'USAGE') AS usable"
    " FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'postgis'"
)


@contextmanager
def database(block: str | None) -> Iterator[Connection]:
    """Connect to the database for one transaction, committed at the end.

    Args:
        block: the name of the `SqlAlchemyConnector` block; without one the settings serve.

    Raises:
        SettingsError: if the server refuses the role, the password or the database's name, or the
            embedded file is not a database.
        TransientError: if the server cannot be reached or drops the connection.
        LandcoverError: if the role may not do what was asked.
    """
    with connect(*access(block)) as connection:
        yield connection


@contextmanager
def connect(url: URL, arguments: dict[str, object]) -> Iterator[Connection]:
    """Connect to a database for one transaction, as `database` does.

    Args:
        url: its address.
        arguments: how to connect to it.
    """
    configure()
    engine = create_engine(url, hide_parameters=True, connect_args=arguments)
    try:
        with translated(url), engine.begin() as connection:
            if url.get_backend_name() == "postgresql":
                connection.execute(_SEARCH_PATH, {"schema": schema()})
            yield connection
    finally:
        engine.dispose()


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Say in one sentence what a database refuses, as `database` does.

    Args:
        url: of the database.
    """
    try:
        yield
    except DatabaseError as error:
        explained = _explain(error, url)
        if explained is None:
            raise
        raise explained from error


def check_postgis(connection: Connection) -> None:
    """Make sure that a database has PostGIS that this role may use; SQLite needs none.

    Raises:
        SettingsError: if the database has none.
        LandcoverError: if the role may not use its schema.
    """
    if connection.dialect.name != "postgresql":
        return
    url = connection.engine.url
    found = connection.execute(_POSTGIS).one_or_none()
    if found is None:
        raise SettingsError(
            f"The database {url.database} has no PostGIS: "
            "let its owner run CREATE EXTENSION postgis."
        )
    if not found.usable:
        raise LandcoverError(
            f"The role {url.username} may not use PostGIS, which is in the schema {found.schema} "
            f"of the database {url.database}: ask its owner to grant USAGE on the schema."
        )


def schema() -> str | None:
    """Return the schema of the tables that a month is recorded in."""
    return settings_of_run(DatabaseSettings).db_schema


def access(block: str | None) -> tuple[URL, dict[str, object]]:
    """Return the database's address and how to connect to it, the same throughout a flow run."""
    connector = load_block(SqlAlchemyConnector, block) or connector_of_settings()
    if connector is None:
        path = settings_of_run(DatabaseSettings).metadata_db
        check_writable(UPath(path.parent), "METADATA_DB")
        return URL.create("sqlite", database=str(path)), {"timeout": CONNECT_TIMEOUT}
    return access_of(connector, f"The block {block!r}")


def access_of(
    connector: SqlAlchemyConnector, what: str = "The database"
) -> tuple[URL, dict[str, object]]:
    """Return a connector's address and how to connect to it.

    Args:
        connector: a block, saved or not.
        what: it is, for messages.

    Raises:
        SettingsError: if it is not for PostgreSQL.
    """
    usual = {"connect_timeout": CONNECT_TIMEOUT, **NOTICE_SILENCE}
    return _url(connector, what), {**usual, **(connector.connect_args or {})}


def connector_of_settings() -> SqlAlchemyConnector | None:
    """Return the database that the settings name; None where there is no `DB_HOST`.

    Raises:
        SettingsError: if a setting is missing or malformed.
    """
    settings = settings_of_run(DatabaseSettings)
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


def _url(connector: SqlAlchemyConnector, what: str) -> URL:
    info = connector.connection_info
    try:
        url = info.create_url() if isinstance(info, ConnectionComponents) else make_url(str(info))
        known = url.get_backend_name() == "postgresql"
    except ArgumentError:
        known = False
    if not known:
        raise SettingsError(
            f"{what} is not a PostgreSQL database: save it with the driver "
            "postgresql+psycopg2, or with python flows/setup_blocks.py."
        )
    return url.set(drivername="postgresql+psycopg2")


def _explain(error: DatabaseError, url: URL) -> LandcoverError | None:
    """Return the failure in one sentence; None where a user cannot mend it."""
    if not url.host:
        return _explain_embedded(error, url)
    code = getattr(error.orig, "pgcode", None)
    if code == NO_PERMISSION:
        return LandcoverError(
            f"The role {url.username} lacks a permission in the database {url.database} "
            f"({first_line(error)}): ask its owner to grant it."
        )
    if code == _READ_ONLY:
        return LandcoverError(
            f"The database {place_of(url)} takes no changes ({first_line(error)}): if it is a "
            "read-only copy, set DB_HOST to the server that it copies; else let its owner turn "
            "default_transaction_read_only off."
        )
    if code == _CANCELLED:
        return LandcoverError(
            f"The database {url.database} cancelled a statement ({first_line(error)}): let its "
            f"owner raise statement_timeout for the role {url.username}."
        )
    if "invalid dsn" in str(error.orig):
        return SettingsError(
            f"The database block cannot be used ({first_line(error)}): save it again with "
            "python flows/setup_blocks.py, or in the Prefect UI."
        )
    if not isinstance(error, OperationalError):
        return None
    place = place_of(url)
    refusal = _refusal(str(error.orig))
    if refusal:
        usual = "check DB_NAME, DB_USER, DB_PASSWORD and DB_SSLMODE"
        return SettingsError(
            f"The database {place} refuses the connection ({refusal}): "
            f"{_advice(refusal) or usual}, or the database block."
        )
    said = first_line(error)
    usual = "check that it runs, and DB_HOST and DB_PORT"
    return TransientError(
        f"The database {place} cannot be reached ({said}): {_advice(said) or usual}, or the "
        "database block."
    )


def _advice(said: str) -> str | None:
    return next((advice for words, advice in _ADVICE.items() if words in said), None)


def place_of(url: URL) -> str:
    """Return a database's address without its password."""
    return f"{url.username}@{url.host}:{url.port or DEFAULT_PORT}/{url.database}"


def _explain_embedded(error: DatabaseError, url: URL) -> LandcoverError | None:
    """Say what SQLite refuses, by its own name for it."""
    said, path = first_line(error), Path(str(url.database))
    name = getattr(error.orig, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_PROTOCOL")):
        # SQLite calls it busy, too, where the file system cannot lock.
        if refusal := refused_lock(path):
            return refusal
        if not name.startswith("SQLITE_IOERR"):
            return TransientError(
                f"The database {path} is in use by another program: close it there."
            )
    if isinstance(error, OperationalError) or "not a database" in said:
        advice = next(
            (advice for kind, advice in _EMBEDDED.items() if name.startswith(kind)),
            "Give this user permission to write it, or set another file",
        )
        return LandcoverError(f"METADATA_DB cannot be used: {path} ({said}). {advice}.")
    return None


def refused_lock(path: Path) -> LandcoverError | None:
    """Try to lock a file beside the embedded database; say so where the file system cannot.

    Args:
        path: of the database. It is not opened: to close it would undo SQLite's own locks.
    """
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in CANNOT_LOCK:
            return cannot_lock(path, error)
    return None


def cannot_lock(path: Path, error: OSError) -> LandcoverError:
    """Say that the file system of the embedded database locks no files.

    Args:
        path: that was to be locked.
        error: what the system says.
    """
    return LandcoverError(
        f"The file system of METADATA_DB cannot lock {path} ({error.strerror}), as some network "
        "disks cannot: set METADATA_DB to a file on a disk of this machine, so that two runs at "
        "once do not spoil each other's work."
    )


def _refusal(said: str) -> str | None:
    """Return why the server refuses for good; a host of several addresses answers in many lines."""
    if any(passing in said for passing in _PASSING):
        return None
    for line in said.splitlines():
        if "FATAL:" in line:
            return line.split("FATAL:")[1].strip()
        if "no password supplied" in line:
            return "it wants a password, and DB_PASSWORD is not set"
        if any(word in line for word in _TLS):
            return line.rpartition("failed: ")[2].strip()
    return None


def first_line(error: DatabaseError) -> str:
    """Return what the database says, without the statement."""
    return str(error.orig).strip().splitlines()[0]
