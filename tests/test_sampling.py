"""Samples: which pixels are taken from under polygons, and with which values."""

from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from pydantic import ValidationError
from shapely.geometry.base import BaseGeometry
from upath import UPath

import landcover.model.sampling
from landcover.errors import LandcoverError
from landcover.imagery.mosaic import Mosaic
from landcover.model.sampling import (
    Origin,
    Samples,
    SamplingSettings,
    read_samples,
    sample_polygons,
    write_samples,
)
from tests.conftest import REAL
from tests.rasters import ORIGIN, centres, mosaic_of, moved, pixel_box, random_values, write_raster

BANDS = ["blue", "green", "red", "nir"]
EVERY_PIXEL = 1_000_000
SIDE = 40
# A shape without an edge through a pixel's centre.
BLOB = shapely.transform(
    shapely.Point(20.3, 17.1)
    .buffer(11.37, quad_segs=5)
    .difference(shapely.Point(22.2, 15.9).buffer(4.41, quad_segs=3)),
    lambda points: np.column_stack(ORIGIN @ points.T),
)


def polygons_of(
    shapes: Mapping[str, tuple[str, BaseGeometry]], crs: object = 3857
) -> geopandas.GeoDataFrame:
    """Return polygons given as id: (class, shape)."""
    return geopandas.GeoDataFrame(
        {"polygon_id": list(shapes), "class_label": [label for label, _ in shapes.values()]},
        geometry=[shape for _, shape in shapes.values()],
        crs=crs,
    )


def sample(
    mosaic: Mosaic, shapes: Mapping[str, tuple[str, BaseGeometry]], **settings: object
) -> Samples:
    settings = {"max_pixels": EVERY_PIXEL, **settings}
    return sample_polygons(mosaic, polygons_of(shapes), SamplingSettings(**settings))


def places(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Return row and column of each sample in the test's raster."""
    columns, lines = ~ORIGIN @ (rows["x"].to_numpy(), rows["y"].to_numpy())
    return list(zip(np.floor(lines).astype(int), np.floor(columns).astype(int), strict=True))


def inside(shape: BaseGeometry, height: int = SIDE, width: int = SIDE) -> set[tuple[int, int]]:
    """Return row and column of each pixel whose centre lies in a shape, by shapely."""
    return set(zip(*np.nonzero(shapely.contains(shape, centres(height, width))), strict=True))


@pytest.fixture
def values() -> NDArray[np.generic]:
    return random_values((4, SIDE, SIDE))


@pytest.fixture
def mosaic(tmp_path: Path, values: NDArray[np.generic]) -> Mosaic:
    return mosaic_of([write_raster(tmp_path / "a.tif", values)], tmp_path)


# --- which pixels ---------------------------------------------------------------------------------


def test_the_pixels_are_those_whose_centre_lies_in_the_polygon(mosaic: Mosaic) -> None:
    found = sample(mosaic, {"a": ("Forest", BLOB)})
    assert len(inside(BLOB)) > 300
    assert sorted(places(found.rows)) == sorted(inside(BLOB))
    assert found.skipped == {}
    assert found.contested == 0


def test_all_touched_takes_every_pixel_that_the_polygon_overlaps(mosaic: Mosaic) -> None:
    found = sample(mosaic, {"a": ("Forest", BLOB)}, all_touched=True)
    boxes = {
        (row, column): pixel_box(column, row, column + 1, row + 1)
        for row in range(SIDE)
        for column in range(SIDE)
    }
    touched = {place for place, box in boxes.items() if box.intersects(BLOB)}
    assert set(places(found.rows)) == touched
    assert touched > inside(BLOB)


def test_each_sample_has_the_values_of_its_pixel_and_the_pixel_s_centre(
    mosaic: Mosaic, values: NDArray[np.generic]
) -> None:
    rows = sample(mosaic, {"a": ("Forest", BLOB)}).rows
    for (row, column), line in zip(places(rows), rows.itertuples(), strict=True):
        assert [getattr(line, band) for band in BANDS] == values[:, row, column].tolist()
        assert (line.x, line.y) == pytest.approx(ORIGIN @ (column + 0.5, row + 0.5), abs=1e-6)
        assert (line.geometry.x, line.geometry.y) == (line.x, line.y)
    assert rows.crs.to_epsg() == 3857
    assert (rows[BANDS].dtypes == np.uint16).all()
    assert list(rows.columns) == ["polygon_id", "class_label", "x", "y", *BANDS, "geometry"]


def test_bands_are_those_of_the_mosaic_under_their_names(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    path = write_raster(tmp_path / "a.tif", values)
    mosaic = mosaic_of([path], tmp_path, {"nir": 4, "red": 3})
    line = sample(mosaic, {"a": ("Forest", pixel_box(3, 5, 4, 6))}).rows.iloc[0]
    assert list(line.index[4:-1]) == ["nir", "red"]
    assert (line["nir"], line["red"]) == (values[3, 5, 3], values[2, 5, 3])


def test_a_pixel_that_is_invalid_in_any_band_is_no_sample(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    gaps = [(15, 12), (9, 20), (24, 19)]
    for band, (row, column) in enumerate(gaps):
        values[band, row, column] = 0
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values, nodata=0)], tmp_path)
    found = sample(mosaic, {"a": ("Forest", BLOB)})
    assert set(gaps) < inside(BLOB)
    assert set(places(found.rows)) == inside(BLOB) - set(gaps)


