"""Coverage: what has no imagery is named, measured once, and told in seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.areas import polygon_hectares
from landcover.errors import LandcoverError
from landcover.geometry import reproject, union
from landcover.grid import Grid
from landcover.imagery.coverage import (
    SHOWN,
    Coverage,
    advise_on_gaps,
    describe_gaps,
    find_gaps,
    is_empty,
)
from landcover.imagery.mosaic import Mosaic, Nodata, Raster, describe_mosaic
from landcover.imagery.quads import Quad, read_header, write_index
from landcover.imagery.quads import find_quads as find
from tests.rasters import ORIGIN, mosaic_of, moved, pixel_box, random_values, write_raster

CRS = "EPSG:3857"
SIDE = 256


def scene(path: Path, column: int, row: int, *, valid: bool = True, side: int = SIDE) -> Path:
    """Write an image whose upper left corner is so many pixels from the first's."""
    values = random_values((4, side, side))
    alpha = np.full((side, side), valid)
    return write_raster(path, values, transform=moved(column, row), alpha=alpha)


def coverage_of(mosaic: Mosaic, area: BaseGeometry) -> Coverage:
    places = [(raster, quad) for raster in mosaic.rasters() for quad in raster.quads]
    return find_gaps(mosaic, area, [at[1] for at in places if is_empty(mosaic, area, *at)])


def hectares(area: BaseGeometry) -> float:
    return polygon_hectares(area, CRS)


# --- what is covered twice counts once ------------------------------------------------------------


