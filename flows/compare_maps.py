"""A month's or a year's map held against another map of the place."""

import flows.environment  # noqa: F401

import sys
from collections.abc import Mapping

from prefect import flow
from prefect.runtime import flow_run
from upath import UPath

from flows.command import command
from flows.parameters import Month, MonthLabel, OtherRaster, Year
from flows.provenance import describe_run
from flows.summary import Outcome, show
from landcover.accuracy.areas import Areas
from landcover.accuracy.comparison import NAMES
from landcover.accuracy.other_map import FOREST, NON_FOREST, UNKNOWN
from landcover.period import month_or_year, read_month
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings, DeforestationSettings
from tasks.comparison import (
    Compared,
    Finished,
    compare,
    find_ours,
    find_theirs,
    judge_both,
    open_comparison,
    publish_comparison,
)
from tasks.run import remove_work

NEEDS = (AoiSettings, DeforestationSettings)


def _accuracy(which: str, areas: Areas) -> str:
    overall = areas.estimates.overall
    error = ", error not known" if overall.ci95 is None else f" ± {overall.ci95:.1%}"
    return (
        f"overall accuracy of {which.replace('_', ' ')}: {overall.value:.1%}{error}, from "
        f"{areas.points:,} points"
    )


def name_run() -> str:
    """Return what a run is called in the Prefect UI: the month, or the year, of its map."""
    given = flow_run.parameters
    return str(month_or_year(given["year"], given.get("month")))


@flow(name="compare-maps", flow_run_name=name_run)
def compare_maps(
    year: Year,
    other: OtherRaster,
    month: Month | None = None,
    sample: MonthLabel | None = None,
    blocks: Blocks = Blocks(),
) -> Outcome:
    """Hold a map against another map of the place, such as WorldCover's or MapBiomas's.

    It says on how many hectares the two agree, shows where they do not, and judges both by the
    labels of a reference sample, if labels were taken in (flows/estimate_areas.py).

    Args:
        year: The year of the map, such as 2025.
        other: The other map.
        month: The month of the map, 1 to 12; the map of the whole year (forest_YYYY.tif) if left
            out.
        sample: The month whose labelled sample judges both maps, such as 2025-06; that of the map
            if left out.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    compared = Compared(month_or_year(year, month), other.name)
    with open_comparison(compared, blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run, run.settings[DeforestationSettings])
        ours = find_ours(run, compared)
        theirs = find_theirs(run, ours, other.path, other.band, other.forest, other.no_data)
        finished = compare(run, compared, ours, theirs)
        finished = judge_both(run, compared, finished, read_month(sample) if sample else None)
        files = publish_comparison(run, compared, ours, theirs, finished, made_by)
        remove_work(run, [run.files.work])
        return finish(compared, other, finished, files)


def finish(
    compared: Compared, other: OtherRaster, finished: Finished, files: Mapping[str, UPath]
) -> Outcome:
    """Return what came of a run, and show it on the run's page in the Prefect UI.

    Args:
        compared: what was compared.
        other: the other map.
        finished: what came of it.
        files: each file's path, by what it is.
    """
    title, result = f"The map of {compared} and {UPath(other.path).name}", finished.result
    agreed, whole = f"{result.agreement:.1%}", f"{result.compared:,.1f} ha"
    states = (FOREST, NON_FOREST, UNKNOWN)
    outcome = Outcome(
        results=[
            f"{title}: the two agree on {agreed} of the {whole} that both know.",
            f"  {'this map, ha':<14} {'other map:':>14}",
            f"  {'':<14} " + " ".join(f"{NAMES[state]:>14}" for state in states),
            *(
                f"  {NAMES[ours]:<14} "
                + " ".join(f"{result.area([ours], [theirs]):>14,.1f}" for theirs in states)
                for ours in states
            ),
            *(f"  {_accuracy(which, areas)}" for which, areas in finished.judged.items()),
        ],
        files={
            "page": files["comparison_page"],
            "map of where they differ": files["comparison"],
            "hectares": files["comparison_table"],
            "accuracy": files["comparison_accuracy"],
        },
        notices=finished.notices,
    )
    return show(outcome, f"comparison-{compared.label}", title)


main = command(compare_maps, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