def test_a_polygon_beyond_the_edge_gives_the_pixels_that_are_there(mosaic: Mosaic) -> None:
    shape = pixel_box(-7.2, 30.3, 5.4, 60.8)
    found = sample(mosaic, {"a": ("Forest", shape)})
    assert set(places(found.rows)) == inside(shape)
    assert len(found.rows) == 5 * 10


def test_a_polygon_around_the_whole_mosaic_gives_every_pixel(mosaic: Mosaic) -> None:
    found = sample(mosaic, {"a": ("Forest", pixel_box(-9, -9, 99, 99))})
    assert len(set(places(found.rows))) == len(found.rows) == SIDE * SIDE


def test_a_polygon_across_quads_is_sampled_as_on_one_raster(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    quads = [
        write_raster(
            tmp_path / f"{column}-{row}.tif",
            values[:, row : row + 20, column : column + 20],
            transform=moved(column, row),
            nodata=0,
        )
        for column in (0, 20)
        for row in (0, 20)
    ]
    whole = write_raster(tmp_path / "whole.tif", values, nodata=0)
    shapes = {"a": ("Forest", BLOB), "b": ("Water", pixel_box(20, 20, 33, 33))}
    for settings in ({}, {"max_pixels": 50}):
        on_quads = sample(mosaic_of(quads, tmp_path), shapes, **settings).rows
        on_one = sample(mosaic_of([whole], tmp_path), shapes, **settings).rows
        pd.testing.assert_frame_equal(pd.DataFrame(on_quads), pd.DataFrame(on_one))


def test_polygons_in_any_order_find_each_their_pixels(mosaic: Mosaic) -> None:
    shapes = {
        f"{column}-{row}": ("Forest", pixel_box(column, row, column + 3, row + 3))
        for column in (30, 0, 15)
        for row in (33, 2, 18)
    }
    rows = sample(mosaic, shapes).rows
    assert rows["polygon_id"].drop_duplicates().tolist() == list(shapes)
    for name, (_, shape) in shapes.items():
        assert set(places(rows[rows["polygon_id"] == name])) == inside(shape)


@pytest.mark.parametrize("part", [7, 16, 39])
def test_a_polygon_read_in_parts_gives_the_same_pixels(
    mosaic: Mosaic, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    shapes = {"a": ("Forest", BLOB), "b": ("Water", pixel_box(0, 0, 40, 3))}
    at_once = sample(mosaic, shapes).rows
    monkeypatch.setattr(landcover.model.sampling, "PART", part)
    in_parts = sample(mosaic, shapes).rows
    pd.testing.assert_frame_equal(pd.DataFrame(in_parts), pd.DataFrame(at_once))


def test_pixels_of_a_polygon_read_in_parts_are_drawn_from_all_of_them(
    mosaic: Mosaic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landcover.model.sampling, "PART", 10)
    rows = sample(mosaic, {"a": ("Forest", pixel_box(0, 0, 40, 40))}, max_pixels=400).rows
    lines, columns = zip(*places(rows), strict=True)
    counts, _, _ = np.histogram2d(lines, columns, bins=4, range=[[0, 40], [0, 40]])
    # 16 parts of 25 on average: a draw without favour gives each 25 +- 4.2.
    assert counts.sum() == 400
    assert counts.min() >= 8
    assert counts.max() <= 45


# --- how many -------------------------------------------------------------------------------------


def test_at_most_so_many_pixels_of_each_polygon_are_drawn(mosaic: Mosaic) -> None:
    shapes = {
        "large": ("Forest", BLOB),
        "small": ("Water", pixel_box(0, 0, 2, 3)),
        "just": ("Haze", pixel_box(36, 36, 39, 38)),
    }
    rows = sample(mosaic, shapes, max_pixels=6).rows
    assert rows["polygon_id"].value_counts().to_dict() == {"large": 6, "small": 6, "just": 6}
    assert set(places(rows[rows["polygon_id"] == "large"])) < inside(BLOB)
    assert len(set(places(rows))) == 18


def test_two_hundred_pixels_a_polygon_are_drawn_unless_told_otherwise(mosaic: Mosaic) -> None:
    found = sample_polygons(mosaic, polygons_of({"a": ("Forest", BLOB)}), SamplingSettings())
    assert len(found.rows) == 200


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others(mosaic: Mosaic) -> None:
    shapes = {"a": ("Forest", BLOB)}
    first, again, other = (
        sample(mosaic, shapes, max_pixels=50, seed=seed).rows for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(again))
    assert places(first) != places(other)


def test_polygons_of_one_shape_draw_each_their_own_pixels(mosaic: Mosaic) -> None:
    drawn = [
        [(row, column % 20) for row, column in places(rows)]
        for _, rows in sample(
            mosaic,
            {"a": ("Forest", pixel_box(0, 0, 20, 20)), "b": ("Water", pixel_box(20, 0, 40, 20))},
            max_pixels=30,
        ).rows.groupby("polygon_id")
    ]
    assert drawn[0] != drawn[1]


def test_another_polygon_does_not_change_which_pixels_the_others_give(mosaic: Mosaic) -> None:
    before = {"a": ("Forest", BLOB), "b": ("Water", pixel_box(0, 30, 40, 40))}
    new = ("Haze", pixel_box(0, 0, 40, 5))
    found = sample(mosaic, before, max_pixels=40).rows
    for after in ({**before, "c": new}, {"c": new, **before}, dict(reversed(before.items()))):
        rows = sample(mosaic, after, max_pixels=40).rows
        for name in before:
            assert places(rows[rows["polygon_id"] == name]) == places(
                found[found["polygon_id"] == name]
            )


@pytest.mark.parametrize("wrong", [{"max_pixels": 0}, {"seed": -1}, {"row_per": "mode"}, {"n": 1}])
def test_settings_out_of_range_or_unknown_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SamplingSettings(**wrong)


# --- one row a polygon ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mean", "median"])
def test_a_row_a_polygon_is_the_mean_or_the_median_of_its_pixels(
    mosaic: Mosaic, values: NDArray[np.generic], kind: str
) -> None:
    shapes = {"b": ("Forest", BLOB), "a": ("Water", pixel_box(0, 30, 7, 38))}
    rows = sample(mosaic, shapes, row_per=kind).rows
    assert rows["polygon_id"].tolist() == ["b", "a"]
    assert rows["class_label"].tolist() == ["Forest", "Water"]
    for (_, shape), line in zip(shapes.values(), rows.itertuples(), strict=True):
        lines, columns = np.array(sorted(inside(shape))).T
        middle = getattr(np, kind)
        expected = middle(values[:, lines, columns], axis=1)
        assert [getattr(line, band) for band in BANDS] == pytest.approx(expected.tolist())
        centre = ORIGIN @ (middle(columns) + 0.5, middle(lines) + 0.5)
        assert (line.x, line.y) == pytest.approx(centre, abs=1e-6)


def test_the_mean_is_of_the_pixels_drawn(mosaic: Mosaic) -> None:
    shapes = {"a": ("Forest", BLOB)}
    drawn = sample(mosaic, shapes, max_pixels=7).rows
    mean = sample(mosaic, shapes, max_pixels=7, row_per="mean").rows
    assert mean[BANDS].iloc[0].tolist() == pytest.approx(drawn[BANDS].mean().tolist())


# --- pixels under several polygons ----------------------------------------------------------------


def test_a_pixel_under_several_polygons_is_sampled_once_and_belongs_to_the_first(
    mosaic: Mosaic,
) -> None:
    first, second = pixel_box(0, 0, 10, 10), pixel_box(6, 4, 16, 14)
    found = sample(mosaic, {"z": ("Forest", first), "a": ("Water", second)})
    taken = places(found.rows)
    assert len(taken) == len(set(taken)) == 100 + 100 - 4 * 6
    owner = dict(zip(taken, found.rows["polygon_id"], strict=True))
    assert {place for place, name in owner.items() if name == "z"} == inside(first)
    assert {place for place, name in owner.items() if name == "a"} == inside(second) - inside(first)
    assert found.contested == 4 * 6


def test_a_pixel_drawn_from_two_polygons_goes_to_the_first_and_leaves_its_other_pixels_alone(
    mosaic: Mosaic,
) -> None:
    shape = pixel_box(0, 0, 10, 10)
    alone = sample(mosaic, {"a": ("Forest", shape)}, max_pixels=60).rows
    other = sample(mosaic, {"b": ("Water", shape)}, max_pixels=60).rows
    found = sample(mosaic, {"a": ("Forest", shape), "b": ("Water", shape)}, max_pixels=60)
    both = set(places(alone)) & set(places(other))
    assert 60 + 60 - 100 <= len(both) < 60
    assert found.contested == len(both)
    by_polygon = {name: set(places(rows)) for name, rows in found.rows.groupby("polygon_id")}
    assert by_polygon == {"a": set(places(alone)), "b": set(places(other)) - both}


def test_a_pixel_under_three_polygons_is_contested_once(mosaic: Mosaic) -> None:
    shape = pixel_box(0, 0, 5, 5)
    shapes = {
        "a": ("Forest", shape),
        "b": ("Water", shape),
        "c": ("Haze", pixel_box(0, 0, 6, 6)),
    }
    found = sample(mosaic, shapes)
    assert found.contested == 25
    assert len(found.rows) == 36


@pytest.mark.parametrize("label", ["Forest", "forest", " FOREST "])
def test_overlapping_polygons_of_one_class_are_not_contested(mosaic: Mosaic, label: str) -> None:
    shapes = {"a": ("Forest", pixel_box(0, 0, 5, 5)), "b": (label, pixel_box(0, 0, 6, 6))}
    found = sample(mosaic, shapes)
    assert found.contested == 0
    assert len(set(places(found.rows))) == len(found.rows) == 36


# --- polygons that give nothing -------------------------------------------------------------------

ALWAYS = {"here": ("Forest", pixel_box(30, 30, 35, 35))}
OUTSIDE = {
    "east": pixel_box(SIDE + 1, 0, SIDE + 9, 9),
    "north": pixel_box(0, -9, 9, -1),
    "sharing an edge": pixel_box(SIDE, 0, SIDE + 9, 9),
    "empty": shapely.Polygon(),
    "far away": shapely.box(0, 0, 1, 1),
}


@pytest.mark.parametrize("where", OUTSIDE)
def test_a_polygon_outside_the_mosaic_is_skipped(mosaic: Mosaic, where: str) -> None:
    found = sample(mosaic, {"x": ("Water", OUTSIDE[where]), **ALWAYS})
    assert found.skipped == {"x": "outside the mosaic"}
    assert set(found.rows["polygon_id"]) == {"here"}


def test_a_polygon_in_metres_said_to_be_degrees_is_outside_the_mosaic(mosaic: Mosaic) -> None:
    polygons = polygons_of({"x": ("Water", pixel_box(0, 0, 9, 9))}, crs=4326)
    found = sample_polygons(mosaic, polygons, SamplingSettings())
    assert found.skipped == {"x": "outside the mosaic"}


def test_a_polygon_between_pixel_centres_is_smaller_than_a_pixel(mosaic: Mosaic) -> None:
    sliver = pixel_box(3.6, 3.6, 4.4, 4.4)
    found = sample(mosaic, {"x": ("Water", sliver), **ALWAYS})
    assert found.skipped == {"x": "smaller than a pixel"}
    touched = sample(mosaic, {"x": ("Water", sliver), **ALWAYS}, all_touched=True)
    assert touched.skipped == {}
    assert set(places(touched.rows)) > {(3, 3), (3, 4), (4, 3), (4, 4)}


def test_a_polygon_over_a_gap_has_no_valid_pixel(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    values[2, :10, :10] = 0
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values, nodata=0)], tmp_path)
    found = sample(mosaic, {"x": ("Water", pixel_box(2, 2, 9, 9)), **ALWAYS})
    assert found.skipped == {"x": "no valid pixel under it"}


