"""A command that is asked to end is gone within seconds, whatever its threads are doing.

Python raises a signal's exception between two steps of the main thread, and then waits for all
threads: a window that is computed, or a bucket that does not answer, would keep the process for
minutes. So a thread of its own hears of the signal too, and ends the process when its time is up.
What is killed so was half done under names of its own; the run's lock ends with the process.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIG_DFL, SIGHUP, SIGINT, SIGTERM, Signals
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

from prefect.exceptions import TerminationSignal

GRACE = 8.0  # seconds from the first signal to the end of the process

# Seconds within which another Ctrl-C is the first, sent again where Python dropped it (see
# `tasks.access.process`).
AGAIN = 0.3

_OVER = b"\0"


@contextmanager
def ending_in_time() -> Iterator[None]:
    """While the block runs, end this process within seconds of a signal, or at a second Ctrl-C.

    SIGTERM, Ctrl-C and the end of the terminal (SIGHUP) end the block in its own way first. A
    process that was asked to end is ended even where it waits for its threads after the block.
    """
    if current_thread() is not main_thread():
        yield
        return
    ear, mouth = socket.socketpair()
    mouth.settimeout(0)
    # What is ignored stays so: nohup means it.
    ending = [number for number in (SIGTERM, SIGHUP) if signal.getsignal(number) is SIG_DFL]
    for number in ending:
        signal.signal(number, _stop)
    descriptor = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    over = Event()
    Thread(target=_listen, args=(ear, over), name="ending in time", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number in ending:
            signal.signal(number, SIG_DFL)
        mouth.send(_OVER)
        mouth.close()
        # Never, where the thread ends the process: it says so, and nobody says it again.
        over.wait()


def say_stopped(by: Signals) -> int:
    """Say that a run was stopped, and return the exit status of that.

    Args:
        by: the signal.
    """
    print("Stopped: run the same command to go on.", file=sys.stderr, flush=True)
    return 128 + by


def _stop(number: int, _: FrameType | None) -> NoReturn:
    """End as Prefect does during a flow run; before it, Python would end without a word."""
    raise TerminationSignal(signal=number)


def _listen(ear: socket.socket, over: Event) -> None:
    """Wait for a signal; then end the process when its time is up, or at a second Ctrl-C.

    Args:
        ear: brings the signals, and the end of the block.
        over: set once that end is heard, and the process is not ended before.
    """
    try:
        with ear:
            first = _hear(ear)
            if first is None:
                return
            end = time.monotonic() + GRACE
            in_time = _hear_out(ear, end)
        if not in_time:
            say_stopped(first)
            _end(first)
    finally:
        over.set()
    # The block has said it; the process may wait for its threads still.
    time.sleep(max(end - time.monotonic(), 0))
    _end(first)


def _hear_out(ear: socket.socket, end: float) -> bool:
    """Tell whether the block is over before its time is up or a second Ctrl-C comes."""
    again = time.monotonic() + AGAIN
    while (left := end - time.monotonic()) > 0:
        ear.settimeout(left)
        try:
            heard = _hear(ear)
        except TimeoutError:
            break
        if heard is None:
            return True
        if heard is SIGINT and time.monotonic() > again:
            break
    return False


def _hear(ear: socket.socket) -> Signals | None:
    """Return the next signal that ends the process; None where the block is over."""
    while (heard := ear.recv(1)) not in (b"", _OVER):
        if heard[0] in (SIGINT, SIGTERM, SIGHUP):
            return Signals(heard[0])
    return None


def _end(by: Signals) -> NoReturn:
    # Imported only where such a server was started: it takes seconds.
    if servers := sys.modules.get("prefect.server.api.server"):
        own = servers.SubprocessASGIServer().server_process
        if own:
            own.kill()
    sys.stdout.flush()
    os._exit(128 + by)
