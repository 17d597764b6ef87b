"""What a process is told once: it takes effect, and importing the package changes nothing."""

import os
import subprocess
import sys

import pytest
from prefect import flow

from landcover.errors import LandcoverError
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


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that inherits nothing of what this one was told."""
    untold = {name: value for name, value in os.environ.items() if name != "GDAL_CACHEMAX"}
    return subprocess.run(
        [sys.executable, "-c", code], env=untold, capture_output=True, text=True, check=True
    )


def test_only_configure_changes_the_process_and_only_once():
    done = run_python(IMPORTS)
    assert done.stdout.splitlines() == ["(None, 5, 0, False)", "('64', 2, 1, True)"]


CACHE = """
import rasterio
from rasterio._env import get_gdal_config
from tasks.access.process import configure
configure()
print(get_gdal_config("GDAL_CACHEMAX"))
"""


def test_gdal_caches_no_more_than_it_is_told():
    done = run_python(CACHE)
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


# The handler is like Prefect's. The signal comes while an object is removed.
LOST = """
import os, signal, time, weakref
from prefect.exceptions import TerminationSignal
from tasks.access.process import configure

def stop(number, _):
    raise TerminationSignal(signal=number)

class Thing:
    pass

def removed(_):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0)

configure()
signal.signal(signal.SIGTERM, stop)
thing = Thing()
reference = weakref.ref(thing, removed)
try:
    del thing
    time.sleep(300)
except TerminationSignal:
    print("ended")
"""


def test_a_signal_that_python_drops_is_sent_again():
    done = run_python(LOST)
    assert (done.stdout, done.stderr) == ("ended\n", "")
