"""Image files: found, opened, and read again where a bucket failed."""

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import rasterio
from fsspec import AbstractFileSystem
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from upath import UPath

from landcover.files import is_local

# Seconds between tries to read an image in a bucket. GDAL tries a refused request again, but not
# one whose answer was cut short, and a task that reads hundreds would hardly ever get all whole.
READ_PAUSES = (0.5, 2, 5)


Read = TypeVar("Read")


def gdal_path(path: UPath) -> str:
    """Return what GDAL opens to read a file; from a bucket it reads by ranges."""
    return str(path) if is_local(path) else f"/vsis3/{path.path}"


def open_image(path: UPath) -> DatasetReader:
    """Open an image; one in a bucket must hold all that belongs to it.

    GDAL is not let look for sidecars there: it would list the whole folder for each image.

    Raises:
        RasterioIOError: if GDAL cannot open it.
    """
    alone = {} if is_local(path) else {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    with rasterio.Env(**alone):
        return rasterio.open(gdal_path(path))


def find_files(filesystem: AbstractFileSystem, pattern: str) -> list[dict[str, Any]]:
    """Return what is known of the files and folders that a glob stands for.

    Args:
        filesystem: of this machine or of a bucket.
        pattern: the glob.

    Raises:
        OSError: if a bucket cannot be listed, where s3fs by itself would find nothing.
    """
    plain = pattern[: re.search(r"[*?[]|$", pattern).start()]  # type: ignore[union-attr]
    # Of other patterns s3fs does not know the option, and raises what the bucket refuses.
    loud = "s3" in filesystem.protocol and plain.endswith("/") and "**" not in pattern
    options = {"on_error": _raise_unless_missing} if loud else {}
    return list(filesystem.glob(pattern, detail=True, **options).values())


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def read_patiently(path: UPath, read: Callable[[], Read]) -> Read:
    """Read an image, one in a bucket again where that fails.

    Args:
        path: of the image.
        read: opens and reads it.

    Raises:
        RasterioIOError: if the last try fails too.
    """
    for pause in () if is_local(path) else READ_PAUSES:
        try:
            return read()
        except RasterioIOError:
            time.sleep(pause)
    return read()
