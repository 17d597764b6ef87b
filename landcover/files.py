"""Names of the files of a period, folders to build them in, and what holds for all files."""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import TypeGuard
from uuid import uuid4

from upath import UPath

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.period import CalendarYear, Period

# Bytes. With less than this a disk is full: a file system gives out space in blocks.
LEAST_ROOM = 64 * 1024

# What an operating system says of a full disk, and of a user's full share of it.
FULL = {errno.ENOSPC, errno.EDQUOT}

# Removing a file from a bucket is mostly waiting, so many threads pay off.
REMOVERS = 16


# Bytes that are read at once.
_PART = 2**20

# Of a reference sample, and of what is estimated from its labels.
_SAMPLE = {
    "sample": "sample_{key}.gpkg",
    "sample_ceo": "sample_{key}_ceo.csv",
    "sample_key": "sample_{key}_key.parquet",
    "sample_page": "sample_{key}.html",
    "areas": "areas_{key}.csv",
    "labels": "labels_{key}.parquet",
}

# Of a map that is held against another.
_COMPARISON = {
    "comparison": "comparison_{key}.tif",
    "comparison_legend": "comparison_{key}.tif.aux.xml",
    "comparison_table": "comparison_{key}.csv",
    "comparison_accuracy": "comparison_accuracy_{key}.csv",
    "comparison_page": "comparison_{key}.html",
}

# Of a year, whose key is such as 2024.
_ANNUAL = {
    "forest": "forest_{key}.tif",
    "clear_months": "clear_months_{key}.tif",
    "forest_legend": "forest_{key}.tif.aux.xml",
    "forest_item": "forest_{key}.json",
    "forest_page": "forest_{key}.html",
    "forest_regions": "forest_regions_{key}.csv",
}

# The one table of names. The key of a month is such as 202506.
NAMES: Mapping[str, str] = {
    "samples": "prepared_data_{key}.parquet",
    "model": "rf_model_{key}.joblib",
    "held_out": "held_out_{key}.parquet",
    "map": "prediction_{key}.tif",
    "confidence": "confidence_{key}.tif",
    "legend": "prediction_{key}.tif.aux.xml",
    "item": "prediction_{key}.json",
    "report": "report_{key}.html",
    "deforestation": "deforestation_{key}.tif",
    "alerts": "alerts_{key}.tif",
    "last_seen": "last_seen_{key}.tif",
    "state": "state_{key}.tif",
    "patches": "deforestation_{key}.gpkg",
    "new_geojson": "alerts_{key}.geojson",
    "new_kml": "alerts_{key}.kml",
    "record_legend": "deforestation_{key}.tif.aux.xml",
    "record_item": "deforestation_{key}.json",
    "record_page": "deforestation_{key}.html",
    "regions": "regions_{key}.csv",
    "deforestation_regions": "deforestation_regions_{key}.csv",
    "index": "mosaic_{key}.parquet",
    "polygons": "polygons_{key}.parquet",
    **_ANNUAL,
    **_SAMPLE,
    **{f"deforestation_{what}": f"deforestation_{name}" for what, name in _SAMPLE.items()},
    **_COMPARISON,
}


# Of all months' maps.
COLLECTION_NAME = "collection.json"


def file_name(what: str, period: Period | CalendarYear) -> str:
    """Return the name of a period's file.

    Args:
        what: which, of `NAMES`.
        period: whose.
    """
    return NAMES[what].format(key=period.key)


def sample_file_name(what: str, of: str, period: Period) -> str:
    """Return the name of a file of a reference sample.

    >>> sample_file_name("sample_ceo", "deforestation", Period(2024, 12))
    'deforestation_sample_202412_ceo.csv'

    Args:
        what: which, of `NAMES`.
        of: what the sample is of: prediction or deforestation.
        period: the month of the map, or the last of the period.
    """
    return file_name(what if of == "prediction" else f"{of}_{what}", period)


def comparison_files(key: str, other: str | None) -> dict[str, str]:
    """Return the names of the files of a comparison, by what they are; its raster's comes last.

    >>> comparison_files("202506", "worldcover")["comparison_table"]
    'comparison_202506_worldcover.csv'

    Args:
        key: of the map's period.
        other: what the other map is called, where several are compared.
    """
    both = f"{key}_{other}" if other else key
    return {what: name.format(key=both) for what, name in reversed(_COMPARISON.items())}


def is_named(name: str, what: str) -> bool:
    """Tell whether a name is that of some period's file.

    >>> is_named("prediction_202506.json", "item"), is_named("prediction_stats.json", "item")
    (True, False)

    Args:
        name: of the file, without its folder.
        what: which, of `NAMES`.
    """
    before, after = map(re.escape, NAMES[what].split("{key}"))
    month = "" if what in _ANNUAL else "(0[1-9]|1[0-2])"
    return re.fullmatch(rf"{before}\d{{4}}{month}{after}", name) is not None


def is_local(path: Path | UPath) -> TypeGuard[Path]:
    """Tell whether a path is on this machine, not in a bucket."""
    return isinstance(path, Path)


def failure_of(path: Path | UPath) -> type[LandcoverError]:
    """Return what a file that cannot be read is: in a bucket, a failure that may heal by itself."""
    return LandcoverError if is_local(path) else TransientError


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

