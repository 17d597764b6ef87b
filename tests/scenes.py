"""Samples of the real scenes, taken with GDAL's rasterizer alone."""

from collections.abc import Mapping

import geopandas
import numpy as np
import pandas as pd
import rasterio
from rasterio.features import rasterize

from tests.conftest import REAL

CHIAPAS = REAL / "chiapas_landsat"
COSTA_RICA = REAL / "costa_rica_landsat"
FOUR = {"blue": 1, "green": 2, "red": 3, "nir": 4}
SEVEN = {**FOUR, "swir1": 5, "swir2": 6, "thermal": 7}


def chiapas(bands: Mapping[str, int], *, column: str, all_touched: bool = False) -> pd.DataFrame:
    """Return the samples of 1999; column `id` holds the labels that its author published with."""
    drawn = geopandas.read_file(CHIAPAS / "training_data.shp")
    scene = CHIAPAS / "LE70220491999322EDC01_stack.gtif"
    return _samples(scene, drawn, column, bands, all_touched)


def costa_rica() -> pd.DataFrame:
    """Return the samples of 2001."""
    drawn = geopandas.read_file(COSTA_RICA / "training.gpkg")
    return _samples(COSTA_RICA / "L5TSR_2001.tif", drawn, "class_2001", FOUR, all_touched=False)


def _samples(
    scene: object,
    drawn: geopandas.GeoDataFrame,
    column: str,
    bands: Mapping[str, int],
    all_touched: bool,
) -> pd.DataFrame:
    with rasterio.open(scene) as image:
        # Of several polygons over a pixel the first is burnt last.
        numbered = list(zip(drawn.to_crs(image.crs).geometry, drawn.index + 1, strict=True))[::-1]
        burnt = rasterize(
            numbered, image.shape, transform=image.transform, all_touched=all_touched, dtype="int32"
        )
        rows, columns = np.nonzero(burnt)
        x, y = image.transform @ (columns + 0.5, rows + 0.5)
        values = image.read(list(bands.values()))[:, rows, columns]
    number = burnt[rows, columns] - 1
    return pd.DataFrame(
        {
            "polygon_id": number.astype(str),
            "class_label": drawn[column].astype(str).to_numpy()[number],
            "x": x,
            "y": y,
            **dict(zip(bands, values, strict=True)),
        }
    )
