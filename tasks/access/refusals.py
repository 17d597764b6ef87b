"""What an S3 service refuses, and why: one sentence for each, and whether it is worth a retry."""

import re
import socket
from collections.abc import Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

import aiohttp
import urllib3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from landcover.addresses import without_login
from landcover.errors import LandcoverError, SettingsError, TransientError

_WRONG_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
_MISSING = {"NoSuchBucket", "InvalidBucketName"}
_NO_KEY = {"NoSuchKey", "404"}
_OTHER_REGION = {
    *("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"),
    "301",
}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_BUSY = {"SlowDown", "TooManyRequests", "RequestTimeout", "Throttling", "InternalError"}

_BUCKET = re.compile(r"s3://([^/\s]+)")

# Of profiles and of what they name.
_OF_PROFILES = (
    ConfigParseError,
    ConfigNotFound,
    PartialCredentialsError,
    CredentialRetrievalError,
    SSOError,
    TokenRetrievalError,
)


# What the layers below raise where an answer does not come, or breaks off: botocore's names what it
# knows itself, the rest is of what it stands on. All of it may heal.
_CONNECTION = (
    BotoCoreError,
    ResponseParserError,
    aiohttp.ClientError,
    urllib3.exceptions.HTTPError,
    HTTPException,
    ConnectionError,
    TimeoutError,
)

FAILURES = (*_CONNECTION, ClientError, OSError)
"""What s3fs raises; `explain` tells what is a bucket's."""


def is_passing(error: Exception) -> bool:
    """Tell whether the service was busy or broken when it refused."""
    if not isinstance(error, ClientError):
        return False
    code, status = _refusal(error)
    return code in _BUSY or status >= 500 or status == 429


def explain(error: Exception, what: str, endpoint: str | None) -> LandcoverError | None:
    """Return a bucket's failure in one sentence; None where it is another's.

    Args:
        error: of botocore or what it stands on, or what s3fs made of it.
        what: was read or written.
        endpoint: the address of the service; None for Amazon's.
    """
    explained = _explain(error, what, endpoint)
    # Libraries repeat the service's address, and that of a proxy before it.
    return explained and type(explained)(without_login(str(explained)))