def test_what_a_valid_scene_covers_is_no_gap_of_an_empty_one(tmp_path: Path) -> None:
    """3,602.9 ha were told, where 1,801.4 were true."""
    scenes = [
        scene(tmp_path / "a.tif", 0, 0, valid=False),
        scene(tmp_path / "b.tif", SIDE // 2, 0),
    ]
    mosaic = mosaic_of(scenes, tmp_path)
    found = coverage_of(mosaic, pixel_box(0, 0, SIDE, SIDE))
    half = hectares(pixel_box(0, 0, SIDE // 2, SIDE))
    assert [gap.name for gap in found.gaps] == ["a.tif"]
    assert found.empty[0].hectares == found.uncovered == pytest.approx(half, rel=1e-6)
    assert found.without_imagery == pytest.approx(0.5, rel=1e-4)


def test_an_empty_scene_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    """133.3 % of the area of interest were told."""
    empty = [scene(tmp_path / f"{name}.tif", 0, 0, valid=False) for name in "ab"]
    beside = scene(tmp_path / "c.tif", SIDE, 0)
    area = pixel_box(0, 0, 2 * SIDE, SIDE)
    found = coverage_of(mosaic_of([*empty, beside], tmp_path), area)
    assert [gap.name for gap in found.gaps] == ["a.tif"]
    assert found.without_imagery == pytest.approx(0.5, rel=1e-4)
    assert sum(gap.hectares for gap in found.gaps) == pytest.approx(found.uncovered, rel=1e-6)


def test_no_more_than_all_is_uncovered(tmp_path: Path) -> None:
    empty = [scene(tmp_path / f"{n}.tif", n * 100, n * 50, valid=False) for n in range(3)]
    found = coverage_of(mosaic_of(empty, tmp_path), pixel_box(0, 0, 500, 400))
    assert found.without_imagery == pytest.approx(1, abs=1e-9)
    assert sum(gap.hectares for gap in found.gaps) == pytest.approx(found.hectares, rel=1e-6)


def test_an_empty_scene_that_others_cover_or_the_area_does_not_need_is_no_gap(
    tmp_path: Path,
) -> None:
    scenes = [
        scene(tmp_path / "a.tif", 0, 0),
        scene(tmp_path / "b.tif", 0, 0, valid=False),
        scene(tmp_path / "c.tif", 4 * SIDE, 0, valid=False),
    ]
    mosaic = mosaic_of(scenes, tmp_path)
    area = pixel_box(5, 5, 200, 200)
    (raster,) = mosaic.rasters()
    assert [is_empty(mosaic, area, raster, quad) for quad in raster.quads] == [False, True, False]
    assert coverage_of(mosaic, area).gaps == ()
    assert coverage_of(mosaic, area).uncovered == 0


@pytest.mark.parametrize(("nodata", "empty"), [(0.0, True), (None, False), ("none", False)])
def test_a_quad_of_what_is_said_to_be_no_data_is_empty(
    tmp_path: Path, nodata: Nodata, empty: bool
) -> None:
    zeros = np.zeros((4, SIDE, SIDE), dtype=np.uint16)
    plain = mosaic_of([write_raster(tmp_path / "a.tif", zeros)], tmp_path)
    (quad,) = plain.quads()
    mosaic = describe_mosaic([quad], "here", plain.bands, plain.index, nodata=nodata)
    raster = Raster("here", (quad,), mosaic.bands, mosaic.nodata_value)
    assert is_empty(mosaic, pixel_box(0, 0, SIDE, SIDE), raster, quad) is empty


# --- a single image -------------------------------------------------------------------------------


def test_a_single_image_is_told_as_that(tmp_path: Path) -> None:
    mosaic = mosaic_of([scene(tmp_path / "june.tif", 0, 0)], tmp_path)
    found = coverage_of(mosaic, pixel_box(-100, 0, 1100, SIDE))
    told = describe_gaps(found, "2025-06")
    outside = hectares(pixel_box(-100, 0, 0, SIDE)) + hectares(pixel_box(SIDE, 0, 1100, SIDE))
    assert f"The image june.tif covers {SIDE / 1200:.2%} of the area of interest" in told
    assert f"{outside:,.1f} ha of it lie outside" in told
    assert "quad" not in f"{told} {advise_on_gaps(found)}"
    assert [str(gap) for gap in found.gaps] == ["outside june.tif"]


def test_an_image_that_covers_almost_all_does_not_cover_all(tmp_path: Path) -> None:
    mosaic = mosaic_of([scene(tmp_path / "june.tif", 0, 0, side=1024)], tmp_path)
    sliver = pixel_box(1020, 500, 1025, 501)
    found = coverage_of(mosaic, union([pixel_box(0, 0, 1024, 1024), sliver]))
    assert "covers 99.99% of" in describe_gaps(found, "2025-06")


# --- small areas ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_small_area_with_all_its_imagery_has_no_hole(tmp_path: Path, seed: int) -> None:
    """Up to 5.5 % of the area were said to have no valid imagery."""
    mosaic = mosaic_of([scene(tmp_path / "a.tif", 0, 0)], tmp_path)
    random = np.random.default_rng(seed)
    x, y = random.uniform(20, 100, 2)
    area = shapely.affinity.rotate(pixel_box(x, y, x + 21, y + 21), random.uniform(0, 90))
    found = coverage_of(mosaic, area)
    each = found.pixel_hectares / found.pixels
    assert found.without_class({"Forest": found.pixels * each}, found.pixels) == 0
    lost = found.without_class({"Forest": (found.pixels - 9) * each}, found.pixels - 9)
    assert lost == pytest.approx(9 / found.pixels)
    assert found.under_clouds({"Cloud": found.pixels * each}) == pytest.approx(1)


@pytest.mark.parametrize("half", [0, 0.5])
def test_an_area_whose_edges_go_through_pixels_centres_has_no_hole(
    tmp_path: Path, half: float
) -> None:
    mosaic = mosaic_of([scene(tmp_path / "a.tif", 0, 0)], tmp_path)
    found = coverage_of(mosaic, pixel_box(10 + half, 10 + half, 20 + half, 20 + half))
    assert found.pixels == (100 if half == 0 else 81)


def test_an_area_without_a_pixel_s_centre_ends_in_a_sentence(tmp_path: Path) -> None:
    mosaic = mosaic_of([scene(tmp_path / "a.tif", 0, 0)], tmp_path)
    with pytest.raises(LandcoverError, match=r"too small for the mosaic .* no pixel of it has"):
        coverage_of(mosaic, pixel_box(3.6, 3.6, 4.4, 4.4))


# --- far more than its imagery --------------------------------------------------------------------


def country(vertices: int = 50_000) -> BaseGeometry:
    """Return a country of 700 x 750 km with a coast of many vertices, in Web Mercator."""
    angle = np.linspace(0, 2 * np.pi, vertices)
    wavy = 0.05 * np.sin(300 * angle)
    ring = [-78 + (3 + wavy) * np.cos(angle), -1.75 + (3.25 + wavy) * np.sin(angle)]
    return reproject(shapely.Polygon(np.column_stack(ring)), 4326, CRS)


def lattice(folder: Path, side: int) -> Mosaic:
    """Return nine quads of a lattice, from the header of one."""
    path = scene(folder / "quad.tif", 0, 0, side=16)
    (image,) = find(str(path), "a quad")
    one = read_header(image)
    quads = [
        Quad(
            (
                replace(
                    one,
                    path=f"{1000 + column}-{1000 - row}.tif",
                    grid=Grid(one.grid.crs, moved(column * side, row * side), side, side),
                ),
            )
        )
        for column in range(3)
        for row in range(3)
    ]
    index = UPath(folder / "index.parquet")
    write_index([quads], index)
    return describe_mosaic(quads, "nine", {"blue": 1}, index, country())


@pytest.mark.parametrize("side", [64, 512, 4096])
def test_a_country_and_nine_quads_are_told_whatever_the_lattice(tmp_path: Path, side: int) -> None:
    area, mosaic = country(), lattice(tmp_path, side)
    found = find_gaps(mosaic, area, [])
    assert len(found.missing) == SHOWN
    nine = hectares(pixel_box(0, 0, 3 * side, 3 * side))
    assert found.uncovered == pytest.approx(found.hectares - nine, rel=1e-6)
    cells = shapely.area(area) / (side * ORIGIN.a) ** 2
    assert found.more_missing == pytest.approx(cells, rel=0.3)
    assert len(describe_gaps(found, "2025-06")) < 1500
    assert f" and {found.more_missing:,} more)" in describe_gaps(found, "2025-06")


def test_a_lattice_too_fine_to_count_is_told_by_area(tmp_path: Path) -> None:
    found = find_gaps(lattice(tmp_path, 16), country(), [])
    assert found.missing == ()
    assert found.more_missing > 25_000_000
    assert "quads missing." in describe_gaps(found, "2025-06")


def test_an_area_that_makes_too_large_a_grid_is_refused(tmp_path: Path) -> None:
    mosaic = lattice(tmp_path, 64)
    world = shapely.box(-2e7, -1e7, 2e7, 1e7)
    with pytest.raises(LandcoverError, match=r"would have 8,.* pixels"):
        describe_mosaic(mosaic.quads(), "nine", {"blue": 1}, mosaic.index, world)


def test_an_area_on_both_sides_of_the_antimeridian_is_refused_where_the_crs_is_cut(
    tmp_path: Path,
) -> None:
    fiji = shapely.box(179.9, -17.1, 180.1, -17)
    for epsg, served in ((3857, False), (3832, True)):
        area = reproject(fiji, 4326, epsg)
        _, _, _, north = area.bounds
        quads = [
            write_raster(
                tmp_path / f"{epsg}-{number}.tif",
                random_values((1, 100, 100)),
                transform=Affine(30, 0, corner, 0, -30, north),
                crs=f"EPSG:{epsg}",
            )
            for number, corner in enumerate(
                [-20037508 + 8, -20037508 + 8 + 13358 * 3000]
                if epsg == 3857
                else [area.bounds[0], area.bounds[0] + 3000]
            )
        ]
        mosaic = mosaic_of(quads, tmp_path, {"nir": 1})
        headers = mosaic.quads()
        if served:
            found = describe_mosaic(headers, "here", {"nir": 1}, mosaic.index, area)
            assert found.grid.width < 1000
        else:
            with pytest.raises(LandcoverError, match="both sides of the antimeridian"):
                describe_mosaic(headers, "here", {"nir": 1}, mosaic.index, area)
