"""How good a model is, by predicting polygons that it was not trained on."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline

Indices = NDArray[np.intp]


def polygon_folds(
    polygons: pd.Series, codes: pd.Series, folds: int, seed: int
) -> Iterator[tuple[Indices, Indices]]:
    """Deal whole polygons into folds, each class evenly, and yield (training, held-out) samples.

    Pixels of one polygon are near copies of each other, so a split that parts a polygon measures
    memory, not skill. The polygons of a class that has only one stay in training always: held out,
    their class would be unknown to the model.

    Args:
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        folds: how many folds; fewer where no class has so many polygons.
        seed: of the dealing.
    """
    classes = codes.groupby(polygons).first()
    counts = classes.map(classes.value_counts())
    dealt = classes[counts > 1]
    if dealt.empty:
        return
    folder = StratifiedKFold(min(folds, int(counts.max())), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class of fewer polygons than folds is in some of the folds only: as it should be.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = list(folder.split(dealt.index, dealt))
    for _, held_out in parts:
        test = polygons.isin(dealt.index[held_out]).to_numpy()
        yield np.flatnonzero(~test), np.flatnonzero(test)


@dataclass(frozen=True)
class HeldOut:
    """Predictions for samples whose polygon was held out of training.

    Attributes:
        samples: row numbers of the samples.
        true: their class codes.
        predicted: the class codes predicted.
        folds: how many forests predicted them.
    """

    samples: Indices
    true: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    folds: int


def predict_held_out(
    pipeline: Pipeline,
    values: NDArray[np.generic],
    polygons: pd.Series,
    codes: pd.Series,
    folds: int,
    seed: int,
) -> HeldOut:
    """Predict each polygon by a model trained on others.

    Args:
        pipeline: the model; it is cloned, not changed.
        values: raw band values, (samples, bands).
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        folds: how many parts to deal the polygons into.
        seed: of the dealing.
    """
    known = codes.to_numpy(np.uint8)
    model = clone(pipeline).set_params(forest__oob_score=False)
    samples: list[Indices] = [np.empty(0, np.intp)]
    predicted: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)]
    for train, test in polygon_folds(polygons, codes, folds, seed):
        samples.append(test)
        model.set_params(forest__n_jobs=-1).fit(values[train], known[train])
        # On one core the trees' votes are summed in one order, so that ties fall the same way.
        predicted.append(model.set_params(forest__n_jobs=1).predict(values[test]))
    rows = np.concatenate(samples)
    return HeldOut(rows, known[rows], np.concatenate(predicted), len(samples) - 1)


def score(
    held_out: HeldOut, polygons: pd.Series, codes: pd.Series, names: Mapping[int, str]
) -> dict[str, object]:
    """Return the metrics that are printed and stored, every class under its name.

    Args:
        held_out: what `predict_held_out` found.
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        names: the name of each class code.

    Returns:
        `accuracy` and `macro_f1` (None where no class could be validated), `folds`,
        `not_validated` (names of classes with a single polygon), `classes` (for each name
        `precision`, `recall`, `f1`, `pixels`, `polygons`) and `confusion_matrix`
        (pixels, by true name, then by predicted name).
    """
    every = sorted(names)
    validated = np.isin(every, held_out.true)
    matrix = _confusion(held_out, every)
    right, predicted, true = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(true, 1)
    f1 = 2 * right / np.maximum(predicted + true, 1)
    classes = {
        names[code]: {
            "precision": _rounded(precision[i]) if validated[i] else None,
            "recall": _rounded(recall[i]) if validated[i] else None,
            "f1": _rounded(f1[i]) if validated[i] else None,
            "pixels": int((codes == code).sum()),
            "polygons": int(polygons[codes == code].nunique()),
        }
        for i, code in enumerate(every)
    }
    any_validated = bool(validated.any())
    return {
        "accuracy": _rounded(right.sum() / matrix.sum()) if any_validated else None,
        "macro_f1": _rounded(f1[validated].mean()) if any_validated else None,
        "validation": "whole polygons held out",
        "folds": held_out.folds,
        "not_validated": [
            names[code] for code, was in zip(every, validated, strict=True) if not was
        ],
        "classes": classes,
        "confusion_matrix": {
            names[known]: {names[code]: int(matrix[i, j]) for j, code in enumerate(every)}
            for i, known in enumerate(every)
        },
    }


def _confusion(held_out: HeldOut, every: list[int]) -> NDArray[np.intp]:
    """Count samples by true class (rows) and predicted class (columns).

    scikit-learn's metrics refuse to count none.
    """
    matrix = np.zeros((len(every), len(every)), dtype=np.intp)
    places = np.searchsorted(every, held_out.true), np.searchsorted(every, held_out.predicted)
    np.add.at(matrix, places, 1)
    return matrix


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the metrics that `score` made as lines of text."""
    overall = [
        f"{name.replace('_', ' ')} {metrics[name]:.3f}"
        for name in ("accuracy", "macro_f1", "oob_accuracy")
        if metrics.get(name) is not None
    ]
    classes = pd.DataFrame(metrics["classes"]).T.astype({"pixels": int, "polygons": int})
    matrix = pd.DataFrame(metrics["confusion_matrix"]).T
    how = f"{metrics['validation']}, {metrics['folds']} folds"
    return "\n".join(
        [
            f"{', '.join(overall) or 'not validated'} ({how})",
            classes.to_string(na_rep="-", float_format="{:.3f}".format),
            "pixels by true class (rows) and predicted class (columns)",
            matrix.to_string(),
        ]
    )


def _rounded(value: float) -> float:
    return round(float(value), 4)
