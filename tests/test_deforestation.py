"""The record of deforestation from recorded maps: files, rows and page, from the command line."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
from geopandas.testing import assert_geodataframe_equal
from numpy.typing import NDArray
from pystac.validation import JsonSchemaSTACValidator
from sqlalchemy import Engine, create_engine, delete, text, update
from upath import UPath

from flows import deforestation
from landcover.classes import FIXED_CODES, legend_of
from landcover.files import file_name, sha256
from landcover.period import Period
from tasks.access.lock import RECORD, only_run
from tasks.access.tables import (
    check_tables,
    deforestation_alerts,
    deforestation_records,
    raster_predictions,
    replace_row,
    tables,
)
from tests.rasters import ORIGIN, pixel_box, write_raster

pytestmark = pytest.mark.usefixtures("prefect_api")

HEIGHT, WIDTH = 300, 400
FOREST, FIELD, CLOUD = (FIXED_CODES[name] for name in ("Forest", "Non-Forest", "Cloud"))
NAMES = {code: name for name, code in FIXED_CODES.items()}
MAPS = Path("data/predictions")

# Hectares of a pixel, on the ellipsoid.
PIXEL = 4.777314267823516**2 * (1 - 0.0067) / 10_000

# What is recorded of months and alerts, but for when.
KEPT = """
    SELECT month, alerts, json_remove(json_extract(details, '$.files'), '$.patches')
    FROM deforestation_records WHERE month > 2 UNION SELECT * FROM
    (SELECT state || year || month, alert_id, geometry FROM deforestation_alerts)
"""

Codes = NDArray[np.uint8]


def landscape() -> Codes:
    """Forest in the west, a field in the east."""
    codes = np.full((HEIGHT, WIDTH), FOREST, np.uint8)
    codes[:, 300:] = FIELD
    return codes


def felled(codes: Codes) -> Codes:
    changed = codes.copy()
    changed[100:150, 100:160] = FIELD
    return changed


def six_months() -> dict[Period, Codes]:
    """A clearing from the third month on, a cloud in the fourth, an odd month in the fifth."""
    months = [landscape(), landscape(), *[felled(landscape())] * 4]
    months[3] = months[3].copy()
    months[3][90:120, 80:200] = CLOUD
    months[4] = months[4].copy()
    months[4][200:240, 20:60] = FIELD
    return {Period(2025, month): codes for month, codes in enumerate(months, 1)}


def map_month(period: Period, codes: Codes, transform: rasterio.Affine = ORIGIN) -> Path:
    """Write a month's map and its confidence, and record it as a run does."""
    MAPS.mkdir(parents=True, exist_ok=True)
    path = write_raster(
        MAPS / file_name("map", period), codes[np.newaxis], transform=transform, nodata=255
    )
    with rasterio.open(path, "r+") as dataset:
        names = legend_of(NAMES).names
        dataset.update_tags(1, **{f"class_{code}": name for code, name in names.items()})
    sure = np.full_like(codes, 95)[np.newaxis]
    write_raster(MAPS / file_name("confidence", period), sure, transform=transform, nodata=255)
    check_tables(None)
    row = {
        "prediction_filename": path.name,
        "prediction_path": str(path.absolute()),
        "year": period.year,
        "month": period.month,
        "details": {"sha256": sha256(UPath(path)), "warnings": []},
    }
    with tables(None) as connection:
        replace_row(connection, raster_predictions, row)
    return path


@pytest.fixture
def months(settings: Callable[..., None], small_pictures: None) -> dict[Period, Codes]:
    """Six months that are mapped, and of which small pictures are drawn."""
    settings(AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT).wkt}")
    made = six_months()
    for period, codes in made.items():
        map_month(period, codes)
    return made


def bring_up_to(month: int, *more: str) -> int:
    return deforestation.main(["--year", "2025", "--month", str(month), *more])


def rows(statement: str) -> list[tuple[object, ...]]:
    engine = create_engine("sqlite:///data/chocoforest.db")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return found


def pixels_of(month: int) -> dict[str, Codes]:
    """The values of the rasters of a record."""
    found = {}
    for what in ("deforestation", "alerts", "last_seen", "state"):
        with rasterio.open(MAPS / file_name(what, Period(2025, month))) as dataset:
            found[what] = dataset.read()
    return found


