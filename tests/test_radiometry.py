"""The radiometry check: scaled and shifted scenes are told, season, haze and clouds are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from sqlalchemy import Engine, create_engine, insert
from upath import UPath

from landcover.files import remove
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import (
    Distribution,
    Radiometry,
    draw_pixels,
    measure,
    outside_range,
)
from landcover.imagery.radiometry import compare as differ
from landcover.model.sampling import SamplingSettings, sample_polygons
from landcover.period import Period
from tasks.access.settings import AoiSettings
from tasks.access.tables import check_tables, raster_predictions
from tasks.mosaic import find_mosaic
from tasks.radiometry import measure_radiometry
from tests.months import run_of
from tests.rasters import mosaic_of, moved, pixel_box, random_values, write_raster
from tests.scenes import CHIAPAS, COSTA_RICA

RAW_1986 = COSTA_RICA / "L5TSR_1986.tif"  # blue, green and red ten times too bright
FIXED_1986 = COSTA_RICA / "L5TSR_1986_fixed.tif"
CLEAR_2001 = COSTA_RICA / "L5TSR_2001.tif"
CLEAR_1999 = CHIAPAS / "LE70220491999322EDC01_stack.gtif"
HAZY_2002 = CHIAPAS / "LE70220492002106EDC00_stack.gtif"

BANDS = ["blue", "green", "red", "nir"]
TRUE_PAIRS = [(FIXED_1986, CLEAR_2001), (CLEAR_1999, HAZY_2002)]

Values = NDArray[np.float64]


def values_of(scene: Path) -> Values:
    """Return the first four bands of a scene's pixels that hold data, (bands, pixels)."""
    with rasterio.open(scene) as image:
        values, mask = image.read([1, 2, 3, 4]), image.dataset_mask()
    return values[:, mask > 0].astype(float)


def distribution(values: Values) -> Distribution:
    return measure(pd.DataFrame(dict(zip(BANDS, values, strict=True))), BANDS)


def clouded(values: Values, share: float) -> Values:
    """Put clouds over the first pixels of a scene: thick in their middle, thin at their edge."""
    random = np.random.default_rng(5)
    count = round(share * values.shape[1])
    white = random.normal([[4500], [4700], [4900], [5600]], 500, (4, count))
    thickness = random.beta(2, 1, count)
    clouds = thickness * white + (1 - thickness) * values[:, :count]
    return np.hstack([clouds, values[:, count:]])


def compare(ours: Distribution, theirs: Distribution) -> str | None:
    """Return a difference in words."""
    found = differ(ours, theirs)
    return None if found is None else str(found)


# --- what is told ---------------------------------------------------------------------------------


def test_the_published_scene_is_told_with_its_bands_and_a_factor_of_about_ten():
    raw, other = values_of(RAW_1986), values_of(CLEAR_2001)
    factors = np.median(raw, axis=1) / np.median(other, axis=1)
    assert all(8 < factor < 13 for factor in factors[:3])
    found = compare(distribution(raw), distribution(other))
    assert found == ", ".join(
        f"{band} is about {factor:.0f} times as bright "
        f"(median {np.median(ours):.0f} against {np.median(theirs):.0f})"
        for band, factor, ours, theirs in zip(BANDS[:3], factors, raw, other, strict=False)
    )
    reverse = compare(distribution(other), distribution(raw))
    assert reverse is not None
    assert reverse.count(" is about 1/") == 3
    assert "nir" not in reverse


@pytest.mark.parametrize("pair", TRUE_PAIRS, ids=["costa-rica", "chiapas"])
@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.7])
def test_true_pairs_differ_by_season_haze_and_clouds_only(pair, share):
    first, second = map(values_of, pair)
    assert compare(distribution(clouded(first, share)), distribution(second)) is None
    assert compare(distribution(clouded(second, share)), distribution(first)) is None
    assert compare(distribution(first), distribution(clouded(second, share))) is None
    assert compare(distribution(clouded(first, share)), distribution(first)) is None


@pytest.mark.parametrize("pair", TRUE_PAIRS, ids=["costa-rica", "chiapas"])
def test_clouds_over_almost_all_are_no_shift(pair):
    for ours, theirs in (pair, pair[::-1]):
        cloudy = distribution(clouded(values_of(ours), 0.95))
        found = compare(cloudy, distribution(values_of(theirs)))
        assert "all bands" not in (found or "")


@pytest.mark.parametrize("pair", TRUE_PAIRS, ids=["costa-rica", "chiapas"])
@pytest.mark.parametrize("factor", [10, 0.1, 1e-4])
def test_a_scale_is_told_through_season_and_haze(pair, factor):
    for ours, theirs in (pair, pair[::-1]):
        found = compare(distribution(values_of(ours) * factor), distribution(values_of(theirs)))
        assert found is not None
        assert ("times as bright" if factor > 1 else " 1/") in found
        assert all(f"{band} is about" in found for band in BANDS)


