"""What is asked of a Dask cluster before it predicts windows."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest
from distributed import Client
from prefect import flow, task
from prefect.settings import PREFECT_API_KEY, temporary_settings
from rasterio.windows import Window
from shapely import box

from flows.parallel import map_windows
from landcover.errors import LandcoverError, SettingsError
from tasks import cluster as asking
from tasks.access.settings import AoiSettings, ClusterSettings
from tasks.cluster import Cluster, find_cluster, this_process
from tasks.mosaic import find_mosaic
from tests.months import run_of
from tests.rasters import write_raster
from tests.servers.dask import DaskCluster, dask_cluster
from tests.servers.environment import of_bucket
from tests.servers.ports import free_port
from tests.servers.waiting import PATIENCE, wait_for

# One cluster serves all tests of this file, in one of pytest's processes.
pytestmark = pytest.mark.xdist_group("dask")

ROOT = Path(__file__).parents[1]


def workers_of(client: Client) -> int:
    """Ask how many workers the scheduler has; the client's own answer may be an older one."""
    found: int = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.workers))
    return found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    # Without it, three workers have to fall.
    at_once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with dask_cluster(tmp_path_factory.mktemp("dask"), **at_once) as cluster:
        yield cluster


@pytest.fixture
def ask(prefect_api: None, settings: Callable[..., None], tmp_path: Path) -> Callable[..., Cluster]:
    """Ask a cluster for what windows of a small mosaic on this disk need."""
    quad = write_raster(tmp_path / "mosaic.tif", np.ones((4, 16, 16), np.uint16))
    area = f"SRID=3857;{box(-8827999, 33930, -8827930, 33999).wkt}"
    settings(
        PLANET_MOSAIC_DIR=quad.parent,
        MOSAIC_PATTERN=quad.name,
        WORK_DIR=tmp_path / "work",
        MODEL_OUTPUT_DIR=tmp_path / "models",
        AOI_DEFINITION=area,
    )
    for name in ("work", "models"):
        (tmp_path / name).mkdir()

    @flow
    def questions(address: str | None, **change: object) -> Cluster:
        settings(**change)
        run = run_of(2025, 6, AoiSettings, ClusterSettings)
        return find_cluster.fn(run, address, find_mosaic.fn(run, None))

    return questions


@pytest.fixture
def worker(empty: DaskCluster) -> Iterator[Callable[..., None]]:
    """Start workers of the cluster, which end with the test."""

    def start(threads: int = 1, **environment: str) -> None:
        empty.start_worker(threads, **environment)
        with empty.client() as client:
            client.wait_for_workers(len(empty.workers), timeout=PATIENCE)

    yield start
    for started in empty.workers:
        started.kill()
        started.wait()
    empty.workers.clear()
    with empty.client() as client:
        wait_for(
            "the scheduler misses them", lambda: not client.scheduler_info()["workers"] or None
        )


def test_workers_that_have_all_are_counted_and_what_one_does_not_see_is_named(ask, empty, worker):
    worker(threads=2)
    found = ask(empty.address)
    assert (found.address, found.processes, found.threads) == (empty.address, 1, 2)
    assert 0 < found.memory <= 2e9
    assert ask(empty.address, DASK_SCHEDULER="tcp://elsewhere:1") == found
    with pytest.raises(LandcoverError, match=r"does not see the files of .*elsewhere"):
        ask(empty.address, WORK_DIR="elsewhere")


def test_without_a_scheduler_windows_stay_here(ask):
    assert ask(None) == this_process()


def test_a_scheduler_that_is_not_there_is_named(ask, empty, monkeypatch):
    monkeypatch.setattr(asking, "CONNECTING", 1)
    address = f"tls://127.0.0.1:{free_port()}"
    with pytest.raises(LandcoverError, match=f"No Dask scheduler lets .* at {address}"):
        ask(address)
    with pytest.raises(LandcoverError, match=r"No Dask scheduler lets .* at tcp://"):
        ask(empty.address.replace("tls", "tcp"))


def test_a_scheduler_without_workers_is_told(ask, empty, monkeypatch):
    monkeypatch.setattr(asking, "WAITING", 0.2)
    with pytest.raises(LandcoverError, match="has had no worker for"):
        ask(empty.address)


def test_a_worker_with_another_library_is_named(ask, empty, worker, tmp_path):
    described = tmp_path / "older/pandas-2.2.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 2.2.0\n")
    worker(PYTHONPATH=f"{described.parent}:{ROOT}")
    with pytest.raises(LandcoverError, match=r"has pandas 2\.2\.0 where this machine has"):
        ask(empty.address)


def test_a_worker_without_this_package_is_named(ask, empty, worker, tmp_path):
    other = tmp_path / "other/tasks"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    worker(PYTHONPATH=str(other.parent))
    with pytest.raises(LandcoverError, match="does not have this package, or another version"):
        ask(empty.address)


def test_a_key_does_not_travel_in_clear_unless_told_so(ask, empty, monkeypatch):
    monkeypatch.setattr(asking, "CONNECTING", 1)
    plain = empty.address.replace("tls", "tcp")
    with temporary_settings({PREFECT_API_KEY: "secret"}):
        with pytest.raises(SettingsError, match="PREFECT_API_KEY would travel in clear") as refused:
            ask(plain)
        assert "secret" not in str(refused.value)
        with pytest.raises(LandcoverError, match="No Dask scheduler lets this machine in"):
            ask(plain, DASK_KEY_IN_CLEAR="true")


def test_credentials_that_are_in_no_block_are_missed_at_the_start(ask, empty, bucket):
    with pytest.raises(SettingsError, match="from a Prefect block, and there is none"):
        ask(empty.address, WORK_DIR=f"{bucket.url}/work", **of_bucket(bucket.server))


@pytest.mark.parametrize("address", ["dask:8786", "tls://host", "tcp://:8786", "http://host:1"])
def test_what_is_not_an_address_is_refused(address, settings):
    settings(DASK_SCHEDULER=address)
    with pytest.raises(SettingsError, match="it is not tls:// or tcp://, a host and a port"):
        run_of(2025, 6, ClusterSettings)


@task
def fall(windows: tuple[Window, ...]) -> None:
    os.kill(os.getpid(), SIGKILL)


def test_windows_that_end_their_workers_end_the_run_in_a_sentence(prefect_api, empty, worker):
    worker()

    @flow
    def falling() -> None:
        map_windows(fall, [Window(0, 0, 1, 1)], "Falling", "falling", cluster)

    cluster = Cluster(empty.address, processes=1, threads=1, memory=1e9)
    with pytest.raises(LandcoverError, match="has lost too many workers"):
        falling()
