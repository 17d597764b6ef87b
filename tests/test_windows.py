"""Windows: they part the mosaic, cover the area, and know which of their pixels lie inside it."""

from functools import partial

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window, bounds
from shapely.geometry.base import BaseGeometry

from landcover.aoi import load_aoi
from landcover.grid import Grid
from landcover.windows import (
    BLOCK,
    MOST_WINDOWS,
    WINDOWS_A_WORKER,
    count_inside,
    largest_window,
    pixels_inside,
    plan_windows,
    split,
    window_memory,
    windows_touching,
)
from tests.conftest import REAL
from tests.rasters import ORIGIN, RESOLUTION, centres, pixel_box

MERCATOR = rasterio.CRS.from_epsg(3857).to_wkt()


def grid_of(width: int, height: int, transform: Affine = ORIGIN) -> Grid:
    return Grid(MERCATOR, transform, width, height)


def outline(window: Window, of: Affine = ORIGIN) -> BaseGeometry:
    return shapely.box(*bounds(window, of))


def star(random: np.random.Generator, width: int, height: int, points: int) -> BaseGeometry:
    """Return a polygon of random corners around a random point, in the grid's CRS."""
    angles = np.sort(random.uniform(0, 2 * np.pi, points))
    radii = random.uniform(0.05, 0.7, points) * max(width, height)
    columns = random.uniform(0, width) + radii * np.cos(angles)
    rows = random.uniform(0, height) + radii * np.sin(angles)
    return shapely.make_valid(shapely.Polygon(np.column_stack(ORIGIN @ (columns, rows))))


# --- cutting windows ------------------------------------------------------------------------------


@given(
    window=st.builds(
        Window, st.integers(0, 50), st.integers(0, 50), st.integers(1, 60), st.integers(1, 60)
    ),
    rows=st.integers(1, 70),
    columns=st.none() | st.integers(1, 70),
)
def test_a_window_is_cut_into_parts_that_hold_each_of_its_pixels_once(
    window: Window, rows: int, columns: int | None
) -> None:
    counted = np.zeros((120, 120), dtype=int)
    for part in split(window, rows, columns):
        assert 0 < part.height <= rows
        assert 0 < part.width <= (columns or window.width)
        counted[part.toslices()] += 1
    expected = np.zeros_like(counted)
    expected[window.toslices()] = 1
    np.testing.assert_array_equal(counted, expected)


def test_parts_come_row_by_row() -> None:
    starts = [(part.row_off, part.col_off) for part in split(Window(10, 20, 9, 9), 5, 4)]
    assert starts == sorted(starts) == [(20, 10), (20, 14), (20, 18), (25, 10), (25, 14), (25, 18)]


def test_the_whole_of_a_grid_is_the_window_of_its_size() -> None:
    assert grid_of(7, 5).whole == Window(0, 0, 7, 5)


# --- windows that touch an area -------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 9000),
    height=st.integers(1, 9000),
    size=st.sampled_from([512, 1024, 2048, 4096]),
)
def test_windows_are_those_that_share_area_with_the_area_of_interest(
    seed: int, width: int, height: int, size: int
) -> None:
    random = np.random.default_rng(seed)
    area = star(random, width, height, points=int(random.integers(3, 12)))
    found = windows_touching(grid_of(width, height), area, size)
    every = list(split(Window(0, 0, width, height), size, size))
    expected = [window for window in every if outline(window).intersection(area).area > 0]
    assert found == expected
    for window in found:
        assert window.col_off % size == window.row_off % size == 0
        assert window.width == min(size, width - window.col_off)
        assert window.height == min(size, height - window.row_off)
    covered = shapely.union_all([outline(window) for window in found])
    missed = area.intersection(outline(Window(0, 0, width, height))).difference(covered)
    assert missed.area < 1e-6 * RESOLUTION**2


def test_no_pixel_of_the_area_lies_outside_the_windows() -> None:
    width, height = 1300, 1700
    area = star(np.random.default_rng(4), width, height, points=30)
    inside = pixels_inside(area, Window(0, 0, width, height), ORIGIN)
    for window in windows_touching(grid_of(width, height), area, BLOCK):
        inside[window.toslices()] = False
    assert not inside.any()


@pytest.mark.parametrize(
    "area",
    [
        pixel_box(5000, 0, 6000, 100),
        pixel_box(-900, -900, -1, -1),
        shapely.box(0, 0, 1, 1),
        shapely.Polygon(),
    ],
)
def test_an_area_off_the_grid_has_no_window(area: BaseGeometry) -> None:
    assert windows_touching(grid_of(2000, 1000), area, 512) == []


