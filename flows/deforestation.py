"""Where forest fell: the record of deforestation, brought up to a month from the maps."""

import flows.environment  # noqa: F401

import sys
from collections.abc import Mapping

from prefect import flow

from flows.command import command
from flows.parallel import map_windows
from flows.parameters import Month, MonthLabel, Year
from flows.provenance import describe_run
from flows.summary import Outcome, Steps, show
from landcover.change.alerts import Tally
from landcover.change.history import MappedMonth, MonthOfRecord
from landcover.change.plan import FinishedRecord, UpdatedWindow
from landcover.change.rule import ChangeSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings, RegionSettings
from tasks.catalogue import list_maps
from tasks.change import assemble_record, plan_update, update_windows_of_record
from tasks.deforestation_records import find_record, record_deforestation
from tasks.deforestation_report import write_deforestation_report
from tasks.history import History, look_back
from tasks.record import open_record, places_of_record
from tasks.regions import Regions, fetch_regions, record_regions_of, regions_file
from tasks.run import Run, remove_work, tidy_up

NEEDS = (AoiSettings, DeforestationSettings, RegionSettings)


@flow(name="deforestation", flow_run_name="{year}-{month:02d}")
def deforestation(
    year: Year,
    month: Month,
    since: MonthLabel | None = None,
    change: ChangeSettings = ChangeSettings(),
    blocks: Blocks = Blocks(),
) -> Outcome:
    """Bring the record of deforestation up to a month, from the maps that are recorded.

    Months are taken in their order, from where an earlier run left off. Where an earlier month was
    mapped again since, what followed it is made anew.

    Args:
        year: The year up to which, such as 2025.
        month: The month up to which, 1 to 12.
        since: The month that the record begins with, such as 2024-01; the first that is mapped if
            left out.
        change: When lost forest is believed.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    steps = Steps()
    with open_record(Period(year, month), blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run, run.settings[DeforestationSettings], change)
        regions = fetch_regions(run, run.files.work)
        history = look_back(run, since, change)
        before, finished = history.before, None
        for mapped in history.left:
            now = run.of(mapped.period)
            finished = update_record(now, mapped, before, history, change, made_by, regions)
            before = finished.as_record(
                now.files.maps, history.digests(now.period), history.made_with
            )
            steps.done(str(now))
        remove_work(run, [run.files.work])
        return finish(run, finished, steps)


def update_record(
    run: Run,
    mapped: MappedMonth,
    before: MonthOfRecord | None,
    history: History,
    settings: ChangeSettings,
    made_by: Mapping[str, object],
    regions: Regions | None = None,
) -> FinishedRecord:
    """Bring the record up to one more month.

    Args:
        run: of that month.
        mapped: its map.
        before: the record up to the map before it; None where this is the first.
        history: the maps that the record rests on.
        settings: when lost forest is believed.
        made_by: command, code version, flow run and settings.
        regions: that hectares are given for, if any.

    Raises:
        Exception: that of the first window to fail.
    """
    tidy_up(run, places_of_record(run))
    plan = plan_update(run, mapped, before, settings)
    windows: list[UpdatedWindow] = map_windows(
        update_windows_of_record, plan.windows, f"Updating {run}", f"deforestation-{run}",
        run=run, plan=plan,
    )  # fmt: skip
    finished = assemble_record(run, plan, history, windows, regions)
    write_deforestation_report(run, finished, history, made_by)
    record_deforestation(run, finished, history, made_by)
    record_regions_of(run, "deforestation", finished.regions, made_by)
    list_maps(run)
    remove_work(run, [run.files.record_work])
    return finished


def finish(run: Run, finished: FinishedRecord | None, steps: Steps) -> Outcome:
    """Return what came of a run, and show it on the run's page in the Prefect UI.

    Args:
        run: that ends.
        finished: the last month that was made, if there was one.
        steps: the clock of its months.
    """
    reached = run.of(finished.period) if finished else run
    files = reached.files.record
    regions = finished.regions if finished else None
    outcome = Outcome(
        results=_results(reached, finished.counts)
        if finished
        else [f"The record up to {run} is up to date: {find_record(run) or 0} alerts."],
        files={
            "report": files["record_page"],
            "alerts": files["patches"],
            "raster": files["deforestation"],
            "new alerts for phones": files["new_kml"],
            **({"regions": regions_file(reached, "deforestation")} if regions else {}),
        },
        notices=finished.notices if finished else (),
        seconds=steps.seconds,
    )
    return show(outcome, f"deforestation-{reached}", str(reached))


def _results(run: Run, counts: Tally) -> list[str]:
    return [
        f"The record of deforestation is brought up to {run}.",
        f"  {counts.new} alerts are new",
        f"  {counts.confirmed} are confirmed: {counts.confirmed_hectares:,.1f} ha",
        f"  {counts.warnings} are warnings: {counts.warning_hectares:,.1f} ha",
        f"  {counts.withdrawn} were withdrawn, and people have rejected {counts.rejected}",
    ]


main = command(deforestation, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
