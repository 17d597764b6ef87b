"""A reference sample: points drawn at random from a finished map, for people to label."""

import flows.environment  # noqa: F401

import sys
from collections.abc import Sequence

from prefect import flow

from flows.command import command
from flows.parameters import Between, Month, Year
from flows.provenance import describe_run
from flows.summary import Outcome, Steps, show
from landcover.accuracy.draw import SampleSettings
from landcover.accuracy.strata import Of
from landcover.errors import SettingsError
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings, PolygonSettings
from tasks.reference_sample import (
    DrawnSample,
    describe_whole,
    draw_points,
    find_map_to_sample,
    open_sample,
    record_sample,
    sample_files,
)
from tasks.run import Run, remove_work
from tasks.sample_page import write_sample_page

KEEP_BACK = (
    "Keep this and the key from those who label: give them the page, or one of the files for QGIS "
    "and Collect Earth Online."
)

NEEDS = (AoiSettings, DeforestationSettings, PolygonSettings)


@flow(name="draw-sample", flow_run_name="{of} {year}-{month:02d}")
def draw_sample(
    year: Year,
    month: Month,
    of: Of = "prediction",
    between: Between = Between(),
    design: SampleSettings = SampleSettings(),
    blocks: Blocks = Blocks(),
) -> Outcome:
    """Draw points at random from a finished map, for people to label.

    What they say is taken back by flows/estimate_areas.py, which returns areas and accuracy with
    their intervals.

    Args:
        year: The year of the map, such as 2025.
        month: The month of the map, 1 to 12; of loss, the last of the period.
        of: What the sample is of: the map of a month (prediction), or loss of forest over a period
            (deforestation).
        between: The period, where the sample is of deforestation.
        design: How many points are drawn, and from where.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    period = Period(year, month)
    check_period(of, period, between)
    steps = Steps()
    with open_sample(period, of, blocks, NEEDS) as run:
        made_by = describe_run(run, run.settings[DeforestationSettings], design)
        source = find_map_to_sample(run, of, between.first)
        drawn = draw_points(run, source, design)
        steps.done("points")
        shown = write_sample_page(run, drawn)
        steps.done("page")
        record_sample(run, drawn, made_by)
        remove_work(run, [run.files.work])
        steps.done("record")
        return finish(run, drawn, shown, steps)


def check_period(of: Of, period: Period, between: Between) -> None:
    """Make sure that the options of the period go together.

    Args:
        of: what the sample is of.
        period: the month.
        between: the period, as far as it is given.

    Raises:
        SettingsError: if they do not.
    """
    if of == "prediction":
        if between.first or between.last:
            raise SettingsError(
                "--from and --to are for loss over a period: add --of deforestation, or leave them "
                "out for a sample of a month's map."
            )
        return
    if between.last and between.last != str(period):
        raise SettingsError(
            f"--to {between.last} is not the month of --year and --month, {period}: the sample is "
            "of the record up to that month, so write the same one, or leave --to out."
        )
    if between.first and between.first > str(period):
        raise SettingsError(f"--from {between.first} is after {period}: name an earlier month.")


def finish(run: Run, drawn: DrawnSample, shown: Sequence[Period], steps: Steps) -> Outcome:
    """Return what came of a run, and show it on the run's page in the Prefect UI.

    Args:
        run: that ends.
        drawn: the sample.
        shown: the months that the page shows.
        steps: the clock of its steps.
    """
    of, shares = drawn.source.of, drawn.shares
    is_loss = of == "deforestation"
    title = f"loss from {drawn.source.first} to {run}" if is_loss else f"the map of {run}"
    months = " and ".join(map(str, shown)) or "no month: no imagery is there"
    files = sample_files(run, of)
    outcome = Outcome(
        results=[
            f"{drawn.points} points are drawn from {title}.",
            *(
                f"  {share.stratum.name:<20} {share.hectares:>14,.1f} ha {share.points:>6} points"
                for share in shares
            ),
            *(
                f"  left out: {name:<10} {hectares:>14,.1f} ha"
                for name, hectares in drawn.outside_ha.items()
                if hectares
            ),
            f"  the page shows {months}",
        ],
        files={
            "page to label on": files["sample_page"],
            "points for QGIS": files["sample"],
            "plots for Collect Earth Online": files["sample_ceo"],
            "key, to be kept back": files["sample_key"],
        },
        notices=[describe_whole(share) for share in shares if share.points < share.wanted],
        advice=KEEP_BACK,
        seconds=steps.seconds,
    )
    return show(outcome, f"sample-{of}-{run}", f"Sample of {run}")


main = command(draw_sample, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
