"""The model: what it is trained on, that it is reproducible, and which files are opened."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas
import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.pipeline import Pipeline

from landcover.errors import LandcoverError
from landcover.files import sha256
from landcover.model import bins, indices
from landcover.model.balance import at_most_per_class
from landcover.model.forest import (
    ForestSettings,
    fit,
    load,
    new_pipeline,
    oob_accuracy,
)
from landcover.model.sampling import SamplingSettings, sample_polygons
from tests.conftest import REAL
from tests.rasters import mosaic_of

CHIAPAS = REAL / "chiapas_landsat"
BANDS = {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir1": 5, "swir2": 6, "thermal": 7}
FEW = ForestSettings(trees=20)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """All touched pixels of the scene of 1999, as its author sampled them."""
    scene = CHIAPAS / "LE70220491999322EDC01_stack.gtif"
    mosaic = mosaic_of([scene], tmp_path_factory.mktemp("chiapas"), BANDS)
    drawn = geopandas.read_file(CHIAPAS / "training_data.shp")
    polygons = geopandas.GeoDataFrame(
        {"polygon_id": drawn.index.map(str), "class_label": drawn["id"].map(str)},
        geometry=drawn.geometry,
    )
    settings = SamplingSettings(max_pixels=1_000_000, all_touched=True)
    return sample_polygons(mosaic, polygons, settings).rows


def votes(model: Pipeline, values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the forest's votes, added up by one core: several add up in any order."""
    return model.set_params(forest__n_jobs=1).predict_proba(values)


@pytest.fixture(scope="module")
def codes(samples: pd.DataFrame) -> pd.Series:
    return samples["class_label"].map(int)


def test_the_forest_has_the_published_out_of_bag_accuracy(
    samples: pd.DataFrame, codes: pd.Series
) -> None:
    model = fit(samples, list(BANDS), codes, ForestSettings(trees=500))
    assert len(samples) == 1100
    assert oob_accuracy(model, codes, ForestSettings(trees=500)) == model["forest"].oob_score_
    assert model["forest"].oob_score_ == pytest.approx(0.9882, abs=0.005)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("most", [None, 60])
def test_the_out_of_bag_accuracy_is_that_of_the_samples_that_some_tree_was_grown_without(
    samples: pd.DataFrame, codes: pd.Series, most: int | None
) -> None:
    settings = ForestSettings(trees=5, max_pixels_per_class=most)
    model = fit(samples, list(BANDS), codes, settings)
    votes = model["forest"].oob_decision_function_
    voted = votes.any(axis=1)
    assert 0.8 < voted.mean() < 1
    rows = at_most_per_class(codes, most, settings.seed)
    right = model["forest"].classes_[votes.argmax(axis=1)] == codes.to_numpy()[rows]
    found = oob_accuracy(model, codes, settings)
    assert found == pytest.approx(right[voted].mean())
    # Counted as the first class, those without a vote cost points.
    assert found > model["forest"].oob_score_ + 0.02
    assert found > 0.9


@pytest.mark.filterwarnings("error")
def test_without_a_vote_there_is_no_out_of_bag_accuracy() -> None:
    samples, codes = pd.DataFrame({"nir": [1000.0, 5000.0]}), pd.Series([0, 1])
    found = []
    for seed in range(8):
        settings = ForestSettings(trees=1, seed=seed)
        found.append(oob_accuracy(fit(samples, ["nir"], codes, settings), codes, settings))
    assert np.isnan(found).any()
    # A tree that saw one of the two is wrong about the other.
    assert set(np.array(found)[~np.isnan(found)]) == {0}


def test_the_same_inputs_give_the_same_model(samples: pd.DataFrame, codes: pd.Series) -> None:
    first, again = (fit(samples, list(BANDS), codes, FEW) for _ in range(2))
    pixels = np.random.default_rng(1).integers(0, 5000, (5000, 7))
    np.testing.assert_array_equal(votes(first, pixels), votes(again, pixels))
    np.testing.assert_array_equal(first.predict(pixels), again.predict(pixels))


def test_another_seed_grows_another_forest(samples: pd.DataFrame, codes: pd.Series) -> None:
    pixels = np.random.default_rng(1).integers(0, 5000, (5000, 7))
    first, other = (
        votes(fit(samples, list(BANDS), codes, ForestSettings(trees=20, seed=seed)), pixels)
        for seed in (1, 2)
    )
    assert not np.array_equal(first, other)


def test_the_model_reads_the_bands_in_the_order_given_whatever_the_table_s(
    samples: pd.DataFrame, codes: pd.Series
) -> None:
    bands = ["nir", "red"]
    values = samples[bands].to_numpy()
    expected = votes(fit(samples[bands], bands, codes, FEW), values)
    shuffled = votes(fit(samples[["red", "blue", "nir"]], bands, codes, FEW), values)
    np.testing.assert_array_equal(shuffled, expected)


def test_the_model_takes_raw_values_of_any_type_and_gives_the_codes_it_was_trained_on(
    samples: pd.DataFrame, codes: pd.Series
) -> None:
    model = fit(samples, list(BANDS), codes * 40, FEW)
    values = samples[list(BANDS)].to_numpy()
    predicted = model.predict(values)
    assert set(predicted) <= {40, 80, 120, 160, 200}
    assert np.mean(predicted == codes * 40) > 0.98
    for dtype in (np.uint16, np.int32, np.float32, np.float64):
        np.testing.assert_array_equal(model.predict(values.astype(dtype)), predicted)


