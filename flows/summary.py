"""What a run reports when it ends."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent

from upath import UPath

from landcover.imagery.coverage import Coverage
from landcover.imagery.survey import Survey
from landcover.maps.assembly import FinishedMap
from landcover.model.metrics import Metrics, describe_metrics
from landcover.notices import Told
from tasks.artifacts import show_accuracy, show_hectares, show_summary
from tasks.run import Run
from tasks.training import Training


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


def _times(seconds: Mapping[str, float]) -> str:
    steps = ", ".join(f"{step} {taken:g}" for step, taken in seconds.items())
    return f"seconds: {steps}"


@dataclass(frozen=True)
class Outcome:
    """What came of a run; as text, the lines that a person reads."""

    results: Sequence[str]
    """What was made or found, line by line."""

    files: Mapping[str, UPath]
    """Each file's path, by what it is."""

    notices: Sequence[Told | str] = ()
    """What is to be told of it."""

    mark: str = "Warning"
    """What a notice begins with."""

    advice: str = ""
    """What a person should do now."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each step took."""

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        files = [f"{what}: {path}" for what, path in self.files.items()]
        return "\n".join([*self.findings(), *files])

    def findings(self) -> list[str]:
        """Return the results and what is to be told of them, line by line."""
        return [
            *self.results,
            *(f"{self.mark}: {notice}" for notice in self.notices),
            *([self.advice] if self.advice else []),
            *([_times(self.seconds)] if self.seconds else []),
        ]


def show(outcome: Outcome, key: str, heading: str) -> Outcome:
    """Show what came of a run on the run's page in the Prefect UI, and return it.

    Args:
        outcome: what came of it.
        key: what the summary is called, such as forest-2024.
        heading: what it is about, such as 2024.
    """
    text = "\n".join(outcome.findings())
    show_summary(key, f"# {heading}\n\n```\n{text}\n```", outcome.files)
    return outcome


@dataclass(frozen=True)
class Summary:
    """The outcome of a run of a month; as text, the lines that a person reads."""

    title: str
    """The month, and what was done."""

    seconds: Mapping[str, float]
    """How long each step took."""

    files: Mapping[str, UPath]
    """Each file's path, by what it is."""

    metrics: Metrics | None = None
    """Of the model, if the run trained one."""

    notices: Sequence[Told] = ()
    """What is probably wrong."""

    survey: Survey | None = None
    """The imagery and what was found about it, if the run made a map."""

    finished: FinishedMap | None = None
    """The map, if the run made one."""

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        files = [f"{what}: {path}" for what, path in self.files.items()]
        return "\n".join([self.title, *self.findings(), *files, _times(self.seconds)])

    def findings(self) -> list[str]:
        """Return the results, line by line."""
        lines = []
        if self.metrics:
            lines.append(indent(describe_metrics(self.metrics), "  "))
        if self.finished and self.survey:
            lines += _map_lines(self.finished, self.survey.coverage)
        return [*lines, *(f"Warning: {notice}" for notice in self.notices)]


def _map_lines(finished: FinishedMap, coverage: Coverage) -> list[str]:
    total = sum(finished.hectares.values())
    without_class = coverage.without_class(finished.hectares, finished.pixels)
    shares = [
        f"{without_class:.1%} of the area of interest has no class",
        f"{coverage.without_imagery:.1%} no imagery",
        f"{coverage.under_clouds(finished.hectares):.1%} is under clouds",
    ]
    return [
        *(
            f"  {name:<16} {area:>14,.1f} ha {area / total:>6.1%}"
            for name, area in finished.hectares.items()
        ),
        f"  {', '.join(shares)}",
        f"  on {finished.low_confidence:.1%} of the map the confidence is below 50%",
        *(
            [f"  {finished.sieved:.1%} of the map took the class of what surrounds it"]
            if finished.sieved
            else []
        ),
    ]


def finish(
    run: Run,
    title: str,
    steps: Steps,
    files: Mapping[str, UPath],
    training: Training | None = None,
    survey: Survey | None = None,
    finished: FinishedMap | None = None,
) -> Summary:
    """Return a run's summary, and show it on the run's page in the Prefect UI.

    Args:
        run: that ends.
        title: the month, and what was done.
        steps: the clock of its steps.
        files: each file's path, by what it is.
        training: the model, if one was trained.
        survey: the imagery and what was found about it, if a map was made.
        finished: the map, if one was made.
    """
    found = [part for part in (training, survey, finished) if part]
    notices = [notice for part in found for notice in part.notices]
    metrics = training.metrics if training else None
    summary = Summary(title, steps.seconds, files, metrics, notices, survey, finished)
    text = "\n".join([*summary.findings(), _times(steps.seconds)])
    show_summary(str(run), f"# {title}\n\n```\n{text}\n```", files)
    if metrics:
        show_accuracy(str(run), metrics.classes)
    if finished:
        show_hectares(str(run), finished.hectares)
    return summary
