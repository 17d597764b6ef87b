"""What a run says at its end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

from landcover.validation import describe_metrics


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
        model: the model's file.
        metrics: of the model (see `landcover.validation.score`).
        prediction: the map's file.
        hectares: the true area of each class.
        seconds: of each step.
    """

    title: str
    seconds: Mapping[str, float]
    model: Path | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    prediction: Path | None = None
    hectares: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        lines = [self.title]
        if self.model:
            lines.append(f"model: {self.model}")
        if self.metrics:
            lines.append(indent(describe_metrics(self.metrics), "  "))
        if self.prediction:
            lines.append(f"map: {self.prediction}")
        total = sum(self.hectares.values())
        for name, area in self.hectares.items():
            lines.append(f"  {name:<16} {area:>14,.1f} ha {area / total:>6.1%}")
        steps = ", ".join(f"{step} {seconds:g}" for step, seconds in self.seconds.items())
        return "\n".join([*lines, f"seconds: {steps}"])
