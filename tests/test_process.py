"""What a process is told once: it takes effect, and importing the package changes nothing."""

import subprocess
import sys

import pytest
from prefect import flow

from landcover.errors import LandcoverError, TransientError
from tasks.access.process import configure
from tasks.retries import io_task

IMPORTS = """
import logging, os, warnings
filters = list(warnings.filters)
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning
from s3fs.core import S3FileSystem
import flows.monthly
from tasks.access.process import configure

def told():
    return (
        os.environ.get("GDAL_CACHEMAX"),
        S3FileSystem.retries,
        len(logging.getLogger("prefect.task_runs").filters),
        {kind for _, _, kind, *_ in warnings.filters}
        & {NodataShadowWarning, NotGeoreferencedWarning} != set(),
    )

print(told())
configure()
configure()
print(told())
"""


def test_only_configure_changes_the_process_and_only_once():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["(None, 5, 0, False)", "('64', 2, 1, True)"]


CACHE = """
import rasterio
from rasterio._env import get_gdal_config
from tasks.access.process import configure
configure()
print(get_gdal_config("GDAL_CACHEMAX"))
"""


def test_gdal_caches_no_more_than_it_is_told():
    done = subprocess.run([sys.executable, "-c", CACHE], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 64 * 2**20


@pytest.mark.usefixtures("prefect_api")
def test_a_foreseen_failure_is_logged_once_and_without_its_traceback(caplog):
    configure()

    @io_task("fail", retries=0)
    def fail() -> None:
        raise LandcoverError("There are no polygons.")

    @flow
    def failing() -> None:
        fail()

    with pytest.raises(LandcoverError):
        failing()
    assert [
        record.name for record in caplog.records if record.message == "There are no polygons."
    ] == ["prefect.task_runs"]
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("prefect_api", "hasty")
def test_a_task_is_retried_after_a_transient_failure_alone():
    tries: list[int] = []

    @io_task("heal")
    def heal() -> int:
        tries.append(len(tries))
        if len(tries) < 7:
            raise TransientError("The server is away.")
        return len(tries)

    @io_task("break")
    def break_down() -> None:
        tries.append(0)
        raise LandcoverError("The server refuses.")

    assert heal() == 7
    with pytest.raises(LandcoverError, match="refuses"):
        break_down()
    assert len(tries) == 8
