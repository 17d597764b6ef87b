"""The area of interest: every form in which it is given, and every way in which it is none."""

import json
from pathlib import Path

import geopandas
import pytest
import shapely
from pyproj import Geod

from landcover.aoi import load_aoi
from landcover.errors import SettingsError
from landcover.geometry import polygonal
from tests.conftest import REAL

SQUARE = shapely.box(-79.5, 0.1, -79.4, 0.2)
FAR = shapely.box(-79.2, 0.1, -79.1, 0.2)
BOWTIE = shapely.Polygon([(-79.5, 0), (-79.4, 0.1), (-79.4, 0), (-79.5, 0.1)])


def same_area(found: geopandas.GeoSeries, expected: shapely.Geometry) -> bool:
    (area,) = found
    assert area.geom_type in ("Polygon", "MultiPolygon")
    return bool(area.is_valid and area.symmetric_difference(expected).area < 1e-12)


@pytest.mark.parametrize(
    "text",
    [
        SQUARE.wkt,
        f"  {SQUARE.wkt.lower()}\n",
        f"SRID=4326;{SQUARE.wkt}",
        f"srid=4326 ; {SQUARE.wkt}",
        shapely.MultiPolygon([SQUARE]).wkt,
        shapely.GeometryCollection([SQUARE, shapely.Point(0, 0)]).wkt,
        shapely.box(-79.5, 0.1, -79.4, 0.2).segmentize(0.001).wkt,
    ],
)
def test_wkt_is_longitude_and_latitude(text: str) -> None:
    found = load_aoi(text)
    assert found.crs.to_epsg() == 4326
    assert same_area(found, SQUARE)


def test_ewkt_is_in_the_system_that_it_names() -> None:
    found = load_aoi("SRID=3857;POLYGON((-8828000 0, -8827000 0, -8827000 900, -8828000 0))")
    assert found.crs.to_epsg() == 3857
    assert found.iloc[0].area == 1000 * 900 / 2


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32617", "EPSG:3857"])
def test_a_vector_file_in_any_crs_is_read(tmp_path: Path, suffix: str, crs: str) -> None:
    path = tmp_path / f"aoi.{suffix}"
    geopandas.GeoSeries([SQUARE], crs=4326).to_crs(crs).to_file(path)
    found = load_aoi(str(path))
    assert found.crs == crs
    in_degrees = found.to_crs(4326).iloc[0]
    assert in_degrees.symmetric_difference(SQUARE).area < 1e-4 * SQUARE.area


def test_all_rows_of_a_file_are_one_area(tmp_path: Path) -> None:
    path = tmp_path / "aoi.gpkg"
    overlapping = shapely.box(-79.45, 0.1, -79.35, 0.2)
    geopandas.GeoSeries([SQUARE, overlapping, FAR], crs=4326).to_file(path)
    expected = shapely.MultiPolygon([shapely.box(-79.5, 0.1, -79.35, 0.2), FAR])
    assert same_area(load_aoi(str(path)), expected)


def test_a_row_without_geometry_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "aoi.gpkg"
    geopandas.GeoSeries([None, SQUARE], crs=4326).to_file(path)
    assert same_area(load_aoi(str(path)), SQUARE)


def test_an_area_of_several_parts_stays_whole() -> None:
    both = shapely.MultiPolygon([SQUARE, FAR])
    assert same_area(load_aoi(both.wkt), both)


def test_an_area_with_a_hole_keeps_it() -> None:
    ring = SQUARE.difference(SQUARE.buffer(-0.02))
    assert same_area(load_aoi(ring.wkt), ring)


def test_a_self_crossing_area_is_mended_to_the_two_triangles_that_it_draws() -> None:
    triangles = shapely.MultiPolygon(
        [
            shapely.Polygon([(-79.5, 0), (-79.45, 0.05), (-79.5, 0.1)]),
            shapely.Polygon([(-79.4, 0), (-79.45, 0.05), (-79.4, 0.1)]),
        ]
    )
    assert same_area(load_aoi(BOWTIE.wkt), triangles)


def test_the_real_area_of_interest_keeps_its_parts_and_its_published_area() -> None:
    (area,) = load_aoi(str(REAL / "western_ecuador" / "boundary_900m.geojson"))
    assert len(area.geoms) == 45
    square_metres, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.force_2d(area))
    assert abs(square_metres) / 1e6 == pytest.approx(74_989, abs=1)


def test_an_area_across_the_antimeridian_is_cut_there() -> None:
    halves = shapely.union_all([shapely.box(179, -18, 180, -17), shapely.box(-180, -18, -179, -17)])
    for given in (halves, shapely.box(179, -18, 181, -17), shapely.box(-181, -18, -179, -17)):
        assert same_area(load_aoi(given.wkt), halves)


# --- what is no area ------------------------------------------------------------------------------


def refused(definition: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_aoi(definition)
    assert caught.value.exit_status == 2
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "POLYGON EMPTY",
        "MULTIPOLYGON EMPTY",
        "GEOMETRYCOLLECTION EMPTY",
        "POINT(-79.5 0.1)",
        "LINESTRING(-79.5 0.1, -79.4 0.1)",
        "POLYGON((-79.5 0.1, -79.4 0.1, -79.3 0.1, -79.5 0.1))",
    ],
)
def test_wkt_without_an_area_is_refused(text: str) -> None:
    assert "holds no polygon" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "POLYGON((-79.5 0.1, -79.4 0.1",
        "POLYGON((-79.5 0.1, -79.4 0.1, -79.4 0.2))",
        "POLYGON(-79.5 0.1, -79.4 0.1)",
        "POLYGON((-79.5, 0.1, -79.4, 0.1))",
    ],
)
def test_broken_wkt_is_told_with_an_example(text: str) -> None:
    message = refused(text)
    assert f"not valid WKT: {text}" in message
    assert "like POLYGON((" in message


