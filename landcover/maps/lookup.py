"""Prediction by look-up: the forest's answer to each cell of levels is worked out once and kept."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from upath import UPath

from landcover.classes import NODATA
from landcover.maps.kernels import number_cells, read_entries
from landcover.model.bins import LogBins
from landcover.model.forest import load

# A cell takes two bytes, but the operating system provides only those pages that are touched: at
# most 512 MB, in practice a few. Four bands of 64 levels make 2**24 cells, of 128 levels 2**28.
MAX_CELLS = 2**28

# Pixels predicted at once: few enough that their cells stay in the processor's cache.
CHUNK = 65_536

# Fewer cells than this are worked out on one core: calling the forest costs as much as 1000.
FEW = 1024

_NONE = np.empty(0, dtype=np.int64)

Codes = NDArray[np.uint8]
Confidence = NDArray[np.uint8]


class Predictor(Protocol):
    """What gives pixels their class codes."""

    pixels_a_second: float
    """About what a core of an ordinary machine reads, predicts and writes."""

    def predict(
        self, values: NDArray[np.generic], wanted: NDArray[np.bool_]
    ) -> tuple[Codes, Confidence]:
        """Return the class code of each wanted pixel, and the model's confidence in it.

        Args:
            values: raw band values, (bands, ...).
            wanted: which pixels to predict, of the shape of one band.

        Returns:
            Class codes, nodata where a pixel is not wanted, and the probability of that class in
            percent, 0 where it is not wanted; both of the shape of one band.
        """


@lru_cache(maxsize=2)
def open_predictor(path: UPath, digest: str) -> Predictor:
    """Open a model to predict with; tasks of one process share it, and its table.

    Args:
        path: the model's joblib file.
        digest: the SHA-256 recorded when it was trained.

    Raises:
        LandcoverError: if there is no such file, or if it is another.
    """
    return fastest(load(path, digest))


def fastest(pipeline: Pipeline) -> Predictor:
    """Return the fastest way to predict with a model: a table where it has few enough cells.

    A model has cells if it starts with `LogBins`; few enough are at most `MAX_CELLS`.

    Args:
        pipeline: takes raw band values (pixels, bands) and gives class codes.
    """
    bins = pipeline[0]
    if isinstance(bins, LogBins) and bins.bins ** len(bins.edges_) <= MAX_CELLS:
        return Lookup(pipeline)
    return Direct(pipeline)


class Direct:
    """The model itself, asked for every pixel."""

    pixels_a_second = 0.1e6

    def __init__(self, pipeline: Pipeline) -> None:
        """Keep the model."""
        self._pipeline = pipeline

    def predict(
        self, values: NDArray[np.generic], wanted: NDArray[np.bool_]
    ) -> tuple[Codes, Confidence]:
        """See `Predictor.predict`."""
        flat, pixels = values.reshape(len(values), -1), np.flatnonzero(wanted)
        codes = np.full(wanted.size, NODATA, dtype=np.uint8)
        confidence = np.zeros(wanted.size, dtype=np.uint8)
        # In chunks: a forest's answers to a strip of imagery at once take gigabytes, and minutes.
        for start in range(0, pixels.size, CHUNK):
            part = pixels[start : start + CHUNK]
            codes[part], confidence[part] = _ask(self._pipeline, flat[:, part].T)
        return codes.reshape(wanted.shape), confidence.reshape(wanted.shape)


class Lookup:
    """A table of the model's answers, filled as cells are first met; threads may share it.

    An entry is 0 until it is filled; then its low byte is the class code plus one, and its high
    byte the confidence.
    """

    pixels_a_second = 20e6

    def __init__(self, pipeline: Pipeline) -> None:
        """Make an empty table.

        Args:
            pipeline: a fitted model whose first step is `LogBins`.
        """
        self._bins: LogBins = pipeline[0]
        self._rest: Pipeline = pipeline[1:]
        bands, inner = self._bins.edges_.shape
        self._shape = (inner + 1,) * bands
        self._entries = np.zeros((inner + 1) ** bands, dtype=np.uint16)
        self._tables: dict[np.dtype[np.generic], NDArray[np.uint16]] = {}
        self._filling = threading.Lock()

    @property
    def filled(self) -> int:
        """How many cells have been worked out."""
        return int(np.count_nonzero(self._entries))

    def predict(
        self, values: NDArray[np.generic], wanted: NDArray[np.bool_]
    ) -> tuple[Codes, Confidence]:
        """See `Predictor.predict`."""
        flat, chosen = values.reshape(len(values), -1), wanted.ravel()
        codes = np.empty(chosen.size, dtype=np.uint8)
        confidence = np.empty(chosen.size, dtype=np.uint8)
        empty = np.empty(CHUNK, dtype=np.int64)
        unknown = []
        for start in range(0, chosen.size, CHUNK):
            part = slice(start, start + CHUNK)
            cells = self._cells(flat[:, part])
            found = read_entries(
                self._entries, cells, chosen[part], codes[part], confidence[part], empty
            )
            unknown.append(empty[:found] + start)
        pixels = np.concatenate(unknown)
        if pixels.size:
            codes[pixels], confidence[pixels] = self._answer(flat[:, pixels])
        return codes.reshape(wanted.shape), confidence.reshape(wanted.shape)

    def _answer(self, values: NDArray[np.generic]) -> tuple[Codes, Confidence]:
        """Fill the cells of pixels (bands, pixels), and read them."""
        cells = self._cells(values)
        self._fill(np.unique(cells))
        codes, confidence = np.empty((2, cells.size), dtype=np.uint8)
        everywhere = np.ones(cells.size, dtype=bool)
        read_entries(self._entries, cells, everywhere, codes, confidence, _NONE)
        return codes, confidence

    def _cells(self, values: NDArray[np.generic]) -> NDArray[np.uint32]:
        """Return the cell of each pixel: values (bands, pixels)."""
        if values.dtype.kind not in "ui" or values.dtype.itemsize > 2:
            numbers = [self._bins.number(column, band) for band, column in enumerate(values)]
            return np.asarray(np.ravel_multi_index(numbers, self._shape), dtype=np.uint32)
        cells = np.empty(values.shape[1], dtype=np.uint32)
        raw = values.view(f"u{values.dtype.itemsize}")
        number_cells(raw, self._table(values.dtype), self._shape[0], cells)
        return cells

    def _table(self, dtype: np.dtype[np.generic]) -> NDArray[np.uint16]:
        """Return the bin of every value that a short integer type can hold, by band."""
        if dtype not in self._tables:
            every = np.arange(2 ** (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)
            self._tables[dtype] = np.stack(
                [
                    self._bins.number(every, band).astype(np.uint16)
                    for band in range(len(self._shape))
                ]
            )
        return self._tables[dtype]

    def _fill(self, cells: NDArray[np.uint32]) -> None:
        with self._filling:
            # Another thread may have met them meanwhile.
            cells = cells[self._entries[cells] == 0]
            # One core for each part, and within it the trees summed in their order: the result of a
            # sum must not depend on which thread came first.
            cores = os.cpu_count() or 1
            parts = [cells]
            if cells.size >= FEW:
                parts = np.array_split(cells, max(cores, -(-cells.size // CHUNK)))
            with ThreadPoolExecutor(cores) as pool:
                for part, entries in zip(parts, pool.map(self._entries_of, parts), strict=True):
                    self._entries[part] = entries

    def _entries_of(self, cells: NDArray[np.uint32]) -> NDArray[np.uint16]:
        """Ask the model what it says of the levels of cells."""
        if not cells.size:
            return np.empty(0, dtype=np.uint16)
        numbers = np.unravel_index(cells, self._shape)
        levels = np.column_stack(
            [self._bins.levels_[band][number] for band, number in enumerate(numbers)]
        )
        codes, confidence = _ask(self._rest, levels)
        return np.left_shift(confidence, 8, dtype=np.uint16) + codes + np.uint16(1)


def _ask(pipeline: Pipeline, values: NDArray[np.generic]) -> tuple[Codes, Confidence]:
    """Return class codes and confidence in percent of values (pixels, bands)."""
    probabilities = pipeline.predict_proba(values)
    best = probabilities.argmax(axis=1)
    highest = np.take_along_axis(probabilities, best[:, np.newaxis], axis=1)[:, 0]
    return pipeline.classes_[best].astype(np.uint8), np.rint(100 * highest).astype(np.uint8)
