"""Image files: found, opened, and read again where a bucket failed."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, TypeVar
from xml.etree.ElementTree import Element, SubElement, tostring

import rasterio
from fsspec import AbstractFileSystem
from rasterio.dtypes import dtype_rev, typename_fwd
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from upath import UPath

from landcover.files import is_local

# Seconds between tries to read an image in a bucket. GDAL tries a refused request again, but not
# one whose answer was cut short, and a task that reads hundreds would hardly ever get all whole.
READ_PAUSES = (0.5, 2, 5)

# What the environment may say otherwise: to read a damaged block as zeros, to leave out what a
# sidecar says of nodata, and to run Python code that stands in a VRT. GDAL looks at these where an
# image, or a source of a VRT, is opened or read.
WHOLE_TRUTH = {
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_PAM_ENABLED": "YES",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}

Read = TypeVar("Read")


def gdal_path(path: UPath) -> str:
    """Return what GDAL opens to read a file; from a bucket it reads by ranges."""
    return str(path) if is_local(path) else f"/vsis3/{path.path}"


def open_image(path: UPath) -> DatasetReader:
    """Open an image; one in a bucket must hold all that belongs to it.

    GDAL is not let look for sidecars there: it would list the whole folder for each image. On this
    machine it always does, because masks and nodata values may be in them.

    Raises:
        RasterioIOError: if GDAL cannot open it.
    """
    beside = "FALSE" if is_local(path) else "EMPTY_DIR"
    with rasterio.Env(**WHOLE_TRUTH, GDAL_DISABLE_READDIR_ON_OPEN=beside):
        dataset = rasterio.open(gdal_path(path))
        if dataset.driver != "VRT" or not _has_unlike_types(dataset, path):
            return dataset
        with dataset:
            described = _band_by_band(dataset)
        return rasterio.open(described)


@contextmanager
def open_band(path: UPath, band: int, *, declared: bool = True) -> Iterator[DatasetReader]:
    """Open a band of an image, and which of its pixels hold data, as an image of two bands.

    What warps it then needs to know of neither nodata values nor masks nor alpha bands: the second
    band is like any other, and 0 wherever nothing is known, beyond the image's edges too. (GDAL's
    warper by itself leaves 0 there, and says that it is valid, where no nodata value is declared.)

    Args:
        path: of the image.
        band: which, from 1.
        declared: whether its pixels without data are those that the file declares; all hold data
            if not.

    Raises:
        RasterioIOError: if GDAL cannot open it.
    """
    beside = "FALSE" if is_local(path) else "EMPTY_DIR"
    # For as long as it is read, because the image is opened again as a source.
    with rasterio.Env(**WHOLE_TRUTH, GDAL_DISABLE_READDIR_ON_OPEN=beside):
        with open_image(path) as dataset:
            described = _band_and_mask(dataset, band, declared)
        with rasterio.open(described) as both:
            yield both


def _band_and_mask(dataset: DatasetReader, band: int, declared: bool) -> str:
    """Describe a VRT of a band and of its mask, both of the band's type."""
    kind = typename_fwd[dtype_rev[dataset.dtypes[band - 1]]]
    root = _header(dataset)
    values, mask = (
        _add(root, "VRTRasterBand", dataType=kind, band=str(number)) for number in (1, 2)
    )
    _add_source(values, "SimpleSource", dataset.name, str(band))
    if declared:
        _add_source(mask, "SimpleSource", dataset.name, f"mask,{band}")
    else:
        everywhere = _add_source(mask, "ComplexSource", dataset.name, str(band))
        _add(everywhere, "ScaleOffset", "1")
        _add(everywhere, "ScaleRatio", "0")
    return tostring(root, encoding="unicode")


def _has_unlike_types(vrt: DatasetReader, path: UPath) -> bool:
    """Tell whether bands of a VRT are of unlike types, or may be in a VRT that it is made of."""
    return len(set(vrt.dtypes)) > 1 or b".vrt<" in path.read_bytes().lower()


