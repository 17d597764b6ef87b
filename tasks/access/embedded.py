"""The embedded database: what SQLite and the file system refuse, in one sentence each."""

import errno
import fcntl
import tempfile
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from landcover.errors import LandcoverError, TransientError
from tasks.access.database_refusals import first_line

# What a system says of a lock on a file system that has none: some network and FUSE file systems.
_CANNOT_LOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}

# What may be another program's doing, by SQLite's names.
_IN_USE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")

# What to do, by SQLite's name for what it refuses.
_ADVICE = {
    "SQLITE_IOERR": "Look after its disk, or set a file on a disk of this machine",
    "SQLITE_FULL": "Make room on its disk, or set a file on another",
    "SQLITE_NOTADB": "Set another file",
    "SQLITE_CORRUPT": "The file is damaged: put back a copy of it, or set another",
}


def explain_embedded(error: DBAPIError, url: URL) -> LandcoverError | None:
    """Say in one sentence what SQLite refuses; None where a user cannot mend it.

    Args:
        error: why.
        url: of the database.
    """
    said, path = first_line(error), Path(str(url.database))
    name = getattr(error.orig, "sqlite_errorname", "")
    if name.startswith((*_IN_USE, "SQLITE_IOERR")):
        # SQLite calls it busy, too, where the file system cannot lock.
        if refusal := _refused_lock(path):
            return refusal
        if name.startswith(_IN_USE):
            return TransientError(
                f"The database {path} is in use by another program: close it there."
            )
    if isinstance(error, OperationalError) or name.startswith(tuple(_ADVICE)):
        advice = next(
            (advice for kind, advice in _ADVICE.items() if name.startswith(kind)),
            "Give this user permission to write it, or set another file",
        )
        return LandcoverError(f"METADATA_DB cannot be used: {path} ({said}). {advice}.")
    return None


def cannot_lock(path: Path, error: OSError) -> LandcoverError:
    """Say that the file system of the embedded database locks no files.

    Args:
        path: that was to be locked.
        error: what the system says.
    """
    return LandcoverError(
        f"The file system of METADATA_DB cannot lock {path} ({error.strerror}), as some network "
        "disks cannot: set METADATA_DB to a file on a disk of this machine, so that two runs at "
        "once do not spoil each other's work."
    )


def _refused_lock(path: Path) -> LandcoverError | None:
    """Try to lock a file beside the embedded database; say so where the file system cannot.

    Args:
        path: of the database. It is not opened: to close it would undo SQLite's own locks.
    """
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _CANNOT_LOCK:
            return cannot_lock(path, error)
    return None
