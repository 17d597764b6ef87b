"""Addresses of files: on this machine or in a bucket, and told without passwords."""

import re

from landcover.errors import SettingsError

# All up to the last @ where a colon stands before it, because nobody may have quoted a password;
# otherwise a name or a key before the host. Objects in buckets may have an @ in their names.
_LOGIN = re.compile(r"""(?<=://)(?:[^\s'"<>]*:[^\s'"<>]*|[^/\s'"<>@]*)@""")

# Of an address that was signed for whoever has it.
_QUERY = re.compile(r"""(\bhttps?://[^\s'"<>?]*)\?[^\s'"<>]*""", re.IGNORECASE)

# As libpq, ODBC and GDAL write it.
_PASSWORD = re.compile(r"""\b((?:password|passwd|pwd)\s*=\s*)(?:'[^']*'|[^\s'"]+)""", re.IGNORECASE)


def without_login(text: str) -> str:
    """Return a text without the passwords, names and signatures that addresses in it hold.

    >>> without_login("postgresql://ana:p@ss/word@db.example.org/maps is no host")
    'postgresql://db.example.org/maps is no host'

    Args:
        text: that may hold addresses.
    """
    return _PASSWORD.sub(r"\1...", _QUERY.sub(r"\1", _LOGIN.sub("", text)))


def check_place(text: str, what: str) -> None:
    """Make sure that an address is a path on this machine, or of a bucket, without a password.

    Args:
        text: the address.
        what: is there, for messages, such as "the mosaic".

    Raises:
        SettingsError: if it is neither, or holds a password.
    """
    told = f"{what[0].upper()}{what[1:]} {without_login(text)}"
    kind, separator, place = text.partition("://")
    if separator and (kind != "s3" or not place.strip("/")):
        raise SettingsError(
            f"{told} is neither on this machine nor in a bucket; it should be a path, such as "
            "/data/2025, or s3://bucket/2025."
        )
    bucket = place.partition("/")[0]
    if separator and not {":", "@"}.isdisjoint(bucket):
        raise SettingsError(
            f"{told} is given with a name or a password before the bucket: leave these out, and "
            "set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY."
        )
