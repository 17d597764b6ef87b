"""What rounding band values to levels does to accuracy, on real scenes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from benchmarks.month import ROOT
from benchmarks.report import Figure
from landcover.classes import assign_codes
from landcover.imagery.mosaic import mosaic_of
from landcover.model.bins import LogBins
from landcover.model.folds import polygon_folds
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.model.held_out import predict_held_out
from landcover.model.sampling import SamplingSettings, sample_polygons

REAL = ROOT.parent / "shared" / "real"
BANDS = {"blue": 1, "green": 2, "red": 3, "nir": 4}
SEEDS = range(2)

# Scene, polygons and their class column.
SCENES = {
    "Chiapas 1999": ("chiapas_landsat/LE70220491999322EDC01_stack.gtif",
                     "chiapas_landsat/training_data.shp", "class"),
    "Chiapas 2002": ("chiapas_landsat/LE70220492002106EDC00_stack.gtif",
                     "chiapas_landsat/training_data.shp", "class"),
    "Costa Rica 1986": ("costa_rica_landsat/L5TSR_1986_fixed.tif",
                        "costa_rica_landsat/training.gpkg", "class_1986"),
    "Costa Rica 2001": ("costa_rica_landsat/L5TSR_2001.tif",
                        "costa_rica_landsat/training.gpkg", "class_2001"),
}  # fmt: skip


class QuantileBins(LogBins):
    """Levels that crowd where most pixels are: the way not taken."""

    def fit(self, X: ArrayLike, y: object = None) -> "QuantileBins":  # noqa: N803
        """Find each band's levels."""
        super().fit(X, y)
        shares = np.linspace(0, 100, 2 * self.bins + 1)
        cuts = np.percentile(np.asarray(X, float), shares, axis=0).T
        self.edges_, self.levels_ = cuts[:, 2:-1:2], cuts[:, 1::2]
        return self


def models() -> dict[str, Pipeline]:
    """Return the models that are compared, by name."""
    made = {"raw values": new_pipeline(ForestSettings(bins=None))}
    for bins in (16, 32, 64, 128, 256):
        made[f"{bins} log bins"] = new_pipeline(ForestSettings(bins=bins))
    for margin in (0.0, 1.0):
        pipeline = new_pipeline(ForestSettings())
        made[f"64 log bins from percentile {margin:g}"] = pipeline.set_params(
            bins__lower=margin, bins__upper=100 - margin
        )
    made["64 quantile bins"] = Pipeline(
        [("bins", QuantileBins(64)), *new_pipeline(ForestSettings(bins=None)).steps]
    )
    made["raw values, indices"] = new_pipeline(ForestSettings(bins=None, indices=True))
    for bins in (64, 128, 256):
        made[f"{bins} log bins, indices"] = new_pipeline(ForestSettings(bins=bins, indices=True))
    return made


def samples(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each scene's name and samples, in its own and in other data types."""
    for name, (scene, polygons, column) in SCENES.items():
        mosaic = mosaic_of([REAL / scene], BANDS, folder / "bins.parquet")
        drawn = geopandas.read_file(REAL / polygons).rename(columns={column: "class_label"})
        drawn["polygon_id"] = drawn.index.astype(str)
        rows = sample_polygons(mosaic, drawn, SamplingSettings()).rows
        yield name, rows
        if name == "Chiapas 1999":
            for kind, change in converted(rows[list(BANDS)]).items():
                yield f"{name} as {kind}", rows.assign(**change)


def converted(values: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Return reflectances as other sensors and programs would give them."""
    highest = values.quantile(0.998)
    return {
        "uint8": (values / highest * 254).clip(0, 255).round().astype("uint8"),
        "int16 less 500": (values - 500).astype("int16"),
        "float 0 to 1": (values / 10_000).astype("float32"),
    }


def accuracy(model: Pipeline, rows: pd.DataFrame, trees: int) -> float:
    """Return the accuracy of predicting held-out polygons, the mean over several dealings."""
    codes = rows["class_label"].map(assign_codes(rows["class_label"], {}))
    values = rows[list(BANDS)].to_numpy()
    model.set_params(forest__n_estimators=trees)
    held_out = [
        predict_held_out(
            model.set_params(forest__random_state=seed),
            values,
            codes,
            polygon_folds(rows["polygon_id"], codes, 5, seed),
        )
        for seed in SEEDS
    ]
    return float(np.mean([(found.true == found.predicted).mean() for found in held_out]))


def study(folder: Path, trees: int = 50) -> pd.DataFrame:
    """Return the accuracy of each model (rows) on each scene (columns), and the mean."""
    table = pd.DataFrame(
        {
            name: {kind: accuracy(model, rows, trees) for kind, model in models().items()}
            for name, rows in samples(folder)
        }
    )
    return table.assign(mean=table.mean(axis=1))


def measure(table: pd.DataFrame) -> list[Figure]:
    """Return the figure that counts: how much the default's accuracy is off the raw forest's."""
    mean = dict(zip(table.index, table["mean"].to_numpy(float), strict=True))
    loss = 100 * (mean["64 log bins"] - mean["raw values"])
    return [Figure("accuracy, 64 log bins less raw values, points", f"{loss:+.2f}", "within 0.3")]
