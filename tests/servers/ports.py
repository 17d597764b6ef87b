"""Ports for servers that another process cannot be given before they listen."""

import itertools
import os
import socket
from contextlib import closing

LOOPBACK = "127.0.0.1"

# Below what systems give to outgoing connections (32768 and above on Linux, 49152 elsewhere): a
# port from there may be taken again by the time that a server listens on it.
FIRST, LAST = 10_000, 32_000

# Each process has ports of its own, so that two that start servers at once do not meet.
PER_PROCESS = 20
_SLOTS = (LAST - FIRST) // PER_PROCESS

_numbers = itertools.count()


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    first = FIRST + os.getpid() % _SLOTS * PER_PROCESS
    # After its own, a process tries those of the next.
    for _ in range(LAST - FIRST):
        port = FIRST + (first - FIRST + next(_numbers)) % (LAST - FIRST)
        if _is_free(port):
            return port
    raise RuntimeError(f"All ports from {FIRST} to {LAST} are taken.")


def listens(host: str, port: int) -> bool:
    """Tell whether something listens on a port."""
    with closing(socket.socket()) as asking:
        return asking.connect_ex((host, port)) == 0


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
