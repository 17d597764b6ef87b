"""The month's imagery."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import shapely
from prefect.logging import get_run_logger
from rasterio.errors import RasterioIOError

from landcover.aoi import load_aoi
from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.mosaic import Mosaic, describe_mosaic, find_quads, read_quad
from tasks.retries import io_task
from tasks.settings import MosaicSettings

HEADER_READERS = 16


@contextmanager
def reading(mosaic: Mosaic, where: str) -> Iterator[None]:
    """Tell of imagery that cannot be read: what, and which file.

    Args:
        mosaic: what is read.
        where: which part, such as "under the training polygons".

    Raises:
        TransientError: if GDAL cannot read it.
    """
    try:
        yield
    except RasterioIOError as error:
        raise TransientError(
            f"Cannot read the mosaic {mosaic.origin} {where} ({error.__cause__ or error}): "
            "fetch that file again."
        ) from error


@io_task("find mosaic", "find mosaic {year}-{month:02d}")
def find_mosaic(
    year: int,
    month: int,
    mosaic_path: str | None,
    settings: MosaicSettings,
    aoi_definition: str,
    work_dir: Path,
) -> Mosaic:
    """Find the month's imagery, read its headers, and make sure that it is where it should be.

    Args:
        year: of the month.
        month: 1 to 12.
        mosaic_path: the path of a file, of a folder of quads, or a glob, instead of the settings'.
        settings: where imagery is, and the bands that the model reads.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        work_dir: where to keep the index of the quads.

    Raises:
        SettingsError: if the area of interest is none.
        LandcoverError: if there is no imagery, if its files do not make one raster, or if the area
            of interest does not touch it.
    """
    where = mosaic_path or _usual_place(year, month, settings)
    if "://" in where:
        raise SettingsError(
            f"The mosaic {where} is not on this machine; it should be a file, a folder or a glob "
            "here, such as /data/nicfi/*.tif."
        )
    paths = find_quads(where, f"the mosaic of {year}-{month:02d}")
    with ThreadPoolExecutor(HEADER_READERS) as pool:
        quads = list(pool.map(read_quad, paths))
    index = work_dir / f"mosaic_{year}{month:02d}.gti.gpkg"
    mosaic = describe_mosaic(quads, where, settings.mosaic_bands, index)
    _check_touches(mosaic, aoi_definition)
    get_run_logger().info(
        "Mosaic %s: %d file%s, %d x %d pixels",
        where,
        mosaic.files,
        "" if mosaic.files == 1 else "s",
        mosaic.grid.width,
        mosaic.grid.height,
    )
    return mosaic


def _usual_place(year: int, month: int, settings: MosaicSettings) -> str:
    if settings.planet_mosaic_dir is None:
        raise SettingsError(
            "PLANET_MOSAIC_DIR is not set; it should be the folder that holds the monthly "
            "mosaics, such as /data/nicfi (or give --mosaic_path)."
        )
    return str(settings.planet_mosaic_dir / settings.mosaic_pattern.format(year=year, month=month))


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
