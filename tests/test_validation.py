"""Validation: whole polygons held out, and every metric under the right name, with its error."""

from math import sqrt
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from landcover.classes import assign_codes
from landcover.errors import SettingsError
from landcover.model.folds import polygon_folds
from landcover.model.forest import ForestSettings, fit, new_pipeline
from landcover.model.ground import Together
from landcover.model.held_out import HeldOut, predict_held_out
from landcover.model.metrics import (
    Estimate,
    Holdout,
    Metrics,
    Overall,
    Scores,
    Suspect,
    describe_metrics,
)
from landcover.model.validation import Validation, score, validate
from tests.scenes import SEVEN, chiapas

BANDS = ["blue", "green", "red", "nir"]
FOREST = new_pipeline(ForestSettings(trees=15), jobs=1)
NAMES = {0: "Forest", 1: "Non-Forest", 4: "Water", 9: "Bosque de neblina muy húmedo"}


def clusters(polygons: dict[str, int], pixels: int = 12) -> pd.DataFrame:
    """Return samples around one centre a class, of polygons 100 apart given as id: code."""
    random = np.random.default_rng(3)
    ids = pd.Series(np.repeat(list(polygons), pixels))
    codes = ids.map(polygons)
    values = 100 * codes.to_numpy()[:, None] + random.normal(0, 30, (len(ids), 4))
    return pd.DataFrame(values, columns=BANDS).assign(
        polygon_id=ids, code=codes, x=np.repeat(np.arange(len(polygons)) * 100.0, pixels), y=0.0
    )


def coloured() -> pd.DataFrame:
    """Return samples of polygons whose colours are their own and tell nothing of their class."""
    random = np.random.default_rng(5)
    colours = np.repeat(random.uniform(0, 5000, (60, 4)), 10, axis=0)
    return pd.DataFrame(colours + random.normal(0, 1, (600, 4)), columns=BANDS).assign(
        polygon_id=np.repeat([f"p{number}" for number in range(60)], 10),
        code=np.repeat(np.arange(60) % 2, 10),
        x=np.repeat(np.arange(60) * 100.0, 10),
        y=0.0,
    )


TWO_EACH = {f"{code}-{i}": code for code in (0, 1, 4) for i in range(4)}


def predicted_for(samples: pd.DataFrame, folds: int) -> HeldOut:
    """Predict whole polygons held out."""
    codes = samples["code"]
    dealt = polygon_folds(samples["polygon_id"], codes, folds, seed=0)
    return predict_held_out(FOREST, samples[BANDS].to_numpy(), codes, dealt)


def validated(samples: pd.DataFrame, together: Together = (), **changed: object) -> Validation:
    """Train and validate a small forest."""
    forest = ForestSettings(**{"trees": 15, **changed})
    codes = samples["code"]
    names = {code: NAMES[code] for code in sorted(set(codes))}
    model = fit(samples, BANDS, codes, forest)
    return validate(model, samples, BANDS, codes, names, forest, together)


# --- predicting what was held out -----------------------------------------------------------------


def test_every_sample_of_a_validated_class_is_predicted_once_by_a_model_that_never_saw_it() -> None:
    samples = clusters({**TWO_EACH, "single": 9})
    held_out = predicted_for(samples, folds=3)
    assert held_out.folds == 3
    assert held_out.samples.tolist() == np.flatnonzero(samples.polygon_id != "single").tolist()
    np.testing.assert_array_equal(held_out.true, samples["code"][held_out.samples])
    assert np.mean(held_out.true == held_out.predicted) > 0.9


def test_predictions_and_probabilities_are_those_of_a_forest_grown_on_the_fold_s_training() -> None:
    samples = clusters({**TWO_EACH, "single": 9})
    values, codes = samples[BANDS].to_numpy(), samples["code"].to_numpy()
    plain = new_pipeline(ForestSettings(trees=15, bins=None), jobs=1)
    dealt = polygon_folds(samples["polygon_id"], samples["code"], 3, seed=0)
    held_out = predict_held_out(plain, values, samples["code"], dealt)
    for number, (train, test) in enumerate(dealt, 1):
        forest = RandomForestClassifier(15, random_state=42).fit(values[train], codes[train])
        votes = forest.predict_proba(values[test])
        here = held_out.fold == number
        assert held_out.samples[here].tolist() == test.tolist()
        assert held_out.predicted[here].tolist() == forest.predict(values[test]).tolist()
        np.testing.assert_allclose(held_out.confidence[here], votes.max(axis=1))
        columns = [list(forest.classes_).index(code) for code in codes[test]]
        np.testing.assert_allclose(
            held_out.true_confidence[here],
            [line[i] for line, i in zip(votes, columns, strict=True)],
        )


