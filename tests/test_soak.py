"""The trials of `make soak`, in short: kills, and a Prefect server that is away."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from prefect.settings import get_current_settings
from sqlalchemy import URL
from upath import UPath

from demo.world import World
from soak.disturbances import Disturbance, disturb_months, gone
from soak.kills import kill_months
from soak.month import (
    Place,
    make_world,
    place_of,
    put_polygons,
)
from soak.proxy import proxy
from soak.results import Memory, Result, remember, result
from tests.servers.postgis import new_database

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
    data = UPath(folder / "data")
    return place_of(folder, world, database, data, str(get_current_settings().api.url))


@pytest.fixture(scope="module")
def wanted(place: Place) -> Result:
    """An undisturbed month."""
    place.must_run()
    return result(place)


@pytest.fixture(scope="module")
def earlier(place: Place, wanted: Result) -> Memory:
    """The same, to be put back."""
    return remember(place)


def test_a_month_that_is_killed_ends_with_the_same_map(
    place: Place, earlier: Memory, wanted: Result
):
    # How a run ends that is asked to is in test_stopping.
    done = kill_months(place, earlier, wanted, seconds=4, kills=1, by=[signal.SIGKILL])
    assert done.killed.total() == 1


def test_a_month_goes_on_while_the_prefect_server_is_away(
    place: Place, earlier: Memory, wanted: Result
):
    port = urlsplit(place.api).port
    assert port
    with proxy(port, http=False) as before:
        through = replace(place, api=place.api.replace(str(port), str(before.port)))
        # Longer than the first pause of Prefect's client.
        away = Disturbance(partial(gone, before), seconds=3)
        done = disturb_months(through, earlier, wanted, 2, away, times=1)
    assert done.same == 1
