"""The Prefect server that a command reports to: asked before the run, and told where it fails."""

import ssl
from collections.abc import Mapping
from typing import Any

import httpx
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    get_current_settings,
    temporary_settings,
)
from prefect.settings.legacy import Setting

from landcover.addresses import without_login
from landcover.errors import LandcoverError, SettingsError

# Once, and for so many seconds: who does not answer by then is asked again by the run itself.
ONCE = {PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: 5.0}

EXAMPLE = "it should be like http://localhost:4200/api"


def own_server() -> Mapping[Setting, Any]:
    """Return Prefect's settings by which a run starts a server of its own, if none is named.

    Of Prefect's profiles only the built-in one says that a run may.

    Raises:
        SettingsError: if someone has said that it may not.
    """
    if PREFECT_API_URL.value():
        return {}
    ephemeral = get_current_settings().server.ephemeral
    if not ephemeral.enabled and "enabled" in ephemeral.model_fields_set:
        raise SettingsError(
            "A run reports to a Prefect server, but none is named, and it may not start one of its "
            "own: set PREFECT_API_URL, or PREFECT_SERVER_EPHEMERAL_ENABLED=true (its older name, "
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, or a profile of Prefect's says false)."
        )
    return {PREFECT_SERVER_EPHEMERAL_ENABLED: True}


def check_server() -> None:
    """Make sure that PREFECT_API_URL, if it is set, is a Prefect API that lets this user in.

    One that does not answer is left to the run, which asks again for two minutes.

    Raises:
        SettingsError: if something else answers there, or the server refuses the credentials.
    """
    if not PREFECT_API_URL.value():
        return
    try:
        with temporary_settings(ONCE), get_client(sync_client=True) as client:
            if client.server_type is ServerType.CLOUD:
                return
            answer = client.request("GET", "/admin/version")
            version = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
        wrong = _explain_setting(error)
        if wrong:
            raise wrong from error
        return
    if answer.history:
        asked = str(answer.url).removesuffix("/admin/version")
        raise SettingsError(f"{_named()} leads to {asked}: set PREFECT_API_URL to that.")
    if not isinstance(version, str):
        raise _not_prefect("JSON of another kind")


def explain(error: Exception) -> LandcoverError | None:
    """Return a failure of the Prefect server in one sentence; None where it is another's.

    Args:
        error: of Prefect's client.
    """
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
        return _explain_setting(error) or LandcoverError(
            f"The Prefect server {_place()} failed or went away ({_say(error)}): look after it, "
            "and run the same command to go on."
        )
    said = str(error)
    if not isinstance(error, RuntimeError):
        return None
    # Prefect has no types of its own for these.
    if "Failed to reach API" in said:
        return LandcoverError(
            f"The Prefect server {_place()} does not answer: start it with prefect server start, "
            "or unset PREFECT_API_URL to run without one."
        )
    if "Found incompatible versions" in said:
        return SettingsError(
            f"The Prefect server {_place()} is of another version ({_say(error)}): install the "
            "same on both sides."
        )
    if "connect to ephemeral Prefect API server" in said:
        return LandcoverError(
            "Prefect's own server did not start: set PREFECT_HOME to an empty folder, as its "
            "database may be of another version, or PREFECT_API_URL to a server that runs "
            f"({said.splitlines()[-1].strip()})."
        )
    return None


def _explain_setting(error: Exception) -> SettingsError | None:
    """Say which setting is wrong; None where the server may be away or busy."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return SettingsError(f"{_named()}, which is not an address: {EXAMPLE}.")
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        if status in {401, 403}:
            return _refused(status)
        # Other refusals later in a run are the server's own.
        first = error.request.url.path.endswith("/admin/version")
        return _not_prefect(f"status {status}") if first and status < 500 else None
    if isinstance(error, httpx.HTTPError):
        return _explain_connection(error)
    if isinstance(error, ssl.SSLError | OSError):
        return SettingsError(
            f"PREFECT_API_SSL_CERT_FILE {PREFECT_API_SSL_CERT_FILE.value()} cannot be read "
            f"({error.strerror}): set it to a file of certificates."
        )
    return _not_prefect("a page, not JSON")


def _explain_connection(error: httpx.HTTPError) -> SettingsError | None:
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return SettingsError(
            f"The certificate of {_place()}, which PREFECT_API_URL names, cannot be verified "
            f"({said}): set PREFECT_API_SSL_CERT_FILE to the certificate that signed it."
        )
    if "[SSL" in said:
        return SettingsError(
            f"{_named()}, but what answers there does not speak TLS ({said}): write http:// in "
            "place of https://."
        )
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in said:
        return _not_prefect(f"no HTTP: {said}; if it is a server with TLS, write https://")
    return None


def _refused(status: int) -> SettingsError:
    given = [
        setting.name
        for setting in (PREFECT_API_AUTH_STRING, PREFECT_API_KEY)
        if setting.value() is not None
    ]
    what = f"refuses {' and '.join(given)}" if given else "wants to know who asks"
    return SettingsError(
        f"The Prefect server {_place()} {what} ({status}): set PREFECT_API_AUTH_STRING to the "
        "user:password that the server was started with, or PREFECT_API_KEY for Prefect Cloud."
    )


def _not_prefect(what: str) -> SettingsError:
    return SettingsError(
        f"{_named()}, where something answers, but not a Prefect API ({what}): {EXAMPLE}, with "
        "/api at its end."
    )


def _named() -> str:
    return f"PREFECT_API_URL is {_place()}"


def _place() -> str:
    return without_login(str(PREFECT_API_URL.value() or "that this command has started"))


def _say(error: Exception) -> str:
    return without_login((str(error).splitlines() or [type(error).__name__])[0])
