"""Hectares by region, of a month that is there already: after REGIONS was set, or changed."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.parameters import Month, Year
from flows.provenance import describe_run
from flows.summary import Outcome, show
from landcover.errors import LandcoverError
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings, RegionSettings
from tasks.regions import fetch_regions, measure_again, open_regions, record_alone, regions_file
from tasks.run import remove_work

NEEDS = (AoiSettings, DeforestationSettings, RegionSettings)


@flow(name="regions", flow_run_name="{year}-{month:02d}")
def measure_regions(year: Year, month: Month, blocks: Blocks = Blocks()) -> Outcome:
    """Measure regions on the map of a month, and on the record of deforestation up to it.

    Runs that map a month, or bring the record up to one, do this by themselves. This is for what
    was made before REGIONS was set or changed; no map is made anew.

    Args:
        year: The year of the map, such as 2025.
        month: The month of the map, 1 to 12.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    with open_regions(Period(year, month), blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run, *(run.settings[group] for group in NEEDS[1:]))
        regions = fetch_regions(run, run.files.work)
        assert regions is not None
        measured = {"prediction": measure_again(run, regions, "prediction", made_by)}
        with record_alone(run):
            measured["deforestation"] = measure_again(run, regions, "deforestation", made_by)
        remove_work(run, [run.files.work])
    found = {of: areas for of, areas in measured.items() if areas is not None}
    if not found:
        raise LandcoverError(
            f"There is neither a map of {run} nor a record up to it, so regions cannot be measured "
            "on them: map the month first."
        )
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
    return show(outcome, f"regions-{run}", str(run))


main = command(measure_regions, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
