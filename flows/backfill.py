"""Months in a row: those that are missing or out of date are mapped, one after the other."""

import flows.environment  # noqa: F401

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prefect import State, flow
from prefect.logging import get_run_logger

from flows.command import command
from flows.deforestation import deforestation
from flows.deployed import Job, Outcome, find_deployment, run_deployed, warn_of_own_disk
from flows.monthly import NEEDS, monthly_pipeline
from flows.parameters import AtOnce, MonthLabel, Months, Teachers
from flows.server import explain
from flows.unforeseen import report
from landcover.change.rule import ChangeSettings
from landcover.errors import LandcoverError, SettingsError
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.pooling import TrainOn
from landcover.model.sampling import SamplingSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import DeforestationSettings
from tasks.artifacts import show_months, show_progress
from tasks.deforestation_records import find_record
from tasks.review import Review, find_map, review_month
from tasks.run import Run, prepare_run

Failures = dict[Period, LandcoverError]
Row = dict[str, str]


@flow(name="backfill", flow_run_name="{months}")
def backfill(
    months: Months,
    keep_going: bool = False,
    dry_run: bool = False,
    other_code: bool = False,
    without_record: bool = False,
    since: MonthLabel | None = None,
    deployment: str | None = None,
    at_once: AtOnce = 2,
    train_on: Teachers = "own",
    sampling: SamplingSettings = SamplingSettings(),
    forest: ForestSettings = ForestSettings(),
    prediction: PredictionSettings = PredictionSettings(),
    change: ChangeSettings = ChangeSettings(),
    blocks: Blocks = Blocks(),
) -> str:
    """Map those months of a row that have no map, or whose map is out of date.

    A map is out of date where its model was replaced, or where the imagery, the training polygons
    or the area of interest are not what they were. Each month is a run of its own. Then the record
    of deforestation is brought up to the last of them.

    Args:
        months: From which month to which.
        keep_going: Go on with the months after one that fails.
        dry_run: Only list the months, and why they would be mapped; nothing is written.
        other_code: Map those months again, too, that another version of the code has mapped.
        without_record: Leave the record of deforestation as it is.
        since: The month that the record of deforestation begins with, such as 2024-01; the first
            that is mapped if left out.
        deployment: Let the months be run by a deployment, such as monthly-pipeline/monthly, on the
            hosts that have a worker of its work pool; here, one after the other, if left out.
        at_once: How many months the deployment is given at a time.
        train_on: Which months' polygons teach the model of each month: own, pool:2, all or
            model:2025-03, as flows/monthly.py takes it. Without own, months that have no polygons
            are mapped too.
        sampling: How pixels are taken from under the training polygons.
        forest: The random forest and its validation.
        prediction: How the map is made.
        change: When lost forest is believed.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    on = None if deployment is None else find_deployment(deployment)
    runs = [prepare_run(period, blocks, NEEDS) for period in months.periods()]
    if on:
        warn_of_own_disk(runs[0])
    alone = TrainOn.read(train_on).kind == "own"
    reviews = [review_month(run, other_code, alone) for run in runs]
    listed = [_list(review) for review in reviews]
    if dry_run:
        show_months(str(months), listed, "What would be mapped")
        return _as_text(listed)
    get_run_logger().info("The months and what is to be done:\n%s", _as_text(listed))

    given = {
        "other_labels": tuple(sorted({label for review in reviews for label in review.labels})),
        "train_on": train_on,
        "sampling": sampling,
        "forest": forest,
        "prediction": prediction,
        "blocks": blocks,
    }
    left = [review for review in reviews if review.reasons]
    ready = sum(review.obstacle is None for review in left)
    failures: Failures = {}
    seconds: dict[Period, float] = {}
    jobs = _jobs(reviews, given, failures, keep_going)
    outcomes = run_deployed(on, at_once, jobs) if on else _run_here(jobs)
    for outcome in show_progress(outcomes, ready, f"backfill-{months.first}", "Mapping"):
        seconds[outcome.period] = outcome.seconds
        if outcome.failure:
            _fail(failures, outcome.period, outcome.failure)

    if not without_record and (keep_going or not failures):
        failures |= _bring_up_record(runs, since, change, blocks)
    rows = [
        _row(run, review, seconds.get(run.period), failures.get(run.period))
        for run, review in zip(runs, reviews, strict=True)
    ]
    show_months(str(months), rows, "What became of the months")
    table = _as_text(rows)
    # The command line prints it at the end of a run that does not fail.
    get_run_logger().info("The months:\n%s", table, extra={"printed": not failures})
    if failures:
        not_run = {review.period for review in left} - seconds.keys() - failures.keys()
        raise _failed(failures, len(left), len(not_run))
    return f"{table}\n{months}: {len(left)} mapped now, {len(runs) - len(left)} were up to date."


def _list(review: Review) -> Row:
    """Say what is to be done about a month, and why."""
    state, why = "up to date", ""
    if review.reasons:
        state, why = "to be mapped", ", ".join(review.reasons)
    elif review.by_other_code:
        why = "another version of the code has made its map"
    if review.reasons and review.obstacle:
        state, why = "cannot be mapped", str(review.obstacle)
    return {"month": str(review.period), "state": state, "why": why}


def _jobs(
    reviews: Sequence[Review], given: Mapping[str, Any], failures: Failures, keep_going: bool
) -> Iterator[Job]:
    """Yield the months that are to be run, until one has failed.

    Args:
        reviews: of all months of the row.
        given: the parameters of each run beside its month.
        failures: the months that have failed by now; those that cannot be run are added.
        keep_going: whether months are run after one that has failed.
    """
    before = None
    for review in reviews:
        if failures and not keep_going:
            return
        if review.reasons and review.obstacle:
            _fail(failures, review.period, review.obstacle)
        elif review.reasons:
            period = review.period
            own = {"year": period.year, "month": period.month, "month_before": before}
            yield Job(period, {**own, **given})
            before = str(period)
        else:
            # Its map is recorded.
            before = None


def _run_here(jobs: Iterable[Job]) -> Iterator[Outcome]:
    """Run months in this process, one after the other, and yield what becomes of each."""
    for job in jobs:
        begun = time.monotonic()
        # The map of the month before is recorded, if there is one.
        parameters = {**job.parameters, "month_before": None}
        failure = _failure_of(monthly_pipeline(**parameters, return_state=True))
        yield Outcome(job.period, failure, time.monotonic() - begun)


def _fail(failures: Failures, period: Period, failure: LandcoverError) -> None:
    get_run_logger().error("%s is not mapped: %s", period, failure)
    failures[period] = failure


def _failure_of(state: State[Any]) -> LandcoverError | None:
    """Return why a month's run has failed; None if it has not."""
    if state.is_completed():
        return None
    error: Any = state.result(raise_on_failure=False)
    if isinstance(error, LandcoverError):
        return error
    return explain(error) or LandcoverError(report(error))


