"""Tuning: a search for the forest's settings that predict held-out polygons best."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, ParameterSampler
from sklearn.pipeline import Pipeline

from landcover.errors import LandcoverError
from landcover.model.folds import validation_folds
from landcover.model.forest import ForestSettings, new_pipeline, without_false_alarms
from landcover.model.ground import Together
from landcover.model.reflectance import Reflectances, usual_reflectances

# What is searched. Bins are not: finer ones, or none, would rule out the look-up table. Nor is
# log2, which equals sqrt for the few bands of an image.
SPACE: dict[str, list[object]] = {
    "trees": [100, 200, 400],
    "max_depth": [None, 5, 10, 20],
    "min_samples_leaf": [1, 2, 5, 10, 20],
    "max_features": ["sqrt", "all"],
    "class_weight": ["none", "balanced"],
    "indices": [False, True],
}


@dataclass(frozen=True)
class Tuning:
    """What a search found."""

    best: ForestSettings
    """The settings of the best candidate."""

    candidates: pd.DataFrame
    """A row for each candidate, the best first: `rank`, `macro_f1` and `accuracy` (means over the
    folds) with `macro_f1_std` and `accuracy_std` (standard deviations over the folds), `seconds`
    (to train one fold), `given` (whether these are the settings that the search started from) and
    the settings that were varied."""

    @property
    def records(self) -> tuple[Mapping[str, object], ...]:
        """The candidates as the metrics hold them."""
        return tuple(json.loads(self.candidates.to_json(orient="records")))


def tune(
    samples: pd.DataFrame,
    bands: Sequence[str],
    codes: pd.Series,
    settings: ForestSettings,
    number: int,
    together: Together = (),
    reflectances: Reflectances | None = None,
) -> Tuning:
    """Try other settings, drawn at random, on folds of whole polygons or blocks.

    The settings given are a candidate too, and win ties. The folds are dealt with another seed than
    those of the validation that follows, but from the same polygons, so the winner's validation
    still flatters it a little.

    Args:
        samples: a row for each sample, with `polygon_id`, `x`, `y` and a column for each of
            `bands`.
        bands: the columns that the model reads, in order.
        codes: the class code of each sample.
        settings: of the forest; those that are not searched stay as they are.
        number: how many candidates to draw.
        together: the ids of polygons that lie on the same ground, which are held out together.
        reflectances: of the bands; None for what is usual.

    Raises:
        LandcoverError: if no class has polygons in two places, so that none can be held out.
        SettingsError: if blocks are to be held out, and no class lies in two of them.
    """
    other = settings.model_copy(update={"seed": settings.seed + 1})
    folds = validation_folds(samples, codes, other, together)
    if not folds:
        raise LandcoverError(
            "No class has training polygons in two places, so settings cannot be compared on "
            "held-out ones: draw more polygons, or leave out --tune."
        )
    candidates = _draw(settings, number)
    known = usual_reflectances(samples, bands) if reflectances is None else reflectances
    search = GridSearchCV(
        Pipeline([("model", "passthrough")]),
        {"model": [_candidate_pipeline(candidate, known) for candidate in candidates]},
        scoring=_score,
        cv=folds,
        refit=False,
        error_score="raise",
    )
    with without_false_alarms():
        search.fit(samples[list(bands)].to_numpy(), codes.to_numpy(np.uint8))
    table = _table(search.cv_results_, candidates)
    return Tuning(candidates[table.index[0]], table.reset_index(drop=True))


def _draw(settings: ForestSettings, number: int) -> list[ForestSettings]:
    """Return the settings given, and others drawn at random."""
    drawn = ParameterSampler(SPACE, number, random_state=settings.seed)
    others = (settings.model_copy(update=values) for values in drawn)
    return list(dict.fromkeys([settings, *others]))


def _candidate_pipeline(settings: ForestSettings, reflectances: Reflectances) -> Pipeline:
    pipeline = new_pipeline(settings, reflectances=reflectances)
    return pipeline.set_params(forest__oob_score=False)


def _score(
    search: Pipeline, values: NDArray[np.generic], true: NDArray[np.uint8]
) -> dict[str, float]:
    # On one core the trees' votes are summed in a fixed order, so that ties fall the same way.
    predicted = search.set_params(model__forest__n_jobs=1).predict(values)
    classes = np.unique(true)
    return {
        "macro_f1": f1_score(true, predicted, labels=classes, average="macro", zero_division=0),
        "accuracy": accuracy_score(true, predicted),
    }


def _table(results: dict[str, np.ndarray], candidates: Sequence[ForestSettings]) -> pd.DataFrame:
    """Return a row for each candidate, the best first, labelled with its place among them."""
    scores = {
        column: results[f"{statistic}_test_{metric}"].round(4)
        for metric in ("macro_f1", "accuracy")
        for column, statistic in ((metric, "mean"), (f"{metric}_std", "std"))
    }
    table = pd.DataFrame(
        {
            "rank": results["rank_test_macro_f1"],
            **scores,
            "seconds": results["mean_fit_time"].round(2),
            "given": [place == 0 for place in range(len(candidates))],
            **{name: [getattr(candidate, name) for candidate in candidates] for name in SPACE},
        }
    ).astype({"max_depth": "Int64"})
    return table.sort_values("rank", kind="stable")
