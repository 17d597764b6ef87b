"""The loops over single pixels, compiled by numba; they let go of Python's lock.

Plain numpy takes two to ten times as long for each: it passes over memory many times and keeps
other threads waiting.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landcover.imagery.kernels import compiled

Four = tuple[np.integer[Any], np.integer[Any], np.integer[Any], np.integer[Any]]


# Pixels are counted by several counters that take turns, because one that is added to at once again
# has to wait for itself, as where neighbours are alike.
TURNS = 4

# In blocks of so many rows, and no more columns than `landcover.areas.KNOTS`, what is added up for
# a code fits one number: its pixels, their columns, their rows, and the products of the two. Each
# has so many bits.
ROWS = 16
OF_PIXELS, OF_COLUMNS, OF_ROWS = 11, 16, 14


@compiled
def add_areas(
    codes: NDArray[np.uint8],
    knots: NDArray[np.float64],
    step: int,
    pixels: NDArray[np.int64],
    areas: NDArray[np.float64],
) -> None:
    """Count the pixels of each code, and add up their areas.

    Args:
        codes: (rows, columns).
        knots: the area of a pixel at every so many rows and columns, from the upper left corner to
            beyond the lower right one; between them it is linear both ways.
        step: how many rows and columns are from one knot to the next: 16, 32, 48 or 64.
        pixels: what is added to, (256,).
        areas: what is added to, (256,).
    """
    sums = np.zeros((TURNS, 256), np.int64)
    for top in range(0, codes.shape[0], ROWS):
        above = top // step
        for left in range(0, codes.shape[1], step):
            block = codes[top : top + ROWS, left : left + step]
            _add_block(block, sums)
            column = left // step
            corners = knots[above : above + 2, column : column + 2]
            _add_sums(sums, corners, top - above * step, step, pixels, areas)


@compiled
def _add_block(codes: NDArray[np.uint8], sums: NDArray[np.int64]) -> None:
    """Add up the pixels of each code of a block (see `ROWS`), (turns, codes)."""
    rows, columns = codes.shape
    whole = columns - columns % TURNS
    for row in range(rows):
        line = codes[row]
        each = 1 | row << (OF_PIXELS + OF_COLUMNS)
        further = 1 << OF_PIXELS | row << (OF_PIXELS + OF_COLUMNS + OF_ROWS)
        for column in range(0, whole, TURNS):
            for turn in range(TURNS):
                sums[turn, line[column + turn]] += each + turn * further
            each += TURNS * further
        for column in range(whole, columns):
            sums[0, line[column]] += each
            each += further


@compiled
def _add_sums(
    sums: NDArray[np.int64],
    corners: NDArray[np.float64],
    top: int,
    step: int,
    pixels: NDArray[np.int64],
    areas: NDArray[np.float64],
) -> None:
    """Add what a block adds up to, and begin anew.

    Args:
        sums: of the block, which become 0.
        corners: the areas at the four knots about it.
        top: its first row, from the upper knots.
        step: see `add_areas`, as the others.
        pixels: what is added to.
        areas: what is added to.
    """
    north, east = corners[0, 0], corners[0, 1] - corners[0, 0]
    south = corners[1, 0] - north
    both = corners[1, 1] - corners[1, 0] - east
    for code in range(256):
        rest = 0
        for turn in range(TURNS):
            rest += sums[turn, code]
        if rest == 0:
            continue
        sums[:, code] = 0
        count = rest & ((1 << OF_PIXELS) - 1)
        rest >>= OF_PIXELS
        columns = rest & ((1 << OF_COLUMNS) - 1)
        rest >>= OF_COLUMNS
        rows = rest & ((1 << OF_ROWS) - 1)
        products = rest >> OF_ROWS
        # Pixels count where their centres are, half a pixel further.
        down = top + 0.5
        across = (columns + 0.5 * count) / step
        along = (rows + down * count) / step
        product = (products + down * columns + 0.5 * (rows + down * count)) / step**2
        pixels[code] += count
        areas[code] += north * count + east * across + south * along + both * product


@compiled
def crossings(
    edges: NDArray[np.float64], top: int, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where edges of polygons cross the middles of rows.

    Args:
        edges: x and y of their upper and lower ends in pixels of a grid, (edges, 4).
        top: the first row of the grid that is looked at.
        rows: how many are.

    Returns:
        Where the crossings of each row begin, (rows + 1,); and the column of the first centre that
        is not left of each, sorted within rows. From one of odd place to the next lies the polygon.
    """
    begin = np.zeros(rows + 1, np.int64)
    for edge in range(edges.shape[0]):
        # Row 3 is crossed in its middle, 3.5: by what goes from at most there to beyond.
        first = max(int(np.ceil(edges[edge, 1] - 0.5)) - top, 0)
        last = min(int(np.ceil(edges[edge, 3] - 0.5)) - top, rows)
        for row in range(first, last):
            begin[row + 1] += 1
    begin = np.cumsum(begin)
    columns, at = np.empty(begin[rows], np.int64), begin[:rows].copy()
    for edge in range(edges.shape[0]):
        x, y, end_x, end_y = edges[edge]
        first = max(int(np.ceil(y - 0.5)) - top, 0)
        last = min(int(np.ceil(end_y - 0.5)) - top, rows)
        for row in range(first, last):
            crossed = x + (row + top + 0.5 - y) / (end_y - y) * (end_x - x)
            columns[at[row]] = int(np.ceil(crossed - 0.5))
            at[row] += 1
    for row in range(rows):
        columns[begin[row] : begin[row + 1]].sort()
    return begin, columns


