"""Shapefiles: the encoding of their text, which many do not say, and some say wrongly."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar
from zipfile import ZipFile

from landcover.errors import SettingsError

UTF8 = "utf-8"
WINDOWS = "cp1252"

# Every byte is a letter of it, so that it does not fail where text does not matter.
NO_TEXT = "ISO-8859-1"

# Where the header of a .dbf names its code page, and the code pages of western Europe and America
# (ESRI, dBASE language driver IDs); 0 says nothing, 87 the code page of the machine that wrote it.
CODE_PAGE = 29
CODE_PAGES = {0: WINDOWS, 1: "cp437", 2: "cp850", 3: WINDOWS, 87: WINDOWS}

# Text in UTF-8 is text in these as well, of other letters.
_OF_SINGLE_BYTES = re.compile(r"cp\d{3,4}|iso8859-\d+|koi8.*|mac.*")

Read = TypeVar("Read")


@dataclass(frozen=True)
class Encodings:
    """What a Shapefile says of the encoding of its text."""

    declared: str | None
    """The encoding that its .cpg names; None where it has none, or none that is known."""
    code_page: str | None
    """The encoding that its .dbf names; None where GDAL has to say what it is."""


def encodings_of(source: str) -> Encodings | None:
    """Return what a Shapefile says of its encoding; None of any other file.

    Args:
        source: its path, also in a zip archive, as GDAL opens it.
    """
    parts = _parts(source)
    if parts is None:
        return None
    header = parts.get(".dbf", b"").ljust(CODE_PAGE + 1, b"\0")
    declared = _codec(parts.get(".cpg", b"").decode(NO_TEXT))
    return Encodings(declared, CODE_PAGES.get(header[CODE_PAGE]))


def read_decoded(
    said: Encodings,
    read: Callable[[str | None], Read],
    is_plain: Callable[[Read], bool],
    what: str,
) -> Read:
    """Read a Shapefile in the encoding that its text is in.

    Args:
        said: what it says of it.
        read: reads it in an encoding; None for the one that GDAL takes it for.
        is_plain: tells of what was read whether all text is ASCII.
        what: is read, for messages.

    Returns:
        What `read` returned.

    Raises:
        SettingsError: if its .cpg says what is not so.
        UnicodeError: if its text is in no encoding that it may be in.
    """
    try:
        found = read(UTF8)
    except UnicodeError as error:
        if said.declared == UTF8:
            raise _lies(said.declared, f"not so ({error})", what) from error
        return read(said.declared or said.code_page)
    if said.declared in (None, UTF8) or is_plain(found):
        return found
    if _OF_SINGLE_BYTES.fullmatch(str(said.declared)):
        raise _lies(str(said.declared), "in UTF-8", what)
    return read(said.declared)


def members(archive: Path) -> list[str]:
    """Return the names of the files in a zip archive, without those that a Mac adds."""
    with ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if not name.endswith("/")]
    return [name for name in names if not name.startswith("__MACOSX/")]


def _lies(declared: str, truth: str, what: str) -> SettingsError:
    return SettingsError(
        f"The .cpg of {what} says that its text is in {declared}, but it is {truth}: write the "
        "right encoding into the .cpg, or save the layer again as a GeoPackage."
    )


def _parts(source: str) -> dict[str, bytes] | None:
    """Return the .cpg of a Shapefile, and the beginning of its .dbf."""
    inside = re.fullmatch(r"/vsizip/\{(.+)\}/(.+\.shp)", source, re.IGNORECASE)
    if inside:
        return _parts_inside(Path(inside[1]), PurePosixPath(inside[2]))
    path = Path(source)
    if path.suffix.lower() == ".shz":
        shape = next((name for name in members(path) if name.lower().endswith(".shp")), "")
        return _parts_inside(path, PurePosixPath(shape))
    if path.suffix.lower() != ".shp":
        return None
    beside = [other for other in path.parent.iterdir() if other.stem == path.stem]
    return {
        other.suffix.lower(): _beginning(other)
        for other in beside
        if other.suffix.lower() in (".cpg", ".dbf")
    }


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(CODE_PAGE + 1)


def _parts_inside(archive: Path, shape: PurePosixPath) -> dict[str, bytes]:
    with ZipFile(archive) as opened:
        return {
            PurePosixPath(name).suffix.lower(): opened.read(name)
            for name in opened.namelist()
            if PurePosixPath(name).with_suffix("") == shape.with_suffix("")
            and PurePosixPath(name).suffix.lower() in (".cpg", ".dbf")
        }


def _codec(said: str) -> str | None:
    """Return Python's name of what a .cpg says: `UTF-8`, `1252`, `ANSI 1252`, `88591`."""
    text = said.strip()
    iso = re.search(r"8859[-_ ]?(\d{1,2})$", text)
    number = re.search(r"\d{3,5}$", text)
    guesses = [text, f"iso8859-{iso[1]}" if iso else "", f"cp{number[0]}" if number else ""]
    for guess in filter(None, guesses):
        try:
            return codecs.lookup(guess).name
        except LookupError:
            continue
    return None
