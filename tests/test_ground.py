"""Ground: which polygons lie on the same, whatever their ids."""

import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from landcover.model.ground import ground_notices, ground_of, same_ground

PIXEL = 4.777


def square(left: float, top: float, side: float = 20) -> shapely.Polygon:
    """Return a square, given in pixels."""
    return shapely.box(left * PIXEL, -(top + side) * PIXEL, (left + side) * PIXEL, -top * PIXEL)


def found(*shapes: BaseGeometry) -> list[list[int]]:
    return [members.tolist() for members in same_ground(shapes, PIXEL)]


# --- what is the same ground ----------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0, 0.1, 0.5, 1, 5, 10])
def test_a_copy_lies_on_the_same_ground_however_it_is_shifted_within_half_of_its_size(
    shift: float,
) -> None:
    assert found(square(0, 0), square(60, 0), square(shift, 0)) == [[0, 2]]


def test_a_polygon_within_another_lies_on_its_ground() -> None:
    assert found(square(0, 0, 500), square(600, 0), square(100, 100, 5)) == [[0, 2]]


def test_polygons_whose_corners_overlap_lie_on_the_same_ground() -> None:
    # 4 x 4 of 20 x 20 pixels: a twenty-fifth.
    assert found(square(0, 0), square(16, 16)) == [[0, 1]]


def test_a_corner_of_a_hundredth_of_the_smaller_one_is_too_little() -> None:
    assert found(square(0, 0, 40), square(36.5, 36.5, 40)) == []
    assert found(square(0, 0, 40), square(36.5, 36.5, 10)) == [[0, 1]]


def test_ground_is_shared_through_others() -> None:
    chain = [square(15 * place, 0) for place in (0, 2, 1, 5)]
    assert found(*chain) == [[0, 1, 2]]


def test_several_grounds_are_told_apart_and_those_of_one_polygon_are_left_out() -> None:
    shapes = [square(50 * (place // 2), 0) for place in range(6)] + [square(0, 900)]
    assert found(*shapes) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("over", [0, 0.3, 1, 1.9])
def test_parcels_that_share_borders_or_slivers_along_them_are_not_chained(over: float) -> None:
    parcels = [
        square(12 * column - over / 2, 12 * row - over / 2, 12 + over)
        for column in range(8)
        for row in range(8)
    ]
    assert found(*parcels) == []


def test_copies_of_what_is_smaller_or_thinner_than_a_pixel_lie_on_the_same_ground() -> None:
    small, track = square(0, 0, 0.5), shapely.box(0, 900, 800, 903)
    assert found(small, track, small, track) == [[0, 2], [1, 3]]


def test_a_road_that_crosses_a_polygon_is_not_on_its_ground() -> None:
    road = shapely.LineString([(-500, -40), (900, -60)]).buffer(4)
    assert found(square(0, 0), road) == []


def test_holes_are_not_ground() -> None:
    ring = square(0, 0, 60).difference(square(10, 10, 40))
    assert found(ring, square(15, 15, 30)) == []


def test_polygons_that_cannot_be_brought_to_the_mosaic_s_crs_are_on_no_ground() -> None:
    nowhere = shapely.transform(square(0, 0), lambda points: points + np.inf)
    assert found(nowhere, square(0, 0), nowhere, square(1, 1), shapely.Polygon()) == [[1, 3]]
    assert found() == found(nowhere) == []


def test_polygons_that_became_invalid_when_they_were_reprojected_are_compared_all_the_same() -> (
    None
):
    crossing = shapely.Polygon([(0, 0), (95, -95), (95, 0), (0, -95)])
    assert found(crossing, square(0, 0), square(60, 0)) == [[0, 1]]


# --- of samples -----------------------------------------------------------------------------------


def test_the_ground_of_samples_is_that_of_their_polygon_even_where_an_id_is_a_number() -> None:
    together = (("7", "b"), ("c", "d"))
    assert ground_of(pd.Series([7, "b", "x", "d"]), together).tolist() == ["7", "7", "x", "c"]
    assert ground_of(pd.Series([7, 7, 8]), ()).tolist() == ["7", "7", "8"]


# --- what is told ---------------------------------------------------------------------------------

POLYGONS = pd.Series([f"p{number}" for number in range(40)])
CODES = pd.Series(np.arange(40) % 2)


def test_copies_of_a_project_are_told_of_and_a_few_that_overlap_are_not() -> None:
    few = (("p0", "p2"),)
    assert ground_notices(POLYGONS, CODES, ()) == ()
    assert ground_notices(POLYGONS, CODES, few) == ()
    (notice,) = ground_notices(POLYGONS, CODES, (*few, ("p1", "p3")))
    assert str(notice).startswith("4 of 40 training polygons lie on the same ground as others, ")
    assert "such as p0, p2," in str(notice)


def test_copies_that_gave_no_sample_count_too() -> None:
    copies = tuple((name, f"{name}-copy") for name in POLYGONS)
    (notice,) = ground_notices(POLYGONS, CODES, copies)
    assert str(notice).startswith("80 of 80 training polygons")


def test_one_ground_under_two_classes_is_told_of_by_ids_of_both() -> None:
    (notice,) = ground_notices(POLYGONS, CODES, (("p0", "p2", "p4"), ("p6", "p8", "p9")))[1:]
    assert "of different classes lie on the same ground, such as p6, p9 (places: 1)" in str(notice)