@compiled
def add_region(
    codes: NDArray[np.uint8],
    counts: NDArray[np.bool_],
    begin: NDArray[np.int64],
    columns: NDArray[np.int64],
    knots: NDArray[np.float64],
    step: int,
    pixels: NDArray[np.int64],
    areas: NDArray[np.float64],
    number: int,
    owners: NDArray[np.uint16],
    shared: NDArray[np.int64],
) -> None:
    """Do as `add_areas` with the pixels of a region, and count those that were another's already.

    Args:
        codes: (rows, columns).
        counts: which pixels count at all, (rows, columns).
        begin: see `crossings`.
        columns: see `crossings`, from the first column of the codes.
        knots: see `add_areas`.
        step: see `add_areas`.
        pixels: what is added to, (256,).
        areas: what is added to, (256,).
        number: of the region, from 1.
        owners: what is written: the number of the last region of each pixel, 0 where there is none.
        shared: what is added to: the pixels that were another's, by its number.
    """
    for row in range(codes.shape[0]):
        above = row // step
        down = (row + 0.5) / step - above
        for crossing in range(begin[row], begin[row + 1], 2):
            at = max(columns[crossing], 0)
            end = min(columns[crossing + 1], codes.shape[1])
            while at < end:
                first = at // step * step
                column = at // step
                left = knots[above, column] * (1 - down) + knots[above + 1, column] * down
                right = knots[above, column + 1] * (1 - down) + knots[above + 1, column + 1] * down
                slope = (right - left) / step
                area = left + slope / 2
                last = min(first + step, end)
                while at < last:
                    if not counts[row, at]:
                        at += 1
                        continue
                    # Neighbours are mostly alike, and a run's pixels are counted at once.
                    code, start = codes[row, at], at
                    while at < last and counts[row, at] and codes[row, at] == code:
                        if owners[row, at]:
                            shared[owners[row, at]] += 1
                        owners[row, at] = number
                        at += 1
                    run = at - start
                    pixels[code] += run
                    areas[code] += run * (area + slope * (start - first + (run - 1) / 2))


@compiled
def _four(values: NDArray[np.integer[Any]], row: int, column: int, nodata: np.integer[Any]) -> Four:
    """Return the four pixels beneath one of half the size, nodata beyond the edges."""
    rows, columns = values.shape
    y, x = 2 * row, 2 * column
    return (
        values[y, x],
        values[y, x + 1] if x + 1 < columns else nodata,
        values[y + 1, x] if y + 1 < rows else nodata,
        values[y + 1, x + 1] if y + 1 < rows and x + 1 < columns else nodata,
    )