@pytest.mark.parametrize("scene", [FIXED_1986, CLEAR_2001, CLEAR_1999, HAZY_2002])
@pytest.mark.parametrize("added", [1000, -1000])
def test_a_number_added_to_all_bands_is_told(scene, added):
    values = values_of(scene)
    found = compare(distribution(values + added), distribution(values))
    assert found is not None
    assert found.startswith(f"all bands are about 1000 {'higher' if added > 0 else 'lower'}")
    blue = np.median(values[0])
    assert f"(blue, median {blue + added:.0f} against {blue:.0f};" in found


@pytest.mark.parametrize("added", [1000, 500])
def test_a_number_added_is_told_against_another_year_too(added):
    years = values_of(FIXED_1986), values_of(CLEAR_2001)
    for ours, theirs in (years, years[::-1]):
        found = compare(distribution(ours + added), distribution(theirs))
        assert found is not None
        assert found.startswith("all bands are about")


@pytest.mark.parametrize("added", [0.02, -0.05, 0.1, 0.3])
@pytest.mark.parametrize(
    ("centres", "spread"),
    [([-8, -15, -11, -20], 2.0), ([0.05, -0.2, 0.3, 0.0], 0.2), ([0.7, 0.1, -0.6, -0.1], 0.25)],
    ids=["decibels", "indices", "more indices"],
)
def test_bands_at_or_below_zero_have_no_brightness_to_be_shifted_against(centres, spread, added):
    random = np.random.default_rng(4)
    values = random.normal(np.array(centres)[:, None], spread, (4, 5000))
    assert compare(distribution(values + added), distribution(values)) is None


def test_an_offset_cut_off_at_zero_is_told():
    values = values_of(CLEAR_2001)
    found = compare(distribution(np.maximum(values - 1000, 0)), distribution(values))
    assert found is not None
    assert all(f"{band} is about" in found and "median 0 against" in found for band in BANDS[:3])


@pytest.mark.parametrize("pair", TRUE_PAIRS, ids=["costa-rica", "chiapas"])
def test_near_infrared_in_the_place_of_blue_is_told(pair):
    ours, theirs = map(values_of, pair)
    found = compare(distribution(ours[[3, 1, 2, 0]]), distribution(theirs))
    assert found is not None
    assert "blue is about" in found
    assert "nir is about" in found
    assert "green" not in found


def test_nothing_measured_or_no_band_in_common_says_nothing():
    scene = distribution(values_of(RAW_1986))
    nothing = distribution(np.empty((4, 0)))
    assert nothing["pixels"] == 0
    assert nothing["bands"] == {}
    for other in (nothing, {**scene, "bands": {"swir": scene["bands"]["blue"]}}):
        assert compare(scene, other) is None
        assert compare(other, scene) is None
    black = distribution(np.zeros((4, 100)))
    with np.errstate(all="raise"):
        assert compare(black, black) is None


# --- samples --------------------------------------------------------------------------------------


def samples_of(scene: Path, folder: Path, row_per: str = "pixel") -> geopandas.GeoDataFrame:
    shapes, label = (
        (CHIAPAS / "training_data.shp", "class")
        if scene.parent == CHIAPAS
        else (COSTA_RICA / "training.gpkg", f"class_{scene.stem[6:10]}")
    )
    drawn = geopandas.read_file(shapes)
    polygons = geopandas.GeoDataFrame(
        {"polygon_id": drawn.index.astype(str), "class_label": drawn[label].astype(str)},
        geometry=drawn.geometry,
    )
    mosaic = mosaic_of([scene], folder)
    return sample_polygons(mosaic, polygons, SamplingSettings(row_per=row_per)).rows


def frame(scene: Path) -> pd.DataFrame:
    return pd.DataFrame(dict(zip(BANDS, values_of(scene), strict=True)))


@pytest.mark.parametrize("scene", [FIXED_1986, CLEAR_2001, CLEAR_1999, HAZY_2002, RAW_1986])
@pytest.mark.parametrize("row_per", ["pixel", "mean"])
def test_samples_of_the_same_scene_stand_for_it(scene, row_per, tmp_path):
    samples = samples_of(scene, tmp_path, row_per)
    assert compare(distribution(values_of(scene)), measure(samples, BANDS)) is None
    assert outside_range(frame(scene), samples) == {}


def test_the_share_of_pixels_outside_the_range_of_the_samples_is_counted(tmp_path):
    samples = samples_of(HAZY_2002, tmp_path)
    found = outside_range(frame(CLEAR_1999), samples)
    for band, ours in zip(BANDS, values_of(CLEAR_1999), strict=True):
        low, high = np.percentile(samples[band], [0.5, 99.5])
        share = np.mean((ours < low) | (ours > high))
        assert found.get(band, 0) == pytest.approx(share if share > 0.25 else 0)
    assert found["blue"] > 0.9
    assert "nir" not in found


