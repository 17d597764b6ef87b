"""Quads: the image files of a month, where they are and what their headers say."""

import os
import re
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from glob import has_magic
from io import BytesIO
from itertools import groupby, takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pandas as pd
from affine import Affine
from fsspec import AbstractFileSystem
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from upath import UPath

from landcover.errors import (
    LandcoverError,
    NothingThereError,
    SettingsError,
)
from landcover.files import failure_of, is_local
from landcover.geometry import to_lonlat
from landcover.grid import Grid, grid_of
from landcover.imagery.images import find_files, open_image, read_patiently
from landcover.imagery.pixels import Pixels, alpha_bands, stack_pixels
from landcover.imagery.sources import find_sources
from landcover.listing import listed

# How the names of images end. What GIS programs leave beside an image (.tif.aux.xml, .tif.ovr,
# .tfw, .tif.vat.dbf) and what a download has not finished (.tif.part, .tif.aria2) end in something
# else, and a glob such as `*.tif*` matches them too.
# fmt: off
IMAGES = {
    ".tif", ".tiff", ".gtif", ".gtiff", ".geotiff", ".btf", ".tf8", ".vrt", ".img", ".jp2", ".j2k",
    ".bil", ".bip", ".bsq", ".hdf", ".h5", ".he5", ".hdf5", ".nc", ".nc4", ".ntf", ".nitf", ".pix",
    ".kea", ".rst", ".ers", ".ecw", ".sid", ".sdat", ".grd",
}
# fmt: on
INDEX = ".vrt"

# Folders in which file servers and archives keep what is no file of the user's.
NOT_THE_USERS = {"@eaDir", "#recycle", "__MACOSX", ".Trash", "$RECYCLE.BIN"}

MASK_SIDECAR = ".msk"

# How far the rows or columns of an image may lean over its whole length, in pixels: so much is
# rounding, and moves no pixel to another place.
MOST_LEAN = 0.1

# Of these, the ones that may say which pixels are valid.
TELLING_SIDECARS = (MASK_SIDECAR, ".aux.xml")


@dataclass(frozen=True)
class ImageFile:
    """An image file, not yet opened."""

    path: str
    """An absolute path, or an `s3://` URI."""
    version: str
    """Changes when the file is replaced: a bucket's ETag, or size and time of the file and of what
    lies beside it."""


@dataclass(frozen=True)
class Header:
    """What the header of one image file says."""

    path: str
    """Where the file is."""
    version: str
    """Changes when the file is replaced."""
    grid: Grid
    """CRS, transform and size."""
    dtypes: tuple[str, ...]
    """The data type of each band."""
    nodata: tuple[str, ...]
    """The value that stands for no data in each band, as text; "None" if there is none."""
    scales: tuple[float, ...]
    """What the values of each band are to be multiplied by, as the file has it."""
    offsets: tuple[float, ...]
    """What is then to be added."""
    alpha: tuple[int, ...]
    """The numbers of the bands marked as alpha."""
    sources: tuple[ImageFile, ...] = ()
    """The other files that the image is made of, as they were when the header was read: what a VRT
    names, and what GDAL reads beside an image on this machine."""

    @property
    def files(self) -> tuple[ImageFile, ...]:
        """All files that it is made of, itself first."""
        return (ImageFile(self.path, self.version), *self.sources)


