"""The Dask cluster that predicts windows, where one is named: asked, before the first window, for
all that a window needs there.
"""

import platform
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import get_client
from prefect.context import hydrated_context, serialize_context
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from landcover.addresses import without_login
from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import check_writable, is_local
from landcover.imagery.mosaic import Mosaic
from landcover.machine import cores
from landcover.version import code_version, library_versions
from landcover.windows import memory_for_run, split
from tasks.access.blocks import load_block, server_away
from tasks.access.process import configure
from tasks.access.settings import ClusterSettings
from tasks.retries import io_task
from tasks.run import Run

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Worker as DaskWorker

CONNECTING = 10  # seconds
WAITING = 30  # seconds, for the first worker

LEAST_MEMORY = 250e6  # bytes, for windows and what they share

# What both sides must have in common to send each other tasks, beside what can change a map.
ENGINES = ("prefect", "prefect-dask", "dask", "distributed", "cloudpickle", "pandas", "geopandas")

# Who does not answer at once is told, or asked again by a retry.
ONCE = {PREFECT_CLIENT_MAX_RETRIES: 0}

INSTALL = "pip install -r requirements-dask.txt"


@dataclass(frozen=True)
class Cluster:
    """What predicts windows: a Dask cluster whose workers have what it takes, or this process."""

    address: str | None
    """Of its scheduler; None where it is this process alone."""
    processes: int
    """How many workers it had when it was asked."""
    threads: int
    """How many windows one of them predicts side by side."""
    memory: float
    """How many bytes predicting may take in one of them."""

    @property
    def at_once(self) -> int:
        """How many windows all of them predict side by side."""
        return self.processes * self.threads


def this_process() -> Cluster:
    """Return what predicts windows where no cluster does."""
    return Cluster(None, 1, cores(), memory_for_run())


@dataclass(frozen=True)
class Worker:
    """What a worker tells of itself."""

    host: str
    """The name of its machine."""
    versions: Mapping[str, str]
    """Of Python, of this package, and of the libraries."""
    threads: int
    """How many tasks it runs side by side."""
    memory: float
    """How many bytes predicting may take there."""


@io_task("find cluster", "find cluster {run}")
def find_cluster(run: Run, scheduler: str | None, mosaic: Mosaic) -> Cluster:
    """Ask the workers of a Dask cluster, if one is named, whether they can predict windows.

    Args:
        run: whose windows.
        scheduler: the address of its scheduler; that of the settings if left out.
        mosaic: the imagery that they are to read.

    Returns:
        The cluster, or this process.

    Raises:
        SettingsError: if the address or what belongs to it will not do.
        LandcoverError: if there is no scheduler or worker, or one of them cannot do its work.
        TransientError: if the bucket or the Prefect server cannot be reached from here, or a worker
            from its scheduler.
    """
    settings = run.settings[ClusterSettings]
    address = scheduler or settings.dask_scheduler
    if address is None:
        return this_process()
    _check_key(address, settings.dask_key_in_clear)
    _check_block(run, mosaic)
    with ExitStack() as closing:
        client = closing.enter_context(_connect(address))
        _check_versions(f"scheduler {address}", *_describe_scheduler(client, address))
        _wait_for_worker(client, address)
        told = _describe_workers(client)
        for name, worker in told.items():
            _check_versions(f"worker {name}", worker.host, worker.versions)
            _check_memory(name, worker)
        # A file that a worker sees in a folder shows that it is the same folder.
        marks = [folder / f".seen-{uuid4().hex}" for folder in _local_folders(run)]
        for mark in marks:
            mark.touch()
            closing.callback(mark.unlink)
        question = (describe_lack, run, mosaic, marks, serialize_context(), flow_run.id)
        for lack in _ask(client, *question).values():
            if isinstance(lack, Exception):
                raise lack
            if lack:
                # Where the server is away for all, this is no fault of the worker's.
                _check_api()
                raise LandcoverError(lack)
    workers = told.values()
    threads, memory = max(told.threads for told in workers), min(told.memory for told in workers)
    return Cluster(address, len(workers), threads, memory)


def describe_scheduler() -> tuple[str, Mapping[str, str]]:
    """Tell the name of this machine, and what `Worker.versions` are here; a scheduler is asked."""
    return socket.gethostname(), _versions()


