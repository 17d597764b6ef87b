"""The STAC item of a map: valid, true to the file, and what catalogues and tile servers take."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod
from pystac.errors import STACValidationError
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.validation import JsonSchemaSTACValidator
from rasterio.windows import Window
from rio_tiler.io import STACReader
from shapely import Polygon, box
from shapely.geometry import shape
from sqlalchemy import Connection, Engine, text

from landcover.classes import NODATA, colour, legend_of
from landcover.errors import LandcoverError, TransientError
from landcover.files import file_name, sha256
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.pieces import write_piece
from landcover.maps.stac import (
    COLLECTION,
    COLLECTION_NAME,
    MAP,
    map_collection,
    raster_item,
    stac_text,
)
from landcover.period import Period
from landcover.version import code_version
from tasks import catalogue
from tasks.access.tables import ONE_COLLECTION
from tasks.catalogue import list_maps
from tasks.run import Run
from tests.months import run_of
from tests.rasters import ORIGIN, class_layer

NAMES = {
    0: "Forest",
    6: "Sensor Error",
    7: "Bosque húmedo",
    8: "森林",
    9: "лес",
    10: "Bosque, humedo",
}
HEIGHT, WIDTH = 500, 620
MERCATOR = CRS.from_epsg(3857).to_wkt()
UTM = CRS.from_epsg(32717).to_wkt()
LAEA = CRS.from_proj4("+proj=laea +lat_0=-1 +lon_0=-79 +datum=WGS84 +units=m").to_wkt()
# Of the size of the real mosaic, where the edges of UTM bend by more than a footprint may be off.
IN_UTM = Affine(500, 0, 500_000, 0, -500, 10_000_000)
MADE = datetime(2025, 7, 3, 4, 5, 6, tzinfo=UTC)
EVERYWHERE = box(-180, -85, 180, 85)


@dataclass(frozen=True)
class WrittenMap:
    path: Path
    codes: NDArray[np.uint8]


def write_map(folder: Path, crs: str = MERCATOR, transform: Affine = ORIGIN) -> WrittenMap:
    grid = Grid(crs, transform, WIDTH, HEIGHT)
    codes = np.random.default_rng(3).choice([*NAMES, NODATA], (HEIGHT, WIDTH)).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    piece, path = folder / "piece.tif", folder / file_name("map", Period(2025, 6))
    write_piece(class_layer(NAMES), codes, grid, [], piece)
    write_cog(class_layer(NAMES), {piece: Window(0, 0, WIDTH, HEIGHT)}, grid, [], {}, path)
    piece.unlink()
    return WrittenMap(path, codes)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenMap:
    return write_map(tmp_path_factory.mktemp("stac"))


def item_of(path: Path, year: int = 2025, month: int = 6, **other: Any) -> pystac.Item:
    given = {"area": EVERYWHERE, "lineage": "A *forest*.", "made": MADE, **other}
    legend = legend_of(given.pop("names", NAMES))
    return raster_item(MAP, path, sha256(path), Period(year, month), legend=legend, **given)


def read_back(document: pystac.Item | pystac.Collection) -> Any:
    return json.loads(stac_text(document))


def validate(document: dict[str, Any], kind: pystac.STACObjectType) -> None:
    """Validate by the schemas that come with pystac: the core ones, without any network."""
    JsonSchemaSTACValidator().validate_core(document, kind, document["stac_version"])


def extent_of(path: Path) -> Polygon:
    """Return a map's outline in longitude and latitude."""
    with rasterio.open(path) as dataset:
        outline = shapely.segmentize(box(*dataset.bounds), 100)
        return geopandas.GeoSeries([outline], crs=dataset.crs).to_crs(4326).iloc[0]


# --- the standard ---------------------------------------------------------------------------------


def test_the_item_is_valid(written: WrittenMap) -> None:
    document = read_back(item_of(written.path))
    assert document["stac_version"] == "1.1.0"
    validate(document, pystac.STACObjectType.ITEM)


def test_an_item_without_the_link_to_its_collection_would_not_be(written: WrittenMap) -> None:
    document = read_back(item_of(written.path)) | {"links": []}
    with pytest.raises(STACValidationError):
        validate(document, pystac.STACObjectType.ITEM)


