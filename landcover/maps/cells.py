"""Cells: the combinations of levels of all bands, numbered."""

import numpy as np
from numpy.typing import NDArray

from landcover.maps.table_kernels import find_bins, number_cells
from landcover.model.bins import LogBins

# A cell's number plus one is a key of 64 bits: ten bands of 64 levels need 60.
MOST_CELLS = 2**64 - 1

Numbers = NDArray[np.unsignedinteger]


class Cells:
    """The cells of a model's bins: the bin of each band is a digit of the cell's number."""

    def __init__(self, bins: LogBins) -> None:
        """Number the cells of fitted bins.

        Raises:
            ValueError: if there are more than `MOST_CELLS`.
        """
        self._bins = bins
        self._bands, inner = bins.edges_.shape
        self.count = count_cells(bins)
        if self.count > MOST_CELLS:
            raise ValueError(f"{self.count} cells have no number of 64 bits.")
        self._dtype = np.dtype(np.uint32 if self.count <= 2**32 else np.uint64)
        self._base = self._dtype.type(inner + 1)
        self._tables: dict[np.dtype[np.generic], NDArray[np.uint16]] = {}

    def number(self, values: NDArray[np.generic]) -> Numbers:
        """Return the number of each pixel's cell, (pixels,).

        Args:
            values: raw band values, (bands, pixels).
        """
        cells = np.zeros(values.shape[1], dtype=self._dtype)
        if values.dtype.kind in "ui" and values.dtype.itemsize <= 2:
            raw = values.view(f"u{values.dtype.itemsize}")
            number_cells(raw, self._table(values.dtype), self._base, cells)
            return cells
        numbers = np.empty(values.shape[1], dtype=np.uint32)
        for column, edges in zip(values, self._bins.edges_, strict=True):
            find_bins(column, edges, numbers)
            cells *= self._base
            cells += numbers
        return cells

    def levels(self, cells: Numbers) -> NDArray[np.float64]:
        """Return what `LogBins.transform` makes of the pixels of cells, (cells, bands).

        Args:
            cells: their numbers, (cells,).
        """
        levels = np.empty((cells.size, self._bands))
        for band in reversed(range(self._bands)):
            cells, digits = np.divmod(cells, self._base)
            levels[:, band] = self._bins.levels_[band][digits]
        return levels

    def _table(self, dtype: np.dtype[np.generic]) -> NDArray[np.uint16]:
        """Return the bin of every value that a short integer type can hold, by band."""
        if dtype not in self._tables:
            every = np.arange(2 ** (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)
            self._tables[dtype] = np.stack(
                [self._bins.number(every, band).astype(np.uint16) for band in range(self._bands)]
            )
        return self._tables[dtype]


def count_cells(bins: LogBins) -> int:
    """Return how many cells there are.

    Args:
        bins: fitted.
    """
    bands, inner = bins.edges_.shape
    return int((inner + 1) ** bands)
