"""What a run says at its end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any

from upath import UPath

from landcover.imagery.coverage import Coverage
from landcover.maps.assembly import FinishedMap
from landcover.model.validation import describe_metrics
from tasks.artifacts import show_accuracy, show_hectares, show_summary
from tasks.run import Run


class Steps:
    """The seconds that each step of a run took."""

    def __init__(self) -> None:
        """Start the clock of the first step."""
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def done(self, step: str) -> None:
        """End a step and start the clock of the next."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 1)
        self._last = now


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Attributes:
        title: the month, and what was done.
        seconds: of each step.
        files: what each file is, and where.
        metrics: of the model (see `landcover.model.validation.validate`).
        prediction: the map.
        coverage: how much of the area of interest has imagery.
        warnings: what is wrong with the imagery.
    """

    title: str
    seconds: Mapping[str, float]
    files: Mapping[str, UPath]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    prediction: FinishedMap | None = None
    coverage: Coverage | None = None
    warnings: Sequence[str] = ()

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        files = [f"{what}: {path}" for what, path in self.files.items()]
        return "\n".join([self.title, *self.findings(), *files, self.times()])

    def findings(self) -> list[str]:
        """Return what came out, line by line."""
        lines = []
        if self.metrics:
            lines.append(indent(describe_metrics(self.metrics), "  "))
        if self.prediction and self.coverage:
            lines += _map_lines(self.prediction, self.coverage)
        return [*lines, *(f"Warning: {warning}" for warning in self.warnings)]

    def times(self) -> str:
        """Return how long the steps took."""
        steps = ", ".join(f"{step} {seconds:g}" for step, seconds in self.seconds.items())
        return f"seconds: {steps}"


def _map_lines(prediction: FinishedMap, coverage: Coverage) -> list[str]:
    total = sum(prediction.hectares.values())
    shares = [
        f"{coverage.without_class(prediction.hectares):.1%} of the area of interest has no class",
        f"{coverage.without_imagery:.1%} no imagery",
        f"{coverage.under_clouds(prediction.hectares):.1%} is under clouds",
    ]
    return [
        *(
            f"  {name:<16} {area:>14,.1f} ha {area / total:>6.1%}"
            for name, area in prediction.hectares.items()
        ),
        f"  {', '.join(shares)}",
        f"  on {prediction.low_confidence:.1%} of the map fewer than half of the trees agree",
    ]


def finish(
    run: Run,
    title: str,
    steps: Steps,
    files: Mapping[str, UPath],
    metrics: Mapping[str, Any] | None = None,
    prediction: FinishedMap | None = None,
    coverage: Coverage | None = None,
    warnings: Sequence[str] = (),
) -> Summary:
    """Return a run's summary, and show it on the run's page in the Prefect UI.

    Args:
        run: that ends.
        title: what was done.
        steps: their times.
        files: what each file is, and where.
        metrics: of the model.
        prediction: the map.
        coverage: how much of the area of interest has imagery.
        warnings: what is wrong with the imagery.
    """
    summary = Summary(title, steps.seconds, files, metrics or {}, prediction, coverage, warnings)
    found = "\n".join([*summary.findings(), summary.times()])
    show_summary(str(run), f"# {title}\n\n```\n{found}\n```", files)
    if metrics:
        show_accuracy(str(run), metrics)
    if prediction:
        show_hectares(str(run), prediction.hectares)
    return summary
