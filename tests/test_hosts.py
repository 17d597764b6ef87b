"""The tests' own hosts: that they are as far from each other as machines are."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.servers.hosts import Network, network_of
from tests.servers.waiting import wait_for

# Hosts of the same names are made for the tests of this group.
pytestmark = pytest.mark.xdist_group("hosts")

SENDS = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    while True:
        connection.send(b".")
        time.sleep(0.05)
"""


@pytest.fixture
def network(tmp_path: Path):
    with network_of(tmp_path, "north", "south") as network:
        yield network


def test_a_host_has_a_name_an_address_and_a_folder_of_its_own(network: Network, tmp_path: Path):
    (tmp_path / "north" / "its own").touch()
    told = {}
    for name, host in network.hosts.items():
        script = "hostname; echo $HOME; ls ../north"
        assert host.popen(["sh", "-c", script], tmp_path / name / "log").wait() == 0
        told[name] = (tmp_path / name / "log").read_text().splitlines()
    assert [lines[1] for lines in told.values()] == [str(tmp_path / name) for name in told]
    if network.apart:
        assert [lines[0] for lines in told.values()] == ["north", "south"]
        assert [len(lines) for lines in told.values()] == [5, 2]
        assert network.folders == [tmp_path / "north", tmp_path / "south"]
        see = network["north"].popen(["ls", network.same], tmp_path / "log")
        assert see.wait() == 0
        assert (tmp_path / "log").read_text().splitlines() == told["north"][2:]
        assert len({network.address, *(host.address for host in network.hosts.values())}) == 3


def test_a_host_that_is_cut_off_is_silent_until_it_is_joined_again(
    network: Network, tmp_path: Path
):
    north = network["north"]
    with socket.create_server((network.address, 0)) as server:
        port = str(server.getsockname()[1])
        sender = north.popen(["python3", "-c", SENDS, network.address, port], tmp_path / "log")
        connection, _ = server.accept()
    with connection:
        assert connection.recv(1) == b"."
        north.cut()
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            _receive(connection)
        north.join()
        connection.settimeout(60)
        assert connection.recv(1) == b"."
        north.kill()
        assert sender.wait() == -9


def _receive(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def test_hosts_reach_each_other(network: Network, tmp_path: Path):
    waits = "import socket, sys; socket.create_server((sys.argv[1], 0))"
    south = network["south"]
    assert south.popen(["python3", "-c", waits, south.address], tmp_path / "log").wait() == 0
    asks = "import errno, socket, sys; sys.exit(socket.socket().connect_ex((sys.argv[1], 9)))"
    north = network["north"].popen(["python3", "-c", asks, south.address], tmp_path / "log")
    assert north.wait() == 111  # refused: somebody has answered


def test_what_a_killed_host_has_started_is_killed_too(network: Network, tmp_path: Path):
    lock = tmp_path / "north" / "lock"
    script = f"setsid flock {lock} sh -c 'echo locked; sleep 1000' & wait"
    network["north"].popen(["sh", "-c", script], tmp_path / "log")
    wait_for("it has begun", lambda: (tmp_path / "log").read_text() or None)
    assert subprocess.run(["flock", "--nonblock", lock, "true"], check=False).returncode == 1
    network["north"].kill()
    assert subprocess.run(["flock", "--nonblock", lock, "true"], check=False).returncode == 0