def test_a_polygon_between_quads_has_no_valid_pixel(
    tmp_path: Path, values: NDArray[np.generic]
) -> None:
    quads = [
        write_raster(tmp_path / f"{column}.tif", values, transform=moved(column, 0))
        for column in (0, 2 * SIDE)
    ]
    shapes = {"x": ("Water", pixel_box(SIDE + 2, 2, SIDE + 9, 9)), **ALWAYS}
    assert sample(mosaic_of(quads, tmp_path), shapes).skipped == {"x": "no valid pixel under it"}


def test_a_polygon_wholly_under_earlier_ones_is_skipped(mosaic: Mosaic) -> None:
    shapes = {
        "a": ("Forest", pixel_box(0, 0, 9, 9)),
        "b": ("Forest", pixel_box(9, 0, 20, 9)),
        "x": ("Water", pixel_box(5, 2, 15, 7)),
    }
    found = sample(mosaic, shapes)
    assert found.skipped == {"x": "its pixels were drawn for other polygons"}
    assert found.contested == 50
    assert set(found.rows["polygon_id"]) == {"a", "b"}


def test_polygons_that_give_nothing_at_all_give_a_table_without_rows(mosaic: Mosaic) -> None:
    found = sample(mosaic, {"x": ("Water", OUTSIDE["east"]), "y": ("Forest", OUTSIDE["north"])})
    assert found.skipped == {"x": "outside the mosaic", "y": "outside the mosaic"}
    assert len(found.rows) == 0
    assert list(found.rows.columns) == ["polygon_id", "class_label", "x", "y", *BANDS, "geometry"]
    assert found.rows.crs.to_epsg() == 3857