@pytest.mark.parametrize(
    ("area", "starts"),
    [
        (pixel_box(0, 0, 512, 512), [(0, 0)]),
        (pixel_box(512, 512, 1024, 1024), [(512, 512)]),
        (pixel_box(100, 100, 513, 200), [(0, 0), (512, 0)]),
        (pixel_box(-100, 0, 0, 512), []),
        (pixel_box(2048, 0, 2100, 512), []),
        (pixel_box(2048, 2048, 2100, 2100), []),
    ],
)
def test_an_area_that_only_shares_an_edge_with_a_window_does_not_touch_it(
    area: BaseGeometry, starts: list[tuple[int, int]]
) -> None:
    # On a grid of whole metres, so that edges are shared exactly.
    metres = Affine(5, 0, 1000, 0, -5, 9000)
    corners = shapely.transform(
        area, lambda points: np.round(np.column_stack(~ORIGIN @ points.T)) * [5, -5] + [1000, 9000]
    )
    found = windows_touching(grid_of(2048, 2048, metres), corners, 512)
    assert [(window.col_off, window.row_off) for window in found] == starts


def test_parts_of_an_area_that_lie_apart_have_no_windows_between_them() -> None:
    area = shapely.MultiPolygon([pixel_box(10, 10, 20, 20), pixel_box(3000, 2000, 3001, 2001)])
    found = windows_touching(grid_of(4096, 4096), area, 512)
    assert [(window.col_off, window.row_off) for window in found] == [(0, 0), (2560, 1536)]


