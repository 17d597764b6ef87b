"""Alerts: patches over the borders of windows, their ids, and what becomes of them."""

import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from landcover.areas import polygon_hectares
from landcover.change.alert_files import read_geopackage, write_for_phones, write_geopackage
from landcover.change.alerts import ATTRIBUTES, new_since, no_alerts
from landcover.change.patches import COLUMNS, SQUARE, with_squares
from landcover.change.rule import WARNING, ChangeSettings
from landcover.grid import Grid
from landcover.period import Period
from tests.rasters import ORIGIN
from tests.records import CLOUD, FOREST, NON_FOREST, Alerts, grid_of_maps

MONTHS = [Period(2024, month) for month in range(1, 13)]
HEIGHT, WIDTH = 400, 720
SMALLEST = 221  # pixels of half a hectare here
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = range(6)

Codes = NDArray[np.uint8]


def forest() -> Codes:
    return np.full((HEIGHT, WIDTH), FOREST, np.uint8)


def felled(codes: Codes, *places: tuple[slice, slice], to: int = NON_FOREST) -> Codes:
    changed = codes.copy()
    for place in places:
        changed[place] = to
    return changed


def square(row: int, column: int, side: int = 20) -> tuple[slice, slice]:
    return slice(row, row + side), slice(column, column + side)


def alerts_of(months: list[Codes], **kwargs: object) -> Alerts:
    """Return the alerts of months, before which come two of forest."""
    alerts = Alerts(grid_of_maps(HEIGHT, WIDTH), **kwargs)
    for month, codes in zip(MONTHS, [forest(), forest(), *months], strict=False):
        alerts.update(month, codes)
    return alerts


def told(alerts: geopandas.GeoDataFrame) -> pd.DataFrame:
    """Return attributes in which what is missing equals what is missing."""
    return alerts.drop(columns="geometry").astype(object).where(lambda part: part.notna(), None)


def assert_same(ours: geopandas.GeoDataFrame, theirs: geopandas.GeoDataFrame) -> None:
    pd.testing.assert_frame_equal(told(ours), told(theirs), check_dtype=False)
    assert shapely.equals(ours.geometry.array, theirs.geometry.array).all()


def test_a_clearing_becomes_a_warning_and_then_is_sure() -> None:
    after = felled(forest(), square(100, 200))
    warned = alerts_of([after]).found.iloc[0]
    assert (warned["state"], warned["confirmed_on"]) == ("warning", None)
    sure = alerts_of([after] * 4).found.iloc[0]
    assert sure["alert_id"] == warned["alert_id"]
    assert sure["state"] == "confirmed"
    assert sure["first_detected"] == date(2024, 3, 1)
    assert sure["confirmed_on"] == date(2024, 5, 1)
    assert (sure["date_start_t0"], sure["date_end_t0"]) == (date(2024, 2, 1), date(2024, 2, 29))
    assert (sure["date_start_t1"], sure["date_end_t1"]) == (date(2024, 3, 1), date(2024, 3, 31))
    assert (sure["last_seen"], sure["observations"]) == (date(2024, 6, 1), 4)
    assert sure["probability"] == pytest.approx(0.998630, abs=1e-6)
    assert sure["area_ha"] == pytest.approx(
        polygon_hectares(sure["geometry"], "EPSG:4326"), rel=1e-6
    )
    assert sure["area_ha"] == pytest.approx(400 * 22.67 / 10_000, rel=1e-3)


def test_patches_are_one_over_the_borders_of_windows_and_at_corners() -> None:
    over = felled(forest(), square(240, 250, 24), square(264, 274, 16))
    assert len(alerts_of([over]).found) == 1
    with_gap = felled(forest(), square(240, 240), square(261, 261))
    assert len(alerts_of([with_gap]).found) == 2


def test_patches_below_the_smallest_area_and_lines_are_no_alerts() -> None:
    row = slice(100, 101), slice(0, SMALLEST)
    small = slice(200, 213), slice(500, 517)  # 13 x 17 pixels
    line = slice(300, 304), slice(100, 700)
    months = [felled(forest(), row, small, line)]
    ours = alerts_of(months)
    assert (ours.state.status == WARNING).sum() == SMALLEST + 13 * 17 + 2400
    assert [round(area, 3) for area in ours.found["area_ha"]] == [0.501]
    at_least = ChangeSettings(smallest_hectares=0.51)
    assert alerts_of(months, settings=at_least).found.empty