# --- real labels ----------------------------------------------------------------------------------

CHIAPAS = REAL / "chiapas_landsat"


@pytest.fixture(scope="module")
def chiapas_mosaic(tmp_path_factory: pytest.TempPathFactory) -> Mosaic:
    bands = {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir1": 5, "swir2": 6, "thermal": 7}
    scene = CHIAPAS / "LE70220491999322EDC01_stack.gtif"
    return mosaic_of([scene], tmp_path_factory.mktemp("chiapas"), bands)


@pytest.fixture(scope="module")
def chiapas_polygons() -> geopandas.GeoDataFrame:
    """The polygons under the labels that their author rasterised: the column `id`."""
    drawn = geopandas.read_file(CHIAPAS / "training_data.shp")
    return geopandas.GeoDataFrame(
        {
            "polygon_id": [f"p{number}" for number in drawn.index],
            "class_label": drawn["id"].map(str),
        },
        geometry=drawn.geometry,
    )


def labels_at(rows: pd.DataFrame) -> tuple[list[tuple[int, int]], NDArray[np.generic]]:
    with rasterio.open(CHIAPAS / "training_data.gtif") as dataset:
        labels = dataset.read(1)
        lines, columns = rasterio.transform.rowcol(dataset.transform, rows["x"], rows["y"])
    return list(zip(lines, columns, strict=True)), labels[lines, columns]


def test_real_samples_are_exactly_the_pixels_and_labels_that_the_polygons_author_made(
    chiapas_mosaic: Mosaic, chiapas_polygons: geopandas.GeoDataFrame
) -> None:
    found = sample_polygons(
        chiapas_mosaic, chiapas_polygons, SamplingSettings(max_pixels=EVERY_PIXEL)
    )
    assert len(found.rows) == 718
    assert (found.skipped, found.contested) == ({}, 0)
    sampled, labels = labels_at(found.rows)
    with rasterio.open(CHIAPAS / "training_data.gtif") as dataset:
        labelled = set(zip(*np.nonzero(dataset.read(1)), strict=True))
    assert set(sampled) == labelled
    assert labels.astype(str).tolist() == found.rows["class_label"].tolist()


def test_real_samples_of_all_touched_pixels_are_as_many_as_published(
    chiapas_mosaic: Mosaic, chiapas_polygons: geopandas.GeoDataFrame
) -> None:
    settings = SamplingSettings(max_pixels=EVERY_PIXEL, all_touched=True)
    assert len(sample_polygons(chiapas_mosaic, chiapas_polygons, settings).rows) == 1100


@pytest.mark.parametrize("crs", [4326, 3857, 32616])
def test_polygons_in_another_crs_give_the_same_pixels_but_for_those_on_an_edge(
    chiapas_mosaic: Mosaic, chiapas_polygons: geopandas.GeoDataFrame, crs: int
) -> None:
    settings = SamplingSettings(max_pixels=EVERY_PIXEL)
    expected = sample_polygons(chiapas_mosaic, chiapas_polygons, settings).rows
    found = sample_polygons(chiapas_mosaic, chiapas_polygons.to_crs(crs), settings).rows
    assert found.crs == expected.crs
    points = set(zip(expected["x"], expected["y"], strict=True)) ^ set(
        zip(found["x"], found["y"], strict=True)
    )
    edges = chiapas_polygons.boundary.union_all()
    # A straight edge of 200 m bends by millimetres from one projection to another.
    assert all(edges.distance(shapely.Point(point)) < 0.1 for point in points)
    assert len(found) == pytest.approx(718, abs=2)


def test_real_samples_have_the_values_of_the_scene(
    chiapas_mosaic: Mosaic, chiapas_polygons: geopandas.GeoDataFrame
) -> None:
    rows = sample_polygons(chiapas_mosaic, chiapas_polygons, SamplingSettings(max_pixels=20)).rows
    with rasterio.open(chiapas_mosaic.quads()[0].path) as dataset:
        scene = np.array(list(dataset.sample(zip(rows["x"], rows["y"], strict=True))))
    np.testing.assert_array_equal(rows[list(chiapas_mosaic.bands)].to_numpy(), scene[:, :7])
    assert rows["polygon_id"].value_counts().max() == 20


# --- files that do not hold samples ---------------------------------------------------------------

WHOLE = {
    "polygon_id": ["1", "2"],
    "class_label": ["a", "b"],
    "x": [1.0, 2.0],
    "y": [1.0, 2.0],
    "blue": np.array([1, 2], "uint16"),
}


def without(*names: str) -> pd.DataFrame:
    return pd.DataFrame({name: values for name, values in WHOLE.items() if name not in names})


def test_labels_and_ids_of_another_program_s_file_may_be_numbers(tmp_path: Path) -> None:
    path = UPath(tmp_path / "samples.parquet")
    pd.DataFrame({**WHOLE, "polygon_id": [1.0, 2.0], "class_label": [1, 10]}).to_parquet(path)
    rows, _ = read_samples(path, ["blue"])
    assert rows["class_label"].tolist() == ["1", "10"]
    assert rows["polygon_id"].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (None, "There are no samples at"),
        ("a,b", "is not a parquet file of samples"),
        (without("polygon_id", "x", "y"), "has no column polygon_id, x, y"),
        (without("blue"), "has no column blue"),
        (pd.DataFrame(WHOLE).head(0), "holds no samples"),
        (pd.DataFrame({**WHOLE, "class_label": ["a", None]}), "has samples without a class_label"),
        (pd.DataFrame({**WHOLE, "class_label": ["a", "--"]}), "has samples without a class_label"),
        (pd.DataFrame({**WHOLE, "blue": ["1", "x"]}), "samples whose blue is not a number"),
        (pd.DataFrame({**WHOLE, "blue": [1, np.nan]}), "samples whose blue is not a number"),
        (pd.DataFrame({**WHOLE, "polygon_id": [1, None]}), "has samples without a polygon_id"),
    ],
    ids=[
        "missing",
        "text",
        "without columns",
        "without bands",
        "empty",
        "no label",
        "separators",
        "text in a band",
        "gap in a band",
        "no id",
    ],
)
def test_a_file_that_does_not_hold_samples_is_told_with_what_to_do(
    tmp_path: Path, rows: pd.DataFrame | str | None, told: str
) -> None:
    path = UPath(tmp_path / "samples.parquet")
    if isinstance(rows, str):
        path.write_text(rows)
    elif rows is not None:
        rows.to_parquet(path)
    with pytest.raises(LandcoverError) as caught:
        read_samples(path, ["blue"])
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert "make them with python flows/prepare_data.py" in str(caught.value)
    assert caught.value.exit_status == 1


