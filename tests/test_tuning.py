"""Tuning: candidates compared on held-out polygons, the best one taken."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from landcover.classes import assign_codes
from landcover.errors import LandcoverError
from landcover.model.folds import validation_folds
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.model.tuning import SPACE, Tuning, tune
from tests.scenes import FOUR, chiapas

BANDS = list(FOUR)
GIVEN = ForestSettings(trees=30, seed=7, max_pixels_per_class=60)


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Sequence[int]:
    """Small forests, for the tests' sake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPACE, "trees", [10, 20])
        yield


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return chiapas(FOUR, column="class")


@pytest.fixture(scope="module")
def codes(samples: pd.DataFrame) -> pd.Series:
    return samples["class_label"].map(assign_codes(samples["class_label"], {}))


@pytest.fixture(scope="module")
def tuning(samples: pd.DataFrame, codes: pd.Series) -> Tuning:
    return tune(samples, BANDS, codes, GIVEN, 8)


def settings_of(row: pd.Series) -> ForestSettings:
    """Return the settings of a line of the table."""
    varied = {name: None if pd.isna(row[name]) else row[name] for name in SPACE}
    return ForestSettings(**{**GIVEN.model_dump(), **varied})


def test_every_candidate_has_a_line_and_the_best_comes_first(tuning: Tuning) -> None:
    table = tuning.candidates
    assert list(table.columns) == [
        "rank", "macro_f1", "macro_f1_std", "accuracy", "accuracy_std", "seconds", "given", *SPACE,
    ]  # fmt: skip
    assert len(table) == 9
    assert table["macro_f1"].is_monotonic_decreasing
    assert table["rank"].iloc[0] == 1
    assert not table[list(SPACE)].duplicated().any()
    assert settings_of(table.iloc[0]) == tuning.best
    assert settings_of(table[table["given"]].squeeze()) == GIVEN
    drawn = table[~table["given"]]
    for name, values in SPACE.items():
        assert set(drawn[name].astype(object).where(drawn[name].notna(), None)) <= set(values)


def test_settings_that_are_not_searched_stay_as_they_are(tuning: Tuning) -> None:
    others = set(ForestSettings.model_fields) - set(SPACE)
    assert tuning.best.model_dump(include=others) == GIVEN.model_dump(include=others)


def test_scores_are_those_of_held_out_polygons(
    tuning: Tuning, samples: pd.DataFrame, codes: pd.Series
) -> None:
    values, known = samples[BANDS].to_numpy(), codes.to_numpy()
    folds = validation_folds(samples, codes, GIVEN.model_copy(update={"seed": 8}))
    for place in (0, len(tuning.candidates) - 1):
        row = tuning.candidates.iloc[place]
        scores = []
        for train, test in folds:
            assert np.bincount(known[train]).max() == 60
            model = new_pipeline(settings_of(row), jobs=1).fit(values[train], known[train])
            predicted = model.predict(values[test])
            macro = f1_score(
                known[test], predicted, labels=np.unique(known[test]), average="macro",
                zero_division=0,
            )  # fmt: skip
            scores.append((macro, accuracy_score(known[test], predicted)))
        found = row[["macro_f1", "accuracy", "macro_f1_std", "accuracy_std"]].tolist()
        expected = [*np.mean(scores, axis=0), *np.std(scores, axis=0)]
        assert found == pytest.approx(expected, abs=6e-5)


def test_the_same_seed_finds_the_same_and_another_seed_draws_others(
    tuning: Tuning, samples: pd.DataFrame, codes: pd.Series
) -> None:
    again = tune(samples, BANDS, codes, GIVEN, 8)
    assert again.best == tuning.best
    pd.testing.assert_frame_equal(
        again.candidates.drop(columns="seconds"), tuning.candidates.drop(columns="seconds")
    )
    other = tune(samples, BANDS, codes, GIVEN.model_copy(update={"seed": 8}), 2)
    drawn = other.candidates[~other.candidates["given"]]
    merged = drawn.merge(again.candidates, on=list(SPACE))
    assert len(merged) < len(drawn)


def test_a_forest_hobbled_by_its_settings_is_replaced_by_a_better_one(
    samples: pd.DataFrame, codes: pd.Series
) -> None:
    stump = ForestSettings(trees=10, max_depth=1, min_samples_leaf=200)
    found = tune(samples, BANDS, codes, stump, 5)
    assert found.best != stump
    line = found.candidates[found.candidates["given"]].squeeze()
    assert found.candidates["macro_f1"].iloc[0] > line["macro_f1"] + 0.1


def test_blocks_are_held_out_where_the_settings_say_so(
    samples: pd.DataFrame, codes: pd.Series
) -> None:
    with pytest.raises(LandcoverError, match="one block of 1e"):
        tune(samples, BANDS, codes, ForestSettings(holdout="blocks", block_size=1e7), 1)


def test_where_nothing_can_be_held_out_that_is_told() -> None:
    samples = pd.DataFrame(
        {"polygon_id": list("aabb"), "x": 0.0, "y": 0.0, "red": [1, 2, 8, 9], "nir": [1, 2, 3, 4]}
    )
    with pytest.raises(
        LandcoverError, match=r"No class has training polygons in two places.*--tune"
    ):
        tune(samples, ["red", "nir"], pd.Series([0, 0, 1, 1]), ForestSettings(trees=5), 3)
