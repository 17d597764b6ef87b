"""The loops over single pixels, compiled by numba; they let go of Python's lock.

Plain numpy takes two to ten times as long for each: it passes over memory many times and keeps
other threads waiting.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landcover.classes import NODATA

compiled = njit(nogil=True, cache=True)

EMPTY = np.uint8(NODATA)


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
def _four(
    values: NDArray[np.uint8], row: int, column: int
) -> tuple[np.uint8, np.uint8, np.uint8, np.uint8]:
    """Return the pixels below one of half the size, nodata beyond the edges."""
    rows, columns = values.shape
    y, x = 2 * row, 2 * column
    return (
        values[y, x],
        values[y, x + 1] if x + 1 < columns else EMPTY,
        values[y + 1, x] if y + 1 < rows else EMPTY,
        values[y + 1, x + 1] if y + 1 < rows and x + 1 < columns else EMPTY,
    )


@compiled
def halve(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a map of half the size, rounded up, in which each pixel is the mode of four.

    Nodata counts only where all four are nodata; of several modes, the first in reading order is
    taken. So no class appears that is not there, and none gives way to nodata.

    Args:
        codes: class codes (rows, columns).
    """
    rows, columns = codes.shape
    half = np.empty(((rows + 1) // 2, (columns + 1) // 2), np.uint8)
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            four = _four(codes, row, column)
            first, second, third, last = four
            if first == second == third == last:
                half[row, column] = first
            else:
                half[row, column] = _first_mode(four)
    return half


@compiled
def halve_mean(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return values of half the size, rounded up, in which each pixel is the mean of four.

    Nodata counts only where all four are nodata.

    Args:
        values: 0 to 254, or nodata (rows, columns).
    """
    rows, columns = values.shape
    half = np.empty(((rows + 1) // 2, (columns + 1) // 2), np.uint8)
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            total, count = 0, 0
            for value in _four(values, row, column):
                if value != EMPTY:
                    total += int(value)
                    count += 1
            half[row, column] = (2 * total + count) // (2 * count) if count else EMPTY
    return half


@compiled
def _first_mode(four: tuple[np.uint8, np.uint8, np.uint8, np.uint8]) -> np.uint8:
    """Return the first of the commonest of four codes; nodata does not count."""
    mode, most = EMPTY, 0
    for code in four:
        votes = 0
        for other in four:
            votes += code == other
        if code != EMPTY and votes > most:
            mode, most = code, votes
    return mode


@compiled
def count_codes(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of each of the 256 codes of a map (rows, columns)."""
    counts = np.zeros(256, np.int64)
    for row in range(codes.shape[0]):
        # Neighbours are mostly alike, and counting a run takes less time than counting its pixels.
        code, run = codes[row, 0], 0
        for column in range(codes.shape[1]):
            if codes[row, column] != code:
                counts[code] += run
                code, run = codes[row, column], 0
            run += 1
        counts[code] += run
    return counts


# --- sieving (see `landcover.sieve`) --------------------------------------------------------------

# What is known of a pixel in one round of the sieve. The order matters: from LARGE on, a pixel has
# a vote. Pixels of nodata stay OPEN.
OPEN = np.uint8(0)  # nothing yet, or its patch has been dealt with
SMALL = np.uint8(1)  # of a small patch
DOUBTFUL = np.uint8(2)  # of a patch that looks small, but borders on what is unknown
UNKNOWN = np.uint8(3)  # beyond the edge, or dependent on what lies there
LARGE = np.uint8(4)  # of a patch that is large enough for this round
SETTLED = np.uint8(5)  # of a patch that is large enough for every round


@compiled
def settle(
    codes: NDArray[np.uint8],
    states: NDArray[np.uint8],
    width: int,
    smallest: int,
    patch: NDArray[np.int64],
) -> None:
    """Find the pixels of all patches that have at least `smallest` pixels: they become settled.

    Args:
        codes: class codes of a map in a frame of nodata, row by row (pixels,).
        states: of the same pixels, open or unknown.
        width: columns of the map with its frame.
        smallest: pixels of the smallest patch that is settled.
        patch: room for that many pixels.
    """
    for pixel in range(codes.size):
        unseen = codes[pixel] != EMPTY and states[pixel] == OPEN
        if unseen and not _joins(codes, states, width, pixel):
            _measure(codes, states, width, pixel, smallest, SETTLED, patch)


@compiled
def list_open(states: NDArray[np.uint8], pixels: NDArray[np.signedinteger]) -> int:
    """List the pixels that `settle` did not settle; they become open again.

    Args:
        states: of all pixels.
        pixels: what is written: the first of these become the numbers of the pixels.

    Returns:
        How many there are.
    """
    count = 0
    for pixel in range(states.size):
        if states[pixel] == SMALL or states[pixel] == DOUBTFUL:
            states[pixel] = OPEN
            pixels[count] = pixel
            count += 1
    return count


@compiled
def find_small(
    codes: NDArray[np.uint8],
    states: NDArray[np.uint8],
    width: int,
    pixels: NDArray[np.signedinteger],
    smallest: int,
    patch: NDArray[np.int64],
) -> None:
    """Tell which of the listed pixels belong to small patches, and which to large or doubtful ones.

    Args:
        codes: class codes of a map in a frame of nodata, row by row (pixels,).
        states: of the same pixels; the listed ones are open.
        width: columns of the map with its frame.
        pixels: the list.
        smallest: pixels of the smallest patch that is large.
        patch: room for that many pixels.
    """
    for place in range(pixels.size):
        pixel = int(pixels[place])
        if states[pixel] == OPEN and not _joins(codes, states, width, pixel):
            _measure(codes, states, width, pixel, smallest, LARGE, patch)


@compiled
def replace_small(
    codes: NDArray[np.uint8],
    states: NDArray[np.uint8],
    width: int,
    pixels: NDArray[np.signedinteger],
    patch: NDArray[np.int64],
) -> None:
    """Give each small patch the class that it shares the longest border with, of large patches.

    Of several such classes it takes that of the bordering pixel that comes first in reading order.
    A patch without large neighbours stays as it is; one with doubtful neighbours becomes unknown.

    Args:
        codes: class codes of a map in a frame of nodata, row by row (pixels,); changed in place.
        states: of the same pixels, as `find_small` left them.
        width: columns of the map with its frame.
        pixels: a list that holds the pixels of all small patches.
        patch: room for the pixels of the largest small patch.
    """
    borders = np.zeros(256, np.int64)
    first = np.zeros(256, np.int64)
    classes = np.zeros(256, np.uint8)
    for place in range(pixels.size):
        start = int(pixels[place])
        if states[start] != SMALL:
            continue
        size, met, known = _border(codes, states, width, start, patch, borders, first, classes)
        if not known:
            for member in patch[:size]:
                states[member] = UNKNOWN
        elif met > 0:
            winner = _longest(classes[:met], borders, first)
            for member in patch[:size]:
                codes[member] = winner
        for code in classes[:met]:
            borders[code] = 0


@compiled
def keep_open(states: NDArray[np.uint8], pixels: NDArray[np.signedinteger]) -> int:
    """End a round: doubtful pixels become unknown, and what is not settled is open again.

    Args:
        states: of all pixels.
        pixels: the list; what is settled or unknown is taken out of it.

    Returns:
        How many pixels the list still holds, at its beginning.
    """
    count = 0
    for place in range(pixels.size):
        pixel = pixels[place]
        if states[pixel] == DOUBTFUL:
            states[pixel] = UNKNOWN
        elif states[pixel] != UNKNOWN and states[pixel] != SETTLED:
            states[pixel] = OPEN
            pixels[count] = pixel
            count += 1
    return count


@compiled
def _joins(codes: NDArray[np.uint8], states: NDArray[np.uint8], width: int, pixel: int) -> bool:
    """Tell whether a pixel belongs to the large patch of the one before or above; mark it so."""
    for near in (pixel - 1, pixel - width):
        if codes[near] == codes[pixel] and states[near] >= LARGE:
            states[pixel] = states[near]
            return True
    return False


@compiled
def _measure(
    codes: NDArray[np.uint8],
    states: NDArray[np.uint8],
    width: int,
    start: int,
    smallest: int,
    enough: np.uint8,
    patch: NDArray[np.int64],
) -> None:
    """Follow a patch of open pixels until it is large enough or ends, and mark what was followed.

    Each pixel is followed once: those of a patch found large are from then on what others join.
    """
    patch[0] = start
    states[start] = SMALL
    size, done, mark = 1, 0, SMALL
    while done < size and mark < LARGE:
        pixel = patch[done]
        done += 1
        for near in (pixel - width, pixel - 1, pixel + 1, pixel + width):
            if states[near] == UNKNOWN:
                mark = max(mark, DOUBTFUL)
            elif codes[near] == codes[start]:
                if states[near] >= LARGE:
                    mark = max(mark, states[near])
                elif states[near] == OPEN and size < smallest:
                    states[near] = SMALL
                    patch[size] = near
                    size += 1
        if size >= smallest:
            mark = max(mark, enough)
    if mark != SMALL:
        for member in patch[:size]:
            states[member] = mark


@compiled
def _border(
    codes: NDArray[np.uint8],
    states: NDArray[np.uint8],
    width: int,
    start: int,
    patch: NDArray[np.int64],
    borders: NDArray[np.int64],
    first: NDArray[np.int64],
    classes: NDArray[np.uint8],
) -> tuple[int, int, bool]:
    """Follow a small patch, which becomes open, and measure its border with large ones by class.

    Args:
        codes: as in `replace_small`.
        states: as in `replace_small`.
        width: as in `replace_small`.
        start: a pixel of the patch.
        patch: what is written: the patch's pixels.
        borders: zero; what is written: sides of pixels that it shares with each class.
        first: what is written: the first bordering pixel of each class.
        classes: what is written: the classes that it borders on.

    Returns:
        How many pixels it has, on how many classes it borders, and whether all of its neighbours
        are known to be small or large.
    """
    patch[0] = start
    states[start] = OPEN
    size, done, met, known = 1, 0, 0, True
    while done < size:
        pixel = patch[done]
        done += 1
        for near in (pixel - width, pixel - 1, pixel + 1, pixel + width):
            code = codes[near]
            if states[near] >= LARGE:
                if borders[code] == 0:
                    classes[met] = code
                    met += 1
                    first[code] = near
                borders[code] += 1
                first[code] = min(first[code], near)
            elif states[near] == DOUBTFUL:
                known = False
            elif states[near] == SMALL and code == codes[start]:
                states[near] = OPEN
                patch[size] = near
                size += 1
    return size, met, known


@compiled
def _longest(
    classes: NDArray[np.uint8], borders: NDArray[np.int64], first: NDArray[np.int64]
) -> np.uint8:
    winner = classes[0]
    for code in classes[1:]:
        longer = borders[code] > borders[winner]
        if longer or (borders[code] == borders[winner] and first[code] < first[winner]):
            winner = code
    return np.uint8(winner)
