"""Nine quads without overviews: what one quad more costs, and what is read of a bucket."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import geopandas
import rasterio
import shapely
from prefect.server.api.server import SubprocessASGIServer

from benchmarks.month import BOUNDARY, MONTH, ROOT, YEAR, run
from benchmarks.place import Name, bounds, quads_touching, write_month
from benchmarks.report import Figure
from demo.world import World
from tests.servers.swift import Bucket, Request, new_bucket, swift_server

SIDE = 3  # quads
COUNT = SIDE**2

BUCKET = "nine-quads"

MEGABYTES = "megabytes of it a quad"


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
    with SubprocessASGIServer() as server, swift_server() as swift:
        run(_command("monthly"), folder, server.api_url, settings)
        nine, one = (
            run(_command("run_predictions"), folder, server.api_url, _settings(those))
            for those in (names, names[:1])
        )
        with new_bucket(swift, BUCKET) as bucket:
            sampled = _run_from(bucket, folder, settings, server.api_url, "prepare_data")
            asked = _run_from(bucket, folder, settings, server.api_url, "monthly")
    return [
        Figure("one quad more in run_predictions (1 against 9) against copying it",
               f"{(nine.seconds - one.seconds) / (COUNT - 1) / copying:.2f}", "at most 1.1"),
        *_read(asked, sampled, folder),
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


def _command(flow: str) -> list[object]:
    command = [sys.executable, ROOT / "flows" / f"{flow}.py"]
    return [*command, "--year", f"{YEAR}", "--month", f"{MONTH}"]


def _run_from(
    bucket: Bucket, folder: Path, settings: Mapping[str, str], api: str, flow: str
) -> list[Request]:
    """Run a flow on imagery in a bucket; return what was asked for of it."""
    for quad in sorted((folder / "quads").iterdir()):
        bucket.filesystem.put(str(quad), f"{bucket.name}/quads/{quad.name}")
    of_bucket = {
        "PLANET_MOSAIC_DIR": f"{bucket.url}/quads",
        "S3_ENDPOINT_URL": bucket.server.endpoint,
        "S3_REGION": bucket.server.region,
        "S3_ACCESS_KEY_ID": bucket.server.key,
        "S3_SECRET_ACCESS_KEY": bucket.server.secret,
    }
    with bucket.counted() as asked:
        run(_command(flow), folder, api, {**settings, **of_bucket})
    return [request for request in asked if request.method == "GET" and ".tif" in request.path]


def _read(gets: list[Request], sampled: list[Request], folder: Path) -> list[Figure]:
    """Return the figures of what a month asks for, and of what it asks for to sample it."""
    quads = sorted((folder / "quads").iterdir())
    size = sum(quad.stat().st_size for quad in quads)
    read, to_sample = (
        sum(request.length or 0 for request in requests) for requests in (gets, sampled)
    )
    with rasterio.open(quads[0]) as dataset:
        blocks = len(list(dataset.block_windows(1))) * len(quads)
    return [
        Figure("imagery read from a bucket in a month of 9 quads, bytes against their size",
               f"{read / size:.2f}"),
        Figure("the same, but for what prepare_data reads",
               f"{(read - to_sample) / size:.2f}", "at most 1.1"),
        Figure(MEGABYTES, f"{read / COUNT / 1e6:.0f}"),
        Figure("requests for it, against their blocks", f"{len(gets) / blocks:.2f}",
               "at most 1.1"),
    ]  # fmt: skip
