"""The report of an error that nobody foresaw: for those who look after the package."""

from flows.environment import settings_of

import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import SecretStr

from landcover.addresses import without_login
from landcover.errors import LandcoverError
from landcover.version import code_version, library_versions
from tasks.access.settings import (
    DatabaseSettings,
    FolderSettings,
    StorageSettings,
    read_settings,
)

# Variables of others that hold secrets, in the environment or in .env.
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|AUTH_STRING|API_KEY|ACCESS_KEY|CREDENTIAL")

MASK = "********"


def report(error: Exception) -> str:
    """Write all that is known of an error to a file; return one sentence that says where.

    Args:
        error: that nobody foresaw.
    """
    said = mask(" ".join(str(error).split())[:300])
    what = f"{type(error).__name__}{f' ({said})' if said else ''}"
    path = _write(mask(_describe(error)))
    where = f"its report is {path}" if path else "its report could not be written"
    return f"An error that was not foreseen, {what}: {where}; send it to who maintains this."


def mask(text: str) -> str:
    """Return a text without the secrets of settings and environment.

    Args:
        text: that may hold some.
    """
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return without_login(text)


def _secrets() -> Iterable[str]:
    found: set[str] = set()
    for group in (DatabaseSettings, StorageSettings):
        try:
            values = read_settings(group)
        except LandcoverError:
            continue
        found |= {value.get_secret_value() for _, value in values if isinstance(value, SecretStr)}
    for name, value in {**settings_of(Path(".env")), **os.environ}.items():
        if _SECRET.search(name.upper()) and value:
            found.add(value)
    # Shorter ones are words of the report itself.
    return {secret for secret in found if len(secret) > 3}


def _describe(error: Exception) -> str:
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            f"command: {shlex.join(sys.argv)}",
            f"code: {code_version()}",
            f"system: {platform.platform()}, Python {platform.python_version()}",
            f"versions: {dict(library_versions())}, prefect {version('prefect')}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )


def _write(text: str) -> Path | None:
    name = f"error-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(text)
        except OSError:
            continue
        return path
    return None


def _folders() -> list[Path]:
    """Return where the report may go, WORK_DIR first if it is on this machine."""
    temporary = Path(tempfile.gettempdir())
    try:
        work = str(read_settings(FolderSettings).work_dir)
    except LandcoverError:
        return [temporary]
    return [temporary] if "://" in work else [Path(work).absolute(), temporary]
