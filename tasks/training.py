"""The month's model, trained on its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import joblib
import pandas as pd
from prefect.logging import get_run_logger
from upath import UPath

from landcover.classes import KnownClasses, assign_codes, class_names
from landcover.files import scratch, sha256
from landcover.imagery.unseen import ranges_of
from landcover.lookalikes import class_notices, describe_merged
from landcover.model.forest import ForestSettings, Model, fit
from landcover.model.ground import ground_notices
from landcover.model.indices import check_bands_of, names_of
from landcover.model.metrics import Metrics, describe_metrics
from landcover.model.pooling import pool, pooling_notices
from landcover.model.reflectance import check_reflectances, usual_reflectances
from landcover.model.sampling import Origin, read_samples
from landcover.notices import Notice
from landcover.publishing import publish_all
from tasks.access.settings import MosaicSettings
from tasks.retries import io_task
from tasks.run import Run


@dataclass(frozen=True)
class Training:
    """A trained model and how it came about."""

    model: Model
    """Its file, bands and classes."""
    source: str
    """The samples, and the polygons and imagery that they came from."""
    settings: Mapping[str, object]
    """Of the forest and of the sampling."""
    metrics: Metrics | None
    """How good it is; None where its row has none."""
    polygons_sha256: str | None = None
    """Of the month's own training polygons, where that is known."""
    notices: tuple[Notice, ...] = ()
    """What is probably wrong with the training data."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """Names and codes of the classes of other months that were given together with its own."""
    taught_by: Mapping[str, str | None] = field(default_factory=dict)
    """The SHA-256 of the training polygons of each month that taught it, where that is known."""


@io_task("train model", "train model {run}")
def train_model(
    run: Run, input_data: Sequence[UPath], settings: ForestSettings, classes: KnownClasses
) -> Training:
    """Validate and train the month's random forest; the work folder keeps it until it is recorded.

    Args:
        run: whose model.
        input_data: the samples of each month that teaches it, as `sample_mosaic` writes them.
        settings: the forest's.
        classes: that months have been given so far.

    Raises:
        SettingsError: if a band is missing that an index is computed from.
        LandcoverError: if the samples are missing, or not such a file, do not hold reflectances
            where an index needs them, or are of months that cannot teach one model.
        TransientError: if the bucket cannot be reached.
    """
    # Here, because scikit-learn comes with them, for which all commands would wait.
    from landcover.model.tuning import tune
    from landcover.model.validation import validate

    files = [(path, *_read(run, path)) for path in input_data]
    pooled = pool(files, run.period)
    samples, origin = pooled.rows, pooled.origin
    bands = list(origin.bands)
    reflectances = origin.reflectances or usual_reflectances(samples, bands)
    check_bands_of(settings.indices, [name for name in bands if reflectances[name]])
    if "EVI" in names_of(settings.indices):
        check_reflectances(samples, reflectances)
    codes = assign_codes(samples["class_label"], classes.codes)
    names = class_names(codes, classes.codes)
    truth = samples["class_label"].map(codes)
    logger = get_run_logger()
    for merged in describe_merged(codes, names):
        logger.warning("%s", merged)
    logger.info("Training %d trees on %d samples", settings.trees, len(samples))
    together = origin.together or ()
    for path, _, told in files:
        if told.together is None:
            logger.warning(
                "%s does not say which polygons lie on the same ground, so each of them is held "
                "out by itself: where some are copies of others, validation flatters the model.",
                path.name,
            )
    tuning = None
    if settings.tune:
        tuning = tune(samples, bands, truth, settings, settings.tune, together, reflectances)
        settings = tuning.best
        logger.info("The best of the forests tried is %s", settings)
    pipeline = fit(samples, bands, truth, settings, reflectances)
    logger.info("Validating with %d folds", settings.folds)
    validation = validate(pipeline, samples, bands, truth, names, settings, together, pooled.months)
    metrics = validation.metrics
    if tuning:
        metrics = replace(metrics, tuning=tuning.records)
    # The command line prints them at its end.
    logger.info("%s", describe_metrics(metrics), extra={"printed": True})
    notices = (
        *class_notices(codes, classes.earlier),
        *ground_notices(samples["polygon_id"], truth, pooled.within),
        *pooling_notices(pooled, run.period),
        *(() if metrics.folds else (Notice("not_validated_at_all"),)),
    )
    for notice in notices:
        logger.warning("%s", notice)
    with run.storage(run.files.model), scratch(run.files.work) as folder:
        built = folder / run.files.model.name
        joblib.dump(pipeline, built, compress=3)
        ranges = ranges_of(samples, bands)
        model = Model(run.files.model, sha256(built), tuple(bands), names, ranges)
        held_out = folder / run.files.held_out.name
        validation.polygons.to_parquet(held_out, index=False)
        publish_all(
            {run.files.training / final.name: folder / final.name for final in run.files.of_model}
        )
    return Training(
        model=model,
        source="; ".join(_describe_source(path, told) for path, _, told in files),
        settings={"forest": settings.model_dump(), "sampling": origin.sampling},
        metrics=metrics,
        polygons_sha256=origin.polygons_sha256,
        notices=notices,
        reserved=classes.reserved,
        taught_by=pooled.taught_by,
    )


def _read(run: Run, path: UPath) -> tuple[pd.DataFrame, Origin]:
    with run.storage(path):
        return read_samples(path, list(run.settings[MosaicSettings].mosaic_bands))


def _describe_source(input_data: UPath, origin: Origin) -> str:
    made_of = [part for part in (origin.polygons, origin.mosaic) if part]
    return f"{input_data.name} ({' on '.join(made_of)})" if made_of else input_data.name
