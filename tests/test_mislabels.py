"""Polygons one by one, and those whose label the model contradicts."""

import numpy as np
import pandas as pd
import pytest

from landcover.classes import assign_codes, class_names
from landcover.model.folds import polygon_folds
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.model.held_out import HeldOut, predict_held_out
from landcover.model.mislabels import held_out_by_polygon, suspected_mislabels
from tests.scenes import SEVEN, chiapas, costa_rica

NAMES = {0: "Forest", 1: "Non-Forest", 4: "Water"}

# Row, polygon, true and predicted code, fold, confidence, confidence in the true class.
PIXELS = [
    (0, "b", 0, 0, 2, 0.9, 0.9),
    (1, "b", 0, 4, 2, 0.5, 0.1),
    (2, "b", 0, 0, 2, 0.7, 0.7),
    (4, "a", 4, 1, 1, 0.6, 0.2),
    (5, "a", 4, 1, 1, 0.8, 0.1),
    (6, "c", 1, 4, 1, 1.0, 0.0),
    (7, "d", 1, 0, 1, 0.4, 0.3),
    (8, "d", 1, 1, 1, 0.4, 0.4),
    (9, "d", 1, 4, 1, 0.4, 0.2),
    (10, "d", 1, 4, 1, 0.4, 0.3),
    (11, "d", 1, 0, 1, 0.4, 0.3),
]


@pytest.fixture
def table() -> pd.DataFrame:
    """The table of `PIXELS`; row 3 belongs to a polygon that is never held out."""
    rows, ids, true, predicted, fold, confidence, own = zip(*PIXELS, strict=True)
    held_out = HeldOut(
        np.array(rows),
        np.array(true, np.uint8),
        np.array(predicted, np.uint8),
        np.array(fold),
        np.array(confidence),
        np.array(own),
    )
    polygons = pd.Series([*ids[:3], "single", *ids[3:]])
    return held_out_by_polygon(held_out, polygons, NAMES)


def test_each_held_out_polygon_has_a_row_of_what_most_of_its_pixels_look_like(
    table: pd.DataFrame,
) -> None:
    expected = pd.DataFrame(
        [
            ("b", "Forest", 3, 2, "Forest", 2 / 3, 2 / 3, 0.7, 1.7 / 3),
            ("a", "Water", 2, 1, "Non-Forest", 1.0, 0.0, 0.7, 0.15),
            ("c", "Non-Forest", 1, 1, "Water", 1.0, 0.0, 1.0, 0.0),
            # Two of five look like Forest and two like Water: the lower code.
            ("d", "Non-Forest", 5, 1, "Forest", 0.4, 0.2, 0.4, 0.3),
        ],
        columns=[
            "polygon_id", "class_label", "pixels", "fold", "predicted_label", "predicted_share",
            "agreement", "confidence", "true_confidence",
        ],
    )  # fmt: skip
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, ["c", "a"]), (0.4, ["c", "a", "d"]), (1.0, ["c", "a"])]
)
def test_polygons_whose_pixels_mostly_look_like_another_class_are_suspected_clearest_first(
    table: pd.DataFrame, share: float, expected: list[str]
) -> None:
    assert suspected_mislabels(table, share)["polygon_id"].tolist() == expected


def suspects(samples: pd.DataFrame, labels: pd.Series, seed: int) -> list[str]:
    """Return the polygons suspected where the samples have these labels, the clearest first."""
    bands = samples.columns.drop(["polygon_id", "class_label", "x", "y"])
    codes = labels.map(assign_codes(labels, {}))
    forest = new_pipeline(ForestSettings(trees=30, seed=seed))
    dealt = polygon_folds(samples["polygon_id"], codes, 5, seed)
    held_out = predict_held_out(forest, samples[bands].to_numpy(), codes, dealt)
    names = class_names(assign_codes(labels, {}), {})
    table = held_out_by_polygon(held_out, samples["polygon_id"], names)
    return suspected_mislabels(table)["polygon_id"].tolist()


def found_first(samples: pd.DataFrame, rarest: int, trials: int = 6, wrong: int = 3) -> float:
    """Return the share of polygons, relabelled at random, that are among the first suspected.

    The first are as many as were relabelled, after the polygons that were suspected before.

    Args:
        samples: of a real scene.
        rarest: only classes of so many polygons and more take part.
        trials: how often polygons are relabelled.
        wrong: how many each time.
    """
    labels = samples.groupby("polygon_id")["class_label"].first()
    common = labels.value_counts().loc[lambda counts: counts >= rarest].index
    random = np.random.default_rng(1)
    found = []
    for seed in range(trials):
        before = suspects(samples, samples["class_label"], seed)
        sound = labels[labels.isin(common) & ~labels.index.isin(before)]
        chosen = random.choice(sound.index, wrong, replace=False)
        mistaken = labels.copy()
        for polygon in chosen:
            mistaken[polygon] = random.choice(common.drop(labels[polygon]))
        after = suspects(samples, samples["polygon_id"].map(mistaken), seed)
        first = [polygon for polygon in after if polygon not in before][:wrong]
        found += [polygon in first for polygon in chosen]
    return float(np.mean(found))


def test_polygons_of_costa_rica_given_the_other_label_are_the_first_suspected() -> None:
    """By chance it would be one in ten."""
    assert found_first(costa_rica(), rarest=2) > 0.8


def test_polygons_of_chiapas_given_a_wrong_label_are_the_first_suspected() -> None:
    """Its five classes are confused by themselves; two polygons of urban land tell nothing."""
    assert found_first(chiapas(SEVEN, column="class"), rarest=5) > 0.8
