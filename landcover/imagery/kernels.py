"""The loops over single pixels of imagery, compiled by numba; they let go of Python's lock."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numba.core.dispatcher import Dispatcher


Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> "Dispatcher[Loop]":
    """Compile a function, and keep that for the next process if there is a place for it.

    Commands look for one (`flows.environment`); a worker of Dask has none where its user has no
    home and may not write to the package's folder: it compiles anew each time it starts.

    Args:
        function: whose loops are compiled when they are first called.
    """
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba has no type of its own for this
        return njit(nogil=True)(function)


@compiled
def mean_cells(
    values: NDArray[np.generic],
    valid: NDArray[np.bool_],
    factor: int,
    step: int,
    means: NDArray[np.float32],
) -> None:
    """Take the mean of the valid pixels of square cells, NaN where there is none.

    Args:
        values: of a band, (rows, columns).
        valid: which of them count, (rows, columns).
        factor: rows and columns of a cell; those at the far edges may have fewer.
        step: of these, one in so many is looked at.
        means: what is written, a pixel a cell.
    """
    rows, columns = values.shape
    for row in range(means.shape[0]):
        bottom = min((row + 1) * factor, rows)
        for column in range(means.shape[1]):
            right = min((column + 1) * factor, columns)
            total, count = 0.0, 0
            for y in range(row * factor, bottom, step):
                for x in range(column * factor, right, step):
                    if valid[y, x]:
                        total += values[y, x]
                        count += 1
            means[row, column] = total / count if count else np.nan


@compiled
def mark_flat(
    values: NDArray[np.generic],
    valid: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    flat: NDArray[np.bool_],
) -> int:
    """Mark the pixels that hold one same value in all bands.

    Args:
        values: (bands, rows, columns), of two bands or more.
        valid: which pixels hold data, (rows, columns).
        inside: which of them count, (rows, columns).
        flat: what is written, (rows, columns).

    Returns:
        How many there are.
    """
    count = 0
    for row in range(values.shape[1]):
        for column in range(values.shape[2]):
            first = values[0, row, column]
            found = first == values[1, row, column]
            # Of most pixels the first two bands differ.
            if found:
                found = valid[row, column] and inside[row, column]
                for band in range(2, values.shape[0]):
                    found = found and values[band, row, column] == first
                count += found
            flat[row, column] = found
    return count


@compiled
def count_outside(
    values: NDArray[np.generic],
    counted: NDArray[np.bool_],
    limits: NDArray[np.float64],
    step: int,
) -> tuple[int, int]:
    """Count pixels, and those that hold a value outside the limits of its band.

    Args:
        values: (bands, rows, columns).
        counted: which pixels to look at, (rows, columns).
        limits: the lowest and the highest value of each band, (2, bands).
        step: of rows and columns, one in so many is looked at.

    Returns:
        How many were looked at, and how many of these are outside.
    """
    looked_at, outside = 0, 0
    for row in range(0, counted.shape[0], step):
        for column in range(0, counted.shape[1], step):
            if not counted[row, column]:
                continue
            looked_at += 1
            for band in range(values.shape[0]):
                value = values[band, row, column]
                if value < limits[0, band] or value > limits[1, band]:
                    outside += 1
                    break
    return looked_at, outside
