"""Training over months: whose samples teach, what is held out, and what is said of it."""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from prefect import flow
from rasterio.windows import Window
from sqlalchemy import URL, Engine
from upath import UPath

from flows import backfill, monthly
from flows.command import read_arguments
from flows.teaching import for_month
from flows.train_model import train_model
from landcover.errors import LandcoverError
from landcover.grid import Grid
from landcover.imagery.unseen import SIDE, STEP, look, share_outside, unseen_notices
from landcover.model.folds import month_folds
from landcover.model.ground import ground_of
from landcover.model.metrics import CarriedOver, Estimate, Metrics, Overall, describe_metrics
from landcover.model.pooling import Pool, TrainOn, pool, pooling_notices
from landcover.model.reflectance import Reflectance
from landcover.model.sampling import Origin, SamplingSettings
from landcover.notices import Notice
from landcover.period import Period
from tasks.access.settings import AoiSettings, PolygonSettings
from tasks.polygons import months_with_polygons
from tasks.pooling import prepare_month
from tests.months import run_of
from tests.rasters import ORIGIN, pixel_box
from tests.rows import training
from tests.servers.environment import of_bucket
from tests.servers.swift import Bucket
from tests.test_backfill import SIZE, write_month, write_polygons

APRIL = Period(2025, 4)
BANDS = ("blue", "nir")
FEW = ["--trees", "5", "--folds", "2"]
MAY = Origin(BANDS, together=(), month="2025-05", polygons_sha256="ab", pixel=1.0)
JUNE = replace(MAY, month="2025-06", polygons_sha256="cd")


def samples(places: Mapping[str, int], seed: int = 0, scale: int = 1) -> pd.DataFrame:
    """Return nine samples of each polygon, given as id: place; its class is the first letter."""
    x, y = np.meshgrid(np.arange(3.0), np.arange(3.0))
    ids = np.repeat(list(places), 9)
    code = pd.Series(ids).str[0].map(ord).to_numpy()
    values = 1000 * code + np.random.default_rng(seed).integers(0, 500, (2, len(ids)))
    return pd.DataFrame(
        {
            "polygon_id": ids,
            "class_label": pd.Series(ids).str[0],
            "x": np.tile(x.ravel(), len(places)) + np.repeat([*places.values()], 9),
            "y": np.tile(y.ravel(), len(places)),
            "blue": scale * values[0],
            "nir": scale * values[1],
        }
    )


def pooled(scale: int = 1, **of_june: object) -> Pool:
    """Return May and June together: in both, ids 1 are strangers, and a2 and a3 one place."""
    may = samples({"a1": 0, "a2": 100, "b1": 200, "b2": 300})
    june = samples({"a1": 1000, "a3": 101, "b1": 1200, "b2": 1300}, 1, scale)
    files = [
        (UPath("may.parquet"), may, MAY),
        (UPath("june.parquet"), june, replace(JUNE, **of_june)),
    ]
    return pool(files, APRIL)


# --- which months ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "pool", "pool:0", "pool:-1", "model", "model:2025", "model:2025-13", "Own", "all:2"],
)
def test_what_is_not_a_choice_is_refused_with_those_that_there_are(text, capsys):
    with pytest.raises(SystemExit) as stopped:
        monthly.main(["--year", "2025", "--month", "6", f"--train-on={text}"])
    assert stopped.value.code == 2
    assert "write own, pool:2 (the months within 2), all, or model:2025-03" in (
        capsys.readouterr().err
    )


def test_months_within_reach_are_counted_over_the_year():
    near = TrainOn.read("pool:2")
    reached = [(year, month) for year in (2024, 2025) for month in range(1, 13)
               if near.reaches(Period(2025, 1), Period(year, month))]  # fmt: skip
    assert reached == [(2024, 11), (2024, 12), (2025, 1), (2025, 2), (2025, 3)]
    assert TrainOn.read("all").reaches(APRIL, Period(1999, 1))


