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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import pytest
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
    of_bucket,
    of_database,
    of_folders,
    of_world,
    put_imagery,
    put_polygons,
)
from soak.proxy import proxy
from soak.results import Result, check_described, check_same, result
from tasks.access import lock
from tests.servers.postgis import new_database
from tests.servers.swift import Bucket

pytestmark = [pytest.mark.usefixtures("hasty"), pytest.mark.xdist_group("faults")]

MONTH = ["--year", "2025", "--month", "6", "--folds", "2", "--smallest_patch", "4"]
OLD, NEW = "4", "5"  # trees
POLYGONS = 4  # of each class

# Some of a task's attempts fail for each fault; this is more than all.
RETRIES = 30

Kinds = Mapping[str, Events]
Moments = Mapping[tuple[str, str], list[int]]


def run(trees: str) -> int:
    return monthly.main([*MONTH, "--trees", trees])


def place_of(folder: Path, world: World, database: URL, data: UPath) -> Place:
    settings = of_world(world) | of_database(database) | of_folders(data)
    return Place(folder, settings, api="", data=data, database=database)


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


def moments(kinds: Kinds) -> Moments:
    """Run a month; return the first, the middle and the last event of each task, by their kind."""
    found: dict[tuple[str, str], list[int]] = {}

    def attempt(name: str, job: Callable[[], Any]) -> Any:
        for events in kinds.values():
            events.count_anew()
        done = job()
        for kind, events in kinds.items():
            last = events.seen
            chosen = sorted({1, (last + 1) // 2, last}) if last else []
            found.setdefault((name, kind), chosen)
        return done

    with each_task(attempt):
        assert run(OLD) == 0
    return found


# --- faults that pass -----------------------------------------------------------------------------


def test_each_task_outlasts_a_restart_of_the_database_and_answers_that_are_cut(
    landscape: World,
    polygons: URL,
    wanted: Result,
    bucket: Bucket,
    settings: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(lock, "LOCK_PAUSES", (0.01,) * 3)
    place = place_of(tmp_path, landscape, polygons, folder_in(bucket, "data"))
    endpoint = urlsplit(bucket.server.endpoint).port
    assert polygons.port and endpoint
    answers = Events()
    with (
        proxy(polygons.port, http=False) as before_database,
        proxy_apart(endpoint, answers) as before_bucket,
    ):

        def restart() -> None:
            end_connections(polygons)
            before_database.refusals = 2

        kinds = {"database": Events(restart), "bucket": answers}
        before_database.cuts = kinds["database"].happens
        settings(
            **{
                **place.settings,
                **of_database(polygons, before_database.port),
                **of_bucket(bucket, f"http://127.0.0.1:{before_bucket}"),
                **of_folders(f"{bucket.url}/data"),
                "PLANET_MOSAIC_DIR": put_imagery(landscape, bucket),
            }
        )
        chosen = moments(kinds)
        missed = disturb(kinds, chosen)
    print(chosen, missed)
    check_same(result(place), wanted)


def disturb(kinds: Kinds, chosen: Moments) -> list[tuple[str, str, list[int]]]:
    """Run a month and disturb each task at its moments; return those that did not come."""
    begun, missed = set[str](), []

    def attempt(name: str, job: Callable[[], Any]) -> Any:
        for kind, events in kinds.items():
            events.count_anew()
            if name not in begun:
                events.choose(chosen[name, kind])
        begun.add(name)
        # What is not met by this attempt, because it fails before, is met by the next one.
        done = job()
        for kind, events in kinds.items():
            if events.left:
                missed.append((name, kind, events.left))
            events.choose()
        return done

    with each_task(attempt):
        assert run(NEW) == 0
    return missed


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
def test_each_task_tells_of_a_full_disk_and_of_a_lost_permission_and_goes_on_once_they_are_lifted(
    landscape: World,
    polygons: URL,
    wanted: Result,
    settings: Callable[..., None],
    tmp_path: Path,
):
    told = Counter[str]()
    with small_disk(tmp_path / "data") as disk:
        place = place_of(tmp_path, landscape, polygons, UPath(disk))
        settings(**place.settings)
        faults = {
            "full": (Events(lambda: fill(disk)), lambda: (disk / BALLAST).unlink(missing_ok=True)),
            "denied": (Events(lambda: deny(disk)), lambda: allow(disk)),
        }
        kinds = {kind: events for kind, (events, _) in faults.items()}
        with file_events(disk, kinds):
            chosen = moments(kinds)
            begun = set[str]()
            bad = []

            def attempt(name: str, job: Callable[[], Any]) -> Any:
                if name not in begun:
                    begun.add(name)
                    for kind, (events, lift) in faults.items():
                        for moment in chosen[name, kind]:
                            events.count_anew()
                            events.choose([moment])
                            try:
                                job()
                                told[f"{name} {kind} {moment} {'missed' if events.left else 'succeeded'}"] += 1
                            except LandcoverError as error:
                                told[f"{name} {kind} {moment} {error}"] += 1
                                assert "\n" not in str(error)
                            except Exception as error:
                                import traceback
                                bad.append((name, kind, moment, repr(error), traceback.format_exc()[-1500:]))
                            finally:
                                lift()
                                events.choose()
                            check_described(place)
                return job()

            with each_task(attempt):
                assert run(NEW) == 0
        print("\n".join(told))
        for b in bad: print(*b)
        check_same(result(place), wanted)


# What Python does with files, by the names of its audit events, and where their paths are.
_OF_FILES = {"open": (0,), "os.mkdir": (0,), "os.rename": (0, 1), "os.link": (0, 1), "os.remove": (0,), "shutil.rmtree": (0,)}

_listening: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event in _OF_FILES:
        for listener in _listening:
            listener(event, args)


@contextmanager
def file_events(folder: Path, kinds: Kinds) -> Iterator[None]:
    """Count what is about to happen to files in a folder."""

    def hear(event: str, args: tuple[Any, ...]) -> None:
        written = event != "open" or (args[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        inside = any(str(args[where]).startswith(f"{folder}/") for where in _OF_FILES[event])
        if written and inside and BALLAST not in str(args[0]):
            for events in kinds.values():
                events.happens()

    if not _listening:
        sys.addaudithook(_hear)
    _listening[:] = [hear]
    try:
        yield
    finally:
        _listening[:] = [lambda event, args: None]


def deny(folder: Path) -> None:
    """Take the permission to change anything in a folder, from root too."""
    subprocess.run(["chattr", "-R", "+i", str(folder)], check=True)


def allow(folder: Path) -> None:
    """Give it back."""
    subprocess.run(["chattr", "-R", "-i", str(folder)], check=True)
