"""What a process must be told once, before it works: GDAL, s3fs, warnings, the log, signals."""

import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache, partial
from signal import SIGINT
from threading import Timer

from prefect.exceptions import TerminationSignal
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning
from s3fs.core import S3FileSystem, set_custom_error_handler

from landcover.errors import LandcoverError
from landcover.machine import cores
from tasks.access.refusals import is_passing
from tasks.retries import S3FS_TRIES

MOMENT = 0.05  # seconds

# Bytes a core: a strip of a quad of nine bands, compressed.
FETCHED = 32 * 2**20

M_ARENA_MAX = -8  # in glibc's malloc.h


@cache
def configure() -> None:
    """Configure this process; it is called before each work, and does something the first time.

    Commands, flow runs and the tasks on another machine all come by it: importing the package
    changes nothing for a program that merely reads a map with it.
    """
    # GDAL keeps blocks that it has read in up to a twentieth of the machine's memory, and looks
    # here when it keeps the first. A run reads each once, strip by strip, so more saves no time.
    os.environ.setdefault("GDAL_CACHEMAX", "64")  # MB
    # So it is with what was fetched from a bucket. A thread fetches a strip of a quad at once, and
    # in GDAL's 16 MB for all threads it is lost before it is read: a fifth was fetched twice.
    os.environ.setdefault("CPL_VSIL_CURL_CACHE_SIZE", f"{FETCHED * cores()}")
    _let_threads_share_heaps()
    S3FileSystem.retries = S3FS_TRIES
    # By itself s3fs retries few refusals, and botocore none that says 429.
    set_custom_error_handler(is_passing)
    # rasterio ignores alpha where nodata is set; here both count (see `landcover.imagery.pixels`).
    warnings.filterwarnings("ignore", category=NodataShadowWarning)
    # rasterio hides this while it rasterises, but not from other threads that do the same.
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module="rasterio.features")
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_shorten)
    sys.unraisablehook = partial(_deliver_again, sys.unraisablehook)


def _let_threads_share_heaps() -> None:
    """Let threads take memory from as many heaps as there are cores.

    By itself glibc makes eight times as many, and each keeps what lies beneath anything that is
    still used: a sixth of a month's memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        mallopt(M_ARENA_MAX, cores())


def _deliver_again(
    usual: Callable[["sys.UnraisableHookArgs"], object], lost: "sys.UnraisableHookArgs"
) -> None:
    """Send a signal again that came while an object was being removed: Python drops it there."""
    if not isinstance(lost.exc_value, TerminationSignal | KeyboardInterrupt):
        usual(lost)
        return
    number = getattr(lost.exc_value, "signal", SIGINT)
    # A moment later: Python would drop what comes during this call too.
    again = Timer(MOMENT, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _shorten(record: logging.LogRecord) -> bool:
    """Let Prefect log the sentence of a foreseen failure, once and without its traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, LandcoverError):
        record.exc_info = None
        record.msg, record.args = "%s", (str(error),)
        # The task has logged it already.
        return record.name != "prefect.flow_runs"
    return True