def describe_worker(dask_worker: "DaskWorker") -> Worker:
    """Tell what this process is; a worker is asked.

    Args:
        dask_worker: what Dask gives a parameter of this name.
    """
    configure()
    # What a window imports takes its share of the memory, and would take it a moment later.
    import_module("tasks.windows")
    manager = dask_worker.memory_manager
    memory = memory_for_run(manager.memory_limit)
    if manager.memory_limit and manager.memory_pause_fraction:
        # Above that Dask hands out nothing, and what it did not keep itself it cannot give back.
        most = manager.memory_limit * manager.memory_pause_fraction
        memory = min(memory, most - dask_worker.monitor.get_process_memory())
    return Worker(socket.gethostname(), _versions(), dask_worker.state.nthreads, memory)


def describe_lack(
    run: Run,
    mosaic: Mosaic,
    marks: Sequence[Path],
    context: dict[str, Any],
    run_id: str,
    dask_worker: "DaskWorker",
) -> str | None:
    """Say what keeps this process from predicting windows; a worker is asked.

    Args:
        run: whose windows.
        mosaic: the imagery.
        marks: files in the folders that are not in a bucket.
        context: Prefect's, as tasks are given it.
        run_id: of the flow run.
        dask_worker: what Dask gives a parameter of this name.

    Returns:
        A sentence that names this worker; None where nothing does.
    """
    here = f"{dask_worker.address} on {socket.gethostname()}"
    for mark in marks:
        if not mark.exists():
            return (
                f"The Dask worker {here} does not see the files of {mark.parent}: use a folder in "
                "a bucket (s3://...), or the absolute path of a disk that all machines share."
            )
    with hydrated_context(context):
        if lack := describe_lack_of_api(here, run_id):
            return lack
        try:
            _try_places(run, mosaic)
        except LandcoverError as error:
            return f"The Dask worker {here} cannot do its work: {error}"
    return None


def _check_key(address: str, may_be_in_clear: bool) -> None:
    """Make sure that a key of the Prefect API does not travel in clear."""
    keys = [
        setting.name
        for setting in (PREFECT_API_KEY, PREFECT_API_AUTH_STRING)
        if setting.value() is not None
    ]
    if keys and address.startswith("tcp:") and not may_be_in_clear:
        raise SettingsError(
            f"{' and '.join(keys)} would travel in clear to the workers of {address}: give the "
            "cluster TLS and write tls://, or say DASK_KEY_IN_CLEAR=true."
        )


def _check_block(run: Run, mosaic: Mosaic) -> None:
    """Make sure that credentials of the bucket reach the workers: through a block, never a task."""
    from prefect_aws import AwsCredentials

    places = [*map(str, (run.files.work, run.files.model)), *mosaic.origins]
    remote = next((place for place in places if place.startswith("s3://")), None)
    name = run.blocks.storage_block
    if remote and load_block(AwsCredentials, name) is None:
        raise SettingsError(
            f"Dask workers get the credentials for {remote} from a Prefect block, and there is "
            f"none{f' named {name!r}' if name else ''}: save it with python flows/setup_blocks.py."
        )


def _connect(address: str) -> "Client":
    """Connect to a scheduler."""
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingsError(
            f"DASK_SCHEDULER is {address}, but Dask is not installed ({error}): {INSTALL}."
        ) from error
    try:
        return Client(address, timeout=CONNECTING, set_as_default=False)
    except (OSError, ssl.SSLError, TypeError) as error:
        # Dask says TypeError where TLS has no certificates.
        raise LandcoverError(
            f"No Dask scheduler lets this machine in at {address} ({error}): start it with dask "
            "scheduler, or unset DASK_SCHEDULER. Certificates for tls:// are named in Dask's own "
            "settings, distributed.comm.tls."
        ) from error


def _describe_scheduler(client: "Client", address: str) -> tuple[str, Mapping[str, str]]:
    """Return the name of a scheduler's machine, and the versions there.

    Raises:
        LandcoverError: if it cannot tell.
    """
    try:
        told: tuple[str, Mapping[str, str]] = client.run_on_scheduler(describe_scheduler)
    except (ImportError, AttributeError) as error:
        raise LandcoverError(
            f"The Dask scheduler {address} does not have this package, or another version of it "
            f"({error}): install the same there, {INSTALL}."
        ) from error
    return told


