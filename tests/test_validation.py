"""Validation: whole polygons held out, and every metric under the right name."""

import json

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from landcover.training import ForestSettings, new_pipeline
from landcover.validation import (
    HeldOut,
    describe_metrics,
    polygon_folds,
    predict_held_out,
    score,
)

# --- the folds ------------------------------------------------------------------------------------


@st.composite
def labelled(draw: st.DrawFn) -> tuple[pd.Series, pd.Series]:
    """Draw samples: the polygon id and the class code of each, in any order."""
    counts = draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    codes = {f"{code}-{i}": 3 * code for code, count in enumerate(counts) for i in range(count)}
    sizes = [draw(st.integers(1, 4)) for _ in codes]
    ids = [name for name, size in zip(codes, sizes, strict=True) for _ in range(size)]
    polygons = pd.Series(draw(st.permutations(ids)))
    return polygons, polygons.map(codes)


@given(samples=labelled(), folds=st.integers(2, 8), seed=st.integers(0, 99))
def test_folds_hold_whole_polygons_out_once_and_never_a_whole_class(
    samples: tuple[pd.Series, pd.Series], folds: int, seed: int
) -> None:
    polygons, codes = samples
    number = polygons.groupby(codes).nunique()
    validated = codes.map(number) > 1
    held_out: list[int] = []
    dealt = list(polygon_folds(polygons, codes, folds, seed))
    assert len(dealt) <= folds
    for train, test in dealt:
        assert set(train) | set(test) == set(range(len(polygons)))
        assert not set(train) & set(test)
        assert not set(polygons[train]) & set(polygons[test])
        assert set(codes[test]) <= set(codes[train])
        held_out.extend(test)
    assert sorted(held_out) == np.flatnonzero(validated).tolist()


@given(samples=labelled(), folds=st.integers(2, 8))
def test_folds_deal_the_polygons_of_each_class_evenly(
    samples: tuple[pd.Series, pd.Series], folds: int
) -> None:
    polygons, codes = samples
    dealt = [test for _, test in polygon_folds(polygons, codes, folds, seed=0)]
    for code, count in polygons.groupby(codes).nunique().items():
        shares = [polygons[test][codes[test] == code].nunique() for test in dealt]
        if count > 1:
            assert sum(shares) == count
            assert max(shares) - min(shares) <= 1


