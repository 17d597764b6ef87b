"""Spectral indices, by their formulae and by what asks for them."""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.command import read_arguments
from flows.train_model import train_model
from landcover.errors import LandcoverError, SettingsError
from landcover.files import sha256
from landcover.maps.lookup import fastest
from landcover.model.forest import ForestSettings, fit, load, new_pipeline
from landcover.model.indices import (
    INDEX_NAMES,
    check_bands_of,
    with_indices,
    with_normalized_differences,
)
from landcover.model.reflectance import (
    Reflectance,
    check_reflectances,
    reflectances_of,
    usual_reflectances,
)
from tests.rasters import mosaic_of, random_values, write_raster

BANDS = ["blue", "green", "red", "nir"]
STORED = {name: Reflectance(1e-4) for name in BANDS}


def test_every_two_bands_give_their_normalised_difference_behind_the_bands():
    blue, red, nir = 300.0, 500.0, 3500.0
    expected = [blue, red, nir, 200 / 800, 3200 / 3800, 3000 / 4000]
    assert np.allclose(with_normalized_differences([[blue, red, nir]]), [expected])


def test_two_dark_bands_differ_by_nothing():
    assert with_normalized_differences([[0, 0], [-3, 3]]).tolist() == [[0, 0, 0], [-3, 3, 0]]


def test_named_indices_follow_the_bands_in_the_order_of_their_names():
    blue, green, red, nir = 0.03, 0.06, 0.05, 0.35
    found = with_indices([[300, 600, 500, 3500]], ("NDVI", "EVI", "NDWI", "brightness"), STORED)
    expected = [
        (nir - red) / (nir + red),
        2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1),
        (green - nir) / (green + nir),
        ((green**2 + red**2 + nir**2) / 3) ** 0.5,
    ]
    assert np.allclose(found, [[300, 600, 500, 3500, *expected]])


def test_differences_are_of_the_imagery_as_it_is_stored_and_not_of_what_does_not_change():
    values = np.array([[300.0, -4.0, 500.0], [0.0, 90.0, 0.0]])
    known = {"blue": Reflectance(1e-4, -0.1), "elevation": None, "red": Reflectance(1e-4)}
    found = with_indices(values, ("differences",), known)
    assert np.allclose(found[:, :3], values)
    assert np.allclose(found[:, 3:], [[200 / 800], [0]])
    plain = with_indices(values, ("differences",), dict.fromkeys("abc", Reflectance(1.0)))
    assert np.array_equal(plain, with_normalized_differences(values))


def test_no_light_gives_numbers_that_a_forest_takes():
    dark = np.zeros((1, 4))
    assert np.isfinite(with_indices(dark, INDEX_NAMES, STORED)).all()


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (["NDVI", "EVI"], ("NDVI", "EVI")),
        (" ndvi,Brightness, differences", ("NDVI", "brightness", "differences")),
        ([], ()),
    ],
)
def test_indices_are_asked_for_by_true_false_or_names(said: object, meant: object) -> None:
    asked = ForestSettings(indices=said)
    assert asked.indices == meant
    assert ForestSettings.model_validate_json(asked.model_dump_json()) == asked
    assert ForestSettings.model_validate(asked.model_dump(mode="json")) == asked


@pytest.mark.parametrize("said", ["NDVI,SAVI", "", ["SAVI"], "NDVI,ndvi", "EVI,"])
def test_what_is_no_index_is_refused(said: object) -> None:
    with pytest.raises(ValidationError, match=r"is not an index; there are|names an index twice"):
        ForestSettings(indices=said)


def test_the_form_offers_both() -> None:
    kinds = ForestSettings.model_json_schema()["properties"]["indices"]["anyOf"]
    assert kinds[0] == {"type": "boolean"}
    assert kinds[1]["items"]["enum"] == list(INDEX_NAMES)


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ([], False),
        (["--indices"], True),
        (["--indices", "NDVI,evi"], ("NDVI", "EVI")),
        (["--indices", "--trees", "9"], True),
    ],
)
def test_the_command_line_takes_names(options: list[str], meant: object) -> None:
    month = ["--year", "2025", "--month", "6", "--input_data", "x"]
    arguments = read_arguments(train_model, [*month, *options])
    assert arguments["forest"].indices == meant