def test_alerts_do_not_depend_on_windows_nor_on_where_a_run_ended(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    standing = forest()
    months = []
    for _ in range(6):
        for _ in range(6):
            side = int(random.integers(10, 60))
            place = square(int(random.integers(0, HEIGHT)), int(random.integers(0, WIDTH)), side)
            standing[place] = NON_FOREST
        seen = standing.copy()
        noise = random.random(seen.shape) < 0.1
        seen[noise] = random.choice([FOREST, NON_FOREST, CLOUD], noise.sum())
        months.append(seen)
    ours = alerts_of(months)
    other = alerts_of(months, size=1024)
    assert len(ours.found) > 10
    assert ours.found["alert_id"].is_unique
    assert ours.found.is_valid.all()
    assert_same(ours.found, other.found)
    # A run that ended in between knows the alerts from their file.
    again = alerts_of(months[:3])
    write_geopackage(again.found, tmp_path / "alerts.gpkg")
    again.found = read_geopackage(tmp_path / "alerts.gpkg")
    for number, codes in enumerate(months[3:], 5):
        again.update(MONTHS[number], codes)
    assert_same(ours.found, again.found)


def test_what_a_cloud_hid_joins_the_alert_and_what_is_felled_beside_it_does_not() -> None:
    all_felled = felled(forest(), (slice(100, 120), slice(200, 225)))
    hidden = felled(all_felled, (slice(90, 130), slice(217, 260)), to=CLOUD)
    first = alerts_of([hidden]).found
    grown = alerts_of([hidden, all_felled]).found
    assert grown["alert_id"].tolist() == first["alert_id"].tolist()
    assert grown["area_ha"][0] == pytest.approx(first["area_ha"][0] * 500 / 340)
    beside = felled(all_felled, square(100, 225))
    two = alerts_of([hidden, all_felled, beside]).found
    assert two["first_detected"].tolist() == [date(2024, 3, 1), date(2024, 5, 1)]
    assert two["area_ha"][0] == grown["area_ha"][0]


def test_pieces_that_clouds_cut_out_become_an_alert_once_they_are_large_enough() -> None:
    all_felled = felled(forest(), square(100, 200, 16))
    hidden = felled(all_felled, (slice(90, 130), slice(205, 260)), to=CLOUD)
    assert alerts_of([hidden]).found.empty
    alerts = alerts_of([hidden, all_felled]).found
    assert alerts["first_detected"].tolist() == [date(2024, 4, 1)]


def test_a_warning_that_was_not_true_is_withdrawn_and_keeps_its_outline() -> None:
    shadow = felled(forest(), square(100, 200))
    ours = alerts_of([shadow, forest(), forest(), shadow])
    withdrawn, again = ours.found.iloc[0], ours.found.iloc[1]
    assert (withdrawn["state"], again["state"]) == ("withdrawn", "warning")
    assert withdrawn["area_ha"] == again["area_ha"]
    assert withdrawn["geometry"].equals(again["geometry"])
    assert withdrawn["alert_id"] != again["alert_id"]
    assert (withdrawn["year"], withdrawn["month"]) == (2024, 5)


def test_an_alert_that_shrinks_keeps_its_id_and_its_larger_part() -> None:
    whole = felled(forest(), (slice(100, 130), slice(200, 300)))
    cut = felled(whole, (slice(100, 130), slice(250, 254)), to=FOREST)
    before = alerts_of([whole]).found
    alerts = alerts_of([whole, *[cut] * 3]).found
    kept = alerts[alerts["alert_id"].isin(before["alert_id"])].iloc[0]
    other = alerts[~alerts["alert_id"].isin(before["alert_id"])].iloc[0]
    assert kept["area_ha"] / before["area_ha"][0] == pytest.approx(0.5)
    assert other["area_ha"] / before["area_ha"][0] == pytest.approx(0.46)
    assert [kept["state"], other["state"]] == ["confirmed", "confirmed"]
    assert [kept["first_detected"], other["first_detected"]] == [date(2024, 3, 1)] * 2


def test_a_month_that_looks_felled_all_over_confirms_nothing() -> None:
    """Such as one whose imagery is scaled by two; what is then felled is found all the same."""
    bare = felled(forest(), (slice(0, HEIGHT), slice(0, WIDTH)))
    after = felled(forest(), square(100, 200))
    alerts = alerts_of([bare, *[forest()] * 3, *[after] * 3]).found
    assert alerts["state"].tolist() == ["withdrawn", "confirmed"]


def test_one_row_changes_only_where_something_did() -> None:
    after = felled(forest(), square(100, 200))
    hidden = felled(forest(), (slice(0, HEIGHT), slice(0, WIDTH)), to=CLOUD)
    alerts = alerts_of([after, hidden]).found
    assert (alerts["year"][0], alerts["month"][0], alerts["observations"][0]) == (2024, 3, 1)


def test_a_month_without_a_map_counts_as_not_seen() -> None:
    after = felled(forest(), square(100, 200))
    hidden = np.full_like(after, 255)
    with_gap = alerts_of([after])
    for number in (8, 9):
        with_gap.update(MONTHS[number], forest())
    unseen = alerts_of([after, *[hidden] * 5, forest(), forest()])
    assert with_gap.found["state"].tolist() == unseen.found["state"].tolist() == ["withdrawn"]
    np.testing.assert_array_equal(with_gap.state.status, unseen.state.status)


def test_dates_of_the_geopackage_are_dates(tmp_path: Path) -> None:
    ours = alerts_of([felled(forest(), square(100, 200))])
    for number, alerts in enumerate((ours.found, no_alerts())):
        path = tmp_path / f"{number}.gpkg"
        write_geopackage(alerts, path)
        info = pyogrio.read_info(path, layer="alerts")
        types = dict(zip(info["fields"].tolist(), info["ogr_types"], strict=True))
        assert tuple(types) == ATTRIBUTES
        dated = {name for name, kind in types.items() if kind == "OFTDate"}
        assert dated == {
            *("first_detected", "confirmed_on", "last_seen"),
            *("date_start_t0", "date_end_t0", "date_start_t1", "date_end_t1"),
        }
        assert info["geometry_type"] == "MultiPolygon"
        assert info["crs"] == "EPSG:4326"
        assert_same(read_geopackage(path), alerts)


def test_files_for_phones_hold_the_new_ones_and_are_split_where_they_are_large(
    tmp_path: Path,
) -> None:
    places = [square(50 * row, 100 * column) for row in range(4) for column in range(5)]
    ours = alerts_of([felled(forest(), *places[:8])])
    before = ours.found
    ours.update(MONTHS[3], felled(forest(), *places))
    new = new_since(ours.found, before)
    assert len(new) == 12
    files = write_for_phones(new, MONTHS[3], tmp_path)
    assert [path.name for path in files] == ["alerts_202404.geojson", "alerts_202404.kml"]
    features = json.loads(files[0].read_text())["features"]
    assert {feature["properties"]["alert_id"] for feature in features} == set(new["alert_id"])
    marks = ElementTree.parse(files[1]).iter("{http://www.opengis.net/kml/2.2}Placemark")
    names = [mark.find("{http://www.opengis.net/kml/2.2}name").text for mark in marks]
    assert [pyogrio.list_layers(path)[0, 0] for path in files] == ["alerts_202404"] * 2
    assert names == ["0.9 ha, 2024-04"] * 12
    for path in files:
        path.unlink()
    parts = write_for_phones(new, MONTHS[3], tmp_path, largest=4000)
    assert "alerts_202404_2.geojson" in [path.name for path in parts]
    assert max(path.stat().st_size for path in parts) <= 4000
    found = pd.concat(geopandas.read_file(path) for path in parts if path.suffix == ".geojson")
    assert set(found["alert_id"]) == set(new["alert_id"])


@given(st.integers(0, 2**32 - 1), st.floats(0.6, 0.99))
@settings(deadline=None)
def test_squares_are_found_in_runs(seed: int, share: float) -> None:
    pixels = np.random.default_rng(seed).random((14, 30)) < share
    side = np.lib.stride_tricks.sliding_window_view(pixels, (SQUARE, SQUARE))
    runs = pd.DataFrame(
        [
            (row, start, start + 1, *[0] * (len(COLUMNS) - 3))
            for row, start in np.argwhere(pixels).tolist()
        ],
        columns=COLUMNS,
    )
    found = with_squares(runs, pd.Series(7, runs.index))
    assert found.tolist() == [7] * bool(side.all(axis=(2, 3)).any())


def test_ids_depend_on_the_place_and_not_on_the_grid() -> None:
    """A larger area of interest gives a grid that begins elsewhere."""
    after = felled(forest(), square(107, 200), square(250, 301))
    ours = alerts_of([after])
    down, right = 128, 256
    shifted = ORIGIN @ ORIGIN.translation(-right, -down)
    wider = Alerts(Grid(ours.grid.crs, shifted, WIDTH + right, HEIGHT + down))
    for month, codes in zip(MONTHS, [forest(), forest(), after], strict=False):
        wider.update(month, np.pad(codes, ((down, 0), (right, 0)), constant_values=255))
    assert wider.found["alert_id"].tolist() == ours.found["alert_id"].tolist()


def test_an_alert_over_the_antimeridian_is_cut_there_and_followed() -> None:
    """An outline from one end of the world to the other would cover what nobody looked at."""
    side = ORIGIN.a
    corner = (3339584.7238 - WIDTH // 2 * side, -1_900_000)  # 180 degrees lie in the middle
    grid = Grid("EPSG:3832", ORIGIN.translation(*corner) @ ORIGIN.scale(side, -side), WIDTH, HEIGHT)
    alerts = Alerts(grid)
    after = felled(forest(), square(100, WIDTH // 2 - 20, 40))
    for month, codes in zip(MONTHS, [forest(), forest(), after, after, after], strict=False):
        alerts.update(month, codes)
    (alert,) = alerts.found.itertuples()
    assert alert.state == "confirmed"
    assert alert.geometry.is_valid
    east, west = sorted(alert.geometry.geoms, key=lambda part: -part.bounds[0])
    assert (east.bounds[2], west.bounds[0]) == (180, -180)
    assert polygon_hectares(alert.geometry, "EPSG:4326") == pytest.approx(alert.area_ha, rel=1e-3)
