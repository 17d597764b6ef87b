"""Layers: the rasters that a map is made of, and how their overviews are made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from landcover.classes import NODATA, Legend, legend_of
from landcover.files import file_name
from landcover.maps.kernels import add_fours, halve_fading, halve_mode, round_means, sum_fours
from landcover.period import Period

Integers = NDArray[np.integer[Any]]

Halving = Literal["mode", "mean", "fading"]


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
    """What a pixel of an overview is: the mode of the four pixels beneath it, or the mean of all
    pixels of the map beneath it; or, of two bands, the mode of the first, and of the second the
    mean of four, to which nodata counts, so that what is single fades."""
    dtype: str = "uint8"
    """An integer type, as numpy names it."""
    nodata: int = NODATA
    """The value of pixels that hold none."""
    bands: tuple[str, ...] = ()
    """The names of its bands, where there are several."""

    @property
    def names(self) -> Mapping[int, str]:
        """The name of each value; none where values are numbers."""
        return self.legend.names if self.legend else {}

    def empty(self, height: int, width: int) -> Integers:
        """Return pixels without data, (height, width), or (bands, height, width)."""
        shape = (len(self.bands), height, width) if self.bands else (height, width)
        return np.full(shape, self.nodata, dtype=self.dtype)

    def halve(self, beneath: Integers) -> Integers:
        """Return what an overview is made of, rounded up to half the size.

        Means of means would count pixels at the edge of nodata more than others, and be rounded at
        each level; so sums and counts are handed on from level to level.

        Args:
            beneath: the map, of the layer's type, (rows, columns) or (bands, rows, columns); or
                what `halve` returned.

        Returns:
            Values of the same bands; or sums and counts, (2, rows, columns). See `shown`.
        """
        nodata = np.dtype(self.dtype).type(self.nodata)
        if self.halving == "mode":
            bands = [halve_mode(band, nodata) for band in beneath.reshape(-1, *beneath.shape[-2:])]
            return np.stack(bands) if self.bands else bands[0]
        if self.halving == "fading":
            return np.stack([halve_mode(beneath[0], nodata), halve_fading(beneath[1])])
        rows, columns = beneath.shape[-2:]
        shape = 2, (rows + 1) // 2, (columns + 1) // 2
        if beneath.ndim == 2:
            # Of four pixels only: the largest of all sums are short.
            totals = np.empty(shape, f"int{16 * nodata.itemsize}")
            sum_fours(beneath, nodata, totals)
        else:
            totals = np.empty(shape, self.totals.dtype)
            add_fours(beneath, totals)
        return totals

    def shown(self, halved: Integers) -> Integers:
        """Return the values of an overview, of the layer's type and bands.

        Args:
            halved: what `halve` returned.
        """
        if not self.has_totals or halved.ndim == 2:
            return halved
        means = np.empty(halved.shape[1:], self.dtype)
        round_means(halved, means.dtype.type(self.nodata), means)
        return means

    @property
    def has_totals(self) -> bool:
        """Whether an overview is made of sums and counts."""
        return self.halving == "mean"

    @property
    def totals(self) -> "Layer":
        """The sums and counts that overviews of means are made of."""
        # The sum of an overview pixel over 2048 x 2048 bytes fits 32 bits.
        dtype = "int32" if np.dtype(self.dtype).itemsize == 1 else "int64"
        return replace(self, legend=None, dtype=dtype, nodata=0, bands=("sum", "count"))


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