def _band_by_band(vrt: DatasetReader) -> str:
    """Describe a VRT whose bands are of unlike types so that each is read as what it is.

    Of such a VRT, GDAL 3.10 reads all bands together as values of the last one's type (see
    `VRTDataset::IRasterIO`): reflectances beside an alpha band of bytes become 255 without a word.
    It does not where a band is more than a copy of its source, as a ComplexSource may be.

    Args:
        vrt: the VRT, open.

    Returns:
        What GDAL opens: another VRT, as text, with the first one's bands, masks and header.
    """
    root = _header(vrt)
    if together := vrt.tags().get("NODATA_VALUES"):
        _add(_add(root, "Metadata"), "MDI", together, key="NODATA_VALUES")
    for number in vrt.indexes:
        place = number - 1
        kind = typename_fwd[dtype_rev[vrt.dtypes[place]]]
        band = _add(root, "VRTRasterBand", dataType=kind, band=str(number))
        if vrt.nodatavals[place] is not None:
            _add(band, "NoDataValue", repr(vrt.nodatavals[place]))
        _add(band, "ColorInterp", vrt.colorinterp[place].name.capitalize())
        _add(band, "Offset", repr(vrt.offsets[place]))
        _add(band, "Scale", repr(vrt.scales[place]))
        _add_source(band, "ComplexSource", vrt.name, str(number))
        if not vrt.mask_flag_enums[place]:
            _add_mask(band, vrt.name, number)
    if MaskFlags.per_dataset in vrt.mask_flag_enums[0] and len(vrt.mask_flag_enums[0]) == 1:
        _add_mask(root, vrt.name, 1)
    return tostring(root, encoding="unicode")


def _header(dataset: DatasetReader) -> Element:
    """Return the element of a VRT that lies where another image does."""
    size = {"rasterXSize": str(dataset.width), "rasterYSize": str(dataset.height)}
    root = Element("VRTDataset", size)
    if dataset.crs:
        _add(root, "SRS", dataset.crs.to_wkt())
    if not dataset.transform.is_identity:
        _add(root, "GeoTransform", ",".join(map(repr, dataset.transform.to_gdal())))
    return root


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    child = SubElement(parent, tag, attributes)
    child.text = text
    return child


def _add_source(band: Element, kind: str, name: str, number: str) -> Element:
    source = _add(band, kind)
    _add(source, "SourceFilename", name, relativeToVRT="0")
    _add(source, "SourceBand", number)
    return source


def _add_mask(parent: Element, name: str, number: int) -> None:
    mask = _add(_add(parent, "MaskBand"), "VRTRasterBand", dataType="Byte")
    _add_source(mask, "SimpleSource", name, f"mask,{number}")


def find_files(filesystem: AbstractFileSystem, pattern: str) -> list[dict[str, Any]]:
    """Return what is known of the files and folders that a glob stands for.

    A part of it that is there as it is written stands for itself, whatever brackets it holds.

    Args:
        filesystem: of this machine or of a bucket.
        pattern: the glob.

    Raises:
        OSError: if a folder or a bucket cannot be listed, where fsspec by itself would find
            nothing.
    """
    if "file" in filesystem.protocol:
        there = Path(pattern).absolute()
        return [filesystem.info(str(path)) for path in _matching(Path("/"), there.parts[1:])]
    pattern = _escaped(filesystem, pattern)
    plain = pattern[: re.search(r"[*?[]|$", pattern).start()]  # type: ignore[union-attr]
    # Of other patterns s3fs does not know the option, and raises what the bucket refuses.
    loud = "s3" in filesystem.protocol and plain.endswith("/") and "**" not in pattern
    options = {"on_error": _raise_unless_missing} if loud else {}
    return list(filesystem.glob(pattern, detail=True, **options).values())


def _matching(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the paths below a folder of this machine that the parts of a glob stand for."""
    if not parts:
        yield folder
        return
    part, *rest = parts
    if _is_there(folder / part):
        yield from _matching(folder / part, rest)
    elif part == "**":
        for below, _, _ in os.walk(folder, onerror=_raise):
            yield from _matching(Path(below), rest or ["*"])
    elif has_magic(part) and folder.is_dir():
        for there in sorted(folder.iterdir()):
            if fnmatchcase(there.name, part):
                yield from _matching(there, rest)


def _is_there(path: Path) -> bool:
    """Tell whether a path exists; not to be let look is an error, unlike for `Path.exists`."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _escaped(filesystem: AbstractFileSystem, pattern: str) -> str:
    """Return a glob in which brackets are brackets where a folder of that name is there."""
    parts = PurePosixPath(pattern).parts
    for number, part in enumerate(parts):
        if "[" in part and not filesystem.exists("/".join(parts[: number + 1])):
            return "/".join([*map(_literal, parts[:number]), *parts[number:]])
    return "/".join(map(_literal, parts))


def _literal(part: str) -> str:
    """Return a part of a glob in which brackets are brackets; a star is still a star."""
    return part.replace("[", "[[]")


def _raise(error: OSError) -> NoReturn:
    raise error


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
    # Here too, because the sources of a VRT are opened when they are first read.
    with rasterio.Env(**WHOLE_TRUTH):
        for pause in () if is_local(path) else READ_PAUSES:
            try:
                return read()
            except RasterioIOError:
                time.sleep(pause)
        return read()