@dataclass(frozen=True)
class Quad:
    """The image files of one place, on one grid: one file, or several of which each has some bands.

    Their bands are numbered on from each file to the next.
    """

    headers: tuple[Header, ...]
    """Of its files."""

    @property
    def path(self) -> str:
        """Where its first file is, which stands for it in messages."""
        return self.headers[0].path

    @property
    def grid(self) -> Grid:
        """CRS, transform and size."""
        return self.headers[0].grid

    @property
    def files(self) -> tuple[ImageFile, ...]:
        """All files that it is made of."""
        return tuple(file for header in self.headers for file in header.files)

    @property
    def sources(self) -> tuple[ImageFile, ...]:
        """What its files are made of in their turn."""
        return tuple(source for header in self.headers for source in header.sources)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The data type of each band."""
        return tuple(dtype for header in self.headers for dtype in header.dtypes)

    def by_file(self, bands: Sequence[int]) -> list["FileBands"]:
        """Return in which files bands are.

        Args:
            bands: their numbers, counted from 1.
        """
        found, before = [], 0
        for header in self.headers:
            here = range(before + 1, before + len(header.dtypes) + 1)
            places = [place for place, number in enumerate(bands) if number in here]
            if places:
                numbers = [bands[place] - before for place in places]
                found.append(FileBands(header, numbers, places))
            before = here.stop - 1
        return found


class FileBands(NamedTuple):
    """Bands of one file, some of those that are read together."""

    header: Header
    """Of the file."""
    numbers: list[int]
    """Of the bands in it."""
    places: list[int]
    """Where they stand among all that are read."""


def read_bands(
    quad: Quad, bands: Sequence[int], read: Callable[[Header, Sequence[int]], Pixels]
) -> Pixels:
    """Read bands of a quad, each of its files once.

    Args:
        quad: whose bands.
        bands: their numbers, counted from 1.
        read: reads bands of one file, by their numbers in it.
    """
    return stack_pixels(
        [(places, read(header, numbers)) for header, numbers, places in quad.by_file(bands)]
    )


# What to do where there is no imagery.
PUT_THERE = (
    "Put the imagery there, set PLANET_MOSAIC_DIR and MOSAIC_PATTERN, or give --mosaic_path."
)


def find_quads(where: str, wanted: str, advice: str = PUT_THERE) -> list[ImageFile]:
    """Return the image files that a path or a glob stands for, sorted by path.

    Args:
        where: the path of a file, of a folder of GeoTIFFs, or a glob; or the same as an `s3://`
            URI.
        wanted: what is looked for, for the message, such as "the mosaic of 2025-06".
        advice: what to do where there is none, for the message.

    Raises:
        LandcoverError: if there is none, and it says what is there instead; if a folder cannot be
            read, or a file's name not be written as text; or if images in a bucket have masks in
            files of their own.
        OSError: if the bucket cannot be listed.
    """
    _check_name(where)
    filesystem, path = fsspec.url_to_fs(where)
    with _looking(filesystem, where):
        images, others = _list(filesystem, path)
        near = "" if images else _what_is_near(filesystem, path)
    if not images:
        what = (
            f"what matches {where} is not an image ({listed(others, 5)})"
            if others
            else f"nothing matches {where}; {near}"
        )
        raise NothingThereError(f"Cannot find {wanted}: {what}. {advice}")
    if _is_remote(filesystem):
        _check_masks(filesystem, [entry["name"] for entry in images])
        found = [
            ImageFile(filesystem.unstrip_protocol(entry["name"]), _version(entry))
            for entry in images
        ]
    else:
        for entry in images:
            _check_name(entry["name"])
        with _looking(filesystem, where):
            found = [ImageFile(entry["name"], _version(entry)) for entry in images]
    return sorted(found, key=lambda image: image.path)


def _check_name(path: str) -> None:
    """Make sure that a path can be written as text, which GDAL and tables want."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        told = os.fsencode(path).decode(errors="backslashreplace")
        raise LandcoverError(
            f"The name of {told} is not in UTF-8: rename it (`convmv` does it for whole folders)."
        ) from error


@contextmanager
def _looking(filesystem: AbstractFileSystem, where: str) -> Iterator[None]:
    """Tell of what cannot be looked at on this machine; a bucket's errors are told elsewhere."""
    try:
        yield
    except OSError as error:
        if _is_remote(filesystem):
            raise
        place = error.filename or where
        if isinstance(error, PermissionError):
            # Of a path, the system does not say which of its folders may not be entered.
            above = reversed(Path(place).absolute().parents)
            place = next((folder for folder in above if not os.access(folder, os.X_OK)), place)
            advice = "give this user permission to read it and to enter the folders above it"
        else:
            advice = "check it and the disk that it is on, or narrow MOSAIC_PATTERN"
        raise LandcoverError(
            f"Cannot look for imagery at {where}: {place} cannot be read ({error.strerror}); "
            f"{advice}."
        ) from error
    except ValueError as error:
        raise SettingsError(f"{where} is not a path or a glob ({error}).") from error


