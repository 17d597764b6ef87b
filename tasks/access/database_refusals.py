"""What a database refuses, and why: one sentence for each, and whether it is worth a retry.

What decides is the SQLSTATE or the type of an error, never its text, which is in the language of
the server. Where the words of a message are looked at, they only find better advice.
"""

import asyncio
from collections.abc import Mapping
from ssl import SSLCertVerificationError
from urllib.parse import urlencode

import asyncpg  # type: ignore[import-untyped]
import psycopg2
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from landcover.errors import LandcoverError, SettingsError, TransientError

CONNECT_TIMEOUT = 10  # seconds
DEFAULT_PORT = 5432

NO_PERMISSION = "42501"  # insufficient_privilege
_READ_ONLY = "25006"  # read_only_sql_transaction
_CANCELLED = "57014"  # query_canceled

# What ends a connection, by SQLSTATE or its class.
_LOST = (
    "08",  # connection_exception
    "25P03",  # idle_in_transaction_session_timeout
    "25P04",  # transaction_timeout
    "57P",  # operator_intervention: the server stops or starts
)

# What else heals by itself.
_MAY_HEAL = (
    "40",  # transaction_rollback: deadlocks too
    "53",  # insufficient_resources
    "55006",  # object_in_use
    "55P03",  # lock_not_available
    "58",  # system_error
)

# Why a connection is refused for good: the role, its password or where it comes from, the
# database, and what the connection asks for. All other reasons may heal.
_REFUSES = (
    "22",  # data_exception: an option's value
    "28",  # invalid_authorization_specification
    "3D",  # invalid_catalog_name
    "42",  # syntax_error_or_access_rule_violation: permission, an option's name
)

# What of libpq's parameters the server or asyncpg knows.
_KNOWN = {
    *("host", "port", "dbname", "user", "password", "passfile", "service", "options"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
}

_WRONG_LOGIN = "28P01"  # invalid_password

# What to do, by SQLSTATE or its class.
_ADVICE = {
    _WRONG_LOGIN: "check DB_USER and DB_PASSWORD",
    "28": "check DB_USER, or let the server's owner allow this machine, role and database in "
    "pg_hba.conf; where it says no encryption, set DB_SSLMODE to require",
    "3D": "check DB_NAME",
    NO_PERMISSION: "ask the owner of the database to grant CONNECT on it",
    "40": "run it again",
    "53100": "let its owner make room on its disk",
    "53300": "wait for others to end, or let its owner allow more connections",
    "55000": "let its owner allow connections to it",
    "55006": "wait for the end of what uses it",
    "55P03": "wait for the end of what holds the lock, or let its owner end that",
    "57P03": "wait until it takes connections",
}

# What to do, by words of libpq, of OpenSSL or of PgBouncer, whose refusals mostly have one code.
_ADVICE_BY_WORDS = {
    "query_wait_timeout": "wait for others to end, or let its owner raise default_pool_size",
    "no more connections allowed": "wait for others to end, or let its owner raise max_client_conn",
    "translate host name": "check DB_HOST and the network",
    "timeout expired": "check DB_HOST and DB_PORT, and that no firewall is between",
    "server closed the connection unexpectedly": "check that DB_PORT is PostgreSQL's",
    "invalid response to SSL negotiation": "check that DB_PORT is PostgreSQL's",
    "does not support SSL": "set DB_SSLMODE to prefer",
    "certificate": "check DB_SSLMODE, and that ~/.postgresql/root.crt holds who signed it",
    "startup parameter": "let the owner of the pool (PgBouncer) add it to "
    "ignore_startup_parameters, or set DB_HOST and DB_PORT to the server itself",
    "no such database": "check DB_NAME",
    "no such user": "check DB_USER",
    'database "': "check DB_NAME",
    'role "': "check DB_USER",
}


def explain_connection(
    error: psycopg2.Error | UnicodeError, parameters: Mapping[str, object], url: URL
) -> LandcoverError:
    """Say in one sentence why a connection is not made.

    Args:
        error: why, as far as psycopg2 tells.
        parameters: what libpq was given.
        url: of the database.

    Returns:
        A `SettingsError` where role, password, database or TLS are refused, or where the parameters
        are none of libpq's; a `TransientError` for all else, which may heal.
    """
    if isinstance(error, psycopg2.ProgrammingError):
        return SettingsError(
            f"The database block cannot be used ({_first_line(error)}): save it again with "
            "python flows/setup_blocks.py, or in the Prefect UI."
        )
    reason = asyncio.run(_reason(parameters))
    code = getattr(reason, "sqlstate", None)
    said = str(reason.args[0]) if reason and code else _without_address(error)
    if not _is_for_good(reason, parameters):
        return _unreachable(url, code, said)
    advice = _advice(code, said) or "check DB_NAME, DB_USER, DB_PASSWORD and DB_SSLMODE"
    if code == _WRONG_LOGIN and not parameters.get("password"):
        said, advice = "it wants a password, and DB_PASSWORD is not set", "set it"
    return SettingsError(
        f"The database {place_of(url)} refuses the connection ({said}): {advice}, or the database "
        "block."
    )


def explain_statement(error: DBAPIError, url: URL) -> LandcoverError | None:
    """Say in one sentence why a statement fails; None where psycopg2 was used wrongly.

    Args:
        error: why.
        url: of the database.

    Returns:
        A `TransientError` for what may heal.
    """
    code, said = getattr(error.orig, "pgcode", None), first_line(error)
    if code is None:
        return _unreachable(url, code, said) if _is_lost(error) else None
    if code.startswith(_LOST):
        return _unreachable(url, code, said)
    if code.startswith(_MAY_HEAL):
        return TransientError(
            f"The database {place_of(url)} cannot do now what it is asked ({said}): "
            f"{_advice(code, said) or 'let its owner look after it'}."
        )
    if code == NO_PERMISSION:
        return LandcoverError(
            f"The role {url.username} lacks a permission in the database {url.database} ({said}): "
            "ask its owner to grant it."
        )
    if code == _READ_ONLY:
        return LandcoverError(
            f"The database {place_of(url)} takes no changes ({said}): if it is a read-only copy, "
            "set DB_HOST to the server that it copies; else let its owner turn "
            "default_transaction_read_only off."
        )
    if code == _CANCELLED:
        return LandcoverError(
            f"The database {url.database} cancelled a statement ({said}): let its owner raise "
            f"statement_timeout for the role {url.username}."
        )
    return LandcoverError(
        f"The database {place_of(url)} refuses a statement ({said}): let its owner mend what it "
        "names."
    )


def place_of(url: URL) -> str:
    """Return a database's address without its password."""
    if _has_no_host(url):
        return f"{url.username}@(no host, so this machine)/{url.database}"
    return (
        f"{url.username}@{url.host or url.query['host']}:{url.port or DEFAULT_PORT}/{url.database}"
    )


def first_line(error: DBAPIError) -> str:
    """Return what the database says, without the statement."""
    return _first_line(error.orig)


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), "")


