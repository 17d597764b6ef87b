"""What this process may use of the machine, as a container or a batch system limits it."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import joblib

GROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many cores this process may use: of the machine, of its affinity, of its group."""
    return int(joblib.cpu_count())


def memory() -> int:
    """Return how many bytes of memory this process may use: of the machine, or of its group."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_limits(Path("/proc/self/cgroup").read_text(), GROUPS)])


def _limits(groups: str, root: Path) -> Iterator[int]:
    """Yield the limits of memory of the control groups that a process is in.

    Args:
        groups: as /proc has them, of either version (https://docs.kernel.org/admin-guide/cgroup-v2).
        root: where their files are. In a container, those of its own group may be the uppermost.
    """
    for line in groups.splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            yield from _limits_of(root, group, "memory.max")
        elif controllers == "memory":
            yield from _limits_of(root / "memory", group, "memory.limit_in_bytes")


def _limits_of(root: Path, group: str, name: str) -> Iterator[int]:
    inside = PurePosixPath(group).relative_to("/")
    for folder in (inside, *inside.parents):
        file = root / folder / name
        written = file.read_text().strip() if file.exists() else ""
        if written.isdecimal():  # and not "max"
            yield int(written)