def _list(filesystem: AbstractFileSystem, path: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what is known of the images that a path, or else a glob, stands for.

    Also the names of what else it stands for.
    """
    if _is_remote(filesystem):
        _check_listing(filesystem, path)
    try:
        # Not isfile: s3fs would say no where the bucket does not answer.
        found = filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError):
        pattern = PurePosixPath(path).name
        return _sort_out(find_files(filesystem, path), pattern)
    if found["type"] == "file":
        # Named as it is, it is what is wanted, whatever its name.
        return [found], []
    if _is_remote(filesystem):
        return _sort_out(filesystem.ls(path, detail=True), None)
    # Not as the folder lists them: fsspec then takes no link for a file.
    there = [str(path) for path in sorted(Path(path).iterdir()) if _is_image(path.name)]
    return _sort_out([filesystem.info(path) for path in there], None)


def _sort_out(
    entries: Sequence[dict[str, Any]], pattern: str | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Part images from what lies beside them, by their names.

    An image's name ends as an image's does, or as the pattern does. A name without a suffix is an
    image where the pattern has none either and nothing better is there. Beside images, a VRT is an
    index of them, which would show them twice.

    Args:
        entries: what is known of files and folders.
        pattern: the last part of the glob that they match; None where they are all of a folder.

    Returns:
        The images, and the names of the other files.
    """
    files = [
        entry
        for entry in entries
        if entry["type"] == "file" and not NOT_THE_USERS.intersection(PurePath(entry["name"]).parts)
    ]
    named = [(PurePosixPath(entry["name"]).name, entry) for entry in files]
    ending = _suffix(pattern) if pattern and not has_magic(_suffix(pattern)) else ""
    images = [entry for name, entry in named if _is_image(name, ending)]
    if not images and pattern is not None and not ending:
        images = [entry for name, entry in named if _is_bare(name)]
    whole = [entry for entry in images if _suffix(entry["name"]) != INDEX]
    images = whole or images
    chosen = {entry["name"] for entry in images}
    return images, [name for name, entry in named if entry["name"] not in chosen]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_image(name: str, ending: str = "") -> bool:
    """Tell whether a name is an image's: it ends as one does, or as is wanted."""
    suffix = _suffix(name)
    return not _is_hidden(name) and (suffix in IMAGES or (bool(ending) and suffix == ending))


def _is_bare(name: str) -> bool:
    """Tell whether a name has no suffix, as an object's in a bucket may not: 570-1026, v1.2."""
    suffix = _suffix(name)
    unnamed = not suffix or suffix[1:].isdecimal()
    inner = {part.lower() for part in PurePosixPath(name).suffixes}
    return unnamed and not _is_hidden(name) and not inner & IMAGES and not name.endswith("~")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _check_listing(filesystem: AbstractFileSystem, path: str) -> None:
    """Make sure that a bucket can be listed: s3fs finds nothing, silently, where it cannot."""
    plain = takewhile(lambda part: not has_magic(part), PurePosixPath(path).parts)
    try:
        filesystem.ls("/".join(plain))
    except FileNotFoundError as error:
        # There is no such folder; with a cause, no such bucket.
        if error.__cause__:
            raise


def _is_remote(filesystem: AbstractFileSystem) -> bool:
    return "file" not in filesystem.protocol


def _version(entry: dict[str, Any]) -> str:
    if "ETag" in entry:
        return str(entry["ETag"]).strip('"')
    image = Path(entry["name"])
    # GDAL finds them in capitals too.
    beside = (
        image.with_name(image.name + written)
        for suffix in TELLING_SIDECARS
        for written in (suffix, suffix.upper())
    )
    found = [path.stat() for path in (image, *beside) if path.exists()]
    return " ".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in found)


def look_again(files: Collection[str]) -> list[ImageFile]:
    """Return the files that are there, of some that are known, as they are now.

    Args:
        files: absolute paths, or `s3://` URIs, all of one kind. In a bucket each of their folders
            is listed once.

    Raises:
        OSError: if a folder or the bucket cannot be read.
    """
    if not files:
        return []
    filesystem, _ = fsspec.url_to_fs(next(iter(files)))
    if not _is_remote(filesystem):
        return [ImageFile(file, _version({"name": file})) for file in files if Path(file).exists()]
    there: dict[str, str] = {}
    for folder in sorted({file.rpartition("/")[0] for file in files}):
        for entry in _list_folder(filesystem, folder):
            if entry["type"] == "file":
                there[filesystem.unstrip_protocol(entry["name"])] = _version(entry)
    # GDAL looks for sidecars of a VRT's sources in buckets too.
    return [
        ImageFile(
            file,
            " ".join(
                there[beside]
                for beside in (file, *(file + suffix for suffix in TELLING_SIDECARS))
                if beside in there
            ),
        )
        for file in files
        if file in there
    ]


def _list_folder(filesystem: AbstractFileSystem, folder: str) -> list[dict[str, Any]]:
    try:
        return list(filesystem.ls(folder, detail=True))
    except FileNotFoundError:
        return []