def _wait_for_worker(client: "Client", address: str) -> None:
    """Wait until a scheduler has a worker."""
    try:
        client.wait_for_workers(1, timeout=WAITING)
    except TimeoutError as error:
        raise LandcoverError(
            f"The Dask scheduler {address} has had no worker for {WAITING} seconds: start one on "
            f"each machine with dask worker {address}."
        ) from error


def _describe_workers(client: "Client") -> dict[str, Worker]:
    """Return what each worker is, by its address.

    Raises:
        LandcoverError: if one cannot tell.
        TransientError: if one does not answer.
    """
    answers: dict[str, Worker] = _ask(client, describe_worker)
    for worker, answer in answers.items():
        # Dask has no type of its own for what a worker could not even unpickle.
        if isinstance(answer, Exception):
            raise LandcoverError(
                f"The Dask worker {worker} does not have this package, or another version of it "
                f"({answer}): install the same there, {INSTALL}."
            )
    return answers


def _ask(client: "Client", question: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """Return what each worker answers, or the exception that it raises, by its address.

    Raises:
        TransientError: if one does not answer; if it has ended, it is not asked the next time.
    """
    answers: dict[str, Any] = client.run(question, *arguments, on_error="return")
    for worker, answer in answers.items():
        if isinstance(answer, OSError):
            raise TransientError(
                f"The Dask worker {worker} cannot be reached by its scheduler ({answer}): look "
                "after it, or stop it."
            )
    return answers


def _versions() -> dict[str, str]:
    engines = {name: version(name) for name in ENGINES}
    python = {"Python": platform.python_version()}
    # The package's is told last: it differs with any of the libraries that can change a map.
    return {**python, **library_versions(), **engines, "chocoforest": code_version()}


def _check_versions(who: str, host: str, there: Mapping[str, str]) -> None:
    """Make sure that what another machine makes of a task is what this process would."""
    here = _versions()
    others = [what for what, mine in here.items() if there.get(what) != mine]
    if others:
        raise LandcoverError(
            f"The Dask {who} on {host} has {others[0]} {there.get(others[0], 'none')} where this "
            f"machine has {here[others[0]]}: install the same on both."
        )


def _check_memory(name: str, worker: Worker) -> None:
    """Make sure that a worker would not wait for memory for ever, which Dask tells in its log."""
    if worker.memory < LEAST_MEMORY:
        left, least = (f"{of / 1e6:.0f} MB" for of in (max(worker.memory, 0), LEAST_MEMORY))
        raise LandcoverError(
            f"The Dask worker {name} on {worker.host} has {left} left for windows, which take "
            f"{least} and more: give it more with dask worker --memory-limit."
        )


def _local_folders(run: Run) -> list[Path]:
    """Return the folders of a run's windows that are not in a bucket."""
    folders = run.files.work.parent, run.files.model.parent
    return [folder for folder in folders if is_local(folder)]


def describe_lack_of_api(here: str, run_id: str) -> str | None:
    """Say why this process cannot report to the Prefect API of a run; None where it can.

    Args:
        here: the worker that this process is.
        run_id: of the flow run.
    """
    address = str(PREFECT_API_URL.value())
    place = without_login(address)
    try:
        with temporary_settings(ONCE), get_client(sync_client=True) as client:
            client.read_flow_run(UUID(run_id))
    except ObjectNotFound:
        return f"The Dask worker {here} finds another Prefect server at {place}: {_advice(address)}"
    except httpx.HTTPError as error:
        why = _advice(address)
        return f"The Dask worker {here} cannot reach the Prefect API {place} ({error}): {why}"
    return None


def _check_api() -> None:
    """Make sure that this process reaches the Prefect API.

    Raises:
        TransientError: if it does not.
    """
    with temporary_settings(ONCE), get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise server_away(error)


def _advice(address: str) -> str:
    host = urlsplit(address).hostname or ""
    own = " 127.0.0.1 is each machine's own." if host in {"127.0.0.1", "localhost", "::1"} else ""
    return f"set PREFECT_API_URL to a server that all machines reach by that address.{own}"


def _try_places(run: Run, mosaic: Mosaic) -> None:
    """Write where pieces will go, and read a pixel of the imagery and of what does not change."""
    work = run.files.work.parent
    with run.storage(work):
        check_writable(work, "WORK_DIR")
    with run.imagery(mosaic, "on the worker"), mosaic.open() as reader:
        first = next(split(reader.extent, 1, 1))
        reader.read(list(mosaic.bands.values()), first)
