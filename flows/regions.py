"""Hectares by region, of maps that are there already: after REGIONS was set, or changed."""

import flows.environment  # noqa: F401

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from prefect import flow
from prefect.runtime import flow_run
from upath import UPath

from flows.command import command
from flows.parameters import Month, Year
from flows.provenance import describe_run
from landcover.errors import LandcoverError
from landcover.notices import Notice
from landcover.period import CalendarYear, Period
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings, RegionSettings
from tasks.artifacts import show_summary
from tasks.regions import (
    MEASURED,
    alone,
    fetch_regions,
    measure_again,
    prepare_regions,
    regions_file,
)
from tasks.run import remove_work

NEEDS = (AoiSettings, DeforestationSettings, RegionSettings)


@dataclass(frozen=True)
class Outcome:
    """What came of a run; as text, the lines that a person reads."""

    measured: Mapping[str, int]
    """How many regions were measured, by what was measured."""
    files: Mapping[str, UPath]
    """Each file's path, by what it is."""
    notices: tuple[Notice, ...]
    """What is to be told of the regions."""

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        return "\n".join([*self.findings(), *(f"{of}: {at}" for of, at in self.files.items())])

    def findings(self) -> list[str]:
        """Return the results, line by line."""
        return [
            *(f"{count} regions are measured on the {of}." for of, count in self.measured.items()),
            *(f"Note: {notice}" for notice in self.notices),
        ]


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


def period_of(year: int, month: int | None) -> Period | CalendarYear:
    """Return the month, or the year where none is given."""
    return Period(year, month) if month else CalendarYear(year)


def name_run() -> str:
    """Return what a run is called in the Prefect UI: the month, or the year, that is measured."""
    return str(period_of(flow_run.parameters["year"], flow_run.parameters.get("month")))


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
    period = period_of(year, month)
    run = prepare_regions(period, blocks, NEEDS)
    # At once, because the Prefect server that is asked may be away later.
    made_by = describe_run(run, *(run.settings[group] for group in NEEDS[1:]))
    regions = fetch_regions(run, run.files.region_work)
    assert regions is not None
    found = {}
    for of in MEASURED[type(period)]:
        with alone(run, of):
            areas = measure_again(run, regions, of, made_by)
        if areas is not None:
            found[of] = areas
    remove_work(run, [run.files.region_work])
    if not found:
        raise nothing_of(period)
    outcome = Outcome(
        measured={of: areas.table["region"].nunique() for of, areas in found.items()},
        files={f"regions on the {of}": regions_file(run, of) for of in found},
        # They are the same of both, but for rounding.
        notices=next(iter(found.values())).notices,
    )
    text = "\n".join(outcome.findings())
    show_summary(f"regions-{period}", f"# {period}\n\n```\n{text}\n```", outcome.files)
    return outcome


main = command(measure_regions, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
