"""What the Prefect UI shows of a run, and a run whose server is away."""

import logging

import pytest
from prefect import flow
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from upath import UPath

from landcover.model.metrics import ClassMetrics, Estimate
from landcover.report.pictures import Picture
from soak.proxy import Proxy
from tasks.artifacts import (
    show_accuracy,
    show_hectares,
    show_pictures,
    show_progress,
    show_summary,
)

pytestmark = pytest.mark.usefixtures("prefect_api")

AT_ONCE = {PREFECT_CLIENT_MAX_RETRIES: 0}


def test_what_cannot_be_shown_is_told_and_the_run_goes_on(
    prefect_proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    measured = ClassMetrics(Estimate(0.9), Estimate(0.9), Estimate(0.9), pixels=10, polygons=2)

    @flow
    def shows() -> list[int]:
        prefect_proxy.go_away()
        with temporary_settings(AT_ONCE):
            items = list(show_progress(range(3), 3, "away-progress", "Counting"))
            show_summary("2025-06", "All of it.", {"Map": UPath("map.tif")})
            show_accuracy("2025-06", {"Forest": measured})
            show_hectares("2025-06", {"Forest": 2.0})
            show_pictures("2025-06", {"map": Picture("data:,", "data:,", "A map")})
        prefect_proxy.come_back()
        return items

    with caplog.at_level(logging.WARNING):
        assert shows() == [0, 1, 2]
    keys = ("away-progress", "summary-2025-06", "accuracy-2025-06", "hectares-2025-06")
    for key in (*keys, "picture-map-2025-06"):
        assert f"its UI does not show {key} as it is" in caplog.text


def test_progress_goes_on_while_the_server_is_away_and_is_shown_when_it_is_back(
    prefect_proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    @flow
    def shows() -> list[int]:
        seen = show_progress(range(4), 4, "sometimes-away", "Counting")
        items = [next(seen)]
        prefect_proxy.go_away()
        with temporary_settings(AT_ONCE):
            items += [next(seen), next(seen)]
        prefect_proxy.come_back()
        return [*items, *seen]

    with caplog.at_level(logging.WARNING):
        assert shows() == [0, 1, 2, 3]
    assert caplog.text.count("its UI does not show sometimes-away as it is") == 2