def alerts_of(month: int) -> geopandas.GeoDataFrame:
    return geopandas.read_file(MAPS / file_name("patches", Period(2025, month)))


# --- what is found --------------------------------------------------------------------------------


@pytest.mark.usefixtures("months")
def test_a_clearing_is_found_confirmed_and_recorded(capfd):
    assert bring_up_to(6) == 0
    said = capfd.readouterr().out
    assert "  1 are confirmed: 6.8 ha" in said
    assert "  1 are warnings: 3.6 ha" in said

    found = alerts_of(6).set_index("state")
    clearing, odd = found.loc["confirmed"], found.loc["warning"]
    assert clearing.area_ha == pytest.approx(50 * 60 * PIXEL, rel=0.001)
    assert clearing.first_detected == pd.Timestamp("2025-03-01")
    assert (clearing.date_start_t0, clearing.date_end_t0) == (
        pd.Timestamp("2025-02-01"),
        pd.Timestamp("2025-02-28"),
    )
    assert clearing.confirmed_on == pd.Timestamp("2025-05-01")
    assert clearing.verification == "unverified"
    assert odd.first_detected == pd.Timestamp("2025-05-01")

    # A row a month, also for those in which nothing fell.
    assert rows("SELECT month, alerts FROM deforestation_records ORDER BY month") == [
        *((1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)),
    ]
    (details,) = (
        json.loads(text)
        for (text,) in rows("SELECT details FROM deforestation_records WHERE month = 6")
    )
    assert details["hectares"]["Confirmed loss"] == pytest.approx(50 * 60 * PIXEL, rel=0.001)
    assert details["sha256"] == sha256(UPath(MAPS / "deforestation_202506.tif"))
    assert list(details["maps"]) == [f"2025-{month:02d}" for month in range(1, 7)]
    assert details["before"] == "deforestation_202505.tif"
    assert rows(
        "SELECT state, first_detected, verification FROM deforestation_alerts ORDER BY state"
    ) == [("confirmed", "2025-03-01", "unverified"), ("warning", "2025-05-01", "unverified")]


@pytest.mark.usefixtures("months")
def test_what_lies_beside_the_maps_is_what_other_tools_expect():
    assert bring_up_to(3) == 0
    item = pystac.Item.from_file(MAPS / "deforestation_202503.json")
    document = item.to_dict(include_self_link=False)
    JsonSchemaSTACValidator().validate_core(document, item.STAC_OBJECT_TYPE, "1.1.0")
    assert {"deforestation", "data", "alerts", "last_seen", "patches", "report"} == set(item.assets)
    assert item.assets["data"].href == item.assets["deforestation"].href
    assert all((MAPS / asset.href).exists() for asset in item.assets.values())
    collection = pystac.Collection.from_file(MAPS / "collection.json")
    assert [link.href for link in collection.get_item_links()] == [
        f"./deforestation_20250{month}.json" for month in (1, 2, 3)
    ]
    assert "Confirmed loss" in (MAPS / "deforestation_202503.tif.aux.xml").read_text()
    new = json.loads((MAPS / "alerts_202503.geojson").read_text())["features"]
    assert [feature["properties"]["name"] for feature in new] == ["6.8 ha, 2025-03"]
    assert json.loads((MAPS / "alerts_202502.geojson").read_text())["features"] == []
    assert not Path("data/work/deforestation_202503").exists()


def test_the_page_shows_alerts_before_and_after_and_says_what_was_not_seen(
    months: Mapping[Period, Codes], settings, tmp_path: Path
):
    folder = tmp_path / "imagery"
    for month in (2, 3):
        values = np.full((4, HEIGHT, WIDTH), 400 + 100 * month, np.uint16)
        write_raster(folder / f"2025-{month:02d}.tif", values)
    settings(PLANET_MOSAIC_DIR=folder, MOSAIC_PATTERN="{year}-{month:02d}.tif")
    settings(REPORT_LANGUAGE="es")
    with tables(None) as connection:
        connection.execute(
            text("UPDATE raster_predictions SET source_mosaic = :folder || month || '.tif'"),
            {"folder": f"{folder}/2025-0"},
        )
    assert bring_up_to(4) == 0
    page = (MAPS / "deforestation_202504.html").read_text()
    assert "Deforestación hasta abril de 2025" in page
    assert page.count("data:image/jpeg") == 2
    for told in ("Antes: febrero de 2025", "Después: marzo de 2025", "79,29769°, 0,30006°"):
        assert told in page
    unseen = 30 * 120 * PIXEL
    share = unseen / (HEIGHT * WIDTH * PIXEL)
    assert re.search(rf"hace un mes</th><td>{unseen:.1f}</td>".replace(".", ","), page)
    assert f"{100 * share:.1f}".replace(".", ",") in page