def test_the_extensions_are_named_whose_fields_there_are(written: WrittenMap) -> None:
    site = "https://stac-extensions.github.io"
    document = read_back(item_of(written.path))
    assert sorted(document["stac_extensions"]) == [
        f"{site}/classification/v2.0.0/schema.json",
        f"{site}/file/v2.1.0/schema.json",
        f"{site}/processing/v1.2.0/schema.json",
        f"{site}/projection/v2.0.0/schema.json",
        f"{site}/raster/v1.1.0/schema.json",
    ]
    fields = [*document["properties"], *document["assets"]["map"]]
    prefixes = {field.split(":")[0] for field in fields if ":" in field}
    assert prefixes == {"classification", "file", "processing", "proj", "raster"}


@pytest.mark.parametrize(
    ("year", "month", "start", "end"),
    [
        (2025, 6, "2025-06-01T00:00:00Z", "2025-06-30T23:59:59Z"),
        (2024, 2, "2024-02-01T00:00:00Z", "2024-02-29T23:59:59Z"),
        (2023, 12, "2023-12-01T00:00:00Z", "2023-12-31T23:59:59Z"),
    ],
)
def test_an_item_is_named_after_its_month_and_lasts_as_long(
    written: WrittenMap, year: int, month: int, start: str, end: str
) -> None:
    document = read_back(item_of(written.path, year, month))
    assert document["id"] == f"prediction_{year}{month:02d}"
    assert file_name("item", Period(year, month)) == f"{document['id']}.json"
    properties = document["properties"]
    assert properties["datetime"] is None
    assert (properties["start_datetime"], properties["end_datetime"]) == (start, end)


def test_the_item_says_what_made_the_map_and_when(written: WrittenMap) -> None:
    in_ecuador = MADE.astimezone(timezone(timedelta(hours=-5)))
    for made in (MADE, in_ecuador):
        properties = read_back(item_of(written.path, made=made))["properties"]
        assert properties["processing:lineage"] == "A *forest*."
        assert properties["processing:software"] == {"chocoforest": code_version()}
        assert datetime.fromisoformat(properties["processing:datetime"]) == MADE
        assert properties["processing:datetime"].endswith("Z")


# --- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crs", "transform"), [(MERCATOR, ORIGIN), (UTM, IN_UTM), (LAEA, Affine(5, 0, 0, 0, -5, 0))]
)
def test_the_footprint_is_the_whole_map_where_the_area_of_interest_is_larger(
    tmp_path: Path, crs: str, transform: Affine
) -> None:
    path = write_map(tmp_path, crs, transform).path
    item = item_of(path)
    assert shape(item.geometry).hausdorff_distance(extent_of(path)) < 2e-4
    assert item.bbox == list(shape(item.geometry).bounds)


def test_the_footprint_is_the_part_of_the_area_of_interest_that_the_map_reaches(
    written: WrittenMap,
) -> None:
    extent = extent_of(written.path)
    west, south, _, north = extent.bounds
    middle_x, middle_y = extent.centroid.coords[0]
    # Drawn clockwise, with a hole, and with a second part; it juts out on the left.
    hole = box(middle_x - 0.003, middle_y - 0.002, middle_x - 0.001, middle_y)
    area = box(west - 1, middle_y - 0.004, middle_x, middle_y + 0.004, ccw=False) - hole
    area |= box(middle_x + 0.002, south, middle_x + 0.005, north + 1)
    item = item_of(written.path, area=area)
    footprint = shape(item.geometry)
    assert footprint.geom_type == "MultiPolygon"
    assert footprint.is_valid
    assert footprint.symmetric_difference(area & extent).area < 1e-8
    assert item.bbox == list(footprint.bounds)
    validate(read_back(item), pystac.STACObjectType.ITEM)
    for polygon in footprint.geoms:
        assert polygon.exterior.is_ccw
        assert not any(ring.is_ccw for ring in polygon.interiors)


PACIFIC = CRS.from_epsg(3832).to_wkt()  # Mercator, not cut at the antimeridian
POLAR = CRS.from_epsg(3413).to_wkt()


