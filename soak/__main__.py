"""Every trial, one after the other; a table of what was done, and what did not hold."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import uuid4

from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_aws import AwsClientParameters, AwsCredentials
from upath import UPath

from demo.world import World
from soak.disturbances import (
    Disturbance,
    cut,
    disturb_months,
    filled,
    slowed,
    small_disk,
    stopped,
)
from soak.faults import faulty_month
from soak.kills import kill_months
from soak.month import (
    BrokenPromiseError,
    Place,
    folder_in,
    make_world,
    of_world,
    place_of,
    prefect_server,
    put_imagery,
    put_polygons,
)
from soak.proxy import Proxy, proxy
from soak.results import Memory, Result, check_same, put_back, remember, result
from tasks.access.blocks import BLOCK
from tests.servers import postgis, swift
from tests.servers.dask import DaskCluster, dask_cluster
from tests.servers.environment import of_bucket, of_database, of_folders
from tests.servers.process import Server

# Seconds.
AWAY = 60
SHORT = 2
STALL = 65

# How many seconds of a month answers are slow.
SLOW = 10

RATE = 0.2

# Another forest's, so that old files are not those of the month that is tried.
OLD = ("--trees", "5", "--folds", "2")

# PostgreSQL's smart, fast and immediate shutdown.
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT

# What is printed of a trial: the rows of a table.
Table = Mapping[str, object]


@dataclass(frozen=True)
class Site:
    """Where a kind of months is run.

    Attributes:
        place: its folders and servers.
        old: an earlier month, over which each is run.
        seconds: that an undisturbed one takes, once Python has started.
    """

    place: Place
    old: Memory
    seconds: float


@dataclass(frozen=True)
class Ground:
    """Where the trials are run.

    Attributes:
        here: months on this machine's disk.
        there: months in a bucket.
        bucket: that bucket.
        servers: of each service, by name.
        wanted: what an undisturbed month makes.
        scale: how often each thing is done; 1 is the full size.
    """

    here: Site
    there: Site
    bucket: swift.Bucket
    servers: Mapping[str, Sequence[Server]]
    wanted: Result
    scale: float

    def trials(self) -> dict[str, Callable[[], Iterator[tuple[str, Table]]]]:
        """Return all trials by name; each yields what was done and what came of it."""
        return {
            "kills": self.kills,
            "stops": self.stops,
            "restarts": self.restarts,
            "away": self.away,
            "cuts": self.cuts,
            "slow": self.slow,
            "disks": self.disks,
            "faults": self.faults,
            "unreachable": self.unreachable,
            "cluster": self.cluster,
        }

    def kills(self) -> Iterator[tuple[str, Table]]:
        """Kill months."""
        yield "killed", self._kill(50, signal.SIGKILL)

    def stops(self) -> Iterator[tuple[str, Table]]:
        """Ask months to end, as a service manager or a cancelling worker does."""
        yield "asked to end", self._kill(10, signal.SIGTERM)

    def restarts(self) -> Iterator[tuple[str, Table]]:
        """Restart each service."""
        for how, by in {"fast": FAST, "immediate": IMMEDIATE}.items():
            yield self._stop(f"database, {how} restart", ["database"], SHORT, 3, by)
        for name in ("bucket", "API"):
            yield self._stop(f"{name}, restart", [name], SHORT, 3)

    def away(self) -> Iterator[tuple[str, Table]]:
        """Take each service away for a minute, and then all at once."""
        for names in (["database"], ["bucket"], ["API"], list(self.servers)):
            yield self._stop(f"{', '.join(names)} away for {AWAY} s", names, AWAY, 1)

    def cuts(self) -> Iterator[tuple[str, Table]]:
        """Cut all open connections."""
        for name in self.servers:
            with self._before(name) as (site, before):
                cutting = Disturbance(partial(cut, before), 0)
                yield self._disturb(f"{name}, connections cut", site, cutting, 3)

    def slow(self) -> Iterator[tuple[str, Table]]:
        """Let all answers be slow for a while."""
        for name in self.servers:
            with self._before(name) as (site, before):
                slowing = Disturbance(partial(slowed, before), SLOW)
                yield self._disturb(f"{name}, slow for {SLOW} s", site, slowing, 2)

    def disks(self) -> Iterator[tuple[str, Table]]:
        """Fill the disk of the work folder, and that of the results."""
        place = self.here.place
        work = {"WORK_DIR": str(place.folder / "small work")}
        yield self._fill("full disk of the work folder", "small work", work, place.data)
        small = UPath(place.folder / "small results")
        results = of_folders(small) | {"WORK_DIR": place.settings["WORK_DIR"]}
        yield self._fill("full disk of the results", small.name, results, small)

    def faults(self) -> Iterator[tuple[str, Table]]:
        """Let a fifth of all answers be faulty."""
        yield "a fifth of all answers faulty", self._faulty(self.wanted, RATE, RATE)

    def unreachable(self) -> Iterator[tuple[str, Table]]:
        """Let all answers of a service be faulty."""
        yield "all answers of the bucket faulty", self._faulty(None, 1, 0)
        yield "all connections to the database faulty", self._faulty(None, 0, 1)

    def cluster(self) -> Iterator[tuple[str, Table]]:
        """Take the Prefect server away while windows are on a Dask cluster, and its workers too."""
        place = self.there.place
        with dask_cluster(place.folder / "dask") as cluster:
            with temporary_settings({PREFECT_API_URL: place.api}):
                block_of(self.bucket.server).save(BLOCK, overwrite=True)
            start_workers(cluster)
            settings = {"DASK_SCHEDULER": cluster.address, **cluster.environment}
            on_cluster = replace(place, settings={**place.settings, **settings})
            site = replace(self.there, place=on_cluster)
            servers = self.servers["API"]
            away = Disturbance(partial(stopped, servers), AWAY)
            yield self._disturb(f"on Dask, API away for {AWAY} s", site, away, 2)
            both = Disturbance(partial(renewed, cluster, servers), AWAY)
            yield self._disturb(f"on Dask, API away for {AWAY} s, other workers", site, both, 3)

    def _times(self, count: int) -> int:
        return max(1, round(count * self.scale))

    def _kill(self, count: int, by: signal.Signals) -> Table:
        site = self.here
        return kill_months(
            site.place, site.old, self.wanted, site.seconds, self._times(count), [by]
        ).counts()

    def _stop(
        self,
        what: str,
        names: Sequence[str],
        seconds: float,
        count: int,
        by: signal.Signals | None = None,
    ) -> tuple[str, Table]:
        servers = [server for name in names for server in self.servers[name]]
        site = self.there if "bucket" in names else self.here
        stopping = Disturbance(partial(stopped, servers, by), seconds)
        return self._disturb(what, site, stopping, count)

    def _fill(
        self, what: str, folder: str, settings: Mapping[str, str], data: UPath
    ) -> tuple[str, Table]:
        place = self.here.place
        with small_disk(place.folder / folder) as disk:
            small = replace(place, settings={**place.settings, **settings}, data=data)
            site = replace(self.here, place=small, old=_old(small))
            filling = Disturbance(partial(filled, disk), None, heals=False)
            told = self._disturb(what, site, filling, 4)
        put_back(place, self.here.old)
        return told

    def _faulty(self, wanted: Result | None, rate_s3: float, rate_database: float) -> Table:
        put_back(self.there.place, self.there.old)
        return faulty_month(
            self.there.place,
            self.bucket,
            wanted,
            rate_s3=rate_s3,
            rate_database=rate_database,
            stall=STALL,
        ).counts

    def _disturb(
        self, what: str, site: Site, disturbance: Disturbance, count: int
    ) -> tuple[str, Table]:
        times = self._times(count)
        done = disturb_months(
            site.place, site.old, self.wanted, site.seconds, disturbance, times, seed=what
        )
        return what, done.counts()

    @contextmanager
    def _before(self, name: str) -> Iterator[tuple[Site, Proxy]]:
        """Put a proxy before a service; yield where months are run through it."""
        site = self.there if name == "bucket" else self.here
        place = site.place
        addresses = {
            "database": f"http://{place.database.host}:{place.database.port}",
            "bucket": self.bucket.server.endpoint,
            "API": place.api,
        }
        port = urlsplit(addresses[name]).port
        assert port
        with proxy(port, http=name == "bucket") as before:
            settings = {
                "database": of_database(place.database, before.port),
                "bucket": of_bucket(self.bucket.server, before.endpoint),
                "API": {},
            }[name]
            api = place.api.replace(str(port), str(before.port)) if name == "API" else place.api
            through = replace(place, settings={**place.settings, **settings}, api=api)
            yield replace(site, place=through), before


def main() -> int:
    """Run the trials that are asked for; return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description="Try what the package promises.")
    parser.add_argument("trials", nargs="*", help="such as kills or away; all if left out")
    parser.add_argument(
        "--scale", type=float, default=1, help="how often each thing is done: 0.1 is a tenth"
    )
    options = parser.parse_args()
    # So that all servers and disks are tidied up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.monotonic()
    with TemporaryDirectory(prefix="soak-") as folder, prepared(Path(folder), options.scale) as on:
        trials = on.trials()
        wrong = [name for name in options.trials or trials if not _try(name, trials[name])]
    print(f"\n{(time.monotonic() - started) / 60:.0f} minutes in all.")
    print(f"Broken: {', '.join(wrong)}." if wrong else "Every promise held.")
    return 1 if wrong else 0


