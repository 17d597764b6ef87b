"""The bucket: s3fs lists and moves files, GDAL reads windows, both with the same credentials."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import fsspec
import rasterio
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
)
from prefect.runtime import flow_run
from rasterio.session import AWSSession
from s3fs.core import (  # type: ignore[import-untyped]
    S3FileSystem,
    set_custom_error_handler,
)

from landcover.errors import LandcoverError, SettingsError, TransientError
from tasks.access.blocks import load_block
from tasks.access.settings import StorageSettings, read_settings

if TYPE_CHECKING:
    from prefect_aws import AwsCredentials

Item = TypeVar("Item")
Result = TypeVar("Result")

# To read a little of a file is waiting for the bucket.
AT_ONCE = 16

# Seconds.
CONNECT_TIMEOUT = 5
# For one request of GDAL's.
REQUEST_TIMEOUT = 60
# Without a byte, for s3fs, and for GDAL, which reads less at a time.
READ_TIMEOUT = 20
STALLED = 15

# Of each request, a second or two apart; the tasks try again for longer (see `tasks.retries`), so
# that a service which is not there is told of within half a minute.
TRIES = 3
# Beside botocore's tries of a request, s3fs has five of its own of a call: a service that takes
# requests and never answers would keep one call for a quarter of an hour.
S3FileSystem.retries = 2

# A server of a bucket of one's own has no host name for each bucket.
_PATH_STYLE = {"addressing_style": "path"}

_WRONG_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "AuthorizationHeaderMalformed",
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
_MISSING = {"NoSuchBucket", "InvalidBucketName"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_BUSY = {"SlowDown", "TooManyRequests", "RequestTimeout", "Throttling", "InternalError"}


def _is_passing(error: Exception) -> bool:
    """Tell whether the service was busy or broken when it refused."""
    if not isinstance(error, ClientError):
        return False
    code, status = _refusal(error)
    return code in _BUSY or status >= 500 or status == 429


# By itself s3fs tries few refusals again, and botocore none that says 429.
set_custom_error_handler(_is_passing)


@contextmanager
def storage(block: str | None, what: str = "the bucket") -> Iterator[None]:
    """Let s3fs and GDAL reach the bucket, in this thread, and tell of what it refuses.

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

    credentials = load_block(AwsCredentials, block) or credentials_of_settings()
    endpoint = credentials.aws_client_parameters.endpoint_url
    try:
        session = _session(credentials, flow_run.id)
        fsspec.config.conf["s3"] = _for_s3fs(session, endpoint)
        with rasterio.Env(session, **_for_gdal(endpoint)):
            yield
    except (BotoCoreError, ClientError, OSError) as error:
        explained = _explain(error, what, endpoint)
        if explained is None:
            raise
        raise explained from error


def side_by_side(
    read: Callable[[Item], Result], items: Sequence[Item], block: str | None, what: str
) -> list[Result]:
    """Call a function for each item, in threads that can reach the bucket (see `storage`).

    Args:
        read: the function.
        items: that it is called for.
        block: the name of the `AwsCredentials` block; without one the settings serve.
        what: is read, for messages.

    Returns:
        What it returned, in the order of the items.
    """

    def reach(item: Item) -> Result:
        # GDAL's credentials are a thread's own.
        with storage(block, what):
            return read(item)

    def run(context: Context, item: Item) -> Result:
        return context.run(reach, item)

    # By itself, a thread does not know whose flow run's blocks it is to use.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(run, contexts, items))


def credentials_of_settings() -> "AwsCredentials":
    """Return the credentials that the settings name.

    Raises:
        SettingsError: if a setting is malformed, or only one of key and secret is set.
    """
    from prefect_aws import AwsClientParameters, AwsCredentials

    settings = read_settings(StorageSettings)
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


# To make one takes 20 milliseconds, and a month asks for it for every quad and window.
@lru_cache(maxsize=8)
def _session(credentials: "AwsCredentials", run: UUID | None) -> AWSSession:  # noqa: ARG001
    """Return the credentials for GDAL, which wants the endpoint without its scheme.

    Args:
        credentials: of the block or of the settings.
        run: the flow run, for which they are kept.
    """
    address = urlsplit(credentials.aws_client_parameters.endpoint_url or "")
    return AWSSession(session=credentials.get_boto3_session(), endpoint_url=address.netloc or None)


def _for_s3fs(session: AWSSession, endpoint: str | None) -> dict[str, object]:
    """Return how s3fs is to be opened: it wants the endpoint with its scheme."""
    known = session.credentials
    return {
        "key": known.get("aws_access_key_id"),
        "secret": known.get("aws_secret_access_key"),
        "token": known.get("aws_session_token"),
        "client_kwargs": {"endpoint_url": endpoint, "region_name": known.get("aws_region")},
        "config_kwargs": {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"max_attempts": TRIES, "mode": "standard"},
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
        "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_TIMEOUT,
        "GDAL_HTTP_TIMEOUT": REQUEST_TIMEOUT,
        "GDAL_HTTP_LOW_SPEED_TIME": STALLED,
        "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
        "GDAL_HTTP_MAX_RETRY": TRIES,
        "GDAL_HTTP_RETRY_DELAY": 0.5,
        # A quad that is replaced must not be remembered from the run before.
        "CPL_VSIL_CURL_NON_CACHED": "/vsis3/",
    }


def _explain(error: Exception, what: str, endpoint: str | None) -> LandcoverError | None:
    """Return the failure in one sentence; None where it is none of the bucket's."""
    place = endpoint or "Amazon's S3 (S3_ENDPOINT_URL is not set)"
    causes = _causes(error)
    refusal = next((cause for cause in causes if isinstance(cause, ClientError)), None)
    if refusal:
        return _explain_refusal(refusal, what, place)
    if any(isinstance(cause, NoCredentialsError) for cause in causes):
        return SettingsError(
            f"There are no credentials for {what}: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, "
            "or save a block with python flows/setup_blocks.py."
        )
    if any(isinstance(cause, ParamValidationError) for cause in causes):
        return SettingsError(
            f"{what} is no address in a bucket; it should be s3://bucket/folder, the bucket's name "
            "of letters, digits, dots and dashes."
        )
    failure = next((cause for cause in causes if isinstance(cause, BotoCoreError)), None)
    if failure:
        return TransientError(
            f"{place} cannot be reached for {what} ({failure}): check S3_ENDPOINT_URL and the "
            "network."
        )
    return None


def _explain_refusal(refusal: ClientError, what: str, place: str) -> LandcoverError:
    code, status = _refusal(refusal)
    if code in _WRONG_CREDENTIALS:
        return SettingsError(
            f"{place} refuses the credentials for {what} ({code}): check S3_ACCESS_KEY_ID, "
            "S3_SECRET_ACCESS_KEY and S3_ENDPOINT_URL, or the storage block."
        )
    if code in _DENIED:
        return LandcoverError(
            f"{place} does not allow access to {what} ({code}): let the bucket's owner grant it to "
            "this key, or set another folder."
        )
    if code in _MISSING:
        return SettingsError(f"{place} has no such bucket: {what} ({code}); check its name.")
    if code in _CLOCK:
        return LandcoverError(
            f"{place} refuses {what}, because this machine's clock is wrong ({code}): set it."
        )
    if _is_passing(refusal):
        return TransientError(f"{place} is busy or broken at {what} ({code}, {status}).")
    return LandcoverError(f"{place} refuses {what}: {refusal}.")


def _refusal(error: ClientError) -> tuple[str, int]:
    """Return the service's code and the status of its answer."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code, int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it was raised from; s3fs gives refusals the types of a disk's."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes
