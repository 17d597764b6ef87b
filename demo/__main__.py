"""The demo: half a year of a small generated world through the very flows that the team runs."""

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import geopandas
import pandas as pd

from demo.compare import Loss, agreement, compare_loss, compare_year, read_codes
from demo.people import compare_areas, label_points
from demo.picture import Month, draw_months
from demo.world import What, World, build_world
from flows import annual, deforestation, draw_sample, estimate_areas, monthly
from landcover.files import file_name
from landcover.period import CalendarYear, Period, months_between
from tasks.access.settings import SETTINGS_GROUPS

FOLDER = Path("data/demo")
MONTHS = months_between(Period(2025, 1), Period(2025, 6))

# Nobody has drawn polygons of this month: the months beside it teach its model.
NOT_DRAWN = Period(2025, 4)
POOLED = ("--train_on", "pool:1")

# The blocks of whoever runs the demo are of another world.
NO_BLOCKS = ("--database-block", "none", "--storage-block", "none")
# Fewer than usual: half of the time of a small month is for them.
FOLDS = ("--folds", "3")

MAPS = Path("data/predictions")

WHAT = {
    What.CLEARING: "forest that was felled",
    What.FIELD: "a field that was harvested, lay bare and was sown again",
    What.SHADOW: "the shadow of a cloud, dark as a burn, on forest that stands",
}


def main() -> int:
    """Make the world, map its months, compare with the truth.

    Returns:
        The exit status: 1 too where the record of deforestation differs from the truth.
    """
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print(f"Making a small world in {FOLDER} ...", flush=True)
    world = build_world(FOLDER.absolute(), months=MONTHS, without_polygons=[NOT_DRAWN])
    enter(world, FOLDER)
    for month in world.months:
        pooled = POOLED if month == NOT_DRAWN else ()
        status = run("monthly", monthly.main, month, *FOLDS, *pooled)
        if status:
            return status
    last = world.months[-1]
    status = (
        run("deforestation", deforestation.main, last)
        or estimate(world, last)
        or run("annual", annual.main, CalendarYear(last.year))
    )
    if status:
        return status
    loss = tell(world)
    print(f"The demo took {time.monotonic() - started:.0f} seconds.")
    return 0 if loss.is_right else 1


def run(
    flow: str,
    flow_main: Callable[[list[str]], int],
    period: Period | CalendarYear,
    *options: str,
) -> int:
    """Run a flow as its command does, which is printed; return its exit status."""
    month = ["--month", f"{period.month}"] if isinstance(period, Period) else []
    command = ["--year", f"{period.year}", *month, *options, *NO_BLOCKS]
    print(f"\npython flows/{flow}.py {' '.join(command)}", flush=True)
    return flow_main(command)


def estimate(world: World, month: Period) -> int:
    """Draw points from a month's map, label them as people would, and estimate its areas."""
    status = run("draw_sample", draw_sample.main, month, "--size", "600")
    if status:
        return status
    labels = Path("labels.csv")
    label_points(MAPS / file_name("sample", month), world.truth[month], labels)
    return run("estimate_areas", estimate_areas.main, month, "--labels", f"{labels}")


def enter(world: World, folder: Path) -> None:
    """Go to the world's folder, where the settings are those of its .env and no others."""
    settings = {
        "PLANET_MOSAIC_DIR": world.mosaic_dir,
        "MOSAIC_PATTERN": world.mosaic_pattern,
        "AOI_DEFINITION": world.aoi,
        "TRAINING_POLYGON_TABLE": world.polygons,
        "TRAINING_POLYGON_CLASS_COL": "class_label",
        "TRAINING_POLYGON_ID_COL": "id",
        "TRAINING_POLYGON_MONTH_COL": "month",
        "REGIONS": world.regions,
    }
    os.chdir(folder)
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for name in (name.upper() for group in SETTINGS_GROUPS for name in group.model_fields):
        os.environ.pop(name, None)


def tell(world: World) -> Loss:
    """Print how maps and record compare with the truth, and where everything is."""
    months = [month_of(world, month) for month in world.months]
    tell_maps(months)
    last = world.months[-1]
    tell_areas(world, last)
    alerts = geopandas.read_file(MAPS / file_name("patches", last))
    loss = compare_loss(alerts, geopandas.read_file(world.events))
    tell_loss(loss, last)
    tell_year(world, CalendarYear(last.year))
    picture = Path("overview.png")
    draw_months(months, world, picture)
    print("\nWhere everything is:")
    places = {
        "areas": MAPS / file_name("report", last),
        "deforestation": MAPS / file_name("record_page", last),
        "alerts": MAPS / file_name("patches", last),
        "year": MAPS / file_name("forest_page", CalendarYear(last.year)),
        "reports": MAPS / "report_*.html",
        "maps": MAPS,
        "picture": picture,
        "truth": world.events.parent,
        "imagery": world.mosaic_dir,
        "polygons": world.polygons,
        "regions": world.regions,
        "settings": Path(".env"),
        "models": Path("data/models"),
        "metadata": Path("data/chocoforest.db"),
    }
    for what, path in places.items():
        print(f"  {what:<13} {FOLDER / os.path.relpath(path)}")
    return loss


