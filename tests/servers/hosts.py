"""Hosts of the tests' own: Linux namespaces on one switch, each with a folder that only it sees.

The test itself is on that switch too, at `Network.address`: a server that listens there is reached
by all hosts, and a link that is cut is silent at both ends, as a cable that was pulled out. Where
namespaces are not permitted, hosts are plain processes on the loopback; they cannot be cut off.

All of it ends with the process that has made it, however that ends, but for what the processes of
hosts have started themselves: that ends with the block.
"""

import ipaddress
import os
import shutil
import signal
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.servers.environment import without_settings
from tests.servers.ports import LOOPBACK
from tests.servers.waiting import wait_for

# By this name in their environment a host's processes are known.
MARK = "HOST_OF_THE_TESTS"

# Among the folders of hosts, the path at which each sees its own.
SAME = "same"

NOT_PERMITTED = "network namespaces are not permitted here (they need root and Debian's iproute2)"

Words = Sequence[str | Path]


@dataclass(frozen=True)
class Host:
    """A machine: an address, a name, a home and temporary files of its own.

    Attributes:
        name: of the host, also what its processes call it.
        address: where the other hosts and the test reach it.
        folder: its own, which the other hosts see empty.
        within: what runs a command on it; nothing where it is not apart.
        port: what runs `ip` at the switch.
    """

    name: str
    address: str
    folder: Path
    within: tuple[str, ...]
    port: tuple[str, ...]

    def popen(
        self,
        command: Words,
        log: Path,
        environment: Mapping[str, str] | None = None,
        where: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process on the host, and return it.

        Args:
            command: its words.
            log: the file that what it says is added to.
            environment: what it has beside this process's own without any settings.
            where: the folder that it is started in, its own if left out.
        """
        start_in = where or self.folder
        enter = [*self.within, f"--wdns={start_in}"] if self.within else []
        own = {"HOME": str(self.folder), "TMPDIR": str(self.folder / "tmp"), MARK: self._mark}
        with log.open("a") as output:
            return subprocess.Popen(
                # The signal ends it where the tests are killed and no block ends.
                ["setpriv", "--pdeathsig", "KILL", *enter, *command],
                cwd=None if self.within else start_in,
                env=without_settings() | own | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def cut(self) -> None:
        """Pull out its cable; skip the test where the host is not apart."""
        self._set_link("down")

    def join(self) -> None:
        """Plug its cable in again."""
        self._set_link("up")

    def kill(self) -> None:
        """End all of its processes at once, as where it loses power."""

        def killed() -> bool | None:
            found = [pid for pid in _processes() if self.runs(pid)]
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found or None

        # Again, because of those that were started meanwhile.
        wait_for(f"{self.name} has no process left", killed)

    def runs(self, pid: int) -> bool:
        """Tell whether a process, which may have ended, is one of the host's."""
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"{MARK}={self._mark}".encode() in environment.split(b"\0")

    @property
    def _mark(self) -> str:
        return f"{self.name} {self.folder}"

    def _set_link(self, state: str) -> None:
        if not self.port:
            pytest.skip(NOT_PERMITTED)
        _run([*self.port, "link", "set", self.name, state])


@dataclass(frozen=True)
class Network:
    """Hosts that reach each other.

    Attributes:
        address: where they reach the test's own process.
        hosts: by name.
        same: the path at which each of them sees its own folder; where they are not apart, a
            folder that they share.
        apart: whether each is in namespaces of its own.
    """

    address: str
    hosts: Mapping[str, Host]
    same: Path
    apart: bool

    @property
    def folders(self) -> list[Path]:
        """What the hosts see at the same path, to be filled from outside."""
        return [host.folder for host in self.hosts.values()] if self.apart else [self.same]

    def __getitem__(self, name: str) -> Host:
        """Return a host."""
        return self.hosts[name]


@contextmanager
def network_of(folder: Path, *names: str) -> Iterator[Network]:
    """Make hosts, and end them and their processes afterwards.

    Args:
        folder: for a folder of each.
        names: of the hosts, of at most 15 letters and digits.
    """
    for name in names:
        (folder / name / "tmp").mkdir(parents=True)
    (folder / SAME).mkdir()
    with ExitStack() as stack:
        made = _joined(stack, folder, names) if permitted() else _not_apart(folder, names)
        for host in made.hosts.values():
            stack.callback(host.kill)
        yield made


@cache
def permitted() -> bool:
    """Tell whether this user may make namespaces.

    Not where the environment says WITHOUT_NAMESPACES=1, so that the other way can be tried too.
    """
    if not shutil.which("ip") or os.environ.get("WITHOUT_NAMESPACES"):
        return False
    command = ["unshare", "--net", "--uts", "--mount", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _not_apart(folder: Path, names: Sequence[str]) -> Network:
    warnings.warn(f"Hosts are plain processes: {NOT_PERMITTED}.", stacklevel=4)
    hosts = {name: Host(name, LOOPBACK, folder / name, (), ()) for name in names}
    return Network(LOOPBACK, hosts, folder / SAME, apart=False)


def _joined(stack: ExitStack, folder: Path, names: Sequence[str]) -> Network:
    """Make the switch, and join this process and each host to it."""
    # A range that is kept for tests of networks (RFC 2544); each process has a part of its own.
    number = os.getpid()
    subnet = ipaddress.ip_network(
        (int(ipaddress.ip_address("198.18.0.0")) + number % 512 * 256, 24)
    )
    addresses = map(str, subnet.hosts())

    switch = _namespace(stack)
    at_switch = (*_enter(switch, "net"), "ip")
    _run([*at_switch, "link", "add", "switch", "type", "bridge"])
    _run([*at_switch, "link", "set", "switch", "up"])

    address, end = next(addresses), f"tests{number}"
    _join(at_switch, switch, end, "tests", ("ip",), f"{address}/{subnet.prefixlen}")
    # By itself it goes with the switch, but a moment later.
    stack.callback(_run, ["ip", "link", "delete", end])
    hosts = {}
    for name in names:
        own = next(addresses)
        within = _host(stack, folder, name, names)
        on_host = (*within, "ip")
        _run([*on_host, "link", "set", "lo", "up"])
        _join(at_switch, switch, "cable", name, on_host, f"{own}/{subnet.prefixlen}")
        hosts[name] = Host(name, own, folder / name, within, at_switch)
    return Network(address, hosts, folder / SAME, apart=True)


def _host(stack: ExitStack, folder: Path, name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Make a host, on no network yet.

    Args:
        stack: that ends it.
        folder: that has a folder of each host.
        name: of the host.
        names: of all hosts, whose folders it is not to see.

    Returns:
        What runs a command on it.
    """
    within = _enter(_namespace(stack), "net", "uts", "mount")
    _run([*within, "hostname", name])
    _run([*within, "mount", "--bind", folder / name, folder / SAME])
    for other in set(names) - {name}:
        _run([*within, "mount", "-t", "tmpfs", "-o", "ro,size=4k", "none", folder / other])
    return within


def _join(at_switch: Words, switch: int, end: str, port: str, there: Words, address: str) -> None:
    """Lay a cable to the switch.

    Args:
        at_switch: what runs `ip` there.
        switch: its process.
        end: the name of the cable's other end.
        port: of the switch's.
        there: what runs `ip` at the other end.
        address: of the other end, with the length of its network's prefix.
    """
    _run([*there, "link", "add", end, "type", "veth", "peer", port, "netns", f"{switch}"])
    _run([*there, "address", "add", address, "dev", end])
    _run([*at_switch, "link", "set", port, "master", "switch", "up"])
    _run([*there, "link", "set", end, "up"])


def _namespace(stack: ExitStack) -> int:
    """Return a process that is in namespaces of its own until the stack is closed."""
    keeps = ["unshare", "--net", "--uts", "--mount", "sh", "-c", "echo made; exec sleep infinity"]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *keeps],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout
    with process.stdout as said:
        assert said.readline() == b"made\n"
    return process.pid


def _enter(process: int, *kinds: str) -> tuple[str, ...]:
    """Return what runs a command in the namespaces of a process."""
    return ("nsenter", f"--target={process}", *(f"--{kind}" for kind in kinds))


def _run(command: Words) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