# --- drawing --------------------------------------------------------------------------------------


def test_a_small_scene_is_read_whole(tmp_path):
    mosaic = mosaic_of([CLEAR_1999], tmp_path)
    pixels = draw_pixels(mosaic, shapely.box(*mosaic.grid.bounds))
    expected = np.percentile(values_of(CLEAR_1999), [1, 5, 50, 95, 99], axis=1)
    found = measure(pixels, BANDS)
    at = [found["percentiles"].index(level) for level in (1, 5, 50, 95, 99)]
    for band, column in zip(BANDS, expected.T, strict=True):
        assert [found["bands"][band][number] for number in at] == pytest.approx(column)


def test_of_a_large_mosaic_64_blocks_are_drawn_the_same_each_time(tmp_path):
    values = random_values((1, 2048, 2560))
    values[0] += np.arange(2560, dtype="uint16")  # brighter eastwards
    quads = [
        write_raster(tmp_path / f"{n}.tif", values[:, :, part], transform=moved(part.start, 0))
        for n, part in enumerate((slice(0, 1024), slice(1024, 2560)))
    ]
    mosaic = mosaic_of(quads, tmp_path, {"nir": 1})
    area = shapely.box(*mosaic.grid.bounds)
    pixels = draw_pixels(mosaic, area)
    assert len(pixels) == 64 * 256 * 256
    assert pixels.dtypes["nir"] == np.uint16
    assert pixels["nir"].median() == pytest.approx(np.median(values), rel=0.1)
    assert draw_pixels(mosaic, area).equals(pixels)
    assert not draw_pixels(mosaic, area, seed=1).equals(pixels)


def test_only_valid_pixels_of_the_area_count_wherever_the_quads_lie(tmp_path):
    values = random_values((1, 300, 300))
    valid = np.ones((300, 300), dtype=bool)
    valid[:150] = False
    near = write_raster(tmp_path / "a.tif", values, alpha=valid)
    far = write_raster(tmp_path / "b.tif", values, alpha=valid, transform=moved(20_000, 30_000))
    mosaic = mosaic_of([near, far], tmp_path, {"nir": 1})
    area = shapely.union_all(
        [pixel_box(50, 100, 200, 290), pixel_box(20_000, 30_000, 20_100, 30_300)]
    )
    found = draw_pixels(mosaic, area)["nir"]
    expected = [values[0, 150:290, 50:200], values[0, 150:, :100]]
    assert sorted(found) == sorted(np.concatenate([part.ravel() for part in expected]))
    nowhere = draw_pixels(mosaic, pixel_box(-20, -20, -10, -10))
    assert list(nowhere.columns) == ["nir"]
    assert nowhere.empty
    assert measure(nowhere, ["nir"])["bands"] == {}


# --- the task -------------------------------------------------------------------------------------

PREFECT = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(params=["postgis", "sqlite"])
def tables(request: pytest.FixtureRequest, settings: Callable[..., None]) -> Engine:
    """An empty database of either kind, which the settings point to."""
    if request.param == "postgis":
        request.getfixturevalue("in_database")
        engine: Engine = request.getfixturevalue("engine")
    else:
        settings(METADATA_DB="meta.db")
        engine = create_engine("sqlite:///meta.db")
    check_tables(None)
    return engine


def aoi_of(mosaic: Mosaic) -> str:
    return f"SRID={CRS(mosaic.grid.crs).to_epsg()};{shapely.box(*mosaic.grid.bounds).wkt}"


def check(
    scene: Path, folder: Path, year: int, month: int, samples: UPath | None = None
) -> Radiometry:
    check_tables(None)
    mosaic = mosaic_of([scene], folder)
    paths = () if samples is None else (samples,)
    return measure_radiometry(run_of(year, month, aoi=aoi_of(mosaic)), mosaic, paths)


def record(engine: Engine, year: int, month: int, details: Any, origin: str = "old.tif") -> None:
    row = {
        "prediction_filename": f"prediction_{year}{month:02d}.tif",
        "source_mosaic": origin,
        "year": year,
        "month": month,
        "details": details,
    }
    with engine.begin() as connection:
        connection.execute(insert(raster_predictions).values(row))