def test_a_band_that_an_index_needs_and_that_is_not_there_is_told() -> None:
    check_bands_of(("differences",), ["vv"])
    check_bands_of(("differences", "NDVI"), ["red", "nir"])
    with pytest.raises(SettingsError) as caught:
        check_bands_of(("NDVI", "EVI"), ["red", "nir", "elevation"])
    assert str(caught.value).startswith(
        "--indices EVI needs the bands blue, red, nir, but MOSAIC_BANDS has no blue: give"
    )


# --- reflectances ---------------------------------------------------------------------------------


def test_reflectances_are_what_the_files_say_or_what_is_usual(tmp_path: Path) -> None:
    for number, dtype in enumerate(["uint16", "float32", "int16"]):
        path = write_raster(tmp_path / f"{number}.tif", random_values((4, 16, 16), dtype=dtype))
        mosaic = mosaic_of([path], tmp_path)
        usual = Reflectance(1.0 if dtype == "float32" else 1e-4)
        assert reflectances_of(mosaic) == dict.fromkeys(BANDS, usual)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [2.75e-5] * 4, [-0.2] * 4
    said = Reflectance(2.75e-5, -0.2)
    assert reflectances_of(mosaic_of([path], tmp_path)) == dict.fromkeys(BANDS, said)


@pytest.mark.parametrize(
    ("nir", "known", "right"),
    [
        (3500, Reflectance(1e-4), True),
        (0.35, Reflectance(1.0), True),
        (20000, Reflectance(2.75e-5, -0.2), True),
        (20000, Reflectance(1e-4), False),
        (3500.0, Reflectance(1.0), False),
        (120, Reflectance(1e-4), False),
    ],
)
def test_what_cannot_be_reflectance_is_told(nir: float, known: Reflectance, right: bool) -> None:
    samples = pd.DataFrame({"nir": np.full(20, nir)})
    if right:
        check_reflectances(samples, {"nir": known})
        return
    with pytest.raises(LandcoverError, match="EVI needs reflectances from 0 to 1, but a bright"):
        check_reflectances(samples, {"nir": known})


# --- models ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    names=st.sets(st.sampled_from(INDEX_NAMES), min_size=1).map(tuple),
    bins=st.sampled_from([None, 16, 64]),
    dtype=st.sampled_from(["uint16", "int16", "float32"]),
    elevation=st.booleans(),
)
def test_a_look_up_answers_as_the_model_with_its_indices_and_below_the_sea(
    seed, names, bins, dtype, elevation
):
    random = np.random.default_rng(seed)
    known = {**STORED, "elevation": None} if elevation else STORED
    codes = random.integers(0, 3, 300)
    values = random.lognormal(6, 0.7, (300, len(known))) + 500 * codes[:, np.newaxis]
    if elevation:
        values[:, 4] = random.uniform(-80, 400, 300) + 90 * codes
    values = values.astype(dtype)
    model = new_pipeline(
        ForestSettings(trees=5, indices=names, bins=bins), jobs=1, reflectances=known
    ).fit(values, codes)
    pixels = random.integers(-200, 5000, (len(known), 400)).astype(dtype)
    predictor = fastest(model)
    for _ in range(2):
        found, confidence = predictor.predict(pixels, np.ones(400, bool))
        assert np.array_equal(found, model.predict(pixels.T))
        winning = model.predict_proba(pixels.T).max(axis=1)
        assert np.array_equal(confidence, np.rint(100 * winning))


def test_a_model_with_indices_is_loaded_as_it_was(tmp_path: Path) -> None:
    values = random_values((4, 200))
    samples = pd.DataFrame(dict(zip(BANDS, values, strict=True)))
    asked = ForestSettings(trees=5, indices="NDVI,EVI,differences")
    model = fit(samples, BANDS, pd.Series(np.arange(200) % 3), asked)
    joblib.dump(model, tmp_path / "model.joblib")
    loaded = load(tmp_path / "model.joblib", sha256(tmp_path / "model.joblib"))
    assert loaded["forest"].n_features_in_ == 4 + 2 + 6
    assert np.array_equal(loaded.predict(values.T), model.predict(values.T))
    assert usual_reflectances(samples, BANDS) == STORED
