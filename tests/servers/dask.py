"""A Dask cluster with TLS: a scheduler and workers, each a process with a home of its own."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

import dask
from distributed import Client

from tests.servers.environment import without_settings
from tests.servers.ports import free_port
from tests.servers.process import Server, running, start

ROLES = ("scheduler", "worker", "client")


@dataclass
class DaskCluster:
    """A scheduler, and the workers that were started for it.

    Attributes:
        folder: the homes of all processes.
        port: of the scheduler.
        certificates: Dask's settings of TLS.
        scheduler: its process.
        workers: those that run.
    """

    folder: Path
    port: int
    certificates: Mapping[str, str]
    scheduler: Server = field(init=False)
    workers: list[Server] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tls://127.0.0.1:{self.port}"

    def process(self, name: str, *command: str, **environment: str) -> Server:
        """Describe a process of the cluster, which sees none of this one's settings."""
        home = self.folder / name
        home.mkdir()
        tls = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": value
               for key, value in self.certificates.items()}  # fmt: skip
        return Server(
            name=name,
            command=[sys.executable, "-m", "dask", *command],
            log=home / "log",
            answers=lambda: True,
            ended_by=Signals.SIGKILL,
            environment={**without_settings(), **tls, "HOME": str(home), **environment},
        )

    def start_worker(self, name: str, threads: int = 1, **environment: str) -> Server:
        """Start a worker; it is the cluster's as soon as it has found the scheduler."""
        options = ["--no-nanny", "--no-dashboard", "--nthreads", f"{threads}", "--name", name]
        folder = ["--local-directory", str(self.folder / name)]
        worker = self.process(name, "worker", self.address, *options, *folder, **environment)
        start([worker])
        self.workers.append(worker)
        return worker

    def client(self) -> Client:
        """Connect to the scheduler, beside the code under test."""
        return Client(self.address, timeout=60, set_as_default=False)


@contextmanager
def dask_cluster(folder: Path) -> Iterator[DaskCluster]:
    """Start a scheduler without workers; this process has the certificates while it runs.

    Args:
        folder: an empty one.
    """
    folder.mkdir(exist_ok=True)
    cluster = DaskCluster(folder, free_port(), _certificates(folder))
    options = ["--host", "127.0.0.1", "--port", f"{cluster.port}", "--no-dashboard"]
    cluster.scheduler = cluster.process("scheduler", "scheduler", *options, "--protocol", "tls")
    cluster.scheduler.answers = lambda: _listens(cluster.port)
    with running([cluster.scheduler]), dask.config.set(cluster.certificates):
        try:
            yield cluster
        finally:
            for worker in cluster.workers:
                worker.stop()


def _certificates(folder: Path) -> dict[str, str]:
    """Make a certificate that vouches for itself, and return the settings that name it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=dask",
         "-days", "30", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    of_role = {
        f"distributed.comm.tls.{role}.{what}": str(file)
        for role in ROLES
        for what, file in (("cert", certificate), ("key", key))
    }
    return {"distributed.comm.tls.ca-file": str(certificate), **of_role}


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
