"""Windows over machines: what is asked of a Dask cluster, and months on it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from threading import Thread
from uuid import uuid4

import numpy as np
import pytest
import rasterio
from distributed import Client
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_KEY, temporary_settings
from prefect_aws import AwsClientParameters, AwsCredentials
from shapely import box

from demo.world import World, build_world
from flows.monthly import monthly_pipeline
from flows.run_predictions import run_predictions
from landcover.errors import LandcoverError, SettingsError
from landcover.model.forest import ForestSettings
from tasks import cluster as asking
from tasks.access.blocks import BLOCK
from tasks.access.settings import AoiSettings, ClusterSettings
from tasks.cluster import Cluster, find_cluster
from tasks.mosaic import find_mosaic
from tests.months import run_of
from tests.rasters import write_raster
from tests.servers.dask import DaskCluster, dask_cluster
from tests.servers.ports import free_port
from tests.servers.swift import Bucket
from tests.servers.waiting import PATIENCE, wait_for

# One cluster serves all tests of this file, in one of pytest's processes.
pytestmark = pytest.mark.xdist_group("dask")

ROOT = Path(__file__).parents[1]

FEW = ForestSettings(trees=5, folds=2)


def workers_of(client: Client) -> int:
    """Ask how many workers the scheduler has; the client's own answer may be an older one."""
    found: int = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.workers))
    return found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def ask(
    prefect_api: None, settings: Callable[..., None], tmp_path: Path
) -> Callable[..., Cluster | None]:
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
    def questions(address: str | None, **change: object) -> Cluster | None:
        settings(**change)
        run = run_of(2025, 6, AoiSettings, ClusterSettings)
        return find_cluster.fn(run, address, find_mosaic.fn(run, None))

    return questions


@pytest.fixture
def worker(empty: DaskCluster) -> Iterator[Callable[..., None]]:
    """Start workers of the cluster, which end with the test."""

    def start(**environment: str) -> None:
        empty.start_worker(f"w-{uuid4().hex[:8]}", **environment)
        with empty.client() as client:
            client.wait_for_workers(len(empty.workers), timeout=PATIENCE)

    yield start
    for started in empty.workers:
        started.stop()
    empty.workers.clear()
    with empty.client() as client:
        wait_for(
            "the scheduler misses them", lambda: not client.scheduler_info()["workers"] or None
        )


def test_workers_that_have_all_are_counted_with_their_memory(ask, empty, worker):
    worker(threads=2)
    found = ask(empty.address)
    assert (found.address, found.processes, found.threads) == (empty.address, 1, 2)
    assert 0 < found.memory <= 2e9
    assert ask(empty.address, DASK_SCHEDULER="tcp://elsewhere:1") == found


def test_without_a_scheduler_windows_stay_here(ask):
    assert ask(None) is None


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


def test_a_folder_that_a_worker_does_not_see_is_named(ask, empty, worker):
    worker()
    with pytest.raises(LandcoverError, match=r"does not see the files of .*elsewhere"):
        ask(empty.address, WORK_DIR="elsewhere")


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
    server = bucket.server
    with pytest.raises(SettingsError, match="from a Prefect block, and there is none"):
        ask(
            empty.address,
            WORK_DIR=f"{bucket.url}/work",
            S3_ENDPOINT_URL=server.endpoint,
            S3_REGION=server.region,
            S3_ACCESS_KEY_ID=server.key,
            S3_SECRET_ACCESS_KEY=server.secret,
        )


@pytest.mark.parametrize("address", ["dask:8786", "tls://host", "tcp://:8786", "http://host:1"])
def test_what_is_not_an_address_is_refused(address, settings):
    settings(DASK_SCHEDULER=address)
    with pytest.raises(SettingsError, match="it is not tls:// or tcp://, a host and a port"):
        run_of(2025, 6, ClusterSettings)


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A landscape of 16 quads, which are predicted in four windows."""
    folder = tmp_path_factory.mktemp("sixteen")
    return build_world(folder, size=1024, quad_size=256, seed=3)


@pytest.fixture
def month(
    sixteen: World, bucket: Bucket, settings: Callable[..., None], client: SyncPrefectClient
) -> Bucket:
    """Settings of June whose imagery and folders are in a bucket; return the bucket."""
    server = bucket.server
    put = f"{bucket.name}/imagery/2025/06"
    for quad in (sixteen.mosaic_dir / "2025" / "06").glob("*.tif"):
        bucket.filesystem.put_file(str(quad), f"{put}/{quad.name}")
    settings(
        PLANET_MOSAIC_DIR=f"{bucket.url}/imagery",
        MOSAIC_PATTERN="{year}/{month:02d}/*.tif",
        AOI_DEFINITION=sixteen.aoi,
        TRAINING_POLYGON_TABLE=sixteen.polygons,
        TRAINING_POLYGON_CLASS_COL="class_label",
        TRAINING_POLYGON_MONTH_COL="month",
        PREPARED_DATA_DIR=f"{bucket.url}/prepared",
        MODEL_OUTPUT_DIR=f"{bucket.url}/models",
        PREDICTION_OUTPUT_DIR=f"{bucket.url}/predictions",
        WORK_DIR=f"{bucket.url}/work",
    )
    AwsCredentials(
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name=server.region,
        aws_client_parameters=AwsClientParameters(endpoint_url=server.endpoint),
    ).save(BLOCK)
    return bucket


def codes_of(bucket: Bucket, tmp_path: Path) -> np.ndarray:
    """Return the map that is in the bucket."""
    path = tmp_path / f"{uuid4().hex}.tif"
    bucket.filesystem.get_file(f"{bucket.name}/predictions/prediction_202506.tif", str(path))
    with rasterio.open(path) as image:
        return image.read(1)


def pieces_in(bucket: Bucket) -> list[str]:
    return [name for name in bucket.filesystem.find(bucket.name) if "/piece_" in name]


def test_a_month_on_a_cluster_is_the_month_of_this_machine_though_a_worker_dies(
    month, in_database, empty, worker, tmp_path
):
    worker()
    worker()
    doomed = empty.workers[0]
    model = f"{month.name}/models/rf_model_202506.joblib"

    def kill() -> None:
        # It is stopped while it may have windows, and dies when others are done.
        wait_for("a model", lambda: month.filesystem.exists(model) or None)
        doomed.process.send_signal(Signals.SIGSTOP)
        wait_for("the other's pieces", lambda: pieces_in(month) or None)
        doomed.process.kill()

    killing = Thread(target=kill, daemon=True)
    killing.start()
    monthly_pipeline(2025, 6, forest=FEW, dask_scheduler=empty.address)
    killing.join()
    found = codes_of(month, tmp_path)
    assert len(np.unique(found)) > 4
    assert not any((tmp_path / "run").rglob("*.tif"))

    run_predictions(2025, 6)
    np.testing.assert_array_equal(codes_of(month, tmp_path), found)


def test_a_scheduler_that_goes_away_is_one_sentence_and_nothing_is_lost(
    month, in_database, tmp_path
):
    with dask_cluster(tmp_path / "dask") as cluster:
        cluster.start_worker("only")

        def kill() -> None:
            wait_for("a piece", lambda: pieces_in(month) or None, pause=0.01)
            cluster.scheduler.process.kill()

        killing = Thread(target=kill, daemon=True)
        killing.start()
        with pytest.raises(LandcoverError, match="has lost its scheduler"):
            monthly_pipeline(2025, 6, forest=FEW, dask_scheduler=cluster.address)
        killing.join()
    made = set(pieces_in(month))
    assert made
    run_predictions(2025, 6)
    assert codes_of(month, tmp_path).any()
