"""A month as a user runs it: one command in a folder, and what it leaves behind."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import geopandas
from sqlalchemy import URL, create_engine
from upath import UPath

from demo.world import World, build_world
from landcover.files import file_name
from landcover.period import Period
from tests.servers.environment import of_database, of_folders, without_settings
from tests.servers.ports import free_port
from tests.servers.process import Server, running
from tests.servers.swift import Bucket

ROOT = Path(__file__).parents[1]
YEAR, MONTH = 2025, 6
MAP, CONFIDENCE = (file_name(what, Period(YEAR, MONTH)) for what in ("map", "confidence"))

# A small forest: what is tried out is not its accuracy.
FEW = ("--trees", "20", "--folds", "2")

# Seconds. Only a run that hangs takes as long.
LIMIT = 1800

_NUMBER = re.compile(r"[\d.]+")

_STEP = re.compile(r"(?:Task run '|Flow run '[^']*' - )([A-Za-z ]*[A-Za-z])")


class BrokenPromiseError(Exception):
    """A promise of the package does not hold."""


def make_world(folder: Path, size: int = 1536) -> World:
    """Make a landscape whose months are nine windows, or fewer if it is smaller."""
    return build_world(folder, size=size, quad_size=512)


def put_polygons(world: World, database: URL, most: int | None = None) -> None:
    """Put the training polygons, or so many of each class, into the table `polygons`."""
    engine = create_engine(database)
    drawn = geopandas.read_file(world.polygons).rename_geometry("geom")
    drawn = drawn.groupby(["month", "class_label"]).head(most or len(drawn))
    drawn.to_postgis("polygons", engine, if_exists="replace")
    engine.dispose()


def put_imagery(world: World, bucket: Bucket) -> str:
    """Put the month's quads into a bucket; return the folder of all months."""
    files = bucket.filesystem
    for quad in (world.mosaic_dir / f"{YEAR}" / f"{MONTH:02d}").glob("*.tif"):
        files.put_file(str(quad), f"{bucket.name}/nicfi/{YEAR}/{MONTH:02d}/{quad.name}")
    return f"{bucket.url}/nicfi"


def folder_in(bucket: Bucket, name: str) -> UPath:
    """Return a folder in a bucket, to be read past all proxies."""
    return UPath(
        f"{bucket.url}/{name}",
        key=bucket.server.key,
        secret=bucket.server.secret,
        client_kwargs={"endpoint_url": bucket.server.endpoint},
        use_listings_cache=False,
    )


@contextmanager
def prefect_server(folder: Path) -> Iterator[tuple[str, Server]]:
    """Start a Prefect server for all months; yield the address of its API, and the server."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    environment = without_settings() | {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    server = Server(
        "the Prefect server",
        ["setpriv", "--pdeathsig", "TERM", *command],
        folder / "server.log",
        lambda: _answers(f"{address}/health"),
        # It ends those that it has started.
        signal.SIGTERM,
        environment,
    )
    with running([server]):
        yield address, server


def _answers(address: str) -> bool:
    """Tell whether a server answers."""
    try:
        with closing(urllib.request.urlopen(address, timeout=60)):  # noqa: S310
            return True
    except OSError:
        return False


@dataclass(frozen=True)
class Place:
    """Where months are run.

    Attributes:
        folder: the working folder.
        settings: of the month.
        api: the Prefect server's.
        data: where results and work go: a folder, or one in a bucket.
        database: the real one, past all proxies.
        options: of the command.
    """

    folder: Path
    settings: Mapping[str, str]
    api: str
    data: UPath
    database: URL
    options: tuple[str, ...] = FEW

    @property
    def log(self) -> Path:
        """What the last run said."""
        return self.folder / "log"

    @property
    def maps(self) -> UPath:
        """The folder of the maps."""
        return self.data / "predictions"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the month's command."""
        command = [sys.executable, ROOT / "flows" / "monthly.py", "--year", YEAR, "--month", MONTH]
        environment = without_settings() | {
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "1000",
        }
        with self.log.open("w") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, (*command, *self.options))],
                cwd=self.folder,
                env={**environment, **self.settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self) -> int:
        """Run the month to its end; return its exit status."""
        with ended(self.start()) as process:
            return process.wait(timeout=LIMIT)

    def must_run(self) -> float:
        """Run the month, which has to succeed; return its seconds since it began."""
        with ended(self.start()) as process:
            self.wait_for_begin(process)
            began = time.monotonic()
            status = process.wait(timeout=LIMIT)
        check(status == 0, f"the month ended with {status}:\n{self.said()}")
        return time.monotonic() - began

    def wait_for_begin(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a run says its first words: what comes before is Python's start."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end and process.poll() is None and not self.said():
            time.sleep(0.05)

    def said(self) -> str:
        """Return what the last run said."""
        return self.log.read_text(errors="replace")

    def seconds(self) -> float:
        """Return what the last run says that its steps took: less than its process did."""
        told = self.said().rpartition("seconds: ")[2]
        return sum(float(number) for number in _NUMBER.findall(told))

    def step(self) -> str:
        """Return the step that the last run has last told of."""
        # What it says once it is asked to end is not a step.
        told = _STEP.findall(self.said().partition("Crash detected")[0])
        return told[-1].lower() if told else "begin"

    def retries(self) -> int:
        """Return how often a task of the last run was tried again."""
        return self.said().count("Retry ")


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a month with the block, however the block ends."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def place_of(folder: Path, world: World, database: URL, data: UPath, api: str = "") -> Place:
    """Return where months with their imagery on this machine are run.

    Args:
        folder: the working folder.
        world: their imagery, area and polygons.
        database: of their polygons and rows.
        data: the folder of results and work, on this machine or in a bucket.
        api: the Prefect server's; it may be left out where no command is started.
    """
    settings = of_world(world) | of_database(database) | of_folders(data)
    return Place(folder=folder, settings=settings, api=api, data=data, database=database)


def of_world(world: World) -> dict[str, str]:
    """Return the settings of imagery on this machine, its area and its polygons."""
    return {
        "PLANET_MOSAIC_DIR": str(world.mosaic_dir),
        "MOSAIC_PATTERN": world.mosaic_pattern,
        "AOI_DEFINITION": str(world.aoi),
        "TRAINING_POLYGON_TABLE": "polygons",
        "TRAINING_POLYGON_GEOM_COL": "geom",
        "TRAINING_POLYGON_CLASS_COL": "class_label",
        "TRAINING_POLYGON_ID_COL": "id",
        "TRAINING_POLYGON_MONTH_COL": "month",
    }


def check_failure(place: Place, status: int) -> str:
    """Make sure that a run has failed as it should, in one sentence; return that."""
    said = place.said()
    told = [line for line in said.splitlines() if line.startswith("Error: ")]
    check(status == 1, f"it ended with {status}, not 1:\n{said}")
    check(len(told) == 1, f"{len(told)} sentences, not one:\n{said}")
    check("Traceback" not in said, f"a traceback:\n{said}")
    check("not foreseen" not in told[0], f"nobody foresaw this:\n{said}")
    return told[0]


def check(holds: bool, otherwise: str) -> None:
    """Raise what is wrong where something does not hold."""
    if not holds:
        raise BrokenPromiseError(otherwise)
