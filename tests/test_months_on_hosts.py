"""Months on several machines: a row of them as runs of a deployment, on hosts of the tests' own."""

import contextvars
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import geopandas
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import Event
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Running
from sqlalchemy import URL, Engine, create_engine

from flows import backfill, deployed
from flows.deployed import Job, Outcome, find_deployment, run_deployed
from flows.monthly import monthly_pipeline
from landcover.model.forest import ForestSettings
from landcover.period import Period
from tasks.access.tables import check_tables
from tests.conftest import Hosts
from tests.deployments import NAME, deploy_monthly
from tests.rasters import pixel_box, write_raster
from tests.rows import query
from tests.servers.environment import of_bucket, of_database
from tests.servers.hosts import Host, Network
from tests.servers.postgis import new_database, own_server
from tests.servers.prefect import copy_repository, reporting_to
from tests.servers.swift import Bucket, new_bucket
from tests.servers.waiting import PATIENCE, tail, wait_for
from tests.test_backfill import became

pytestmark = pytest.mark.xdist_group("hosts")

SIZE = 128
MONTHS = range(1, 7)
FEW = ["--trees", "5", "--folds", "2"]
# Each month has one of its own.
LABELS = ["Teak", "Palm", "Cacao", "Coffee", "Banana", "Rice"]
Made = TypeVar("Made")

POOL = "chocoforest"
OUTPUTS = ("PREPARED_DATA_DIR", "MODEL_OUTPUT_DIR", "PREDICTION_OUTPUT_DIR")
DEPLOYMENT = ["--deployment", NAME]


@dataclass(frozen=True)
class Team:
    """Two hosts, and what they share.

    Attributes:
        network: the hosts.
        client: of the Prefect server.
        bucket: imagery and results.
        engine: to the database of polygons and rows.
        settings: of every host.
    """

    network: Network
    client: SyncPrefectClient
    bucket: Bucket
    engine: Engine
    settings: dict[str, object]

    def start_worker(self, name: str) -> Path:
        """Start a worker on a host as the documentation does; return its log."""
        host = self.network[name]
        log = host.folder / "worker.log"
        host.popen(
            ["prefect", "worker", "start", "--pool", POOL, "--limit", "1", "--name", name],
            log,
            {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PREFECT_HOME": str(host.folder / "prefect"),
                "PREFECT_API_URL": str(PREFECT_API_URL.value()),
                "PREFECT_WORKER_QUERY_SECONDS": "3",
                "DO_NOT_TRACK": "1",
            },
            self.network.same / "repository",
        )
        return log

    def runs(self) -> list[FlowRun]:
        """Return the runs of the deployment, in the order in which they were submitted."""
        return self.client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["monthly"])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )


