"""Training polygons as people draw them: what is mended, what is left out, what is refused."""

from collections.abc import Sequence

import geopandas
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landcover.errors import LandcoverError
from landcover.model.polygons import tidy_polygons

WHERE = "public.polygons"
BOWTIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


def square(number: int) -> shapely.Polygon:
    return shapely.box(10 * number, 0, 10 * number + 4, 4)


def drawn(
    labels: Sequence[object],
    ids: Sequence[object] | None = None,
    shapes: Sequence[shapely.Geometry | None] | None = None,
) -> geopandas.GeoDataFrame:
    """Return polygons as they come from a table: side by side where no shapes are given."""
    numbers = range(len(labels))
    return geopandas.GeoDataFrame(
        {"polygon_id": ids or [number + 1 for number in numbers], "class_label": list(labels)},
        geometry=list(shapes or [square(number) for number in numbers]),
        crs=3857,
    )


FOUR = ["Forest", "Forest", "Water", "Water"]


def test_good_polygons_pass_as_they_are_with_text_for_ids() -> None:
    found = drawn(FOUR)
    tidy, warnings = tidy_polygons(found, WHERE)
    assert warnings == []
    assert tidy["polygon_id"].tolist() == ["1", "2", "3", "4"]
    assert tidy["class_label"].tolist() == FOUR
    assert tidy.geometry.geom_equals(found.geometry).all()
    assert tidy.crs == found.crs


def test_what_was_handed_in_is_not_changed() -> None:
    found = drawn(
        [" Forest ", "Forest", "Water", "Water"], shapes=[BOWTIE, *map(square, range(1, 4))]
    )
    before = found.copy()
    tidy_polygons(found, WHERE)
    assert found.equals(before)


def test_space_around_a_label_is_no_part_of_it() -> None:
    tidy, _ = tidy_polygons(drawn([" Forest", "Forest\n", "Water", "\tWater "]), WHERE)
    assert tidy["class_label"].tolist() == FOUR


@pytest.mark.parametrize("blank", [None, "", "  ", "\n", "--", float("nan")])
def test_a_polygon_without_a_class_is_refused_by_its_id(blank: object) -> None:
    with pytest.raises(LandcoverError) as caught:
        tidy_polygons(drawn([*FOUR, blank], ids=["a", "b", "c", "d", "e-5"]), WHERE)
    message = str(caught.value)
    assert "1 of 5 polygons (id e-5) of public.polygons have no class label" in message
    assert "give each a class, or delete it" in message


def test_many_polygons_without_a_class_are_told_in_short() -> None:
    with pytest.raises(LandcoverError, match=r"8 of 12 .*\(id 5, 6, 7, 8, 9 and 3 more\)"):
        tidy_polygons(drawn([*FOUR, *[None] * 8]), WHERE)


@pytest.mark.parametrize("labels", [["Forest"] * 3, ["Forest", "forest ", "FOREST"], ["Water"]])
def test_polygons_of_a_single_class_are_refused(labels: list[str]) -> None:
    with pytest.raises(LandcoverError, match=f"The {len(labels)} training polygons.* of one class"):
        tidy_polygons(drawn(labels), WHERE)


def test_polygons_of_a_single_class_are_refused_where_the_others_have_no_area() -> None:
    with pytest.raises(LandcoverError, match=r"of one class \(Forest\)"):
        tidy_polygons(drawn(["Forest", "Water"], shapes=[square(0), shapely.Point(0, 0)]), WHERE)


def test_polygons_that_all_have_no_area_are_refused() -> None:
    with pytest.raises(LandcoverError, match=r"The 0 training polygons .*\(none\)"):
        tidy_polygons(drawn(["Forest", "Water"], shapes=[None, None]), WHERE)


def test_a_class_with_a_single_polygon_is_told_of() -> None:
    _, warnings = tidy_polygons(drawn([*FOUR, "Mangrove"]), WHERE)
    assert warnings == [
        "Class Mangrove has a single polygon: it is trained on, but cannot be validated."
    ]


