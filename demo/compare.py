"""How the demo's maps compare with the known truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from landcover.areas import SQUARE_METRES_A_HECTARE, pixel_areas
from landcover.classes import FIXED_CODES, NODATA
from landcover.grid import grid_of

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """How far a map agrees with the truth.

    Attributes:
        accuracy: the share of mapped pixels that have the true class.
        recall: for each class, the share of its true pixels that were mapped as it.
    """

    accuracy: float
    recall: dict[str, float]


def read_codes(path: Path) -> Codes:
    """Read a map of class codes, (rows, columns)."""
    with rasterio.open(path) as dataset:
        codes: Codes = dataset.read(1)
    return codes


def agreement(mapped: Codes, truth: Codes) -> Agreement:
    """Compare a map with the truth where both have a class."""
    both = (mapped != NODATA) & (truth != NODATA)
    right = mapped == truth
    return Agreement(
        accuracy=float(right[both].mean()),
        recall={
            name: float(right[both & (truth == code)].mean())
            for name, code in FIXED_CODES.items()
            if (both & (truth == code)).any()
        },
    )


def cleared(before: Codes, after: Codes) -> NDArray[np.bool_]:
    """Tell where forest became non-forest."""
    changed: NDArray[np.bool_] = (before == FIXED_CODES["Forest"]) & (
        after == FIXED_CODES["Non-Forest"]
    )
    return changed


def hectares(pixels: NDArray[np.bool_], path: Path) -> float:
    """Return the true area of pixels of a map's grid."""
    with rasterio.open(path) as dataset:
        grid = grid_of(dataset)
    return float(pixels.sum()) * pixel_areas(grid)(grid.whole) / SQUARE_METRES_A_HECTARE
