"""How good a model is, by predicting polygons that it was not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import Pipeline

from landcover.model.folds import capped, month_folds, pixel_folds, validation_folds
from landcover.model.forest import ForestSettings, oob_accuracy
from landcover.model.ground import Together, ground_of
from landcover.model.held_out import HeldOut, predict_held_out
from landcover.model.metrics import (
    BY_CLASS,
    CarriedOver,
    ClassMetrics,
    Estimate,
    Holdout,
    Metrics,
    Overall,
    Scores,
)
from landcover.model.mislabels import held_out_by_polygon, suspects

# No class has this code; it keys the measures over all classes.
ALL = -1

# At most this many of the random folds are predicted. They differ little, so two are enough to tell
# the accuracy; all would take as long as the validation itself, about four times the training.
RANDOM_FOLDS = 2


@dataclass(frozen=True)
class Validation:
    """How good a model is, and what was predicted for each polygon."""

    metrics: Metrics

    polygons: pd.DataFrame
    """A row for each polygon that was held out (see `held_out_by_polygon`)."""


def validate(
    pipeline: Pipeline,
    samples: pd.DataFrame,
    bands: Sequence[str],
    codes: pd.Series,
    names: Mapping[int, str],
    settings: ForestSettings,
    together: Together = (),
    months: pd.Series | None = None,
) -> Validation:
    """Cross-validate a trained model with whole polygons or blocks held out, and whole months.

    The same is then done with single pixels held out: how much better that looks is the share of
    the accuracy that is memory of the same polygon.

    Args:
        pipeline: the model, trained on all samples; it is not changed.
        samples: a row for each sample, with `polygon_id`, `x`, `y` and a column for each of
            `bands`.
        bands: the columns that the model reads, in order.
        codes: the class code of each sample.
        names: the name of each class code.
        settings: of the forest and its validation.
        together: the ids of polygons that lie on the same ground, which are held out together.
        months: the month of each sample; None where all are of one.

    Raises:
        SettingsError: if blocks are to be held out, and no class lies in two of them.
    """
    values = samples[list(bands)].to_numpy()
    polygons = samples["polygon_id"]
    folds = validation_folds(samples, codes, settings, together)
    held_out = predict_held_out(pipeline, values, codes, folds)
    pixels = pixel_folds(codes, held_out.samples, settings.folds, settings.seed)[:RANDOM_FOLDS]
    at_random = predict_held_out(pipeline, values, codes, capped(pixels, codes, settings))
    scores = score(held_out, polygons, codes, names)
    random = score(at_random, polygons, codes, names)
    by_polygon = held_out_by_polygon(held_out, polygons, names)
    carried_over = None
    if months is not None:
        grounds = ground_of(polygons, together)
        left_out = capped(month_folds(months, grounds, codes, settings.seed), codes, settings)
        of_months = predict_held_out(pipeline, values, codes, left_out)
        carried_over = _carried_over(of_months, months, sorted(names))
    metrics = Metrics(
        **vars(scores),
        holdout=_holdout(settings),
        random_pixels=Overall(random.accuracy, random.macro_f1, random.folds),
        optimism=_difference(random.accuracy.value, scores.accuracy.value),
        oob_accuracy=_rounded(oob_accuracy(pipeline, codes, settings)),
        suspected_mislabels=suspects(by_polygon),
        carried_over=carried_over,
    )
    return Validation(metrics, by_polygon)


def score(
    held_out: HeldOut, polygons: pd.Series, codes: pd.Series, names: Mapping[int, str]
) -> Scores:
    """Return how well held-out pixels are predicted.

    Values are those of all held-out pixels together; their standard errors are taken over the
    folds. Folds that hold no pixel of a class are left out for that class.

    Args:
        held_out: what `predict_held_out` found.
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        names: the name of each class code.
    """
    every = sorted(names)
    values, errors = _measure_with_errors(held_out, every)
    matrix = _confusion(held_out, every)

    def estimate(code: int, measure: str) -> Estimate:
        return Estimate(_rounded(values[code, measure]), _rounded(errors[code, measure]))

    return Scores(
        accuracy=estimate(ALL, "accuracy"),
        macro_f1=estimate(ALL, "macro_f1"),
        folds=held_out.folds,
        not_validated=tuple(names[code] for code in every if np.isnan(values[code, "f1"])),
        classes={
            names[code]: ClassMetrics(
                precision=estimate(code, "precision"),
                recall=estimate(code, "recall"),
                f1=estimate(code, "f1"),
                pixels=int((codes == code).sum()),
                polygons=int(polygons[codes == code].nunique()),
            )
            for code in every
        },
        confusion_matrix={
            names[true]: {names[code]: int(matrix[i, j]) for j, code in enumerate(every)}
            for i, true in enumerate(every)
        },
    )


def _carried_over(held_out: HeldOut, months: pd.Series, every: list[int]) -> CarriedOver:
    """Return how well months are predicted that were held out whole."""
    of_sample, names = pd.factorize(months.iloc[held_out.samples], sort=True)
    held_out = replace(held_out, fold=of_sample + 1)
    values, errors = _measure_with_errors(held_out, every)
    by_month = {}
    for number, name in enumerate(names, 1):
        rows = held_out.fold == number
        found = _measure(held_out.true[rows], held_out.predicted[rows], every)
        by_month[str(name)] = Overall(_estimate(found, "accuracy"), _estimate(found, "macro_f1"), 1)
    return CarriedOver(
        accuracy=_estimate(values, "accuracy", errors),
        macro_f1=_estimate(values, "macro_f1", errors),
        folds=len(names),
        months=by_month,
    )


def _estimate(values: pd.Series, measure: str, errors: pd.Series | None = None) -> Estimate:
    """Return a measure over all classes."""
    error = None if errors is None else _rounded(errors[ALL, measure])
    return Estimate(_rounded(values[ALL, measure]), error)


def _holdout(settings: ForestSettings) -> Holdout:
    if settings.holdout == "blocks":
        return Holdout("blocks", settings.block_size)
    return Holdout("polygons")


def _difference(random: float | None, ours: float | None) -> float | None:
    return None if random is None or ours is None else _rounded(random - ours)


def _measure_with_errors(held_out: HeldOut, every: list[int]) -> tuple[pd.Series, pd.Series]:
    """Return what `_measure` says of all held-out pixels, and its standard errors over folds."""
    values = _measure(held_out.true, held_out.predicted, every)
    by_fold = [
        _measure(held_out.true[rows], held_out.predicted[rows], every)
        for rows in (held_out.fold == number for number in np.unique(held_out.fold))
    ]
    return values, pd.DataFrame(by_fold, columns=values.index).sem()


def _measure(true: NDArray[np.uint8], predicted: NDArray[np.uint8], every: list[int]) -> pd.Series:
    """Return accuracy and macro F1 under `ALL`; precision, recall and F1 under each class's code.

    NaN for a class without pixels; the macro F1 is the mean over the others.
    """
    measures = pd.MultiIndex.from_product([every, BY_CLASS])
    scores = np.full((len(every), len(BY_CLASS)), np.nan)
    if true.size:  # scikit-learn refuses to count none
        *found, pixels = precision_recall_fscore_support(
            true, predicted, labels=every, zero_division=0
        )
        scores[pixels > 0] = np.transpose(found)[pixels > 0]
    by_class = pd.Series(scores.ravel(), measures)
    overall = pd.Series(
        {
            (ALL, "accuracy"): pd.Series(true == predicted, dtype=float).mean(),
            (ALL, "macro_f1"): by_class.xs("f1", level=1).mean(),
        }
    )
    both: pd.Series = pd.concat([overall, by_class])
    return both


def _confusion(held_out: HeldOut, every: list[int]) -> NDArray[np.intp]:
    """Count pixels by true class (rows) and predicted class (columns)."""
    if not held_out.samples.size:  # scikit-learn refuses to count none
        return np.zeros((len(every), len(every)), np.intp)
    counts: NDArray[np.intp] = confusion_matrix(held_out.true, held_out.predicted, labels=every)
    return counts


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
