"""The Prefect blocks that hold credentials: passed by name, loaded where they are needed."""

from functools import lru_cache
from typing import TypeVar

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from landcover.addresses import without_login
from landcover.errors import SettingsError, TransientError

BLOCK = "chocoforest"

AnyBlock = TypeVar("AnyBlock", bound=Block)


class Blocks(BaseModel):
    """The Prefect blocks that hold credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str | None = Field(
        default=BLOCK,
        title="Database block",
        description="The SqlAlchemyConnector block of the database. Where no block has this name, "
        "the settings DB_... are used; none always uses them.",
    )
    storage_block: str | None = Field(
        default=BLOCK,
        title="Storage block",
        description="The AwsCredentials block of the bucket. Where no block has this name, the "
        "settings S3_... are used; none always uses them.",
    )


def load_block(kind: type[AnyBlock], name: str | None) -> AnyBlock | None:
    """Load a block, once a flow run.

    Args:
        kind: its type.
        name: its name; None for no block.

    Returns:
        The block; None where the usual one has not been saved, so that settings are used.

    Raises:
        SettingsError: if there is no block of another name, or it is of another type.
        TransientError: if the server, which has the blocks, cannot be reached.
    """
    if name is None:
        return None
    return _load(kind, name) if flow_run.id is None else _load_once(kind, name, flow_run.id)


@lru_cache(maxsize=8)
def _load_once(kind: type[AnyBlock], name: str, run: str) -> AnyBlock | None:  # noqa: ARG001
    return _load(kind, name)


def _load(kind: type[AnyBlock], name: str) -> AnyBlock | None:
    # A client asks again only where it has been answered before, and that of a task that is the
    # first on its machine has not.
    try:
        return _ask_for(kind, name)
    except httpx.TransportError as error:
        raise server_away(error) from error


def server_away(error: Exception) -> TransientError:
    """Return what to raise where the Prefect server cannot be reached for now.

    Args:
        error: of Prefect's client.
    """
    place = without_login(str(PREFECT_API_URL.value() or "of this run"))
    said = without_login(str(error) or type(error).__name__)
    return TransientError(
        f"The Prefect server {place}, which this run needs to go on, cannot be reached ({said}): "
        "start it again, and run the same command."
    )


def _ask_for(kind: type[AnyBlock], name: str) -> AnyBlock | None:
    with get_client(sync_client=True) as client:
        try:
            client.read_block_document_by_name(name, kind.get_block_type_slug())
        except ObjectNotFound:
            if name == BLOCK:
                return None
            raise SettingsError(
                f"There is no block {name!r} of type {kind.__name__}{_others(client, name)}: save "
                "one with python flows/setup_blocks.py, or in the Prefect UI."
            ) from None
    try:
        block = kind.load(name)
    except RuntimeError as error:
        # Prefect has no exception type for this.
        if not isinstance(error.__cause__, ValidationError):
            raise
        raise SettingsError(
            f"The block {name!r} of type {kind.__name__} cannot be used "
            f"({_describe_fields(error.__cause__)}): save it again with "
            "python flows/setup_blocks.py, or in the Prefect UI."
        ) from None
    assert isinstance(block, kind)
    return block


def _describe_fields(error: ValidationError) -> str:
    """Name the wrong fields; their messages quote what they hold, which may be secret."""
    fields = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
    if fields:
        return f"wrong or missing: {', '.join(fields)}"
    return error.errors()[0]["msg"].removeprefix("Value error, ").partition(". ")[0]


def _others(client: SyncPrefectClient, name: str) -> str:
    kinds = sorted(
        document.block_type.name
        for document in client.read_block_documents(include_secrets=False)
        if document.name == name and document.block_type
    )
    return f" (there is one of type {' and '.join(kinds)})" if kinds else ""