def test_the_model_handed_in_is_not_changed() -> None:
    samples = clusters(TWO_EACH)
    codes, values = samples["code"], samples[BANDS].to_numpy()
    fitted = new_pipeline(ForestSettings(trees=5), jobs=1).fit(values, codes)
    before = fitted.predict_proba(values)
    predict_held_out(fitted, values, codes, polygon_folds(samples["polygon_id"], codes, 2, seed=0))
    np.testing.assert_array_equal(fitted.predict_proba(values), before)
    assert fitted["forest"].oob_score is True


# --- the metrics ----------------------------------------------------------------------------------


def held(true: list[int], predicted: list[int], fold: list[int]) -> HeldOut:
    """Return predictions, all of them certain."""
    certain = np.ones(len(true))
    return HeldOut(
        np.arange(len(true)),
        np.array(true, np.uint8),
        np.array(predicted, np.uint8),
        np.array(fold, np.intp),
        certain,
        certain,
    )


def metrics_of(
    true: list[int], predicted: list[int], extra: dict[str, int], fold: list[int] | None = None
) -> Scores:
    """Score predictions for polygons of one pixel, and a pixel for each polygon of `extra`."""
    polygons = pd.Series([f"p{number}" for number in range(len(true))] + list(extra))
    codes = pd.Series(true + list(extra.values()))
    held_out = held(true, predicted, fold or [1] * len(true))
    return score(held_out, polygons, codes, {code: NAMES[code] for code in sorted(set(codes))})


PREDICTED = st.tuples(
    st.sampled_from([0, 1, 4]), st.sampled_from([0, 1, 4, 9]), st.sampled_from([1, 2, 3])
)


@settings(deadline=None, max_examples=40)
@given(samples=st.lists(PREDICTED, min_size=1, max_size=60))
def test_metrics_are_those_of_scikit_learn_computed_on_the_names(
    samples: list[tuple[int, int, int]],
) -> None:
    true, predicted, fold = (list(part) for part in zip(*samples, strict=True))
    found = metrics_of(true, predicted, {"a": 0, "b": 1, "c": 4, "single": 9}, fold)
    true_names, predicted_names = ([NAMES[code] for code in part] for part in (true, predicted))
    assert found.accuracy.value == pytest.approx(
        sklearn.metrics.accuracy_score(true_names, predicted_names), abs=6e-5
    )
    report = sklearn.metrics.classification_report(
        true_names,
        predicted_names,
        labels=list(NAMES.values()),
        output_dict=True,
        zero_division=0.0,
    )
    matrix = pd.crosstab(pd.Series(true_names), pd.Series(predicted_names))
    for name in NAMES.values():
        line = found.classes[name]
        if name in true_names:
            for metric, theirs in (("precision",) * 2, ("recall",) * 2, ("f1", "f1-score")):
                assert line.measures[metric].value == pytest.approx(report[name][theirs], abs=6e-5)
        else:
            assert set(line.measures.values()) == {Estimate(None)}
        assert line.pixels == true_names.count(name) + 1
        assert line.polygons == true_names.count(name) + 1
        for other in NAMES.values():
            counted = matrix[other].get(name, 0) if other in matrix else 0
            assert found.confusion_matrix[name][other] == counted
    seen = sorted(set(true_names))
    assert found.macro_f1.value == pytest.approx(
        sklearn.metrics.f1_score(
            true_names, predicted_names, labels=seen, average="macro", zero_division=0.0
        ),
        abs=6e-5,
    )
    assert list(found.not_validated) == [name for name in NAMES.values() if name not in seen]
    assert found.folds == len(set(fold))


def spread(values: list[float]) -> float | None:
    """Return the standard error of a mean, None of fewer than two values."""
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None


