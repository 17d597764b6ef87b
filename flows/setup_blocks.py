"""The blocks that hold the credentials: saved from the settings, each once it has connected."""

import flows.environment  # noqa: F401

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect_aws import AwsCredentials
from prefect_sqlalchemy import SqlAlchemyConnector

from flows.command import EPILOG, parse, run_command
from landcover.errors import LandcoverError, SettingsError
from tasks.access.blocks import BLOCK
from tasks.access.connections import reach_buckets, reach_database
from tasks.access.database import connector_of_settings
from tasks.access.settings import (
    DatabaseSettings,
    FolderSettings,
    MosaicSettings,
    StorageSettings,
)
from tasks.access.storage import credentials_of_settings

NAME = re.compile(r"[a-z0-9-]+")  # Prefect allows no other


def find_server() -> str:
    """Return where blocks are saved.

    Raises:
        SettingsError: if the settings hold nothing to save.
    """
    if _nothing_is_set():
        raise SettingsError(
            "There is nothing to save: neither DB_HOST nor S3_ACCESS_KEY_ID is set in the "
            "environment or in an .env file in this folder."
        )
    with get_client(sync_client=True) as client:
        client.raise_for_api_version_mismatch()
    place = PREFECT_API_URL.value()
    return f"Prefect server: {place or 'none is set, so blocks go to the database of this user'}"


def save_database(name: str) -> str:
    """Save the block of the database, if it connects; return what was done.

    Raises:
        SettingsError: if a setting is missing.
        LandcoverError: if it does not connect.
    """
    connector = connector_of_settings()
    if connector is None:
        return "Left out the database block: DB_HOST is not set."
    with _not_saved("database"):
        place = reach_database(connector)
    connector.save(name, overwrite=True)
    return f"Saved {_slug(SqlAlchemyConnector, name)}: {place}, which was opened and has PostGIS."


def save_storage(name: str) -> str:
    """Save the block of the bucket, if it connects; return what was done.

    Raises:
        SettingsError: if a setting is missing.
        LandcoverError: if it does not connect.
    """
    credentials = credentials_of_settings()
    if credentials.aws_access_key_id is None:
        return "Left out the storage block: S3_ACCESS_KEY_ID is not set."
    with _not_saved("storage"):
        folders = reach_buckets(credentials)
    credentials.save(name, overwrite=True)
    tested = (
        f"which was tested with {', '.join(folders)}"
        if folders
        else "not tested, because no folder of the settings is an s3:// address"
    )
    place = credentials.aws_client_parameters.endpoint_url or "Amazon's S3"
    return f"Saved {_slug(AwsCredentials, name)}: {place}, {tested}."


def _nothing_is_set() -> bool:
    try:
        return connector_of_settings() is None and not credentials_of_settings().aws_access_key_id
    except SettingsError:
        return False  # what is wrong is said when the block's turn comes


def _slug(kind: type[Block], name: str) -> str:
    return f"{kind.get_block_type_slug()}/{name}"


@contextmanager
def _not_saved(what: str) -> Iterator[None]:
    try:
        yield
    except LandcoverError as error:
        raise LandcoverError(f"The {what} block is not saved. {error}") from error


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} has characters other than lower-case letters, digits and -"
        )
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        description="Save the credentials of database and bucket as Prefect blocks, from the "
        "settings DB_... and S3_..., once each has been tested: the database is opened, and the "
        "folders of the settings that are s3:// addresses are listed or written.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "--name", default=BLOCK, type=_name, help=f"of the two blocks; default: {BLOCK}"
    )
    name = parse(parser, argv).name
    status = run_command(
        find_server, needs=[FolderSettings, MosaicSettings, DatabaseSettings, StorageSettings]
    )
    if status:
        return status
    # The second is saved even if the first cannot be.
    return max(
        [run_command(partial(save, name), needs=[]) for save in (save_database, save_storage)]
    )


if __name__ == "__main__":
    sys.exit(main())
