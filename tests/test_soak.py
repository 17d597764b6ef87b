"""The trials of `make soak`, in short: kills, faulty answers, a full disk."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.settings import get_current_settings
from sqlalchemy import URL
from upath import UPath

from demo.world import World
from soak.faults import api_away, faulty_month
from soak.full_disk import run_with_room, small_disk
from soak.kills import kill_months
from soak.month import (
    Place,
    Result,
    folder_in,
    make_world,
    of_bucket,
    of_database,
    of_folders,
    of_world,
    put_imagery,
    put_polygons,
    result,
)
from tests.servers.postgis import new_database
from tests.servers.swift import Bucket

pytestmark = pytest.mark.xdist_group("soak")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), size=1024)


@pytest.fixture(scope="module")
def database(world: World, postgis: URL) -> Iterator[URL]:
    with new_database(postgis, f"soak_{uuid4().hex}") as url:
        put_polygons(world, url, most=3)
        yield url


@pytest.fixture(scope="module")
def place(
    world: World, database: URL, prefect_api: None, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """Months on this machine."""
    folder = tmp_path_factory.mktemp("months")
    return Place(
        folder=folder,
        settings=of_world(world) | of_database(database) | of_folders(folder / "data"),
        api=str(get_current_settings().api.url),
        data=UPath(folder / "data"),
        database=database,
    )


@pytest.fixture(scope="module")
def wanted(place: Place) -> Result:
    """An undisturbed month."""
    place.must_run()
    return result(place)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to end"])
def test_a_month_that_is_killed_ends_with_the_same_map(
    place: Place, wanted: Result, by: signal.Signals
):
    done = kill_months(place, wanted, seconds=4, kills=1, by=by)
    assert done.killed.total() == 1


def test_a_month_of_faulty_answers_ends_with_the_same_map(
    world: World, place: Place, wanted: Result, bucket: Bucket
):
    in_bucket = of_bucket(bucket) | of_folders(f"{bucket.url}/data")
    imagery = {"PLANET_MOSAIC_DIR": put_imagery(world, bucket)}
    there = replace(
        place,
        settings={**place.settings, **in_bucket, **imagery},
        data=folder_in(bucket, "data"),
    )
    done = faulty_month(there, bucket, wanted, rate_s3=0.2, rate_database=0.2, stall=1)
    assert done.faults > 5


def test_a_month_goes_on_while_the_prefect_server_is_away(place: Place, wanted: Result):
    assert api_away(place, wanted, seconds=10).counts["seconds away"] == 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
def test_a_month_on_a_full_disk_ends_in_a_sentence(place: Place, wanted: Result, tmp_path: Path):
    with small_disk(tmp_path / "small") as disk:
        there = replace(place, settings={**place.settings, "WORK_DIR": str(disk)})
        assert run_with_room(there, disk, 100_000).told
