"""Areas with a known error: estimated from points that were drawn at random and labelled."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.draw_sample import check_period
from flows.parameters import Between, Month, MonthLabel, Year
from flows.provenance import describe_run
from flows.summary import Outcome, show
from landcover.accuracy.areas import Areas
from landcover.accuracy.estimates import Estimate
from landcover.accuracy.strata import Of
from landcover.errors import SettingsError
from landcover.period import Period, read_month
from tasks.access.blocks import Blocks
from tasks.access.settings import DeforestationSettings
from tasks.area_estimates import Taken, files_of_estimate, open_estimates, record_areas, take_labels
from tasks.run import remove_work

NEEDS = (DeforestationSettings,)


def _results(taken: Taken, areas: Areas) -> list[str]:
    found = areas.estimates
    return [
        str(taken),
        f"  {'':<16} {'on the map, ha':>16} {'estimated, ha':>28}",
        *(
            f"  {name:<16} {found.mapped_ha[name]:>16,.1f} {_hectares(area):>28}"
            for name, area in found.area_ha.items()
        ),
        f"  overall accuracy {_percent(found.overall)}, from {areas.points:,} points",
    ]


def _hectares(found: Estimate) -> str:
    error = "error not known" if found.ci95 is None else f"± {found.ci95:,.1f}"
    return f"{found.value:,.1f} {error}"


def _percent(found: Estimate) -> str:
    error = ", error not known" if found.ci95 is None else f" ± {found.ci95:.1%}"
    return f"{found.value:.1%}{error}"


@flow(name="estimate-areas", flow_run_name="{year}-{month:02d}")
def estimate_areas(
    year: Year,
    month: Month,
    labels: str,
    of: Of = "prediction",
    between: Between = Between(),
    other_map: MonthLabel | None = None,
    label_column: str | None = None,
    blocks: Blocks = Blocks(),
) -> Outcome:
    """Estimate areas and accuracies, each with its 95 % interval, from a labelled sample.

    Labels are added to those that were taken in before; of a point that is named again the new one
    counts.

    Args:
        year: The year of the map that the sample was drawn from, such as 2025.
        month: The month of the map, 1 to 12; of loss, the last of the period.
        labels: The labels: Collect Earth Online's sample or plot download, a GeoPackage of QGIS or
            AcATaMa, or a CSV of id and label; on the disk of the machine that runs this, or in the
            bucket as s3://...
        of: What the sample is of: the map of a month (prediction), or loss of forest over a period
            (deforestation).
        between: The period, where the sample is of deforestation.
        other_map: Another month whose recorded map is judged with the same labels, such as 2025-05;
            the strata stay those that the sample was drawn from.
        label_column: The column of the labels, or the question of the survey, where the file does
            not tell.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    period = Period(year, month)
    check_period(of, period, between)
    other = _other(of, other_map)
    with open_estimates(period, of, other, blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run, run.settings[DeforestationSettings])
        taken = take_labels(run, of, labels, label_column, between.first)
        areas = record_areas(run, of, other, taken, made_by)
        remove_work(run, [run.files.work])
        files = files_of_estimate(run, of, other)
        outcome = Outcome(_results(taken, areas), files, areas.notices, mark="Note")
        return show(outcome, f"areas-{of}-{run}", str(run))


def _other(of: Of, other_map: str | None) -> Period | None:
    """Return the month of another map.

    Raises:
        SettingsError: if the sample is of deforestation.
    """
    if other_map and of == "deforestation":
        raise SettingsError(
            "--other_map judges the map of a month, so it does not go with --of deforestation."
        )
    return read_month(other_map) if other_map else None


main = command(estimate_areas, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