@pytest.mark.parametrize("srid", ["EPSG:3857", "SRID=", "SRID=web", "3857 degrees"])
def test_a_prefix_that_is_no_srid_is_told_with_what_it_should_be(srid: str) -> None:
    assert "should be like SRID=3857;" in refused(f"{srid};{SQUARE.wkt}")


def test_an_unknown_srid_is_told() -> None:
    assert "'SRID=999999', which does not name a known" in refused(f"SRID=999999;{SQUARE.wkt}")


METRES = shapely.box(-8828000, 0, -8827000, 1000)


@pytest.mark.parametrize("prefix", ["", "SRID=4326;", "SRID=4258;"])
def test_wkt_in_metres_that_does_not_say_so_is_refused(prefix: str) -> None:
    message = refused(f"{prefix}{METRES.wkt}")
    assert "not longitudes and latitudes" in message
    assert "SRID=3857;POLYGON" in message


def test_geojson_in_metres_that_does_not_say_so_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("aoi.geojson")
    path.write_text(json.dumps(shapely.geometry.mapping(METRES)))
    message = refused(str(path))
    assert "not longitudes and latitudes" in message
    assert str(path) in message


def test_latitudes_beyond_the_pole_are_refused() -> None:
    assert "not longitudes and latitudes" in refused("POLYGON((0 89, 1 89, 1 91, 0 89))")


@pytest.mark.parametrize("name", ["nowhere/at-all.gpkg", "polygon.geojson"])
def test_a_file_that_is_missing_is_named(name: str) -> None:
    assert f"a file that exists: {name}." in refused(name)


@pytest.mark.parametrize("text", ["", "western Ecuador", "CIRCLE(0 0, 1)", "/tmp", "a\0b"])
def test_text_that_is_neither_wkt_nor_a_file_is_refused(text: str) -> None:
    assert "neither WKT nor a file that exists" in refused(text)


def test_long_text_is_told_in_short(tmp_path: Path) -> None:
    pasted = json.dumps(shapely.geometry.mapping(SQUARE.segmentize(0.0001)))
    message = refused(pasted)
    assert "neither WKT nor a file" in message
    assert len(message) < 200


@pytest.mark.parametrize("name", ["aoi.geojson", "aoi.gpkg", "aoi.shp"])
def test_a_file_of_garbage_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"", b"\x00garbage" * 40):
        path.write_bytes(content)
        assert f"cannot be read: {path}" in refused(str(path))


def test_a_table_without_geometries_is_named(tmp_path: Path) -> None:
    path = tmp_path / "aoi.csv"
    path.write_text("name,area\nEcuador,74989\n")
    assert f"without geometries: {path}" in refused(str(path))


@pytest.mark.parametrize("geometry", [None, shapely.Point(-79, 0), shapely.Polygon()])
def test_a_file_without_a_polygon_is_refused(
    tmp_path: Path, geometry: shapely.Geometry | None
) -> None:
    path = tmp_path / "aoi.gpkg"
    geopandas.GeoSeries([geometry], crs=4326).to_file(path)
    assert "holds no polygon" in refused(str(path))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "aoi.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert "holds no polygon" in refused(str(path))


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_file_that_does_not_say_its_crs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "aoi.shp"
    geopandas.GeoSeries([SQUARE]).to_file(path)
    assert f"{path} does not say its coordinate reference system" in refused(str(path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MULTIPOINT((-79.5 0.1), (-79.4 0.1))", "holds no polygon, but 1 point:"),
        ("LINESTRING(-79.5 0.1, -79.4 0.1)", "holds no polygon, but 1 line:"),
        ("POLYGON((-79.5 0, -79.4 0, -79.3 0, -79.5 0))", "but 1 polygon without an area:"),
    ],
)
def test_what_is_not_a_polygon_is_told_as_what_it_is(text: str, told: str) -> None:
    assert told in refused(text)


def test_an_area_with_coordinates_that_are_not_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "aoi.parquet"
    broken = shapely.Polygon([(-79.5, 0.1), (float("nan"), 0.1), (-79.4, 0.2)])
    geopandas.GeoDataFrame(geometry=[SQUARE, broken], crs=4326).to_parquet(path)
    assert "coordinates that are not numbers" in refused(str(path))


# --- the polygonal part of a geometry -------------------------------------------------------------


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        (SQUARE, SQUARE),
        (shapely.MultiPolygon([SQUARE, FAR]), shapely.MultiPolygon([SQUARE, FAR])),
        (shapely.GeometryCollection([shapely.Point(0, 0), SQUARE]), SQUARE),
        (
            shapely.GeometryCollection([shapely.MultiPolygon([SQUARE, FAR]), SQUARE.boundary]),
            shapely.MultiPolygon([SQUARE, FAR]),
        ),
    ],
)
def test_only_what_has_an_area_is_kept(
    geometry: shapely.Geometry, expected: shapely.Geometry
) -> None:
    assert polygonal(geometry).equals(expected)


@pytest.mark.parametrize(
    "geometry",
    [shapely.Point(0, 0), SQUARE.boundary, shapely.Polygon(), shapely.MultiPoint([(0, 0)])],
)
def test_what_has_no_area_becomes_empty(geometry: shapely.Geometry) -> None:
    assert polygonal(geometry).is_empty