def test_the_same_seed_deals_the_same_folds_and_another_seed_others() -> None:
    polygons = pd.Series([f"p{number}" for number in range(40)])
    codes = pd.Series([0, 1] * 20)
    first, again, other = (
        [test.tolist() for _, test in polygon_folds(polygons, codes, 5, seed)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


# --- predicting what was held out -----------------------------------------------------------------

FOREST = new_pipeline(ForestSettings(trees=15), jobs=1)
BETTER_NAMES = {0: "Forest", 1: "Non-Forest", 4: "Water", 9: "Bosque de neblina muy húmedo"}


def clusters(
    polygons: dict[str, int], pixels: int = 12, spread: float = 30
) -> tuple[NDArray[np.float64], pd.Series, pd.Series]:
    """Return values around one centre a class, with ids and codes of polygons given as id: code."""
    random = np.random.default_rng(3)
    ids = pd.Series(np.repeat(list(polygons), pixels))
    codes = ids.map(polygons)
    values = 100 * codes.to_numpy()[:, None] + random.normal(0, spread, (len(ids), 4))
    return values, ids, codes


TWO_EACH = {f"{code}-{i}": code for code in (0, 1, 4) for i in range(4)}


def test_every_sample_of_a_validated_class_is_predicted_once_by_a_model_that_never_saw_it() -> None:
    values, ids, codes = clusters({**TWO_EACH, "single": 9})
    held_out = predict_held_out(FOREST, values, ids, codes, folds=3, seed=0)
    assert held_out.folds == 3
    assert sorted(held_out.samples) == np.flatnonzero(ids != "single").tolist()
    np.testing.assert_array_equal(held_out.true, codes[held_out.samples])
    assert np.mean(held_out.true == held_out.predicted) > 0.9


def test_memory_of_a_polygon_is_not_counted_as_skill() -> None:
    """Each polygon has a colour of its own that tells nothing of its class."""
    random = np.random.default_rng(5)
    ids = pd.Series(np.repeat([f"p{number}" for number in range(60)], 10))
    codes = pd.Series(np.repeat(np.arange(60) % 2, 10))
    values = np.repeat(random.uniform(0, 5000, (60, 4)), 10, axis=0) + random.normal(0, 1, (600, 4))
    leaky = FOREST.fit(values, codes)["forest"].oob_score_
    held_out = predict_held_out(FOREST, values, ids, codes, folds=5, seed=0)
    assert leaky > 0.95
    assert np.mean(held_out.true == held_out.predicted) < 0.75


def test_the_model_handed_in_is_not_changed() -> None:
    values, ids, codes = clusters(TWO_EACH)
    fitted = new_pipeline(ForestSettings(trees=5), jobs=1).fit(values, codes)
    before = fitted.predict_proba(values)
    predict_held_out(fitted, values, ids, codes, folds=2, seed=0)
    np.testing.assert_array_equal(fitted.predict_proba(values), before)
    assert fitted["forest"].oob_score is True


# --- the metrics ----------------------------------------------------------------------------------


def metrics_of(
    true: list[int], predicted: list[int], extra: dict[str, int] | None = None
) -> dict[str, object]:
    """Score predictions for polygons of one pixel, and a pixel for each polygon of `extra`."""
    extra = extra or {}
    polygons = pd.Series([f"p{number}" for number in range(len(true))] + list(extra))
    codes = pd.Series(true + list(extra.values()))
    rows = np.arange(len(true))
    held_out = HeldOut(rows, np.array(true, np.uint8), np.array(predicted, np.uint8), folds=4)
    return score(
        held_out, polygons, codes, {code: BETTER_NAMES[code] for code in sorted(set(codes))}
    )


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from([0, 1, 4]), st.sampled_from([0, 1, 4, 9])),
        min_size=1,
        max_size=60,
    )
)
def test_metrics_are_those_of_scikit_learn_computed_on_the_names(
    pairs: list[tuple[int, int]],
) -> None:
    true, predicted = (list(part) for part in zip(*pairs, strict=True))
    found = metrics_of(true, predicted, {"a": 0, "b": 1, "c": 4, "single": 9})
    true_names, predicted_names = (
        [BETTER_NAMES[code] for code in part] for part in (true, predicted)
    )
    assert found["accuracy"] == pytest.approx(
        sklearn.metrics.accuracy_score(true_names, predicted_names), abs=6e-5
    )
    report = sklearn.metrics.classification_report(
        true_names,
        predicted_names,
        labels=list(BETTER_NAMES.values()),
        output_dict=True,
        zero_division=0.0,
    )
    matrix = pd.crosstab(pd.Series(true_names), pd.Series(predicted_names))
    for name in BETTER_NAMES.values():
        line = found["classes"][name]
        if name in true_names:
            for metric, theirs in (("precision",) * 2, ("recall",) * 2, ("f1", "f1-score")):
                assert line[metric] == pytest.approx(report[name][theirs], abs=6e-5)
        else:
            assert (line["precision"], line["recall"], line["f1"]) == (None, None, None)
        assert line["pixels"] == true_names.count(name) + 1
        assert line["polygons"] == true_names.count(name) + 1
        for other in BETTER_NAMES.values():
            counted = matrix[other].get(name, 0) if other in matrix else 0
            assert found["confusion_matrix"][name][other] == counted
    seen = sorted(set(true_names))
    assert found["macro_f1"] == pytest.approx(
        sklearn.metrics.f1_score(
            true_names, predicted_names, labels=seen, average="macro", zero_division=0.0
        ),
        abs=6e-5,
    )
    assert found["not_validated"] == [name for name in BETTER_NAMES.values() if name not in seen]


