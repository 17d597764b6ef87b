"""Another map of the place: rules of forest, and what it says of the pixels of a grid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from upath import UPath

from landcover.accuracy.other_map import (
    FOREST,
    NON_FOREST,
    UNKNOWN,
    OtherMap,
    check_seen,
    find_other,
    read_no_data,
    read_rule,
    read_states,
)
from landcover.errors import LandcoverError, SettingsError
from landcover.geometry import reproject
from landcover.grid import Grid
from tests.rasters import ORIGIN, RESOLUTION, centres, pixel_box, write_raster

HEIGHT, WIDTH = 60, 80
MERCATOR = "EPSG:3857"
GRID = Grid(MERCATOR, ORIGIN, WIDTH, HEIGHT)
AREA = pixel_box(0, 0, WIDTH, HEIGHT)
LONLAT = "EPSG:4326"


def codes(height: int = HEIGHT, width: int = WIDTH, dtype: str = "uint8") -> NDArray[np.generic]:
    """Return codes 0 to 4, each pixel's its own."""
    return np.random.default_rng(1).integers(0, 5, (height, width)).astype(dtype)


def other(path: Path, forest: str = "3,4", no_data: str = "declared", band: int = 1) -> OtherMap:
    return OtherMap(UPath(path), band, read_rule(forest), read_no_data(no_data), 10.0)


