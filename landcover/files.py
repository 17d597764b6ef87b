"""Names of the files of a period, and how a finished file gets its name."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TypeGuard

from upath import UPath

from landcover.errors import LandcoverError, SettingsError
from landcover.period import Period

# Bytes. With less than this a disk is full: a file system gives out space in blocks.
LEAST_ROOM = 64 * 1024

# What an operating system says of a full disk, and of a user's full share of it.
FULL = {errno.ENOSPC, errno.EDQUOT}

# Removing a file from a bucket is mostly waiting, so many threads pay off.
REMOVERS = 16


# The one table of names. The key of a month is such as 202506.
NAMES: Mapping[str, str] = {
    "samples": "prepared_data_{key}.parquet",
    "model": "rf_model_{key}.joblib",
    "held_out": "held_out_{key}.parquet",
    "map": "prediction_{key}.tif",
    "confidence": "confidence_{key}.tif",
    "item": "prediction_{key}.json",
    "report": "report_{key}.html",
    "index": "mosaic_{key}.parquet",
    "polygons": "polygons_{key}.parquet",
}


def file_name(what: str, period: Period) -> str:
    """Return the name of a period's file.

    Args:
        what: which, of `NAMES`.
        period: whose.
    """
    return NAMES[what].format(key=period.key)


def is_local(path: Path | UPath) -> TypeGuard[Path]:
    """Tell whether a path is on this machine, not in a bucket."""
    return isinstance(path, Path)


def absolute(path: UPath) -> str:
    """Return a path for people and for the database: absolute, or an `s3://` URI."""
    return str(path.absolute() if is_local(path) else path)


def expanded(text: str) -> str:
    """Return a path with the home folder in place of a `~` that it begins with, as a shell does.

    Raises:
        SettingsError: if there is no such home folder.
    """
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise SettingsError(
            f"{text} begins with the home folder of a user, which is not known: write the path "
            "without ~."
        ) from error


UNFINISHED = "unfinished-"


@contextmanager
def scratch(work_dir: UPath) -> Iterator[Path]:
    """Make a folder on this machine to build files in; it is removed at the end.

    It is in the work folder where that is on this machine, so that finished files need not be
    copied from one disk to another.

    Raises:
        LandcoverError: if the disk is full, or the folder can no longer be written.
    """
    inside = work_dir if is_local(work_dir) else Path(gettempdir())
    with _writing(inside):
        inside.mkdir(parents=True, exist_ok=True)
    # The inner one asks the disk before the folder is removed.
    with (
        _writing(inside),
        TemporaryDirectory(prefix=UNFINISHED, dir=inside) as folder,
        _writing(inside),
    ):
        yield Path(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell of a folder that takes no files any more.

    GDAL does not say why it cannot write, so a full disk is told by asking the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL or _is_full(folder):
            raise _no_room(folder) from error
        # What a bucket refuses names no file here.
        if error.filename and error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise LandcoverError(
                f"{error.filename} cannot be written ({error.strerror}): give this user "
                "permission to write it, then run the month again."
            ) from error
        raise


def _is_full(folder: Path) -> bool:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free < LEAST_ROOM


def _no_room(folder: Path) -> LandcoverError:
    return LandcoverError(
        f"The disk of {folder} is full: make room on it, or set folders on another disk, then run "
        "the month again; it goes on where it was."
    )


def remove_unfinished(work_dir: UPath) -> None:
    """Remove what `scratch` left of a process that was killed, in a work folder on this machine."""
    if is_local(work_dir):
        for folder in work_dir.rglob(f"{UNFINISHED}*"):
            shutil.rmtree(folder)


def publish(built: Path | UPath, final: UPath) -> None:
    """Let a finished file appear under its final name, at once and whole, for an earlier one.

    Args:
        built: the finished file. It stays where it is, so that what failed can be tried again, and
            is not to be written any more: on one disk it is the same file under another name.
        final: the path under which others look for it.

    Raises:
        LandcoverError: if a disk is full, or the folder can no longer be written.
    """
    publish_all({built: final})


def publish_all(files: Mapping[Path | UPath, UPath]) -> None:
    """Publish finished files that belong together, in order; see `publish`.

    Work and output folders may be on different disks, so files are first brought to the final
    names' folders under hidden names: only when all of them are there does the first one replace an
    earlier file. In a bucket there is no such step: each object replaces its predecessor as soon as
    all of it is there, one after the other.

    Args:
        files: the final path of each finished file.

    Raises:
        LandcoverError: if a disk is full, or a folder can no longer be written.
    """
    for folder in {built.parent for built in files if is_local(built)}:
        # GDAL may have kept silent about what it could not write.
        if _is_full(folder):
            raise _no_room(folder)
    staged: dict[Path, Path] = {}
    with ExitStack() as undoing:
        for built, final in files.items():
            if is_local(final):
                staged[final] = final.with_name(f".{final.name}.unfinished")
                undoing.callback(_remove_staged, staged[final])
                _stage(built, staged[final])
            elif is_local(built):
                final.fs.put_file(str(built), final.path)
            else:
                final.fs.copy(UPath(built).path, final.path)
        # A machine that is switched off must not leave a name without its file.
        for place in staged.values():
            _flush(place)
        for here, place in staged.items():
            place.replace(here)
        for folder in {here.parent for here in staged}:
            _flush(folder)


def _stage(built: Path | UPath, aside: Path) -> None:
    """Bring a file to a folder on this machine: by a second name for it where that is possible."""
    aside.unlink(missing_ok=True)
    with _writing(aside.parent):
        if not is_local(built):
            there = UPath(built)
            there.fs.get_file(there.path, str(aside))
            return
        try:
            aside.hardlink_to(built)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or one that knows no second names
            shutil.copyfile(built, aside)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        with _writing(path.parent):
            os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what a network drive says of a folder
            raise
    finally:
        os.close(number)


def _remove_staged(aside: Path) -> None:
    with suppress(OSError):
        aside.unlink(missing_ok=True)


def fetch(paths: Sequence[UPath], folder: Path) -> list[Path]:
    """Return files as files on this machine: as they are, or as copies in a folder.

    Args:
        paths: all on this machine, or all in one bucket, and of different names.
        folder: for the copies.
    """
    here = [Path(path) for path in paths if is_local(path)]
    if len(here) == len(paths):
        return here
    copies = [folder / path.name for path in paths]
    # Side by side: each is small.
    paths[0].fs.get([path.path for path in paths], [str(copy) for copy in copies])
    return copies


def remove(path: UPath) -> None:
    """Remove a file, or a folder and all that it holds.

    Raises:
        OSError: if a file cannot be removed.
    """
    if is_local(path):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        return
    # One by one, because s3fs keeps silent about what it could not remove at once.
    with ThreadPoolExecutor(REMOVERS) as pool:
        list(pool.map(path.fs.rm_file, path.fs.find(path.path)))


def check_writable(folder: UPath, setting: str) -> None:
    """Make sure, before hours of work, that a folder exists and takes files.

    Raises:
        LandcoverError: if a folder on this machine cannot be made or written.
        OSError: if one in a bucket cannot be written.
    """
    probe = folder / f".writable-{os.getpid()}"
    if not is_local(folder):
        probe.write_bytes(b"")
        probe.fs.rm_file(probe.path)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno in FULL:
            raise _no_room(folder) from error
        raise LandcoverError(
            f"{setting} cannot be written: {folder} ({error.strerror}). "
            "Give this user permission to write it, or set another folder."
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
