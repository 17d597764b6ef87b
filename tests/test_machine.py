"""What a process may use of its machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from landcover.machine import _limits, cores, memory
from landcover.windows import MEMORY, memory_for_run


def test_the_cores_are_those_that_this_process_may_run_on() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, [min(allowed)])
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/system/run\n", [200, 300]),  # each group above it counts too
        ("0::/\n", [300]),  # as in a container
        ("0::/../outside\n", [300]),
        ("4:memory:/batch/job\n3:cpuset:/\n0::/\n", [50, 300]),  # both versions at once
        ("4:memory:/of/the/host\n", []),
        ("1:name=systemd:/\n", []),
    ],
)
def test_the_limits_are_those_of_the_group_and_all_above_it(
    tmp_path: Path, groups: str, limits: list[int]
) -> None:
    for name, text in {
        "memory.max": "300\n",
        "system/memory.max": "max\n",
        "system/run/memory.max": "200\n",
        "memory/batch/job/memory.limit_in_bytes": "50\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(_limits(groups, tmp_path)) == limits


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of a gigabyte, as a container has one."""
    root = Path("/sys/fs/cgroup")
    versions = [("memory.limit_in_bytes", root / "memory"), ("memory.max", root)]
    limit, above = next(found for found in versions if (found[1] / "cgroup.procs").exists())
    group = above / f"chocoforest-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(2**30))
    except OSError as error:
        pytest.skip(f"control groups cannot be made here ({error})")
    yield group
    group.rmdir()


def test_windows_and_table_take_a_part_of_what_a_container_may_use(small_group: Path) -> None:
    program = (
        "import os\nfrom pathlib import Path\n"
        f"Path({str(small_group)!r}, 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from landcover.machine import memory\n"
        "from landcover.maps.tables import Table\n"
        "from landcover.windows import memory_for_run\n"
        "print(memory(), round(memory_for_run()), Table().memory)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(2**30), str(round(2**30 / 3)), str(2**30 // 9)]
    assert memory_for_run() <= MEMORY
    assert memory() > 2**30
