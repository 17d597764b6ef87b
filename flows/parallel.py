"""Windows side by side, and how far they are: a bar on a terminal, plain lines in a log.

They go to the threads of this process or, where one is named, to the workers of a Dask cluster.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import Task, unmapped
from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from rasterio.windows import Window
from rich.console import Console
from rich.progress import Progress
from rich.theme import Theme

from landcover.errors import LandcoverError
from landcover.windows import WINDOWS_A_WORKER
from tasks.artifacts import show_progress
from tasks.cluster import Cluster, this_process

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

Result = TypeVar("Result")

LINES = 10  # in a log

# A task takes Prefect and Dask a tenth of a second, so that windows are handed out several at once
# where there are many; enough of them are left to see how far a month is.
BATCHES = 50

# About seven go through in a second (docs/speed.md).
MOST_BATCHES = 200

# These settings go with the tasks. Before its first task a worker would ask the Prefect server once
# for its version, and let the task fail where the server is away in that moment.
UNASKED = {PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}


def map_windows(
    task: Task[..., Any],
    windows: Sequence[Window],
    doing: str,
    key: str,
    cluster: Cluster | None = None,
    **shared: object,
) -> list[Result]:
    """Call a task for batches of windows, and show how far they are.

    Args:
        task: takes `windows`, and what is shared, and returns a result for each.
        windows: all of them.
        doing: what it does, for people, such as "Predicting".
        key: of the artifact that shows it in the Prefect UI.
        cluster: what does it; this process if left out.
        shared: what else the task takes.

    Returns:
        The results, in the order of the windows.

    Raises:
        Exception: the first batch's that failed.
        LandcoverError: if the cluster is lost.
    """
    cluster = cluster or this_process()
    batches = split_into_batches(windows, cluster.at_once)
    with _runner(cluster) as runner:
        constant = {name: unmapped(value) for name, value in shared.items()}
        futures = list(runner.map(task, {"windows": batches, **constant}))
        of_future = dict(zip(futures, map(len, batches), strict=True))
        _watch(of_future, doing, key)
        results: list[list[Result]] = [future.result() for future in futures]
        return list(chain.from_iterable(results))


def split_into_batches(windows: Sequence[Window], workers: int) -> list[tuple[Window, ...]]:
    """Return the windows of each task.

    Args:
        windows: all of them.
        workers: how many batches are done side by side.
    """
    size = ceil(len(windows) / min(max(BATCHES, WINDOWS_A_WORKER * workers), MOST_BATCHES)) or 1
    return [tuple(windows[first : first + size]) for first in range(0, len(windows), size)]


@contextmanager
def _runner(cluster: Cluster) -> Iterator[TaskRunner[Any]]:
    """Give out what runs tasks: GDAL and the forest let go of Python's lock, so threads will do."""
    if cluster.address is None:
        threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=cluster.at_once)
        with threads:
            yield threads
        return
    # An optional extra, which the cluster was found with.
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError
    from prefect_dask.task_runners import DaskTaskRunner

    try:
        with (
            temporary_settings(UNASKED),
            DaskTaskRunner(address=cluster.address) as dask,
        ):
            _connect(dask, cluster)
            yield dask
    except KilledWorker as error:
        raise LandcoverError(
            f"The Dask cluster {cluster.address} has lost too many workers ({error}): look at "
            "their logs, and run the same command to go on with what is left."
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise LandcoverError(
            f"The Dask cluster {cluster.address} has lost its scheduler ({error}): start it again, "
            "and run the same command to go on with what is left."
        ) from error


def _connect(dask: "DaskTaskRunner", cluster: Cluster) -> None:
    """Connect to the scheduler, which Prefect would do with the first task only."""
    try:
        _ = dask.client
    except OSError as error:
        raise LandcoverError(
            f"The scheduler of the Dask cluster {cluster.address} does not answer any more "
            f"({error}): start it again, and run the same command to go on with what is left."
        ) from error


def _watch(windows: dict[PrefectFuture[Any], int], doing: str, key: str) -> None:
    """Wait for batches, of so many windows each, and show how far they are."""
    terminal = _terminal()
    completed = as_completed(list(windows))
    shown = completed if terminal is None else _bar(terminal, completed, len(windows), doing)
    done, total = 0, sum(windows.values())
    for future in show_progress(shown, len(windows), key, doing):
        future.result()
        before, done = done, done + windows[future]
        if done * LINES // total > before * LINES // total:
            line = f"{doing}: {done} of {total} windows"
            get_run_logger().info(line, extra={"printed": terminal is not None})


def _bar(console: Console, completed: Iterator[Any], total: int, doing: str) -> Iterator[Any]:
    # Prefect's console knows its own styles only.
    with console.use_theme(Theme()), Progress(console=console, transient=True) as progress:
        yield from progress.track(completed, total, description=doing)


def _terminal() -> Console | None:
    """Return the console that Prefect logs to, so that bar and lines do not overwrite each other.

    None where it is not a terminal.
    """
    consoles = [getattr(handler, "console", None) for handler in logging.getLogger().handlers]
    return next((console for console in consoles if console and console.is_terminal), None)
