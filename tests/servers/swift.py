"""An S3 server for the tests: OpenStack Swift, which checks signatures, dates and rights."""

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from tests.servers.ports import LOOPBACK, free_port, listens
from tests.servers.process import Server, running

if TYPE_CHECKING:
    # The proxy imports this module for request_log, and should not wait for botocore.
    from s3fs import S3FileSystem

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Request:
    """A request that the server answered; `length` is the answer's Content-Length, if any."""

    method: str
    path: str
    query: str
    range: str | None
    status: int
    length: int | None


@dataclass(frozen=True)
class S3Server:
    """The server's address, a user who may do everything and one who may read what is let."""

    endpoint: str
    log: Path
    key: str = "test:tester"
    secret: str = "testsecret"
    reader_key: str = "test:reader"
    reader_secret: str = "readersecret"
    region: str = "us-east-1"

    def filesystem(
        self, key: str | None = None, secret: str | None = None, **options: Any
    ) -> "S3FileSystem":
        """Return the server's file system for a user, who is the first one if none is given."""
        from s3fs import S3FileSystem

        return S3FileSystem(
            key=key or self.key,
            secret=secret or self.secret,
            client_kwargs={"endpoint_url": self.endpoint, "region_name": self.region},
            use_listings_cache=False,
            **options,
        )

    def let_read(self, bucket: str) -> None:
        """Let the reader list and read a bucket, but not write to it."""
        login = {"X-Auth-User": self.key, "X-Auth-Key": self.secret}
        answer = _ask("GET", f"{self.endpoint}/auth/v1.0", login)
        token, account = answer["X-Auth-Token"], answer["X-Storage-Url"]
        # Swift's own protocol, as S3's has no way to name the second container: it holds the
        # parts of objects that were uploaded in parts.
        for container in (bucket, f"{bucket}+segments"):
            right = {"X-Auth-Token": token, "X-Container-Read": self.reader_key}
            _ask("PUT", f"{account}/{container}", right)


