"""Hectares by region from the command line: tables, rows, pages and alerts."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from prefect.logging import disable_run_logger
from sqlalchemy import text

from flows import regions
from landcover.period import Period
from landcover.report.regions import BEGIN, END
from tasks.access.settings import AoiSettings, RegionSettings
from tasks.regions import fetch_regions
from tests.months import run_of
from tests.rasters import pixel_box
from tests.test_deforestation import (
    CLOUD,
    FIELD,
    FOREST,
    MAPS,
    PIXEL,
    bring_up_to,
    felled,
    landscape,
    map_month,
    rows,
)

pytestmark = pytest.mark.usefixtures("prefect_api", "small_pictures")

PAGE = f"<main>{BEGIN}{END}</main>"


def write_regions(path: str, split: int = 130) -> None:
    """Two regions that meet in the clearing, and one beyond the area of interest."""
    shapes = [
        pixel_box(-50, -50, split, 400),
        pixel_box(split, -50, 500, 400),
        pixel_box(900, 0, 950, 50),
    ]
    frame = geopandas.GeoDataFrame({"name": ["Oeste", "Este", "Lejos"]}, geometry=shapes, crs=3857)
    frame.to_crs(4326).to_file(path)


@pytest.fixture
def parishes(settings: Callable[..., None]) -> None:
    """Three months of a clearing, and regions."""
    settings(
        AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, 400, 300).wkt}", REGIONS="parishes.geojson"
    )
    write_regions("parishes.geojson")
    clouded = felled(landscape())
    clouded[:30] = CLOUD
    clouded[30:40] = 255
    for month, codes in enumerate((landscape(), landscape(), felled(landscape()), clouded), 1):
        map_month(Period(2025, month), codes)


@pytest.mark.usefixtures("parishes")
def test_a_month_that_is_there_gets_its_hectares_by_region(shown):
    (MAPS / "report_202504.html").write_text(PAGE)
    command = ["--year", "2025", "--month", "4"]
    assert regions.main(command) == 0
    said = shown()
    assert "2 regions are measured on the prediction." in said
    assert "which are left out: 1 of 3 (Lejos)" in said
    table = pd.read_csv(MAPS / "regions_202504.csv")
    assert list(table.columns) == ["region", "class", "hectares", "share"]
    hectares = table.pivot(index="region", columns="class", values="hectares")
    codes = felled(landscape())
    for name, part in {"Oeste": np.s_[40:, :130], "Este": np.s_[40:, 130:]}.items():
        wide = codes[part].shape[1]
        by_hand = {
            "Forest": (codes[part] == FOREST).sum(),
            "All forest": (codes[part] == FOREST).sum(),
            "Non-Forest": (codes[part] == FIELD).sum(),
            "Cloud": 30 * wide,
            "No imagery": 10 * wide,
            "Water": 0,
        }
        found = hectares.loc[name, list(by_hand)] / PIXEL
        assert found.to_dict() == pytest.approx(by_hand, rel=1e-3)
    query = (
        "SELECT region, year, month, hectares FROM region_statistics "
        "WHERE raster = 'prediction' AND class = 'All forest' ORDER BY region"
    )
    assert rows(query) == [
        (name, 2025, 4, pytest.approx(hectares.loc[name, "All forest"], abs=1e-3))
        for name in ("Este", "Oeste")
    ]
    page = (MAPS / "report_202504.html").read_text()
    assert '<th scope="row">Oeste</th>' in page
    # Regions changed: the statistics are others, and one that is there no more has no numbers.
    write_regions("parishes.geojson", split=450)
    assert regions.main(command) == 0
    assert [(name, area is None) for name, *_, area in rows(query)] == [
        ("Este", True),
        ("Oeste", False),
    ]
    assert page.count("<h2>By region") == 1


@pytest.mark.usefixtures("parishes")
def test_the_record_tells_loss_and_alerts_by_region(settings):
    settings(REPORT_LANGUAGE="es")
    assert bring_up_to(3) == 0
    table = pd.read_csv(MAPS / "deforestation_regions_202503.csv").set_index(["region", "class"])
    for name, pixels in {"Oeste": 50 * 30, "Este": 50 * 30}.items():
        assert table.loc[(name, "Warning"), "hectares"] / PIXEL == pytest.approx(pixels, rel=1e-3)
        assert table.loc[(name, "Warning"), "alerts"] == 1
        assert table.loc[(name, "Confirmed loss"), "alerts"] == 0
    assert rows("SELECT regions FROM deforestation_alerts") == [('["Este", "Oeste"]',)]
    alerts = geopandas.read_file(MAPS / "deforestation_202503.gpkg")
    assert alerts["regions"].tolist() == ['["Este", "Oeste"]']
    page = (MAPS / "deforestation_202503.html").read_text()
    assert "Por región" in page
    # The next month takes the alerts up, and a command measures what is there.
    assert bring_up_to(4) == 0
    assert regions.main(["--year", "2025", "--month", "4"]) == 0
    assert not [path for path in Path("data/work").rglob("*") if path.is_file()]


@pytest.mark.usefixtures("parishes")
def test_months_of_the_record_that_follow_one_made_anew_are_measured_too():
    assert bring_up_to(4) == 0
    table = MAPS / "deforestation_regions_202504.csv"
    table.unlink()
    map_month(Period(2025, 2), felled(landscape()))
    assert bring_up_to(3) == 0
    assert table.exists()
    assert not list(Path("data/work").iterdir())


@pytest.mark.usefixtures("parishes")
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"REGIONS": None}, "REGIONS is not set, so there is nothing to measure"),
        ({"REGIONS": "nowhere.gpkg"}, "REGIONS is a file that does not exist: nowhere.gpkg"),
        ({"REGIONS": "parishes"}, "REGIONS is parishes, a table, but there is no DB_HOST"),
    ],
)
def test_regions_that_are_not_there_are_told_at_the_start(settings, shown, values, told):
    settings(**values)
    assert regions.main(["--year", "2025", "--month", "4"]) == 2
    assert told in shown()


@pytest.mark.usefixtures("parishes")
def test_a_month_without_map_and_record_is_told(shown):
    assert regions.main(["--year", "2024", "--month", "4"]) == 1
    assert "There is neither a map of 2024-04 nor a record up to it" in shown()


def test_regions_lie_in_postgis_or_in_the_bucket(in_database, bucket, engine, settings):
    shapes = geopandas.GeoSeries([pixel_box(0, 0, 200, 300), pixel_box(200, 0, 400, 300)], crs=3857)
    frame = geopandas.GeoDataFrame({"parroquia": ["Ñandú", "Río"]}, geometry=shapes).to_crs(32617)
    frame.to_postgis("parishes", engine)
    frame.to_file("parishes.shp")
    for part in Path().glob("parishes.*"):
        bucket.filesystem.put_file(str(part), f"{bucket.name}/regions/{part.name}")
        part.unlink()
    settings(
        AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, 400, 300).wkt}",
        S3_ENDPOINT_URL=bucket.server.endpoint,
        S3_REGION=bucket.server.region,
        S3_ACCESS_KEY_ID=bucket.server.key,
        S3_SECRET_ACCESS_KEY=bucket.server.secret,
    )
    for place in ("public.parishes", f"{bucket.url}/regions/parishes.shp"):
        settings(REGIONS=place)
        run = run_of(2025, 6, AoiSettings, RegionSettings)
        with disable_run_logger():
            found = fetch_regions.fn(run, run.files.work)
        assert found.load(run)["name"].tolist() == ["Río", "Ñandú"]
        assert found.notices == ()
    map_month(Period(2025, 6), landscape())
    assert regions.main(["--year", "2025", "--month", "6"]) == 0
    with engine.connect() as connection:
        query = text(
            "SELECT region, jsonb_typeof(details) FROM region_statistics "
            "WHERE class = 'All forest' AND hectares > 0 ORDER BY 1"
        )
        assert connection.execute(query).all() == [("Río", "object"), ("Ñandú", "object")]
