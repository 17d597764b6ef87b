"""What an S3 service refuses, and why: one sentence for each, and whether it is worth a retry."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
)

from landcover.errors import LandcoverError, SettingsError, TransientError

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


def is_passing(error: Exception) -> bool:
    """Tell whether the service was busy or broken when it refused."""
    if not isinstance(error, ClientError):
        return False
    code, status = _refusal(error)
    return code in _BUSY or status >= 500 or status == 429


def explain(error: Exception, what: str, endpoint: str | None) -> LandcoverError | None:
    """Return a bucket's failure in one sentence; None where it is another's.

    Args:
        error: of botocore, or what s3fs made of it.
        what: was read or written.
        endpoint: the address of the service; None for Amazon's.
    """
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
            f"{what} is not an address in a bucket; it should be s3://bucket/folder, with a "
            "bucket's name of letters, digits, dots and dashes."
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
    if is_passing(refusal):
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
