"""Metrics: how good a model is, as values that go to JSON and come back."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import pandas as pd

# The measures of a single class.
BY_CLASS = ("precision", "recall", "f1")

# What is held out, as rows, logs and English reports say it.
WHOLE_POLYGONS = "whole polygons held out"
WHOLE_BLOCKS = "whole blocks of {size} held out"

# At most this many suspected polygons are printed; the metrics hold all.
SHOWN = 10

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A measure over all held-out pixels, 0 to 1, such as "0.812 ±0.031"."""

    value: float | None
    """None where nothing could be validated."""

    standard_error: float | None = None
    """Over the folds: the standard deviation of their own values (n - 1 degrees of freedom) divided
    by the square root of their number; None with fewer than two."""

    def __str__(self) -> str:
        """Return it with three decimals; a hyphen where there is none."""
        if self.value is None:
            return "-"
        if self.standard_error is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ±{self.standard_error:.3f}"


@dataclass(frozen=True)
class ClassMetrics:
    """How well one class is predicted, and how much training data it has."""

    precision: Estimate
    """Of the pixels given the class, the share that truly are of it."""

    recall: Estimate
    """Of the pixels that truly are of the class, the share given it."""

    f1: Estimate
    """The harmonic mean of both."""

    pixels: int
    polygons: int

    @property
    def measures(self) -> dict[str, Estimate]:
        """The measures by their names in `BY_CLASS`."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers under their names."""
        return {
            **_estimates_to_json(self.measures),
            "pixels": self.pixels,
            "polygons": self.polygons,
        }

    @classmethod
    def from_json(cls, json: Json) -> "ClassMetrics":
        """Return what `to_json` wrote."""
        return cls(
            precision=_estimate(json, "precision"),
            recall=_estimate(json, "recall"),
            f1=_estimate(json, "f1"),
            pixels=json["pixels"],
            polygons=json["polygons"],
        )


@dataclass(frozen=True)
class Overall:
    """How well held-out pixels are predicted, all classes together."""

    accuracy: Estimate
    macro_f1: Estimate
    """The mean F1 of the classes that could be validated."""

    folds: int
    """How many folds were predicted; 0 where nothing could be validated."""

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers under their names."""
        estimates = {"accuracy": self.accuracy, "macro_f1": self.macro_f1}
        return {**_estimates_to_json(estimates), "folds": self.folds}

    @classmethod
    def from_json(cls, json: Json) -> "Overall":
        """Return what `to_json` wrote."""
        return Overall(_estimate(json, "accuracy"), _estimate(json, "macro_f1"), _folds(json))


@dataclass(frozen=True)
class CarriedOver(Overall):
    """How well months are predicted that were held out whole; its folds are these months, over
    which standard errors are taken."""

    months: Mapping[str, Overall]
    """Each of them by itself."""

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers under their names."""
        months = {name: found.to_json() for name, found in self.months.items()}
        return {**super().to_json(), "months": months}

    @classmethod
    def from_json(cls, json: Json) -> "CarriedOver":
        """Return what `to_json` wrote."""
        months = {name: Overall.from_json(found) for name, found in json["months"].items()}
        return cls(**vars(Overall.from_json(json)), months=months)


@dataclass(frozen=True)
class Scores(Overall):
    """How well held-out pixels are predicted, class by class too."""

    not_validated: tuple[str, ...]
    """Names of the classes of which none could be held out, because their polygons lie on a single
    ground or in a single block."""

    classes: Mapping[str, ClassMetrics]
    """By name, in the order of the class codes."""

    confusion_matrix: Mapping[str, Mapping[str, int]]
    """Pixels by true name, then by predicted name."""

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, texts, lists and dictionaries."""
        return {
            **super().to_json(),
            "not_validated": list(self.not_validated),
            "classes": {name: found.to_json() for name, found in self.classes.items()},
            "confusion_matrix": {name: dict(row) for name, row in self.confusion_matrix.items()},
        }


@dataclass(frozen=True)
class Holdout:
    """What validation held out whole; as text in English."""

    kind: Literal["polygons", "blocks"]

    block_size: float | None = None
    """Side of a block, in units of the mosaic's CRS; None where polygons were held out."""

    @property
    def size(self) -> str:
        """The side of a block as text, such as 10000; empty where polygons were held out."""
        return "" if self.block_size is None else f"{self.block_size:g}"

    def __str__(self) -> str:
        """Return what was held out, such as "whole blocks of 10000 held out"."""
        return WHOLE_POLYGONS if self.kind == "polygons" else WHOLE_BLOCKS.format(size=self.size)