def _try(name: str, trial: Callable[[], Iterator[tuple[str, Table]]]) -> bool:
    started = time.monotonic()
    try:
        for what, counts in trial():
            print(f"\n| {what} | {time.monotonic() - started:.0f} s |\n| --- | --- |")
            print("\n".join(f"| {row} | {count} |" for row, count in counts.items()), flush=True)
            started = time.monotonic()
    except BrokenPromiseError as error:
        print(f"\n{name}: BROKEN after {time.monotonic() - started:.0f} s: {error}\n", flush=True)
        return False
    return True


def start_workers(cluster: DaskCluster) -> None:
    """Start two workers, and wait until they have found the scheduler."""
    for _ in range(2):
        cluster.start_worker()
    with cluster.client() as client:
        client.wait_for_workers(len(cluster.workers))


@contextmanager
def renewed(cluster: DaskCluster, servers: Sequence[Server]) -> Iterator[None]:
    """Stop servers, and let workers that have never been asked take the place of the others."""
    with stopped(servers):
        for worker in cluster.workers:
            worker.kill()
            worker.wait()
        cluster.workers.clear()
        start_workers(cluster)
        yield


def block_of(server: swift.S3Server) -> AwsCredentials:
    """Return the block that workers take the bucket's credentials from."""
    return AwsCredentials(
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        region_name=server.region,
        aws_client_parameters=AwsClientParameters(endpoint_url=server.endpoint),
    )


