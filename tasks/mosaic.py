"""The month's imagery."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect.logging import get_run_logger

from landcover.errors import SettingsError
from landcover.mosaic import Mosaic, describe_mosaic, find_quads, read_quad
from tasks.retries import io_task
from tasks.settings import MosaicSettings

HEADER_READERS = 16


@io_task("find mosaic", "find mosaic {year}-{month:02d}")
def find_mosaic(
    year: int, month: int, mosaic_path: str | None, settings: MosaicSettings, work_dir: Path
) -> Mosaic:
    """Find the month's imagery and read its headers.

    Args:
        year: of the month.
        month: 1 to 12.
        mosaic_path: the path of a file, of a folder of quads, or a glob, instead of the settings'.
        settings: where imagery is, and the bands that the model reads.
        work_dir: where to keep the index of the quads.

    Raises:
        LandcoverError: if there is none, or if its files do not make one raster.
    """
    where = mosaic_path or _usual_place(year, month, settings)
    paths = find_quads(where, f"the mosaic of {year}-{month:02d}")
    with ThreadPoolExecutor(HEADER_READERS) as pool:
        quads = list(pool.map(read_quad, paths))
    index = work_dir / f"mosaic_{year}{month:02d}.gti.gpkg"
    mosaic = describe_mosaic(quads, where, settings.mosaic_bands, index)
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
