"""Areas: true hectares on the ellipsoid, whatever the map's projection."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.features import rasterize
from rasterio.windows import Window

from landcover.areas import pixel_areas, polygon_hectares
from landcover.grid import Grid
from landcover.maps.measure import measure_classes
from tests.conftest import REAL
from tests.rasters import RESOLUTION, pixel_box, write_raster

A = 6378137.0
FLATTENING = 1 / 298.257223563
E2 = FLATTENING * (2 - FLATTENING)
E = np.sqrt(E2)
B = A * (1 - FLATTENING)
NODATA = 255
GEOD = Geod(a=A, f=FLATTENING)


def write_map(
    path: Path, codes: NDArray[np.generic], transform: Affine, crs: str = "EPSG:3857"
) -> Path:
    values = codes.astype(np.uint8)[np.newaxis]
    return write_raster(path, values, transform=transform, crs=crs, nodata=NODATA)


def mercator(latitude: float, resolution: float = RESOLUTION) -> Affine:
    """Return a Web Mercator grid whose north edge lies at a latitude."""
    north = A * np.arctanh(np.sin(np.radians(latitude)))
    return Affine(resolution, 0, -8828000, 0, -resolution, north)


def mercator_rows(transform: Affine, height: int) -> NDArray[np.float64]:
    """Return the true area of a pixel of each row of a Web Mercator grid, in square metres.

    The ellipsoid's closed formula, taken at three places of each row (Simpson's rule).
    """
    edges = (transform.f + transform.e * (np.arange(height)[:, None] + [0, 0.5, 1])) / A
    sine = np.tanh(edges)
    factor = (1 - sine**2) * (1 - E2) / (1 - E2 * sine**2) ** 2
    return transform.a * -transform.e * (factor @ [1, 4, 1]) / 6


def zone(south: float, north: float) -> float:
    """Return the area of the ellipsoid between two latitudes, for each degree of longitude."""

    def part(latitude: float) -> float:
        sine = np.sin(np.radians(latitude))
        return float(sine / (1 - E2 * sine**2) + np.arctanh(E * sine) / E)

    return B**2 / 2 * np.radians(1) * (part(north) - part(south))


# --- Web Mercator ---------------------------------------------------------------------------------


@pytest.mark.parametrize("latitude", [1.4, 0.01, -0.3, -3.5, 45, -60])
def test_hectares_in_web_mercator_are_those_of_the_closed_formula(
    tmp_path: Path, latitude: float
) -> None:
    transform = mercator(latitude)
    path = write_map(tmp_path / "a.tif", np.zeros((1100, 700)), transform)
    expected = mercator_rows(transform, 1100).sum() * 700 / 10_000
    assert measure_classes(path)[1] == {0: pytest.approx(expected, rel=1e-7)}


@pytest.mark.parametrize(("latitude", "less"), [(0.0, 0.0067), (3.5, 0.0103), (-3.5, 0.0103)])
def test_true_hectares_are_less_than_nominal_ones_on_both_sides_of_the_equator(
    tmp_path: Path, latitude: float, less: float
) -> None:
    path = write_map(tmp_path / "a.tif", np.zeros((50, 50)), mercator(latitude))
    nominal = 50 * 50 * RESOLUTION**2 / 10_000
    assert 1 - measure_classes(path)[1][0] / nominal == pytest.approx(less, abs=5e-5)


@pytest.mark.parametrize("latitude", [0.3, -3.5])
def test_each_class_has_the_hectares_of_its_own_pixels(tmp_path: Path, latitude: float) -> None:
    transform = mercator(latitude)
    codes = np.random.default_rng(1).choice([0, 4, 7, 254, NODATA], (1300, 600))
    # Water lies in the north of each block, the worst case for a mean of the block.
    codes[np.arange(1300) % 512 < 100] = 4
    found = measure_classes(write_map(tmp_path / "a.tif", codes, transform))[1]
    rows = mercator_rows(transform, 1300) / 10_000
    for code in (0, 4, 7, 254):
        expected = ((codes == code).sum(axis=1) * rows).sum()
        assert found[code] == pytest.approx(expected, rel=1e-6)
    assert list(found) == [0, 4, 7, 254]
    assert sum(found.values()) < rows.sum() * 600


def test_nodata_and_classes_that_are_not_there_have_no_entry(tmp_path: Path) -> None:
    codes = np.full((600, 600), NODATA)
    codes[:10, :10] = 3
    found = measure_classes(write_map(tmp_path / "a.tif", codes, mercator(0)))[1]
    assert list(found) == [3]
    assert found[3] == pytest.approx(100 * RESOLUTION**2 * 0.9933 / 10_000, rel=1e-4)
    empty = write_map(tmp_path / "b.tif", np.full((60, 60), NODATA), mercator(0))
    assert measure_classes(empty)[1] == {}


# --- other projections ----------------------------------------------------------------------------


@pytest.mark.parametrize(("epsg", "east"), [(32617, 600_000), (32617, 950_000), (32615, 466_000)])
def test_hectares_in_utm_are_those_of_every_pixel_s_outline_on_the_ellipsoid(
    tmp_path: Path, epsg: int, east: float
) -> None:
    transform = Affine(30, 0, east, 0, -30, 1_741_815)
    codes = np.random.default_rng(2).choice([0, 1, NODATA], (20, 30))
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    expected = {0: 0.0, 1: 0.0}
    for (row, column), code in np.ndenumerate(codes):
        if code != NODATA:
            corners = [(0, 0), (0, 1), (1, 1), (1, 0)]
            x, y = zip(*(transform @ (column + c, row + r) for c, r in corners), strict=True)
            square_metres, _ = GEOD.polygon_area_perimeter(*to_lonlat.transform(x, y))
            expected[code] += abs(square_metres) / 10_000
    found = measure_classes(write_map(tmp_path / "a.tif", codes, transform, f"EPSG:{epsg}"))[1]
    assert found == pytest.approx(expected, rel=1e-6)


def test_hectares_in_utm_follow_the_scale_of_the_projection(tmp_path: Path) -> None:
    """On the central meridian a pixel stands for 1 / 0.9996 of its side, in both directions."""
    transform = Affine(10, 0, 500_000 - 250, 0, -10, 20_000)
    path = write_map(tmp_path / "a.tif", np.zeros((50, 50)), transform, "EPSG:32617")
    assert measure_classes(path)[1][0] == pytest.approx(25 / 0.9996**2, rel=1e-6)


@pytest.mark.parametrize("north", [1.0, 0.05, -3.0, 50.0])
def test_hectares_in_degrees_are_those_of_the_ellipsoid_s_zones(
    tmp_path: Path, north: float
) -> None:
    step = 1 / 3600
    transform = Affine(step, 0, -79.5, 0, -step, north)
    codes = np.full((900, 700), 1)
    codes[400:] = 0
    found = measure_classes(write_map(tmp_path / "a.tif", codes, transform, "EPSG:4326"))[1]
    middle, south = north - 400 * step, north - 900 * step
    width = 700 * step
    assert found[1] == pytest.approx(zone(middle, north) * width / 10_000, rel=1e-6)
    assert found[0] == pytest.approx(zone(south, middle) * width / 10_000, rel=1e-6)
    assert sum(found.values()) == pytest.approx(zone(south, north) * width / 10_000, rel=1e-6)


def test_hectares_in_an_equal_area_projection_are_nominal(tmp_path: Path) -> None:
    transform = Affine(30, 0, -7_600_000, 0, -30, 40_000)
    path = write_map(tmp_path / "a.tif", np.zeros((600, 600)), transform, "EPSG:6933")
    assert measure_classes(path)[1][0] == pytest.approx(600 * 600 * 900 / 10_000, rel=1e-6)


@pytest.mark.parametrize(
    ("epsg", "corner", "pixel"),
    [
        (3857, (-8_000_000, 8_400_000), 30),  # 60 degrees north
        (4326, (-79.5, 62.0), 1 / 240),  # half a kilometre
        (3413, (-1_700_000, 300_000), 500),
        (32617, (950_000, 1_741_815), 30),  # far out of the zone
        (3832, (3_300_000, -1_900_000), 30),  # over the antimeridian
        (3413, (-256_000, 256_000), 500),  # over the pole
    ],
)
@pytest.mark.parametrize("side", ["north", "west"])
def test_a_class_on_one_side_of_a_block_has_its_own_hectares(
    tmp_path: Path, epsg: int, corner: tuple[float, float], pixel: float, side: str
) -> None:
    """A block's mean was up to 3.3 % off."""
    transform = Affine(pixel, 0, corner[0], 0, -pixel, corner[1])
    codes = np.zeros((512, 512), dtype=np.uint8)
    ours = np.s_[:170] if side == "north" else np.s_[:, :170]
    codes[ours] = 1
    found = measure_classes(write_map(tmp_path / "a.tif", codes, transform, f"EPSG:{epsg}"))[1]
    for code in (0, 1):
        at = np.argwhere(codes == code)
        (top, left), (bottom, right) = at.min(axis=0), at.max(axis=0) + 1
        outline = pixel_box(left, top, right, bottom, transform)
        expected = polygon_hectares(outline, f"EPSG:{epsg}")
        assert found[code] == pytest.approx(expected, rel=2e-5)