@contextmanager
def prepared(folder: Path, scale: float = 1) -> Iterator[Ground]:
    """Start the servers and run the undisturbed months."""
    world = make_world(folder / "world")
    number = uuid4().hex
    for name in ("prefect", "here", "there"):
        (folder / name).mkdir()
    with ExitStack() as running:
        api, prefect = running.enter_context(prefect_server(folder / "prefect"))
        url, database = running.enter_context(postgis.own_server())
        near, far = (
            running.enter_context(postgis.new_database(url, f"soak_{name}_{number}"))
            for name in ("here", "there")
        )
        s3, storage = running.enter_context(swift.own_servers())
        bucket = running.enter_context(swift.new_bucket(s3, f"soak-{number}"))
        for each in (near, far):
            put_polygons(world, each)
        data = UPath(folder / "here" / "data")
        here = _site(place_of(folder / "here", world, near, data, api))
        wanted = result(here.place)
        there = _site(
            Place(
                folder=folder / "there",
                settings=in_bucket(world, bucket) | of_database(far),
                api=api,
                data=folder_in(bucket, "data"),
                database=far,
            )
        )
        check_same(result(there.place), wanted)
        servers = {"database": [database], "bucket": storage, "API": [prefect]}
        yield Ground(here, there, bucket, servers, wanted, scale)


def _site(place: Place) -> Site:
    """Run two undisturbed months, the first one to be remembered."""
    old = _old(place)
    place.must_run()
    return Site(place, old, place.seconds())


def _old(place: Place) -> Memory:
    replace(place, options=OLD).must_run()
    return remember(place)


def in_bucket(world: World, bucket: swift.Bucket) -> dict[str, str]:
    """Put the imagery into a bucket; return the settings of a month there."""
    imagery = put_imagery(world, bucket)
    return (
        of_world(world)
        | of_bucket(bucket.server)
        | of_folders(f"{bucket.url}/data")
        | {"PLANET_MOSAIC_DIR": imagery}
    )


if __name__ == "__main__":
    sys.exit(main())
