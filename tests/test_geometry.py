"""Polygons in another CRS and laid over one another: valid, polygonal, and where they belong."""

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from landcover.areas import polygon_hectares
from landcover.errors import LandcoverError
from landcover.geometry import (
    difference,
    fold,
    intersection,
    is_torn,
    lonlat_bounds,
    narrowest,
    polygonal,
    reproject,
    reproject_rows,
    union,
)

FIJI = shapely.box(179, -18, 181, -17)
PACIFIC = 3832  # Mercator, cut at 30 W


def is_sound(geometry: BaseGeometry) -> bool:
    return bool(geometry.is_valid and geometry.geom_type in ("Polygon", "MultiPolygon"))


# --- edges ----------------------------------------------------------------------------------------


def test_edges_follow_the_crs_that_the_area_is_given_in() -> None:
    """Straight in the mosaic's CRS instead, they were 1.2 % off."""
    area = shapely.box(4_000_000, 3_000_000, 4_400_000, 3_220_000)
    hectares = polygon_hectares(area, CRS.from_epsg(3035).to_wkt())
    assert hectares == pytest.approx(400_000 * 220_000 / 10_000, rel=1e-6)
    for epsg in (4326, 3857, 32631):
        found = reproject(area, 3035, epsg)
        assert is_sound(found)
        measured = polygon_hectares(found, CRS.from_epsg(epsg).to_wkt())
        assert measured == pytest.approx(hectares, rel=1e-6)


def test_an_edge_that_bends_both_ways_is_followed_too() -> None:
    """A diagonal over the equator is on its chord in the middle, and nowhere else."""
    area = shapely.Polygon([(-100, -40), (-20, 40), (-100, 40)])
    found = reproject(area, 4326, 3857)
    lons = np.linspace(-100, -20, 41)
    xs, ys = Transformer.from_crs(4326, 3857, always_xy=True).transform(lons, lons + 60)
    off = shapely.distance(found.exterior, shapely.points(xs, ys))
    assert off.max() < 2


def test_points_are_put_only_on_edges_that_are_curved() -> None:
    square = shapely.box(-79.5, 0.1, -79.4, 0.2)
    assert shapely.get_num_coordinates(reproject(square, 4326, 3857)) == 5
    angle = np.linspace(0, 2 * np.pi, 50_000)
    coast = shapely.Polygon(np.column_stack([3 * np.cos(angle) - 78, 3 * np.sin(angle)]))
    for epsg in (3857, 32717):
        assert shapely.get_num_coordinates(reproject(coast, 4326, epsg)) < 50_100


# --- valid and polygonal --------------------------------------------------------------------------


def parcels(seed: int) -> BaseGeometry:
    """Return two parcels with a common border, of which one has more points on it."""
    random = np.random.default_rng(seed)
    size = 0.001
    start, end = np.array([[0, random.uniform(0, 0.5)], [1, random.uniform(0.5, 1)]])
    shares = np.sort(random.uniform(0, 1, 20))[:, np.newaxis]
    border = [start, *(start + shares * (end - start)), end]
    above, below = (
        np.array(corners) * size + [-79.5, 0.1]
        for corners in ([start, end, (1, 2), (0, 2)], [*border, (1, -1), (0, -1)])
    )
    return shapely.union_all([shapely.Polygon(above), shapely.Polygon(below)])


def test_parcels_with_a_common_border_stay_valid_in_any_crs() -> None:
    invalid = 0
    for seed in range(150):
        area = parcels(seed)
        found = reproject(area, 4326, 3857)
        assert is_sound(found)
        invalid += not geopandas.GeoSeries([area], crs=4326).to_crs(3857).is_valid[0]
        box = shapely.box(*found.bounds)
        lower = shapely.box(*found.bounds[:2], *box.centroid.coords[0])
        assert is_sound(intersection(found, lower))
        assert is_sound(difference(box, found))
        assert polygon_hectares(found, "EPSG:3857") == pytest.approx(
            polygon_hectares(area, "EPSG:4326"), rel=1e-5
        )
    assert invalid


BOWTIE = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])


def test_polygons_that_are_invalid_are_laid_over_others_all_the_same() -> None:
    box = shapely.box(0, 0, 1, 0.25)
    assert intersection(BOWTIE, box).area == pytest.approx(2 * (0.25 * 0.25 / 2 + 0))
    assert union([BOWTIE, BOWTIE]).area == pytest.approx(0.5)
    assert difference(box, BOWTIE).area == pytest.approx(0.25 - 0.0625)


@pytest.mark.parametrize(
    "other",
    [
        shapely.box(1, 0, 2, 1),
        shapely.box(1, 1, 2, 2),
        shapely.union_all([shapely.box(1, 0, 2, 1), shapely.box(-1, 0, 0.5, 1)]),
    ],
)
def test_where_polygons_only_touch_they_share_nothing(other: BaseGeometry) -> None:
    shared = intersection(shapely.box(0, 0, 1, 1), other)
    assert shared.geom_type in ("Polygon", "MultiPolygon", "GeometryCollection")
    assert {part.geom_type for part in shapely.get_parts(shared)} <= {"Polygon"}
    assert shared.area == shapely.intersection(shapely.box(0, 0, 1, 1), other).area


def test_overlapping_parts_become_one_area_and_no_hole() -> None:
    parts = shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)])
    assert polygonal(parts).area == 7


# --- the antimeridian and the poles ---------------------------------------------------------------