@settings(deadline=None, max_examples=40)
@given(samples=st.lists(PREDICTED, min_size=1, max_size=60))
def test_standard_errors_are_those_of_the_folds_that_hold_the_class(
    samples: list[tuple[int, int, int]],
) -> None:
    found = metrics_of(
        *([sample[part] for sample in samples] for part in (0, 1)),
        {"a": 0, "b": 1, "c": 4, "single": 9},
        [sample[2] for sample in samples],
    )
    parts = [
        [(true, predicted) for true, predicted, fold in samples if fold == number]
        for number in sorted({sample[2] for sample in samples})
    ]

    def f1(part: list[tuple[int, int]], code: int) -> float:
        hits = sum(true == predicted == code for true, predicted in part)
        named = sum((true == code) + (predicted == code) for true, predicted in part)
        return 2 * hits / named

    accuracies = [np.mean([true == predicted for true, predicted in part]) for part in parts]
    means = [np.mean([f1(part, code) for code in {true for true, _ in part}]) for part in parts]
    assert found.accuracy.standard_error == pytest.approx(spread(accuracies), abs=6e-5)
    assert found.macro_f1.standard_error == pytest.approx(spread(means), abs=6e-5)
    for code, name in NAMES.items():
        with_class = [part for part in parts if any(true == code for true, _ in part)]
        recalls = [
            np.mean([predicted == code for true, predicted in part if true == code])
            for part in with_class
        ]
        line = found.classes[name]
        assert line.recall.standard_error == pytest.approx(spread(recalls), abs=6e-5)
        f1s = [f1(part, code) for part in with_class]
        assert line.f1.standard_error == pytest.approx(spread(f1s), abs=6e-5)


def test_precision_and_its_error_by_hand() -> None:
    """Fold 1: two called Forest, both are. Fold 2: two called so, one is. Fold 3 has no Forest."""
    found = metrics_of(
        [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1], {"single": 9}, fold=[1, 1, 2, 2, 3, 3]
    )
    forest = found.classes["Forest"]
    assert forest.precision == Estimate(0.6, 0.25)
    assert forest.recall == Estimate(1, 0)
    # Of 1, 1/2 and 1/2: the standard deviation is 0.2887.
    assert found.accuracy == Estimate(0.6667, 0.1667)


def test_metrics_stand_under_the_names_of_their_classes() -> None:
    """Water is always right, Forest never: codes that are no positions 0, 1, 2."""
    found = metrics_of([0, 0, 4, 4, 4], [9, 9, 4, 4, 4], {"single": 9})
    classes = found.classes
    assert classes["Water"].recall == classes["Water"].precision == Estimate(1)
    assert classes["Forest"].recall == classes["Forest"].f1 == Estimate(0)
    assert found.confusion_matrix["Forest"]["Bosque de neblina muy húmedo"] == 2
    assert found.accuracy.value == 0.6
    assert found.not_validated == ("Bosque de neblina muy húmedo",)


def test_pixels_and_polygons_are_counted_for_each_class() -> None:
    samples = clusters({"a": 0, "b": 0, "c": 1, "d": 1, "e": 1, "single": 9}, pixels=5)
    classes = validated(samples).metrics.classes
    assert {name: (line.pixels, line.polygons) for name, line in classes.items()} == {
        "Forest": (10, 2),
        "Non-Forest": (15, 3),
        "Bosque de neblina muy húmedo": (5, 1),
    }


# --- memory beside skill --------------------------------------------------------------------------


def test_memory_of_a_polygon_is_called_optimism_and_not_counted_as_skill() -> None:
    metrics = validated(coloured(), trees=50).metrics
    assert metrics.oob_accuracy > 0.95
    assert metrics.random_pixels.accuracy.value > 0.95
    assert metrics.accuracy.value < 0.75
    assert metrics.optimism == pytest.approx(
        metrics.random_pixels.accuracy.value - metrics.accuracy.value, abs=1e-9
    )


def test_copies_of_polygons_are_no_skill_either() -> None:
    """Each polygon is there twice, under another id and of other pixels of the same colour."""
    samples = coloured()
    twin = samples.index % 10 // 5 == 1
    copied = samples.assign(polygon_id=samples["polygon_id"] + np.where(twin, "-copy", ""))
    together = tuple((name, f"{name}-copy") for name in samples["polygon_id"].unique())
    assert validated(copied, trees=50).metrics.accuracy.value > 0.9
    alone, found = (
        validated(samples, trees=50).metrics,
        validated(copied, together, trees=50).metrics,
    )
    assert found.accuracy.value == pytest.approx(alone.accuracy.value, abs=0.02)
    assert found.optimism == pytest.approx(alone.optimism, abs=0.03)
    # What is counted, and what is looked at as a mislabel, are the polygons as they were drawn.
    assert sum(line.polygons for line in found.classes.values()) == 120


