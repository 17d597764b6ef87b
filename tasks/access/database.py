"""The database: PostGIS, or the embedded SQLite file where neither block nor `DB_HOST` is set."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from upath import UPath

from landcover.errors import LandcoverError, SettingsError
from landcover.files import check_writable, make_file
from tasks.access.blocks import load_block
from tasks.access.database_refusals import CONNECT_TIMEOUT, explain_connection, explain_statement
from tasks.access.embedded import explain_embedded
from tasks.access.once import settings_of_run
from tasks.access.process import configure
from tasks.access.settings import DatabaseSettings

# By default a connection waits two hours for a machine that was switched off; with these options,
# two minutes.
NOTICE_SILENCE = {
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 120_000,  # milliseconds
}

# The schema of the settings comes first; that of PostGIS is added for its functions.
_SEARCH_PATH = text(
    "SELECT set_config('search_path', concat_ws(', ', quote_ident(:schema),"
    " nullif(current_setting('search_path'), ''),"
    " (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace"
    " ON pg_namespace.oid = extnamespace WHERE extname = 'postgis')), true)"
)

# The wait for a lock of another's ends first, with an SQLSTATE of its own: it may heal. What
# statement_timeout cuts then is a statement that takes too long.
_WAIT_FOR_LOCKS = text(
    "SELECT set_config('lock_timeout', (setting::bigint / 2 + 1)::text, true) FROM pg_settings"
    " WHERE name = 'statement_timeout' AND setting <> '0' AND current_setting('lock_timeout') = '0'"
)

_POSTGIS = text(
    "SELECT nspname AS schema, has_schema_privilege(extnamespace, 'USAGE') AS usable"
    " FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'postgis'"
)


@contextmanager
def database(block: str | None, reading: bool = False) -> Iterator[Connection]:
    """Connect to the database for one transaction, committed at the end.

    Args:
        block: the name of the `SqlAlchemyConnector` block; without one the settings serve.
        reading: whether it is only read: an embedded file that is not there is not made.

    Raises:
        SettingsError: if the server refuses the role, the password or the database's name, or the
            embedded file is not a database.
        TransientError: if the server cannot be reached or drops the connection.
        LandcoverError: if the role may not do what was asked.
    """
    with connect(*access(block, reading)) as connection:
        yield connection


@contextmanager
def connect(url: URL, arguments: dict[str, object]) -> Iterator[Connection]:
    """Connect to a database for one transaction, as `database` does.

    Args:
        url: its address.
        arguments: how to connect to it.
    """
    configure()
    engine = make_engine(url, arguments)
    try:
        with translated(url), engine.begin() as connection:
            set_up(connection)
            yield connection
    finally:
        engine.dispose()


def make_engine(url: URL, arguments: dict[str, object], **options: object) -> Engine:
    """Make an engine that says in one sentence why a connection is not made.

    Args:
        url: of the database.
        arguments: how to connect to it.
        options: of SQLAlchemy's `create_engine`.
    """
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args=arguments,
        json_deserializer=_read_json,
        **options,
    )

    def connect(
        dialect: Dialect, _: object, words: list[Any], parameters: dict[str, Any]
    ) -> object:
        try:
            return dialect.connect(*words, **parameters)
        # psycopg2 cannot read what a server says in another encoding than UTF-8.
        except (psycopg2.Error, UnicodeError) as error:
            raise explain_connection(error, parameters, url) from error

    if url.get_backend_name() == "postgresql":
        event.listen(engine, "do_connect", connect)
    return engine


def _read_json(written: str) -> object:
    """Return what JSON says; None for what is not JSON, which SQLite lets others write."""
    try:
        return json.loads(written)
    except ValueError:
        return None


def set_up(connection: Connection) -> None:
    """Set where PostgreSQL looks for tables, and how long it waits for locks, in a transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(_SEARCH_PATH, {"schema": schema()})
        connection.execute(_WAIT_FOR_LOCKS)


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Say in one sentence why a database refuses a statement, as `database` does.

    Args:
        url: of the database.
    """
    try:
        yield
    except DBAPIError as error:
        explain = explain_statement if url.get_backend_name() == "postgresql" else explain_embedded
        explained = explain(error, url)
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


def access(block: str | None, reading: bool = False) -> tuple[URL, dict[str, object]]:
    """Return the database's address and how to connect to it, the same throughout a flow run.

    Args:
        block: see `database`.
        reading: see `database`.
    """
    connector = load_block(SqlAlchemyConnector, block) or connector_of_settings()
    if connector is None:
        path = settings_of_run(DatabaseSettings).metadata_db
        name = _to_read(path) if reading else _to_write(path)
        return URL.create("sqlite", database=name), {"timeout": CONNECT_TIMEOUT}
    return access_of(connector, f"The block {block!r}")


def _to_write(path: Path) -> str:
    check_writable(UPath(path.parent), "METADATA_DB")
    make_file(path)
    return str(path)


def _to_read(path: Path) -> str:
    # SQLite says itself what it may not read.
    with suppress(PermissionError):
        if not path.exists():
            return ":memory:"
    return str(path)


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
