"""Windows side by side, and how far they are: a bar on a terminal, plain lines in a log."""

import logging
from collections.abc import Iterator
from typing import Any, TypeVar

from prefect.futures import PrefectFutureList, as_completed
from prefect.logging import get_run_logger
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from rich.console import Console
from rich.progress import Progress
from rich.theme import Theme

from landcover.machine import cores
from tasks.artifacts import show_progress

Result = TypeVar("Result")

LINES = 10  # in a log

# Windows are predicted one a core: GDAL and the forest let go of Python's lock.
window_runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=cores())


def gather(futures: PrefectFutureList[Result], doing: str, key: str) -> list[Result]:
    """Wait for mapped tasks, show how far they are, and return their results in order.

    Args:
        futures: of the mapped tasks.
        doing: what they do, for people, such as "Predicting".
        key: of the artifact that shows it in the Prefect UI.

    Raises:
        Exception: the first task's that failed.
    """
    terminal = _terminal()
    completed = as_completed(list(futures))
    shown = completed if terminal is None else _bar(terminal, completed, len(futures), doing)
    for done, future in enumerate(show_progress(shown, len(futures), key, doing), start=1):
        future.result()
        if done * LINES // len(futures) > (done - 1) * LINES // len(futures):
            line = f"{doing}: {done} of {len(futures)} windows"
            get_run_logger().info(line, extra={"printed": terminal is not None})
    return [future.result() for future in futures]


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