def expected(
    values: NDArray[np.generic], known: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return the states of values; all are known if not told."""
    forest = np.isin(values, [3, 4])
    return np.where(
        True if known is None else known, np.where(forest, FOREST, NON_FOREST), UNKNOWN
    ).astype(np.uint8)


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "forest"),
    [
        ("3", [3]),
        (" 3 ,4,5", [3, 4]),
        ("-1,0", [-1, 0]),
        (">=3", [3, 4]),
        ("> 3", [4]),
        ("<0", [-1]),
        ("<=0.5", [-1, 0]),
    ],
)
def test_codes_and_bounds_are_rules(text, forest):
    values = np.arange(-1, 5)
    assert values[read_rule(text).holds(values)].tolist() == forest


@pytest.mark.parametrize("text", ["", "forest", "3;4", "3,,4", "3-6", ">=", "=30", "2.5", ">=3,4"])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match="such as 3,4,5,6, or a bound, such as >=30"):
        read_rule(text)


def test_no_data_is_what_the_file_declares_or_values_or_nothing():
    assert read_no_data("declared") is None
    assert read_no_data("none") == frozenset()
    assert read_no_data("0, 27") == {0, 27}
    with pytest.raises(ValueError, match="such as 0,27"):
        read_no_data("zero")


# --- pixels ---------------------------------------------------------------------------------------


def test_on_the_same_grid_each_pixel_is_its_own(tmp_path):
    values = codes()
    path = write_raster(tmp_path / "a.tif", values[np.newaxis])
    states, seen = read_states(other(path), GRID)
    assert np.array_equal(states, expected(values))
    assert seen == {0, 1, 2, 3, 4}


def test_coarser_pixels_are_not_shifted_by_half(tmp_path):
    values = codes(HEIGHT // 4, WIDTH // 4)
    path = write_raster(tmp_path / "a.tif", values[np.newaxis], transform=ORIGIN @ Affine.scale(4))
    states, _ = read_states(other(path), GRID)
    assert np.array_equal(states, expected(values.repeat(4, 0).repeat(4, 1)))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32617"])
@pytest.mark.parametrize("south_up", [False, True])
def test_in_another_projection_each_pixel_has_the_value_at_its_centre(tmp_path, crs, south_up):
    to_theirs = Transformer.from_crs(MERCATOR, crs, always_xy=True)
    west, _, east, north = to_theirs.transform_bounds(*AREA.bounds)
    size = (east - west) / 20
    transform = Affine(size, 0, west - size / 3, 0, -size, north + size / 3)
    values = codes(40, 40)
    if south_up:
        stored = transform @ Affine(1, 0, 0, 0, -1, 40)
        path = write_raster(tmp_path / "a.tif", values[np.newaxis, ::-1], transform=stored, crs=crs)
    else:
        path = write_raster(tmp_path / "a.tif", values[np.newaxis], transform=transform, crs=crs)
    states, _ = read_states(other(path), GRID)
    points = centres(HEIGHT, WIDTH).ravel()
    x, y = to_theirs.transform([p.x for p in points], [p.y for p in points])
    columns, rows = ~transform @ (np.array(x), np.array(y))
    # Where a centre lies on an edge of theirs, either side is right.
    inner = (np.abs(columns - columns.round()) > 0.01) & (np.abs(rows - rows.round()) > 0.01)
    wanted = expected(values[rows.astype(int), columns.astype(int)])
    assert inner.mean() > 0.9
    assert np.array_equal(states.ravel()[inner], wanted[inner])


def test_longitudes_may_run_to_360(tmp_path):
    area = reproject(AREA, MERCATOR, LONLAT)
    west, south, east, north = area.bounds
    transform = Affine((east - west) / 8, 0, west + 360, 0, -(north - south) / 6, north)
    values = codes(6, 8)
    path = write_raster(
        tmp_path / "a.tif", values[np.newaxis], transform=transform, crs="EPSG:4326"
    )
    assert find_other(UPath(path), None, read_rule("3"), None, AREA, MERCATOR).band == 1
    states, _ = read_states(other(path), GRID)
    assert np.array_equal(states, expected(values.repeat(10, 0).repeat(10, 1)))


def test_over_the_antimeridian_both_sides_are_read(tmp_path):
    grid = Grid("EPSG:3832", Affine(1000, 0, 3_330_000, 0, -1000, 20_000), 20, 10)
    transform = Affine(0.01, 0, 179.8, 0, -0.01, 0.3)
    values = np.full((60, 40), 3, np.uint8)
    path = write_raster(
        tmp_path / "a.tif", values[np.newaxis], transform=transform, crs="EPSG:4326"
    )
    area = pixel_box(0, 0, 20, 10, grid.transform)
    assert find_other(UPath(path), None, read_rule("3"), None, area, grid.crs).metres > 1000
    states, _ = read_states(other(path), grid)
    assert (states == FOREST).all()


def test_beyond_its_edges_another_map_knows_nothing_whatever_it_declares(tmp_path):
    values = codes()
    shifted = Grid(MERCATOR, ORIGIN @ Affine.translation(-20, -10), WIDTH, HEIGHT)
    known = np.zeros((HEIGHT, WIDTH), bool)
    known[10:, 20:] = True
    wanted = np.full((HEIGHT, WIDTH), 9, np.uint8)
    wanted[10:, 20:] = values[:-10, :-20]
    for nodata, no_data in ((None, "declared"), (None, "none"), (200, "declared"), (0, "none")):
        path = write_raster(tmp_path / "a.tif", values[np.newaxis], nodata=nodata)
        states, _ = read_states(other(path, no_data=no_data), shifted)
        assert np.array_equal(states, expected(wanted, known)), (nodata, no_data)


Written = Callable[[Path], tuple[Path, NDArray[np.generic], NDArray[np.bool_]]]


def by_nodata(path: Path) -> tuple[Path, NDArray[np.generic], NDArray[np.bool_]]:
    values = codes(dtype="int16")
    return write_raster(path, values[np.newaxis], nodata=0), values, values != 0


def by_nan(path: Path) -> tuple[Path, NDArray[np.generic], NDArray[np.bool_]]:
    values = codes(dtype="float32")
    values[values == 0] = np.nan
    return write_raster(path, values[np.newaxis], nodata=np.nan), values, ~np.isnan(values)


def by_mask(path: Path) -> tuple[Path, NDArray[np.generic], NDArray[np.bool_]]:
    values, mask = codes(dtype="uint16"), codes() > 1
    return write_raster(path, values[np.newaxis], mask=mask), values, mask


def by_alpha(path: Path) -> tuple[Path, NDArray[np.generic], NDArray[np.bool_]]:
    values, mask = codes(), codes() < 4
    return write_raster(path, values[np.newaxis], alpha=mask), values, mask


@pytest.mark.parametrize("written", [by_nodata, by_nan, by_mask, by_alpha])
def test_what_the_file_declares_as_no_data_is_not_known(tmp_path, written: Written):
    path, values, known = written(tmp_path / "a.tif")
    found = find_other(UPath(path), None, read_rule("3,4"), None, AREA, MERCATOR)
    states, _ = read_states(found, GRID)
    assert np.array_equal(states, expected(values, known))


def test_values_take_the_place_of_what_is_declared(tmp_path):
    values = codes()
    path = write_raster(tmp_path / "a.tif", values[np.newaxis], nodata=0)
    states, _ = read_states(other(path, no_data="1,2"), GRID)
    assert np.array_equal(states, expected(values, ~np.isin(values, [1, 2])))


def test_not_a_number_is_never_known(tmp_path):
    values = codes(dtype="float32")
    values[0] = np.nan
    path = write_raster(tmp_path / "a.tif", values[np.newaxis])
    for no_data in ("declared", "none"):
        states, seen = read_states(other(path, ">=3", no_data), GRID)
        assert np.array_equal(states == UNKNOWN, np.isnan(values)), no_data
        assert seen == {0, 4}


def test_of_several_bands_the_one_that_is_named_is_read(tmp_path):
    values = np.stack([codes(), codes()[::-1], codes()[:, ::-1]])
    path = UPath(write_raster(tmp_path / "a.tif", values))
    rule = read_rule("3,4")
    with pytest.raises(SettingsError, match="has 3 bands, such as one for each year, and --band"):
        find_other(path, None, rule, None, AREA, MERCATOR)
    with pytest.raises(SettingsError, match=r"--band names band 4, but .* has 3"):
        find_other(path, 4, rule, None, AREA, MERCATOR)
    states, _ = read_states(find_other(path, 3, rule, None, AREA, MERCATOR), GRID)
    assert np.array_equal(states, expected(values[2]))


# --- what cannot be compared ----------------------------------------------------------------------


def test_a_raster_that_lies_nowhere_or_elsewhere_is_refused(tmp_path):
    values, rule = codes()[np.newaxis], read_rule("3")
    lost = UPath(write_raster(tmp_path / "a.tif", values, crs=None))
    with pytest.raises(LandcoverError, match="does not say where it lies"):
        find_other(lost, None, rule, None, AREA, MERCATOR)
    far = UPath(
        write_raster(
            tmp_path / "b.tif", values, transform=Affine(1, 0, 10, 0, -1, 50), crs="EPSG:4326"
        )
    )
    with pytest.raises(LandcoverError, match=r"does not touch the area .* in EPSG:4326"):
        find_other(far, None, rule, None, AREA, MERCATOR)


def test_codes_that_do_not_occur_are_told(tmp_path):
    found = other(tmp_path / "a.tif", "3,4,5")
    assert check_seen(found, frozenset({0.0, 3.0})) == [4, 5]
    with pytest.raises(LandcoverError, match=r"by --forest 3,4,5: its values there are 10, 20\."):
        check_seen(found, frozenset({10.0, 20.0}))
    with pytest.raises(LandcoverError, match="its values there are from 0 to 1"):
        check_seen(other(tmp_path / "a.tif", ">=30"), frozenset({0.0, 1.0}))
    with pytest.raises(LandcoverError, match="holds no data in the area of interest"):
        check_seen(found, frozenset())


def test_a_pixel_is_as_wide_as_on_the_ground(tmp_path):
    path = UPath(write_raster(tmp_path / "a.tif", codes()[np.newaxis]))
    found = find_other(path, None, read_rule("3"), None, AREA, MERCATOR)
    # Web Mercator's is less at the equator, because the ellipsoid is flat.
    assert found.metres == pytest.approx(RESOLUTION * 0.9966, rel=1e-3)