# What those may do with a file or a folder who may do it with the folder that it is in; but to
# write what is not theirs is for the owner and the group alone.
_OF_FILES, _OF_FOLDERS = 0o664, 0o775


@contextmanager
def scratch(work_dir: UPath) -> Iterator[Path]:
    """Make a folder on this machine to build files in; it is removed at the end.

    It is in the work folder where that is on this machine, else in the system's temporary folder,
    which must then have room for a whole map.

    Args:
        work_dir: of the run, so that what a killed one left is found (see `remove_unfinished`).

    Raises:
        LandcoverError: if the disk is full, or the folder can no longer be written.
    """
    inside, prefix = _workshop(work_dir)
    with on_disk(inside):
        make_folder(inside)
    # The inner one asks the disk before the folder is removed.
    with (
        on_disk(inside),
        TemporaryDirectory(prefix=prefix, dir=inside) as folder,
        on_disk(inside),
    ):
        if is_local(work_dir):
            take_mode(Path(folder))
        yield Path(folder)


def _workshop(work_dir: UPath) -> tuple[Path, str]:
    """Return where the scratch folders of a work folder are, and how their names begin."""
    if is_local(work_dir):
        return work_dir, UNFINISHED
    number = hashlib.sha256(str(work_dir).encode()).hexdigest()[:16]
    return Path(gettempdir()), f"chocoforest-{UNFINISHED}{number}-"


def remove_unfinished(work_dir: UPath) -> list[Path]:
    """Remove what `scratch` left of a process that was killed, on this machine.

    Args:
        work_dir: of a run that no other process is at work on.

    Returns:
        What this user may not remove: another's.
    """
    inside, prefix = _workshop(work_dir)
    left = []
    for folder in inside.rglob(f"{prefix}*") if is_local(work_dir) else inside.glob(f"{prefix}*"):
        try:
            shutil.rmtree(folder)
        except PermissionError:
            left.append(folder)
    return left


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing.

    In a folder of the set-group-ID bit, as teams share it, those may use them who may use that one.

    Raises:
        OSError: if one cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    if folder.parent.stat().st_mode & stat.S_ISGID:
        take_mode(folder)


def make_file(path: Path) -> None:
    """Make an empty file, unless it is there, which those may use who may use its folder.

    Raises:
        OSError: if it cannot be made.
    """
    if not path.exists():
        path.touch()
        take_mode(path)


def take_mode(path: Path) -> None:
    """Let those use a file or folder of this user who may use the folder that it is in.

    By itself it would be as the user's umask has it, and a team might not see it.
    """
    allowed = _OF_FOLDERS if path.is_dir() else _OF_FILES
    # The set-group-ID bit that a new folder has from the one above stays.
    mode = path.stat().st_mode & stat.S_ISGID | path.parent.stat().st_mode & allowed
    # Some network disks have no modes, and another's folder is as its owner made it.
    with suppress(OSError):
        path.chmod(mode)


@contextmanager
def on_disk(folder: Path | None = None) -> Iterator[None]:
    """Tell in one sentence what the disk of this machine refuses.

    Args:
        folder: that is written: GDAL does not say why it cannot write, so the folder is asked.

    Raises:
        LandcoverError: if the disk is full, or a file on it cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        silent = error.errno is None and not error.filename
        cause = _why_not(folder) if silent and folder else error
        if cause and cause.errno in FULL:
            raise no_room(folder or Path(cause.filename or gettempdir())) from error
        if cause and cause.errno and cause.filename:
            raise _refused(cause) from error
        raise  # the failure of a bucket


def is_full(folder: Path) -> bool:
    """Tell whether the disk of a folder, which may not be there yet, has no room."""
    return shutil.disk_usage(_nearest(folder)).free < LEAST_ROOM


def no_room(folder: Path) -> LandcoverError:
    """Say that the disk of a folder is full."""
    return LandcoverError(
        f"The disk of {folder} is full: make room on it, or set folders on another disk (TMPDIR "
        "where WORK_DIR is in a bucket), then run the month again; it goes on where it was."
    )


def _why_not(folder: Path) -> OSError | None:
    """Return why a folder takes no file; None where it takes one."""
    if is_full(folder):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        TemporaryFile(dir=_nearest(folder)).close()
    except OSError as error:
        return OSError(error.errno, error.strerror, str(folder))
    return None


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _refused(error: OSError) -> LandcoverError:
    denied = error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
    advice = "give this user permission to read and write it" if denied else "look after its disk"
    return LandcoverError(
        f"{error.filename} cannot be used ({error.strerror}): {advice}, then run the month again; "
        "it goes on where it was."
    )


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
        LandcoverError: if one on this machine cannot be removed.
        OSError: if one in a bucket cannot.
    """
    if is_local(path):
        with on_disk():
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
    if not is_local(folder):
        # As results are written: uploaded under one name, then copied to another.
        probe, copy = (folder / f".writable-{uuid4().hex}" for _ in range(2))
        probe.write_bytes(b"")
        probe.fs.copy(probe.path, copy.path)
        for path in (probe, copy):
            path.fs.rm_file(path.path)
        return
    try:
        make_folder(folder)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        if error.errno in FULL:
            raise no_room(folder) from error
        raise LandcoverError(
            f"{setting} cannot be written: {folder} ({error.strerror}). "
            "Give this user permission to write it, or set another folder."
        ) from error


def sha256(path: Path | UPath) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()
