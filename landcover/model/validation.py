"""How good a model is, by predicting polygons that it was not trained on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import Pipeline

from landcover.model.folds import capped, pixel_folds, validation_folds
from landcover.model.forest import ForestSettings
from landcover.model.held_out import HeldOut, predict_held_out
from landcover.model.mislabels import held_out_by_polygon, suspected_mislabels

# Under this code, that no class has, stand the measures of all classes together.
ALL = -1
OVERALL = ("accuracy", "accuracy_se", "macro_f1", "macro_f1_se", "folds")
BY_CLASS = ("precision", "recall", "f1")

# So many of the random folds are predicted. They differ little, so that two tell the accuracy; all
# would take as long as the validation itself, about four times the training.
RANDOM_FOLDS = 2

# So many suspected polygons are printed; the metrics hold all.
SHOWN = 10


@dataclass(frozen=True)
class Validation:
    """How good a model is.

    Attributes:
        metrics: plain numbers, texts, lists and dictionaries, as `validate` describes them.
        polygons: what was predicted for each polygon (see `held_out_by_polygon`).
    """

    metrics: dict[str, Any]
    polygons: pd.DataFrame


def validate(
    pipeline: Pipeline,
    samples: pd.DataFrame,
    bands: Sequence[str],
    codes: pd.Series,
    names: Mapping[int, str],
    settings: ForestSettings,
) -> Validation:
    """Cross-validate a trained model with whole polygons or blocks held out.

    Beside it the same is done with single pixels held out, for the share of that accuracy which is
    memory of the same polygon.

    Args:
        pipeline: the model, trained on all samples; it is not changed.
        samples: a row a sample, with `polygon_id`, `x`, `y` and a column for each of `bands`.
        bands: the columns that the model reads, in order.
        codes: the class code of each sample.
        names: the name of each class code.
        settings: of the forest and its validation.

    Returns:
        The table of polygons, and as metrics all that `score` returns, and
        `validation` (what was held out, in words),
        `random_pixels` (`accuracy`, `macro_f1` and their `_se` with single pixels of the same
        classes and polygons held out, dealt into as many folds, of which `folds` were predicted),
        `optimism` (the accuracy of `random_pixels` less `accuracy`),
        `oob_accuracy` (the forest's out-of-bag accuracy), and
        `suspected_mislabels` (a dictionary a polygon, the clearest first).
        What could not be validated is None.

    Raises:
        SettingsError: if blocks are to be held out, and all polygons lie in one.
    """
    values = samples[list(bands)].to_numpy()
    polygons = samples["polygon_id"]
    held_out = predict_held_out(pipeline, values, codes, validation_folds(samples, codes, settings))
    pixels = pixel_folds(codes, held_out.samples, settings.folds, settings.seed)[:RANDOM_FOLDS]
    at_random = predict_held_out(pipeline, values, codes, capped(pixels, codes, settings))
    metrics = score(held_out, polygons, codes, names)
    random = score(at_random, polygons, codes, names)
    optimism = random["accuracy"] - metrics["accuracy"] if held_out.folds else np.nan
    by_polygon = held_out_by_polygon(held_out, polygons, names)
    return Validation(
        {
            **metrics,
            "validation": _what_is_held_out(settings),
            "random_pixels": {name: random[name] for name in OVERALL},
            "optimism": _rounded(optimism),
            "oob_accuracy": _rounded(pipeline["forest"].oob_score_),
            "suspected_mislabels": json.loads(
                suspected_mislabels(by_polygon).to_json(orient="records", double_precision=4)
            ),
        },
        by_polygon,
    )


def score(
    held_out: HeldOut, polygons: pd.Series, codes: pd.Series, names: Mapping[int, str]
) -> dict[str, Any]:
    """Return the metrics of predictions, every class under its name.

    Values are those of all held-out pixels together. Each has beside it, under its name with `_se`,
    its standard error over the folds: the standard deviation (n - 1 degrees of freedom) of the
    folds' own values, divided by the square root of their number. Folds that hold no pixel of a
    class are left out for that class; with fewer than two folds there is none (None).

    Args:
        held_out: what `predict_held_out` found.
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        names: the name of each class code.

    Returns:
        `accuracy` and `macro_f1` with `_se` (None where no class could be validated), `folds`,
        `not_validated` (names of the classes with too few polygons, or blocks, to hold one out),
        `classes` (for each name `precision`, `recall`, `f1` with `_se`, `pixels`, `polygons`)
        and `confusion_matrix` (pixels, by true name, then by predicted name).
    """
    every = sorted(names)
    values, errors = _measure_with_errors(held_out, every)
    matrix = _confusion(held_out, every)
    classes = {
        names[code]: {
            **_with_errors(values[code], errors[code]),
            "pixels": int((codes == code).sum()),
            "polygons": int(polygons[codes == code].nunique()),
        }
        for code in every
    }
    return {
        **_with_errors(values[ALL], errors[ALL]),
        "folds": held_out.folds,
        "not_validated": [names[code] for code in every if np.isnan(values[code, "f1"])],
        "classes": classes,
        "confusion_matrix": {
            names[known]: {names[code]: int(matrix[i, j]) for j, code in enumerate(every)}
            for i, known in enumerate(every)
        },
    }


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the metrics that `validate` made as lines of text."""
    classes = pd.DataFrame(
        {
            name: {
                **{metric: _with_error(line, metric) for metric in BY_CLASS},
                "pixels": str(line["pixels"]),
                "polygons": str(line["polygons"]),
            }
            for name, line in metrics["classes"].items()
        }
    ).T
    return "\n".join(
        [
            *_overall_lines(metrics),
            classes.to_string(),
            "pixels by true class (rows) and predicted class (columns)",
            pd.DataFrame(metrics["confusion_matrix"]).T.to_string(),
            *_suspect_lines(metrics["suspected_mislabels"]),
        ]
    )


def _overall_lines(metrics: Mapping[str, Any]) -> list[str]:
    if metrics["accuracy"] is None:
        lines = [f"not validated ({metrics['validation']})"]
    else:
        random = metrics["random_pixels"]
        how = f"{metrics['validation']}, {metrics['folds']} folds; ± standard error over folds"
        lines = [
            f"accuracy {_with_error(metrics, 'accuracy')} ({how})",
            f"macro F1 {_with_error(metrics, 'macro_f1')}",
            f"optimism {metrics['optimism']:.3f}: with single pixels held out the accuracy seems "
            + _with_error(random, "accuracy"),
        ]
    lines.append(f"out-of-bag accuracy {metrics['oob_accuracy']:.3f}")
    if metrics["not_validated"]:
        lines.append(f"not validated, too few polygons: {', '.join(metrics['not_validated'])}")
    return lines


def _suspect_lines(suspected: Sequence[Mapping[str, Any]]) -> list[str]:
    if not suspected:
        return []
    more = len(suspected) - SHOWN
    return [
        f"polygons that the model contradicts: {len(suspected)}",
        *(
            f"  {line['polygon_id']}: drawn as {line['class_label']}, "
            f"{line['predicted_share']:.0%} of its {line['pixels']} pixels look like "
            f"{line['predicted_label']}"
            for line in suspected[:SHOWN]
        ),
        *([f"  and {more} more"] if more > 0 else []),
    ]


def _what_is_held_out(settings: ForestSettings) -> str:
    if settings.holdout == "blocks":
        return f"whole blocks of {settings.block_size:g} held out"
    return "whole polygons held out"


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


def _with_errors(values: pd.Series, errors: pd.Series) -> dict[str, float | None]:
    """Return each value under its name and its standard error under that with `_se`."""
    found: dict[str, float | None] = {}
    for name in values.index:
        found[name] = _rounded(values[name])
        found[f"{name}_se"] = _rounded(errors[name])
    return found


def _with_error(line: Mapping[str, Any], name: str) -> str:
    """Return a value and its standard error as text, such as "0.812 ±0.031"."""
    value, error = line[name], line[f"{name}_se"]
    if value is None:
        return "-"
    return f"{value:.3f}" if error is None else f"{value:.3f} ±{error:.3f}"


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
