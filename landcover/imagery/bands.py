"""Bands: the names that settings give them, and which of an image's bands they are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from landcover.errors import LandcoverError
from landcover.imagery.quads import ImageFile
from landcover.listing import listed

# How a file's name ends as a setting has it: in a suffix, so that 1.5 is not one.
_ENDING = re.compile(r"\.[A-Za-z]\w*$")

# At most this many files are named.
SHOWN = 5


@dataclass(frozen=True)
class FileBand:
    """A band of one of several files; as text what a setting says, such as `B04.tif:1`."""

    file: str
    """How the names of its files end; or, of a band that does not change, their path or glob."""
    number: int = 1
    """Which of the file's bands it is, counted from 1."""

    def __str__(self) -> str:
        """Return what a setting says."""
        return f"{self.file}:{self.number}"


# Names, and the bands that they stand for: of a month's only kind of file, or of files by name.
Bands = Mapping[str, int | FileBand]


def parse_bands(text: object) -> dict[str, int | FileBand]:
    """Read MOSAIC_BANDS.

    >>> parse_bands("blue=1,green=2")
    {'blue': 1, 'green': 2}
    >>> parse_bands("red=B04.tif,nir=B08.tif:1")
    {'red': FileBand(file='B04.tif', number=1), 'nir': FileBand(file='B08.tif', number=1)}

    Raises:
        ValueError: if the text is not of that form, if a name or a band stands twice, or if some
            bands have a file and others none.
    """
    if isinstance(text, dict):
        return text
    bands = _parse(text)
    of_file = [band for band in bands.values() if isinstance(band, FileBand)]
    if any(not _ENDING.search(band.file) for band in of_file):
        raise ValueError(_malformed(text))
    if 0 < len(of_file) < len(bands):
        raise ValueError(
            f"{text!r} names some bands by number alone and others by file: name a file for each, "
            "or for none"
        )
    return bands


def parse_static_bands(text: object) -> dict[str, FileBand]:
    """Read STATIC_BANDS.

    >>> parse_static_bands("elevation=/data/dem.tif,slope=s3://maps/terrain/*.tif:2")["slope"]
    FileBand(file='s3://maps/terrain/*.tif', number=2)

    Raises:
        ValueError: if the text is not of that form, if a name or a band stands twice, or if a band
            has no file.
    """
    if isinstance(text, dict):
        return text
    bands = _parse(text)
    found = {name: band for name, band in bands.items() if isinstance(band, FileBand)}
    if len(found) < len(bands):
        raise ValueError(f"{text!r} names bands without a file")
    return found


def _parse(text: object) -> dict[str, int | FileBand]:
    pairs = [pair.partition("=") for pair in str(text).split(",")]
    bands = {
        name.strip(): band
        for name, _, place in pairs
        if name.strip().isidentifier() and (band := _parse_place(place.strip()))
    }
    if len(bands) < len(pairs) or len(set(bands.values())) < len(pairs):
        raise ValueError(_malformed(text))
    return bands


def _parse_place(text: str) -> int | FileBand | None:
    """Read `4`, `B04.tif` or `B04.tif:1`; None where it is none of these."""
    if text.isdecimal():
        return int(text) or None
    file, colon, number = text.rpartition(":")
    if colon and number.isdecimal():
        return FileBand(file, int(number)) if file and int(number) else None
    return FileBand(text) if text else None


def _malformed(text: object) -> str:
    return (
        f"{text!r} is not a list of distinct name=number pairs, nor of name=file:number "
        "such as red=B04.tif:1"
    )


def by_file(bands: Bands) -> dict[str, dict[str, int]]:
    """Return names and numbers of bands by the file that they are in, in the order of the files.

    Args:
        bands: what `parse_bands` or `parse_static_bands` returned. The file of those without one
            is named by the empty text, in which every name ends.
    """
    sorted_out: dict[str, dict[str, int]] = {}
    for name, band in bands.items():
        of = FileBand("", band) if isinstance(band, int) else band
        sorted_out.setdefault(of.file, {})[name] = of.number
    return sorted_out


def sort_files(
    images: Iterable[ImageFile], endings: Iterable[str]
) -> tuple[dict[str, list[ImageFile]], list[ImageFile]]:
    """Sort files by how their names end.

    Args:
        images: the files.
        endings: of their names; a name that has several of them counts for the longest.

    Returns:
        The files of each ending, and those that have none of them.
    """
    of_ending: dict[str, list[ImageFile]] = {ending: [] for ending in endings}
    longest_first = sorted(of_ending, key=len, reverse=True)
    others: list[ImageFile] = []
    for image in images:
        name = PurePosixPath(image.path).name
        ending = next((ending for ending in longest_first if name.endswith(ending)), None)
        (others if ending is None else of_ending[ending]).append(image)
    return of_ending, others


def check_endings(
    of_ending: Mapping[str, Sequence[ImageFile]], others: Sequence[ImageFile], origin: str
) -> None:
    """Make sure that there are files of every ending.

    Args:
        of_ending: what `sort_files` returned.
        others: likewise.
        origin: where they were found.

    Raises:
        LandcoverError: if there are none of one.
    """
    missing = [ending for ending, images in of_ending.items() if not images]
    if missing:
        there = [*others, *(image for images in of_ending.values() for image in images)]
        names = [PurePosixPath(image.path).name for image in there]
        raise LandcoverError(
            f"No file of the mosaic {origin} has a name that ends in {' or in '.join(missing)}, "
            f"which MOSAIC_BANDS reads; there are {listed(names, SHOWN)}: set MOSAIC_BANDS to how "
            "the names end, or MOSAIC_PATTERN to match these files too."
        )
