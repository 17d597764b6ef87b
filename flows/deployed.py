"""Months as runs of a deployment: on whichever hosts have a worker of its work pool."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments import run_deployment
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.logging import get_run_logger
from prefect.runtime import flow_run as this_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

from flows.monthly import monthly_pipeline
from landcover import errors
from landcover.errors import LandcoverError, SettingsError
from landcover.files import is_local
from landcover.period import Period
from tasks.access.database import access
from tasks.access.settings import FolderSettings, MosaicSettings
from tasks.run import Run

# Seconds between two looks at the runs.
PAUSE = 5.0

# A run whose host has died stays what it was in Prefect: it is known by its silence. The least
# seconds that Prefect takes between two signs of life.
HEARTBEAT = 30

# After so many seconds it is taken for dead. The database has ended the lock of its month by then,
# even where the host was cut off and a pool is between them (see `tasks.access.lock.SILENCE`).
SILENCE = 360

# So many may pass until a worker that has taken a run has started its process.
STARTING = 600

# How often a month is run again whose run was lost.
MOST_CRASHES = 2

_THERE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]

# How Prefect begins what it says of a flow that has raised an exception, which it does not keep.
_RAISED = "Flow run encountered an exception: "


class Job(NamedTuple):
    """A month to be run."""

    period: Period
    """The month."""
    parameters: Mapping[str, Any]
    """Those of the flow."""


class Outcome(NamedTuple):
    """What became of a month."""

    period: Period
    """The month."""
    failure: LandcoverError | None
    """Why it has failed; None if it has not."""
    seconds: float
    """How long its run took."""


@dataclass
class _Flight:
    """A month whose run is awaited."""

    job: Job
    run: FlowRun
    crashes: int = 0
    """How many runs of the month were lost before."""
    state: StateType | None = None
    """The state in which it was seen last."""
    beat: UUID | None = None
    """The last sign of life."""
    heard: float = field(default_factory=time.monotonic)
    """When it came, by the clock of this process: those of hosts may differ."""
    looked: float = field(default_factory=time.monotonic)
    """When it was looked for last."""


def find_deployment(name: str) -> DeploymentResponse:
    """Return the deployment that is to run months; warn where no worker would.

    Args:
        name: such as monthly-pipeline/monthly.

    Raises:
        SettingsError: if no server is named, if it has no such deployment of the flow, or one of
            an earlier version.
    """
    if not PREFECT_API_URL.value():
        raise SettingsError(
            f"The months are to be run by the deployment {name}, but no Prefect server is named: "
            "set PREFECT_API_URL to the one that has it, such as http://localhost:4200/api."
        )
    with get_client(sync_client=True) as client:
        of_flow = FlowFilter(name=FlowFilterName(any_=[monthly_pipeline.name]))
        found = {
            f"{monthly_pipeline.name}/{deployment.name}": deployment
            for deployment in client.read_deployments(flow_filter=of_flow)
        }
        if name not in found:
            there = f"there is {', '.join(sorted(found))}" if found else "there is none"
            raise SettingsError(
                f"The Prefect server has no deployment {name} that runs a month ({there}): name "
                "one that it has, or set it up with prefect --no-prompt deploy --all."
            )
        deployment = found[name]
        _check_parameters(name, deployment)
        _warn_without_workers(client, deployment)
    return deployment


def warn_of_own_disk(run: Run) -> None:
    """Warn of results that the hosts may not see of each other.

    Args:
        run: of one of the months; those on the hosts have the same settings.
    """
    places = {
        name: folder for name, folder in run.settings[FolderSettings] if name != "work_dir"
    } | {"planet_mosaic_dir": run.settings[MosaicSettings].planet_mosaic_dir}
    own = [name.upper() for name, folder in places.items() if folder and is_local(folder)]
    url, _ = access(run.blocks.database_block, reading=True)
    if url.get_backend_name() == "sqlite":
        own.append("METADATA_DB")
    if own:
        get_run_logger().warning(
            "%s: on a disk, which all hosts of the deployment must share; otherwise set them to a "
            "bucket, and DB_HOST to a server.",
            ", ".join(own),
        )


def run_deployed(
    deployment: DeploymentResponse, at_once: int, jobs: Iterable[Job]
) -> Iterator[Outcome]:
    """Run months on a deployment's work pool, and yield what becomes of each as it ends.

    A run that an earlier call has left, and that has not ended, is awaited in place of another.

    Args:
        deployment: see `find_deployment`.
        at_once: how many runs are scheduled or at work at a time.
        jobs: the months. The next is asked for only when there is room for it, so who reads the
            outcomes can end the rest.
    """
    left = iter(jobs)
    flights: list[_Flight] = []
    with get_client(sync_client=True) as client:
        there = _runs_there(client, deployment)
        while True:
            new = islice(left, at_once - len(flights))
            flights += [_take_up(job, there) or _submit(deployment, job) for job in new]
            if not flights:
                return
            time.sleep(PAUSE)
            runs = _read_runs(client, flights)
            awaited, flights = flights, []
            for flight in awaited:
                found = _look_at(client, deployment, flight, runs.get(flight.run.id))
                if isinstance(found, Outcome):
                    yield found
                else:
                    flights.append(found)


def _check_parameters(name: str, deployment: DeploymentResponse) -> None:
    """Make sure that the deployment takes what it will be given."""
    taken = (deployment.parameter_openapi_schema or {}).get("properties", {})
    unknown = monthly_pipeline.parameters.properties.keys() - taken.keys()
    if unknown:
        raise SettingsError(
            f"The deployment {name} is of another version, which takes no "
            f"{', '.join(sorted(unknown))}: bring the code of all hosts to this version, then "
            "give prefect --no-prompt deploy --all."
        )


def _warn_without_workers(client: SyncPrefectClient, deployment: DeploymentResponse) -> None:
    """Warn where nobody is there to run months."""
    name = deployment.work_pool_name
    if name is None:
        return
    pool = client.read_work_pool(name)
    if pool.is_push_pool or pool.is_managed_pool:
        return
    workers = client.read_workers_for_work_pool(name)
    online = sum(worker.status is WorkerStatus.ONLINE for worker in workers)
    # A run of the same pool keeps one of them busy itself.
    busy = this_run.id is not None and client.read_flow_run(this_run.id).work_pool_name == name
    if online <= busy:
        get_run_logger().warning(
            "The work pool %s has no worker online%s: the months wait until one is started, with "
            "prefect worker start --pool %s --limit 1.",
            name,
            " beside the one that runs this" if busy else "",
            name,
        )


def _runs_there(client: SyncPrefectClient, deployment: DeploymentResponse) -> list[FlowRun]:
    """Return the deployment's runs that have not ended."""
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_THERE))
        ),
    )


