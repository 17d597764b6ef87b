"""Hectares by region, of maps that are there already: after REGIONS was set, or changed."""

import flows.environment  # noqa: F401

import sys

from prefect import flow
from prefect.runtime import flow_run

from flows.command import command
from flows.parameters import Month, Year
from flows.provenance import describe_run
from flows.summary import Outcome, show
from landcover.errors import LandcoverError
from landcover.period import CalendarYear, Period, month_or_year
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings, RegionSettings
from tasks.regions import (
    MEASURED,
    alone,
    fetch_regions,
    measure_again,
    open_regions,
    regions_file,
)
from tasks.run import remove_work

NEEDS = (AoiSettings, DeforestationSettings, RegionSettings)


def nothing_of(period: Period | CalendarYear) -> LandcoverError:
    """Return what a run fails with that finds nothing to measure regions on."""
    if isinstance(period, Period):
        return LandcoverError(
            f"There is neither a map of {period} nor a record up to it, so regions cannot be "
            "measured on them: map the month first."
        )
    return LandcoverError(
        f"There is no map of the year {period}, so regions cannot be measured on it: make it "
        f"first, with python flows/annual.py --year {period}."
    )


def name_run() -> str:
    """Return what a run is called in the Prefect UI: the month, or the year, that is measured."""
    return str(month_or_year(flow_run.parameters["year"], flow_run.parameters.get("month")))


@flow(name="regions", flow_run_name=name_run)
def measure_regions(year: Year, month: Month | None = None, blocks: Blocks = Blocks()) -> Outcome:
    """Measure regions on the map of a month and the record of deforestation up to it, or of a year.

    Runs that make a map, or bring the record up to a month, do this by themselves. This is for what
    was made before REGIONS was set or changed; no map is made anew.

    Args:
        year: The year of the map, such as 2025.
        month: The month of the map, 1 to 12; the map of the whole year (forest_YYYY.tif) if left
            out.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    period = month_or_year(year, month)
    found = {}
    with open_regions(period, blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run, *(run.settings[group] for group in NEEDS[1:]))
        regions = fetch_regions(run, run.files.work)
        assert regions is not None
        for of in MEASURED[type(period)]:
            with alone(run, of):
                areas = measure_again(run, regions, of, made_by)
            if areas is not None:
                found[of] = areas
        remove_work(run, [run.files.work])
    if not found:
        raise nothing_of(period)
    outcome = Outcome(
        results=[
            f"{areas.table['region'].nunique()} regions are measured on the {of}."
            for of, areas in found.items()
        ],
        files={f"regions on the {of}": regions_file(run, of) for of in found},
        # They are the same of both, but for rounding.
        notices=next(iter(found.values())).notices,
        mark="Note",
    )
    return show(outcome, f"regions-{period}", str(period))


main = command(measure_regions, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
