"""The loops of looking up, compiled by numba (see `landcover.maps.cells` and `.tables`)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landcover.imagery.kernels import compiled

# What stands where nothing is known yet; as the key of a slot and as an entry.
NO_KEY = np.uint64(0)
NO_ENTRY = np.uint16(0)

ONE = np.uint64(1)

# Cells that are alike differ in few digits. Multiplied by this, 2**64 over the golden ratio, they
# differ in their highest bits (Knuth 1973, The Art of Computer Programming 3, 6.4).
SPREAD = np.uint64(0x9E3779B97F4A7C15)


@compiled
def number_cells(
    values: NDArray[np.unsignedinteger],
    tables: NDArray[np.unsignedinteger],
    bins: np.unsignedinteger[Any],
    cells: NDArray[np.unsignedinteger],
) -> None:
    """Number the cell of each pixel: its bins, read as the digits of one number.

    Args:
        values: of each band, (bands, pixels).
        tables: of each band the bin of every value that there can be, (bands, values).
        bins: how many bins a band has, of the type of `cells`.
        cells: what is written, (pixels,).
    """
    for pixel in range(cells.size):
        cells[pixel] = tables[0, values[0, pixel]]
    for band in range(1, values.shape[0]):
        for pixel in range(cells.size):
            cells[pixel] = cells[pixel] * bins + tables[band, values[band, pixel]]


@compiled
def find_bins(
    values: NDArray[Any], edges: NDArray[np.float64], numbers: NDArray[np.uint32]
) -> None:
    """Find the bins of a band, as numpy's searchsorted does from the right.

    It halves what is left of the edges for all pixels, and then again, so that no pixel waits for
    what was found of the one before.

    Args:
        values: of the band, (pixels,).
        edges: where the next bin starts, one or more, (bins - 1,).
        numbers: what is written, (pixels,).
    """
    numbers[:] = 0
    left = edges.size
    while left > 0:
        half = (left + 1) // 2
        for pixel in range(values.size):
            number = numbers[pixel]
            # Said so, NaN comes after all numbers.
            beyond = not np.float64(values[pixel]) < edges[number + np.uint32(half - 1)]
            numbers[pixel] = number + np.uint32(half) * np.uint32(beyond)
        left -= half


@compiled
def read_entries(
    keys: NDArray[np.uint64],
    table: NDArray[np.uint16],
    cells: NDArray[np.unsignedinteger],
    wanted: NDArray[np.bool_],
    entries: NDArray[np.uint16],
) -> None:
    """Read the entries of pixels' cells.

    Another thread may insert cells meanwhile: an entry is then read or not, but never another's.

    Args:
        keys: of each slot, the number of its cell plus one; a power of two of slots.
        table: the entry of each slot.
        cells: of the pixels.
        wanted: which pixels are looked up.
        entries: what is written, (pixels,); none of a pixel that is not wanted.
    """
    shift = _shift(keys)
    for pixel in range(cells.size):
        entry = NO_ENTRY
        if wanted[pixel]:
            key = np.uint64(cells[pixel]) + ONE
            slot = _slot_of(keys, key, shift)
            if keys[slot] == key:
                entry = table[slot]
        entries[pixel] = entry


@compiled
def insert(
    keys: NDArray[np.uint64],
    table: NDArray[np.uint16],
    cells: NDArray[np.unsignedinteger],
    entries: NDArray[np.uint16],
) -> int:
    """Insert cells into a table that has room for them; one thread at a time.

    Args:
        keys: of each slot (see `read_entries`).
        table: the entry of each slot.
        cells: what is inserted, unless it is there.
        entries: of the cells.

    Returns:
        How many were not there before.
    """
    shift, added = _shift(keys), 0
    for number in range(cells.size):
        key = np.uint64(cells[number]) + ONE
        slot = _slot_of(keys, key, shift)
        if keys[slot] == NO_KEY:
            table[slot] = entries[number]
            keys[slot] = key
            added += 1
    return added


@compiled
def move_slots(
    keys: NDArray[np.uint64],
    table: NDArray[np.uint16],
    new_keys: NDArray[np.uint64],
    new_table: NDArray[np.uint16],
) -> None:
    """Insert all cells of a table into a larger one.

    Args:
        keys: of each slot (see `read_entries`).
        table: the entry of each slot.
        new_keys: of each slot of the larger one, which is empty.
        new_table: the entry of each of its slots.
    """
    shift = _shift(new_keys)
    for old in range(keys.size):
        if keys[old] != NO_KEY:
            slot = _slot_of(new_keys, keys[old], shift)
            new_table[slot] = table[old]
            new_keys[slot] = keys[old]


@compiled
def _shift(keys: NDArray[np.uint64]) -> np.uint64:
    """Return how many low bits of a spread key do not say where it belongs."""
    shift = np.uint64(64)
    slots = keys.size
    while slots > 1:
        slots //= 2
        shift -= ONE
    return shift


@compiled
def _slot_of(keys: NDArray[np.uint64], key: np.uint64, shift: np.uint64) -> np.uint64:
    """Return the slot that holds a key, or the empty one where it would be inserted."""
    last = np.uint64(keys.size - 1)
    slot = (key * SPREAD) >> shift
    while keys[slot] != key and keys[slot] != NO_KEY:
        slot = (slot + ONE) & last
    return slot


@compiled
def split_entries(
    entries: NDArray[np.uint16],
    wanted: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    unknown: NDArray[np.int64],
) -> int:
    """Split entries into class codes and confidence (see `landcover.maps.tables.Table`).

    Args:
        entries: of the pixels.
        wanted: which pixels were looked up.
        codes: what is written, nodata where there is no entry: 0 - 1 wraps to it.
        confidence: what is written, in percent, 0 where there is no entry.
        unknown: the first of these become the numbers of the pixels that are wanted and have none.

    Returns:
        How many pixels those are.
    """
    found = 0
    for pixel in range(entries.size):
        entry = entries[pixel]
        codes[pixel] = np.uint8(entry) - np.uint8(1)
        confidence[pixel] = entry >> 8
        if entry == NO_ENTRY and wanted[pixel]:
            unknown[found] = pixel
            found += 1
    return found