def _bring_up_record(
    runs: Sequence[Run], since: str | None, change: ChangeSettings, blocks: Blocks
) -> dict[Period, LandcoverError]:
    """Bring the record of deforestation up to the last month that has a map.

    Returns:
        Why it could not be, by that month; nothing where it was, or where there is no map.
    """
    mapped = [run.period for run in runs if find_map(run)]
    if not mapped:
        return {}
    last = mapped[-1]
    failure = _failure_of(
        deforestation(
            last.year, last.month, since=since, change=change, blocks=blocks, return_state=True
        )
    )
    if failure is None:
        return {}
    get_run_logger().error("The record of deforestation is not brought up to date: %s", failure)
    return {last: failure}


def _row(run: Run, review: Review, seconds: float | None, failure: LandcoverError | None) -> Row:
    """Say what became of a month."""
    there = failure is None and (seconds is not None or not review.reasons)
    made = find_map(run) if there else None
    return {
        "month": str(run),
        "map": made.path.name if made else "failed" if failure else "not run",
        "accuracy": f"{made.accuracy:.3f}" if made and made.accuracy is not None else "",
        "warnings": f"{made.warnings}" if made and made.warnings is not None else "",
        "alerts": "" if made is None or (alerts := find_record(run)) is None else f"{alerts}",
        "seconds": f"{seconds:.1f}" if seconds else "",
        "why": str(failure or ""),
    }


def _as_text(rows: Sequence[Row]) -> str:
    """Return a table for a terminal, without columns that are empty."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [names, *([row[name] for name in names] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in lines)


def _failed(failures: Failures, left: int, not_run: int) -> LandcoverError:
    """Return the failure of a run some of whose months have failed.

    Args:
        failures: why, by month.
        left: how many months were to be mapped.
        not_run: how many of them were not run because of it.
    """
    first, error = min(failures.items())
    which = ", ".join(map(str, sorted(failures)))
    stopped = f", and {not_run} after it were not run" if not_run else ""
    go_on = ", or with --keep_going to leave out what fails" if not_run else ""
    settings = all(isinstance(error, SettingsError) for error in failures.values())
    failure = SettingsError if settings else LandcoverError
    return failure(
        f"{len(failures)} of {left} months failed ({which}){stopped}. {first}: {error} Run the "
        f"same command to go on with what is left{go_on}."
    )


main = command(backfill, (*NEEDS, DeforestationSettings))


if __name__ == "__main__":
    sys.exit(main())
