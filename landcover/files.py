"""Names of the files that a month makes, and how a finished one gets its name."""

import hashlib
import os
import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path

from landcover.errors import LandcoverError


def prepared_data_name(year: int, month: int) -> str:
    """Return the file name of a month's samples."""
    return f"prepared_data_{year}{month:02d}.parquet"


def model_name(year: int, month: int) -> str:
    """Return the file name of a month's model."""
    return f"rf_model_{year}{month:02d}.joblib"


def prediction_name(year: int, month: int) -> str:
    """Return the file name of a month's map."""
    return f"prediction_{year}{month:02d}.tif"


def publish(built: Path, final: Path) -> None:
    """Give a finished file its final name, at once and whole, replacing an earlier one.

    Work and output folders may be on different disks, so the file is first brought to the final
    name's folder under a hidden name.

    Args:
        built: the finished file; it is gone afterwards.
        final: the path under which others look for it.
    """
    aside = final.with_name(f".{final.name}.unfinished")
    shutil.move(built, aside)
    aside.replace(final)


def check_writable(folder: Path, setting: str) -> None:
    """Make sure, before hours of work, that a folder exists and takes files.

    Raises:
        LandcoverError: if the folder cannot be made or written.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LandcoverError(
            f"{setting} cannot be written: {folder} ({error.strerror}). "
            "Give its owner's rights to this user or set another folder."
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_version() -> str:
    """Return the package's version and a digest of the domain's source: what made a result."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return f"{version('chocoforest')}+{digest.hexdigest()[:12]}"
