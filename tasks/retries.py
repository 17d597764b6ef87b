"""One policy of trying again, for every task that reads or writes outside this process."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from landcover.errors import TransientError

P = ParamSpec("P")
R = TypeVar("R")


def may_heal(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Tell whether a failure is worth another try: Prefect asks this after each one."""
    return isinstance(state.data, TransientError)


# The first is two seconds after a failure, each further one after twice the time: with these a
# service may be away for two minutes.
RETRIES = 6


def io_task(
    name: str, run_name: str | Callable[[], str] | None = None, retries: int = RETRIES
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task that is tried again when it fails of what may heal.

    Args:
        name: the task's name.
        run_name: its runs' names: a template, or what makes one.
        retries: how often it is tried again.
    """
    return task(
        name=name,
        task_run_name=run_name,
        retries=retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=may_heal,
        cache_policy=NO_CACHE,
    )