def test_over_the_antimeridian_the_footprint_is_cut_and_the_bounds_begin_in_the_east(
    tmp_path: Path,
) -> None:
    path = write_map(tmp_path, PACIFIC, Affine(100, 0, 3_310_000, 0, -100, -1_900_000)).path
    halves = [box(179.8, -18, 180, -16), box(-180, -18, -179.9, -16)]
    item = item_of(path, area=shapely.MultiPolygon(halves))
    document = read_back(item)
    validate(document, pystac.STACObjectType.ITEM)
    found = shape(item.geometry)
    assert found.geom_type == "MultiPolygon"
    assert found.is_valid
    assert len(found.geoms) == 2
    west, south, east, north = document["bbox"]
    assert (west, east) == pytest.approx((179.8, -179.9))
    assert (south, north) == pytest.approx((found.bounds[1], found.bounds[3]))
    assert north - south < 0.5

    usual = item_of(write_map(tmp_path / "usual").path, month=5)
    collection = read_back(map_collection([usual, item]))
    validate(collection, pystac.STACObjectType.COLLECTION)
    ((first, _, last, _),) = collection["extent"]["spatial"]["bbox"]
    assert (first, last) == pytest.approx((179.8, usual.bbox[2]))


def test_a_map_that_reaches_over_a_pole_is_one_of_the_area_of_interest(tmp_path: Path) -> None:
    path = write_map(tmp_path, POLAR, Affine(5000, 0, -1_550_000, 0, -5000, 1_250_000)).path
    svalbard = box(10, 77, 30, 80.5)
    found = shape(item_of(path, area=svalbard).geometry)
    assert found.symmetric_difference(svalbard).area < 0.01
    with pytest.raises(LandcoverError, match="reaches over a pole"):
        item_of(path, area=box(-180, 85, 180, 90))


def test_a_coast_drawn_by_the_metre_does_not_swell_the_item(written: WrittenMap) -> None:
    extent = extent_of(written.path)
    along = np.linspace(0, 2 * np.pi, 100_000)
    reach = 0.008 + 1e-5 * np.sin(10_000 * along)
    x, y = extent.centroid.coords[0]
    area = Polygon(np.column_stack([x + reach * np.cos(along), y + reach * np.sin(along)]))
    footprint = shape(item_of(written.path, area=area).geometry)
    assert len(shapely.get_coordinates(footprint)) < 500
    assert footprint.symmetric_difference(area & extent).area < 0.02 * footprint.area


def test_a_map_outside_the_area_of_interest_is_an_error(written: WrittenMap) -> None:
    with pytest.raises(LandcoverError, match=re.escape(str(written.path))):
        item_of(written.path, area=box(10, 50, 11, 51))


def test_the_projection_is_that_of_the_file(written: WrittenMap) -> None:
    document = read_back(item_of(written.path))
    properties = document["properties"]
    with rasterio.open(written.path) as dataset:
        assert properties["proj:code"] == "EPSG:3857"
        assert properties["proj:shape"] == [HEIGHT, WIDTH]
        assert properties["proj:transform"] == list(dataset.transform)[:6]
        assert properties["proj:bbox"] == list(dataset.bounds)
    assert "proj:wkt2" not in properties


def test_a_projection_without_a_code_is_told_in_full(tmp_path: Path) -> None:
    path = write_map(tmp_path, LAEA, Affine(5, 0, 0, 0, -5, 0)).path
    properties = read_back(item_of(path))["properties"]
    assert properties["proj:code"] is None
    assert CRS.from_wkt(properties["proj:wkt2"]).equals(CRS.from_wkt(LAEA), ignore_axis_order=True)
    assert properties["proj:wkt2"].startswith("PROJCRS[")
    validate(read_back(item_of(path)), pystac.STACObjectType.ITEM)


def test_the_resolution_is_in_metres_on_the_ground(tmp_path: Path) -> None:
    degrees = Affine(1 / 3600, 0, -79.5, 0, -1 / 3600, 0.25)
    path = write_map(tmp_path, CRS.from_epsg(4326).to_wkt(), degrees).path
    middle_x, middle_y = degrees @ (WIDTH / 2, HEIGHT / 2)
    half, ellipsoid = 1 / 7200, Geod(ellps="WGS84")
    _, _, across = ellipsoid.inv(middle_x - half, middle_y, middle_x + half, middle_y)
    _, _, down = ellipsoid.inv(middle_x, middle_y - half, middle_x, middle_y + half)
    item = item_of(path)
    assert item.common_metadata.gsd == pytest.approx((across * down) ** 0.5, abs=0.001)
    (band,) = RasterExtension.ext(item.assets["map"]).bands or []
    assert band.spatial_resolution == item.common_metadata.gsd


# --- the map --------------------------------------------------------------------------------------


