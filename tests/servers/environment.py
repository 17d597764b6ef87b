"""The environment of processes that are to see no settings but their own, and such settings."""

import os
from typing import TYPE_CHECKING

from sqlalchemy import URL
from upath import UPath

from tasks.access.settings import SETTINGS_GROUPS

if TYPE_CHECKING:
    from tests.servers.swift import S3Server

SETTINGS = frozenset(name.upper() for group in SETTINGS_GROUPS for name in group.model_fields)


def without_settings() -> dict[str, str]:
    """Return the environment without what belongs to whoever runs this: settings and Prefect's."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith("PREFECT_")
    }


def of_database(database: URL, port: int | None = None) -> dict[str, str]:
    """Return the settings of a database, or of a proxy before it."""
    return {
        "DB_HOST": str(database.host),
        "DB_PORT": str(port or database.port),
        "DB_NAME": str(database.database),
        "DB_USER": str(database.username),
        "DB_PASSWORD": str(database.password or ""),
    }


def of_folders(data: UPath | str) -> dict[str, str]:
    """Return the settings of the folders of results and work in one folder."""
    return {
        "PREPARED_DATA_DIR": f"{data}/prepared",
        "MODEL_OUTPUT_DIR": f"{data}/models",
        "PREDICTION_OUTPUT_DIR": f"{data}/predictions",
        "WORK_DIR": f"{data}/work",
    }


def of_bucket(server: "S3Server", endpoint: str | None = None) -> dict[str, str]:
    """Return the settings of an S3 server, or of a proxy before it."""
    return {
        "S3_ENDPOINT_URL": endpoint or server.endpoint,
        "S3_REGION": server.region,
        "S3_ACCESS_KEY_ID": server.key,
        "S3_SECRET_ACCESS_KEY": server.secret,
    }
