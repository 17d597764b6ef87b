"""What a month's model learns from: its own samples, those of several months, or none at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from upath import UPath

from landcover.classes import KnownClasses
from landcover.imagery.mosaic import Mosaic
from landcover.model.forest import ForestSettings
from landcover.model.pooling import TrainOn, taught_by_others
from landcover.model.sampling import SamplingSettings
from landcover.notices import Notice
from tasks.polygons import fetch_polygons, fetch_polygons_if_any
from tasks.pooling import check_any, find_months, prepare_month
from tasks.records import find_model, record_model
from tasks.run import Run
from tasks.sampling import sample_mosaic
from tasks.training import Training, train_model


@dataclass(frozen=True)
class Lessons:
    """What a month's model learns from."""

    samples: tuple[UPath, ...]
    """The samples of each month that teaches it, in their order; none where an earlier model maps
    the month."""
    polygons: UPath | None
    """The month's own training polygons; None where it has none, or they do not teach."""
    notices: tuple[Notice, ...] = ()
    """What is to be told of months that do not teach although they might."""

    def files(self) -> dict[str, UPath]:
        """Return the samples by what they are, for people."""
        if len(self.samples) == 1:
            return {"samples": self.samples[0]}
        return {f"samples {number}": path for number, path in enumerate(self.samples, 1)}


def gather_samples(
    run: Run, mosaic: Mosaic, train_on: TrainOn, sampling: SamplingSettings
) -> Lessons:
    """Sample the months that teach a month's model, each on its own imagery.

    Args:
        run: of the month that is mapped.
        mosaic: its imagery.
        train_on: which months teach.
        sampling: how pixels are taken.

    Raises:
        LandcoverError: if no month that may teach can be sampled.
    """
    if train_on.kind == "model":
        return Lessons((), None)
    if train_on.kind == "own":
        polygons = fetch_polygons(run)
        return Lessons((sample_mosaic(run, mosaic, polygons, sampling),), polygons)
    others = [month for month in find_months(run, train_on) if month != run.period]
    own = fetch_polygons_if_any(run)
    found = {month: prepare_month(run, month, sampling) for month in others}
    if own is not None:
        found[run.period] = sample_mosaic(run, mosaic, own, sampling)
    samples = [its for _, its in sorted(found.items()) if not isinstance(its, Notice)]
    check_any(run, train_on, samples)
    notices = tuple(its for its in found.values() if isinstance(its, Notice))
    return Lessons(tuple(samples), own, notices)


def learn(
    run: Run,
    lessons: Lessons,
    train_on: TrainOn,
    forest: ForestSettings,
    classes: KnownClasses,
    made_by: Mapping[str, object],
) -> tuple[int, Training]:
    """Train and record a month's model, or take the earlier one that is named.

    Args:
        run: of the month.
        lessons: what the model learns from.
        train_on: which months teach.
        forest: its settings.
        classes: that months have been given so far.
        made_by: command, code version, flow run and settings.

    Returns:
        The `model_id`, and the model.

    Raises:
        LandcoverError: if there is no such earlier model.
    """
    if train_on.month is not None:
        model_id, training = find_model(run.of(train_on.month))
        return model_id, for_month(training, run)
    training = train_model(run, lessons.samples, forest, classes)
    training = replace(training, notices=(*training.notices, *lessons.notices))
    return record_model(run, training, made_by), training


def for_month(training: Training, run: Run) -> Training:
    """Return an earlier model as the one that maps a month, and say if that did not teach it.

    Args:
        training: the model of another month.
        run: of the month that is mapped.
    """
    told = taught_by_others(training.taught_by)
    notices = tuple(its for its in training.notices if its.key != told.key)
    if str(run) not in training.taught_by:
        notices = (told, *notices)
    sha256 = training.taught_by.get(str(run))
    return replace(training, notices=notices, polygons_sha256=sha256)