# --- the size of windows --------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 8, 64])
@pytest.mark.parametrize("side", [300, 2000, 9000, 60_000, 300_000])
def test_windows_are_enough_to_keep_the_workers_busy_and_not_too_many(
    side: int, workers: int
) -> None:
    grid, area = grid_of(side, side), pixel_box(10.3, 10.3, side * 0.8, side * 0.9)
    size, windows = plan_windows(grid, area, workers)
    assert windows == windows_touching(grid, area, size)
    assert size >= BLOCK
    assert size & (size - 1) == 0
    assert 0 < len(windows) <= MOST_WINDOWS
    enough = min(WINDOWS_A_WORKER * workers, MOST_WINDOWS / 4)
    if len(windows) < enough:
        # There are no smaller windows.
        assert size == BLOCK
        assert len(windows) == -(-int(side * 0.8) // BLOCK) * -(-int(side * 0.9) // BLOCK)


def test_the_real_area_of_interest_is_planned_in_a_window_for_each_quad() -> None:
    """It touches 277 quads of the NICFI grid, as published."""
    area = load_aoi(str(REAL / "western_ecuador" / "boundary_900m.geojson")).to_crs(3857).iloc[0]
    half, quad = 20037508.342789244, 4096 * RESOLUTION
    west, south, east, north = area.bounds
    first, last = int((west + half) // quad), int((east + half) // quad)
    bottom, top = int((south + half) // quad), int((north + half) // quad)
    corner = Affine(RESOLUTION, 0, first * quad - half, 0, -RESOLUTION, (top + 1) * quad - half)
    grid = grid_of((last - first + 1) * 4096, (top - bottom + 1) * 4096, corner)
    assert len(windows_touching(grid, area, 4096)) == 277
    size, windows = plan_windows(grid, area, workers=2)
    assert (size, len(windows)) == (4096, 277)


def test_an_area_off_the_grid_makes_no_plan() -> None:
    _, windows = plan_windows(grid_of(3000, 3000), shapely.box(0, 0, 1, 1), workers=2)
    assert windows == []


def test_windows_of_a_slow_model_are_small() -> None:
    grid = grid_of(20_000, 20_000)
    area = shapely.box(*grid.bounds)
    size, windows = plan_windows(grid, area, workers=2, largest=largest_window(0.1e6))
    assert (size, len(windows)) == (1024, 400)
    assert largest_window(10e6) == 4096
    assert largest_window(1.0) == BLOCK


def test_windows_of_a_grid_far_larger_than_the_area_are_those_of_the_area() -> None:
    """A million windows are never made to find a few."""
    grid = grid_of(1_000_000, 900_000)
    area = shapely.union_all(
        [pixel_box(10, 10, 900, 900), pixel_box(999_000, 800_000, 999_900, 800_900)]
    )
    size, windows = plan_windows(grid, area, workers=2)
    assert size == BLOCK
    assert 8 <= len(windows) <= 13
    assert {window.row_off // 100_000 for window in windows} == {0, 7, 8}


# --- pixels inside an area ------------------------------------------------------------------------


def centre_inside(area: BaseGeometry, window: Window) -> NDArray[np.bool_]:
    """Ask shapely of every pixel's centre."""
    of = ORIGIN @ Affine.translation(window.col_off, window.row_off)
    shapely.prepare(area)
    inside: NDArray[np.bool_] = shapely.contains(area, centres(window.height, window.width, of))
    return inside


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_pixels_inside_are_those_whose_centre_lies_in_the_area(seed: int) -> None:
    random = np.random.default_rng(seed)
    area = star(random, 90, 70, points=int(random.integers(3, 40)))
    window = Window(*(int(number) for number in random.integers(1, 40, 4)))
    np.testing.assert_array_equal(pixels_inside(area, window, ORIGIN), centre_inside(area, window))


def test_a_hole_and_parts_of_an_area_count_as_they_are() -> None:
    ring = pixel_box(2.2, 3.3, 20.7, 21.6).difference(pixel_box(8.1, 9.4, 12.8, 13.9))
    area = shapely.union_all([ring, pixel_box(25.3, 1.4, 29.9, 5.6)])
    window = Window(0, 0, 32, 24)
    inside = pixels_inside(area, window, ORIGIN)
    np.testing.assert_array_equal(inside, centre_inside(area, window))
    assert inside.sum() == 19 * 19 - 5 * 5 + 5 * 5


def test_what_has_no_area_has_no_pixel() -> None:
    area = pixel_box(2, 2, 9, 9)
    line = shapely.LineString([ORIGIN @ (0, 5.5), ORIGIN @ (30, 5.5)])
    mixed = shapely.GeometryCollection([area, line, shapely.Point(*(ORIGIN @ (20.5, 20.5)))])
    assert pixels_inside(mixed, Window(0, 0, 30, 30), ORIGIN).sum() == 49


@pytest.mark.parametrize("seed", range(40))
def test_pixels_are_counted_without_looking_at_each(seed: int) -> None:
    random = np.random.default_rng(seed)
    area = star(random, 900, 700, points=int(random.integers(3, 40)))
    around = Window(-2000, -2000, 6000, 6000)
    assert count_inside(area, ORIGIN) == pixels_inside(area, around, ORIGIN).sum()


def test_pixels_of_holes_and_of_nothing_are_not_counted() -> None:
    ring = pixel_box(2.2, 3.3, 20.7, 21.6).difference(pixel_box(8.1, 9.4, 12.8, 13.9))
    area = shapely.union_all([ring, pixel_box(25.3, 1.4, 29.9, 5.6)])
    assert count_inside(area, ORIGIN) == 19 * 19 - 5 * 5 + 5 * 5
    assert count_inside(shapely.Polygon(), ORIGIN) == 0


def test_windows_of_one_area_fit_together() -> None:
    area = star(np.random.default_rng(8), 1400, 900, points=60)
    at_once = pixels_inside(area, Window(0, 0, 1400, 900), ORIGIN)
    for window in split(Window(0, 0, 1400, 900), 512, 512):
        part = pixels_inside(area, window, ORIGIN)
        np.testing.assert_array_equal(part, at_once[window.toslices()])


def test_all_touched_counts_every_pixel_that_the_area_overlaps() -> None:
    area = star(np.random.default_rng(2), 30, 30, points=9)
    pixels = [
        [pixel_box(x, y, x + 1, y + 1).intersects(area) for x in range(30)] for y in range(30)
    ]
    touched = pixels_inside(area, Window(0, 0, 30, 30), ORIGIN, all_touched=True)
    np.testing.assert_array_equal(touched, pixels)


@pytest.mark.parametrize("area", [shapely.Polygon(), shapely.box(0, 0, 1, 1)])
def test_an_empty_or_distant_area_has_no_pixel(area: BaseGeometry) -> None:
    inside = pixels_inside(area, Window(3, 4, 20, 10), ORIGIN)
    assert inside.shape == (10, 20)
    assert not inside.any()


def test_windows_shrink_to_the_memory_allowed_and_grow_to_stay_within_a_run_s_count() -> None:
    country = Grid("EPSG:3857", ORIGIN, 70_000, 140_000)
    area = shapely.box(*country.bounds)
    usual, _ = plan_windows(country, area, workers=2)
    small, _ = plan_windows(country, area, workers=400)
    assert usual == 4096
    assert small == 1024  # of 2048, there are fewer than four for each
    continent = Grid("EPSG:3857", ORIGIN, 700_000, 1_400_000)
    few, windows = plan_windows(continent, shapely.box(*continent.bounds), workers=2)
    assert few == 8192  # of 4096, there would be 58 482
    assert len(windows) <= MOST_WINDOWS

    county = Grid("EPSG:3857", ORIGIN, 20_000, 20_000)
    size, _ = plan_windows(county, shapely.box(*county.bounds), workers=2, memory=100e6)
    assert 2 * window_memory(size) <= 100e6
    assert 2 * window_memory(2 * size) > 100e6


@pytest.mark.parametrize("workers", [2, 16])
@pytest.mark.parametrize("bands", [5, 9, 11])
def test_windows_side_by_side_take_no_more_than_they_may(bands: int, workers: int) -> None:
    county = Grid("EPSG:3857", ORIGIN, 20_000, 20_000)
    memory_of = partial(window_memory, bands=bands)
    area = shapely.box(*county.bounds)
    size, _ = plan_windows(county, area, workers, memory=1e9, memory_of=memory_of)
    assert workers * memory_of(size) <= 1e9