# --- again ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("months")
def test_months_one_by_one_give_what_all_at_once_do():
    assert bring_up_to(4) == 0
    at_once = [pixels_of(month) for month in (3, 4)]
    alerts, kept = alerts_of(4), rows(KEPT)
    for path in MAPS.glob("deforestation_*"):
        path.unlink()
    with tables(None) as connection:
        for table in (deforestation_records, deforestation_alerts):
            connection.execute(delete(table))
    for month in (3, 4):
        assert bring_up_to(month) == 0
    for before, after in zip(at_once, [pixels_of(month) for month in (3, 4)], strict=True):
        for name, values in before.items():
            np.testing.assert_array_equal(values, after[name])
    assert_geodataframe_equal(alerts_of(4), alerts)
    assert rows(KEPT) == kept


@pytest.mark.usefixtures("months")
def test_what_is_up_to_date_is_not_made_again(capfd):
    assert bring_up_to(3) == 0
    before = {path: path.stat().st_mtime_ns for path in MAPS.iterdir()}
    assert bring_up_to(3) == 0
    assert "The record up to 2025-03 is up to date: 1 alerts." in capfd.readouterr().out
    assert bring_up_to(2) == 0
    assert {path: path.stat().st_mtime_ns for path in MAPS.iterdir()} == before


def test_a_month_that_was_mapped_again_makes_anew_what_followed(
    months: Mapping[Period, Codes], shown: Callable[[], str]
):
    assert bring_up_to(4) == 0
    states = "SELECT alert_id, state FROM deforestation_alerts"
    ((first, _),) = rows(states)
    map_month(Period(2025, 3), landscape())
    # What reached further is made as far as it reached.
    assert bring_up_to(3) == 0
    said = shown()
    assert "up to 2025-03 is made anew, because 2025-03 was mapped again" in said
    assert "is brought up to 2025-04: 2025-03, 2025-04" in said
    found = dict(rows(states))
    assert found.pop(first) == "withdrawn"
    # April shows it too, and now it was the first to do so.
    assert list(found.values()) == ["warning"]
    map_month(Period(2025, 3), months[Period(2025, 3)])
    assert bring_up_to(4) == 0
    assert dict(rows(states)) == {first: "warning", **dict.fromkeys(found, "withdrawn")}


@pytest.mark.usefixtures("months")
def test_what_people_wrote_stays_and_a_rejected_alert_counts_in_no_total(capfd):
    assert bring_up_to(5) == 0
    with tables(None) as connection:
        connection.execute(
            text(
                "UPDATE deforestation_alerts SET verification = 'rejected', verified_by = 'Ana', "
                "comment = 'a landslide' WHERE first_detected = '2025-03-01'"
            )
        )
    assert bring_up_to(5) == 0
    assert "  0 are confirmed: 0.0 ha" in (said := capfd.readouterr().out)
    assert "people have rejected 1" in said
    assert rows("SELECT alerts FROM deforestation_records WHERE month = 5") == [(1,)]
    assert "rejected 1 alerts" in (MAPS / "deforestation_202505.html").read_text()
    kept = "SELECT verification, verified_by, comment FROM deforestation_alerts ORDER BY 1"
    assert rows(kept) == [("rejected", "Ana", "a landslide"), ("unverified", None, None)]
    assert bring_up_to(6) == 0
    assert rows(kept) == [("rejected", "Ana", "a landslide"), ("unverified", None, None)]


