"""A Dask cluster with TLS: a scheduler here, and workers here or on hosts of the tests' own."""

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
from tests.servers.hosts import Host
from tests.servers.ports import LOOPBACK, free_port, listens
from tests.servers.process import Server, running

ROLES = ("scheduler", "worker", "client")
WORKER = ("--no-nanny", "--no-dashboard")


@dataclass
class DaskCluster:
    """A scheduler, and the workers that were started for it.

    Attributes:
        folder: the homes of all processes of this machine.
        address: of the scheduler.
        certificates: Dask's settings of TLS.
        scheduler: its process.
        workers: those that run on this machine.
    """

    folder: Path
    address: str
    certificates: Mapping[str, str]
    scheduler: Server = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, threads: int = 1, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker here; it is the cluster's as soon as it has found the scheduler."""
        home = self.folder / f"worker-{len(list(self.folder.iterdir()))}"
        home.mkdir()
        own = without_settings() | self.environment | {"HOME": str(home)}
        with (home / "log").open("w") as log:
            worker = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command(threads, home)],
                cwd=home,
                env=own | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def start_worker_on(self, host: Host) -> subprocess.Popen[bytes]:
        """Start a worker on another host, which ends it."""
        log = host.folder / "worker.log"
        return host.popen(self._command(1, host.folder / "tmp"), log, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """The certificates, as variables."""
        names = {
            key: f"DASK_{key.upper().replace('.', '__').replace('-', '_')}"
            for key in self.certificates
        }
        return {names[key]: value for key, value in self.certificates.items()}

    def client(self) -> Client:
        """Connect to the scheduler, beside the code under test."""
        return Client(self.address, timeout=60, set_as_default=False)

    def _command(self, threads: int, folder: Path) -> list[str]:
        program = [sys.executable, "-m", "dask", "worker", self.address, *WORKER]
        return [*program, "--nthreads", f"{threads}", "--local-directory", str(folder)]


@contextmanager
def dask_cluster(folder: Path, host: str = LOOPBACK, **environment: str) -> Iterator[DaskCluster]:
    """Start a scheduler without workers; this process has the certificates while it runs.

    Args:
        folder: an empty one, which workers on other hosts see too.
        host: the address where it listens.
        environment: what else the scheduler has.
    """
    folder.mkdir(exist_ok=True)
    port = free_port()
    cluster = DaskCluster(folder, f"tls://{host}:{port}", _certificates(folder))
    options = ["--host", host, "--port", f"{port}", "--no-dashboard", "--protocol", "tls"]
    cluster.scheduler = Server(
        name="Dask's scheduler",
        command=[sys.executable, "-m", "dask", "scheduler", *options],
        log=folder / "scheduler.log",
        answers=lambda: listens(host, port),
        ended_by=Signals.SIGKILL,
        environment=without_settings() | cluster.environment | {"HOME": str(folder)} | environment,
    )
    with running([cluster.scheduler]), dask.config.set(cluster.certificates):
        try:
            yield cluster
        finally:
            for worker in cluster.workers:
                worker.kill()
                worker.wait()


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