def test_samples_are_given_once_each_or_all_at_once():
    given = ["--year=2025", "--month=6", "--input-data", "a", "--input_data", "b", "c"]
    assert read_arguments(train_model, given)["input_data"] == ("a", "b", "c")


# --- samples of several months --------------------------------------------------------------------


def test_polygons_of_unlike_months_with_one_id_stay_strangers_and_those_on_one_ground_go_together():
    found = pooled()
    assert set(found.rows["polygon_id"]) == {
        *(f"2025-05/{name}" for name in ("a1", "a2", "b1", "b2")),
        *(f"2025-06/{name}" for name in ("a1", "a3", "b1", "b2")),
    }
    assert found.origin.together == (("2025-05/a2", "2025-06/a3"),)
    # Months may well draw one place: that is no fault of the polygons.
    assert found.within == ()
    assert found.taught_by == {"2025-05": "ab", "2025-06": "cd"}


def test_samples_of_one_file_stay_as_they_are():
    rows, origin = samples({"a1": 0, "b1": 9}), replace(MAY, month=None)
    found = pool([(UPath("x"), rows, origin)], APRIL)
    assert found.rows is rows
    assert (found.origin, found.months) == (origin, None)
    assert found.taught_by == {"2025-04": "ab"}


@pytest.mark.parametrize(
    ("of_june", "said"),
    [
        ({"bands": ("blue", "red")}, "the bands of their mosaics differ (blue, nir and blue, red)"),
        ({"dtype": "uint8"}, "the data types of their mosaics differ (uint16 and uint8)"),
        ({"crs": "EPSG:4326"}, "the coordinate systems of their mosaics differ"),
        (
            {"reflectances": {"nir": Reflectance(0.01)}},
            "the scales of their mosaics differ (nir x 0.0001 + 0 and nir x 0.01 + 0)",
        ),
        ({"month": None}, "june.parquet does not say of which month its samples are"),
        ({"month": "2025-05"}, "may.parquet and june.parquet both hold samples of 2025-05"),
    ],
)
def test_months_that_cannot_teach_one_model_are_told(of_june, said, monkeypatch):
    may = replace(MAY, dtype="uint16", crs="EPSG:3857", reflectances={"nir": Reflectance(1e-4)})
    monkeypatch.setitem(globals(), "MAY", may)
    with pytest.raises(LandcoverError, match=re.escape(said)):
        pooled(**of_june)


def test_a_month_that_is_scaled_differently_is_told():
    assert [notice.key for notice in pooling_notices(pooled(), Period(2025, 6))] == []
    told = [(notice.key, dict(notice.values)) for notice in pooling_notices(pooled(10), APRIL)]
    assert told == [
        ("taught_by_others", {"months": "2025-05, 2025-06"}),
        ("pooled_unlike", {"month": "2025-05"}),
        ("pooled_unlike", {"month": "2025-06"}),
    ]


# --- what is held out -----------------------------------------------------------------------------


def test_no_ground_of_a_held_out_month_trains_the_forest_that_predicts_it():
    found = pooled()
    grounds = ground_of(found.rows["polygon_id"], found.origin.together or ())
    codes = found.rows["class_label"].map(ord)
    folds = month_folds(found.months, grounds, codes, seed=1)
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(len(found.rows)))
    for train, test in folds:
        (month,) = set(found.months.iloc[test])
        assert month not in set(found.months.iloc[train])
        assert not set(grounds.iloc[test]) & set(grounds.iloc[train])


def test_where_all_ground_recurs_each_half_is_predicted_by_what_others_show_of_the_other():
    months = pd.Series(np.repeat(["2025-05", "2025-06"], 8))
    grounds = pd.Series([*"aabbccdd"] * 2)
    codes = pd.Series([0, 0, 0, 0, 1, 1, 1, 1] * 2)
    folds = month_folds(months, grounds, codes, seed=3)
    assert len(folds) == 4
    assert all(not set(grounds[train]) & set(grounds[test]) for train, test in folds)


