"""The model: a random forest over the bands of a pixel."""

import hashlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Literal

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from upath import UPath

from landcover.errors import LandcoverError
from landcover.imagery.unseen import Ranges
from landcover.model import indices
from landcover.model.balance import at_most_per_class
from landcover.model.indices import (
    IndexName,
    names_of,
    parse_indices,
    with_indices,
    with_normalized_differences,
)
from landcover.model.reflectance import Reflectances, usual_reflectances

# scikit-learn comes with what is trained or opened: all commands would wait for it, and most of
# those that are told what is wrong never need it.
if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer


class ForestSettings(BaseModel):
    """The random forest and its validation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: int | None = Field(
        default=64,
        ge=2,
        le=1024,
        title="Levels a band",
        description="How many levels each band is rounded to, evenly spaced in the logarithm. "
        "With 64 the accuracy is that of raw values, and a month of pixels is predicted from a "
        "look-up table; none turns it off.",
    )
    indices: Annotated[bool | tuple[IndexName, ...], BeforeValidator(parse_indices)] = Field(
        default=False,
        title="Spectral indices",
        description="Give the forest spectral indices too, computed from the bands' levels: by "
        "itself the normalised difference of every two bands; or names, with commas between them, "
        "of differences (these), NDVI, EVI, NDWI and brightness.",
    )
    trees: int = Field(
        default=200, ge=1, le=5000, title="Trees", description="Number of trees in the forest."
    )
    max_depth: int | None = Field(
        default=None,
        ge=1,
        title="Greatest depth",
        description="Greatest depth of a tree; left out, trees grow until their leaves are pure.",
    )
    min_samples_leaf: int = Field(
        default=1, ge=1, title="Samples a leaf", description="Fewest samples in a leaf of a tree."
    )
    max_features: Literal["sqrt", "log2", "all"] = Field(
        default="sqrt",
        title="Bands a split",
        description="How many of the bands each split of a tree may choose from.",
    )
    class_weight: Literal["none", "balanced"] = Field(
        default="none",
        title="Class weights",
        description="balanced: samples of rare classes count for more, so that every class "
        "counts the same.",
    )
    max_pixels_per_class: int | None = Field(
        default=None,
        ge=1,
        title="Pixels a class",
        description="At most this many pixels of each class, drawn at random, train the forest, so "
        "that common classes do not outweigh rare ones; with as many as the rarest class has, all "
        "count the same. Validation predicts all pixels.",
    )
    folds: int = Field(
        default=5,
        ge=2,
        le=20,
        title="Validation folds",
        description="How many parts the polygons are dealt into; each part is predicted by a "
        "forest trained on the others.",
    )
    holdout: Literal["polygons", "blocks"] = Field(
        default="polygons",
        title="Held out together",
        description="What validation holds out whole: polygons, or square blocks of land with all "
        "polygons in them, because neighbouring polygons are alike too.",
    )
    block_size: float = Field(
        default=10_000,
        gt=0,
        allow_inf_nan=False,
        title="Side of a block",
        description="Side of a block, in units of the mosaic's coordinate system: metres for "
        "NICFI's Web Mercator, degrees for a mosaic in longitude and latitude.",
    )
    tune: int | None = Field(
        default=None,
        ge=0,
        le=200,
        title="Forests to try",
        description="Try this many forests with other settings, drawn at random, and train the one "
        "that predicts held-out polygons best, by macro F1. Trying one takes about as long as a "
        "validation; none or 0 tries no other.",
    )
    seed: int = Field(
        default=42, ge=0, title="Random seed", description="The same seed grows the same forest."
    )


def new_pipeline(
    settings: ForestSettings, jobs: int = -1, reflectances: Reflectances | None = None
) -> "Pipeline":
    """Return an untrained model that takes raw band values (samples, bands) and gives class codes.

    Args:
        settings: the forest's.
        jobs: how many cores to use; -1 for all.
        reflectances: of the bands, in their order, which indices other than the normalised
            differences of all bands need.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    from landcover.model.bins import LogBins

    forest = RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.min_samples_leaf,
        max_features=None if settings.max_features == "all" else settings.max_features,
        class_weight=None if settings.class_weight == "none" else settings.class_weight,
        random_state=settings.seed,
        oob_score=True,
        n_jobs=jobs,
    )
    steps: list[tuple[str, object]] = []
    if settings.bins is not None:
        steps.append(("bins", LogBins(settings.bins)))
    if names := names_of(settings.indices):
        steps.append(("indices", _transformer(names, reflectances)))
    return Pipeline([*steps, ("forest", forest)])


