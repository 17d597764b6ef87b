"""The month's imagery."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from glob import has_magic
from itertools import islice
from pathlib import Path, PurePosixPath

from prefect.logging import get_run_logger
from upath import UPath

from landcover.addresses import check_place
from landcover.errors import SettingsError
from landcover.files import expanded, is_local, scratch
from landcover.imagery.alignment import join_files
from landcover.imagery.bands import SHOWN, Bands, by_file, check_endings, sort_files
from landcover.imagery.mosaic import Mosaic, Raster, describe_mosaic
from landcover.imagery.quads import (
    Header,
    ImageFile,
    Quad,
    find_quads,
    look_again,
    read_header,
    read_index,
    write_index,
)
from landcover.imagery.sources import outside
from landcover.listing import listed
from landcover.period import Period
from landcover.publishing import publish
from tasks.access.settings import MosaicSettings
from tasks.access.storage import side_by_side
from tasks.retries import io_task
from tasks.run import Run

# What to do where there are no files of bands that do not change.
NAME_THEM = "Put the files there, or set STATIC_BANDS to where they are."


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
        LandcoverError: if there is no imagery, or nothing where bands that do not change should be;
            if its files do not make one raster, or if the area of interest does not touch it.
        TransientError: if the bucket cannot be reached, or an image in it not be read.
    """
    where = expanded(mosaic_path) if mosaic_path else _usual_place(run)
    mosaic, rasters = describe_imagery(run, where)
    with run.storage(f"the mosaic {where}"):
        if sources := _sources_of(header for quad in rasters[0] for header in quad.headers):
            looked_in = _folder_of(mosaic_path, run.settings[MosaicSettings])
            mosaic = replace(mosaic, notices=outside(sources, looked_in, where))
        with scratch(run.files.work) as folder:
            built = folder / run.files.index.name
            write_index(rasters, built)
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


@contextmanager
def imagery_of(run: Run, period: Period, where: str | None = None) -> Iterator[Mosaic]:
    """Yield the imagery of another month; nothing of it is kept after the block.

    That month's own run may be at work, and writes its files itself.

    Args:
        run: that looks at it.
        period: whose imagery.
        where: it is; the month's usual place if left out.

    Raises:
        SettingsError: if it is looked for where no imagery can be.
        LandcoverError: if there is none, or it cannot be mapped.
        TransientError: if the bucket cannot be reached, or an image in it not be read.
    """
    theirs = run.of(period)
    mosaic, rasters = describe_imagery(theirs, where or _usual_place(theirs))
    with scratch(run.files.work) as folder:
        index = folder / theirs.files.index.name
        write_index(rasters, index)
        yield replace(mosaic, index=UPath(index))


def look_at_imagery(run: Run, mapped_from: str | None) -> str | None:
    """Make sure that the month's imagery is at its usual place, and see whether it has changed.

    Nothing is written.

    Args:
        run: whose imagery.
        mapped_from: the place of the imagery that the month was mapped from, if it was.

    Returns:
        The fingerprint of the imagery as it is now; None where the month was not mapped from there.

    Raises:
        SettingsError: if it is looked for where no imagery can be.
        LandcoverError: if there is none, or it has changed so that it cannot be mapped.
        TransientError: if the bucket cannot be reached, or an image in it not be read.
    """
    where = _usual_place(run)
    if mapped_from == where:
        # Headers that are not in the index are read, which takes a while of many.
        return describe_imagery(run, where)[0].fingerprint
    check_place(where, "the mosaic")
    with run.storage(f"the mosaic {where}"):
        find_quads(where, f"the mosaic of {run}")
    return None


def describe_imagery(run: Run, where: str) -> tuple[Mosaic, list[Sequence[Quad]]]:
    """Return the mosaic of a place, and the quads of each of its rasters; nothing is written.

    Args:
        run: whose imagery.
        where: the path of a file, of a folder of quads, or a glob.

    Raises:
        LandcoverError: if there is no imagery, or it cannot be mapped.
        TransientError: if the bucket cannot be reached, or an image in it not be read.
    """
    check_place(where, "the mosaic")
    settings = run.settings[MosaicSettings]
    bands, nodata = settings.mosaic_bands, settings.mosaic_nodata
    known = _known_headers(run)
    with run.storage(f"the mosaic {where}"):
        quads = _read_quads(run, where, bands, known)
    static = [
        _read_static(run, origin, of_file, known)
        for origin, of_file in by_file(settings.static_bands).items()
    ]
    with run.storage(f"the mosaic {where}"):
        area = run.area(quads[0].grid.crs)
        mosaic = describe_mosaic(quads, where, bands, run.files.index, area, nodata, static)
    return mosaic, [quads, *(raster.quads for raster in static)]


def _read_quads(run: Run, where: str, bands: Bands, known: Sequence[Header]) -> list[Quad]:
    """Find the imagery, and read the headers of the files whose bands are read."""
    images = find_quads(where, f"the mosaic of {run}")
    of_ending, others = sort_files(images, by_file(bands))
    check_endings(of_ending, others, where)
    if others:
        names = [PurePosixPath(image.path).name for image in others]
        get_run_logger().info(
            "%d files of %s hold no band that MOSAIC_BANDS names, and are left out: %s",
            len(others),
            where,
            listed(names, SHOWN),
        )
    wanted = [image for images in of_ending.values() for image in images]
    headers = iter(_read_headers(wanted, run, known))
    return join_files(
        {ending: list(islice(headers, len(images))) for ending, images in of_ending.items()}
    )


def _read_static(
    run: Run, origin: str, bands: Mapping[str, int], known: Sequence[Header]
) -> Raster:
    """Find what does not change, and read the headers of its files."""
    where = expanded(origin)
    what = f"the files of {' and '.join(bands)}"
    check_place(where, what)
    with run.storage(f"{what}, {where}"):
        images = find_quads(where, what, NAME_THEM)
        headers = _read_headers(images, run, known)
    return Raster(where, tuple(Quad((header,)) for header in headers), bands)


def _known_headers(run: Run) -> list[Header]:
    """Return the headers that an earlier run has read."""
    with run.storage(run.files.index):
        rasters = read_index(run.files.index)
    return [header for quads in rasters for quad in quads for header in quad.headers]


def _read_headers(images: list[ImageFile], run: Run, known: Sequence[Header]) -> list[Header]:
    """Read the headers of image files side by side, but for those that are known."""
    found = _still_so(known, images)
    new = [image for image in images if (image.path, image.version) not in found]
    headers = side_by_side(read_header, new, run.blocks.storage_block, "the headers of the imagery")
    found.update(((header.path, header.version), header) for header in headers)
    return [found[image.path, image.version] for image in images]


def _still_so(
    headers: Sequence[Header], images: Sequence[ImageFile]
) -> dict[tuple[str, str], Header]:
    """Return those headers all of whose files are as they were, by path and version."""
    wanted = set(images)
    kept = [header for header in headers if header.files[0] in wanted]
    now = set(look_again(_sources_of(kept)))
    return {
        (header.path, header.version): header for header in kept if now.issuperset(header.sources)
    }


def _sources_of(headers: Iterable[Header]) -> list[str]:
    return sorted({source.path for header in headers for source in header.sources})


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
