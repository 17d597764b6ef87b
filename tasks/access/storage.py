"""The bucket: s3fs lists and moves files, GDAL reads windows, both with the same credentials."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import fsspec
import rasterio
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from prefect.runtime import flow_run
from rasterio.session import AWSSession, DummySession

from landcover.errors import NothingThereError, SettingsError
from tasks.access.blocks import load_block
from tasks.access.once import settings_of_run
from tasks.access.process import configure
from tasks.access.refusals import FAILURES, advise_on_endpoint, explain
from tasks.access.settings import StorageSettings
from tasks.retries import GDAL_PAUSE, REQUEST_RETRIES

if TYPE_CHECKING:
    from prefect_aws import AwsCredentials

Item = TypeVar("Item")
Result = TypeVar("Result")

# Reading headers is mostly waiting, so many threads pay off.
AT_ONCE = 16

CONNECT_TIMEOUT = 5  # seconds
REQUEST_TIMEOUT = 60  # seconds, of one request by GDAL

# Seconds without a byte before s3fs and GDAL give up; GDAL reads less at a time.
READ_TIMEOUT = 20
STALLED = 15

AMAZON = "s3.amazonaws.com"

# What botocore would read beside the environment: profiles, and the files that hold them.
_NO_PROFILE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}

# A server of the team's own has no host name for each bucket.
_PATH_STYLE = {"addressing_style": "path"}


@contextmanager
def storage(block: str | None, what: str = "the bucket") -> Iterator[None]:
    """Let s3fs and GDAL reach the bucket in this thread; say in one sentence what it refuses.

    Args:
        block: the name of the `AwsCredentials` block; without one the settings serve.
        what: is read or written, for messages, such as "MODEL_OUTPUT_DIR s3://maps/models".

    Raises:
        SettingsError: if the credentials or the bucket's name are refused, or are not set.
        TransientError: if the service cannot be reached, or is busy.
        LandcoverError: if it refuses for another reason.
    """
    # Here, because prefect_aws imports its ECS worker, for which --help would wait.
    from prefect_aws import AwsCredentials

    with storage_of(load_block(AwsCredentials, block) or credentials_of_settings(), what):
        yield


@contextmanager
def storage_of(credentials: "AwsCredentials", what: str) -> Iterator[None]:
    """Let s3fs and GDAL reach the bucket with given credentials, as `storage` does.

    Args:
        credentials: a block, saved or not.
        what: is read or written, for messages.
    """
    configure()
    endpoint = _endpoint(credentials)
    try:
        session = _session_or_none(credentials, endpoint)
        fsspec.config.conf["s3"] = _for_s3fs(session, endpoint)
        with rasterio.Env(session or DummySession(), **_for_gdal(endpoint)):
            yield
    except NothingThereError as error:
        if advice := advise_on_endpoint(what, endpoint):
            raise NothingThereError(f"{error} Or {advice}.") from error
        raise
    except FAILURES as error:
        explained = explain(error, what, endpoint)
        if explained is None:
            raise
        raise explained from error


def side_by_side(
    read: Callable[[Item], Result],
    items: Sequence[Item],
    block: str | None,
    what: str,
    at_once: int = AT_ONCE,
) -> list[Result]:
    """Call a function for each item, in threads that can reach the bucket (see `storage`).

    Args:
        read: the function.
        items: that it is called for.
        block: the name of the `AwsCredentials` block; without one the settings serve.
        what: is read, for messages.
        at_once: how many threads there are: many for what is mostly waiting.

    Returns:
        What it returned, in the order of the items.
    """

    def reach(item: Item) -> Result:
        # GDAL's credentials are a thread's own.
        with storage(block, what):
            return read(item)

    def run(context: Context, item: Item) -> Result:
        return context.run(reach, item)

    # A new thread does not know which flow run's blocks to use unless it is given the context.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run, contexts, items))


def credentials_of_settings() -> "AwsCredentials":
    """Return the credentials that the settings name.

    Raises:
        SettingsError: if a setting is malformed, or only one of key and secret is set.
    """
    from prefect_aws import AwsClientParameters, AwsCredentials

    settings = settings_of_run(StorageSettings)
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    if bool(key) != bool(secret):
        missing = "S3_SECRET_ACCESS_KEY" if key else "S3_ACCESS_KEY_ID"
        raise SettingsError(f"{missing} is not set, but its counterpart is: set both or none.")
    return AwsCredentials(
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret,
        region_name=settings.s3_region,
        aws_client_parameters=AwsClientParameters(endpoint_url=settings.s3_endpoint_url),
    )


def _endpoint(credentials: "AwsCredentials") -> str | None:
    """Return the service's address, for s3fs and GDAL alike; None for Amazon's.

    botocore reads these variables too, but GDAL does not.
    """
    of_environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return credentials.aws_client_parameters.endpoint_url or of_environment or None


def _session_or_none(credentials: "AwsCredentials", endpoint: str | None) -> AWSSession | None:
    """Return the credentials for GDAL; None where they cannot be found.

    Nothing may be in a bucket. Where something is, s3fs looks for them again and says why not.
    """
    run = flow_run.id
    try:
        if run is None:
            return _session(credentials, endpoint)
        return _session_once(credentials, endpoint, run)
    except BotoCoreError:
        return None


# Making one takes 20 milliseconds, and a month asks for it for every quad and window.
@lru_cache(maxsize=8)
def _session_once(
    credentials: "AwsCredentials",
    endpoint: str | None,
    run: str,  # noqa: ARG001
) -> AWSSession:
    return _session(credentials, endpoint)


def _session(credentials: "AwsCredentials", endpoint: str | None) -> AWSSession:
    """Return the credentials for GDAL, which wants the endpoint without its scheme."""
    known = credentials.aws_access_key_id and not (
        credentials.profile_name or credentials.assume_role_arn
    )
    session = _session_of_keys(credentials) if known else credentials.get_boto3_session()
    return AWSSession(
        session=session,
        aws_unsigned=False,  # whatever AWS_NO_SIGN_REQUEST says
        endpoint_url=urlsplit(endpoint or "").netloc or AMAZON,
    )


def _session_of_keys(credentials: "AwsCredentials") -> SimpleNamespace:
    """Return what rasterio asks of a boto3 session, for keys that are known.

    boto3 itself would read the profile that AWS_PROFILE names, which may be gone or broken.
    """
    secret = credentials.aws_secret_access_key
    keys = Credentials(
        credentials.aws_access_key_id,
        secret.get_secret_value() if secret else None,
        credentials.aws_session_token,
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return SimpleNamespace(
        get_credentials=lambda: keys, region_name=credentials.region_name or region
    )


def _for_s3fs(session: AWSSession | None, endpoint: str | None) -> dict[str, object]:
    """Return how s3fs is to be opened: it wants the endpoint with its scheme."""
    known = session.credentials if session else {}
    return {
        "key": known.get("aws_access_key_id"),
        "secret": known.get("aws_secret_access_key"),
        "token": known.get("aws_session_token"),
        # What else a profile says would be s3fs's alone.
        **({"session_vars": _NO_PROFILE} if "aws_access_key_id" in known else {}),
        "requester_pays": _pays(),
        "client_kwargs": {"endpoint_url": endpoint, "region_name": known.get("aws_region")},
        "config_kwargs": {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"max_attempts": REQUEST_RETRIES, "mode": "standard"},
            "s3": _PATH_STYLE,
            # Services other than Amazon's may not know Amazon's newer checksums.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
        # A listing is made once a run, and the next run must see what has changed.
        "use_listings_cache": False,
    }


def _for_gdal(endpoint: str | None) -> dict[str, object]:
    return {
        "AWS_HTTPS": "NO" if (endpoint or "").startswith("http:") else "YES",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "NO",
        # Another's, where the environment has one; that of these credentials replaces it.
        "AWS_SESSION_TOKEN": "",
        "AWS_REQUEST_PAYER": "requester" if _pays() else "",
        **_certificates(),
        "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_TIMEOUT,
        "GDAL_HTTP_TIMEOUT": REQUEST_TIMEOUT,
        "GDAL_HTTP_LOW_SPEED_TIME": STALLED,
        "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
        "GDAL_HTTP_MAX_RETRY": REQUEST_RETRIES,
        "GDAL_HTTP_RETRY_DELAY": GDAL_PAUSE,
        # A quad that is replaced must not be remembered from the run before.
        "CPL_VSIL_CURL_NON_CACHED": "/vsis3/",
    }


def _pays() -> bool:
    """Tell whether whoever reads the bucket pays for it."""
    return os.environ.get("AWS_REQUEST_PAYER") == "requester"


def _certificates() -> dict[str, str]:
    """Return the certificates that GDAL trusts: those of botocore, if any are named."""
    named = os.environ.get("AWS_CA_BUNDLE")
    return {"CURL_CA_BUNDLE": named} if named else {}