def test_two_spellings_of_a_class_are_two_polygons_of_it() -> None:
    _, warnings = tidy_polygons(drawn([*FOUR, "NonForest", "non-forest"]), WHERE)
    assert warnings == []


def test_a_class_is_single_where_its_other_polygon_has_no_area() -> None:
    shapes = [*map(square, range(3)), square(3).boundary]
    _, warnings = tidy_polygons(drawn(FOUR, shapes=shapes), WHERE)
    assert any(warning.startswith("Class Water has a single polygon") for warning in warnings)


def test_polygons_of_one_id_are_told_apart() -> None:
    tidy, warnings = tidy_polygons(drawn(FOUR, ids=[7, 8, 7, 7]), WHERE)
    assert tidy["polygon_id"].tolist() == ["7", "8", "7#2", "7#3"]
    assert warnings == [
        "public.polygons has several polygons with the id 7; they are told apart as 7#2 and so on."
    ]


@given(st.lists(st.sampled_from(["1", "2", "1#2", "1#3", "1#2#2", "2#2"]), min_size=2, max_size=9))
def test_every_id_is_there_once_whatever_ids_were_given(ids: list[str]) -> None:
    labels = ["Forest", "Water"] * 5
    tidy, warnings = tidy_polygons(drawn(labels[: len(ids)], ids=ids), WHERE)
    assert tidy["polygon_id"].is_unique
    assert any("several polygons with the id" in text for text in warnings) == (
        len(set(ids)) < len(ids)
    )


def test_polygons_without_an_id_are_told_apart() -> None:
    tidy, warnings = tidy_polygons(drawn(FOUR, ids=["a", None, None, "b"]), WHERE)
    assert tidy["polygon_id"].is_unique
    assert tidy["polygon_id"].map(type).eq(str).all()
    assert len(warnings) == 1


def test_labels_that_are_numbers_are_taken_as_text() -> None:
    tidy, _ = tidy_polygons(drawn([1, 1, 2, 2]), WHERE)
    assert tidy["class_label"].tolist() == ["1", "1", "2", "2"]


def test_a_self_crossing_polygon_is_mended_and_told_of() -> None:
    tidy, warnings = tidy_polygons(drawn(FOUR, shapes=[BOWTIE, *map(square, range(1, 4))]), WHERE)
    assert warnings == [
        "1 of 4 polygons (id 1) of public.polygons cross themselves and were mended."
    ]
    assert tidy.geometry.is_valid.all()
    # The bow-tie's two triangles, of base 2 and height 1 each.
    assert tidy.geometry[0].area == pytest.approx(2)
    assert tidy.geometry[0].geom_type == "MultiPolygon"


@pytest.mark.parametrize(
    "shape",
    [
        None,
        shapely.Polygon(),
        shapely.LineString([(0, 0), (1, 1)]),
        shapely.Point(0, 0),
        shapely.GeometryCollection(),
    ],
    ids=["null", "empty", "line", "point", "empty collection"],
)
def test_what_has_no_area_is_left_out_and_told_of(shape: shapely.Geometry | None) -> None:
    found = drawn([*FOUR, "Forest"], shapes=[shape, *map(square, range(1, 5))])
    tidy, warnings = tidy_polygons(found, WHERE)
    assert tidy["polygon_id"].tolist() == ["2", "3", "4", "5"]
    assert tidy.index.tolist() == [0, 1, 2, 3]
    assert warnings == ["1 of 5 polygons (id 1) of public.polygons have no area and are left out."]


def test_a_polygon_flat_as_a_line_is_left_out() -> None:
    flat = shapely.Polygon([(0, 0), (5, 5), (9, 9)])
    tidy, warnings = tidy_polygons(
        drawn([*FOUR, "Forest"], shapes=[flat, *map(square, range(4))]), WHERE
    )
    assert tidy["polygon_id"].tolist() == ["2", "3", "4", "5"]
    assert any("have no area" in warning for warning in warnings)


