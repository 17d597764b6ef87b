"""Regions read from files and tidied: names, parts, and what is refused or left out."""

from collections.abc import Sequence
from pathlib import Path

import geopandas
import pytest
from shapely import Point, box
from shapely.geometry.base import BaseGeometry

from landcover.errors import SettingsError
from landcover.regions import (
    choose_name_column,
    names_under,
    overlaps,
    part_regions,
    read_regions,
    tidy_regions,
)
from landcover.vectors import vector_file

AOI = geopandas.GeoSeries([box(-79.5, 0, -79, 0.5)], crs=4326)
WEST, EAST = box(-79.5, 0, -79.3, 0.5), box(-79.3, 0, -79, 0.5)


def frame(
    names: Sequence[str | None], shapes: Sequence[BaseGeometry], **more: Sequence[object]
) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"name": names, **more}, geometry=list(shapes), crs=4326)


def written(rows: geopandas.GeoDataFrame, path: Path) -> Path:
    rows.to_file(path)
    return path


def test_parts_of_one_name_are_one_region_and_what_has_no_name_is_told():
    rows = frame(["West", "East", "West", None], [WEST, EAST, box(-79.6, 0, -79.5, 1), EAST])
    regions, notices = tidy_regions(rows, "parishes.gpkg")
    assert regions["name"].tolist() == ["East", "West"]
    assert regions.geometry[1].equals(WEST.union(box(-79.6, 0, -79.5, 1)))
    told = " ".join(map(str, notices))
    assert "without a name, which are left out: 1 (rows 3)" in told
    assert "counted as one region: 1 (West)" in told


def test_names_are_found_in_files_of_any_crs_and_kind(tmp_path):
    rows = frame(["Oeste", "Este"], [WEST, EAST], code=[1, 2]).to_crs(32617)
    for name in ("parishes.gpkg", "parishes.geojson", "parishes.shp"):
        file = vector_file(str(written(rows.rename(columns={"name": "NOMBRE"}), tmp_path / name)))
        found = read_regions(file, None)
        regions, notices = tidy_regions(found, str(file))
        assert (regions["name"].tolist(), notices) == (["Este", "Oeste"], [])
    assert read_regions(file, "code")["name"].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("columns", "wanted", "found"),
    [
        ({"id": False, "parish": True}, None, "parish"),
        ({"NAME": True, "canton": True}, None, "NAME"),
        ({"name": True, "canton": True}, "canton", "canton"),
        (
            {"id": False, "parish": True, "canton": True},
            None,
            "set REGIONS_NAME_COL to one of id, ",
        ),
        ({"id": False}, None, "set REGIONS_NAME_COL to one of id"),
        ({"id": False}, "parish", "has no column 'parish', which REGIONS_NAME_COL names"),
    ],
)
def test_the_column_of_names_is_plain_or_asked_for(columns, wanted, found):
    if found in columns:
        assert choose_name_column(columns, wanted, "parishes.gpkg") == found
        return
    with pytest.raises(SettingsError, match=found):
        choose_name_column(columns, wanted, "parishes.gpkg")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (frame(["West"], [Point(-79.4, 0.1)]), "should be polygons, but x holds 1 point"),
        (frame([], []), "should be polygons, but x holds no geometry"),
        (frame([None, " "], [WEST, EAST]).assign(name=[None, ""]), "No region of x has a name"),
        (frame(["Far"], [box(10, 10, 11, 11)]), "No region of x, .* touches the area of interest"),
    ],
)
def test_what_are_no_regions_is_refused(rows, told):
    with pytest.raises(SettingsError, match=told):
        part_regions(tidy_regions(rows, "x")[0], AOI, "x")


def test_regions_that_no_map_can_hold_are_left_out():
    rows = frame(["Antarctica", "East"], [box(-180, -90, 180, -60), EAST])
    near, far = part_regions(rows, AOI.to_crs(3857), "x")
    assert (near["name"].tolist(), far) == (["East"], ["Antarctica"])


def test_a_shape_has_the_regions_that_it_has_a_part_in():
    regions = frame(["East", "West"], [EAST, WEST])
    shapes = geopandas.GeoSeries(
        [box(-79.31, 0.1, -79.29, 0.2), box(-79.35, 0.1, -79.3, 0.2), box(-70, 0, -69, 1)], crs=4326
    )
    assert names_under(shapes, regions) == [["East", "West"], ["West"], []]


def test_overlaps_are_told_by_the_largest():
    (notice,) = overlaps({("A", "B"): 1.0, ("A", "C"): 20.0})
    assert "overlap: 2, most of all A and C (20.0 ha)" in str(notice)
