"""The month's model, trained on its samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import joblib
import pandas as pd
import pyarrow
from prefect.logging import get_run_logger
from upath import UPath

from landcover.classes import assign_codes, class_names
from landcover.errors import LandcoverError
from landcover.files import absolute, publish_all, scratch, sha256
from landcover.model.forest import ForestSettings, Model, fit
from landcover.model.metrics import Metrics, describe_metrics
from landcover.model.tuning import tune
from landcover.model.validation import validate
from tasks.access.storage import storage
from tasks.retries import io_task
from tasks.run import Month

COLUMNS = ("polygon_id", "class_label", "x", "y")


@dataclass(frozen=True)
class Training:
    """A trained model and how it came about.

    Attributes:
        model: its file, bands and classes.
        source: the samples, and the polygons and imagery that they came from.
        settings: of the forest and of the sampling.
        metrics: how good it is; None where its row has none.
        waiting: the final path of each finished file that is published when the model is recorded.
    """

    model: Model
    source: str
    settings: Mapping[str, object]
    metrics: Metrics | None
    waiting: Mapping[Path | UPath, UPath] = field(default_factory=dict)


@io_task("train model", "train model {month}")
def train_model(
    month: Month, input_data: UPath, settings: ForestSettings, classes: dict[str, int]
) -> Training:
    """Validate and train the month's random forest; the work folder keeps it until it is recorded.

    Args:
        month: whose model.
        input_data: the samples, as `sample_mosaic` writes them.
        settings: the forest's.
        classes: names and codes of the classes of other months.

    Raises:
        LandcoverError: if the samples are missing, or not such a file.
        TransientError: if the bucket cannot be reached.
    """
    block = month.blocks.storage_block
    with storage(block, absolute(input_data)):
        samples = _read_samples(input_data)
    bands = _bands(samples)
    codes = assign_codes(samples["class_label"], classes)
    names = class_names(codes, classes)
    truth = samples["class_label"].map(codes)
    logger = get_run_logger()
    logger.info("Training %d trees on %d samples", settings.trees, len(samples))
    tuning = tune(samples, bands, truth, settings, settings.tune) if settings.tune else None
    if tuning:
        settings = tuning.best
        logger.info("The best of the forests tried is %s", settings)
    pipeline = fit(samples, bands, truth, settings)
    logger.info("Validating with %d folds", settings.folds)
    validation = validate(pipeline, samples, bands, truth, names, settings)
    metrics = validation.metrics
    if tuning:
        metrics = replace(metrics, tuning=tuning.records)
    # The command line prints them at its end.
    logger.info("%s", describe_metrics(metrics), extra={"printed": True})
    with storage(block, absolute(month.model)), scratch(month.work) as folder:
        built = folder / month.model.name
        joblib.dump(pipeline, built, compress=3)
        model = Model(month.model, sha256(built), tuple(bands), names)
        held_out = folder / month.held_out.name
        validation.polygons.to_parquet(held_out, index=False)
        month.training.mkdir(parents=True, exist_ok=True)
        finals = month.held_out, month.model
        publish_all({folder / final.name: month.training / final.name for final in finals})
    return Training(
        model=model,
        source=_source(input_data, samples),
        settings={
            "forest": settings.model_dump(),
            "sampling": samples.attrs.get("sampling"),
        },
        metrics=metrics,
        waiting={month.training / final.name: final for final in finals},
    )


def _read_samples(path: UPath) -> pd.DataFrame:
    # Not is_file: s3fs would say no where the bucket does not answer.
    if not path.exists():
        raise LandcoverError(
            f"There are no samples at {path}: make them with python flows/prepare_data.py."
        )
    try:
        samples = pd.read_parquet(BytesIO(path.read_bytes()))
    except pyarrow.ArrowInvalid as error:
        raise LandcoverError(
            f"{path} is no parquet file ({error}): make it with python flows/prepare_data.py."
        ) from error
    missing = [name for name in COLUMNS if name not in samples]
    if missing or not _bands(samples):
        raise LandcoverError(
            f"{path} has no column {', '.join(missing) or 'of a band'}, so it holds no samples: "
            "make them with python flows/prepare_data.py."
        )
    if samples.empty:
        raise LandcoverError(
            f"{path} holds no samples: make them with python flows/prepare_data.py."
        )
    return samples


def _bands(samples: pd.DataFrame) -> list[str]:
    return [str(name) for name in samples.columns if name not in (*COLUMNS, "geometry")]


def _source(input_data: UPath, samples: pd.DataFrame) -> str:
    made_of = [str(samples.attrs[key]) for key in ("polygons", "mosaic") if key in samples.attrs]
    return f"{input_data.name} ({' on '.join(made_of)})" if made_of else input_data.name
