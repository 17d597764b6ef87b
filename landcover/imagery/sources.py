"""What an image is made of: a VRT holds no pixels but names the files that do.

Any file may be one, whatever its name. GDAL would follow it anywhere, to the network and to files
that nobody meant to map, and would not tell when one of them is replaced (its own list of a VRT's
files knows neither those of inner VRTs nor those of masks). So the text itself is read here.
"""

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

import fsspec
from fsspec import AbstractFileSystem

from landcover.addresses import without_login
from landcover.errors import LandcoverError
from landcover.listing import listed
from landcover.notices import Notice

# As many bytes as GDAL looks at to know what a file is.
HEAD = 1024

_VRT = b"<VRTDataset"

# How GDAL's other formats begin that hold no pixels but say where some are: XML and JSON.
_OF_TEXT = (b"<", b"{")

# The elements of a VRT that name files, in small letters: GDAL minds no capitals. Beside them, the
# arguments of a processed dataset whose names end so (`gain_dataset_filename_1`).
_NAMING = {"sourcefilename", "sourcedataset", "indexdataset", "dempath"}
_NAMING_ARGUMENT = "filename"

_BUCKETS = "/vsis3/"

# At most this many files are named.
_SHOWN = 3


def find_sources(path: str) -> list[str]:
    """Return the files that an image is made of: none unless it is a VRT.

    Args:
        path: of the image, absolute, or an `s3://` URI.

    Returns:
        Their paths, of the same form: all that it names, and all that VRTs among these name.

    Raises:
        LandcoverError: if it, or a file that it names, is a description of imagery that is
            elsewhere, or if it names what is not a file on this machine or, where the VRT itself is
            in a bucket, in a bucket.
        OSError: if the bucket cannot be read.
    """
    filesystem, _ = fsspec.url_to_fs(path)
    found: dict[str, None] = {}
    level = _descriptions(filesystem, [path], path)
    while level:
        named = [source for vrt in level for source in _named_in(filesystem, vrt)]
        new = [source for source in dict.fromkeys(named) if source not in found and source != path]
        found.update(dict.fromkeys(new))
        level = _descriptions(filesystem, new, path)
    return list(found)


def outside(sources: Sequence[str], folder: str, mosaic: str) -> tuple[Notice, ...]:
    """Return what is to be told about sources that do not lie where the imagery is looked for.

    Args:
        sources: of the mosaic's images.
        folder: in which the imagery is looked for, absolute, or an `s3://` URI.
        mosaic: its path or glob, for people.
    """
    strangers = [source for source in sources if not source.startswith(folder.rstrip("/") + "/")]
    if not strangers:
        return ()
    files = listed(strangers, _SHOWN)
    return (Notice("sources_outside", {"mosaic": mosaic, "files": files, "folder": folder}),)


def _descriptions(filesystem: AbstractFileSystem, files: Sequence[str], image: str) -> list[str]:
    """Return those of some files that are text, not pixels."""
    starts, ends = [0] * len(files), [HEAD] * len(files)
    heads = filesystem.cat_ranges(list(files), starts, ends, on_error="return")
    texts = []
    for file, head in zip(files, heads, strict=True):
        if isinstance(head, FileNotFoundError | IsADirectoryError) and file != image:
            raise LandcoverError(
                f"The image {image} is a VRT that reads {file}, and there is no such file: put it "
                "there, or make the VRT anew with gdalbuildvrt."
            ) from head
        if isinstance(head, OSError) and "file" in filesystem.protocol:
            raise LandcoverError(
                f"The image {image} cannot be read, because {file} cannot ({head.strerror}): give "
                "this user permission to read it, and check the disk that it is on."
            ) from head
        if isinstance(head, Exception):
            raise head
        if _VRT in head or head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_OF_TEXT):
            texts.append(file)
    return texts


def _named_in(filesystem: AbstractFileSystem, path: str) -> Iterator[str]:
    """Yield the files that a VRT names, as absolute paths or `s3://` URIs."""
    root = _parse(filesystem.cat_file(path), path)
    for element in root.iter():
        tag = _local(element.tag)
        argument = tag == "argument" and _NAMING_ARGUMENT in element.get("name", "").lower()
        name = (element.text or "").strip()
        if name and (argument or tag in _NAMING):
            yield _resolved(name, _is_relative(element), path)


def _parse(content: bytes, path: str) -> Element:
    try:
        root = ElementTree.fromstring(content.strip())  # noqa: S314, it expands no entities of files
    except ParseError as error:
        if _VRT in content[:HEAD]:
            raise LandcoverError(
                f"The image {path} is a VRT that is not well-formed XML ({error}): make it anew "
                "with gdalbuildvrt."
            ) from error
        root = Element("text")
    if _local(root.tag) != "vrtdataset":
        raise LandcoverError(
            f"Cannot read the image {path}: it holds no pixels but text, such as a page of errors "
            "or the description of a server's imagery; fetch it again, as a GeoTIFF."
        )
    return root


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].lower()


def _is_relative(element: Element) -> bool:
    written = {name.lower(): value for name, value in element.attrib.items()}
    return written.get("relativetovrt") == "1"


def _resolved(name: str, relative: bool, vrt: str) -> str:
    """Return the absolute path, or `s3://` URI, of what a VRT names."""
    kind, separator, place = vrt.partition("://")
    if separator and name.startswith(_BUCKETS):
        return f"{kind}://{posixpath.normpath(name.removeprefix(_BUCKETS))}"
    if separator and relative and not name.startswith("/"):
        return f"{kind}://{posixpath.normpath(posixpath.join(posixpath.dirname(place), name))}"
    if not separator and not name.startswith("/vsi"):
        found = os.path.normpath(Path(vrt).parent / name if relative else Path(name).absolute())
        # What is not a file may be a subdataset's name, or a whole VRT as text.
        if Path(found).is_file() or not set(name) & set(':<"'):
            return found
    here = "in a bucket" if separator else "on this machine"
    raise LandcoverError(
        f"The image {vrt} is a VRT that reads {without_login(name)[:200]}, which "
        f"is not a file {here}, where the VRT is: fetch what it reads as GeoTIFFs, and make it "
        "anew with gdalbuildvrt."
    )
