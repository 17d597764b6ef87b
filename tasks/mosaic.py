"""The month's imagery."""

from collections.abc import Iterator
from contextlib import contextmanager

import shapely
from prefect.logging import get_run_logger
from rasterio.errors import RasterioIOError
from upath import UPath

from landcover.aoi import load_aoi
from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import publish, scratch
from landcover.imagery.mosaic import Mosaic, describe_mosaic
from landcover.imagery.quads import (
    ImageFile,
    Quad,
    find_quads,
    read_index,
    read_quad,
    write_index,
)
from tasks.access.settings import MosaicSettings
from tasks.access.storage import side_by_side, storage
from tasks.retries import io_task
from tasks.run import Month


@contextmanager
def reading(mosaic: Mosaic, where: str) -> Iterator[None]:
    """Tell of imagery that cannot be read: what, and which file.

    Args:
        mosaic: what is read.
        where: which part, such as "under the training polygons".

    Raises:
        TransientError: if GDAL cannot read it from a bucket.
        LandcoverError: if GDAL cannot read it from this machine: trying again would not help.
    """
    try:
        yield
    except RasterioIOError as error:
        kind = TransientError if mosaic.origin.startswith("s3://") else LandcoverError
        raise kind(
            f"Cannot read the mosaic {mosaic.origin} {where} ({error}): fetch that file again."
        ) from error


@io_task("find mosaic", "find mosaic {month}")
def find_mosaic(
    month: Month, mosaic_path: str | None, settings: MosaicSettings, aoi_definition: str
) -> Mosaic:
    """Find the month's imagery, read its headers, and make sure that it is where it should be.

    Args:
        month: whose imagery. The headers of the quads are kept in its work folder: those of files
            that have not changed are not read again.
        mosaic_path: the path of a file, of a folder of quads, or a glob, or the same as an s3://
            address, instead of the settings'.
        settings: where imagery is, and the bands that the model reads.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).

    Raises:
        SettingsError: if the area of interest is none.
        LandcoverError: if there is no imagery, if its files do not make one raster, or if the area
            of interest does not touch it.
    """
    where = mosaic_path or _usual_place(month, settings)
    kind, separator, place = where.partition("://")
    if separator and (kind != "s3" or not place.strip("/")):
        raise SettingsError(
            f"The mosaic {where} is neither on this machine nor in a bucket; it should be a file, "
            "a folder or a glob, such as /data/nicfi/*.tif or s3://bucket/nicfi/*.tif."
        )
    block = month.blocks.storage_block
    with storage(block, f"the mosaic {where}"):
        images = find_quads(where, f"the mosaic of {month}")
        quads = _read_headers(images, month.headers, block)
        mosaic = describe_mosaic(quads, where, settings.mosaic_bands, month.headers)
        _check_touches(mosaic, aoi_definition)
        with scratch(month.work) as folder:
            built = folder / month.headers.name
            write_index(quads, built)
            publish(built, month.headers)
    get_run_logger().info(
        "Mosaic %s: %d file%s, %d x %d pixels",
        where,
        mosaic.files,
        "" if mosaic.files == 1 else "s",
        mosaic.grid.width,
        mosaic.grid.height,
    )
    return mosaic


def _read_headers(images: list[ImageFile], index: UPath, storage_block: str | None) -> list[Quad]:
    """Read the headers of image files side by side, but for those that an index still has."""
    known = {(quad.path, quad.version): quad for quad in read_index(index)}
    new = [image for image in images if (image.path, image.version) not in known]
    quads = side_by_side(read_quad, new, storage_block, "the headers of the imagery")
    known.update(((quad.path, quad.version), quad) for quad in quads)
    return [known[image.path, image.version] for image in images]


def _usual_place(month: Month, settings: MosaicSettings) -> str:
    if settings.planet_mosaic_dir is None:
        raise SettingsError(
            "PLANET_MOSAIC_DIR is not set; it should be the folder that holds the monthly "
            "mosaics, such as /data/nicfi or s3://bucket/folder (or give --mosaic_path)."
        )
    name = settings.mosaic_pattern.format(year=month.year, month=month.month)
    return str(settings.planet_mosaic_dir / name)


def _check_touches(mosaic: Mosaic, aoi_definition: str) -> None:
    area = load_aoi(aoi_definition).to_crs(mosaic.grid.crs).iloc[0]
    if not shapely.box(*mosaic.grid.bounds).intersects(area):
        raise LandcoverError(
            f"The area of interest does not touch the mosaic {mosaic.origin}, which covers "
            f"{_extent(mosaic.grid.bounds)}; the area covers {_extent(area.bounds)} "
            "(west, south, east, north): check AOI_DEFINITION."
        )


def _extent(bounds: tuple[float, ...]) -> str:
    return ", ".join(f"{edge:.6g}" for edge in bounds)
