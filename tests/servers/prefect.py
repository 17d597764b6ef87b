"""Prefect as a team runs it: the documentation's own commands, in a folder of their own."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from tests.servers.environment import without_settings
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.waiting import PATIENCE, tail, wait_for

ROOT = Path(__file__).parents[2]
USUAL_PORT = "4200"


@dataclass(frozen=True)
class Shell:
    """A terminal in a folder with a copy of the repository.

    Attributes:
        folder: the copy, where commands are given.
        home: what Prefect keeps, its database included.
        port: of the server, in place of the usual one.
        host: where the server listens.
        settings: of Prefect, beside those of all shells.
    """

    folder: Path
    home: Path
    port: int
    host: str = LOOPBACK
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the server is."""
        return f"http://{self.host}:{self.port}"

    def run(self, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with more arguments behind it."""
        return subprocess.run(
            [*self._words(command), *more],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def must_run(self, command: str, *more: str) -> str:
        """Run a command that must not fail; return what it printed."""
        done = self.run(command, *more)
        said = f"{done.stdout}{done.stderr}"
        if done.returncode:
            raise AssertionError(f"{command}\n{said}\n{tail(self.log('server'))}")
        return said

    def log(self, name: str) -> Path:
        """The file that holds what a background process has said."""
        return self.home / f"{name}.log"

    @contextmanager
    def background(self, name: str, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command beside the block, and end it with the block."""
        # The signal ends it where the tests are killed and no block ends.
        words = ["setpriv", "--pdeathsig", "TERM", *self._words(command)]
        with self.log(name).open("w") as log:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
                # Ctrl-C is for pytest.
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _end(process)

    def _words(self, command: str) -> list[str]:
        return shlex.split(command.replace(USUAL_PORT, str(self.port)))

    def _environment(self) -> dict[str, str]:
        return without_settings() | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_API_HOST": self.host,
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            # Ten, ten, thirty and fifteen seconds, if left out.
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "1",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "2",
            **self.settings,
        }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, which ends those that it has started."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def documented_commands(page: str, heading: str) -> list[str]:
    """Return the commands of a section of a page, in their order."""
    section = re.split(r"^#", (ROOT / page).read_text().split(heading, 1)[1], flags=re.M)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def copy_repository(folder: Path, settings: Mapping[str, object]) -> None:
    """Copy what flows are run from, with an .env of settings.

    What is compiled is copied too: loops would be compiled anew in each copy, for ten seconds.
    """
    for name in ("flows", "tasks", "landcover"):
        # Names under which a process beside this one writes what it compiles.
        ignored = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "prefect.yaml", folder)
    lines = [f'{name}="{value}"' for name, value in settings.items()]
    (folder / ".env").write_text("\n".join(lines))


@contextmanager
def prefect_server(
    folder: Path, command: str, database: Path, host: str = LOOPBACK, **settings: str
) -> Iterator[Shell]:
    """Start the server and yield a terminal; `wait_for_server` waits until it answers.

    Args:
        folder: for all that belongs to it.
        command: that starts it.
        database: an empty one, which it gets a copy of.
        host: where it listens.
        settings: of Prefect, by the names of their variables.
    """
    shell = Shell(folder / "repository", folder / "prefect", free_port(), host, settings)
    for place in (shell.folder, shell.home):
        place.mkdir()
    shutil.copy(database, shell.home / "prefect.db")
    with ExitStack() as stack:
        stack.enter_context(shell.background("server", command))
        yield shell


@contextmanager
def reporting_to(shell: Shell) -> Iterator[SyncPrefectClient]:
    """Let this process's runs report to the server; yield its client.

    They send no heartbeats: a run's end would wait for their thread, which sleeps whole seconds.
    """
    wait_for_server(shell)
    api = {PREFECT_API_URL: f"{shell.address}/api", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(api), get_client(sync_client=True) as client:
        yield client
        send_what_is_left()


def send_what_is_left() -> None:
    """Send logs and events while there is a server to take them."""
    APILogWorker.drain_all()
    EventsWorker.drain_all()


def wait_for_server(shell: Shell) -> None:
    """Wait until the server answers."""
    # One client for all questions: to make one takes more of the processor than all else here.
    with httpx.Client() as client:

        def answers() -> bool | None:
            try:
                return client.get(f"{shell.address}/api/health").is_success or None
            except httpx.TransportError:
                return None

        wait_for("the Prefect server answers", answers, log=shell.log("server"))