@PREFECT
def test_a_month_is_compared_with_the_nearest_before_it_that_was_measured(tables, tmp_path, caplog):
    first = check(CLEAR_2001, tmp_path, 2024, 11)
    assert first.warnings == ()
    assert first.measured["compared_with"] is None
    assert first.measured["warnings"] == []
    measured = json.loads(json.dumps(first.measured, allow_nan=False))
    assert set(measured["bands"]) == set(BANDS)
    other = {**measured, "bands": {band: [1.0] * 21 for band in BANDS}}
    record(tables, 2023, 12, {"radiometry": other})
    record(tables, 2024, 9, {"radiometry": other})
    record(tables, 2024, 11, {"radiometry": measured}, "mosaics/november")
    record(tables, 2024, 12, {"hectares": {}})
    record(tables, 2025, 1, None)
    record(tables, 2025, 2, {"radiometry": None})
    record(tables, 2025, 3, {"radiometry": {**measured, "pixels": 0, "bands": {}}})
    record(tables, 2025, 4, {"radiometry": other})
    record(tables, 2026, 1, {"radiometry": other})

    true = check(FIXED_1986, tmp_path, 2025, 4)
    assert true.measured["compared_with"] == "2024-11"
    assert true.warnings == ()
    assert not [line for line in caplog.records if line.levelname == "WARNING"]

    raw = check(RAW_1986, tmp_path, 2025, 4)
    (warning,) = map(str, raw.warnings)
    assert f"{COSTA_RICA} differs from that of 2024-11 (mosaics/november)" in warning
    for band, factor in zip(BANDS, (11, 11, 12), strict=False):
        assert f"{band} is about {factor} times as bright" in warning
    assert "nir" not in warning
    assert "check the scale" in warning
    assert raw.measured["warnings"] == [warning]
    assert [line.message for line in caplog.records if line.levelname == "WARNING"] == [warning]


@PREFECT
def test_samples_of_other_imagery_are_told(settings, tmp_path):
    samples = {}
    for scene in (FIXED_1986, CLEAR_2001, HAZY_2002):
        samples[scene] = UPath(tmp_path / f"{scene.stem}.parquet")
        samples_of(scene, tmp_path).to_parquet(samples[scene], index=False)
    assert check(CLEAR_2001, tmp_path, 2025, 6, samples[CLEAR_2001]).warnings == ()
    assert check(CLEAR_2001, tmp_path, 2025, 6, samples[FIXED_1986]).warnings == ()

    (scaled,) = map(str, check(RAW_1986, tmp_path, 2025, 6, samples[FIXED_1986]).warnings)
    assert "differs from the samples" in scaled
    assert "blue is about 10 times as bright" in scaled
    assert "nir" not in scaled

    (hazy,) = map(str, check(CLEAR_1999, tmp_path, 2025, 6, samples[HAZY_2002]).warnings)
    assert "outside the range of the samples" in hazy
    assert "92% in blue" in hazy


@PREFECT
def test_a_mosaic_without_a_valid_pixel_says_nothing(settings, tmp_path):
    values = np.full((4, 20, 20), 7, dtype="uint16")
    path = write_raster(tmp_path / "empty" / "a.tif", values, nodata=7)
    samples = UPath(tmp_path / "samples.parquet")
    samples_of(CLEAR_2001, tmp_path).to_parquet(samples, index=False)
    found = check(path, tmp_path, 2025, 6, samples)
    assert found.warnings == ()
    assert found.measured["pixels"] == 0


@PREFECT
def test_a_month_before_that_is_not_recorded_is_measured_as_its_own_run_does(settings, tmp_path):
    settings(
        METADATA_DB="meta.db",
        PLANET_MOSAIC_DIR=tmp_path,
        MOSAIC_PATTERN="{month:02d}.tif",
        AOI_DEFINITION=aoi_of(mosaic_of([CLEAR_2001], tmp_path)),
    )
    for month, scene in ((4, CLEAR_2001), (5, RAW_1986), (6, FIXED_1986)):
        (tmp_path / f"{month:02d}.tif").symlink_to(scene)
    engine = create_engine("sqlite:///meta.db")
    check_tables(None)

    def measured(month: int, before: int | None) -> Radiometry:
        run = run_of(2025, month, AoiSettings)
        mosaic = find_mosaic(run, None)
        found = measure_radiometry(run, mosaic, (), before and Period(2025, before))
        # Of the month before nothing is kept.
        assert not before or not run.of(Period(2025, before)).files.index.exists()
        remove(run.files.index)
        return found

    recorded = measured(4, None).measured
    record(engine, 2025, 4, {"radiometry": recorded}, f"{tmp_path}/04.tif")
    beside = measured(6, before=5)
    assert beside.measured["compared_with"] == "2025-05"
    assert "is about 1/" in str(beside.warnings[0])

    # Where its imagery cannot be read, as where it is not to be had.
    assert measured(6, before=3) == measured(6, None)
    assert measured(6, None).measured["compared_with"] == "2025-04"

    may = measured(5, None).measured
    record(engine, 2025, 5, {"radiometry": may}, f"{tmp_path}/05.tif")
    assert measured(6, None) == beside
    engine.dispose()