def test_a_class_on_one_ground_is_not_validated_however_many_polygons_it_has() -> None:
    samples = clusters({**TWO_EACH, "single": 9, "copy": 9})
    found = validated(samples, together=(("single", "copy"),)).metrics
    assert found.not_validated == (NAMES[9],)
    assert found.classes[NAMES[9]].polygons == 2
    assert validated(samples).metrics.not_validated == ()


def test_without_memory_there_is_no_optimism() -> None:
    """Each sample is drawn by itself, so that its polygon tells nothing more."""
    metrics = validated(
        clusters({f"{code}-{i}": code for code in (0, 1) for i in range(20)})
    ).metrics
    assert metrics.accuracy.value > 0.9
    assert abs(metrics.optimism) < 0.03


def test_random_pixels_are_those_of_the_validated_classes() -> None:
    """Two classes are noise; a third is easy but has one polygon, so it counts for neither."""
    noise = coloured().assign(**dict.fromkeys(BANDS, 0.0))
    noise["blue"] = np.random.default_rng(1).uniform(1000, 2000, 600)
    single = noise.assign(polygon_id="single", code=9, nir=9000.0)
    metrics = validated(pd.concat([noise, single], ignore_index=True)).metrics
    assert metrics.not_validated == (NAMES[9],)
    assert metrics.accuracy.value == pytest.approx(0.5, abs=0.1)
    # Were the third class counted, it would be 0.75.
    assert metrics.random_pixels.accuracy.value == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("column", ["id", "class"])
def test_chiapas_is_nearly_perfect_on_random_pixels_and_far_from_it_on_held_out_polygons(
    column: str,
) -> None:
    """As published (shared/real/README.md): out of bag 0.9882, whole polygons held out about 0.78.

    The two columns of labels, which differ on two polygons, give 0.75 and 0.82.
    """
    samples = chiapas(SEVEN, column=column, all_touched=True)
    assert len(samples) == 1100
    codes = samples["class_label"].map(assign_codes(samples["class_label"], {}))
    names = {code: str(code) for code in codes.unique()}
    found = []
    for seed in range(3):
        forest = ForestSettings(trees=60, seed=seed)
        model = fit(samples, list(SEVEN), codes, forest)
        found.append(validate(model, samples, list(SEVEN), codes, names, forest).metrics.to_json())
    means = pd.DataFrame(found)[["oob_accuracy", "accuracy", "optimism"]].mean()
    random = np.mean([line["random_pixels"]["accuracy"] for line in found])
    assert means["oob_accuracy"] == pytest.approx(0.9882, abs=0.005)
    assert random == pytest.approx(0.99, abs=0.01)
    assert means["accuracy"] == pytest.approx(0.78, abs=0.05)
    assert means["optimism"] == pytest.approx(0.21, abs=0.05)


# --- blocks and caps ------------------------------------------------------------------------------


def test_blocks_hold_neighbours_out_too() -> None:
    """Polygons come in pairs of one colour, 100 apart: only blocks of pairs part them."""
    samples = coloured()
    pair = np.arange(600) // 20
    alike = samples.assign(
        **{band: samples[band].groupby(pair).transform("first") for band in BANDS},
        code=pair % 2,
    )
    polygons = validated(alike, trees=50).metrics
    blocks = validated(alike, trees=50, holdout="blocks", block_size=200).metrics
    assert polygons.accuracy.value > 0.8
    assert blocks.accuracy.value < 0.7
    assert polygons.holdout == Holdout("polygons")
    assert blocks.holdout == Holdout("blocks", 200)


def test_blocks_that_hold_all_polygons_are_refused() -> None:
    with pytest.raises(SettingsError, match="All training polygons lie in one block"):
        validated(clusters(TWO_EACH), holdout="blocks", block_size=5000)


def test_with_a_cap_every_pixel_is_still_held_out() -> None:
    found = validated(clusters(TWO_EACH), max_pixels_per_class=5)
    assert found.polygons["pixels"].tolist() == [12] * 12
    counted = pd.DataFrame(found.metrics.confusion_matrix).to_numpy().sum()
    assert counted == 144


# --- too little to validate -----------------------------------------------------------------------


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_where_every_class_has_one_polygon_nothing_is_validated_and_that_is_said() -> None:
    found = validated(clusters({"a": 0, "b": 1, "c": 4}))
    metrics = found.metrics
    nothing = Overall(Estimate(None), Estimate(None), folds=0)
    assert (metrics.accuracy, metrics.macro_f1, metrics.folds) == (Estimate(None),) * 2 + (0,)
    assert metrics.random_pixels == nothing
    assert metrics.optimism is None
    assert metrics.not_validated == ("Forest", "Non-Forest", "Water")
    assert found.polygons.empty
    text = describe_metrics(metrics)
    assert "not validated (whole polygons held out)" in text
    assert "not validated, polygons in fewer than two places: Forest, Non-Forest, Water" in text
    assert "true class" not in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pixels", [1, 9])
