"""The whole month on real imagery, from the command line to files and rows."""

import html
import json
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import joblib
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rio_cogeo.cogeo import cog_validate
from sqlalchemy import URL, Engine, text

from demo.compare import agreement, read_codes
from demo.world import World
from flows import monthly
from landcover.classes import NODATA
from landcover.files import sha256
from landcover.maps.lookup import open_predictor
from landcover.period import Period
from tests.conftest import REAL

pytestmark = pytest.mark.usefixtures("prefect_api", "small_pictures")

MAPS, MODELS, SAMPLES = (Path("data") / name for name in ("predictions", "models", "prepared"))


def run_month(year: int, month: int, *options: str) -> Path:
    """Run a month of few trees and return its map, which is a valid COG."""
    assert (
        monthly.main(["--year", f"{year}", "--month", f"{month}", "--trees", "50", *options]) == 0
    )
    path = MAPS / f"prediction_{year}{month:02d}.tif"
    assert cog_validate(path, strict=True) == (True, [], [])
    return path


def rows(engine: Engine, table: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM {table} ORDER BY 1"))
        return [dict(row) for row in found.mappings()]


@pytest.fixture
def chiapas_in_postgis(
    chiapas: Path, engine: Engine, in_database: URL, settings: Callable[..., None]
) -> Path:
    """The polygons of Chiapas in PostGIS, in longitude and latitude and a schema of their own."""
    polygons = geopandas.read_file(chiapas / "training_data.shp")[["class", "geometry"]]
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA field"))
        polygons.to_crs(4326).rename_geometry("outline").to_postgis(
            "Polygons of 1999", connection, schema="field", index=True, index_label="number"
        )
    settings(
        TRAINING_POLYGON_TABLE="field.Polygons of 1999",
        TRAINING_POLYGON_GEOM_COL="outline",
        TRAINING_POLYGON_ID_COL="number",
    )
    return chiapas


@pytest.mark.parametrize(("year", "month"), [(1999, 11), (2002, 4)])
def test_a_month_of_chiapas_from_postgis_ends_in_a_map_of_every_valid_pixel_and_in_rows(
    chiapas_in_postgis: Path, engine: Engine, capfd, year, month
):
    path = run_month(year, month)

    printed = capfd.readouterr().out
    assert f"map: {path}" in printed
    assert "accuracy 0." in printed
    assert "herbaceous" in printed
    assert " ha " in printed

    scene = next(chiapas_in_postgis.glob(f"LE7022049{year}*"))
    with rasterio.open(path) as prediction, rasterio.open(scene) as image:
        assert prediction.shape == image.shape
        assert prediction.transform == image.transform
        assert prediction.crs == image.crs
        assert prediction.tags(1)["class_0"] == "Forest"
        codes = prediction.read(1)
        holds_data = (image.read_masks([1, 2, 3, 4]) > 0).all(axis=0)
    assert np.array_equal(codes != NODATA, holds_data)

    (model,) = rows(engine, "ml_models")
    assert model["model_filename"] == f"rf_model_{year}{month:02d}.joblib"
    assert (model["year"], model["month"]) == (year, month)
    assert model["training_data_source"].startswith(f"prepared_data_{year}{month:02d}.parquet")
    assert "field.Polygons of 1999" in model["training_data_source"]
    classes = {"Forest", "Water", "barren", "herbaceous", "urban"}
    assert set(model["metrics"]["classes"]) == classes
    assert set(model["metrics"]["confusion_matrix"]) == classes
    parameters = model["parameters"]
    assert parameters["forest"]["trees"] == 50
    assert parameters["settings"]["mosaic_bands"]["nir"] == 4
    assert parameters["sha256"] == sha256(MODELS / model["model_filename"])
    assert parameters["flow_run_id"]
    assert parameters["command"] == shlex.join(sys.argv)
    assert parameters["code_version"].startswith("0.1.0+")

    (prediction,) = rows(engine, "raster_predictions")
    assert prediction["prediction_filename"] == path.name
    assert prediction["prediction_path"] == str(path.absolute())
    assert prediction["model_id"] == model["model_id"]
    assert prediction["source_mosaic"] == str(scene.with_name(f"LE7022049{year}*_stack.gtif"))
    assert prediction["details"]["sha256"] == sha256(path)
    assert sum(prediction["details"]["hectares"].values()) == pytest.approx(
        holds_data.sum() * 0.09, rel=0.002
    )


def test_other_programs_read_the_model_and_the_samples(chiapas):
    """A pipeline that takes raw band values and gives class codes; and GeoParquet points."""
    path = run_month(1999, 11)

    model = joblib.load(MODELS / "rf_model_199911.joblib")
    samples = pd.read_parquet(SAMPLES / "prepared_data_199911.parquet")
    codes = model.predict(samples[["blue", "green", "red", "nir"]].to_numpy())
    with rasterio.open(path) as prediction:
        mapped = [value[0] for value in prediction.sample(samples[["x", "y"]].to_numpy())]
    assert np.array_equal(codes, mapped)

    points = geopandas.read_parquet(SAMPLES / "prepared_data_199911.parquet")
    assert list(points.columns) == [
        "polygon_id", "class_label", "x", "y", "blue", "green", "red", "nir", "geometry",
    ]  # fmt: skip
    assert points.crs.to_epsg() == 32615
    assert (points.geometry.x == points["x"]).all()
    assert len(points) == 718


@pytest.fixture
def costa_rica(settings: Callable[..., None]) -> None:
    """Settings for the two Landsat scenes of Costa Rica, with a GeoPackage of polygons."""
    folder = REAL / "costa_rica_landsat"
    with rasterio.open(folder / "L5TSR_2001.tif") as scene:
        bounds = scene.bounds
    settings(
        PLANET_MOSAIC_DIR=folder,
        MOSAIC_PATTERN="L5TSR_{year}.tif",
        TRAINING_POLYGON_TABLE=folder / "training.gpkg",
        TRAINING_POLYGON_CLASS_COL="class_2001",
        AOI_DEFINITION=f"SRID=32616;POLYGON(({bounds.left} {bounds.bottom}, "
        f"{bounds.right} {bounds.bottom}, {bounds.right} {bounds.top}, "
        f"{bounds.left} {bounds.top}, {bounds.left} {bounds.bottom}))",
    )


def write_halves(path: str) -> None:
    """Write two regions that meet within the scenes of Costa Rica, in longitude and latitude."""
    with rasterio.open(REAL / "costa_rica_landsat" / "L5TSR_2001.tif") as scene:
        west, south, east, north = scene.bounds
    middle = (west + east) / 2
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    frame = geopandas.GeoDataFrame({"name": ["West", "East"]}, geometry=halves, crs=32616)
    frame.to_crs(4326).to_file(path)


@pytest.mark.usefixtures("costa_rica")
def test_costa_rica_2001_from_a_geopackage_leaves_metadata_in_the_embedded_database(settings):
    settings(REGIONS="halves.gpkg")
    write_halves("halves.gpkg")
    path = run_month(2001, 1)

    codes = read_codes(path)
    assert set(np.unique(codes)) == {0, 1}
    with sqlite3.connect("data/chocoforest.db") as database:
        (accuracy,) = database.execute(
            "SELECT json_extract(metrics, '$.accuracy') FROM ml_models"
        ).fetchone()
        names = database.execute("SELECT prediction_filename FROM raster_predictions").fetchall()
        (details,) = database.execute("SELECT details FROM raster_predictions").fetchone()
    by_region = pd.read_csv(MAPS / "regions_200101.csv").groupby("class")["hectares"].sum()
    for name, hectares in json.loads(details)["hectares"].items():
        assert by_region[name] == pytest.approx(hectares, abs=0.01)
    assert "By region" in (MAPS / "report_200101.html").read_text("utf-8")
    assert accuracy > 0.85
    assert names == [("prediction_200101.tif",)]


@pytest.mark.usefixtures("costa_rica")
def test_a_month_beside_one_ten_times_too_bright_is_told_in_log_report_and_row(capfd, caplog):
    run_month(1986, 1)
    assert "Warning" not in capfd.readouterr().out
    run_month(2001, 1)
    (warning,) = re.findall("^Warning: (.*)", capfd.readouterr().out, re.MULTILINE)
    assert "differs from that of 1986-01" in warning
    assert warning in caplog.messages
    assert html.escape(warning) in (MAPS / "report_200101.html").read_text("utf-8")
    with sqlite3.connect("data/chocoforest.db") as database:
        query = (
            "SELECT json_extract(details, '$.radiometry.warnings') FROM raster_predictions "
            "ORDER BY year"
        )
        recorded = [json.loads(warnings) for (warnings,) in database.execute(query)]
    assert recorded == [[], [warning]]


def test_a_month_run_again_gives_the_same_map_and_replaces_its_rows(
    chiapas_in_postgis: Path, engine: Engine
):
    first = run_month(1999, 11)
    codes, model_digest = read_codes(first), rows(engine, "ml_models")[0]["parameters"]["sha256"]
    again = run_month(1999, 11)

    assert np.array_equal(read_codes(again), codes)
    (model,) = rows(engine, "ml_models")
    (prediction,) = rows(engine, "raster_predictions")
    assert model["parameters"]["sha256"] == model_digest
    assert prediction["model_id"] == model["model_id"]


def test_a_month_of_many_quads_agrees_with_the_known_truth(landscape: World, settings):
    settings(
        PLANET_MOSAIC_DIR=landscape.mosaic_dir,
        MOSAIC_PATTERN=landscape.mosaic_pattern,
        AOI_DEFINITION=landscape.aoi,
        TRAINING_POLYGON_TABLE=landscape.polygons,
        TRAINING_POLYGON_CLASS_COL="class_label",
        TRAINING_POLYGON_ID_COL="id",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    path = run_month(2025, 6)

    codes, truth = read_codes(path), read_codes(landscape.truth[Period(2025, 6)])
    assert agreement(codes, truth).accuracy > 0.9
    assert (codes[truth == NODATA] == NODATA).all()
    assert not any(Path("data/work").glob("prediction_*"))
    # What predicted takes no memory any more.
    assert open_predictor.cache_info().currsize == 0