def test_the_map_is_described_as_the_file_is(written: WrittenMap) -> None:
    asset = read_back(item_of(written.path))["assets"]["map"]
    assert asset["href"] == "./prediction_202506.tif"
    assert asset["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert asset["roles"] == ["data"]
    (band,) = asset["raster:bands"]
    with rasterio.open(written.path) as dataset:
        assert (band["data_type"], band["nodata"]) == (dataset.dtypes[0], dataset.nodata)
    assert (asset["data_type"], asset["nodata"]) == (band["data_type"], band["nodata"])
    content = written.path.read_bytes()
    assert asset["file:size"] == len(content)
    assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_the_classes_have_the_map_s_codes_names_and_colours(written: WrittenMap) -> None:
    asset = item_of(written.path).assets["map"]
    *classes, last = ClassificationExtension.ext(asset).classes or []
    assert {each.value: each.title for each in classes} == NAMES
    for each in classes:
        assert each.color_hint is not None
        assert re.fullmatch("[0-9A-F]{6}", each.color_hint)
        assert tuple(bytes.fromhex(each.color_hint)) == colour(each.value)
        assert each.nodata is None
    assert (last.value, last.nodata, last.color_hint) == (NODATA, True, None)


def test_the_classes_short_names_are_words_and_differ(written: WrittenMap) -> None:
    asset = item_of(written.path).assets["map"]
    names = {each.value: each.name for each in ClassificationExtension.ext(asset).classes or []}
    assert all(re.fullmatch("[0-9A-Za-z_-]+", name) for name in names.values())
    assert (names[0], names[6]) == ("forest", "sensor_error")
    # Both are "bosque_humedo" without the accent.
    assert (names[7], names[10]) == ("class_7", "class_10")
    assert (names[8], names[9]) == ("class_8", "class_9")
    assert len(set(names.values())) == len(names)


def test_what_lies_beside_the_map_is_an_asset_too_and_the_map_is_found_as_data(
    written: WrittenMap,
) -> None:
    document = read_back(item_of(written.path))
    validate(document, pystac.STACObjectType.ITEM)
    hrefs = {key: asset["href"] for key, asset in document["assets"].items()}
    assert hrefs == {
        "map": "./prediction_202506.tif",
        "data": "./prediction_202506.tif",
        "confidence": "./confidence_202506.tif",
        "report": "./report_202506.html",
    }
    assert document["assets"]["data"] == document["assets"]["map"]


# --- the collection -------------------------------------------------------------------------------


def test_the_collection_is_valid_and_as_wide_and_long_as_its_items(written: WrittenMap) -> None:
    west, south, east, north = extent_of(written.path).bounds
    middle = (west + east) / 2
    items = [
        item_of(written.path, 2025, 6, area=box(west, south, middle, north)),
        item_of(written.path, 2025, 4, area=box(middle, south, east, north)),
    ]
    document = read_back(map_collection(items))
    validate(document, pystac.STACObjectType.COLLECTION)
    ((*box_of_all,),) = document["extent"]["spatial"]["bbox"]
    assert box_of_all == pytest.approx([west, south, east, north], abs=1e-6)
    assert document["extent"]["temporal"]["interval"] == [
        ["2025-04-01T00:00:00Z", "2025-06-30T23:59:59Z"]
    ]


@pytest.fixture
def maps(settings) -> Callable[..., Run]:
    """A function that puts items of maps into the folder of maps, and returns a run."""

    def put(*items: pystac.Item) -> Run:
        run = run_of()
        run.files.maps.mkdir(parents=True, exist_ok=True)
        for item in items:
            (run.files.maps / f"{item.id}.json").write_text(stac_text(item))
        return run

    return put


def listed(run: Run) -> list[str]:
    """The items that the collection lists."""
    links = json.loads(run.files.collection.read_text())["links"]
    return [link["href"] for link in links if link["rel"] == "item"]


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("folder", ["maps", "J [2025]", "50% *"])
def test_the_collection_lists_all_maps_of_its_folder_and_nothing_else(
    written: WrittenMap, maps, settings, folder: str, caplog
) -> None:
    settings(PREDICTION_OUTPUT_DIR=folder)
    run = maps(item_of(written.path, 2025, 4), item_of(written.path))
    others = {
        "prediction_stats.json": "{}",  # of another program
        "prediction_202513.json": stac_text(item_of(written.path)),  # no month
        "prediction_202501.json": "[1, 2",
        "prediction_202502.json": '{"type": "FeatureCollection", "features": []}',
        "prediction_202503.json": stac_text(item_of(written.path)).replace("chocoforest", "ours"),
        "prediction_202505.json": stac_text(item_of(written.path)),  # June's, copied
    }
    for name, content in others.items():
        (run.files.maps / name).write_text(content)
    list_maps(run)
    assert listed(run) == ["./prediction_202504.json", "./prediction_202506.json"]
    told = [name for name in others if f"{name} is not the STAC item of a map (" in caplog.text]
    assert told == [f"prediction_20250{month}.json" for month in (1, 2, 3, 5)]
    assert {path.name for path in run.files.maps.iterdir() if path.name in others} == set(others)


@pytest.mark.usefixtures("in_database")
def test_maps_are_listed_by_one_month_at_a_time(written: WrittenMap, maps, engine: Engine) -> None:
    run = maps(item_of(written.path))
    with engine.begin() as other:
        assert other.scalar(ONE_COLLECTION)
        with pytest.raises(TransientError, match="Another month's map is being listed"):
            list_maps.fn(run)
        assert not run.files.collection.exists()
    list_maps.fn(run)
    assert listed(run) == ["./prediction_202506.json"]


def test_a_map_that_appears_while_maps_are_listed_is_not_left_out(
    written: WrittenMap, maps, monkeypatch
) -> None:
    run = maps(item_of(written.path))
    lock = catalogue.lock_collection

    def lock_after_another_month(connection: Connection) -> None:
        maps(item_of(written.path, 2025, 7))
        lock(connection)

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "lock_collection", lock_after_another_month)
        with pytest.raises(TransientError, match="Another month was mapped"):
            list_maps.fn(run)
    list_maps.fn(run)
    assert listed(run) == ["./prediction_202506.json", "./prediction_202507.json"]