def test_of_a_collection_the_polygons_are_kept() -> None:
    mixed = shapely.GeometryCollection([square(0), shapely.LineString([(0, 0), (-9, -9)])])
    tidy, _ = tidy_polygons(drawn(FOUR, shapes=[mixed, *map(square, range(1, 4))]), WHERE)
    assert tidy.geometry[0].equals(square(0))


def test_several_faults_are_each_told_of() -> None:
    shapes = [BOWTIE, None, *map(square, range(2, 6))]
    labels = ["Forest", "Forest", "Forest", "Water", "Water", "Haze"]
    _, warnings = tidy_polygons(drawn(labels, ids=[1, 2, 2, 4, 5, 6], shapes=shapes), WHERE)
    assert len(warnings) == 4
    for part in (
        "several polygons with the id 2",
        "cross themselves",
        "have no area",
        "Class Haze",
    ):
        assert sum(part in warning for warning in warnings) == 1


# --- multipolygons --------------------------------------------------------------------------------


def test_the_parts_of_a_multipolygon_are_polygons_of_their_own() -> None:
    """As QGIS leaves them where polygons were dissolved by class."""
    dissolved = [shapely.MultiPolygon([square(0), square(1)]), shapely.MultiPolygon([square(2)])]
    found = drawn(["Forest", "Water"], ids=[7, 8], shapes=dissolved).rename_geometry("geom")
    tidy, warnings = tidy_polygons(found, WHERE)
    assert tidy["polygon_id"].tolist() == ["7#1", "7#2", "8"]
    assert tidy["class_label"].tolist() == ["Forest", "Forest", "Water"]
    assert tidy.geometry.geom_equals(geopandas.GeoSeries(map(square, range(3)), crs=3857)).all()
    assert (tidy.crs, tidy.index.tolist()) == (found.crs, [0, 1, 2])
    assert warnings == [
        (
            "1 of 2 polygons (id 7) of public.polygons have several parts, each of which counts as "
            "a polygon: 7#1, 7#2 and so on."
        ),
        "Class Water has a single polygon: it is trained on, but cannot be validated.",
    ]


def test_parts_get_ids_that_no_other_polygon_has() -> None:
    two = [shapely.MultiPolygon([square(n), square(n + 4)]) for n in range(3)]
    tidy, _ = tidy_polygons(drawn(FOUR, ids=[7, 7, "7#2", 8], shapes=[*two, square(9)]), WHERE)
    assert tidy["polygon_id"].is_unique
    assert len(tidy) == 7
    assert tidy["polygon_id"].iloc[-1] == "8"


def test_a_crossing_part_is_mended_as_one_polygon() -> None:
    parts = shapely.MultiPolygon([BOWTIE, square(3)])
    tidy, warnings = tidy_polygons(drawn(FOUR, shapes=[parts, *map(square, range(4, 7))]), WHERE)
    assert tidy["polygon_id"].tolist() == ["1#1", "1#2", "2", "3", "4"]
    assert tidy.geometry[0].area == pytest.approx(2)
    assert "1 of 5 polygons (id 1#1) of public.polygons cross themselves" in warnings[1]


@pytest.mark.parametrize(
    "other",
    [square(0), shapely.box(3, 3, 7, 7), shapely.box(4, 0, 8, 4)],
    ids=["a copy", "overlapping", "adjoining"],
)
def test_parts_that_overlap_are_polygons_too(other: shapely.Polygon) -> None:
    """As ST_Collect leaves them; what overlaps is held out together."""
    parts = shapely.MultiPolygon([square(0), other])
    tidy, _ = tidy_polygons(drawn(FOUR, shapes=[parts, *map(square, range(4, 7))]), WHERE)
    assert tidy.geometry.area[:2].tolist() == [16, 16]


def test_a_hole_that_is_written_as_a_part_stays_a_hole() -> None:
    parts = shapely.MultiPolygon([square(0), shapely.box(1, 1, 2, 2), square(1)])
    tidy, _ = tidy_polygons(drawn(FOUR, shapes=[parts, *map(square, range(4, 7))]), WHERE)
    assert tidy["polygon_id"].tolist()[:3] == ["1#1", "1#2", "2"]
    assert tidy.geometry.area[:2].tolist() == [15, 16]
