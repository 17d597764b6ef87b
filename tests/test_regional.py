"""Hectares by region, held against counting by hand."""

import numpy as np
import pytest
import shapely
from rasterio.windows import Window
from shapely import Polygon, box

from landcover.areas import SQUARE_METRES_A_HECTARE
from landcover.grid import Grid
from landcover.maps.measure import measure_codes
from landcover.maps.regional import (
    ALL_FOREST,
    NO_IMAGERY,
    RegionTotals,
    measure_regions,
    measure_window,
    region_table,
    shared_hectares,
)
from tests.rasters import ORIGIN, RESOLUTION, pixel_box, write_raster

HEIGHT, WIDTH = 700, 600
GRID = Grid("EPSG:3857", ORIGIN, WIDTH, HEIGHT)
WHOLE = pixel_box(0, 0, WIDTH, HEIGHT)


def random_codes() -> np.ndarray:
    codes = np.random.default_rng(1).integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint8)
    codes[300:320] = 255
    return codes


def at(*corners: tuple[float, float]) -> Polygon:
    """A polygon by columns and rows."""
    return Polygon([ORIGIN @ corner for corner in corners])


def by_hand(codes: np.ndarray, *areas: Polygon) -> dict[int, int]:
    """Count the pixels of each code whose centres lie in all of some areas."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    xs, ys = ORIGIN @ (columns, rows)
    inside = np.all([shapely.contains_xy(area, xs, ys) for area in areas], axis=0)
    found, counts = np.unique(codes[inside], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def pixels(totals: RegionTotals, number: int) -> dict[int, int]:
    counts = totals.pixels[number]
    return {code: int(counts[code]) for code in np.flatnonzero(counts).tolist()}


def test_each_region_has_the_pixels_that_counting_by_hand_gives_split_at_the_aoi(tmp_path):
    codes = random_codes()
    path = write_raster(tmp_path / "map.tif", codes[np.newaxis], nodata=255)
    shapes = [
        at((10.2, 7.3), (590.1, 40.9), (300.7, 350.2)),
        at((20.3, 660.1), (300.7, 350.2), (590.1, 40.9), (580.6, 690.3)),
        # With a hole, and in two parts.
        at((5.1, 300.3), (200.2, 310.9), (120.4, 640.2)).difference(
            at((90.2, 350.3), (110, 400), (100, 420.1))
        )
        | at((10.1, 650.4), (60.2, 650.4), (60.2, 690.9)),
    ]
    area = at((0, 0), (550.3, 0), (560.9, HEIGHT), (0, HEIGHT))
    totals = measure_regions(str(path), shapes, area, workers=2)
    for number, shape in enumerate(shapes):
        assert pixels(totals, number) == by_hand(codes, shape, area)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pixel_box(0, 0, 100.5, HEIGHT), pixel_box(100.5, 0, WIDTH, HEIGHT)),
        (pixel_box(0, 0, WIDTH, 512.5), pixel_box(0, 512.5, WIDTH, HEIGHT)),
        (at((0, 0), (600, 0), (0, 600)), at((600, 0), (600, 700), (0, 700), (0, 600))),
        (at((0, 0), (0, 700), (600, 100), (600, 0)), at((600, 100), (0, 700), (600, 700))),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_centre_on_the_border_of_two_regions_lies_in_exactly_one(one, other, turned):
    codes = np.zeros((HEIGHT, WIDTH), np.uint8)
    shapes = {0: one.reverse() if turned else one, 1: other}
    totals = measure_window(codes, GRID.whole, GRID, shapes, WHOLE)
    assert totals.pixels[0][0] + totals.pixels[1][0] == HEIGHT * WIDTH
    assert not totals.shared


def test_windows_add_up_to_the_whole_and_areas_to_those_of_the_map():
    codes = random_codes()
    shapes = {0: at((0, 0), (600, 0), (0, 600)), 1: at((600, 0), (600, 700), (0, 700), (0, 600))}
    whole = measure_window(codes, GRID.whole, GRID, shapes, WHOLE)
    parts = RegionTotals()
    for window in (Window(0, 0, 512, 512), Window(512, 0, 88, 512), Window(0, 512, 600, 188)):
        parts.add(measure_window(codes[window.toslices()], window, GRID, shapes, WHOLE))
    _, hectares = measure_codes(codes, GRID)
    for number in shapes:
        assert (whole.pixels[number] == parts.pixels[number]).all()
        np.testing.assert_allclose(whole.areas[number], parts.areas[number], rtol=1e-9)
    both = (whole.areas[0] + whole.areas[1]) / SQUARE_METRES_A_HECTARE
    assert {code: both[code] for code in hectares} == pytest.approx(hectares, rel=1e-9)


def test_a_class_that_is_called_as_a_row_that_is_none_keeps_its_hectares():
    codes = np.zeros((HEIGHT, WIDTH), np.uint8)
    codes[:, 300:] = 1
    codes[:70] = 255
    totals = measure_window(codes, GRID.whole, GRID, {0: WHOLE}, WHOLE)
    table = region_table(totals, ["All"], {0: ALL_FOREST, 1: NO_IMAGERY}, forest=[0])
    share = table.set_index("class")["share"]
    assert share.index.is_unique
    assert share["No imagery (class 1)"] == pytest.approx(0.9 * (1 - 300 / WIDTH), rel=1e-3)
    assert share.drop(ALL_FOREST).sum() == pytest.approx(1)


def test_land_of_two_regions_counts_for_each_and_the_table_says_what_is_not_seen():
    codes = np.zeros((HEIGHT, WIDTH), np.uint8)
    codes[:, 300:] = 1
    codes[:70] = 255
    shapes = {0: pixel_box(0, 0, 200, HEIGHT), 1: pixel_box(100, 0, 400, HEIGHT)}
    far = box(0, 0, RESOLUTION, RESOLUTION)
    totals = measure_window(codes, GRID.whole, GRID, {**shapes, 2: far}, WHOLE)
    names = ["West", "Middle", "Elsewhere"]
    table = region_table(totals, names, {0: "Forest", 1: "Field", 2: "Water"}, forest=[0])
    assert set(table["region"]) == {"West", "Middle"}
    share = table.pivot(index="region", columns="class", values="share").loc["Middle"]
    assert share[["Forest", "Field", "Water", NO_IMAGERY, ALL_FOREST]].tolist() == pytest.approx(
        [0.6, 0.3, 0, 0.1, 0.6], rel=1e-3
    )
    pixel = RESOLUTION**2 * (1 - 0.0067) / SQUARE_METRES_A_HECTARE
    assert shared_hectares(totals, names) == {
        ("West", "Middle"): pytest.approx(100 * HEIGHT * pixel, rel=1e-3)
    }
