"""What windows cost more on a Dask cluster than on threads: windows in which nothing is done."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import geopandas
import rasterio
from affine import Affine
from prefect import flow
from prefect.server.api.server import SubprocessASGIServer
from rasterio.windows import Window

from benchmarks.imagery import QUAD
from benchmarks.month import BOUNDARY, MONTH, YEAR, run
from benchmarks.place import Name, bounds, quads_touching
from benchmarks.stage import BANDS, NAMES, seconds
from demo.world import RESOLUTION
from flows.monthly import NEEDS
from flows.parallel import map_windows, split_into_batches
from landcover.imagery.mosaic import Mosaic
from landcover.maps.layers import prediction_layers
from landcover.maps.pieces import Piece, Plan, piece_factors
from landcover.model.forest import Model
from landcover.period import Period
from landcover.version import code_version
from landcover.windows import plan_windows
from tasks.access.blocks import Blocks
from tasks.cluster import find_cluster
from tasks.mosaic import find_mosaic
from tasks.retries import io_task
from tasks.run import Run, open_run
from tasks.windows import name_windows
from tests.servers.dask import dask_cluster
from tests.servers.waiting import PATIENCE

WORKERS = 2  # of one thread each
REPEATS = 3
FOUND = "found.json"


@dataclass(frozen=True)
class Overhead:
    """What a Dask cluster adds to a month's windows.

    Attributes:
        asking: seconds that its workers are asked whether they can predict.
        month: seconds that all windows of a month take more than on threads.
        batch: seconds that a batch of windows takes a worker more than a thread.
        rate: batches a second that it gets through at most.
    """

    asking: float
    month: float
    batch: float
    rate: float


@io_task("pass windows", partial(name_windows, "pass"))
def pass_windows(
    windows: Sequence[Window],
    run: Run,  # noqa: ARG001
    plan: Plan,
    mosaic: Mosaic,  # noqa: ARG001
    model: Model,  # noqa: ARG001
) -> list[Piece]:
    """Take and return all that `predict_windows` does, and do nothing.

    Args:
        windows: which pixels of the mosaic.
        run: whose map.
        plan: where its pieces would go.
        mosaic: the imagery.
        model: what would predict.
    """
    counts = dict.fromkeys(NAMES, QUAD**2)
    return [Piece(window, plan.pieces(window), counts, Counter(counts)) for window in windows]


def measure(folder: Path) -> Overhead:
    """Measure batches of a month of the real area of interest, with a Prefect server.

    Args:
        folder: where its quads go, which are empty.
    """
    area = geopandas.read_file(BOUNDARY).to_crs("EPSG:3857").geometry.union_all()
    _write_empty(folder / "quads", quads_touching(area))
    # In a process of its own, as a run is: its settings are set, and what it says goes to a file.
    command = [sys.executable, "-c", "from benchmarks import batches; batches.main()"]
    # Workers are in folders of their own.
    folders = {name: str(folder.absolute() / "data") for name in ("MODEL_OUTPUT_DIR", "WORK_DIR")}
    with SubprocessASGIServer() as server:
        run(command, folder, server.api_url, {"MOSAIC_PATTERN": "*.tif", **folders})
    return Overhead(**json.loads((folder / FOUND).read_text()))


def main() -> None:
    """Measure in this process, whose settings are those of a month, and write what is found."""
    with dask_cluster(Path("dask").absolute()) as cluster:
        for _ in range(WORKERS):
            cluster.start_worker()
        with cluster.client() as client:
            client.wait_for_workers(WORKERS, timeout=PATIENCE)
        Path(FOUND).write_text(json.dumps(asdict(compare(cluster.address))))


@flow
def compare(address: str) -> Overhead:
    """Time the windows of a month on threads, on a cluster, and there one by one.

    Args:
        address: of the cluster's scheduler.
    """
    blocks = Blocks(database_block=None, storage_block=None)
    with open_run(Period(YEAR, MONTH), blocks, NEEDS) as run:
        mosaic = find_mosaic(run, None)
        started = time.perf_counter()
        cluster = find_cluster(run, address, mosaic)
        asking = time.perf_counter() - started
        assert cluster
        plan = _plan(run, mosaic)
        model = Model(run.files.model, "0" * 64, tuple(mosaic.bands), NAMES)
        shared = {"run": run, "plan": plan, "mosaic": mosaic, "model": model}
        # Of a cluster with a worker for each window, every window is a batch.
        many = replace(cluster, processes=len(plan.windows))
        jobs = [
            partial(map_windows, pass_windows, plan.windows, "Passing", "passing", where, **shared)
            for where in (None, cluster, many)
        ]
        threads, batches, singly = _time_in_turn(jobs)
    count = len(split_into_batches(plan.windows, WORKERS))
    return Overhead(
        asking=asking,
        month=batches - threads,
        batch=(batches - threads) * WORKERS / count,
        rate=(len(plan.windows) - count) / (singly - batches),
    )


def _time_in_turn(jobs: Sequence[Callable[[], object]]) -> list[float]:
    """Return the median seconds of each job."""
    # The first time, workers import what they need.
    took = [[seconds(job) for job in jobs] for _ in range(1 + REPEATS)][1:]
    return [median(of_job) for of_job in zip(*took, strict=True)]


def _plan(run: Run, mosaic: Mosaic) -> Plan:
    size, windows = plan_windows(mosaic.grid, run.area(mosaic.grid.crs), WORKERS)
    return Plan(
        folder=run.files.work,
        grid=mosaic.grid,
        windows=tuple(windows),
        factors=tuple(piece_factors(mosaic.grid, size)),
        layers=prediction_layers(run.period, NAMES),
        thumbnails=None,
        code=code_version(),
    )


def _write_empty(folder: Path, names: list[Name]) -> None:
    """Write quads of which there is nothing but the header."""
    folder.mkdir(parents=True)
    for name in names:
        west, _, _, north = bounds(name)
        with rasterio.open(
            folder / f"{name[0]}-{name[1]}.tif", "w", driver="GTiff", sparse_ok=True, tiled=True,
            width=QUAD, height=QUAD, count=len(BANDS), dtype="uint16", nodata=0, crs="EPSG:3857",
            transform=Affine(RESOLUTION, 0, west, 0, -RESOLUTION, north),
        ):  # fmt: skip
            pass
