"""Months as runs of a deployment, where the tests do what workers would."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from flows import deployed
from flows.deployed import Job, Outcome, find_deployment, run_deployed, warn_of_own_disk
from landcover.errors import LandcoverError, SettingsError
from landcover.period import Period
from tests.deployments import NAME, deploy_monthly
from tests.months import run_of
from tests.servers.waiting import wait_for


@pytest.fixture
def deployment(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[UUID]:
    """The deployment, in a work pool without workers, whose runs are looked at often."""
    monkeypatch.setattr(deployed, "PAUSE", 0.05)
    pool = f"pool-{uuid4().hex}"
    made = deploy_monthly(client, pool, Path())
    yield made
    client.delete_deployment(made)
    client.delete_work_pool(pool)


def jobs(*months: int, trees: int = 5) -> Iterator[Job]:
    for month in months:
        own = {"year": 2025, "month": month, "month_before": None, "forest": {"trees": trees}}
        yield Job(Period(2025, month), own)


def map_months(wanted: Iterable[Job], at_once: int = 2) -> list[Outcome]:
    # Prefect would look into a parameter.
    @flow
    def row() -> list[Outcome]:
        return list(run_deployed(find_deployment(NAME), at_once, wanted))

    return row()


def runs_of(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """Return the deployment's runs in the order in which they were submitted."""
    which = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    return client.read_flow_runs(deployment_filter=which, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


@contextmanager
def working(
    client: SyncPrefectClient, deployment: UUID, end: Callable[[FlowRun], State | None]
) -> Iterator[list[int]]:
    """End one run after the other beside the block, as a worker would.

    Args:
        client: of the server.
        deployment: whose runs.
        end: returns the state that a run ends in; None where it is left as it is.

    Yields:
        How many runs were there that had not ended, whenever one was ended.
    """
    over, there = Event(), list[int]()

    def work() -> None:
        while not over.wait(0.02):
            left = [run for run in runs_of(client, deployment) if not run.state.is_final()]
            if not left:
                continue
            there.append(len(left))
            if state := end(left[0]):
                client.set_flow_run_state(left[0].id, state, force=True)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        over.set()
        thread.join()


def test_so_many_months_are_submitted_at_once_and_each_is_told_as_it_ends(client, deployment):
    with working(client, deployment, lambda run: Completed()) as there:
        outcomes = map_months(jobs(1, 2, 3, 4, 5), at_once=2)
    assert sorted(outcome.period.month for outcome in outcomes) == [1, 2, 3, 4, 5]
    assert all(outcome.failure is None for outcome in outcomes)
    assert max(there) <= 2
    runs = runs_of(client, deployment)
    assert [run.name for run in runs] == [f"2025-0{month}" for month in range(1, 6)]
    assert all(run.parent_task_run_id for run in runs)
    assert {run.job_variables["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] for run in runs} == {"30"}


def test_after_one_that_failed_no_more_are_submitted_and_those_at_work_are_awaited(
    client, deployment
):
    outcomes: list[Outcome] = []

    def until_one_fails() -> Iterator[Job]:
        for job in jobs(1, 2, 3, 4):
            if any(outcome.failure for outcome in outcomes):
                return
            yield job

    @flow
    def row() -> None:
        for outcome in run_deployed(find_deployment(NAME), 2, until_one_fails()):
            outcomes.append(outcome)  # noqa: PERF402

    def end(run: FlowRun) -> State | None:
        if run.name == "2025-01":
            return Failed()
        # Not before its failure was heard of.
        return Completed() if outcomes else None

    with working(client, deployment, end):
        row()
    assert [outcome.period.month for outcome in outcomes] == [1, 2]
    assert [run.name for run in runs_of(client, deployment)] == ["2025-01", "2025-02"]


RAISED = "Flow run encountered an exception: "


@pytest.mark.parametrize(
    ("state", "kind", "told"),
    [
        (
            Failed(message=f"{RAISED}LandcoverError: No quads in s3://a: b."),
            LandcoverError,
            "No quads in s3://a: b.",
        ),
        (
            Failed(message=f"{RAISED}SettingsError: DB_HOST\nis wrong."),
            SettingsError,
            "DB_HOST\nis wrong.",
        ),
        (Failed(message=f"{RAISED}KeyError: 'a'"), LandcoverError, "was not foreseen"),
        (Failed(message="Something else"), LandcoverError, "Something else"),
        (Cancelled(), LandcoverError, "was cancelled"),
    ],
)
def test_a_months_failure_is_told_in_its_own_sentence(client, deployment, state, kind, told):
    with working(client, deployment, lambda run: state):
        (outcome,) = map_months(jobs(1))
    assert type(outcome.failure) is kind
    assert told in str(outcome.failure)
    assert RAISED not in str(outcome.failure)


def test_a_month_whose_run_was_lost_is_run_again_but_not_for_ever(client, deployment, caplog):
    lost = Crashed(message="exit code -9")

    def end(run: FlowRun) -> State:
        client.update_flow_run(run.id, infrastructure_pid="north:17")
        runs = runs_of(client, deployment)
        return Completed() if run.name == "2025-01" and len(runs) == 2 else lost

    with working(client, deployment, end):
        (first,) = map_months(jobs(1))
        (second,) = map_months(jobs(2))
    assert first.failure is None
    told = "2025-01: its run was lost on north (exit code -9), so it is run again: 1 of at most 2"
    assert told in caplog.text
    assert "lost 3 times, the last on north (exit code -9)" in str(second.failure)
    assert len(runs_of(client, deployment)) == 2 + 3


def test_runs_that_are_there_are_awaited_and_not_submitted_again(client, deployment):
    given = {"parameters": dict(next(jobs(1)).parameters)}
    there = client.create_flow_run_from_deployment(deployment, **given).id
    client.set_flow_run_state(there, Running(), force=True)
    ended = client.create_flow_run_from_deployment(deployment, **given).id
    client.set_flow_run_state(ended, Failed(), force=True)

    def end(run: FlowRun) -> State:
        # Not before the last of them is submitted.
        wait_for("it is", lambda: len(runs_of(client, deployment)) >= total or None)
        return Completed()

    total = 3
    with working(client, deployment, end):
        assert len(map_months(jobs(1, 2))) == 2
    assert len(runs_of(client, deployment)) == total

    # With other options it is another map.
    client.set_flow_run_state(there, Running(), force=True)
    total = 4
    with working(client, deployment, end):
        assert len(map_months(jobs(1, trees=6))) == 1
    assert len(runs_of(client, deployment)) == total


def test_a_run_that_was_deleted_is_told(client, deployment):
    def end(run: FlowRun) -> None:
        client.delete_flow_run(run.id)

    with working(client, deployment, end):
        (outcome,) = map_months(jobs(1))
    assert "deleted" in str(outcome.failure)


@flow
def look_for(name: str) -> None:
    find_deployment(name)


def test_without_a_worker_that_is_said_with_what_to_do(client, deployment, caplog):
    look_for(NAME)
    pool = client.read_deployment(deployment).work_pool_name
    told = f"The work pool {pool} has no worker online: the months wait until one is started"
    assert told in caplog.text
    caplog.clear()
    client.send_worker_heartbeat(pool, "north")
    look_for(NAME)
    assert told not in caplog.text


def test_a_deployment_that_is_not_there_is_told_with_those_that_are(client, deployment):
    with pytest.raises(SettingsError, match=rf"no deployment elsewhere/monthly .*is {NAME}\)"):
        look_for("elsewhere/monthly")


@pytest.mark.usefixtures("client")
def test_a_server_without_deployments_is_told_with_what_to_do():
    with pytest.raises(
        SettingsError, match=r"there is none\): .* prefect --no-prompt deploy --all"
    ):
        look_for(NAME)


def test_a_deployment_of_an_earlier_version_is_told(client, deployment):
    made = client.read_deployment(deployment)
    schema = made.parameter_openapi_schema
    del schema["properties"]["month_before"]
    client.create_deployment(
        made.flow_id, "monthly", parameter_openapi_schema=schema, work_pool_name=made.work_pool_name
    )
    with pytest.raises(SettingsError, match="another version, which takes no month_before"):
        look_for(NAME)


def test_without_a_server_there_is_nothing_to_submit_to():
    with (
        temporary_settings({PREFECT_API_URL: None}),
        pytest.raises(SettingsError, match="is named"),
    ):
        find_deployment(NAME)


def test_what_hosts_may_not_see_of_each_other_is_told(deployment, settings, caplog, tmp_path):
    settings(PREDICTION_OUTPUT_DIR="s3://maps", PLANET_MOSAIC_DIR=tmp_path, METADATA_DB="a.db")

    @flow
    def look() -> None:
        warn_of_own_disk(run_of())

    look()
    told = "PREPARED_DATA_DIR, MODEL_OUTPUT_DIR, PLANET_MOSAIC_DIR, METADATA_DB: on a disk, which"
    assert told in caplog.text
