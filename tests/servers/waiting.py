"""Waiting for what a busy machine does late."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

# Seconds: only what never comes takes as long.
PATIENCE = 300.0


def wait_for(
    what: str,
    ask: Callable[[], Found | None],
    *,
    log: Path | None = None,
    pause: float = 0.1,
    seconds: float = PATIENCE,
) -> Found:
    """Ask until there is an answer, and return it.

    Args:
        what: is waited for.
        ask: returns None as long as it is not there.
        log: of whoever brings it.
        pause: seconds between two questions.
        seconds: after which to give up.

    Raises:
        AssertionError: where there is none in time, with the end of the log.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ask()
        if found is not None:
            return found
        time.sleep(pause)
    raise AssertionError(f"Not after {seconds} s: {what}\n{log and tail(log)}")


def tail(log: Path) -> str:
    """Return the end of a log."""
    return f"{log.name}:\n{log.read_text(errors='replace')[-5000:]}"