@dataclass(frozen=True)
class Suspect:
    """A polygon that the model, trained without it, contradicts.

    The fields are columns of `landcover.model.mislabels.held_out_by_polygon`.
    """

    polygon_id: str | int
    class_label: str
    pixels: int
    fold: int
    predicted_label: str
    predicted_share: float
    agreement: float
    confidence: float
    true_confidence: float

    def __str__(self) -> str:
        """Return how it was drawn, and what it looks like."""
        return (
            f"{self.polygon_id}: drawn as {self.class_label}, {self.predicted_share:.0%} of its "
            f"{self.pixels} pixels look like {self.predicted_label}"
        )

    @classmethod
    def from_json(cls, json: Json) -> "Suspect":
        """Return the suspect of a row of that table."""
        return cls(**{field.name: json[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Metrics(Scores):
    """How good a model is: the scores of its validation, and what puts them in perspective."""

    holdout: Holdout | None
    """What was held out; None where an earlier version did not record it."""

    random_pixels: Overall | None
    """The same with single pixels of the same classes and polygons held out, of which a few folds
    were predicted; None where an earlier version did not try it."""

    optimism: float | None
    """The accuracy of `random_pixels` minus `accuracy`: the share of it that is memory of the same
    ground. None where nothing could be validated."""

    oob_accuracy: float | None
    """The forest's out-of-bag accuracy, over the samples that some tree was grown without; None if
    there are none."""

    suspected_mislabels: tuple[Suspect, ...]
    """The clearest first."""

    tuning: tuple[Mapping[str, object], ...] = ()
    """The forests tried, the best first (see `landcover.model.tuning.Tuning`); empty without a
    search."""

    carried_over: CarriedOver | None = None
    """How well the model carries over to a month that it has not seen; None where all its samples
    are of one."""

    def to_json(self) -> dict[str, Any]:
        """Return the column `metrics` of `ml_models`, whose keys other software reads."""
        holdout, random = self.holdout, self.random_pixels
        return {
            **super().to_json(),
            "validation": None if holdout is None else str(holdout),
            "holdout": None if holdout is None else holdout.kind,
            "block_size": None if holdout is None else holdout.block_size,
            "random_pixels": None if random is None else random.to_json(),
            "optimism": self.optimism,
            "oob_accuracy": self.oob_accuracy,
            "suspected_mislabels": [asdict(suspect) for suspect in self.suspected_mislabels],
            **({"tuning": [dict(row) for row in self.tuning]} if self.tuning else {}),
            **({"carried_over": self.carried_over.to_json()} if self.carried_over else {}),
        }

    @classmethod
    def from_json(cls, json: Json) -> "Metrics":
        """Return the metrics of a row of `ml_models`, that of an earlier version too.

        Args:
            json: what `to_json` returned; earlier versions left some keys out.
        """
        random = json.get("random_pixels")
        classes, carried = json.get("classes", {}), json.get("carried_over")
        return cls(
            accuracy=_estimate(json, "accuracy"),
            macro_f1=_estimate(json, "macro_f1"),
            folds=_folds(json),
            not_validated=tuple(json.get("not_validated", ())),
            classes={name: ClassMetrics.from_json(line) for name, line in classes.items()},
            confusion_matrix=json.get("confusion_matrix", {}),
            holdout=_holdout(json),
            random_pixels=Overall.from_json(random) if random else None,
            optimism=json.get("optimism"),
            oob_accuracy=json.get("oob_accuracy"),
            suspected_mislabels=tuple(map(Suspect.from_json, json.get("suspected_mislabels", ()))),
            tuning=tuple(json.get("tuning", ())),
            carried_over=CarriedOver.from_json(carried) if carried else None,
        )


def _estimate(json: Json, name: str) -> Estimate:
    return Estimate(json.get(name), json.get(f"{name}_se"))


def _folds(json: Json) -> int:
    return int(json.get("folds", 0))


def _estimates_to_json(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    """Return each value under its name and its standard error under that with `_se`."""
    return {
        key: value
        for name, found in estimates.items()
        for key, value in ((name, found.value), (f"{name}_se", found.standard_error))
    }


def _holdout(json: Json) -> Holdout | None:
    if json.get("holdout"):
        return Holdout(json["holdout"], json.get("block_size"))
    # Earlier versions recorded the sentence alone.
    sentence = json.get("validation") or ""
    if sentence == WHOLE_POLYGONS:
        return Holdout("polygons")
    blocks = re.fullmatch(WHOLE_BLOCKS.format(size=r"(\S+)"), sentence)
    return Holdout("blocks", float(blocks[1])) if blocks else None


def describe_metrics(metrics: Metrics) -> str:
    """Return metrics as lines of text."""
    classes = pd.DataFrame(
        {
            name: {
                **{measure: str(found) for measure, found in line.measures.items()},
                "pixels": str(line.pixels),
                "polygons": str(line.polygons),
            }
            for name, line in metrics.classes.items()
        }
    ).T
    return "\n".join(
        [
            *_overall_lines(metrics),
            classes.to_string(),
            *_month_lines(metrics.carried_over),
            *_confusion_lines(metrics),
            *_suspect_lines(metrics.suspected_mislabels),
        ]
    )


def _overall_lines(metrics: Metrics) -> list[str]:
    held_out = metrics.holdout or "what was held out is not recorded"
    lines = [f"not validated ({held_out})"]
    if metrics.accuracy.value is not None:
        how = f"{held_out}, {metrics.folds} folds; ± standard error over folds"
        lines = [f"accuracy {metrics.accuracy} ({how})", f"macro F1 {metrics.macro_f1}"]
    if metrics.random_pixels and metrics.optimism is not None:
        lines.append(
            f"optimism {metrics.optimism:.3f}: with single pixels held out the accuracy seems "
            f"{metrics.random_pixels.accuracy}"
        )
    if metrics.oob_accuracy is not None:
        lines.append(f"out-of-bag accuracy {metrics.oob_accuracy:.3f}")
    if metrics.not_validated:
        lines.append(
            f"not validated, polygons in fewer than two places: {', '.join(metrics.not_validated)}"
        )
    return lines


def _month_lines(found: CarriedOver | None) -> list[str]:
    if found is None or found.accuracy.value is None:
        return []
    head = f"months held out whole ({found.folds}; ± standard error over months)"
    lines = {head: found, **{f"  {name}": of_it for name, of_it in found.months.items()}}
    return [
        f"{what}: accuracy {of_it.accuracy}, macro F1 {of_it.macro_f1}"
        for what, of_it in lines.items()
    ]


def _confusion_lines(metrics: Metrics) -> list[str]:
    if metrics.accuracy.value is None:
        return []
    return [
        "pixels by true class (rows) and predicted class (columns)",
        pd.DataFrame(metrics.confusion_matrix).T.to_string(),
    ]


def _suspect_lines(suspects: tuple[Suspect, ...]) -> list[str]:
    if not suspects:
        return []
    more = len(suspects) - SHOWN
    return [
        f"polygons that the model contradicts: {len(suspects)}",
        *(f"  {suspect}" for suspect in suspects[:SHOWN]),
        *([f"  and {more} more"] if more > 0 else []),
    ]
