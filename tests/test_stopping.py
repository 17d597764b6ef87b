"""A command that is asked to end: gone within seconds, with its sentence and its status."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from tests.servers.environment import without_settings
from tests.servers.waiting import PATIENCE, wait_for

SENTENCE = "Stopped: run the same command to go on.\n"

# A thread that does not end, which Python would wait for. Every Ctrl-C counts, however soon.
BUSY = """
import flows.environment
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from flows import stopping
from flows.command import run_command

stopping.GRACE = {grace}
stopping.AGAIN = 0

def job():
    with ThreadPoolExecutor() as pool:
        computed = pool.submit(time.sleep, 10_000)
        try:
            print("busy", flush=True)
            computed.result()
        finally:
            print("waits", flush=True)

sys.exit(run_command(job, []))
"""

# The last step of Python waits for threads too, when all has been said.
LATE = BUSY.replace(
    "    with ThreadPoolExecutor() as pool:", "    if pool := ThreadPoolExecutor():"
)


@contextmanager
def started(code: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run code that says when it is busy; kill it with the block."""
    with subprocess.Popen(
        # Where the tests run in the background of a shell, Ctrl-C is ignored.
        ["env", "--default-signal", sys.executable, "-c", code],
        env=without_settings() | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("code", "by"),
    [(BUSY, SIGTERM), (BUSY, SIGINT), (BUSY, SIGHUP), (LATE, SIGTERM)],
    ids=["SIGTERM", "SIGINT", "SIGHUP", "late SIGTERM"],
)
def test_a_thread_that_computes_keeps_no_command(code: str, by: Signals):
    with started(code.format(grace=1)) as process:
        assert process.stdout.readline() == "busy\n"
        process.send_signal(by)
        assert process.wait(timeout=PATIENCE) == 128 + by
        assert process.stderr.read() == SENTENCE


def test_a_second_ctrl_c_ends_a_command_at_once():
    with started(BUSY.format(grace=10_000)) as process:
        assert process.stdout.readline() == "busy\n"
        process.send_signal(SIGINT)
        assert process.stdout.readline() == "waits\n"
        process.send_signal(SIGINT)
        assert process.wait(timeout=PATIENCE) == 128 + SIGINT
        assert process.stderr.read() == SENTENCE


def test_nohup_is_respected():
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{BUSY}"
    with started(ignoring.format(grace=1)) as process:
        assert process.stdout.readline() == "busy\n"
        process.send_signal(SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None


IN_A_FLOW = """
import flows.environment
import sys, threading, time
from prefect import flow, task
from prefect.server.api.server import SubprocessASGIServer
from flows import stopping
from flows.command import run_command

stopping.GRACE = 1

@task
def compute():
    print("busy", SubprocessASGIServer().server_process.pid, flush=True)
    time.sleep(10_000)

@flow
def mapping():
    compute.submit().result()

sys.exit(run_command(mapping, []))
"""


def test_a_flow_that_is_ended_leaves_no_server_behind(prefect_database: Path, tmp_path: Path):
    shutil.copy(prefect_database, tmp_path / "prefect.db")
    with started(IN_A_FLOW, PREFECT_HOME=str(tmp_path)) as process:
        busy, server = process.stdout.readline().split()
        assert busy == "busy"
        process.send_signal(SIGTERM)
        assert process.wait(timeout=PATIENCE) == 128 + SIGTERM
        assert process.stderr.read().endswith(SENTENCE)
        with pytest.raises(ProcessLookupError):
            wait_for("the server ends", lambda: os.kill(int(server), 0))
