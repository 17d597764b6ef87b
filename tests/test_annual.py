"""The annual map from recorded maps: files, row and page, from the command line."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
from pystac.validation import JsonSchemaSTACValidator
from rasterio import Affine
from shapely import Polygon
from sqlalchemy import Engine, text, update
from upath import UPath

from flows import annual, regions
from landcover.classes import NODATA
from landcover.files import file_name, sha256
from landcover.maps.regional import RegionalAreas
from landcover.period import CalendarYear, Period
from landcover.report.regions import BEGIN, END, section_of
from landcover.report.wording import NONE
from tasks.access.lock import only_run
from tasks.access.tables import raster_predictions, tables
from tests.rasters import ORIGIN, pixel_box
from tests.servers.environment import of_bucket
from tests.test_areas import mercator_rows
from tests.test_deforestation import (
    CLOUD,
    FIELD,
    HEIGHT,
    MAPS,
    PIXEL,
    felled,
    landscape,
    map_month,
    rows,
)

pytestmark = pytest.mark.usefixtures("prefect_api")

# Of the area of interest; what lies beyond is mapped, but is not of the annual map.
COLUMNS = 380

# A part that no month sees, and one that a single month does.
UNSEEN, ONCE = (slice(0, 20), slice(0, 50)), (slice(20, 40), slice(0, 50))


@pytest.fixture
def year(settings: Callable[..., None], small_pictures: None) -> None:
    """Four months of twelve: a clearing from the third on, and an odd month."""
    settings(AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, COLUMNS, HEIGHT).wkt}")
    for month, codes in ((1, landscape()), (2, landscape()), (5, felled(landscape()))):
        codes[UNSEEN], codes[ONCE] = CLOUD, CLOUD
        map_month(Period(2024, month), codes)
    last = felled(landscape())
    last[UNSEEN] = CLOUD
    last[200:220, 100:140] = FIELD
    map_month(Period(2024, 12), last)


def make(*more: str) -> int:
    return annual.main(["--year", "2024", *more])


def values_of(what: str):
    with rasterio.open(MAPS / file_name(what, CalendarYear(2024))) as dataset:
        return dataset.read(1)


@pytest.mark.usefixtures("year")
def test_a_year_of_maps_becomes_one(capfd):
    assert make("--rule", "trend") == 0
    said = capfd.readouterr().out
    assert "by the rule trend from the maps of 4 of 12 months" in said
    assert "Warning: There is no map of 2024-03, 2024-04," in said

    forest, clear = values_of("forest"), values_of("clear_months")
    expected = np.where(felled(landscape()) == FIELD, 0, 1).astype(np.uint8)
    expected[UNSEEN], expected[ONCE], expected[:, COLUMNS:] = NODATA, NODATA, NODATA
    assert (forest == expected).all()
    assert (clear[UNSEEN] == 0).all()
    assert (clear[ONCE] == 1).all()
    assert set(np.unique(clear)) == {0, 1, 4, NODATA}
    assert (clear[:, COLUMNS:] == NODATA).all()

    with rasterio.open(MAPS / "forest_2024.tif") as dataset:
        assert dataset.tags(1)["class_1"] == "Forest"
        assert dataset.colormap(1)[1][:3] == (27, 120, 55)
        assert dataset.nodata == NODATA

    ((name, told),) = rows("SELECT annual_filename, details FROM annual_maps")
    details = json.loads(told)
    assert name == "forest_2024.tif"
    assert details["rule"] == "trend"
    assert details["sha256"] == sha256(UPath(MAPS / name))
    assert details["maps"] == {
        f"2024-{month:02d}": sha256(UPath(MAPS / f"prediction_2024{month:02d}.tif"))
        for month in (1, 2, 5, 12)
    }
    for what, code in (("Forest", 1), ("Non-forest", 0)):
        assert details["hectares"][what] == pytest.approx((forest == code).sum() * PIXEL, rel=1e-3)
    assert details["hectares"]["No data"] == pytest.approx(40 * 50 * PIXEL, rel=1e-3)
    assert details["clear_months_ha"]["1"] == pytest.approx(20 * 50 * PIXEL, abs=0.01)

    item = pystac.Item.from_file(MAPS / "forest_2024.json")
    document = item.to_dict(include_self_link=False)
    JsonSchemaSTACValidator().validate_core(document, item.STAC_OBJECT_TYPE, "1.1.0")
    assert document["properties"]["start_datetime"] == "2024-01-01T00:00:00Z"
    assert document["properties"]["end_datetime"] == "2024-12-31T23:59:59Z"
    assert {"forest", "data", "clear_months", "report"} == set(item.assets)
    assert all((MAPS / asset.href).exists() for asset in item.assets.values())
    collection = pystac.Collection.from_file(MAPS / "collection.json")
    assert "./forest_2024.json" in [link.href for link in collection.get_item_links()]
    page = (MAPS / "forest_2024.html").read_text()
    for part in ("Forest at the end of 2024", "4 of 12", "by the rule trend", "no map"):
        assert part in page
    assert "The last map is that of" not in page
    assert not Path("data/work/forest_2024").exists()


@pytest.mark.usefixtures("year")
def test_a_year_made_again_replaces_its_row_and_files(settings):
    settings(REPORT_LANGUAGE="es")
    assert make() == 0
    once = rows("SELECT annual_id FROM annual_maps")
    assert make("--rule", "latest") == 0
    ((again, rule),) = rows("SELECT annual_id, json_extract(details, '$.rule') FROM annual_maps")
    assert [(again,)] == once
    assert rule == "latest"
    assert (values_of("forest")[ONCE] == 1).all()
    page = (MAPS / "forest_2024.html").read_text()
    assert "Bosque a fines de 2024" in page
    assert "Es lo que dice su último mes despejado." in page


@pytest.mark.usefixtures("year")
def test_what_a_year_cannot_be_made_of_is_told_in_a_sentence(settings, capfd, prefect_api):
    assert annual.main(["--year", "2020"]) == 1
    assert "No map of a month of 2020 is recorded in raster_predictions" in capfd.readouterr().err

    settings(FOREST_CLASSES="Mangrove")
    assert make() == 1
    assert "has none of the classes Mangrove (FOREST_CLASSES)" in capfd.readouterr().err
    settings(FOREST_CLASSES="Forest")

    path = MAPS / "prediction_202405.tif"
    kept = path.read_bytes()
    path.unlink()
    assert make() == 1
    assert "prediction_202405.tif is not there, and the annual map needs" in capfd.readouterr().err
    path.write_bytes(kept + b"\0")
    assert make() == 1
    assert "prediction_202405.tif is not the map that its row" in capfd.readouterr().err

    map_month(Period(2024, 5), landscape(), ORIGIN @ Affine.translation(1, 0))
    assert make() == 1
    assert "lies on another grid than that of 2024-01" in capfd.readouterr().err
    assert rows("SELECT * FROM annual_maps") == []

    with only_run(CalendarYear(2024), None):
        assert make() == 1
    assert "Another run of 2024 is at work" in capfd.readouterr().err


# --- regions --------------------------------------------------------------------------------------


def write_parishes() -> None:
    """Two regions with a slanted border, one of which reaches beyond the area of interest."""
    corners = [(100, 0), (300, HEIGHT)]
    west, east = [(-1, HEIGHT), (-1, 0)], [(COLUMNS + 90, HEIGHT + 40), (COLUMNS + 90, 0)]
    shapes = [Polygon([ORIGIN @ corner for corner in [*corners, *side]]) for side in (west, east)]
    frame = geopandas.GeoDataFrame({"name": ["Oeste", "Este"]}, geometry=shapes, crs=3857)
    frame.to_file("parishes.gpkg")


def by_hand(codes, inside) -> dict[str, float]:
    """Hectares of each class, from the rows of single pixels."""
    of_row = mercator_rows(ORIGIN, HEIGHT) / 10_000
    names = {"Non-forest": 0, "Forest": 1, "No data": NODATA}
    return {
        name: float(((codes == code) & inside).sum(axis=1) @ of_row) for name, code in names.items()
    }


@pytest.mark.usefixtures("year")
@pytest.mark.parametrize("when", ["with the map", "afterwards"])
def test_a_year_has_the_hectares_by_region_that_counting_by_hand_gives(settings, shown, when):
    write_parishes()
    if when == "afterwards":
        assert make() == 0
        assert not (MAPS / "forest_regions_2024.csv").exists()
    settings(REGIONS="parishes.gpkg", REPORT_LANGUAGE="es")
    command = regions.main if when == "afterwards" else annual.main
    assert command(["--year", "2024"]) == 0
    assert "forest_regions_2024.csv" in shown()

    table = pd.read_csv(MAPS / "forest_regions_2024.csv")
    assert list(table.columns) == ["region", "class", "hectares", "share"]
    row, column = np.mgrid[:HEIGHT, : values_of("forest").shape[1]] + 0.5
    west = column < 100 + row * 200 / HEIGHT
    inside = column < COLUMNS
    pixel = 0.1 * PIXEL
    for name, part in {"Oeste": west & inside, "Este": ~west & inside}.items():
        found = table[table["region"] == name].set_index("class")
        expected = by_hand(values_of("forest"), part)
        assert found["hectares"].to_dict() == pytest.approx(expected, abs=pixel)
        assert found["share"].sum() == pytest.approx(1, abs=1e-5)
    ((told,),) = rows("SELECT json_extract(details, '$.hectares') FROM annual_maps")
    of_map = table.groupby("class")["hectares"].sum()
    assert of_map.to_dict() == pytest.approx(json.loads(told), abs=0.01)

    query = (
        "SELECT region, class, year, month, hectares, json_extract(details, '$.map_sha256') "
        "FROM region_statistics WHERE raster = 'forest' ORDER BY statistic_id"
    )
    digest = sha256(UPath(MAPS / "forest_2024.tif"))
    assert rows(query) == [
        (one.region, one[2], 2024, None, pytest.approx(one.hectares, abs=1e-4), digest)
        for one in table.itertuples()
    ]
    page = (MAPS / "forest_2024.html").read_text()
    _, section = page.split(BEGIN)
    for part in ("Por región", '<th scope="row">Oeste</th>', "Sin datos, ha", "a fines del año"):
        assert part in section.split(END)[0]
    assert not list(Path("data/work").rglob("*.*"))


def test_a_region_that_no_month_has_seen_has_no_share_of_forest():
    lines = [("Seen", "Forest", 3.0), ("Seen", "Non-forest", 1.0), ("Seen", "No data", 0.0)]
    lines += [("Unseen", "Forest", 0.0), ("Unseen", "Non-forest", 0.0), ("Unseen", "No data", 5.0)]
    table = pd.DataFrame(lines, columns=["region", "class", "hectares"])
    areas = RegionalAreas(table, (), "", "parishes.gpkg")
    section = section_of(areas, "forest", "forest_regions_2024.csv", "en")
    cells = re.findall(r"<td>(.*?)</td>", section)
    assert cells == ["4.0", "3.0", "75.0%", "1.0", "0.0", "5.0", "0.0", NONE, "0.0", "5.0"]


def test_a_year_without_a_map_has_no_regions_to_measure(year, settings, shown):
    write_parishes()
    settings(REGIONS="parishes.gpkg")
    assert regions.main(["--year", "2023"]) == 1
    assert "There is no map of the year 2023, so regions cannot be measured on it" in shown()
    with only_run(CalendarYear(2024), None):
        assert regions.main(["--year", "2024"]) == 1
    assert "Another run of 2024 is at work" in shown()


# --- PostGIS and S3 -------------------------------------------------------------------------------


def test_an_annual_map_lies_in_the_bucket_and_in_postgis(
    in_database, bucket, engine: Engine, year, settings
):
    settings(
        PREDICTION_OUTPUT_DIR=f"{bucket.url}/maps",
        WORK_DIR=f"{bucket.url}/work",
        **of_bucket(bucket.server),
    )
    for path in MAPS.glob("*.tif"):
        bucket.filesystem.put_file(str(path), f"{bucket.name}/maps/{path.name}")
    with tables(None) as connection:
        place = raster_predictions.c.prediction_filename
        connection.execute(
            update(raster_predictions).values(prediction_path=f"{bucket.url}/maps/" + place)
        )
    before = set(bucket.filesystem.find(bucket.name))
    assert make() == 0
    made = {path.rpartition("/")[2] for path in {*bucket.filesystem.find(bucket.name)} - before}
    assert made == {
        *("forest_2024.tif", "forest_2024.tif.aux.xml", "forest_2024.json", "forest_2024.html"),
        *("clear_months_2024.tif", "collection.json"),
    }
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM annual_maps")).mappings().one()
    assert row["annual_path"] == f"{bucket.url}/maps/forest_2024.tif"
    assert row["details"]["rule"] == "hmm"
    assert set(row["details"]["parameters"]) == {"loss", "regain", "most_said", "least_said"}
    assert row["generated_at"].tzinfo is not None
