"""Prediction by look-up: the forest's answer to each cell of levels is worked out once and kept."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from upath import UPath

from landcover.classes import NODATA
from landcover.maps.cells import MOST_CELLS, Cells, Numbers, count_cells
from landcover.maps.table_kernels import split_entries
from landcover.maps.tables import Entries, Table, Wanted
from landcover.maps.trees import compile_forest
from landcover.model.bins import LogBins
from landcover.model.forest import load

# Pixels looked up at once: few enough that their cells stay in the processor's cache. As many cells
# are asked for at once: with indices of ten bands, each takes a kilobyte meanwhile.
CHUNK = 65_536

# So many pixels wait until the model is asked for their cells: enough that a tree is fetched from
# memory for many, few enough that those that follow profit from the answers.
BATCH = 262_144

# Of a pixel that waits: its number, its cell, their copies, and what finding like cells takes.
BYTES_WAITING = 80

Codes = NDArray[np.uint8]
Confidence = NDArray[np.uint8]


class Predictor(Protocol):
    """What gives pixels their class codes."""

    pixels_a_second: float
    """About what a core of an ordinary machine reads, predicts and writes."""

    def memory(self, threads: int) -> int:
        """Return how many bytes it takes at most, beside its model and what it returns.

        Args:
            threads: how many predict side by side.
        """

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


@lru_cache(maxsize=1)
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

    pixels_a_second = 0.2e6

    def __init__(self, pipeline: Pipeline) -> None:
        """Keep the model."""
        self._model = CompiledPipeline(pipeline)

    def memory(self, threads: int) -> int:
        """See `Predictor.memory`."""
        return threads * CHUNK * self._model.bytes_a_sample

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

    pixels_a_second = 10e6

    def __init__(self, pipeline: Pipeline, table: Table | None = None) -> None:
        """Begin with what a table holds.

        Args:
            pipeline: a fitted model whose first step is `LogBins`, with at most `MOST_CELLS` cells.
            table: of the model's answers; an empty one if left out.
        """
        self._cells = Cells(pipeline[0])
        self._model = CompiledPipeline(pipeline[1:])
        self._table = Table() if table is None else table

    def memory(self, threads: int) -> int:
        """See `Predictor.memory`."""
        asking = BATCH * BYTES_WAITING + CHUNK * self._model.bytes_a_sample
        return self._table.memory + threads * asking

    def predict(
        self, values: NDArray[np.generic], wanted: NDArray[np.bool_]
    ) -> tuple[Codes, Confidence]:
        """See `Predictor.predict`."""
        flat, chosen = values.reshape(len(values), -1), wanted.ravel()
        codes = np.empty(chosen.size, dtype=np.uint8)
        confidence = np.empty(chosen.size, dtype=np.uint8)
        for pixels, cells in self._look_up(flat, chosen, codes, confidence):
            codes[pixels], confidence[pixels] = _split(self._answer(cells))
        return codes.reshape(wanted.shape), confidence.reshape(wanted.shape)

    def _look_up(
        self, flat: NDArray[np.generic], wanted: Wanted, codes: Codes, confidence: Confidence
    ) -> Iterator[tuple[NDArray[np.int64], Numbers]]:
        """Look up pixels, and yield those that the table does not know yet, a batch at a time.

        Args:
            flat: raw band values, (bands, pixels).
            wanted: which pixels to look up.
            codes: what is written.
            confidence: what is written.

        Yields:
            The numbers of pixels, and their cells. Once they are answered, the next pixels are
            looked up: most fall into cells that are known then.
        """
        empty = np.empty(CHUNK, dtype=np.int64)
        waiting: list[tuple[NDArray[np.int64], Numbers]] = []
        for start in range(0, wanted.size, CHUNK):
            part = slice(start, start + CHUNK)
            cells = self._cells.number(flat[:, part])
            entries = self._table.read(cells, wanted[part])
            found = split_entries(entries, wanted[part], codes[part], confidence[part], empty)
            waiting.append((empty[:found] + start, cells[empty[:found]]))
            last = part.stop >= wanted.size
            count = sum(pixels.size for pixels, _ in waiting)
            if count >= BATCH or (last and count):
                pixels, unknown = (np.concatenate(those) for those in zip(*waiting, strict=True))
                waiting.clear()
                yield pixels, unknown

    def _answer(self, cells: Numbers) -> Entries:
        """Return the entries of cells, and keep those that were not known."""
        of_pixel, met = pd.factorize(cells, sort=True)
        # Another thread may have met them meanwhile.
        entries = self._table.read(met, np.ones(met.size, dtype=bool))
        unknown = np.flatnonzero(entries == 0)
        for start in range(0, unknown.size, CHUNK):
            part = unknown[start : start + CHUNK]
            entries[part] = _join(*self._model.ask(self._cells.levels(met[part])))
            self._table.keep(met[part], entries[part])
        answers: Entries = entries[of_pixel]
        return answers


class CompiledPipeline:
    """A pipeline, its forest compiled."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Compile the forest of a fitted pipeline; any other last step is asked as it is."""
        self._before = pipeline[:-1] if len(pipeline) > 1 else None
        self._forest = compile_forest(pipeline[-1])
        # Of double precision are levels, indices and votes, while they are put together twice or
        # three times; of single precision what the trees compare.
        features: int = pipeline[-1].n_features_in_
        classes = len(self._forest.classes_)
        self.bytes_a_sample = 8 * (4 * features + 2 * classes + 4)

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
