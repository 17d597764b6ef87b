"""Every trial, one after the other; a table of what was done, and what did not hold."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from upath import UPath

from demo.world import World
from soak import faults, full_disk, kills
from soak.month import (
    BrokenPromiseError,
    Place,
    Result,
    check_same,
    folder_in,
    make_world,
    of_bucket,
    of_database,
    of_folders,
    of_world,
    prefect_server,
    put_imagery,
    put_polygons,
    result,
)
from tests.servers.postgis import new_database, postgis_server
from tests.servers.swift import Bucket, new_bucket, swift_server

# Seconds.
AWAY = 60
STALL = 65

RATE = 0.2


@dataclass(frozen=True)
class Ground:
    """Where the trials are run.

    Attributes:
        here: months on this machine's disk.
        there: months in a bucket.
        bucket: that bucket.
        wanted: what an undisturbed month makes.
        seconds: that it takes, once Python has started.
    """

    here: Place
    there: Place
    bucket: Bucket
    wanted: Result
    seconds: float

    def kills(self, count: int) -> dict[str, object]:
        """Kill months."""
        return kills.kill_months(self.here, self.wanted, self.seconds, count).counts()

    def stops(self, count: int) -> dict[str, object]:
        """Ask months to end, as a service manager or a cancelling worker does."""
        return kills.kill_months(
            self.here, self.wanted, self.seconds, count, signal.SIGTERM
        ).counts()

    def faults(self) -> dict[str, object]:
        """Let a fifth of all answers be faulty."""
        return faults.faulty_month(
            self.there, self.bucket, self.wanted, rate_s3=RATE, rate_database=RATE, stall=STALL
        ).counts

    def no_bucket(self) -> dict[str, object]:
        """Let all answers of the bucket be faulty."""
        return faults.faulty_month(self.there, self.bucket, None, rate_s3=1, stall=STALL).counts

    def no_database(self) -> dict[str, object]:
        """Let all connections to the database be faulty."""
        return faults.faulty_month(
            self.there, self.bucket, None, rate_database=1, stall=STALL
        ).counts

    def away(self) -> dict[str, object]:
        """Take the database away for a while."""
        return faults.database_away(self.here, self.wanted, AWAY).counts

    def no_api(self) -> dict[str, object]:
        """Take the Prefect server away for a while."""
        return faults.api_away(self.here, self.wanted, AWAY).counts

    def full_work(self) -> dict[str, object]:
        """Fill the disk of the work folder."""
        return full_disk.counts(full_disk.fill_work(self.here, self.wanted))

    def full_results(self) -> dict[str, object]:
        """Fill the disk of the results."""
        return full_disk.counts(full_disk.fill_results(self.here, self.wanted))


def main() -> int:
    """Run the trials that are asked for; return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description="Try what the package promises, for an hour.")
    parser.add_argument("trials", nargs="*", help="such as kills or faults; all if left out")
    parser.add_argument("--kills", type=int, default=50, help="how many (50)")
    options = parser.parse_args()
    # So that all servers and disks are tidied up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with TemporaryDirectory(prefix="soak-") as folder, prepared(Path(folder)) as ground:
        trials: dict[str, Callable[[], dict[str, object]]] = {
            "kills": lambda: ground.kills(options.kills),
            "stops": lambda: ground.stops(options.kills // 5),
            "faults": ground.faults,
            "no_bucket": ground.no_bucket,
            "no_database": ground.no_database,
            "away": ground.away,
            "no_api": ground.no_api,
            "full_work": ground.full_work,
            "full_results": ground.full_results,
        }
        wrong = [name for name in options.trials or trials if not _try(name, trials[name])]
    print(f"Broken: {', '.join(wrong)}." if wrong else "Every promise held.")
    return 1 if wrong else 0


def _try(name: str, trial: Callable[[], Mapping[str, object]]) -> bool:
    started = time.monotonic()
    try:
        counts = trial()
    except BrokenPromiseError as error:
        print(f"\n{name}: BROKEN after {time.monotonic() - started:.0f} s: {error}\n", flush=True)
        return False
    print(f"\n| {name} | {time.monotonic() - started:.0f} s |\n| --- | --- |")
    print("\n".join(f"| {what} | {count} |" for what, count in counts.items()), flush=True)
    return True


@contextmanager
def prepared(folder: Path) -> Iterator[Ground]:
    """Start the servers and run the undisturbed months."""
    world = make_world(folder / "world")
    number = uuid4().hex
    for name in ("prefect", "here", "there"):
        (folder / name).mkdir()
    with (
        prefect_server(folder / "prefect") as api,
        postgis_server() as server,
        new_database(server, f"soak_here_{number}") as near,
        new_database(server, f"soak_there_{number}") as far,
        swift_server() as s3,
        new_bucket(s3, f"soak-{number}") as bucket,
    ):
        for database in (near, far):
            put_polygons(world, database)
        data = folder / "here" / "data"
        here = Place(
            folder=folder / "here",
            settings=of_world(world) | of_database(near) | of_folders(data),
            api=api,
            data=UPath(data),
            database=near,
        )
        there = Place(
            folder=folder / "there",
            settings=in_bucket(world, bucket) | of_database(far),
            api=api,
            data=folder_in(bucket, "data"),
            database=far,
        )
        here.must_run()
        wanted = result(here)
        there.must_run()
        check_same(result(there), wanted)
        yield Ground(here, there, bucket, wanted, here.seconds())


def in_bucket(world: World, bucket: Bucket) -> dict[str, str]:
    """Put the imagery into a bucket; return the settings of a month there."""
    imagery = put_imagery(world, bucket)
    return (
        of_world(world)
        | of_bucket(bucket)
        | of_folders(f"{bucket.url}/data")
        | {"PLANET_MOSAIC_DIR": imagery}
    )


if __name__ == "__main__":
    sys.exit(main())
