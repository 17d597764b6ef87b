"""Layers of any integer type: written, halved, assembled and counted."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from landcover.classes import NODATA, colour, legend_of
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.layers import Layer, prediction_layers
from landcover.maps.measure import count_map, count_values
from landcover.maps.pieces import overview_factors, piece_factors, write_piece
from landcover.period import Period
from landcover.windows import split
from tests.rasters import NUMBERS, ORIGIN

SIZE = 1024
GRID = Grid(rasterio.CRS.from_epsg(3857).to_wkt(), ORIGIN, 2 * SIZE + 300, SIZE + 200)

NAMES = {2: "Warning", 300: "Day 300", 40_000: "Far away"}
CODES = Layer("alerts", "alerts_202506.tif", legend_of(NAMES), "mode", "uint16", 0)
DAYS = Layer("seen", "last_seen_202506.tif", None, "mean", "int16", -1)


def write_map(layer: Layer, values: NDArray[np.integer], folder: Path, size: int = SIZE) -> Path:
    """Write values piece by piece, all but one, and assemble them."""
    factors, pieces = piece_factors(GRID, size), {}
    for number, window in enumerate(split(GRID.whole, size, size)):
        if number != 1:
            piece = folder / f"{number}.tif"
            part = values[window.toslices()]
            write_piece(layer, part, GRID.part(window), factors, piece)
            pieces[piece] = window
    write_cog(layer, pieces, GRID, factors, {}, folder / layer.file)
    return folder / layer.file


def some(layer: Layer, values: list[int]) -> NDArray[np.integer]:
    random = np.random.default_rng(1)
    chosen = random.choice([*values, layer.nodata], (GRID.height // 8 + 1, GRID.width // 8 + 1))
    large = chosen.repeat(8, axis=0).repeat(8, axis=1)[: GRID.height, : GRID.width]
    return large.astype(layer.dtype)


@pytest.mark.parametrize(
    ("layer", "values"), [(CODES, list(NAMES)), (DAYS, [-700, 0, 3804, 32_767])]
)
def test_a_layer_of_any_integer_type_is_a_valid_map_that_holds_its_pieces(
    tmp_path: Path, layer: Layer, values: list[int]
) -> None:
    expected = some(layer, values)
    path = write_map(layer, expected, tmp_path)
    expected[:SIZE, SIZE : 2 * SIZE] = layer.nodata
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as image:
        assert (image.dtypes, image.nodata) == ((layer.dtype,), layer.nodata)
        np.testing.assert_array_equal(image.read(1), expected)
    counted = count_map(str(path), layer.nodata)
    assert counted == {value: int((expected == value).sum()) for value in values}


@pytest.mark.parametrize("size", [512, 1024, 2048])
@pytest.mark.parametrize("layer", [CODES, DAYS, NUMBERS])
def test_its_overviews_are_halved_as_the_layer_says(
    tmp_path: Path, layer: Layer, size: int
) -> None:
    """Both those that pieces have and those that are made when they are assembled."""
    level = some(layer, [2, 30, 90])
    path = write_map(layer, level, tmp_path, size)
    level[:size, size : 2 * size] = layer.nodata
    assert len(overview_factors(GRID)) == 3
    for number in range(3):
        level = layer.halve(level)
        with rasterio.open(path, overview_level=number) as image:
            np.testing.assert_array_equal(image.read(1), layer.shown(level))


@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_overviews_of_numbers_are_the_mean_of_all_pixels_beneath_and_no_higher(
    tmp_path: Path, size: int
) -> None:
    """Halved level by level, and a half rounded up, they were up to a point too high."""
    random = np.random.default_rng(2)
    values = np.rint(100 * random.beta(6, 2, (GRID.height, GRID.width))).astype(np.uint8)
    values[random.random(values.shape) < 0.3] = NODATA
    values[300:700, 300:900] = NODATA
    path = write_map(NUMBERS, values, tmp_path, size)
    values[:size, size : 2 * size] = NODATA
    known = values != NODATA
    for number, factor in enumerate(overview_factors(GRID)):
        rows, columns = (-(-side // factor) for side in values.shape)
        sums, counts = np.zeros((2, rows, columns))
        at = np.indices(values.shape) // factor
        np.add.at(sums, (at[0][known], at[1][known]), values[known])
        np.add.at(counts, (at[0][known], at[1][known]), 1)
        with rasterio.open(path, overview_level=number) as image:
            shown = image.read(1)
        assert ((shown == NODATA) == (counts == 0)).all()
        there = counts > 0
        off = shown[there] - sums[there] / counts[there]
        assert np.abs(off).max() <= 0.5
        assert abs(off.mean()) < 0.02


def test_names_and_colours_of_large_codes_are_in_the_file(tmp_path: Path) -> None:
    with rasterio.open(write_map(CODES, some(CODES, list(NAMES)), tmp_path)) as image:
        palette, tags = image.colormap(1), image.tags(1)
    assert {code: palette[code][:3] for code in NAMES} == {code: colour(code) for code in NAMES}
    assert {name: tags[f"class_{code}"] for code, name in NAMES.items()} == {
        name: name for name in NAMES.values()
    }


def test_means_of_numbers_below_zero_leave_nodata_out() -> None:
    values = np.array([[-5, -1, 7], [-1, -1, 8]], dtype=np.int16)
    assert DAYS.shown(DAYS.halve(values)).tolist() == [[-5, 8]]
    empty = np.full((2, 2), -1, dtype=np.int16)
    assert DAYS.shown(DAYS.halve(empty)).tolist() == [[-1]]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32"])
def test_values_of_every_type_are_counted(dtype: str) -> None:
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).choice([limits.min, 0, 7, limits.max], (40, 50))
    values = values.astype(dtype)
    assert count_values(values) == Counter(values.ravel().tolist())


def test_a_prediction_has_classes_and_confidence() -> None:
    classes, confidence = prediction_layers(Period(2025, 6), {0: "Forest"})
    assert (classes.file, confidence.file) == ("prediction_202506.tif", "confidence_202506.tif")
    assert classes.names == {0: "Forest"}
    assert confidence.legend is None
    assert {layer.nodata for layer in (classes, confidence)} == {NODATA}
    assert Window(0, 0, 3, 2) == Window(0, 0, *classes.empty(2, 3).shape[::-1])