def test_metrics_stand_under_the_names_of_their_classes() -> None:
    """Water is always right, Forest never: codes that are no positions 0, 1, 2."""
    found = metrics_of([0, 0, 4, 4, 4], [9, 9, 4, 4, 4], {"single": 9})
    classes = found["classes"]
    assert classes["Water"]["recall"] == classes["Water"]["precision"] == 1
    assert classes["Forest"]["recall"] == classes["Forest"]["f1"] == 0
    assert found["confusion_matrix"]["Forest"]["Bosque de neblina muy húmedo"] == 2
    assert found["accuracy"] == 0.6
    assert found["not_validated"] == ["Bosque de neblina muy húmedo"]
    assert found["folds"] == 4


def test_pixels_and_polygons_are_counted_for_each_class() -> None:
    values, ids, codes = clusters({"a": 0, "b": 0, "c": 1, "d": 1, "e": 1, "single": 9}, pixels=5)
    held_out = predict_held_out(FOREST, values, ids, codes, folds=5, seed=0)
    classes = score(held_out, ids, codes, {0: "Forest", 1: "Non-Forest", 9: "Haze"})["classes"]
    assert {name: (line["pixels"], line["polygons"]) for name, line in classes.items()} == {
        "Forest": (10, 2),
        "Non-Forest": (15, 3),
        "Haze": (5, 1),
    }


def test_metrics_can_be_kept_as_json() -> None:
    found = metrics_of([0, 1, 4], [0, 1, 1], {"single": 9})
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.filterwarnings("error")
def test_where_every_class_has_one_polygon_nothing_is_validated_and_that_is_said() -> None:
    values, ids, codes = clusters({"a": 0, "b": 1, "c": 4})
    held_out = predict_held_out(FOREST, values, ids, codes, folds=5, seed=0)
    found = score(held_out, ids, codes, {0: "Forest", 1: "Non-Forest", 4: "Water"})
    assert (found["accuracy"], found["macro_f1"], found["folds"]) == (None, None, 0)
    assert found["not_validated"] == ["Forest", "Non-Forest", "Water"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = describe_metrics(found)
    assert "not validated" in text
    assert all(name in text for name in ("Forest", "Non-Forest", "Water"))


@pytest.mark.filterwarnings("error")
def test_classes_of_one_polygon_are_trained_on_while_the_others_are_validated() -> None:
    values, ids, codes = clusters({"a": 0, "b": 0, "c": 1})
    held_out = predict_held_out(FOREST, values, ids, codes, folds=5, seed=0)
    assert held_out.folds == 2
    assert set(held_out.true) == {0}


# --- in words -------------------------------------------------------------------------------------


def test_the_text_has_a_line_for_each_class_however_long_its_name() -> None:
    names = {
        0: "Forest",
        4: "Water",
        7: "Bosque siempreverde montano bajo de la cordillera occidental de los Andes, intervenido",
    }
    held_out = HeldOut(
        np.arange(4), np.array([0, 0, 7, 7], np.uint8), np.array([0, 7, 7, 7], np.uint8), folds=2
    )
    polygons, codes = pd.Series(list("abcde")), pd.Series([0, 0, 7, 7, 4])
    found = {**score(held_out, polygons, codes, names), "oob_accuracy": 0.91}
    text = describe_metrics(found)
    lines = text.splitlines()
    for name in names.values():
        # A line with its metrics, a line and a column of the confusion matrix.
        assert sum(line.startswith(name) for line in lines) == 2
        assert any(name in line and not line.startswith(name) for line in lines)
    assert "accuracy 0.750" in lines[0]
    assert "oob accuracy 0.910" in lines[0]
    assert "2 folds" in lines[0]
    water = next(line for line in lines if line.startswith("Water"))
    assert water.split() == ["Water", "-", "-", "-", "1", "1"]
    forest = next(line for line in lines if line.startswith("Forest"))
    assert forest.split() == ["Forest", "1.000", "0.500", "0.667", "2", "2"]
