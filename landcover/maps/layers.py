"""Layers: the rasters that a map is made of, and how each of them is halved for its overviews."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from landcover.classes import NODATA, Legend, legend_of
from landcover.files import file_name
from landcover.maps.kernels import halve_mean, halve_mode
from landcover.period import Period

Integers = NDArray[np.integer[Any]]

Halving = Literal["mode", "mean"]

_HALVE: Mapping[str, Callable[[Integers, np.integer[Any]], Integers]] = {
    "mode": halve_mode,
    "mean": halve_mean,
}


@dataclass(frozen=True)
class Layer:
    """One raster of a map, of any integer type."""

    key: str
    """What its pieces' names begin with."""
    file: str
    """The name of its finished file."""
    legend: Legend | None
    """What its values mean; None where they are numbers."""
    halving: Halving
    """How a pixel of an overview is made of four: their mode, or their mean."""
    dtype: str = "uint8"
    """An integer type, as numpy names it."""
    nodata: int = NODATA
    """The value of pixels that hold none."""

    @property
    def names(self) -> Mapping[int, str]:
        """The name of each value; none where values are numbers."""
        return self.legend.names if self.legend else {}

    def empty(self, height: int, width: int) -> Integers:
        """Return pixels without data, (height, width)."""
        return np.full((height, width), self.nodata, dtype=self.dtype)

    def halve(self, values: Integers) -> Integers:
        """Return values at half the size, rounded up.

        Args:
            values: of the layer's type, (rows, columns).
        """
        return _HALVE[self.halving](values, np.dtype(self.dtype).type(self.nodata))


def prediction_layers(period: Period, names: Mapping[int, str]) -> tuple[Layer, Layer]:
    """Return the layers of a month's map: the classes, and the confidence in percent.

    Args:
        period: whose map.
        names: the name of each class code.
    """
    return (
        Layer("piece", file_name("map", period), legend_of(names), "mode"),
        Layer("confidence", file_name("confidence", period), None, "mean"),
    )