def _ask(method: str, url: str, headers: dict[str, str]) -> dict[str, str]:
    request = urllib.request.Request(url, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return dict(answer.headers)


@dataclass(frozen=True)
class Bucket:
    """A bucket of the server's first user."""

    name: str
    server: S3Server

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def filesystem(self) -> "S3FileSystem":
        return self.server.filesystem()

    @contextmanager
    def counted(self) -> Iterator[list[Request]]:
        """Yield a list that holds the bucket's requests of the block once the block has ended."""
        requests: list[Request] = []
        log = self.server.log
        before = log.stat().st_size
        yield requests
        with log.open("rb") as noted:
            noted.seek(before)
            # Another bucket's last line may be half written.
            found = [Request(*json.loads(line)) for line in noted if line.endswith(b"\n")]
        requests += [
            request for request in found if f"{request.path}/".startswith(f"/{self.name}/")
        ]


@contextmanager
def new_bucket(server: S3Server, name: str) -> Iterator[Bucket]:
    """Make a bucket, and remove it and what it holds afterwards."""
    bucket = Bucket(name, server)
    bucket.filesystem.mkdir(name)
    try:
        yield bucket
    finally:
        bucket.filesystem.rm(name, recursive=True)


@contextmanager
def swift_server() -> Iterator[S3Server]:
    """Start Swift's four servers on one folder, and stop them and remove it afterwards."""
    with own_servers() as (server, _):
        yield server


@contextmanager
def listening_at(server: S3Server, address: str) -> Iterator[S3Server]:
    """Start another proxy before the same disk, and stop it afterwards.

    Args:
        server: the service.
        address: where the proxy listens.

    Yields:
        The service as it is reached there.
    """
    folder, port = server.log.parent, free_port()
    name = f"proxy-{port}"
    _write_settings(folder, name, "proxy", address, port)
    with running([_server_of(folder, name, "proxy", address, port)]):
        yield replace(server, endpoint=f"http://{address}:{port}")


@contextmanager
def own_servers() -> Iterator[tuple[S3Server, list[Server]]]:
    """Start Swift, as `swift_server` does.

    Yields:
        The service, and its four servers, which can be restarted.
    """
    with tempfile.TemporaryDirectory(prefix="swift-") as made:
        folder = Path(made)
        ports, cache = {name: free_port() for name in SERVERS}, free_port()
        _prepare(folder, ports, cache)
        servers = [_server_of(folder, name, name, LOOPBACK, port) for name, port in ports.items()]
        # The others may be restarted without it.
        with running([_cache(folder, cache)]), running(servers):
            yield S3Server(f"http://{LOOPBACK}:{ports['proxy']}", folder / "requests"), servers


def request_log(global_conf: dict[str, str], **settings: str) -> Callable[..., Any]:
    """Make the proxy's filter that notes each request before its answer goes out."""

    def add_to(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            # Filters below change the path.
            asked = _asked(environ)

            def start_noted(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                with Path(settings["path"]).open("a") as log:
                    log.write(json.dumps([*asked, *_answered(status, headers)]) + "\n")
                return start(status, headers, *rest)

            return application(environ, start_noted)

        return answer

    return add_to


def _asked(environ: dict[str, Any]) -> list[str | None]:
    return [
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
        unquote_plus(environ.get("QUERY_STRING", "")),
        environ.get("HTTP_RANGE"),
    ]


def _answered(status: str, headers: list[tuple[str, str]]) -> list[int | None]:
    length = {name.lower(): value for name, value in headers}.get("content-length")
    return [int(status.split()[0]), None if length is None else int(length)]


SERVERS = ("account", "container", "object", "proxy")

SETTINGS = """
[DEFAULT]
bind_ip = {address}
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/disks
mount_check = false
disable_fallocate = true
workers = 0
log_level = WARNING
"""

STORAGE = """
[pipeline:main]
pipeline = {server}-server

[app:{server}-server]
use = egg:swift#{server}
"""

# Without the cache, account and bucket are looked up for each request, which doubles what it costs.
PROXY = """
[pipeline:main]
pipeline = request_log catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo \
    versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:request_log]
use = call:tests.servers.swift:request_log
path = {folder}/requests

[filter:s3api]
use = egg:swift#s3api
location = us-east-1

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testsecret .admin
user_test_reader = readersecret

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true

[filter:bulk]
use = egg:swift#bulk

[filter:cache]
use = egg:swift#memcache

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:copy]
use = egg:swift#copy

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:listing_formats]
use = egg:swift#listing_formats

[filter:slo]
use = egg:swift#slo

[filter:symlink]
use = egg:swift#symlink
"""

CACHE = """
[memcache]
memcache_servers = {address}:{port}
"""

HASHES = """
[swift-hash]
swift_hash_path_suffix = tests
"""

# In a process of its own, because to import Swift changes how threads and logging work.
RINGS = """
import sys
from swift.common.ring import RingBuilder

folder, *ports = sys.argv[1:]
for server, port in zip(("account", "container", "object"), ports):
    disk = {"region": 1, "zone": 1, "ip": "127.0.0.1", "device": "disk", "weight": 1}
    builder = RingBuilder(part_power=1, replicas=1, min_part_hours=0)
    builder.add_dev(disk | {"port": int(port)})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{server}.ring.gz")
"""


def _prepare(folder: Path, ports: dict[str, int], cache: int) -> None:
    """Write the servers' settings, their rings and the folder of their one disk."""
    disk = folder / "disks" / "disk"
    disk.mkdir(parents=True)
    _demand_attributes(disk)
    (folder / "requests").touch()
    (folder / "swift.conf").write_text(HASHES)
    (folder / "memcache.conf").write_text(CACHE.format(address=LOOPBACK, port=cache))
    for server, port in ports.items():
        _write_settings(folder, server, server, LOOPBACK, port)
    command = [sys.executable, "-c", RINGS, str(folder), *map(str, ports.values())]
    subprocess.run(command, env=_environment(), check=True)


def _write_settings(folder: Path, name: str, kind: str, address: str, port: int) -> None:
    """Write the settings of one server.

    Args:
        folder: of all servers.
        name: of the file.
        kind: which of the four it is.
        address: where it listens.
        port: there.
    """
    text = (SETTINGS + (PROXY if kind == "proxy" else STORAGE)).format(
        folder=folder,
        address=address,
        port=port,
        user=_user(),
        server=kind,
    )
    (folder / f"{name}.conf").write_text(text)


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _environment() -> dict[str, str]:
    # The proxy finds request_log on the path. Half of Swift's time to start goes to the import
    # of eventlet's own name look-up, and everything here is 127.0.0.1.
    return {**os.environ, "PYTHONPATH": str(ROOT), "EVENTLET_NO_GREENDNS": "yes"}


def _demand_attributes(folder: Path) -> None:
    """Swift keeps an object's metadata in extended attributes, some kilobytes of them."""
    try:
        os.setxattr(folder, "user.tests", bytes(2000))
    except OSError as error:
        raise RuntimeError(
            f"{folder} takes no extended attributes, which Swift needs: set TMPDIR to a folder "
            "on ext4, xfs or btrfs."
        ) from error


def _server_of(folder: Path, name: str, kind: str, address: str, port: int) -> Server:
    """Return one of Swift's servers, whose settings are written under a name."""
    program = Path(sys.executable).with_name(f"swift-{kind}-server")
    # The signal ends the server where the tests are killed and no block ends.
    command: list[str | Path] = ["setpriv", "--pdeathsig", "KILL", sys.executable, program]
    return Server(
        f"Swift's {name} server",
        [*command, folder / f"{name}.conf", "-v"],
        folder / f"{name}.log",
        lambda: _answers(address, port),
        signal.SIGKILL,
        _environment(),
    )


def _cache(folder: Path, port: int) -> Server:
    """Return memcached, which the proxies share."""
    command = ["setpriv", "--pdeathsig", "KILL", "memcached", "-u", _user()]
    return Server(
        "memcached",
        [*command, "-l", LOOPBACK, "-p", str(port)],
        folder / "memcached.log",
        lambda: listens(LOOPBACK, port),
        signal.SIGKILL,
    )


def _answers(address: str, port: int) -> bool:
    """Tell whether a server answers, whatever it says."""
    try:
        with closing(HTTPConnection(address, port, timeout=60)) as connection:
            connection.request("GET", "/")
            connection.getresponse()
    except OSError:
        return False
    return True
