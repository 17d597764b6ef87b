"""Servers of this machine, which can be stopped and started again."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from tests.servers.waiting import tail, wait_for


@dataclass
class Server:
    """A server: started again, it is on the same port and has what it had.

    Attributes:
        name: for messages.
        command: that runs it.
        log: the file that holds what it says.
        answers: tells whether it takes requests.
        ended_by: the signal that ends it.
        environment: of its process; this one's if it is None.
    """

    name: str
    command: Sequence[str | Path]
    log: Path
    answers: Callable[[], bool]
    ended_by: Signals
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start its process, which does not answer yet."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                # This folder may be one that another user may not enter.
                cwd="/",
                env=self.environment,
                stdout=log,
                stderr=log,
                # Ctrl-C is for pytest, whose tests still need the server to tidy up.
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for(f"{self.name} answers", self._try, log=self.log, pause=0.02)

    def stop(self, by: Signals | None = None) -> None:
        """End its process, by another signal than usual where one is given."""
        assert self.process
        self.process.send_signal(by or self.ended_by)
        self.process.wait()

    def _try(self) -> bool | None:
        assert self.process
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} did not start:\n{tail(self.log)}")
        return self.answers() or None


def start(servers: Sequence[Server]) -> None:
    """Start servers side by side, and wait until they answer."""
    for server in servers:
        server.launch()
    for server in servers:
        server.wait()


@contextmanager
def running(servers: Sequence[Server]) -> Iterator[None]:
    """Run servers beside the block."""
    try:
        start(servers)
        yield
    finally:
        for server in servers:
            if server.process:
                server.stop()