def test_a_month_without_a_map_is_named_and_counts_as_not_seen(
    months: Mapping[Period, Codes], shown: Callable[[], str]
):
    with tables(None) as connection:
        connection.execute(text("DELETE FROM raster_predictions WHERE month = 2"))
    assert bring_up_to(3, "--since=2025-01") == 0
    assert "There is no map of 2025-02" in shown()
    assert "There is no map of 2025-02" in (MAPS / "deforestation_202503.html").read_text()
    assert rows("SELECT month FROM deforestation_records ORDER BY 1") == [(1,), (3,)]


@pytest.mark.usefixtures("months")
def test_a_record_whose_file_was_damaged_is_made_anew(shown: Callable[[], str]):
    assert bring_up_to(2) == 0
    with (MAPS / "state_202502.tif").open("ab") as file:
        file.write(b"more")
    assert bring_up_to(3) == 0
    assert "state_202502.tif is not the file that was recorded" in shown()
    assert rows("SELECT count(*) FROM deforestation_records") == [(3,)]


@pytest.mark.usefixtures("months")
def test_what_a_killed_run_has_left_is_removed():
    left = Path("data/work/deforestation_202501/unfinished-abc")
    left.mkdir(parents=True)
    (left / "piece.tif").write_bytes(b"half")
    hidden = MAPS / ".deforestation_202501.tif.unfinished"
    hidden.write_bytes(b"half")
    assert bring_up_to(1) == 0
    assert not left.exists()
    assert not hidden.exists()


# --- bad input ------------------------------------------------------------------------------------


def other_grid(period: Period, codes: Codes) -> None:
    map_month(period, codes, ORIGIN @ rasterio.Affine.translation(1, 0))


def without_forest(period: Period, codes: Codes) -> None:
    path = map_month(period, codes)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, class_0="Bosque")
    redo_row(period, path)


def without_names(period: Period, codes: Codes) -> None:
    path = write_raster(MAPS / file_name("map", period), codes[np.newaxis], nodata=255)
    redo_row(period, path)


def redo_row(period: Period, path: Path) -> None:
    with tables(None) as connection:
        connection.execute(
            update(raster_predictions)
            .where(raster_predictions.c.prediction_filename == path.name)
            .values(details={"sha256": sha256(UPath(path))})
        )


def make_other_table(*_: object) -> None:
    with tables(None) as connection:
        connection.execute(text("CREATE TABLE deforestation_alerts (alert_id text PRIMARY KEY)"))


def write_baseline(*_: object) -> None:
    write_raster(Path("baseline.tif"), np.ones((1, 20, 20), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "options", "changed", "status", "told"),
    [
        (None, ["--month=7"], {}, 1, "No map of 2025-07 is recorded .*, the last .* of 2025-06"),
        (None, ["--month=2", "--since=2025-03"], {}, 2, "--since 2025-03 is after 2025-02"),
        (other_grid, ["--month=2"], {}, 1, "lies on another grid than the record up to 2025-01"),
        (without_forest, ["--month=2"], {}, 1, r"202502.tif has none of the classes Forest \(FOR"),
        (without_names, ["--month=2"], {}, 1, "it has no names of classes"),
        (
            lambda period, _: (MAPS / file_name("map", period)).unlink(),
            *(["--month=2"], {}, 1, "prediction_202502.tif is not there, and the record of defor"),
        ),
        (
            lambda period, _: (MAPS / file_name("confidence", period)).unlink(),
            *(["--month=2"], {}, 1, r"needs cannot be read \(.*confidence_202502.tif"),
        ),
        (
            lambda period, _: (MAPS / file_name("map", period)).write_bytes(b"another"),
            *(["--month=2"], {}, 1, "is not the map that its row in raster_predictions describes"),
        ),
        (None, ["--month=1"], {"FOREST_CLASSES": "Selva"}, 1, "none of the classes Selva"),
        (None, ["--month=1"], {"FOREST_CLASSES": ","}, 2, "FOREST_CLASSES is wrong"),
        (
            write_baseline,
            *(["--month=1"], {"FOREST_BASELINE": "baseline.tif"}, 1, "does not say whether there"),
        ),
        (
            None,
            *(["--month=1"], {"FOREST_BASELINE": "none.tif"}, 1, "none.tif is not there, and the"),
        ),
        (
            make_other_table,
            ["--month=1"],
            {},
            2,
            "The table deforestation_alerts does not take",
        ),
        (None, ["--month=1", "--threshold=0.9"], {}, 2, "a single month could confirm a loss"),
    ],
)
def test_bad_input_is_told_in_one_sentence(
    months, settings, shown, spoil, options, changed, status, told
):
    if spoil:
        spoil(Period(2025, 2), months[Period(2025, 2)])
    settings(**changed)
    try:
        found = deforestation.main(["--year=2025", *options])
    except SystemExit as stopped:
        found = stopped.code
    said = shown()
    assert found == status
    assert re.search(told, said.replace("\n", " "))
    assert "Traceback" not in said
    assert not list(MAPS.glob("deforestation_202502*"))