def _check_masks(filesystem: AbstractFileSystem, images: Sequence[str]) -> None:
    """Refuse masks beside images in a bucket, where GDAL is told not to look for any.

    Looking for one would cost requests for each image.
    """
    wanted = {f"{image}{MASK_SIDECAR}" for image in images}
    for folder in {str(PurePosixPath(image).parent) for image in images}:
        for mask in wanted.intersection(filesystem.ls(folder, detail=False)):
            raise LandcoverError(
                f"{filesystem.unstrip_protocol(mask)} is a mask in a file of its own, which is "
                "not read from a bucket: put the mask into the image, as a mask or alpha band."
            )


def _what_is_near(filesystem: AbstractFileSystem, path: str) -> str:
    """Say what the nearest folder above a path holds."""
    if not _is_remote(filesystem):
        path = str(Path(path).absolute())
    folder = next(
        (
            str(parent)
            for parent in PurePosixPath(path, ".").parents
            if str(parent) not in {".", path} and filesystem.isdir(str(parent))
        ),
        None,
    )
    if folder is None:
        return "there is no such bucket"
    if filesystem.isdir(path):
        folder = path
    place = filesystem.unstrip_protocol(folder) if _is_remote(filesystem) else folder
    names = sorted(PurePosixPath(name).name for name in filesystem.ls(folder, detail=False))
    if not names:
        return f"{place} is empty"
    return f"{place} holds {listed(names, 5)}"


def grid_of_image(dataset: DatasetReader) -> Grid:
    """Return the grid of an open image, without the leaning that rounding leaves in headers."""
    grid = grid_of(dataset)
    step = grid.transform
    if not _leans(grid):
        step = Affine(step.a, 0, step.c, 0, step.e, step.f)
    return replace(grid, transform=step)


def _leans(grid: Grid) -> bool:
    """Tell whether rows or columns lean by more than rounding, measured in the pixel's size."""
    step = grid.transform
    across, down = abs(step.b) * grid.height, abs(step.d) * grid.width
    return across > MOST_LEAN * abs(step.a) or down > MOST_LEAN * abs(step.e)


def read_header(image: ImageFile) -> Header:
    """Read the header of an image file.

    Raises:
        LandcoverError: if GDAL cannot open it, if it has no bands or no place on the earth, if it
            is not north-up, or if it names files that it may not read (see `find_sources`).
        TransientError: if GDAL cannot open it in a bucket.
        OSError: if the bucket cannot be read.
    """
    path = UPath(image.path)

    def read() -> Header:
        # On this machine that is known before GDAL follows a name; in a bucket, where a look would
        # cost each image a request, GDAL first says which are GeoTIFFs.
        sources = find_sources(image.path) if _can_be_read(path) else []
        with open_image(path) as dataset:
            if not is_local(path) and dataset.driver != "GTiff":
                sources = find_sources(image.path)
            _check_kind(dataset, image.path)
            sources += _read_beside(dataset, [image.path, *sources])
            return Header(
                path=image.path,
                version=image.version,
                grid=grid_of_image(dataset),
                dtypes=dataset.dtypes,
                nodata=tuple(map(str, dataset.nodatavals)),
                scales=tuple(dataset.scales),
                offsets=tuple(dataset.offsets),
                alpha=alpha_bands(dataset),
                sources=tuple(look_again(sources)),
            )

    try:
        header = read_patiently(path, read)
    except RasterioIOError as error:
        if is_local(path) and not os.access(path, os.R_OK):
            raise LandcoverError(
                f"Cannot read the image {image.path}: give this user permission to read it."
            ) from error
        failure = failure_of(path)
        raise failure(
            f"Cannot read the image {image.path} ({error}): fetch the file again."
        ) from error
    transform = header.grid.transform
    if _leans(header.grid) or not (transform.a > 0 > transform.e):
        raise LandcoverError(
            f"The image {header.path} is rotated or not north-up: warp it to a north-up grid first."
        )
    _check_place(header)
    return header


def _can_be_read(path: Path | UPath) -> bool:
    return is_local(path) and os.access(path, os.R_OK)


def _read_beside(dataset: DatasetReader, known: Collection[str]) -> list[str]:
    """Return what GDAL reads beside an open image on this machine, such as world files.

    Not overviews, which say nothing new, nor what the image's own version covers.
    """
    if dataset.driver == "VRT" or dataset.name.startswith("/vsi"):
        return []
    files = [os.path.normpath(Path(file).absolute()) for file in dataset.files]
    left_out = (".ovr", *TELLING_SIDECARS)
    return [file for file in files if file not in known and not file.lower().endswith(left_out)]