def test_collection_items_and_maps_are_found_wherever_they_are_moved(
    written: WrittenMap, tmp_path: Path
) -> None:
    items = [item_of(written.path), item_of(written.path, 2025, 7)]
    (tmp_path / COLLECTION_NAME).write_text(stac_text(map_collection(items)))
    for item in items:
        (tmp_path / f"{item.id}.json").write_text(stac_text(item))
    collection = pystac.Collection.from_file(str(tmp_path / COLLECTION_NAME))
    found = list(collection.get_items())
    assert [item.id for item in found] == ["prediction_202506", "prediction_202507"]
    for item in found:
        assert item.get_collection() is collection
        assert item.assets["map"].get_absolute_href() == str(tmp_path / written.path.name)
        assert ProjectionExtension.ext(item).shape == [HEIGHT, WIDTH]


@pytest.mark.filterwarnings("ignore:Some statistics data in STAC are invalid")
def test_a_tile_server_reads_the_map_through_its_item(written: WrittenMap) -> None:
    path = written.path.with_name(file_name("item", Period(2025, 6)))
    path.write_text(stac_text(item_of(written.path)))
    with STACReader(str(path)) as reader:
        assert reader.crs == rasterio.CRS.from_epsg(3857)
        (codes,) = reader.preview(assets="map", max_size=None).array.data
        with rasterio.open(written.path) as dataset:
            assert reader.bounds == tuple(dataset.bounds)
    np.testing.assert_array_equal(codes, written.codes)


def test_the_item_is_what_pgstac_takes(written: WrittenMap, engine: Engine) -> None:
    """It wants a collection, a geometry that PostGIS reads, and a start that is before the end.

    (https://github.com/stac-utils/pgstac, 003a_items.sql and 001s_stacutils.sql)
    """
    document = read_back(item_of(written.path))
    assert document["collection"] == COLLECTION
    assert document["collection"] == read_back(map_collection([item_of(written.path)]))["id"]
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT ST_SRID(shape), ST_IsValid(shape), ST_IsPolygonCCW(shape), "
                "tstzrange(:start, :end, '[]') @> timestamptz '2025-06-15 00:00Z' "
                "FROM ST_GeomFromGeoJSON(:geometry) AS shape"
            ),
            {
                "geometry": json.dumps(document["geometry"]),
                "start": document["properties"]["start_datetime"],
                "end": document["properties"]["end_datetime"],
            },
        )
        assert found.one() == (4326, True, True, True)