def test_at_most_so_many_pixels_of_each_class_train_the_forest(
    samples: pd.DataFrame, codes: pd.Series
) -> None:
    counts = codes.value_counts()
    model = fit(samples, list(BANDS), codes, ForestSettings(trees=20, max_pixels_per_class=100))
    # The forest keeps an out-of-bag vote for each sample that it was trained on.
    assert len(model["forest"].oob_decision_function_) == counts.clip(upper=100).sum()
    assert model["forest"].n_classes_ == len(counts)
    assert counts.max() > 100


def test_each_setting_of_the_forest_reaches_it() -> None:
    settings = ForestSettings(
        trees=7,
        max_depth=3,
        min_samples_leaf=4,
        max_features="all",
        class_weight="balanced",
        seed=9,
    )
    forest = new_pipeline(settings, jobs=1)["forest"]
    assert forest.n_estimators == 7
    assert forest.max_depth == 3
    assert forest.min_samples_leaf == 4
    assert forest.max_features is None
    assert forest.class_weight == "balanced"
    assert forest.random_state == 9
    assert forest.n_jobs == 1
    plain = new_pipeline(ForestSettings())["forest"]
    assert (plain.max_depth, plain.max_features, plain.class_weight) == (None, "sqrt", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"trees": 0},
        {"trees": 5001},
        {"max_depth": 0},
        {"min_samples_leaf": 0},
        {"max_features": "half"},
        {"class_weight": "heavy"},
        {"max_pixels_per_class": 0},
        {"holdout": "pixels"},
        {"block_size": 0},
        {"block_size": float("inf")},
        {"tune": -1},
        {"tune": 201},
        {"folds": 1},
        {"folds": 21},
        {"seed": -1},
        {"n_estimators": 100},
    ],
)
def test_settings_out_of_range_or_unknown_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ForestSettings(**wrong)


# --- opening a model file -------------------------------------------------------------------------


class Marked:
    """What writes a file when it is loaded, as a pickle of somebody else's may."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.mark, "run")


def test_the_recorded_file_is_opened_and_predicts_as_before_with_one_core(
    tmp_path: Path, samples: pd.DataFrame, codes: pd.Series
) -> None:
    model = fit(samples, list(BANDS), codes, FEW)
    path = tmp_path / "model.joblib"
    joblib.dump(model, path, compress=3)
    loaded = load(path, sha256(path))
    assert loaded["forest"].n_jobs == 1
    values = samples[list(BANDS)].to_numpy()
    np.testing.assert_array_equal(votes(loaded, values), votes(model, values))


def test_a_model_that_was_trained_before_its_modules_moved_is_opened(
    tmp_path: Path, samples: pd.DataFrame, codes: pd.Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, values = tmp_path / "model.joblib", samples[list(BANDS)].to_numpy()
    model = new_pipeline(FEW.model_copy(update={"indices": True})).fit(values, codes)
    with monkeypatch.context() as before:
        for module, part in ((bins, bins.LogBins), (indices, indices.with_normalized_differences)):
            old = module.__name__.replace(".model", "")
            before.setitem(sys.modules, old, module)
            before.setattr(part, "__module__", old)
        joblib.dump(model, path)
    assert b"landcover.bins" in path.read_bytes()
    assert b"landcover.indices" in path.read_bytes()
    np.testing.assert_array_equal(load(path, sha256(path)).predict(values), model.predict(values))


def test_a_file_that_differs_from_the_recorded_one_is_refused_before_it_is_opened(
    tmp_path: Path, samples: pd.DataFrame, codes: pd.Series
) -> None:
    path, mark = tmp_path / "model.joblib", tmp_path / "mark"
    joblib.dump(fit(samples, list(BANDS), codes, FEW), path)
    recorded = sha256(path)
    path.write_bytes(pickle.dumps(Marked(mark)))
    with pytest.raises(LandcoverError, match=rf"{path} is not the one that was recorded"):
        load(path, recorded)
    assert not mark.exists()
    # The file does what it was made for where it is opened.
    joblib.load(path)
    assert mark.read_text() == "run"


def test_a_file_that_was_opened_before_is_refused_once_another_digest_is_recorded(
    tmp_path: Path, samples: pd.DataFrame, codes: pd.Series
) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(fit(samples, list(BANDS), codes, FEW), path)
    load(path, sha256(path))
    with pytest.raises(LandcoverError, match="SHA-256 differs"):
        load(path, "0" * 64)


def test_a_model_trained_again_is_the_one_that_is_opened(
    tmp_path: Path, samples: pd.DataFrame, codes: pd.Series
) -> None:
    path = tmp_path / "model.joblib"
    trees = []
    for number in (3, 5):
        joblib.dump(fit(samples, list(BANDS), codes, ForestSettings(trees=number)), path)
        trees.append(len(load(path, sha256(path))["forest"].estimators_))
    assert trees == [3, 5]


def test_a_model_file_that_is_gone_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    with pytest.raises(LandcoverError, match=rf"{path} is gone: train the month's model again"):
        load(path, "0" * 64)
