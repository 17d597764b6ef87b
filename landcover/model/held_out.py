"""Predictions for samples by a model that was not trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from landcover.model.folds import Fold, Indices
from landcover.model.forest import without_false_alarms


@dataclass(frozen=True)
class HeldOut:
    """Predictions for samples that were held out of training; each array is (samples,)."""

    samples: Indices
    """Row numbers of the samples."""

    true: NDArray[np.uint8]
    """Their class codes."""

    predicted: NDArray[np.uint8]
    """The class codes predicted."""

    fold: Indices
    """The number, from 1, of the fold that each was held out in."""

    confidence: NDArray[np.float64]
    """The forest's probability of the class predicted, 0 to 1."""

    true_confidence: NDArray[np.float64]
    """Its probability of the true class, 0 to 1."""

    @property
    def folds(self) -> int:
        """How many forests predicted them."""
        return np.unique(self.fold).size


def predict_held_out(
    pipeline: Pipeline, values: NDArray[np.generic], codes: pd.Series, folds: Sequence[Fold]
) -> HeldOut:
    """Predict the held-out samples of each fold with a model trained on its training samples.

    Args:
        pipeline: the model; it is cloned, not changed.
        values: raw band values, (samples, bands).
        codes: the class code of each sample.
        folds: row numbers of the training and of the held-out samples of each fold (see
            `landcover.model.folds`); no sample is held out twice.
    """
    true = codes.to_numpy(np.uint8)
    classes, place = np.unique(true, return_inverse=True)
    fold = np.zeros(len(true), np.intp)
    votes = np.zeros((len(true), len(classes)))
    model = clone(pipeline).set_params(forest__oob_score=False)
    for number, (train, test) in enumerate(folds, 1):
        with without_false_alarms():
            model.set_params(forest__n_jobs=-1).fit(values[train], true[train])
        # On one core the trees' votes are summed in a fixed order, so that ties fall the same way.
        shares = model.set_params(forest__n_jobs=1).predict_proba(values[test])
        votes[np.ix_(test, np.searchsorted(classes, model.classes_))] = shares
        fold[test] = number
    rows = np.flatnonzero(fold)
    return HeldOut(
        samples=rows,
        true=true[rows],
        predicted=classes[votes[rows].argmax(axis=1)],
        fold=fold[rows],
        confidence=votes[rows].max(axis=1),
        true_confidence=votes[rows, place[rows]],
    )
