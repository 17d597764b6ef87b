"""What people would say of the points of a sample, and how near the estimate comes to the truth."""

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import rasterio
from rasterio.features import geometry_mask

from demo.compare import CLEAR, read_codes
from landcover.classes import FIXED_CODES

NAMES = {code: name for name, code in FIXED_CODES.items()}


@dataclass(frozen=True)
class Number:
    """A number that was estimated, and the truth."""

    value: float
    ci95: float
    truth: float

    @property
    def is_right(self) -> bool:
        """Whether the interval holds the truth."""
        return abs(self.value - self.truth) <= self.ci95


@dataclass(frozen=True)
class Areas:
    """What was estimated of a month."""

    accuracy: Number
    """The share of what was sampled that is mapped as what it is."""
    forest: Number
    """Hectares."""
    mapped: float
    """Hectares of forest that the map counts."""


def label_points(points: Path, truth: Path, labels: Path) -> None:
    """Label points by what is there, as a table of ids and labels.

    Args:
        points: of a sample, as QGIS gets them.
        truth: the raster of what is where.
        labels: the file to write.
    """
    rows = geopandas.read_file(points)
    with rasterio.open(truth) as dataset:
        places = rows.to_crs(dataset.crs).geometry
        codes = [int(values[0]) for values in dataset.sample(zip(places.x, places.y, strict=True))]
    names = [NAMES.get(code) for code in codes]
    pd.DataFrame({"id": rows["id"], "label": names}).to_csv(labels, index=False)


def compare_areas(table: Path, mapped: Path, truth: Path, polygons: Path, month: str) -> Areas:
    """Compare what was estimated with the truth of all that the points were drawn from.

    Args:
        table: of the estimates.
        mapped: the map.
        truth: the raster of what is where.
        polygons: the training polygons of all months, from which no point was drawn.
        month: whose, such as 2025-06.
    """
    rows = pd.read_csv(table).set_index("class").to_dict("index")
    every, forest = rows["all"], rows["Forest"]
    ours, there = read_codes(mapped), read_codes(truth)
    drawn = geopandas.read_file(polygons)
    with rasterio.open(mapped) as dataset:
        shapes = drawn[drawn["month"] == month].to_crs(dataset.crs).geometry
        outside = geometry_mask(shapes, ours.shape, dataset.transform, all_touched=True)
    sampled = outside & np.isin(ours, CLEAR) & np.isin(there, CLEAR)
    right = float((ours == there)[sampled].mean())
    wooded = float((there == FIXED_CODES["Forest"])[sampled].mean())
    return Areas(
        accuracy=Number(every["users"], every["users_ci95"], right),
        forest=Number(forest["area_ha"], forest["ci95_ha"], wooded * every["area_ha"]),
        mapped=forest["mapped_ha"],
    )