def _transformer(
    names: Sequence[IndexName], reflectances: Reflectances | None
) -> "FunctionTransformer":
    """Return what appends indices to the bands."""
    from sklearn.preprocessing import FunctionTransformer

    if reflectances is None:
        assert list(names) == ["differences"]
        return FunctionTransformer(with_normalized_differences)
    known = {"names": tuple(names), "reflectances": dict(reflectances)}
    return FunctionTransformer(with_indices, kw_args=known)


def fit(
    samples: pd.DataFrame,
    bands: Sequence[str],
    codes: pd.Series,
    settings: ForestSettings,
    reflectances: Reflectances | None = None,
) -> "Pipeline":
    """Train a model on the samples, on at most `max_pixels_per_class` of each class.

    Args:
        samples: a row for each sample, with a column for each of `bands`.
        bands: the columns that the model reads, in order.
        codes: the class code of each sample.
        settings: the forest's.
        reflectances: of the bands; None for what is usual.
    """
    rows = _training_rows(codes, settings)
    known = usual_reflectances(samples, bands) if reflectances is None else reflectances
    pipeline = new_pipeline(settings, reflectances=known)
    with without_false_alarms():
        pipeline.fit(samples[list(bands)].to_numpy()[rows], codes.to_numpy()[rows])
    return pipeline


@contextmanager
def without_false_alarms() -> Iterator[None]:
    """Let a forest be grown of few trees or samples without warnings that mean nothing here."""
    with warnings.catch_warnings():
        # Some samples are in all trees: they are not counted (see `oob_accuracy`).
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
        # Class codes are no measurements, however many there are.
        warnings.filterwarnings("ignore", message="The number of unique classes is greater")
        yield


def oob_accuracy(pipeline: "Pipeline", codes: pd.Series, settings: ForestSettings) -> float:
    """Return the share of samples that the trees that were grown without them give their class.

    The forest's own `oob_score_` counts a sample that all trees were grown with as one of the first
    class.

    Args:
        pipeline: the model, as `fit` returned it.
        codes: the class code of each sample that it was given.
        settings: the forest's.

    Returns:
        The accuracy, 0 to 1; NaN if all trees were grown with every sample.
    """
    forest = pipeline["forest"]
    votes = forest.oob_decision_function_
    voted = votes.sum(axis=1) > 0
    true = codes.to_numpy()[_training_rows(codes, settings)]
    right = forest.classes_[votes.argmax(axis=1)] == true
    return float(pd.Series(right[voted], dtype=float).mean())


def _training_rows(codes: pd.Series, settings: ForestSettings) -> NDArray[np.intp]:
    return at_most_per_class(codes, settings.max_pixels_per_class, settings.seed)


@dataclass(frozen=True)
class Model:
    """A trained model's file, and what its numbers mean."""

    path: UPath
    """The joblib file."""

    sha256: str
    """Of the file; a file that differs is not opened, because opening it runs its code."""

    bands: tuple[str, ...]
    """The names of the bands that it reads, in order."""

    names: Mapping[int, str]
    """The name of each class code that it gives."""

    ranges: Ranges = field(default_factory=dict)
    """The lowest and the highest value of each band in its samples; empty where an earlier version
    did not record them."""


def load(path: UPath, digest: str) -> "Pipeline":
    """Open a model file to predict with one core, once it is known to be the recorded one.

    Args:
        path: the joblib file.
        digest: the SHA-256 recorded when it was trained.

    Raises:
        LandcoverError: if there is no such file, or if it is another.
    """
    # Not is_file: s3fs would say no where the bucket does not answer.
    if not path.exists():
        raise LandcoverError(f"The model file {path} is gone: train the month's model again.")
    # Read once, so that what is opened is what was checked.
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise LandcoverError(
            f"The model file {path} is not the one that was recorded when it was trained "
            "(its SHA-256 differs), so it is not opened: train the month's model again."
        )
    from landcover.model import bins

    # Where files of models that were trained before 2026-12 say that their parts are.
    for old, module in {"landcover.bins": bins, "landcover.indices": indices}.items():
        sys.modules.setdefault(old, module)
    pipeline: Pipeline = joblib.load(BytesIO(content))
    return pipeline.set_params(forest__n_jobs=1)
