"""Faults in each task of a month, at its start, its middle and its end.

When a task is disturbed is told by what it does, never by a clock: an answer that it gets from the
database or the bucket, or a file that it makes, moves or removes. What it does is counted in an
undisturbed month, so that a new task is disturbed like the others.
"""

import functools
import importlib
import os
import pkgutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.retries.standard import ExponentialBackoff
from prefect import Task
from sqlalchemy import URL, create_engine, text
from upath import UPath

import tasks
from demo.world import World
from flows import monthly
from landcover.errors import LandcoverError
from soak.disturbances import BALLAST, fill, small_disk
from soak.events import Events, proxy_apart
from soak.month import (
    Place,
    folder_in,
    place_of,
    put_imagery,
    put_polygons,
)
from soak.proxy import proxy
from soak.results import Result, check_described, check_same, result
from tasks.access import lock, storage
from tests.servers.environment import of_bucket, of_database, of_folders
from tests.servers.postgis import new_database
from tests.servers.swift import Bucket

pytestmark = [pytest.mark.usefixtures("hasty", "small_pictures"), pytest.mark.xdist_group("faults")]

MONTH = ["--year", "2025", "--month", "6", "--folds", "2", "--smallest_patch", "4"]
OLD, NEW = "4", "5"  # trees
POLYGONS = 4  # of each class

# Some of a task's attempts fail for each fault; this is more than all.
RETRIES = 30

Kinds = Mapping[str, Events]


def run(trees: str) -> int:
    return monthly.main([*MONTH, "--trees", trees])


@pytest.fixture(scope="module")
def polygons(landscape: World, postgis: URL) -> Iterator[URL]:
    """A database with training polygons."""
    with new_database(postgis, "faults") as url:
        put_polygons(landscape, url, POLYGONS)
        yield url


