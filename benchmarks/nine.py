"""Nine quads without overviews: what one quad more costs, and what is read of a bucket."""

import shutil
from pathlib import Path

import geopandas
import rasterio
import shapely
from prefect.server.api.server import SubprocessASGIServer

from benchmarks import bucket
from benchmarks.month import BOUNDARY, command, run
from benchmarks.place import Name, bounds, quads_touching, write_month
from benchmarks.report import Figure
from demo.world import World

SIDE = 3  # quads
COUNT = SIDE**2


def measure(world: World, folder: Path, copying: float) -> list[Figure]:
    """Measure months of nine quads, on the disk and in a bucket.

    Args:
        world: the demo's.
        folder: where imagery and results go.
        copying: the seconds that it takes to copy a quad.
    """
    names = _square()
    write_quads(folder, world, names)
    settings = _settings(names)
    with SubprocessASGIServer() as server:
        run(command("monthly"), folder, server.api_url, settings)
        nine, one = (
            run(command("run_predictions"), folder, server.api_url, _settings(those))
            for those in (names, names[:1])
        )
    return [
        Figure("one quad more in run_predictions (1 against 9) against copying it",
               f"{(nine.seconds - one.seconds) / (COUNT - 1) / copying:.2f}", "at most 1.1"),
        *bucket.measure(folder, settings, "at most 1.1"),
    ]  # fmt: skip


def write_quads(folder: Path, world: World, names: list[Name]) -> None:
    """Write quads that are files of their own, and the polygons of one of them.

    Args:
        folder: gets `quads/<column>-<row>.tif` and `polygons.gpkg`.
        world: whose landscape and polygons the quads show.
        names: of the quads.
    """
    area = shapely.union_all([shapely.box(*bounds(name)) for name in names])
    write_month(folder, world, names, area, distinct=len(names))
    for number, name in enumerate(names):
        quad = folder / "quads" / f"{name[0]}-{name[1]}.tif"
        with rasterio.open(quad.with_suffix(".vrt")) as vrt:
            transform = vrt.transform
        shutil.move(folder / "images" / f"{number}.tif", quad)
        quad.with_suffix(".vrt").unlink()
        with rasterio.open(quad, "r+") as dataset:
            dataset.transform = transform


def _square() -> list[Name]:
    """Return the names of quads in a square, in the middle of the real area of interest."""
    area = geopandas.read_file(BOUNDARY).to_crs("EPSG:3857").geometry.union_all()
    every = quads_touching(area)
    column, row = every[len(every) // 2]
    return [(column + right, row + up) for right in range(SIDE) for up in range(SIDE)]


def _settings(names: list[Name]) -> dict[str, str]:
    area = shapely.union_all([shapely.box(*bounds(name)) for name in names])
    # A little less, so that rounding does not reach into the quads beside them.
    return {
        "AOI_DEFINITION": f"SRID=3857;{shapely.buffer(area, -1, join_style='mitre').wkt}",
        "MOSAIC_PATTERN": "*.tif",
    }