def _explain(error: Exception, what: str, endpoint: str | None) -> LandcoverError | None:
    place = endpoint or "Amazon's S3 (S3_ENDPOINT_URL is not set)"
    causes = _causes(error)

    def first(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    refusal = first(ClientError)
    if isinstance(refusal, ClientError):
        return _explain_refusal(refusal, what, endpoint, place)
    if first(NoCredentialsError):
        return SettingsError(
            f"There are no credentials for {what}: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, "
            "or save a block with python flows/setup_blocks.py."
        )
    if missing := first(ProfileNotFound):
        return SettingsError(
            f"There are no credentials for {what}: {missing}, which AWS_PROFILE names. Correct "
            "AWS_PROFILE, or set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY."
        )
    if broken := first(*_OF_PROFILES):
        return SettingsError(
            f"The credentials for {what} cannot be found ({broken}): mend what AWS_PROFILE and the "
            "files in ~/.aws say, or set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY."
        )
    if first(ParamValidationError):
        return SettingsError(
            f"{what} is not an address in a bucket; it should be s3://bucket/folder, with a "
            "bucket's name of letters, digits, dots and dashes."
        )
    failure = first(*_CONNECTION)
    if failure and not _is_of_a_disk(failure):
        return _explain_connection(failure, causes, what, place)
    return None


def _is_of_a_disk(error: BaseException) -> bool:
    """Tell whether a failure is that of a file of this machine, as on a network disk."""
    return isinstance(error, OSError) and error.filename is not None


def advise_on_endpoint(what: str, endpoint: str | None) -> str | None:
    """Say what looks wrong with the service's address, where a bucket is not what it should be.

    Args:
        what: was read or written.
        endpoint: the address of the service; None for Amazon's.
    """
    bucket = _BUCKET.search(what)
    address = urlsplit(endpoint or "")
    if bucket and (address.hostname or "").startswith(f"{bucket[1].lower()}."):
        without = address.netloc.lower().removeprefix(f"{bucket[1].lower()}.")
        return (
            f"S3_ENDPOINT_URL begins with the bucket's name, which s3://{bucket[1]} says already: "
            f"set it to {address.scheme}://{without}"
        )
    return None


def _explain_connection(
    failure: BaseException, causes: Sequence[BaseException], what: str, place: str
) -> LandcoverError:
    """Say why no answer came, as far as the system and the libraries tell."""
    said = " ".join(str(cause) for cause in causes)
    if "WRONG_VERSION_NUMBER" in said or "record layer failure" in said:
        return SettingsError(
            f"What answers at {place} for {what} does not speak TLS: write http:// in place of "
            "https:// in S3_ENDPOINT_URL."
        )
    if "certificate verify failed" in said.lower() or "CERTIFICATE_VERIFY_FAILED" in said:
        return SettingsError(
            f"The certificate of {place} cannot be verified for {what} ({failure}): set "
            "AWS_CA_BUNDLE to a file that holds the certificate of who signed it, or check the "
            "host in S3_ENDPOINT_URL."
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes) or "resolve" in said:
        why = "its name is not known"
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        why = "nothing listens at that port"
    else:
        why = str(failure) or type(failure).__name__
    return TransientError(
        f"{place} cannot be reached for {what} ({why}): check S3_ENDPOINT_URL and the network."
    )


def _explain_refusal(
    refusal: ClientError, what: str, endpoint: str | None, place: str
) -> LandcoverError:
    code, status = _refusal(refusal)
    advice = advise_on_endpoint(what, endpoint)
    if code in _WRONG_CREDENTIALS:
        return SettingsError(
            f"{place} refuses the credentials for {what} ({code}): check S3_ACCESS_KEY_ID, "
            "S3_SECRET_ACCESS_KEY and S3_ENDPOINT_URL, or the storage block."
        )
    if code in _DENIED:
        pays = "" if endpoint else "set AWS_REQUEST_PAYER=requester if whoever reads pays, "
        usual = f"let the bucket's owner grant it to this key, {pays}or set another folder"
        return LandcoverError(
            f"{place} does not allow access to {what} ({code}): {advice or usual}."
        )
    if code in _MISSING:
        return SettingsError(
            f"{place} has no such bucket: {what} ({code}); {advice or 'check its name'}."
        )
    if code in _NO_KEY:
        return LandcoverError(
            f"{place} has nothing at {what} ({code}); {advice or 'check its path'}."
        )
    if code in _OTHER_REGION:
        return _explain_redirect(refusal, what, endpoint, place)
    if code in _CLOCK:
        return LandcoverError(
            f"{place} refuses {what}, because this machine's clock is wrong ({code}): set it."
        )
    if is_passing(refusal):
        return TransientError(f"{place} is busy or broken at {what} ({code}, {status}).")
    if status == 400 and (endpoint or "").startswith("http:"):
        return SettingsError(
            f"{place} refuses {what} ({refusal}): if it speaks TLS, write https:// in "
            "S3_ENDPOINT_URL."
        )
    return LandcoverError(f"{place} refuses {what}: {refusal}.")


def _explain_redirect(
    refusal: ClientError, what: str, endpoint: str | None, place: str
) -> SettingsError:
    """Say where the bucket is: in another region, or behind https."""
    answer = refusal.response
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    if not region and str(headers.get("location", "")).startswith("https:"):
        return SettingsError(f"{place} wants TLS for {what}: write https:// in S3_ENDPOINT_URL.")
    there = f"set S3_REGION to {region}" if region else "set S3_REGION to the bucket's region"
    also = ", and S3_ENDPOINT_URL to the address of that region" if endpoint else ""
    return SettingsError(f"{place} has {what} in another region ({refusal}): {there}{also}.")


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
