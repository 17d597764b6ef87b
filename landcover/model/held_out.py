"""Predictions for samples by a model that was not trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from landcover.model.folds import Fold, Indices


@dataclass(frozen=True)
class HeldOut:
    """Predictions for samples that were held out of training, each array (samples,).

    Attributes:
        samples: row numbers of the samples.
        true: their class codes.
        predicted: the class codes predicted.
        fold: the number, from 1, of the fold that each was held out in.
        confidence: the forest's probability of the class predicted, 0 to 1.
        true_confidence: its probability of the true class, 0 to 1.
    """

    samples: Indices
    true: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    fold: Indices
    confidence: NDArray[np.float64]
    true_confidence: NDArray[np.float64]

    @property
    def folds(self) -> int:
        """How many forests predicted them."""
        return np.unique(self.fold).size


def predict_held_out(
    pipeline: Pipeline, values: NDArray[np.generic], codes: pd.Series, folds: Sequence[Fold]
) -> HeldOut:
    """Predict the held-out samples of each fold by a model trained on its training samples.

    Args:
        pipeline: the model; it is cloned, not changed.
        values: raw band values, (samples, bands).
        codes: the class code of each sample.
        folds: row numbers of the training and of the held-out samples of each fold (see
            `landcover.model.folds`); no sample is held out twice.
    """
    known = codes.to_numpy(np.uint8)
    classes, place = np.unique(known, return_inverse=True)
    fold = np.zeros(len(known), np.intp)
    votes = np.zeros((len(known), len(classes)))
    model = clone(pipeline).set_params(forest__oob_score=False)
    for number, (train, test) in enumerate(folds, 1):
        model.set_params(forest__n_jobs=-1).fit(values[train], known[train])
        # On one core the trees' votes are summed in one order, so that ties fall the same way.
        found = model.set_params(forest__n_jobs=1).predict_proba(values[test])
        votes[np.ix_(test, np.searchsorted(classes, model.classes_))] = found
        fold[test] = number
    rows = np.flatnonzero(fold)
    return HeldOut(
        samples=rows,
        true=known[rows],
        predicted=classes[votes[rows].argmax(axis=1)],
        fold=fold[rows],
        confidence=votes[rows].max(axis=1),
        true_confidence=votes[rows, place[rows]],
    )