def test_without_any_map_that_is_said(settings, shown):
    settings(AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT).wkt}")
    assert bring_up_to(6) == 1
    assert (
        "No map of 2025-06 is recorded in raster_predictions, nor of a month before it" in shown()
    )


@pytest.mark.usefixtures("months")
def test_a_second_run_of_the_record_ends_with_a_sentence(shown):
    check_tables(None)
    with only_run(RECORD, None):
        assert bring_up_to(2) == 1
    assert "Another run of the record of deforestation is at work" in shown()
    with only_run(Period(2025, 2), None):
        assert bring_up_to(1) == 0


# --- PostGIS and S3 -------------------------------------------------------------------------------


def test_the_record_lies_in_the_bucket_and_in_postgis(
    in_database, bucket, engine: Engine, settings, months: Mapping[Period, Codes]
):
    place = f"{bucket.url}/maps"
    settings(
        PREDICTION_OUTPUT_DIR=place,
        WORK_DIR=f"{bucket.url}/work",
        S3_ENDPOINT_URL=bucket.server.endpoint,
        S3_REGION=bucket.server.region,
        S3_ACCESS_KEY_ID=bucket.server.key,
        S3_SECRET_ACCESS_KEY=bucket.server.secret,
    )
    west, rest = pixel_box(0, 0, 200, HEIGHT), pixel_box(200, 0, WIDTH, HEIGHT)
    parishes = geopandas.GeoDataFrame({"name": ["West", "East"]}, geometry=[west, rest], crs=3857)
    parishes.to_postgis("parishes", engine)
    settings(REGIONS="parishes")
    for period, codes in list(months.items())[:3]:
        map_month(period, codes)
    for path in MAPS.iterdir():
        bucket.filesystem.put_file(str(path), f"{bucket.name}/maps/{path.name}")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE raster_predictions SET prediction_path = :place || prediction_filename"),
            {"place": f"{place}/"},
        )
    assert bring_up_to(3) == 0
    made = {path.rpartition("/")[2] for path in bucket.filesystem.find(f"{bucket.name}/maps")}
    assert {
        "deforestation_202503.tif",
        "deforestation_202503.html",
        "deforestation_202503.gpkg",
        "deforestation_regions_202503.csv",
        "alerts_202503.kml",
    } <= made
    assert not [name for name in made if name.startswith(".")]
    assert not bucket.filesystem.find(f"{bucket.name}/work")
    with engine.connect() as connection:
        (alert,) = connection.execute(
            text(
                "SELECT ST_GeometryType(geometry), ST_SRID(geometry), state, verification, "
                "abs(ST_Area(geometry::geography) / 10000 - area_ha) FROM deforestation_alerts"
            )
        ).all()
        assert alert[:4] == ("ST_MultiPolygon", 4326, "warning", "unverified")
        assert alert[4] < 0.01
        regions = connection.scalar(text("SELECT regions FROM deforestation_alerts"))
        assert regions == ["West"]
        assert connection.scalar(text("SELECT count(*) FROM deforestation_records")) == 3
        kinds = dict(
            connection.execute(
                text(
                    "SELECT column_name, udt_name FROM information_schema.columns "
                    "WHERE table_name = 'deforestation_alerts' ORDER BY ordinal_position"
                )
            ).all()
        )
    assert list(kinds) == [column.name for column in deforestation_alerts.columns]
    assert {kinds[name] for name in ("first_detected", "confirmed_on", "last_seen")} == {"date"}
    assert (kinds["alert_id"], kinds["regions"]) == ("uuid", "jsonb")
