"""Prediction: the valid pixels inside the area get the model's codes, all others none."""

import tracemalloc
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from shapely import box
from shapely.geometry.base import BaseGeometry
from sklearn.pipeline import Pipeline
from upath import UPath

from landcover.grid import Grid
from landcover.imagery.doubts import Inspection
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.thumbnails import Thumbnail
from landcover.maps.layers import prediction_layers
from landcover.maps.lookup import fastest
from landcover.maps.pieces import (
    overview_factors,
    piece_factors,
    write_piece,
)
from landcover.maps.prediction import predict_window, strips_inside
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.period import Period
from landcover.windows import pixels_inside, split, window_memory
from tests.rasters import (
    ORIGIN,
    centres,
    class_layer,
    mosaic_of,
    moved,
    pixel_box,
    random_values,
    write_raster,
)

WIDTH, HEIGHT = 700, 600
NODATA = 255
AREA = shapely.transform(
    shapely.union_all(
        [
            shapely.Point(330.3, 290.2).buffer(280.1, quad_segs=6),
            shapely.box(660.2, 20.7, 699.3, 580.4),
        ]
    ).difference(shapely.Point(350.7, 300.1).buffer(60.3)),
    lambda points: np.column_stack(ORIGIN @ points.T),
)
WINDOWS = [*split(Window(0, 0, WIDTH, HEIGHT), 512, 512), Window(0, 0, WIDTH, HEIGHT)]


@cache
def model_of(bands: int, bins: int | None) -> Pipeline:
    """Return a forest that tells six classes apart by nothing in particular."""
    random = np.random.default_rng(bands)
    values, codes = random.integers(1, 5000, (400, bands)), random.integers(0, 6, 400)
    return new_pipeline(ForestSettings(trees=5, bins=bins), jobs=1).fit(values, codes)


@cache
def inside_area() -> NDArray[np.bool_]:
    """Tell which pixels' centres lie in the area, by shapely."""
    shapely.prepare(AREA)
    inside: NDArray[np.bool_] = shapely.contains(AREA, centres(HEIGHT, WIDTH))
    return inside


def by_brute_force(
    values: NDArray[np.generic], wanted: NDArray[np.bool_], model: Pipeline
) -> NDArray[np.uint8]:
    codes = np.full(wanted.shape, NODATA, dtype=np.uint8)
    codes[wanted] = model.predict(values[:, wanted].T)
    return codes