def _read_runs(client: SyncPrefectClient, flights: Iterable[_Flight]) -> dict[UUID, FlowRun]:
    ids = FlowRunFilterId(any_=[flight.run.id for flight in flights])
    return {run.id: run for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids))}


def _take_up(job: Job, there: Iterable[FlowRun]) -> _Flight | None:
    """Return a run of the month that is there already; None if there is none."""
    wanted = _what_counts(monthly_pipeline.serialize_parameters(dict(job.parameters)))
    for run in there:
        if _what_counts(run.parameters) == wanted:
            get_run_logger().info("%s: its run %s is there already", job.period, run.id)
            return _Flight(job, run)
    return None


def _what_counts(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what depends on which months were left to be mapped, and makes no other map."""
    return {name: value for name, value in parameters.items() if name != "month_before"}


def _submit(deployment: DeploymentResponse, job: Job, crashes: int = 0) -> _Flight:
    run = run_deployment(
        deployment.id,
        parameters=monthly_pipeline.serialize_parameters(dict(job.parameters)),
        flow_run_name=str(job.period),
        timeout=0,
        # So that a request whose answer was lost does not make two.
        idempotency_key=str(uuid4()),
        job_variables={"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT)}},
    )
    assert isinstance(run, FlowRun)
    get_run_logger().info("%s: submitted as run %s", job.period, run.id)
    return _Flight(job, run, crashes)


def _look_at(
    client: SyncPrefectClient,
    deployment: DeploymentResponse,
    flight: _Flight,
    run: FlowRun | None,
) -> Outcome | _Flight:
    """Return what became of a month, or what is awaited of it from now on."""
    period, crashes = flight.job.period, flight.crashes + 1
    if run is None or run.state is None:
        return Outcome(period, LandcoverError("Its run was deleted in Prefect."), 0)
    if not run.state.is_final():
        if _is_silent(client, flight, run):
            message = f"no sign of life for {time.monotonic() - flight.heard:.0f} seconds"
            # Refused where it has ended meanwhile.
            client.set_flow_run_state(run.id, Crashed(message=message))
        return flight
    if run.state.is_crashed() and crashes <= MOST_CRASHES:
        get_run_logger().warning(
            "%s: its run was lost%s (%s), so it is run again: %d of at most %d times.",
            *(period, _on_host(run), run.state.message, crashes, MOST_CRASHES),
        )
        _warn_without_workers(client, deployment)
        return _submit(deployment, flight.job, crashes)
    return Outcome(period, _failure_of(run), run.total_run_time.total_seconds())


def _is_silent(client: SyncPrefectClient, flight: _Flight, run: FlowRun) -> bool:
    """Tell whether a run has given no sign of life for so long that its host must have died."""
    assert run.state
    now = time.monotonic()
    if now - flight.looked > HEARTBEAT:
        # Nobody has listened: the server was away, or this process stood still.
        flight.heard = now
    flight.looked = now
    # One sign of life a heartbeat is enough.
    if run.state.type is not flight.state or now - flight.heard >= HEARTBEAT:
        beat = last_heartbeat(client, run.id)
        if (run.state.type, beat) != (flight.state, flight.beat):
            flight.state, flight.beat, flight.heard = run.state.type, beat, now
    silent = now - flight.heard
    if run.state.is_pending():
        return silent > STARTING
    if not (run.state.is_running() or run.state.is_cancelling()) or silent <= SILENCE:
        return False
    if flight.beat is None:
        # As behind a proxy without WebSockets. Silence then says nothing.
        get_run_logger().warning(
            "%s: Prefect gets no heartbeat of its run %s: cancel that if its host has died.",
            *(flight.job.period, run.id),
        )
        flight.heard = now
        return False
    return True


def last_heartbeat(client: SyncPrefectClient, run: UUID) -> UUID | None:
    """Return the newest sign of life that a run has sent; None if there is none.

    Args:
        client: of the Prefect server.
        run: which.
    """
    heartbeats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
    )
    newest = client.read_events(heartbeats, limit=1).events
    return newest[0].id if newest else None


def _failure_of(run: FlowRun) -> LandcoverError | None:
    """Return why a run that has ended has failed; None if it has not."""
    assert run.state
    said = (run.state.message or str(run.state.name)).removeprefix(_RAISED)
    if run.state.is_completed():
        return None
    if run.state.is_cancelled():
        return LandcoverError(f"Its run was cancelled in Prefect ({said}).")
    if run.state.is_crashed():
        return LandcoverError(
            f"Its runs were lost {MOST_CRASHES + 1} times, the last{_on_host(run)} ({said}): look "
            "there for what ended it, such as too little memory."
        )
    name, _, sentence = said.partition(": ")
    kind = getattr(errors, name, None)
    if kind:
        failure: LandcoverError = kind(sentence)
        return failure
    return LandcoverError(
        f"Its run failed{_on_host(run)} of what was not foreseen ({said}): its log in Prefect says "
        "more."
    )


def _on_host(run: FlowRun) -> str:
    """Say where a run was, as far as it is known: workers note host and process."""
    host, found, _ = (run.infrastructure_pid or "").rpartition(":")
    return f" on {host}" if found else ""