def test_at_most_twelve_months_are_held_out_over_the_whole_time():
    months = pd.Series(
        [f"{year}-{month:02d}" for year in range(2020, 2025) for month in range(1, 13)]
    )
    folds = month_folds(months, months, pd.Series(0, months.index), seed=0)
    held_out = [months[test[0]] for _, test in folds]
    assert len(folds) == 12
    assert (held_out[0], held_out[-1]) == ("2020-01", "2024-12")


def test_what_months_held_out_say_goes_to_json_and_back():
    line = Overall(Estimate(0.9), Estimate(0.8), 1)
    carried = CarriedOver(Estimate(0.9, 0.01), Estimate(0.8, 0.02), 2, {"2025-05": line})
    metrics = replace(Metrics.from_json({"accuracy": 0.95}), carried_over=carried)
    assert Metrics.from_json(json.loads(json.dumps(metrics.to_json()))) == metrics
    assert "  2025-05: accuracy 0.900, macro F1 0.800" in describe_metrics(metrics)


# --- places that the model has not seen the like of -----------------------------------------------


def test_pixels_outside_the_range_are_counted_by_place():
    window = Window(SIDE, 2 * SIDE, SIDE + 100, 50)
    values = np.full((2, 50, SIDE + 100), 500, "uint16")
    values[1, :, SIDE:] = 2000
    counted = np.ones(values.shape[1:], bool)
    counted[:, : SIDE // 2] = False
    found = look(window, values, counted, np.array([[100.0, 100], [900, 900]]))
    rows, left, right = (len(range(0, size, STEP)) for size in (50, SIDE // 2, 100))
    assert found == {(2, 1): (rows * left, 0), (2, 2): (rows * right, rows * right)}
    assert share_outside(found) == pytest.approx(right / (left + right))
    (notice,) = unseen_notices(found, Grid("EPSG:3857", ORIGIN, 3 * SIDE, 3 * SIDE))
    assert notice.values["where"] == "-79.28, 0.28"
    assert unseen_notices({(0, 0): (1000, 250)}, Grid("EPSG:3857", ORIGIN, 9, 9)) == ()
    assert share_outside({}) == 0


# --- months on disk -------------------------------------------------------------------------------


@pytest.fixture
def months(tmp_path: Path, settings: Callable[..., None], small_pictures: None) -> Path:
    """Imagery of March to May, and polygons of February, March and May."""
    for month in (3, 4, 5):
        write_month(tmp_path / "imagery", month, seed=month)
    write_polygons(tmp_path / "polygons.gpkg", {2: "Palm", 3: "Palm", 5: "Banana"})
    settings(
        PLANET_MOSAIC_DIR=tmp_path / "imagery",
        MOSAIC_PATTERN="{year}-{month:02d}.tif",
        AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, SIZE, SIZE).wkt}",
        TRAINING_POLYGON_TABLE=tmp_path / "polygons.gpkg",
        TRAINING_POLYGON_CLASS_COL="class",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    return tmp_path


def april(train_on: str) -> int:
    return monthly.main(["--year", "2025", "--month", "4", *FEW, "--train_on", train_on])


def queried(statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect("data/chocoforest.db")) as database:
        return database.execute(statement).fetchall()


@pytest.mark.usefixtures("prefect_api")
def test_a_month_without_polygons_is_mapped_by_pooling_and_says_so(months: Path, shown):
    assert april("own") == 1
    assert "has no training polygons of 2025-04" in (said := shown())
    assert "or let other months teach (flows/monthly.py --train_on pool:2, all or model:" in said
    assert april("model:2025-03") == 1
    assert "No model of 2025-03 is recorded in ml_models" in shown()

    assert april("pool:2") == 0
    said = shown()
    assert "No polygon of this month taught the model that made this map" in said
    assert "near enough, 2025-02 does not teach the model (Cannot find the mosaic" in said
    assert "months held out whole (2; ± standard error over months): accuracy" in said
    ((parameters, metrics, details),) = queried(
        "SELECT parameters, metrics, details FROM raster_predictions "
        "JOIN ml_models USING (model_id)"
    )
    model, found = json.loads(parameters), json.loads(details)
    assert list(model["taught_by"]) == list(found["taught_by"]) == ["2025-03", "2025-05"]
    assert model["train_on"] == found["train_on"] == "pool:2"
    assert model["classes"] == {"Forest": 0, "Banana": 7, "Palm": 8}
    assert list(json.loads(metrics)["carried_over"]["months"]) == ["2025-03", "2025-05"]
    assert any("No polygon of this month" in warning for warning in found["warnings"])
    page = Path("data/predictions/report_202504.html").read_text()
    assert "learned from those of 2025-03, 2025-05" in page
    assert "In a month that the model has not seen" in page
    assert "Where the imagery is unlike what the model learned from" in page

    # It is made again where their polygons are others now.
    row = ["--from=2025-04", "--to=2025-04", "--dry_run", "--train_on=pool:2"]
    assert backfill.main(row) == 0
    assert "up to date" in shown()
    write_polygons(months / "polygons.gpkg", {2: "Palm", 3: "Palm", 5: "Papaya"})
    assert backfill.main(row) == 0
    assert "the polygons of the months that taught its model have changed" in shown()


def test_the_model_of_another_month_says_whose_polygons_did_not_teach_it(settings):
    settings()
    of_others = Notice("taught_by_others", {"months": "2025-03, 2025-05"})
    kept = Notice("not_validated_at_all")
    taught = {"2025-03": "ab", "2025-05": "cd"}
    model = replace(training(2025, 4), taught_by=taught, notices=(of_others, kept))
    may, june = (for_month(model, run_of(2025, month)) for month in (5, 6))
    assert (may.notices, may.polygons_sha256) == ((kept,), "cd")
    assert (june.notices, june.polygons_sha256) == ((of_others, kept), None)


def test_no_month_in_reach_and_no_column_of_months_are_told(
    months: Path, settings, prefect_api, shown
):
    write_polygons(months / "polygons.gpkg", {1: "Palm"})
    assert april("pool:2") == 1
    assert (
        "has no training polygons of any month within 2 months of 2025-04; it has polygons of "
        in (said := shown())
    )
    assert "2025-01: draw some" in said
    assert april("all") == 1
    assert "None of the months that may teach the model of 2025-04 can be sampled" in shown()
    settings(TRAINING_POLYGON_MONTH_COL=None)
    assert april("all") == 2
    assert "TRAINING_POLYGON_MONTH_COL is not set, so the polygons of one month" in shown()


def test_on_postgis_and_s3_a_month_is_prepared_once(
    months: Path, settings, in_database: URL, engine: Engine, bucket: Bucket
):
    drawn = geopandas.read_file(months / "polygons.gpkg").rename_geometry("geom")
    with engine.begin() as connection:
        drawn.to_postgis("polygons", connection, index=False)
    settings(
        TRAINING_POLYGON_TABLE="polygons",
        TRAINING_POLYGON_GEOM_COL="geom",
        PREPARED_DATA_DIR=f"{bucket.url}/prepared",
        **of_bucket(bucket.server),
    )
    run = run_of(2025, 4, AoiSettings, PolygonSettings)
    assert months_with_polygons(run) == [Period(2025, month) for month in (2, 3, 5)]

    @flow
    def prepare() -> UPath:
        return prepare_month(run, Period(2025, 5), SamplingSettings())

    def version(path: UPath) -> object:
        path.fs.invalidate_cache()
        return path.fs.modified(path.path)

    path = prepare()
    assert str(path) == f"{bucket.url}/prepared/prepared_data_202505.parquet"
    first = version(path)
    assert (prepare(), version(path)) == (path, first)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE polygons SET class = 'Papaya' WHERE class = 'Banana'")
    assert (prepare(), version(path) > first) == (path, True)
