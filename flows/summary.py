"""What a run says at its end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any

from upath import UPath

from landcover.validation import describe_metrics
from tasks.artifacts import show_accuracy, show_hectares, show_summary
from tasks.month import Month


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
        metrics: of the model (see `landcover.validation.validate`).
        hectares: the true area of each class.
    """

    title: str
    seconds: Mapping[str, float]
    files: Mapping[str, UPath]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    hectares: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        lines = [self.title]
        if self.metrics:
            lines.append(indent(describe_metrics(self.metrics), "  "))
        total = sum(self.hectares.values())
        for name, area in self.hectares.items():
            lines.append(f"  {name:<16} {area:>14,.1f} ha {area / total:>6.1%}")
        lines += [f"{what}: {path}" for what, path in self.files.items()]
        steps = ", ".join(f"{step} {seconds:g}" for step, seconds in self.seconds.items())
        return "\n".join([*lines, f"seconds: {steps}"])


def finish(
    month: Month,
    title: str,
    steps: Steps,
    files: Mapping[str, UPath],
    metrics: Mapping[str, Any] | None = None,
    hectares: Mapping[str, float] | None = None,
) -> Summary:
    """Return a run's summary, and show it on the run's page in the Prefect UI.

    Args:
        month: that was run.
        title: what was done.
        steps: their times.
        files: what each file is, and where.
        metrics: of the model.
        hectares: of each class.
    """
    summary = Summary(title, steps.seconds, files, metrics or {}, hectares or {})
    show_summary(str(month), f"# {title}\n\n```\n{summary}\n```", files)
    if metrics:
        show_accuracy(str(month), metrics)
    if hectares:
        show_hectares(str(month), hectares)
    return summary