def _check_kind(dataset: DatasetReader, path: str) -> None:
    """Make sure that an open image has bands, and a place of its own on the earth."""
    if not dataset.count and dataset.subdatasets:
        names = [name.rpartition(":")[2] for name in dataset.subdatasets]
        raise LandcoverError(
            f"{path} is a container of several rasters ({listed(names, 5)}), not an image: write "
            "those that are wanted into one GeoTIFF first, with "
            f"`gdal_translate {dataset.subdatasets[0]} FILE.tif` and the like."
        )
    if not dataset.count:
        raise LandcoverError(f"The image {path} has no bands: fetch or make the file again.")
    if dataset.crs and not (dataset.transform.is_identity and dataset.gcps[0]):
        return
    if dataset.gcps[0] or dataset.rpcs:
        how = "ground control points" if dataset.gcps[0] else "rational polynomials (RPC)"
        raise LandcoverError(
            f"The image {path} has {how} but no grid: warp it to one first, for instance with "
            "`gdalwarp -t_srs EPSG:3857`, or take the orthorectified product."
        )
    raise LandcoverError(
        f"The image {path} does not say its coordinate reference system: "
        "set it, for instance with `rio edit-info --crs EPSG:3857`."
    )


def _check_place(header: Header) -> None:
    """Make sure that it can be told where on the earth an image lies."""
    west, south, east, north = header.grid.bounds
    corners = [west, west, east, east], [north, south] * 2
    try:
        placed = np.isfinite(to_lonlat(header.grid.crs).transform(*corners))
    except ProjError as error:
        raise LandcoverError(
            f"The image {header.path} lies in the coordinate reference system "
            f"{_name_of(header.grid.crs)}, which cannot be brought to longitude and latitude "
            f"({_reason(error)}): set the one that it truly is in, or warp it to another."
        ) from error
    # A corner may lie beyond the earth's edge, as those of full-disk images do.
    if not placed.any():
        raise LandcoverError(
            f"The image {header.path} lies nowhere on the earth: its corners, "
            f"{west:.6g} {south:.6g} to {east:.6g} {north:.6g}, are outside its coordinate "
            f"reference system {_name_of(header.grid.crs)}; set the one that it truly is in, for "
            "instance with `rio edit-info --crs EPSG:3857`."
        )


def _name_of(crs: str) -> str:
    return CRS(crs).name


def _reason(error: ProjError) -> str:
    """Return what PROJ says, without what pyproj puts around it."""
    text = re.sub(r"^.*?proj_create_operations: ", "", str(error)).rstrip(") ")
    return text.partition(". ")[0].rstrip(".")


def write_index(rasters: Sequence[Sequence[Quad]], path: Path) -> None:
    """Write the headers of image files as a parquet file, a row each.

    Args:
        rasters: the quads of each raster of a mosaic.
        path: the file to write.
    """
    rows = [
        {"raster": raster, "quad": number, **asdict(header)}
        | {"transform": list(header.grid.transform)[:6]}
        for raster, quads in enumerate(rasters)
        for number, quad in enumerate(quads)
        for header in quad.headers
    ]
    for row in rows:
        grid = row.pop("grid")
        row.update({name: grid[name] for name in ("crs", "width", "height")})
    pd.DataFrame(rows).to_parquet(path, index=False)


def read_index(path: UPath) -> list[tuple[Quad, ...]]:
    """Read the headers of image files, as `write_index` wrote them.

    None where there is no index, or one that an earlier version wrote, which knew less of them.

    Args:
        path: the file.

    Returns:
        The quads of each raster.
    """
    if not path.exists():
        return []
    rows = pd.read_parquet(BytesIO(path.read_bytes()))
    if "raster" not in rows:
        return []
    read = ((row["raster"], row["quad"], _header_of(row)) for row in rows.to_dict("records"))
    return [
        tuple(
            Quad(tuple(header for *_, header in of_quad))
            for _, of_quad in groupby(of_raster, key=lambda row: row[1])
        )
        for _, of_raster in groupby(read, key=lambda row: row[0])
    ]


def _header_of(row: dict[Hashable, Any]) -> Header:
    return Header(
        path=row["path"],
        version=row["version"],
        grid=Grid(row["crs"], Affine(*row["transform"]), row["width"], row["height"]),
        dtypes=tuple(row["dtypes"]),
        nodata=tuple(row["nodata"]),
        scales=tuple(row["scales"]),
        offsets=tuple(row["offsets"]),
        alpha=tuple(row["alpha"]),
        sources=tuple(ImageFile(**source) for source in row["sources"]),
    )
