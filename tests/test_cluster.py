"""What is asked of a Dask cluster before it predicts windows."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from threading import Thread
from typing import Any

import numpy as np
import pytest
from distributed import Client
from prefect import flow, task
from prefect.settings import PREFECT_API_KEY, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect_aws import AwsCredentials
from rasterio.windows import Window
from shapely import box
from upath import UPath

from flows import parallel
from flows.parallel import map_windows, split_into_batches
from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.grid import Grid
from landcover.maps.pieces import Plan
from tasks import cluster as asking
from tasks.access.blocks import BLOCK, load_block, server_away
from tasks.access.settings import AoiSettings, ClusterSettings
from tasks.cluster import Cluster, find_cluster, this_process
from tasks.mosaic import find_mosaic
from tasks.retries import io_task
from tasks.windows import predict_windows, sieve_windows
from tests.months import run_of
from tests.rasters import ORIGIN, write_raster
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


def older(folder: Path, library: str) -> str:
    """Return a PYTHONPATH on which a library is of the version 1.0.0."""
    described = folder / library / f"{library}-1.0.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 1.0.0\n")
    return f"{described.parent}:{ROOT}"


def without_package(folder: Path) -> str:
    """Return a PYTHONPATH on which another package has the name of one of ours."""
    other = folder / "other/tasks"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    return str(other.parent)


def test_a_worker_with_another_library_is_named(ask, empty, worker, tmp_path):
    worker(PYTHONPATH=older(tmp_path, "pandas"))
    with pytest.raises(
        LandcoverError, match=r"worker .* has pandas 1\.0\.0 where this machine has"
    ):
        ask(empty.address)


def test_a_worker_without_memory_for_windows_is_named(ask, empty, worker, monkeypatch):
    monkeypatch.setattr(asking, "LEAST_MEMORY", 1e12)
    worker()
    what = r"has [1-9]\d* MB left for windows, which take 1000000 MB and more"
    with pytest.raises(LandcoverError, match=what):
        ask(empty.address)


def test_a_worker_that_ends_while_it_is_asked_is_a_failure_that_may_heal(
    ask, empty, worker, monkeypatch
):
    def end(dask_worker: Any) -> None:
        os.kill(os.getpid(), SIGKILL)

    monkeypatch.setattr(asking, "describe_worker", end)
    worker()
    with pytest.raises(TransientError, match="cannot be reached by its scheduler"):
        ask(empty.address)


def test_a_worker_without_this_package_is_named(ask, empty, worker, tmp_path):
    worker(PYTHONPATH=without_package(tmp_path))
    with pytest.raises(LandcoverError, match="does not have this package, or another version"):
        ask(empty.address)


def test_a_scheduler_with_another_library_is_named(ask, tmp_path):
    with dask_cluster(tmp_path / "dask", PYTHONPATH=older(tmp_path, "pandas")) as cluster:
        what = rf"The Dask scheduler {cluster.address} on .* has pandas 1\.0\.0 where"
        with pytest.raises(LandcoverError, match=what):
            ask(cluster.address)


def test_a_scheduler_without_this_package_is_named(ask, tmp_path):
    with dask_cluster(tmp_path / "dask", PYTHONPATH=without_package(tmp_path)) as cluster:
        what = f"The Dask scheduler {cluster.address} does not have this package, or another"
        with pytest.raises(LandcoverError, match=what):
            ask(cluster.address)


def test_a_worker_that_comes_later_with_other_code_is_refused():
    plan = Plan(
        UPath("work"), Grid("EPSG:3857", ORIGIN, 16, 16), (), (), (), None, code="1.0+older"
    )
    for task_of_windows, others in {
        predict_windows: {"mosaic": None, "model": None},
        sieve_windows: {"smallest": 2},
    }.items():
        what = r"in another version .* than where the run was started \(1\.0\+older\)"
        with pytest.raises(LandcoverError, match=what):
            task_of_windows.fn((Window(0, 0, 1, 1),), run=None, plan=plan, **others)


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


@io_task("ask for block")
def ask_for_block(windows: tuple[Window, ...], asked: Path) -> list[str | None]:
    with asked.open("a") as noted:
        noted.write("asked\n")
    block = load_block(AwsCredentials, BLOCK)
    return [block and block.aws_access_key_id for _ in windows]


def test_a_worker_that_begins_while_the_prefect_server_is_away_waits_for_it(
    client, prefect_proxy, empty, worker, monkeypatch, tmp_path
):
    AwsCredentials(aws_access_key_id="of the block").save(BLOCK)
    worker()
    asked = tmp_path / "asked"
    asked.touch()
    asking_soon = ask_for_block.with_options(retry_delay_seconds=[0.1, 0.2, 4, 8, 16])
    cluster = Cluster(empty.address, processes=1, threads=1, memory=1e9)

    @flow
    def asks() -> list[str | None]:
        return map_windows(
            asking_soon, [Window(0, 0, 1, 1)], "Asking", "asking", cluster, asked=asked
        )

    def leave(*arguments: Any) -> list[tuple[Window, ...]]:
        prefect_proxy.go_away()
        Thread(target=come_back, daemon=True).start()
        return split_into_batches(*arguments)

    def come_back() -> None:
        wait_for("the second try", lambda: len(asked.read_text().split()) > 1 or None)
        prefect_proxy.come_back()

    monkeypatch.setattr(parallel, "split_into_batches", leave)
    # So that nobody waits but the task.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        assert asks() == ["of the block"]


def test_a_server_that_is_away_is_no_fault_of_a_worker(
    ask, prefect_proxy, empty, worker, monkeypatch
):
    worker()

    def leave(*_: object, **__: object) -> None:
        prefect_proxy.go_away()

    def come_back(error: Exception) -> TransientError:
        prefect_proxy.come_back()
        return server_away(error)

    # Right before the workers are asked, and when it is found to be away.
    monkeypatch.setattr(Client, "wait_for_workers", leave)
    monkeypatch.setattr(asking, "server_away", come_back)
    with pytest.raises(TransientError, match="which this run needs to go on, cannot be reached"):
        ask(empty.address)
