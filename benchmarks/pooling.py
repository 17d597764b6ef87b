"""How well a month without polygons is mapped by what other months teach: pool against own.

The polygons of each month are dealt into folds, and each fold is predicted three times: by a forest
of the month's other polygons (`own`), by one of the other months' alone, as if the month had none
(`pool`), and by one of both. No forest has seen the ground that it predicts, in any month.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score
from upath import UPath

from benchmarks.bins import BANDS, REAL, SCENES
from demo.world import build_world
from landcover.classes import assign_codes
from landcover.imagery.mosaic import mosaic_of
from landcover.model.folds import capped, polygon_folds
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.model.ground import ground_of
from landcover.model.held_out import predict_held_out
from landcover.model.pooling import pool
from landcover.model.sampling import Origin, SamplingSettings, sample_polygons
from landcover.period import Period, months_between

PAIRS = {
    "Chiapas": {Period(1999, 11): "Chiapas 1999", Period(2002, 4): "Chiapas 2002"},
    "Costa Rica": {Period(1986, 1): "Costa Rica 1986", Period(2001, 1): "Costa Rica 2001"},
}
WORLDS = (7, 8)

# Of a class, for each forest: a generated month has four times as many, of pixels much alike.
MOST_PIXELS = 1000

# Of each month: its imagery, and its polygons with `polygon_id` and `class_label`.
Scenes = Mapping[Period, tuple[list[Path], geopandas.GeoDataFrame]]


def demo(folder: Path, seed: int) -> Scenes:
    """Return six months of a generated world."""
    months = months_between(Period(2025, 1), Period(2025, 6))
    world = build_world(folder / f"world{seed}", seed=seed, months=months)
    drawn = geopandas.read_file(world.polygons).rename(columns={"id": "polygon_id"})
    return {
        month: (
            sorted((world.mosaic_dir / f"{month.year}" / f"{month.month:02d}").glob("*.tif")),
            drawn[drawn["month"] == f"{month}"].reset_index(drop=True),
        )
        for month in months
    }


def pair(name: str) -> Scenes:
    """Return the two dates of a real scene."""
    scenes = {}
    for month, scene in PAIRS[name].items():
        image, polygons, column = SCENES[scene]
        drawn = geopandas.read_file(REAL / polygons).rename(columns={column: "class_label"})
        scenes[month] = ([REAL / image], drawn.assign(polygon_id=drawn.index.astype(str)))
    return scenes


def study(scenes: Scenes, folder: Path, settings: ForestSettings) -> Iterator[dict[str, object]]:
    """Yield macro F1 and accuracy of each month, by what taught the forest."""
    files = []
    for month, (images, drawn) in scenes.items():
        mosaic = mosaic_of(images, BANDS, folder / f"{month}.parquet")
        found = sample_polygons(mosaic, drawn, SamplingSettings())
        rows = found.rows.drop(columns="geometry")
        origin = Origin(
            tuple(BANDS), together=found.together, month=f"{month}", pixel=mosaic.grid.pixel
        )
        files.append((UPath(f"{month}"), rows, origin))
    pooled = pool(files, next(iter(scenes)))
    rows, months = pooled.rows, pooled.months
    codes = rows["class_label"].map(assign_codes(rows["class_label"], {}))
    grounds = ground_of(rows["polygon_id"], pooled.origin.together or ())
    for month in scenes:
        its = np.flatnonzero(months == f"{month}")
        dealt = polygon_folds(
            grounds.iloc[its].reset_index(drop=True),
            codes.iloc[its].reset_index(drop=True),
            settings.folds,
            settings.seed,
        )
        tests = [its[test] for _, test in dealt]
        others = {"own": months == f"{month}", "pool": months != f"{month}", "both": months != ""}
        line: dict[str, object] = {"month": f"{month}", "samples": len(its)}
        for name, teaches in others.items():
            folds = [
                (np.flatnonzero(teaches & ~grounds.isin(grounds.iloc[test].unique())), test)
                for test in tests
            ]
            values = rows[list(BANDS)].to_numpy()
            few = capped(folds, codes, settings)
            held_out = predict_held_out(new_pipeline(settings), values, codes, few)
            true, found_codes = held_out.true, held_out.predicted
            line[name] = 100 * f1_score(true, found_codes, average="macro")
            line[f"{name}, accuracy"] = 100 * accuracy_score(true, found_codes)
        yield line


def measure(trees: int = 100) -> Iterator[pd.DataFrame]:
    """Yield the months of each scene, a row each.

    Args:
        trees: of each forest.
    """
    settings = ForestSettings(trees=trees, max_pixels_per_class=MOST_PIXELS)
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name in PAIRS:
            yield _table(name, pair(name), folder, settings)
        for seed in WORLDS:
            yield _table(f"generated world {seed}", demo(folder, seed), folder, settings)


def _table(name: str, scenes: Scenes, folder: Path, settings: ForestSettings) -> pd.DataFrame:
    lines = pd.DataFrame(study(scenes, folder, settings))
    lines.insert(0, "scene", name)
    return lines


def tell() -> None:
    """Print macro F1 and accuracy of each month of each scene, in percent."""
    for table in measure():
        sys.stdout.write(f"{table.round(1).to_string(index=False)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    tell()
