"""One forest map of a year, from the maps of its months."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.parallel import map_windows
from flows.parameters import Year
from flows.provenance import describe_run
from flows.summary import Outcome, Steps, show
from landcover.change.annual import MONTHS, AnnualSettings
from landcover.change.annual_map import NO_DATA, AnnualWindow, FinishedYear
from landcover.change.rule import FOREST, NON_FOREST
from landcover.period import CalendarYear
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings, RegionSettings
from tasks.annual_map import (
    annual_files,
    assemble_annual,
    make_annual_windows,
    open_annual,
    plan_annual,
    record_annual,
)
from tasks.annual_page import write_annual_page
from tasks.catalogue import list_maps
from tasks.regions import fetch_regions, record_regions_of, regions_file
from tasks.run import Run, remove_work

NEEDS = (AoiSettings, DeforestationSettings, RegionSettings)


@flow(name="annual", flow_run_name="{year}")
def annual(
    year: Year, settings: AnnualSettings = AnnualSettings(), blocks: Blocks = Blocks()
) -> Outcome:
    """Make one forest map of a year from the maps of its months that are recorded.

    A month without a map counts as not seen. Beside the map goes the number of clear months of each
    pixel.

    Args:
        year: The year, such as 2024.
        settings: By which rule a year's months become one class a pixel.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    steps = Steps()
    with open_annual(CalendarYear(year), blocks, NEEDS) as run:
        made_by = describe_run(run, run.settings[DeforestationSettings], settings)
        regions = fetch_regions(run, run.files.work)
        plan = plan_annual(run, settings)
        steps.done("plan")
        windows: list[AnnualWindow] = map_windows(
            make_annual_windows, plan.windows, f"Making {plan.year}", f"forest-{plan.year}",
            run=run, plan=plan,
        )  # fmt: skip
        steps.done("windows")
        finished = assemble_annual(run, plan, windows, regions)
        steps.done("map")
        write_annual_page(run, finished, made_by)
        steps.done("page")
        record_annual(run, finished, made_by)
        record_regions_of(run, "forest", finished.regions, made_by)
        list_maps(run)
        remove_work(run, [run.files.work])
        steps.done("record")
        return finish(run, finished, steps)


def finish(run: Run, finished: FinishedYear, steps: Steps) -> Outcome:
    """Return what came of a run, and show it on the run's page in the Prefect UI.

    Args:
        run: that ends.
        finished: the annual map.
        steps: the clock of its steps.
    """
    plan, files = finished.plan, annual_files(run)
    begins = f"Forest at the end of {plan.year}, by the rule {plan.settings.rule} from the maps of"
    names = {FOREST: "forest", NON_FOREST: "non-forest", NO_DATA: "no data"}
    outcome = Outcome(
        results=[
            f"{begins} {len(plan.maps)} of {MONTHS} months:",
            *(
                f"  {name:<12} {finished.hectares.get(code, 0):>14,.1f} ha"
                for code, name in names.items()
            ),
        ],
        files={
            "report": files["forest_page"],
            "map": files["forest"],
            "clear months": files["clear_months"],
            **({"regions": regions_file(run, "forest")} if finished.regions else {}),
        },
        notices=finished.notices,
        seconds=steps.seconds,
    )
    return show(outcome, f"forest-{plan.year}", str(plan.year))


main = command(annual, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