def blocky(density: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask with holes of 20 x 20 pixels."""
    coarse = np.random.default_rng(seed).random((HEIGHT // 20, WIDTH // 20)) > density
    return coarse.repeat(20, axis=0).repeat(20, axis=1)


@pytest.fixture
def values() -> NDArray[np.generic]:
    return random_values((4, HEIGHT, WIDTH), seed=7)


def quads_of(folder: Path, values: NDArray[np.generic], **said: object) -> list[Path]:
    """Write values as four quads of unlike sizes."""
    quads = []
    for left, right in ((0, 400), (400, WIDTH)):
        for top, bottom in ((0, 512), (512, HEIGHT)):
            at = np.s_[top:bottom, left:right]
            parts = {
                name: part[at] if isinstance(part, np.ndarray) else part
                for name, part in said.items()
            }
            path = folder / f"{left}-{top}.tif"
            quads.append(write_raster(path, values[:, *at], transform=moved(left, top), **parts))
    return quads


@pytest.mark.parametrize("bins", [64, None], ids=["by table", "by the model itself"])
@pytest.mark.parametrize("kind", ["plain", "nodata", "alpha", "mask"])
def test_a_window_holds_the_model_s_codes_where_it_is_valid_and_inside_and_nodata_elsewhere(
    tmp_path: Path, values: NDArray[np.generic], kind: str, bins: int | None
) -> None:
    holes = blocky(0.1, seed=1)
    said: dict[str, object] = {"alpha": holes} if kind == "alpha" else {}
    said = {"mask": holes} if kind == "mask" else said
    if kind == "nodata":
        values[2][~holes] = 0
        said = {"nodata": 0}
    valid = np.ones_like(holes) if kind == "plain" else holes
    mosaic = mosaic_of(quads_of(tmp_path, values, **said), tmp_path)
    model = model_of(4, bins)
    expected = by_brute_force(values, valid & inside_area(), model)
    for window in WINDOWS:
        codes, _ = predict_window(mosaic, fastest(model), list(mosaic.bands), AREA, window)
        assert codes.dtype == np.uint8
        np.testing.assert_array_equal(codes, expected[window.toslices()])
    assert 0.3 < np.mean(expected != NODATA) < 0.9


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_imagery_of_any_type_is_predicted(tmp_path: Path, dtype: str) -> None:
    values = random_values((4, HEIGHT, WIDTH), seed=3).astype(dtype)
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values)], tmp_path)
    model = model_of(4, 64)
    window = Window(512, 0, 188, 512)
    codes, _ = predict_window(mosaic, fastest(model), list(mosaic.bands), AREA, window)
    expected = by_brute_force(values, inside_area(), model)
    np.testing.assert_array_equal(codes, expected[window.toslices()])


@pytest.mark.parametrize(("bands", "dtype"), [(4, "uint16"), (8, "uint16"), (10, "float64")])
def test_a_window_takes_what_is_said_of_its_memory_and_hardly_less(
    tmp_path: Path, bands: int, dtype: str
) -> None:
    side, known = 1024, {f"band{number}": number for number in range(1, bands + 1)}
    values = random_values((bands, side // 8, side // 8), seed=4, dtype=dtype)
    values = values.repeat(8, axis=1).repeat(8, axis=2)
    quads = [
        write_raster(tmp_path / "a.tif", values[:, :, :1000], nodata=0),
        write_raster(tmp_path / "b.tif", values[:, :, 1000:], nodata=0, transform=moved(1000, 0)),
    ]
    mosaic, predictor = mosaic_of(quads, tmp_path, known), fastest(model_of(bands, 64))
    window, area = Window(0, 0, side, side), pixel_box(0.2, 0.2, side, side)
    layers, factors = prediction_layers(Period(2025, 6), {}), piece_factors(mosaic.grid, side)

    def predict() -> None:
        inspection = Inspection.of(mosaic)
        of_layer = predict_window(
            mosaic, predictor, list(known), area, window, inspection=inspection
        )
        for layer, found in zip(layers, of_layer, strict=True):
            write_piece(layer, found, mosaic.grid.part(window), factors, tmp_path / layer.file)

    predict()  # so that the table holds all cells, whose memory is told elsewhere
    tracemalloc.start()
    predict()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    said = window_memory(side, bands + 1, np.dtype(dtype).itemsize)
    assert 0.6 * said < peak < said


def test_nan_in_any_band_is_not_predicted(tmp_path: Path) -> None:
    values = random_values((4, HEIGHT, WIDTH), seed=3).astype("float32")
    holes = blocky(0.2, seed=2)
    values[1][~holes] = np.nan
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values)], tmp_path)
    for bins in (64, None):
        codes, _ = predict_window(
            mosaic, fastest(model_of(4, bins)), list(mosaic.bands), AREA, WINDOWS[-1]
        )
        expected = by_brute_force(values, holes & inside_area(), model_of(4, bins))
        np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("bins", [64, None])
def test_bands_are_read_in_the_model_s_order_not_in_the_mosaic_s(
    tmp_path: Path, values: NDArray[np.generic], bins: int | None
) -> None:
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values)], tmp_path)
    model = model_of(2, bins)
    codes, _ = predict_window(mosaic, fastest(model), ["nir", "green"], AREA, WINDOWS[-1])
    np.testing.assert_array_equal(codes, by_brute_force(values[[3, 1]], inside_area(), model))


@pytest.mark.parametrize(
    "area",
    [shapely.box(0, 0, 1, 1), pixel_box(10, 10, 90, 90), pixel_box(3.6, 3.6, 4.4, 4.4)],
    ids=["far away", "in another window", "between pixels' centres"],
)
def test_a_window_without_a_pixel_inside_is_nodata(
    tmp_path: Path, values: NDArray[np.generic], area: BaseGeometry
) -> None:
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values)], tmp_path)
    window = Window(512, 512, 188, 88)
    codes, _ = predict_window(mosaic, fastest(model_of(4, 64)), list(mosaic.bands), area, window)
    assert codes.shape == (88, 188)
    assert (codes == NODATA).all()


def test_an_area_that_runs_along_a_window_s_edge_stays_on_its_side(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    # On whole metres, so that the edge is shared exactly.
    metres = Affine(5, 0, 1000, 0, -5, 9000)
    path = write_raster(tmp_path / "a.tif", values, transform=metres)
    mosaic = mosaic_of([path], tmp_path)
    area = shapely.union_all(
        [
            pixel_box(512, 100, 600, 500, metres),
            pixel_box(300, 512, 400, 590, metres),
            pixel_box(100, 100, 150, 150, metres),
        ]
    )
    codes, _ = predict_window(
        mosaic, fastest(model_of(4, 64)), list(mosaic.bands), area, Window(0, 0, 512, 512)
    )
    inside = np.zeros((512, 512), dtype=bool)
    inside[100:150, 100:150] = True
    np.testing.assert_array_equal(codes != NODATA, inside)


@pytest.mark.parametrize("size", [512, 1024, 2048, 4096, 8192])
def test_an_area_that_touches_a_window_s_edge_has_the_same_pixels_through_any_windows(
    tmp_path: Path, size: int
) -> None:
    """A column of 1,024 pixels outside the area was mapped where windows ended on a quad's edge."""
    metres = Affine(5, 0, 1000, 0, -5, 9000)
    mosaic = Mosaic(
        UPath(tmp_path), "a", 1, {"nir": 1}, Grid(MERCATOR, metres, 2048, 1024), "unread"
    )
    quads = [(0, 0), (512, 0), (1024, 0), (1536, 0), (512, 512)]
    area = shapely.union_all([pixel_box(x, y, x + 512, y + 512, metres) for x, y in quads])
    # Another part comes to the corner of a window with one point.
    corner = [(1536, 1024), (1600, 900), (1600, 1000)]
    spike = shapely.Polygon([metres @ point for point in corner])
    for shape in (area, shapely.union_all([area, spike])):
        counted = sum(
            int(inside.sum())
            for window in split(mosaic.grid.whole, size, size)
            for _, inside in strips_inside(mosaic, shape, window)
        )
        assert counted == pixels_inside(shape, mosaic.grid.whole, metres).sum()
        assert shape is not area or counted == 1_310_720


def test_a_quad_that_cannot_be_read_is_an_error_and_no_hole(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    quads = quads_of(tmp_path, values)
    mosaic = mosaic_of(quads, tmp_path)
    quads[2].write_bytes(b"not an image")
    with pytest.raises(RasterioIOError, match="400-0"):
        predict_window(mosaic, fastest(model_of(4, 64)), list(mosaic.bands), AREA, WINDOWS[-1])


# --- pieces ---------------------------------------------------------------------------------------


def mode_by_counting(four: list[int]) -> int:
    """Return the code that is there most often, the first of several; nodata only where alone."""
    seen = [code for code in four if code != NODATA]
    if not seen:
        return NODATA
    most = max(Counter(seen).values())
    return next(code for code in seen if seen.count(code) == most)


def halved_by_counting(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = (-(-size // 2) for size in codes.shape)
    return np.array(
        [
            [
                mode_by_counting(codes[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist())
                for x in range(columns)
            ]
            for y in range(rows)
        ],
        dtype=np.uint8,
    )


MERCATOR = rasterio.CRS.from_epsg(3857).to_wkt()


@pytest.mark.parametrize("shape", [(512, 512), (88, 188), (1, 1), (513, 700)])
def test_a_piece_holds_the_codes_and_each_overview_in_its_place(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    codes = np.random.default_rng(1).choice([0, 1, 6, NODATA], shape).astype(np.uint8)
    grid = Grid(MERCATOR, ORIGIN, 5000, 5000).part(Window(1024, 512, shape[1], shape[0]))
    piece = tmp_path / "piece.tif"
    write_piece(class_layer(), codes, grid, [2, 4], piece)
    assert [path.name for path in tmp_path.iterdir()] == ["piece.tif"]
    with rasterio.open(piece) as dataset:
        assert dataset.transform.almost_equals(moved(1024, 512), precision=1e-6)
    for factor, level in ((1, None), (2, 0), (4, 1)):
        with rasterio.open(piece, overview_level=level) as dataset:
            np.testing.assert_array_equal(dataset.read(1), codes)
            assert dataset.nodata == NODATA
            assert dataset.crs.to_epsg() == 3857
            size = (dataset.height, dataset.width)
            assert size == (grid.coarser(factor).height, grid.coarser(factor).width)
        codes = halved_by_counting(codes)


@given(width=st.integers(1, 300_000), height=st.integers(1, 300_000), power=st.integers(9, 13))
def test_overviews_halve_until_the_map_fits_one_block_and_pieces_have_those_of_whole_blocks(
    width: int, height: int, power: int
) -> None:
    grid = Grid(MERCATOR, ORIGIN, width, height)
    factors = overview_factors(grid)
    assert factors == [2 ** (number + 1) for number in range(len(factors))]
    assert max(width, height) / (factors[-1] if factors else 1) <= 512
    if factors:
        assert max(width, height) / factors[-1] > 256
    of_pieces = piece_factors(grid, 2**power)
    assert of_pieces == factors[: len(of_pieces)]
    assert of_pieces == factors or 512 * factors[len(of_pieces)] > 2**power
    assert all(2**power % (512 * factor) == 0 for factor in of_pieces)


def test_a_mosaic_is_predicted_the_same_through_any_windows(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    mosaic: Mosaic = mosaic_of(quads_of(tmp_path, values, nodata=0), tmp_path)
    predictor, bands = fastest(model_of(4, 64)), list(mosaic.bands)
    at_once, _ = predict_window(mosaic, predictor, bands, AREA, WINDOWS[-1])
    for window in split(Window(0, 0, WIDTH, HEIGHT), 512, 512):
        part, _ = predict_window(mosaic, predictor, bands, AREA, window)
        np.testing.assert_array_equal(part, at_once[window.toslices()])


@pytest.mark.parametrize("factor", [1, 8, 16])
@pytest.mark.parametrize("names", [("nir", "red", "green", "blue"), ("nir", "green")])
def test_a_thumbnail_is_the_mean_of_the_valid_pixels(
    tmp_path: Path, values: NDArray[np.generic], names: tuple[str, ...], factor: int
) -> None:
    step = max(1, factor // 4)
    holes = blocky(0.4, seed=2)
    mosaic = mosaic_of(quads_of(tmp_path, values, alpha=holes), tmp_path)
    everywhere = box(*mosaic.grid.bounds)
    shown = [name for name in ("red", "green", "blue") if name in names]
    shown = shown if len(shown) == 3 else [*names, names[-1]]
    predictor = fastest(model_of(len(names), 64))
    for window in WINDOWS:
        thumbnail = Thumbnail(window, names, factor)
        predict_window(mosaic, predictor, list(names), everywhere, window, thumbnail)
        thumbnail.write(mosaic.grid, tmp_path / "small.tif")
        with rasterio.open(tmp_path / "small.tif") as small:
            found, transform = small.read(), small.transform
        assert transform @ (0, 0) == mosaic.grid.transform @ (window.col_off, window.row_off)
        assert found.shape == (3, -(-window.height // factor), -(-window.width // factor))
        good = holes[window.toslices()]
        for band, name in enumerate(shown):
            whole = values[mosaic.bands[name] - 1][window.toslices()]
            padding = [(0, -length % factor) for length in whole.shape]
            sums, counts = (
                np.pad(each, padding)
                .reshape(found.shape[1], factor, found.shape[2], factor)[:, ::step, :, ::step]
                .sum(axis=(1, 3), dtype=np.float64)
                for each in (np.where(good, whole, 0), good)
            )
            with np.errstate(invalid="ignore"):
                np.testing.assert_allclose(found[band], sums / counts, rtol=1e-6)
        assert np.isfinite(found).any()