def damaged(path: UPath) -> None:
    pd.DataFrame(WHOLE).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200] + b"\xff" * 180 + whole[-20:])


@pytest.mark.parametrize(
    ("leave", "told"),
    [
        (UPath.mkdir, "is a folder, not a file of samples: name the file in it, or make them"),
        (UPath.touch, "is not a parquet file of samples .*: make them"),
        (damaged, "is not a parquet file of samples .*: make them"),
    ],
)
def test_what_is_not_a_whole_file_is_told_as_what_it_is(tmp_path: Path, leave, told: str) -> None:
    path = UPath(tmp_path / "samples.parquet")
    leave(path)
    with pytest.raises(LandcoverError, match=told):
        read_samples(path, ["blue"])


def test_a_name_that_no_file_can_have_is_told_with_the_disk_s_reason(tmp_path: Path) -> None:
    with pytest.raises(LandcoverError, match=r"cannot be read \(File name too long\)"):
        read_samples(UPath(tmp_path / ("a" * 300)), ["blue"])


# --- the same ground ------------------------------------------------------------------------------


def test_polygons_on_the_same_ground_are_told_by_their_ids_even_in_another_crs(
    mosaic: Mosaic,
) -> None:
    shapes = {
        "a": ("Forest", pixel_box(2, 2, 12, 12)),
        "b": ("Water", pixel_box(20, 2, 30, 12)),
        "copy of a": ("Forest", pixel_box(2, 2, 12, 12)),
        "in b": ("Forest", pixel_box(22, 4, 26, 8)),
        "beside b": ("Water", pixel_box(30, 2, 38, 12)),
    }
    found = sample_polygons(mosaic, polygons_of(shapes).to_crs(4326), SamplingSettings())
    # A copy whose pixels all went to the other is on its ground all the same.
    assert "copy of a" in found.skipped
    assert found.together == (("a", "copy of a"), ("b", "in b"))
    assert sample(mosaic, {"a": shapes["a"], "b": shapes["b"]}).together == ()


def test_the_file_of_samples_keeps_what_lies_on_the_same_ground_beside_its_columns(
    mosaic: Mosaic, tmp_path: Path
) -> None:
    found = sample(mosaic, {"a": ("Forest", BLOB), "b": ("Water", BLOB)}, max_pixels=20)
    path = UPath(tmp_path / "samples.parquet")
    write_samples(found.rows, Origin(tuple(BANDS), together=found.together), path)
    rows, origin = read_samples(path, BANDS)
    assert origin.together == (("a", "b"),)
    assert list(rows.columns) == ["polygon_id", "class_label", "x", "y", *BANDS, "geometry"]


def test_of_a_file_that_another_program_wrote_it_is_not_known_what_lies_on_the_same_ground(
    mosaic: Mosaic, tmp_path: Path
) -> None:
    found = sample(mosaic, {"a": ("Forest", BLOB)})
    path = UPath(tmp_path / "samples.parquet")
    pd.DataFrame(found.rows.drop(columns="geometry")).to_parquet(path)
    assert read_samples(path, BANDS)[1].together is None
    write_samples(found.rows, Origin(tuple(BANDS), together=found.together), path)
    assert read_samples(path, BANDS)[1].together == ()