def test_the_mean_pixel_area_of_a_window_is_that_of_its_place() -> None:
    transform = mercator(60)
    grid = Grid(rasterio.CRS.from_epsg(3857).to_wkt(), transform, 5000, 90_000)
    rows = mercator_rows(transform, 90_000)
    mean_pixel_area = pixel_areas(grid)
    for top, left in ((0, 0), (40_000, 3000), (89_000, 4400)):
        found = mean_pixel_area(Window(left, top, 600, 512))
        assert found == pytest.approx(rows[top : top + 512].mean(), rel=1e-7)


# --- the real area of interest --------------------------------------------------------------------


def test_the_real_area_of_interest_has_its_published_area_and_not_that_of_web_mercator(
    tmp_path: Path,
) -> None:
    boundary = geopandas.read_file(REAL / "western_ecuador" / "boundary_900m.geojson").to_crs(3857)
    west, south, east, north = boundary.total_bounds
    pixel = 500
    width, height = int((east - west) // pixel) + 2, int((north - south) // pixel) + 2
    transform = Affine(pixel, 0, west - 100, 0, -pixel, north + 100)
    codes = rasterize(
        [(boundary.union_all(), 0)],
        (height, width),
        fill=NODATA,
        transform=transform,
        dtype="uint8",
    )
    found = measure_classes(write_map(tmp_path / "a.tif", codes, transform))[1]
    square_kilometres = found[0] / 100
    assert square_kilometres == pytest.approx(74_989, rel=5e-4)
    assert (codes == 0).sum() * 0.25 == pytest.approx(75_565, rel=5e-4)