@pytest.mark.parametrize("together", [(), (("a", "b", "c"),), (("a", "c"), ("b", "d"))])
@pytest.mark.parametrize(
    "changed",
    [{}, {"trees": 1, "max_pixels_per_class": 1}, {"holdout": "blocks", "block_size": 50}],
)
def test_a_handful_of_samples_is_validated_as_far_as_it_goes_without_a_word_of_the_library(
    pixels: int, together: Together, changed: dict[str, object]
) -> None:
    samples = clusters({"a": 0, "b": 0, "c": 1, "d": 1, "e": 4, "f": 9}, pixels)
    metrics = validated(samples, together, **changed).metrics
    assert Metrics.from_json(metrics.to_json()) == metrics
    assert {NAMES[4], NAMES[9]} <= set(metrics.not_validated)
    assert describe_metrics(metrics)


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_classes_of_one_polygon_are_trained_on_while_the_others_are_validated() -> None:
    held_out = predicted_for(clusters({"a": 0, "b": 0, "c": 1}), folds=5)
    assert held_out.folds == 2
    assert set(held_out.true) == {0}


def test_a_mislabelled_polygon_is_suspected() -> None:
    mislabelled = clusters({**TWO_EACH, "single": 9})
    mislabelled.loc[mislabelled["polygon_id"] == "0-0", "code"] = 4
    found = validated(mislabelled)
    (suspect,) = found.metrics.suspected_mislabels
    row = found.polygons.set_index("polygon_id").loc["0-0"]
    assert (suspect.polygon_id, suspect.class_label, suspect.pixels) == ("0-0", "Water", 12)
    assert suspect.predicted_label == row["predicted_label"]
    assert suspect.true_confidence == pytest.approx(row["true_confidence"], abs=6e-5)


# --- in words -------------------------------------------------------------------------------------


def test_the_text_has_a_line_for_each_class_however_long_its_name() -> None:
    names = {
        0: "Forest",
        4: "Water",
        7: "Bosque siempreverde montano bajo de la cordillera occidental de los Andes, intervenido",
    }
    held_out = held([0, 0, 7, 7], [0, 7, 7, 7], [1, 2, 1, 2])
    polygons, codes = pd.Series(list("abcde")), pd.Series([0, 0, 7, 7, 4])
    suspects = [
        Suspect(f"p{number}", "Forest", 8, 1, "Water", 0.875, 0.125, 0.9, 0.1)
        for number in range(12)
    ]
    found = Metrics(
        **vars(score(held_out, polygons, codes, names)),
        holdout=Holdout("polygons"),
        random_pixels=Overall(Estimate(0.931, 0.012), Estimate(0.9), folds=2),
        optimism=0.181,
        oob_accuracy=0.91,
        suspected_mislabels=tuple(suspects),
    )
    text = describe_metrics(found)
    lines = text.splitlines()
    for name in names.values():
        # A line with its metrics, a line and a column of the confusion matrix.
        assert sum(line.startswith(name) for line in lines) == 2
        assert any(name in line and not line.startswith(name) for line in lines)
    # Right in both of fold 1, in one of two of fold 2.
    assert lines[0].startswith("accuracy 0.750 ±0.250 (whole polygons held out, 2 folds")
    assert "optimism 0.181" in text
    assert "0.931 ±0.012" in text
    assert "out-of-bag accuracy 0.910" in text
    assert "not validated, polygons in fewer than two places: Water" in text
    water = next(line for line in lines if line.startswith("Water"))
    assert water.split() == ["Water", "-", "-", "-", "1", "1"]
    forest = next(line for line in lines if line.startswith("Forest"))
    assert forest.split() == (
        ["Forest", "1.000", "±0.500", "0.500", "±0.500", "0.667", "±0.500", "2", "2"]
    )
    suspects = lines[lines.index("polygons that the model contradicts: 12") + 1 :]
    assert suspects[0] == "  p0: drawn as Forest, 88% of its 8 pixels look like Water"
    assert len(suspects) == 11
    assert suspects[-1] == "  and 2 more"
