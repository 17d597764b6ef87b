"""Strata: which pixels of a map belong to which, over the borders of windows."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from landcover.accuracy.strata import (
    FOREST,
    LOSS,
    NON_FOREST,
    NOT_KNOWN,
    TRAINING_POLYGONS,
    classes_in,
    read_classes,
    read_loss,
    read_strata,
    strata_of_classes,
    strata_of_loss,
)
from landcover.change import rule
from landcover.change.dates import DATES, day_of
from landcover.classes import NODATA
from landcover.period import Period
from landcover.windows import split
from tests.rasters import pixel_box, write_raster
from tests.records import grid_of_maps

NAMES = {0: "Forest", 1: "Pasture", 2: "Cloud", 7: "Mangrove"}
HEIGHT, WIDTH = 70, 90


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    patches = np.random.default_rng(5).choice(
        [0, 0, 0, 1, 2, 7, NODATA], (HEIGHT // 10, WIDTH // 10)
    )
    return np.repeat(np.repeat(patches, 10, 0), 10, 1).astype(np.uint8)


@pytest.fixture(scope="module")
def read(codes, tmp_path_factory):
    path = write_raster(tmp_path_factory.mktemp("map") / "map.tif", codes[np.newaxis], nodata=255)
    return partial(read_classes, str(path))


def named(strata, codes) -> NDArray[np.object_]:
    table = np.full(256, "", object)
    table[: len(strata.names)] = strata.names
    return table[codes]


def test_each_clear_class_is_a_stratum_and_what_hides_the_ground_is_outside(codes, read):
    grid = grid_of_maps(HEIGHT, WIDTH)
    strata = strata_of_classes(NAMES, ["forest", "MANGROVE"], ["cloud"])
    found = named(strata, read_strata(read, strata, grid.whole, grid))
    assert strata.classes == ("Forest", "Pasture", "Mangrove")
    for code, name in NAMES.items():
        assert np.array_equal(found == name, codes == code)
    assert np.array_equal(found == "", codes == NODATA)
    assert classes_in(strata, {0: 10, 1: 0, 3: 4}) == ["Forest"]


@pytest.mark.parametrize("size", [16, 33, 100])
def test_a_buffer_goes_on_over_the_borders_of_windows(codes, read, size):
    grid = grid_of_maps(HEIGHT, WIDTH)
    strata = strata_of_classes(NAMES, ["Forest", "Mangrove"], ["Cloud"], buffer=4)
    found = np.empty((HEIGHT, WIDTH), np.uint8)
    for window in split(grid.whole, size, size):
        found[window.toslices()] = read_strata(read, strata, window, grid)
    near = binary_dilation(codes == 1, np.ones((9, 9)))
    shown = named(strata, found)
    assert np.array_equal(shown == "Forest, buffer", near & (codes == 0))
    assert np.array_equal(shown == "Forest", ~near & (codes == 0))
    assert np.array_equal(shown == "Mangrove, buffer", near & (codes == 7))
    assert {stratum.mapped for stratum in strata.strata} == {"Forest", "Pasture", "Mangrove"}


def test_nothing_is_drawn_from_what_a_training_polygon_touches(codes, read):
    grid = grid_of_maps(HEIGHT, WIDTH)
    strata = strata_of_classes(NAMES, ["Forest"], ["Cloud"])
    polygons = shapely.MultiPolygon([pixel_box(3.5, 4.5, 20, 30), pixel_box(60, 60, 61, 61)])
    without = named(strata, read_strata(read, strata, grid.whole, grid))
    found = named(strata, read_strata(read, strata, grid.whole, grid, polygons))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[4:30, 3:20] = True
    left_out = found == TRAINING_POLYGONS
    # Whoever burns polygons takes the pixels along an edge on a pixel's edge, or not.
    assert left_out[5:29, 4:19][np.isin(without, strata.classes)[5:29, 4:19]].all()
    assert np.array_equal(found[~left_out], without[~left_out])
    assert not np.isin(without[left_out], ["", "Cloud"]).any()


def test_loss_is_what_was_first_detected_in_the_period(tmp_path: Path):
    before, during = day_of(Period(2024, 3)), day_of(Period(2024, 9))
    status = np.array(
        [[rule.CONFIRMED, rule.WARNING, rule.CONFIRMED, rule.FOREST],
         [rule.NON_FOREST, rule.NOT_KNOWN, rule.OUTSIDE, rule.FOREST]], np.uint8
    )  # fmt: skip
    dates = np.zeros((2, 2, 4), np.uint16)
    dates[0, 0, :3] = 3 * DATES + before, 2 * DATES + during, 3 * DATES + during
    paths = (
        write_raster(tmp_path / "status.tif", status[np.newaxis], nodata=255),
        write_raster(tmp_path / "alerts.tif", dates, nodata=0),
    )
    read = partial(read_loss, *map(str, paths), day_of(Period(2024, 4)))
    grid, strata = grid_of_maps(2, 4), strata_of_loss()
    assert named(strata, read_strata(read, strata, grid.whole, grid)).tolist() == [
        [NON_FOREST, LOSS, LOSS, FOREST],
        [NON_FOREST, NOT_KNOWN, "", FOREST],
    ]
    strata = strata_of_loss(buffer=1)
    found = named(strata, read_strata(read, strata, grid.whole, grid))
    assert found[:, 3].tolist() == ["buffer", "buffer"]
    assert [stratum.mapped for stratum in strata.strata] == [LOSS, FOREST, NON_FOREST, FOREST]