@pytest.fixture(scope="module")
def wanted(
    landscape: World, polygons: URL, prefect_api: None, tmp_path_factory: pytest.TempPathFactory
) -> Result:
    """An undisturbed month."""
    folder = tmp_path_factory.mktemp("undisturbed")
    place = place_of(folder, landscape, polygons, UPath(folder / "data"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.settings.items():
            patch.setenv(name, value)
        assert run(NEW) == 0
    return result(place)


# --- attempts and moments -------------------------------------------------------------------------

# Makes an attempt at the task of a name.
Attempt = Callable[[str, Callable[[], Any]], Any]


@contextmanager
def each_task(attempt: Attempt) -> Iterator[None]:
    """Let a function make all attempts at all tasks, one at a time."""
    alone = Lock()

    def through(name: str, job: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(job)
        def made(*args: Any, **kwargs: Any) -> Any:
            with alone:
                return attempt(name, functools.partial(job, *args, **kwargs))

        return made

    names = [f"tasks.{module.name}" for module in pkgutil.iter_modules(tasks.__path__)]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    with pytest.MonkeyPatch.context() as patch:
        for task in {id(value): value for value in values if isinstance(value, Task)}.values():
            patch.setattr(task, "fn", through(task.name, task.fn))
            patch.setattr(task, "retries", RETRIES)
        yield


@dataclass(frozen=True)
class Moments:
    """When the tasks of a month are to be disturbed.

    Attributes:
        of: the first, the middle and the last event of each task, by the kind of events.
        calls: how often each task is called.
    """

    of: dict[str, dict[str, list[int]]]
    calls: Counter[str]


def find_moments(kinds: Kinds) -> Moments:
    """Run an undisturbed month, which is an earlier one to the next, and count what tasks do."""
    found = Moments({}, Counter())

    def attempt(name: str, job: Callable[[], Any]) -> Any:
        for events in kinds.values():
            events.count_anew()
        done = job()
        found.of.setdefault(name, {kind: _three(events.seen) for kind, events in kinds.items()})
        found.calls[name] += 1
        return done

    with each_task(attempt):
        assert run(OLD) == 0
    return found


def _three(last: int) -> list[int]:
    return sorted({1, (last + 1) // 2, last}) if last else []


# --- faults that pass -----------------------------------------------------------------------------


@pytest.fixture
def hasty_requests(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries of all layers that follow each other at once."""
    monkeypatch.setattr(lock, "LOCK_PAUSES", [0.01] * len(lock.LOCK_PAUSES))
    monkeypatch.setattr(storage, "GDAL_PAUSE", 0.01)
    # botocore has no setting for it.
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


@pytest.mark.usefixtures("hasty_requests")
def test_each_task_outlasts_a_restart_of_the_database_and_answers_that_are_cut(
    landscape: World,
    polygons: URL,
    wanted: Result,
    bucket: Bucket,
    settings: Callable[..., None],
    tmp_path: Path,
):
    place = place_of(tmp_path, landscape, polygons, folder_in(bucket, "data"))
    endpoint = urlsplit(bucket.server.endpoint).port
    assert polygons.port
    assert endpoint
    answers = Events()
    with (
        proxy(polygons.port, http=False) as before_database,
        proxy_apart(endpoint, answers) as before_bucket,
    ):

        def restart() -> None:
            end_connections(polygons)
            before_database.refusals = 1

        kinds = {"database": Events(restart), "bucket": answers}
        before_database.cuts = kinds["database"].happens
        settings(
            **{
                **place.settings,
                **of_database(polygons, before_database.port),
                **of_bucket(bucket.server, f"http://127.0.0.1:{before_bucket}"),
                **of_folders(f"{bucket.url}/data"),
                "PLANET_MOSAIC_DIR": put_imagery(landscape, bucket),
            }
        )
        moments = find_moments(kinds)
        missed = disturb(kinds, moments)
    for name, left in missed.items():
        assert not left["database"]
        # GDAL may ask for less when it asks again.
        assert left["bucket"] != moments.of[name]["bucket"] or not left["bucket"]
    check_same(result(place), wanted)


def disturb(kinds: Kinds, moments: Moments) -> dict[str, dict[str, list[int]]]:
    """Run a month, and disturb each task at all of its moments; return those that did not come."""
    left: dict[str, dict[str, list[int]]] = {}

    def attempt(name: str, job: Callable[[], Any]) -> Any:
        for kind, events in kinds.items():
            events.count_anew()
            if name not in left:
                events.choose(moments.of[name][kind])
        left.setdefault(name, {})
        # What does not come in an attempt that fails before comes in the next one.
        done = job()
        for kind, events in kinds.items():
            left[name].setdefault(kind, events.left)
            events.choose()
        return done

    with each_task(attempt):
        assert run(NEW) == 0
    return left


def end_connections(database: URL) -> None:
    """End all connections to a database, as a server does that is restarted."""
    engine = create_engine(database)
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


# --- faults that are final ------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
def test_each_task_tells_of_a_full_disk_and_a_lost_permission_and_goes_on_without_them(
    landscape: World,
    polygons: URL,
    wanted: Result,
    settings: Callable[..., None],
    tmp_path: Path,
):
    with small_disk(tmp_path / "data") as disk:
        place = place_of(tmp_path, landscape, polygons, UPath(disk))
        settings(**place.settings)
        denied, full = Events(lambda: deny(disk)), Events(lambda: fill(disk))
        lift = {"denied": lambda: allow(disk), "full": (disk / BALLAST).unlink}
        with file_events(disk, [denied, full]):
            told = stop(place, {"denied": denied, "full": full}, lift)
        check_same(result(place), wanted)
    assert not [
        sentence for sentences in told.values() for sentence in sentences if "\n" in sentence
    ]
    assert not [name for name, sentences in told.items() if not sentences]


def stop(
    place: Place, kinds: Kinds, lift: Mapping[str, Callable[[], object]]
) -> dict[str, list[str]]:
    """Run a month, and stop each task at each of its moments; return what it told.

    Args:
        place: where it is run.
        kinds: at a chosen event of each, a fault begins.
        lift: ends it, by the same name.
    """
    moments = find_moments(kinds)
    told: dict[str, list[str]] = {
        name: [] for name, found in moments.of.items() if any(found.values())
    }
    waiting = {
        name: [(kind, moment) for kind in kinds for moment in found[kind]]
        for name, found in moments.of.items()
    }

    def attempt(name: str, job: Callable[[], Any]) -> Any:
        finished: list[Any] = []
        # A window that is finished leaves what is left to the next one.
        while waiting[name] and not (finished and moments.calls[name] > 1):
            kind, moment = waiting[name].pop(0)
            kinds[kind].count_anew()
            kinds[kind].choose([moment])
            try:
                finished = [job()]
            except LandcoverError as error:
                finished = []
                told[name].append(str(error))
            finally:
                if not kinds[kind].left:
                    lift[kind]()
                kinds[kind].choose()
            check_described(place)
        return finished[0] if finished else job()

    with each_task(attempt):
        assert run(NEW) == 0
    return told


# What Python tells of before it does it, and which arguments are paths.
_OF_FILES = {
    "open": [0],
    "os.mkdir": [0],
    "os.rename": [0, 1],
    "os.link": [0, 1],
    "os.remove": [0],
    "shutil.rmtree": [0],
}

# A hook cannot be removed again: there is one, for whoever listens.
_listening: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _listening if event in _OF_FILES else ():
        listener(event, arguments)


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_hear)


@contextmanager
def file_events(folder: Path, kinds: Sequence[Events]) -> Iterator[None]:
    """Count what is about to be made, moved and removed in a folder."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        paths = [str(arguments[number]) for number in _OF_FILES[event]]
        changes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        inside = any(path.startswith(f"{folder}/") for path in paths)
        if changes and inside and BALLAST not in paths[0]:
            for events in kinds:
                events.happens()

    _listening.append(hear)
    try:
        yield
    finally:
        _listening.remove(hear)


def deny(folder: Path) -> None:
    """Take the permission to change anything in a folder, from root too."""
    subprocess.run(["chattr", "-R", "+i", str(folder)], check=True)


def allow(folder: Path) -> None:
    """Give it back."""
    subprocess.run(["chattr", "-R", "-i", str(folder)], check=True)
