"""The demo: two months of a small generated world through the very flow that the team runs."""

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from demo.compare import agreement, cleared, hectares, read_codes
from demo.picture import draw_months
from demo.world import World, build_world
from flows import monthly
from landcover.files import file_name
from landcover.period import Period
from tasks.access.settings import SETTINGS_GROUPS

FOLDER = Path("data/demo")
NO_BLOCKS = ("--database-block", "none", "--storage-block", "none")


def main() -> int:
    """Make the world, map its months, compare with the truth; return the exit status."""
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print(f"Making a small world in {FOLDER} ...", flush=True)
    world = build_world(FOLDER.absolute())
    enter(world, FOLDER)
    for month in world.months:
        # The blocks of whoever runs the demo are of another world.
        command = ["--year", f"{month.year}", "--month", f"{month.month}", *NO_BLOCKS]
        print(f"\npython flows/monthly.py {' '.join(command)}", flush=True)
        status = monthly.main(command)
        if status:
            return status
    tell(world)
    print(f"The demo took {time.monotonic() - started:.0f} seconds.")
    return 0


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
    }
    os.chdir(folder)
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for name in (name.upper() for group in SETTINGS_GROUPS for name in group.model_fields):
        os.environ.pop(name, None)


def tell(world: World) -> None:
    """Print how the maps compare with the truth, and where everything is."""
    maps = {month: Path("data/predictions") / file_name("map", month) for month in world.months}
    print("\nHow the maps compare with the known truth:")
    for month, path in maps.items():
        found = agreement(read_codes(path), read_codes(world.truth[month]))
        estimated = estimated_accuracy(month)
        recall = ", ".join(f"{name} {share:.1%}" for name, share in found.recall.items())
        print(
            f"  {month}  {found.accuracy:.1%} of pixels right (of {recall}); estimated "
            f"on held-out polygons {estimated:.1%}, {100 * (estimated - found.accuracy):+.1f} "
            "points, because polygons are drawn where a class is plain to see"
        )
    tell_clearing(world, maps)
    picture = Path("overview.png")
    months = [
        (
            str(month),
            sorted((world.mosaic_dir / f"{month.year}" / f"{month.month:02d}").glob("*.tif")),
            world.truth[month],
            path,
        )
        for month, path in maps.items()
    ]
    draw_months(months, world.aoi, world.polygons, picture)
    print("\nWhere everything is:")
    places = {
        "imagery": world.mosaic_dir,
        "polygons": world.polygons,
        "settings": Path(".env"),
        "models": Path("data/models"),
        "maps": Path("data/predictions"),
        "reports": Path("data/predictions/report_*.html"),
        "metadata": Path("data/chocoforest.db"),
        "picture": picture,
    }
    for what, path in places.items():
        print(f"  {what:<9} {FOLDER / os.path.relpath(path)}")


def estimated_accuracy(month: Period) -> float:
    """Return the accuracy that was recorded with a month's model."""
    query = "SELECT json_extract(metrics, '$.accuracy') FROM ml_models WHERE year = ? AND month = ?"
    with closing(sqlite3.connect("data/chocoforest.db")) as database:
        (accuracy,) = database.execute(query, (month.year, month.month)).fetchone()
    return float(accuracy)


def tell_clearing(world: World, maps: dict[Period, Path]) -> None:
    """Print how much of the forest that was cleared between the months the maps show."""
    before, after = (read_codes(maps[month]) for month in world.months)
    true = cleared(*(read_codes(world.truth[month]) for month in world.months))
    path = maps[world.months[0]]
    both = cleared(before, after)
    print(
        f"  cleared between them: {hectares(true, path):.1f} ha, "
        f"of which the maps show {hectares(both & true, path):.1f} ha"
    )


if __name__ == "__main__":
    sys.exit(main())
