"""Windows over machines: a month on a Dask cluster, on hosts of the tests' own."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGSTOP
from threading import Thread
from uuid import uuid4

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from prefect_aws import AwsClientParameters, AwsCredentials

from demo.world import World, build_world
from flows import mapping
from flows.monthly import monthly_pipeline
from flows.run_predictions import run_predictions
from landcover.errors import LandcoverError
from landcover.model.forest import ForestSettings
from tasks.access.blocks import BLOCK
from tests.conftest import Hosts
from tests.servers.dask import DaskCluster, dask_cluster
from tests.servers.environment import of_folders
from tests.servers.hosts import Network
from tests.servers.prefect import reporting_to
from tests.servers.swift import Bucket, new_bucket
from tests.servers.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.xdist_group("hosts")

FEW = ForestSettings(trees=5, folds=2)
MAP = "predictions/prediction_202506.tif"

# Seconds for which a cable is pulled out.
CUT = 20


@dataclass(frozen=True)
class Team:
    """Two hosts with a worker each; scheduler, Prefect server and bucket are with the tests.

    Attributes:
        network: the hosts.
        cluster: the scheduler, and those workers.
        bucket: imagery and results.
        workers: their processes, by host.
    """

    network: Network
    cluster: DaskCluster
    bucket: Bucket
    workers: dict[str, subprocess.Popen[bytes]]

    def wait_for(self, part: str) -> None:
        """Wait until there is something in the bucket that has this in its name."""
        find = partial(self.bucket.filesystem.find, self.bucket.name)
        wait_for(part, lambda: any(part in name for name in find()) or None)

    def start_worker(self, name: str) -> None:
        """Start the worker of a host."""
        self.workers[name] = self.cluster.start_worker_on(self.network[name])

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many have found the scheduler."""
        with self.cluster.client() as client:
            client.wait_for_workers(count, timeout=PATIENCE)

    def wait_for_tasks(self) -> None:
        """Wait until the scheduler has been given windows."""
        with self.cluster.client() as client:
            ask = partial(client.run_on_scheduler, lambda dask_scheduler: len(dask_scheduler.tasks))
            wait_for("tasks", lambda: ask() or None)


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A landscape of 16 quads, which are predicted in four windows."""
    return build_world(tmp_path_factory.mktemp("sixteen"), size=1024, quad_size=256, seed=3)


@pytest.fixture(scope="module")
def team(hosts: Hosts, sixteen: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A scheduler here and a worker on each host, which share a bucket."""
    network, s3 = hosts.network, hosts.s3
    with ExitStack() as stack:
        cluster = stack.enter_context(
            dask_cluster(tmp_path_factory.mktemp("dask"), network.address)
        )
        bucket = stack.enter_context(new_bucket(s3, f"team-{uuid4().hex}"))
        put = f"{bucket.name}/imagery/2025/06"
        for quad in (sixteen.mosaic_dir / "2025" / "06").glob("*.tif"):
            bucket.filesystem.put_file(str(quad), f"{put}/{quad.name}")
        stack.enter_context(reporting_to(hosts.prefect))
        AwsCredentials(
            aws_access_key_id=s3.key,
            aws_secret_access_key=s3.secret,
            region_name=s3.region,
            aws_client_parameters=AwsClientParameters(endpoint_url=s3.endpoint),
        ).save(BLOCK)
        made = Team(network, cluster, bucket, {})
        for name, host in network.hosts.items():
            made.start_worker(name)
            stack.callback(host.kill)
        yield made


@pytest.fixture
def month(team: Team, sixteen: World, settings: Callable[..., None], tmp_path: Path) -> Path:
    """Settings of June; return the folder of this host, where nothing is to be kept."""
    url = team.bucket.url
    settings(
        PLANET_MOSAIC_DIR=f"{url}/imagery",
        MOSAIC_PATTERN="{year}/{month:02d}/*.tif",
        AOI_DEFINITION=sixteen.aoi,
        TRAINING_POLYGON_TABLE=sixteen.polygons,
        TRAINING_POLYGON_CLASS_COL="class_label",
        TRAINING_POLYGON_MONTH_COL="month",
        **of_folders(url),
        METADATA_DB=tmp_path / "rows.db",
    )
    return tmp_path / "run"


@pytest.fixture
def before_windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something after the workers were asked, and right before they are given windows."""
    map_windows = mapping.map_windows

    def put(act: Callable[[], object]) -> None:
        def acted(*arguments: object, **shared: object) -> list[object]:
            act()
            return map_windows(*arguments, **shared)

        monkeypatch.setattr(mapping, "map_windows", acted)

    return put


def codes_of(team: Team, folder: Path) -> NDArray[np.uint8]:
    """Return the map that is in the bucket, and take it away."""
    path = folder / f"{uuid4().hex}.tif"
    there = f"{team.bucket.name}/{MAP}"
    team.bucket.filesystem.get_file(there, str(path))
    team.bucket.filesystem.rm_file(there)
    with rasterio.open(path) as image:
        codes: NDArray[np.uint8] = image.read(1)
    return codes


def test_a_month_is_the_same_though_a_worker_dies_a_link_is_cut_and_the_scheduler_goes(
    team: Team, month: Path, before_windows: Callable[..., None], tmp_path: Path
):
    address, north = team.cluster.address, team.network["north"]
    team.wait_for_workers(2)

    # One dies with windows that it has begun: the other predicts them.
    def lose_north() -> None:
        team.workers["north"].send_signal(SIGSTOP)
        run_beside(lambda: team.wait_for("/piece_"), north.kill)

    before_windows(lose_north)
    monthly_pipeline(2025, 6, forest=FEW, dask_scheduler=address)
    of_south = codes_of(team, tmp_path)
    assert len(np.unique(of_south)) > 4
    assert not [path for path in month.rglob("*") if path.is_file()]

    # One is cut off when it is given its windows, and comes back.
    team.start_worker("north")
    team.wait_for_workers(2)

    def cut_off_north() -> None:
        north.cut()
        run_beside(lambda: time.sleep(CUT), north.join)

    if team.network.apart:
        before_windows(cut_off_north)
    run_predictions(2025, 6, dask_scheduler=address)
    np.testing.assert_array_equal(codes_of(team, tmp_path), of_south)

    # Without its scheduler the month ends in a sentence; the same command goes on without it.
    def lose_the_scheduler() -> None:
        for worker in team.workers.values():
            worker.send_signal(SIGSTOP)
        run_beside(team.wait_for_tasks, team.cluster.scheduler.stop)

    before_windows(lose_the_scheduler)
    with pytest.raises(LandcoverError, match="has lost its scheduler"):
        run_predictions(2025, 6, dask_scheduler=address)
    before_windows(lambda: None)
    run_predictions(2025, 6)
    np.testing.assert_array_equal(codes_of(team, tmp_path), of_south)


def run_beside(*steps: Callable[[], object]) -> None:
    """Do something step by step in a thread."""

    def run() -> None:
        for step in steps:
            step()

    Thread(target=run, daemon=True).start()
