"""Prediction by look-up: the forest's answer to each cell of levels is worked out once and kept."""

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from upath import UPath

from landcover.classes import NODATA
from landcover.maps.cells import MOST_CELLS, Cells, count_cells
from landcover.maps.table_kernels import split_entries
from landcover.maps.tables import Entries, Table, new_table
from landcover.maps.trees import compile_forest
from landcover.model.bins import LogBins
from landcover.model.forest import load

# Pixels looked up at once: few enough that their cells stay in the processor's cache.
CHUNK = 65_536

# Pixels that the model is asked for at once: enough that each tree is fetched from memory for many,
# few enough that what lies between takes some megabytes.
BATCH = 262_144

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
    """Return the fastest way to predict with a model: a table where it has cells.

    A model has cells if it starts with `LogBins`, and if they are at most `MOST_CELLS`.

    Args:
        pipeline: takes raw band values (pixels, bands) and gives class codes.
    """
    bins = pipeline[0]
    if isinstance(bins, LogBins) and count_cells(bins) <= MOST_CELLS:
        return Lookup(pipeline)
    return Direct(pipeline)


class Direct:
    """The model itself, asked for every pixel."""

    pixels_a_second = 0.1e6

    def __init__(self, pipeline: Pipeline) -> None:
        """Keep the model."""
        self._model = Model(pipeline)

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
            codes[part], confidence[part] = self._model.ask(flat[:, part].T)
        return codes.reshape(wanted.shape), confidence.reshape(wanted.shape)


class Lookup:
    """A table of the model's answers, filled as cells are first met; threads may share it."""

    def __init__(self, pipeline: Pipeline, table: Table | None = None) -> None:
        """Begin with what a table holds.

        Args:
            pipeline: a fitted model whose first step is `LogBins`, with at most `MOST_CELLS` cells.
            table: of the model's answers; an empty one if left out.
        """
        self._cells = Cells(pipeline[0])
        self._model = Model(pipeline[1:])
        self._table = new_table(self._cells.count) if table is None else table
        self.pixels_a_second = self._table.pixels_a_second

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
            entries = self._table.read(self._cells.number(flat[:, part]), chosen[part])
            found = split_entries(entries, chosen[part], codes[part], confidence[part], empty)
            unknown.append(empty[:found] + start)
        pixels = np.concatenate(unknown)
        for start in range(0, pixels.size, BATCH):
            batch = pixels[start : start + BATCH]
            codes[batch], confidence[batch] = _split(self._answer(flat[:, batch]))
        return codes.reshape(wanted.shape), confidence.reshape(wanted.shape)

    def _answer(self, values: NDArray[np.generic]) -> Entries:
        """Return the entries of pixels (bands, pixels), and keep those that were not known."""
        cells = self._cells.number(values)
        # The batch before, or another thread, may have met them meanwhile.
        entries = self._table.read(cells, np.ones(cells.size, dtype=bool))
        unknown = np.flatnonzero(entries == 0)
        if unknown.size:
            met, of_pixel = np.unique(cells[unknown], return_inverse=True)
            answers = _join(*self._model.ask(self._cells.levels(met)))
            self._table.keep(met, answers)
            entries[unknown] = answers[of_pixel]
        return entries


class Model:
    """A pipeline, its forest compiled."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Compile the forest of a fitted pipeline; any other last step is asked as it is."""
        self._before = pipeline[:-1] if len(pipeline) > 1 else None
        self._forest = compile_forest(pipeline[-1])

    def ask(self, values: NDArray[np.generic]) -> tuple[Codes, Confidence]:
        """Return class codes and confidence in percent.

        Args:
            values: what the pipeline takes, (pixels, bands).
        """
        features = values if self._before is None else self._before.transform(values)
        probabilities = self._forest.predict_proba(features)
        best = probabilities.argmax(axis=1)
        highest = np.take_along_axis(probabilities, best[:, np.newaxis], axis=1)[:, 0]
        return (
            self._forest.classes_[best].astype(np.uint8),
            np.rint(100 * highest).astype(np.uint8),
        )


def _join(codes: Codes, confidence: Confidence) -> Entries:
    """Return the entries of answers (see `Table`)."""
    return np.left_shift(confidence, 8, dtype=np.uint16) + codes + np.uint16(1)


def _split(entries: Entries) -> tuple[Codes, Confidence]:
    """Return the answers of entries."""
    return (entries - np.uint16(1)).astype(np.uint8), (entries >> 8).astype(np.uint8)
