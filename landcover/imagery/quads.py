"""Quads: the image files of a month, where they are and what their headers say."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from glob import has_magic
from io import BytesIO
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pandas as pd
from affine import Affine
from fsspec import AbstractFileSystem
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError
from upath import UPath

from landcover.errors import LandcoverError, NothingThereError, TransientError
from landcover.files import is_local
from landcover.grid import Grid, grid_of
from landcover.imagery.images import find_files, open_image, read_patiently
from landcover.listing import listed

# What GIS programs leave beside an image; `*.tif*` matches it too.
SIDECARS = (".aux.xml", ".ovr", ".msk")

MASK_SIDECAR = ".msk"

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
class Quad:
    """What the header of one image file says."""

    path: str
    """Where the file is."""
    version: str
    """Changes when the file is replaced."""
    grid: Grid
    """CRS, transform and size."""
    dtypes: tuple[str, ...]
    """The data type of each band."""
    nodata: str
    """The value that stands for no data, as text; "None" if there is none."""
    alpha: bool
    """Whether a band is marked as alpha."""


def find_quads(where: str, wanted: str) -> list[ImageFile]:
    """Return the image files that a path or a glob stands for, sorted by path.

    Args:
        where: the path of a file, of a folder of GeoTIFFs, or a glob; or the same as an `s3://`
            URI.
        wanted: what is looked for, for the message, such as "the mosaic of 2025-06".

    Raises:
        LandcoverError: if there is none, and it says what is there instead; or if images in a
            bucket have masks in files of their own.
        OSError: if the folder or the bucket cannot be listed.
    """
    filesystem, path = fsspec.url_to_fs(where)
    entries = _list(filesystem, path)
    images = [entry for entry in entries if _is_image(entry)]
    if not images:
        raise NothingThereError(
            f"Cannot find {wanted}: nothing matches {where}; {_what_is_near(filesystem, path)}. "
            "Put the imagery there, set PLANET_MOSAIC_DIR and MOSAIC_PATTERN, "
            "or give --mosaic_path."
        )
    if _is_remote(filesystem):
        _check_masks(filesystem, [entry["name"] for entry in images])
    found = [
        ImageFile(filesystem.unstrip_protocol(entry["name"]), _version(entry))
        if _is_remote(filesystem)
        else ImageFile(entry["name"], _version(entry))
        for entry in images
    ]
    return sorted(found, key=lambda image: image.path)


def _list(filesystem: AbstractFileSystem, path: str) -> list[dict[str, Any]]:
    """Return what is known of the files that a path, or else a glob, stands for."""
    if _is_remote(filesystem):
        _check_listing(filesystem, path)
    try:
        # Not isfile: s3fs would say no where the bucket does not answer.
        found = filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return find_files(filesystem, path)
    if found["type"] == "file":
        return [found]
    entries = filesystem.ls(path, detail=True)
    return [entry for entry in entries if _is_named_as_image(entry)]


def _check_listing(filesystem: AbstractFileSystem, path: str) -> None:
    """Make sure that a bucket can be listed: s3fs finds nothing, silently, where it cannot."""
    plain = takewhile(lambda part: not has_magic(part), PurePosixPath(path).parts)
    try:
        filesystem.ls("/".join(plain))
    except FileNotFoundError as error:
        # There is no such folder; with a cause, no such bucket.
        if error.__cause__:
            raise


def _is_named_as_image(entry: dict[str, Any]) -> bool:
    return ".tif" in PurePosixPath(entry["name"]).name.lower()


def _is_image(entry: dict[str, Any]) -> bool:
    name = PurePosixPath(entry["name"]).name
    return entry["type"] == "file" and not name.startswith(".") and not name.endswith(SIDECARS)


def _is_remote(filesystem: AbstractFileSystem) -> bool:
    return "file" not in filesystem.protocol


def _version(entry: dict[str, Any]) -> str:
    if "ETag" in entry:
        return str(entry["ETag"]).strip('"')
    image = Path(entry["name"])
    beside = (image.with_name(image.name + suffix) for suffix in TELLING_SIDECARS)
    found = [path.stat() for path in (image, *beside) if path.exists()]
    return " ".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in found)


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


def read_quad(image: ImageFile) -> Quad:
    """Read the header of an image file.

    Raises:
        LandcoverError: if GDAL cannot open it, or if it has no CRS or is not north-up.
        TransientError: if GDAL cannot open it in a bucket.
    """
    path = UPath(image.path)

    def read() -> Quad:
        with open_image(path) as dataset:
            return Quad(
                path=image.path,
                version=image.version,
                grid=grid_of(dataset),
                dtypes=dataset.dtypes,
                nodata=str(dataset.nodata),
                alpha=ColorInterp.alpha in dataset.colorinterp,
            )

    try:
        quad = read_patiently(path, read)
    except RasterioIOError as error:
        failure = LandcoverError if is_local(path) else TransientError
        raise failure(
            f"Cannot read the image {image.path} ({error}): fetch the file again."
        ) from error
    if not quad.grid.crs:
        raise LandcoverError(
            f"The image {quad.path} does not say its coordinate reference system: "
            "set it, for instance with `rio edit-info --crs EPSG:3857`."
        )
    transform = quad.grid.transform
    if not (transform.is_rectilinear and transform.a > 0 > transform.e):
        raise LandcoverError(
            f"The image {quad.path} is rotated or not north-up: warp it to a north-up grid first."
        )
    return quad


def write_index(quads: Sequence[Quad], path: Path) -> None:
    """Write the headers of quads as a parquet file, a row each."""
    rows = [asdict(quad) | {"transform": list(quad.grid.transform)[:6]} for quad in quads]
    for row in rows:
        grid = row.pop("grid")
        row.update({name: grid[name] for name in ("crs", "width", "height")})
    pd.DataFrame(rows).to_parquet(path, index=False)


def read_index(path: UPath) -> list[Quad]:
    """Read the headers of quads, as `write_index` wrote them; none where there is no index."""
    if not path.exists():
        return []
    return [
        Quad(
            path=row["path"],
            version=row["version"],
            grid=Grid(row["crs"], Affine(*row["transform"]), row["width"], row["height"]),
            dtypes=tuple(row["dtypes"]),
            nodata=row["nodata"],
            alpha=row["alpha"],
        )
        for row in pd.read_parquet(BytesIO(path.read_bytes())).to_dict("records")
    ]
