"""The loops over single pixels, compiled by numba; they let go of Python's lock.

Plain numpy takes two to ten times as long for each: it passes over memory many times and keeps
other threads waiting.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landcover.classes import NODATA

compiled = njit(nogil=True, cache=True)


@compiled
def number_cells(
    values: NDArray[np.unsignedinteger],
    tables: NDArray[np.unsignedinteger],
    bins: int,
    cells: NDArray[np.uint32],
) -> None:
    """Number the cell of each pixel: its bins, read as the digits of one number.

    Args:
        values: of each band, (bands, pixels).
        tables: of each band the bin of every value that there can be, (bands, values).
        bins: how many bins a band has.
        cells: what is written, (pixels,).
    """
    for pixel in range(cells.size):
        cells[pixel] = tables[0, values[0, pixel]]
    for band in range(1, values.shape[0]):
        for pixel in range(cells.size):
            cells[pixel] = cells[pixel] * np.uint32(bins) + tables[band, values[band, pixel]]


@compiled
def read_entries(
    entries: NDArray[np.uint16],
    cells: NDArray[np.uint32],
    wanted: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    unknown: NDArray[np.int64],
) -> int:
    """Read the entries of pixels' cells (see `landcover.lookup.Lookup`).

    Args:
        entries: the table.
        cells: of the pixels.
        wanted: which pixels are looked up; the others become nodata.
        codes: what is written, nodata where the entry is still empty.
        confidence: what is written, in percent.
        unknown: the first of these become the numbers of the pixels whose entry is empty.

    Returns:
        How many entries were empty.
    """
    found = 0
    for pixel in range(cells.size):
        entry = entries[cells[pixel]] if wanted[pixel] else np.uint16(0)
        if wanted[pixel] and entry == 0:
            unknown[found] = pixel
            found += 1
        # Without its high byte an entry is the class code plus one; 0 wraps around to nodata.
        codes[pixel] = np.uint8(entry) - np.uint8(1)
        confidence[pixel] = entry >> 8
    return found


@compiled
def halve(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a map of half the size, rounded up, in which each pixel is the mode of four.

    Nodata counts only where all four are nodata; of several modes, the first in reading order is
    taken. So no class appears that is not there, and none gives way to nodata.

    Args:
        codes: class codes (rows, columns).
    """
    rows, columns = codes.shape
    half = np.full(((rows + 1) // 2, (columns + 1) // 2), NODATA, np.uint8)
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            most = 0
            for i in range(4):
                y, x = 2 * row + i // 2, 2 * column + i % 2
                if y < rows and x < columns and codes[y, x] != NODATA:
                    votes = 0
                    for j in range(4):
                        v, u = 2 * row + j // 2, 2 * column + j % 2
                        if v < rows and u < columns and codes[v, u] == codes[y, x]:
                            votes += 1
                    if votes > most:
                        most = votes
                        half[row, column] = codes[y, x]
    return half


@compiled
def count_codes(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of each of the 256 codes of a map (rows, columns)."""
    counts = np.zeros(256, np.int64)
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            counts[codes[row, column]] += 1
    return counts