@compiled
def halve_mode(
    codes: NDArray[np.integer[Any]], nodata: np.integer[Any]
) -> NDArray[np.integer[Any]]:
    """Return a map at half the size, rounded up, in which each pixel is the mode of four.

    Nodata counts only where all four are nodata; of several modes, the first in reading order is
    taken. So no class appears that is not there, and none gives way to nodata.

    Args:
        codes: class codes (rows, columns).
        nodata: of their type.
    """
    rows, columns = codes.shape
    half = np.empty(((rows + 1) // 2, (columns + 1) // 2), codes.dtype)
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            four = _four(codes, row, column, nodata)
            first, second, third, last = four
            if first == second == third == last:
                half[row, column] = first
            else:
                half[row, column] = _first_mode(four, nodata)
    return half


@compiled
def halve_fading(values: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return numbers at half the size, rounded up, in which each is the mean of four.

    Beyond the edges they are 0.

    Args:
        values: (rows, columns).
    """
    rows, columns = values.shape
    half = np.empty(((rows + 1) // 2, (columns + 1) // 2), values.dtype)
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            total = 0
            for value in _four(values, row, column, values.dtype.type(0)):
                total += int(value)
            half[row, column] = np.rint(total / 4)
    return half


@compiled
def sum_fours(
    values: NDArray[np.integer[Any]],
    nodata: np.integer[Any],
    totals: NDArray[np.integer[Any]],
) -> None:
    """Add up the pixels beneath each pixel of half the size.

    Args:
        values: numbers, or nodata (rows, columns).
        nodata: of their type.
        totals: what is written: the sums and the counts of those that are not nodata, (2, rows,
            columns) of half the size, rounded up.
    """
    for row in range(totals.shape[1]):
        for column in range(totals.shape[2]):
            total, count = 0, 0
            for value in _four(values, row, column, nodata):
                if value != nodata:
                    total += int(value)
                    count += 1
            totals[0, row, column] = total
            totals[1, row, column] = count


@compiled
def add_fours(beneath: NDArray[np.integer[Any]], totals: NDArray[np.integer[Any]]) -> None:
    """Add up the sums and counts beneath each pixel of half the size.

    Args:
        beneath: sums and counts, (2, rows, columns).
        totals: what is written: the same at half the size, rounded up.
    """
    none = beneath.dtype.type(0)
    for part in range(2):
        for row in range(totals.shape[1]):
            for column in range(totals.shape[2]):
                first, second, third, last = _four(beneath[part], row, column, none)
                totals[part, row, column] = first + second + third + last


@compiled
def round_means(
    totals: NDArray[np.integer[Any]],
    nodata: np.integer[Any],
    means: NDArray[np.integer[Any]],
) -> None:
    """Divide sums by counts, to the nearest integer.

    A half is rounded to the even neighbour: rounded up, it would raise the mean of a whole map.

    Args:
        totals: sums and counts, (2, rows, columns).
        nodata: the mean of none.
        means: what is written, (rows, columns).
    """
    for row in range(means.shape[0]):
        for column in range(means.shape[1]):
            total, count = totals[0, row, column], totals[1, row, column]
            means[row, column] = np.rint(total / count) if count else nodata


@compiled
def _first_mode(four: Four, nodata: np.integer[Any]) -> np.integer[Any]:
    """Return the first of the commonest of four codes; nodata does not count."""
    mode, most = nodata, 0
    for code in four:
        votes = 0
        for other in four:
            votes += code == other
        if code != nodata and votes > most:
            mode, most = code, votes
    return mode


@compiled
def count_codes(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of each of the 256 codes of a map (rows, columns)."""
    counts = np.zeros((TURNS, 256), np.int64)
    whole = codes.shape[1] - codes.shape[1] % TURNS
    for row in range(codes.shape[0]):
        line = codes[row]
        for column in range(0, whole, TURNS):
            for turn in range(TURNS):
                counts[turn, line[column + turn]] += 1
        for column in range(whole, line.size):
            counts[0, line[column]] += 1
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total