@pytest.fixture(scope="module")
def team(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Servers that hosts reach, and hosts that have the same code and settings at one path."""
    network = hosts.network
    with ExitStack() as stack:
        postgis, _ = stack.enter_context(own_server(network.address))
        bucket = stack.enter_context(new_bucket(hosts.s3, f"team-{uuid4().hex}"))
        database = stack.enter_context(new_database(postgis, "team"))
        engine = create_engine(database)
        stack.callback(engine.dispose)
        settings = put_months(tmp_path_factory.mktemp("team"), bucket, database, engine)
        for home in network.folders:
            copy_repository(home / "repository", settings)

        client = stack.enter_context(reporting_to(hosts.prefect))
        deploy_monthly(client, POOL, network.same / "repository")
        for host in network.hosts.values():
            stack.callback(host.kill)
        yield Team(network, client, bucket, engine, settings)


def put_months(folder: Path, bucket: Bucket, database: URL, engine: Engine) -> dict[str, object]:
    """Put imagery into the bucket and polygons into the database; return settings."""
    for month in MONTHS:
        values = np.random.default_rng(month).integers(1, 300, (4, SIZE, SIZE)).astype("uint16")
        values[:, :, SIZE // 2 :] += 2000
        made = write_raster(folder / f"2025-{month:02d}.tif", values, block=64)
        bucket.filesystem.put_file(str(made), f"{bucket.name}/imagery/{made.name}")
    drawn = [
        {"class": name, "month": f"2025-{month:02d}", "geom": pixel_box(x, top, x + 16, top + 8)}
        for month, label in zip(MONTHS, LABELS, strict=True)
        for name, x in (("Forest", 8), (label, 88))
        for top in (8, 40, 72, 104)
    ]
    polygons = geopandas.GeoDataFrame(drawn, geometry="geom", crs=3857)
    polygons.to_postgis("training_polygons", engine)
    return {
        "PLANET_MOSAIC_DIR": f"{bucket.url}/imagery",
        "MOSAIC_PATTERN": "{year}-{month:02d}.tif",
        "AOI_DEFINITION": f"SRID=3857;{pixel_box(0, 0, SIZE, SIZE).wkt}",
        "TRAINING_POLYGON_TABLE": "training_polygons",
        "TRAINING_POLYGON_GEOM_COL": "geom",
        "TRAINING_POLYGON_CLASS_COL": "class",
        "TRAINING_POLYGON_MONTH_COL": "month",
        **of_database(database),
        **of_bucket(bucket.server),
        **{name: f"{bucket.url}/{name.lower()}" for name in OUTPUTS},
    }


@contextmanager
def held_up(engine: Engine) -> Iterator[None]:
    """Let whoever wants to record a model wait until the block ends."""
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE ml_models IN SHARE MODE")
        yield


@contextmanager
def beside(job: Callable[[], Made]) -> Iterator[Future[Made]]:
    """Run something in a thread, with Prefect's settings as they are here."""
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(context.run, job)


def is_at_work(team: Team, host: Host) -> UUID | None:
    """Return the run at work on a host that has given a sign of life."""
    for run in team.runs():
        pid = int((run.infrastructure_pid or ":0").rpartition(":")[2])
        if run.state_type is StateType.RUNNING and host.runs(pid):
            return run.id if deployed.last_heartbeat(team.client, run.id) else None
    return None


def test_months_on_two_hosts_are_mapped_though_one_of_them_dies(
    team: Team, settings, shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    settings(**team.settings)
    check_tables(None)
    monkeypatch.setattr(deployed, "PAUSE", 3)
    # Prefect sends no heartbeats more often than each 30 s, and this machine may be busy.
    monkeypatch.setattr(deployed, "SILENCE", 100)
    logs = [team.start_worker(name) for name in team.network.hosts]
    row = ["--from=2025-01", "--to=2025-06", "--at_once=2", "--without_record", *DEPLOYMENT, *FEW]
    with beside(lambda: backfill.main(row)) as done:
        with held_up(team.engine):
            lost, _ = (
                wait_for(f"{name} is at work", partial(is_at_work, team, host), log=log, pause=1)
                for (name, host), log in zip(team.network.hosts.items(), logs, strict=True)
            )
            team.network["north"].kill()
        # One host is left for all of them, beside other tests.
        status = done.result(PATIENCE * len(MONTHS))
    said = shown()
    assert status == 0, f"{said}\n{tail(logs[1])}"
    assert became(said) == {f"2025-0{month}": f"prediction_20250{month}.tif" for month in MONTHS}
    runs = team.runs()
    assert [run.id for run in runs if run.state_type is StateType.CRASHED] == [lost]
    assert len(runs) == len(MONTHS) + 1

    # Codes, and the months that are compared, are those of months that follow each other.
    codes = {"Forest": 0, **{name: code for code, name in enumerate(sorted(LABELS), start=7)}}
    told = query(
        team.engine,
        "SELECT m.month, m.parameters -> 'classes', p.details -> 'radiometry' ->> 'compared_with' "
        "FROM raster_predictions p JOIN ml_models m USING (model_id) ORDER BY 1",
    )
    before = [None, *(f"2025-{month:02d}" for month in MONTHS[:-1])]
    assert told == [
        (month, {name: codes[name] for name in ("Forest", label)}, compared_with)
        for month, label, compared_with in zip(MONTHS, LABELS, before, strict=True)
    ]

    # The month whose run was lost has the map that it gets here.
    (month,) = (run.parameters["month"] for run in runs if run.id == lost)
    settings(PREDICTION_OUTPUT_DIR=tmp_path)
    forest = ForestSettings(trees=5, folds=2)
    monthly_pipeline(2025, month, other_labels=tuple(LABELS), forest=forest)
    name = f"prediction_20250{month}.tif"
    theirs = f"{team.bucket.name}/prediction_output_dir/{name}"
    team.bucket.filesystem.get_file(theirs, str(tmp_path / "theirs.tif"))
    assert np.array_equal(pixels(tmp_path / name), pixels(tmp_path / "theirs.tif"))


def pixels(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as image:
        return image.read(1)


def test_a_run_without_a_sign_of_life_is_taken_for_lost(
    team: Team, monkeypatch: pytest.MonkeyPatch
):
    for name, seconds in {"PAUSE": 0.2, "HEARTBEAT": 3, "SILENCE": 4}.items():
        monkeypatch.setattr(deployed, name, seconds)
    job = Job(Period(2024, 1), {"year": 2024, "month": 1, "month_before": None})

    @flow
    def row() -> list[Outcome]:
        found = find_deployment(NAME)
        there = team.client.create_flow_run_from_deployment(
            found.id, name="dead", parameters=dict(job.parameters)
        )
        team.client.set_flow_run_state(there.id, Running(), force=True)
        beat = Event(
            event="prefect.flow-run.heartbeat",
            resource={"prefect.resource.id": f"prefect.flow-run.{there.id}"},
        )
        team.client.request("POST", "/events", json=[beat.model_dump(mode="json")])
        return list(run_deployed(found, 1, [job]))

    with beside(row) as done:
        again = wait_for("it is run again", lambda: named(team, "2024-01"))
        team.client.set_flow_run_state(again.id, Completed(), force=True)
        (outcome,) = done.result(PATIENCE)
    assert outcome.failure is None
    dead = named(team, "dead")
    assert dead
    assert dead.state_type is StateType.CRASHED
    assert "no sign of life for" in dead.state.message


def named(team: Team, name: str) -> FlowRun | None:
    return next((run for run in team.runs() if run.name == name), None)
