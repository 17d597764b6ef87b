"""The month's imagery."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from glob import has_magic
from pathlib import Path

from prefect.logging import get_run_logger
from upath import UPath

from landcover.addresses import check_place
from landcover.errors import SettingsError
from landcover.files import expanded, is_local, scratch
from landcover.imagery.mosaic import Mosaic, describe_mosaic
from landcover.imagery.quads import (
    ImageFile,
    Quad,
    find_quads,
    look_again,
    read_index,
    read_quad,
    write_index,
)
from landcover.imagery.sources import outside
from landcover.publishing import publish
from tasks.access.settings import MosaicSettings
from tasks.access.storage import side_by_side
from tasks.retries import io_task
from tasks.run import Run


@io_task("find mosaic", "find mosaic {run}")
def find_mosaic(run: Run, mosaic_path: str | None) -> Mosaic:
    """Find the month's imagery, read its headers, and make sure that it is where it should be.

    Args:
        run: whose imagery. The headers of the quads are kept in its work folder: those of files
            that have not changed are not read again.
        mosaic_path: the path of a file, of a folder of quads, or a glob, or the same as an s3://
            address, instead of the settings'.

    Raises:
        SettingsError: if it is looked for where no imagery can be.
        LandcoverError: if there is no imagery, if its files do not make one raster, or if the area
            of interest does not touch it.
        TransientError: if the bucket cannot be reached, or an image in it not be read.
    """
    where = expanded(mosaic_path) if mosaic_path else _usual_place(run)
    check_place(where, "the mosaic")
    settings = run.settings[MosaicSettings]
    with run.storage(f"the mosaic {where}"):
        images = find_quads(where, f"the mosaic of {run}")
        quads = _read_headers(images, run)
        area = run.area(quads[0].grid.crs)
        mosaic = describe_mosaic(
            quads, where, settings.mosaic_bands, run.files.index, area, settings.mosaic_nodata
        )
        if sources := _sources_of(quads):
            looked_in = _folder_of(mosaic_path, settings)
            mosaic = replace(mosaic, notices=outside(sources, looked_in, where))
        with scratch(run.files.work) as folder:
            built = folder / run.files.index.name
            write_index(quads, built)
            publish(built, run.files.index)
    get_run_logger().info(
        "Mosaic %s: %d file%s, %d x %d pixels",
        where,
        mosaic.files,
        "" if mosaic.files == 1 else "s",
        mosaic.grid.width,
        mosaic.grid.height,
    )
    for notice in mosaic.notices:
        get_run_logger().warning("%s", notice)
    return mosaic


def _read_headers(images: list[ImageFile], run: Run) -> list[Quad]:
    """Read the headers of image files side by side, but for those that the index still has."""
    known = _still_so(read_index(run.files.index), images)
    new = [image for image in images if (image.path, image.version) not in known]
    quads = side_by_side(read_quad, new, run.blocks.storage_block, "the headers of the imagery")
    known.update(((quad.path, quad.version), quad) for quad in quads)
    return [known[image.path, image.version] for image in images]


def _still_so(quads: Sequence[Quad], images: Sequence[ImageFile]) -> dict[tuple[str, str], Quad]:
    """Return those quads all of whose files are as they were, by path and version."""
    wanted = set(images)
    kept = [quad for quad in quads if quad.files[0] in wanted]
    now = set(look_again(_sources_of(kept)))
    return {(quad.path, quad.version): quad for quad in kept if now.issuperset(quad.sources)}


def _sources_of(quads: Iterable[Quad]) -> list[str]:
    return sorted({source.path for quad in quads for source in quad.sources})


def _folder_of(mosaic_path: str | None, settings: MosaicSettings) -> str:
    """Return the folder in which the imagery is looked for: absolute, or an `s3://` URI."""
    folder = settings.planet_mosaic_dir
    if mosaic_path:
        folder = UPath(expanded(mosaic_path))
        while has_magic(str(folder)) or not folder.is_dir():
            folder = folder.parent
    assert folder is not None
    return os.path.normpath(folder.absolute()) if is_local(folder) else str(folder)


def _usual_place(run: Run) -> str:
    settings = run.settings[MosaicSettings]
    if settings.planet_mosaic_dir is None:
        raise SettingsError(
            "PLANET_MOSAIC_DIR is not set; it should be the folder that holds the monthly "
            "mosaics, such as /data/nicfi or s3://bucket/folder (or give --mosaic_path)."
        )
    folder = settings.planet_mosaic_dir
    if has_magic(str(folder)) and is_local(folder) and _is_missing(folder):
        raise SettingsError(
            f"PLANET_MOSAIC_DIR is {folder}, and there is no such folder: it is taken as it is "
            "written, so put stars and brackets into MOSAIC_PATTERN."
        )
    name = settings.mosaic_pattern.format(year=run.period.year, month=run.period.month)
    return str(folder / name)


def _is_missing(folder: Path) -> bool:
    # What this user may not look into is told when it is looked for.
    with suppress(PermissionError):
        return not folder.exists()
    return False