def test_an_area_across_the_antimeridian_is_cut_there_in_degrees_and_whole_where_it_can_be() -> (
    None
):
    halves = union([shapely.box(179, -18, 180, -17), shapely.box(-180, -18, -179, -17)])
    assert fold(FIJI).equals(halves)
    for given in (FIJI, halves, shapely.box(-181, -18, -179, -17)):
        pacific = reproject(given, 4326, PACIFIC)
        assert pacific.geom_type == "Polygon"
        back = reproject(pacific, PACIFIC, 4326)
        assert back.symmetric_difference(halves).area < 1e-9
        for epsg in (4326, PACIFIC, 3857):
            found = reproject(given, 4326, epsg)
            assert polygon_hectares(found, f"EPSG:{epsg}") == pytest.approx(
                2 * polygon_hectares(shapely.box(0, -18, 1, -17), "EPSG:4326"), rel=1e-6
            )


def test_an_area_is_cut_on_its_way_to_a_crs_that_is_cut() -> None:
    pacific = reproject(FIJI, 4326, PACIFIC)
    mercator = reproject(pacific, PACIFIC, 3857)
    assert len(mercator.geoms) == 2
    assert mercator.symmetric_difference(reproject(FIJI, 4326, 3857)).area < 1
    assert is_torn(mercator, 3857)
    assert is_torn(fold(FIJI), 4326)
    assert not is_torn(pacific, PACIFIC)
    # There, x falls towards the east.
    assert not is_torn(reproject(shapely.box(178, 70, 182, 72), 4326, 3413), 3413)
    assert not is_torn(shapely.box(-79.5, 0.1, -79.4, 0.2), 4326)


def test_a_hole_across_the_antimeridian_stays_a_hole() -> None:
    ring = reproject(FIJI, 4326, PACIFIC).difference(
        reproject(shapely.box(179.5, -17.6, 180.7, -17.3), 4326, PACIFIC)
    )
    lonlat = reproject(ring, PACIFIC, 4326)
    assert is_sound(lonlat)
    assert lonlat.area == pytest.approx(2 - 1.2 * 0.3)
    assert polygon_hectares(ring, f"EPSG:{PACIFIC}") == pytest.approx(
        polygon_hectares(lonlat, "EPSG:4326"), rel=1e-6
    )


def test_the_hectares_of_two_boxes_across_the_antimeridian_add_up() -> None:
    boxes = [shapely.box(178.9, -18, 179.9, -17), shapely.box(179.95, -18, 180.95, -17)]
    pacific = shapely.MultiPolygon([reproject(box, 4326, PACIFIC) for box in boxes])
    expected = 2 * polygon_hectares(shapely.box(10, -18, 11, -17), "EPSG:4326")
    assert polygon_hectares(pacific, f"EPSG:{PACIFIC}") == pytest.approx(expected, rel=1e-6)


def test_hectares_round_a_pole_are_those_of_the_cap() -> None:
    cap = reproject(shapely.box(-180, 80, 180, 90), 4326, 3413)
    zones = sum(
        polygon_hectares(shapely.box(lon, 80, lon + 10, 89.999), "EPSG:4326")
        for lon in range(-180, 180, 10)
    )
    assert polygon_hectares(cap, "EPSG:3413") == pytest.approx(zones, rel=1e-3)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(177, -20, 180, -16), (-180, -18, -178, -15)], (177, -20, -178, -15)),
        ([(170, 0, 171, 1), (-175, 0, -170, 1)], (170, 0, -170, 1)),
        ([(-91, -1, -89, 0), (-80, -2, -79, 1)], (-91, -2, -79, 1)),
        ([(177, 0, -178, 1), (-80, 0, -75, 1)], (177, 0, -75, 1)),
        ([(-180, -85, 180, 85)], (-180, -85, 180, 85)),
    ],
)
def test_the_narrowest_bounds_may_reach_over_the_antimeridian(boxes, expected) -> None:
    assert narrowest(boxes) == expected
    if all(west < east for west, _, east, _ in boxes):
        assert lonlat_bounds(union([shapely.box(*box) for box in boxes])) == expected


# --- what cannot be brought -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("area", "source", "target", "why"),
    [
        (shapely.box(-1e6, -1e6, 1e6, 1e6), 3413, 4326, "over a pole"),
        (shapely.box(-31, -18, -29, -17), 4326, PACIFIC, "across its edge"),
        (shapely.box(9, 0, 10, 1), 4326, 32717, "outside what this is made for"),
        (shapely.box(0, -90, 10, -89), 4326, 3413, "outside what this is made for"),
        (shapely.Polygon([(0, 0), (np.inf, 0), (0, 1)]), 4326, 3857, "not numbers"),
    ],
)
def test_what_cannot_be_brought_is_told_in_a_sentence(area, source, target, why) -> None:
    with pytest.raises(LandcoverError, match=f"^The parcel .*{why}"):
        reproject(area, source, target, "The parcel")


def test_a_crs_without_a_transformation_is_told() -> None:
    local = CRS.from_wkt(
        'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],'
        'LENGTHUNIT["metre",1]]'
    )
    with pytest.raises(LandcoverError, match="no transformation is known"):
        reproject(shapely.box(0, 0, 1, 1), 4326, local)


def test_rows_that_cannot_be_brought_are_empty_and_the_others_are_as_alone() -> None:
    rows = geopandas.GeoSeries(
        [shapely.box(-79.5, 0.1, -79.4, 0.2), shapely.box(9, 0, 10, 1), None, BOWTIE, FIJI],
        crs=4326,
        index=[3, 5, 7, 9, 11],
    )
    found = reproject_rows(rows, 32717)
    assert list(found.index) == list(rows.index)
    assert found.is_empty.tolist()[:4] == [False, True, True, True]
    assert found[3].equals(reproject(rows[3], 4326, 32717))
    mercator = reproject_rows(rows, 3857)
    assert mercator.is_valid.all()
    assert mercator.is_empty.tolist() == [False, False, True, False, False]
    assert mercator[11].equals(reproject(FIJI, 4326, 3857))
