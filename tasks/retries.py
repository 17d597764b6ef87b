"""What is tried again, how often and for how long: all layers in one table.

=====================  ==============================  ==========  ================================
layer                  tries again                     tries       pauses between them (seconds)
=====================  ==============================  ==========  ================================
GDAL                   a request that was refused or   1 + 3       0.5, doubled each time
                       timed out (`REQUEST_RETRIES`)
`read_patiently`       an image whose reading failed,  1 + 3       0.5, 2, 5 (`READ_PAUSES` in
                       as where an answer was cut                  `landcover.imagery.images`)
botocore               a request of s3fs's             1 + 3       up to 1, 2, 4, at random
s3fs                   a call, with all the requests   2           0.1 (s3fs's own)
                       of botocore (`S3FS_TRIES`)
a task (`io_task`)     all of its work, after a        1 + 6       2, 4, 8, 16, 32, 64
                       `TransientError`                            (`TASK_PAUSES`), up to half more
the run's lock         to connect and take it at the   1 + 3       2, 4, 8 (`LOCK_PAUSES`)
                       start
Prefect's client       a request to its API            1 + 6       2, doubled each time
                       (`flows.command`)
=====================  ==============================  ==========  ================================

The lower layers ride out what lasts seconds: each fails within half a minute where nothing answers.
A task then waits for about two minutes, and is the only layer that reads blocks, connects and opens
files anew. A database connection has no layer of its own below the task: what of it may heal is in
`tasks.access.database_refusals`. A lock that is lost is taken again by the task that asks for it.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from landcover.errors import TransientError

P = ParamSpec("P")
R = TypeVar("R")

REQUEST_RETRIES = 3
GDAL_PAUSE = 0.5  # seconds

# By itself s3fs tries five times: a service that takes requests and never answers would keep one
# call for a quarter of an hour.
S3FS_TRIES = 2

# Seconds. Prefect looks here at each retry, so that tests may shorten the pauses of all tasks.
TASK_PAUSES: list[float] = [2, 4, 8, 16, 32, 64]

# Seconds. The lock is not a task, because a connection cannot be a task's result.
LOCK_PAUSES = (2, 4, 8)


def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Tell whether a failure is worth a retry: Prefect asks this after each one."""
    return isinstance(state.data, TransientError)


def io_task(
    name: str, run_name: str | Callable[[], str] | None = None, retries: int = len(TASK_PAUSES)
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task that is retried after a transient failure.

    Args:
        name: the task's name.
        run_name: its runs' names: a template, or what makes one.
        retries: how often it is tried again.
    """
    return task(
        name=name,
        task_run_name=run_name,
        retries=retries,
        retry_delay_seconds=TASK_PAUSES,
        retry_jitter_factor=0.5,
        retry_condition_fn=is_transient,
        cache_policy=NO_CACHE,
    )