def month_of(world: World, month: Period) -> Month:
    """Return what there is of a month."""
    return Month(
        month,
        quads=sorted((world.mosaic_dir / f"{month.year}" / f"{month.month:02d}").glob("*.tif")),
        truth=world.truth[month],
        map=MAPS / file_name("map", month),
        record=MAPS / file_name("deforestation", month),
    )


def tell_maps(months: list[Month]) -> None:
    """Print how the maps compare with the truth."""
    print("\nHow the maps compare with the known truth:")
    for month in months:
        found = agreement(read_codes(month.map), read_codes(month.truth))
        estimated = estimated_accuracy(month.period)
        recall = ", ".join(f"{name} {share:.1%}" for name, share in found.recall.items())
        if month.period == NOT_DRAWN:
            print(
                f"  {month.period}  has no training polygons: the months beside it taught its model"
            )
        print(
            f"  {month.period}  {found.accuracy:.1%} of pixels right (of {recall}); estimated "
            f"on held-out polygons {estimated:.1%}, {100 * (estimated - found.accuracy):+.1f} "
            "points, because polygons are drawn where a class is plain to see"
        )


def tell_areas(world: World, month: Period) -> None:
    """Print how areas that are estimated from labelled points compare with the truth."""
    table, mapped = (MAPS / file_name(what, month) for what in ("areas", "map"))
    found = compare_areas(table, mapped, world.truth[month], world.polygons, f"{month}")
    accuracy, forest = found.accuracy, found.forest
    print(f"\nWhat labelled points say of {month}, and the truth of all that was sampled:")
    print(
        f"  accuracy of the map {accuracy.value:.1%} ± {accuracy.ci95:.1%}, true "
        f"{accuracy.truth:.1%}; on held-out polygons {estimated_accuracy(month):.1%}"
    )
    print(
        f"  forest {forest.value:.1f} ± {forest.ci95:.1f} ha, true {forest.truth:.1f} ha; the map "
        f"counts {found.mapped:.1f} ha"
    )
    if not (accuracy.is_right and forest.is_right):
        print("  An interval misses the truth, which happens to one in twenty.")


def tell_loss(loss: Loss, last: Period) -> None:
    """Print how the confirmed loss compares with the truth."""
    print(f"\nHow the deforestation that is confirmed up to {last} compares with the known truth:")
    for place in sorted(loss.places, key=lambda place: place.month):
        print(
            f"  {place.month}  {WHAT[place.what]}: {place.confirmed:.1f} of {place.hectares:.1f} "
            "ha are confirmed"
        )
    print(
        f"  {loss.felled:.1f} ha were felled, {loss.confirmed:.1f} ha are confirmed "
        f"({loss.confirmed / loss.felled - 1:+.1%}); in alerts where nothing was felled, "
        f"{loss.elsewhere:.1f} ha"
    )
    print(f"  {loss.warned:.1f} ha more are under warning, which later months confirm or withdraw")
    if not loss.is_right:
        print("  This is not as it should be.")


def tell_year(world: World, year: CalendarYear) -> None:
    """Print how the annual map compares with the truth, and its hectares by region."""
    truths, events = [world.truth[month] for month in world.months], world.events
    mapped = MAPS / file_name("forest", year)
    found = compare_year(mapped, truths, world.aoi, geopandas.read_file(events))
    recall = ", ".join(f"{name} {share:.1%}" for name, share in found.agreement.recall.items())
    print(f"\nHow the forest map of {year} compares with the truth after {len(truths)} months:")
    print(
        f"  {found.agreement.accuracy:.1%} of pixels right (of {recall}), {found.unknown:.1%} "
        f"without data; of the pixels that were felled, {found.fell:.1%} are not forest any more"
    )
    table = pd.read_csv(MAPS / file_name("forest_regions", year))
    hectares = table.pivot(index="region", columns="class", values="hectares")
    columns = {"Forest": "forest", "Non-forest": "non-forest", "No data": "no data"}
    print(f"\nHectares of {year} by region:")
    print(f"  {'':<14}" + "".join(f"{heading:>12}" for heading in columns.values()))
    for region, areas in hectares.iterrows():
        print(f"  {region:<14}" + "".join(f"{areas[name]:>12,.1f}" for name in columns))


def estimated_accuracy(month: Period) -> float:
    """Return the accuracy recorded with a month's model: on months held out, if any were."""
    query = """
        SELECT coalesce(
            json_extract(metrics, '$.carried_over.accuracy'), json_extract(metrics, '$.accuracy')
        )
        FROM ml_models WHERE year = ? AND month = ?
    """
    with closing(sqlite3.connect("data/chocoforest.db")) as database:
        (accuracy,) = database.execute(query, (month.year, month.month)).fetchone()
    return float(accuracy)


if __name__ == "__main__":
    sys.exit(main())