def _without_address(error: Exception) -> str:
    """Return what libpq says at the last address of a host, which is the one that answers."""
    lines = [line for line in str(error).splitlines() if "failed: " in line]
    return lines[-1].rpartition("failed: ")[2].strip() if lines else _first_line(error)


def _has_no_host(url: URL) -> bool:
    return not url.host and "host" not in url.query


def _unreachable(url: URL, code: str | None, said: str) -> TransientError:
    usual = "check that it runs, and DB_HOST and DB_PORT"
    advice = "set a host" if _has_no_host(url) else _advice(code, said) or usual
    return TransientError(
        f"The database {place_of(url)} cannot be reached ({said}): {advice}, or the database block."
    )


def _advice(code: str | None, said: str) -> str | None:
    by_words = (advice for words, advice in _ADVICE_BY_WORDS.items() if words in said)
    code = code or ""
    return _ADVICE.get(code) or _ADVICE.get(code[:2]) or next(by_words, None)


def _is_lost(error: DBAPIError) -> bool:
    """Tell whether an error without SQLSTATE is of the connection, not of how psycopg2 is used."""
    kinds = psycopg2.OperationalError | psycopg2.InterfaceError
    return (
        error.connection_invalidated
        or isinstance(error.orig, kinds)
        or type(error.orig) is psycopg2.DatabaseError
    )


def _is_for_good(reason: Exception | None, parameters: Mapping[str, object]) -> bool:
    if isinstance(reason, asyncpg.PostgresError):
        return str(reason.sqlstate).startswith(_REFUSES)
    if type(reason) is ConnectionError:
        return asyncio.run(_answers_without_tls(parameters))
    return isinstance(reason, asyncpg.ClientConfigurationError | SSLCertVerificationError)


async def _answers_without_tls(parameters: Mapping[str, object]) -> bool:
    """Tell whether a server that ends the connection when asked for TLS answers without it.

    A proxy before a server that is away ends it too.
    """
    # It is shown no password.
    answer = await _reason(parameters, ssl="disable", password="")
    return answer is None or not str(getattr(answer, "sqlstate", "08")).startswith("08")


async def _reason(parameters: Mapping[str, object], **others: str) -> Exception | None:
    """Ask for a connection once more; return why it is refused, None where it is not any more.

    libpq keeps the SQLSTATE of a refused connection to itself; asyncpg tells it.
    """
    known = {name: value for name, value in parameters.items() if name in _KNOWN and value}
    try:
        connection = await asyncpg.connect(
            f"postgresql://?{urlencode(known)}", timeout=CONNECT_TIMEOUT, **others
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        return error
    await connection.close(timeout=CONNECT_TIMEOUT)
    return None
