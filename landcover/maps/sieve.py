"""The sieve: patches below the minimum mapping unit take the class of what surrounds them.

A patch is a 4-connected region of one class; nodata belongs to none. The sieve of N pixels works in
rounds of rising thresholds: N halved again and again, rounded up, down to 2, the smallest first
(for 20: 2, 3, 5, 10, 20). In each round every patch below the threshold takes the class with which
it shares the longest border, of neighbours that reach the threshold: the class of most pixel sides
around it. Of equal borders, the bordering pixel that comes first in reading order decides, so that
no class gains by its code. All patches change at once, by what the map was before the round; a
patch without a neighbour that reaches the threshold stays as it is in that round.

That is the rule of "Eliminate" in GIS (merge with the neighbour of the longest shared border), done
for speckle first. Done in one round, as by `gdal_sieve`, whatever lies amid other small patches
stays small or takes the class of the far surroundings; in rising rounds a noisy field becomes a
field before it is asked whether it is large enough.

The sieve of 2 gives the single 1 of this row to the 0s, with which it shares its border:

    >>> sieve(np.array([[0, 0, 1, 0, 0, 2, 2]], np.uint8), 2)
    array([[0, 0, 0, 0, 0, 2, 2]], dtype=uint8)

What is promised:

- Nodata is neither filled nor does it vote.
- A patch of at least N pixels keeps all of them.
- A smaller patch that touches such a patch ends up in a patch of at least N pixels. Others do too
  where the rounds bring them so far; what stays below N had no neighbour of N pixels in the last
  round. That is next to nothing but what nodata encloses (measured: at most one patch in a million
  pixels, even of maps that are half noise).

How a part of the map comes out as the whole does:

A pixel is *unknown* if it lies beyond the part that was read. In a round, a patch that looks too
small and touches unknown pixels is doubtful: it may go on there. It and the small patches that
touch it become unknown with the round, for what they take is not known. All else is as in the whole
map: what has enough pixels within the part has enough in the whole; a smaller patch that touches
nothing unknown is seen whole, and if no neighbour of it is doubtful then all its voters are known.

How far that reaches: a pixel that becomes unknown in a round of threshold s is of a patch of fewer
than s pixels, which touches unknown pixels or another such patch that does: the nearest of them is
at most 2 (s - 1) steps away. Over all rounds that adds up to `margin`. It is the worst case,
patches as thin as a line; of real maps a few dozen pixels become unknown. So a window is read with
a small margin first, and with a wider one only where something in it stayed unknown.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window, intersect, intersection

from landcover.classes import NODATA
from landcover.maps.sieve_kernels import (
    OPEN,
    UNKNOWN,
    find_small,
    keep_open,
    list_open,
    replace_small,
    settle,
)
from landcover.windows import split, within

# Height and width of what is sieved at once: 19 million pixels with the usual margin.
SIDE = 4096

# Of the maps that were tried, noise included, at most five times the root of N became unknown.
USUAL_MARGIN = 128


def thresholds(smallest: int) -> list[int]:
    """Return the threshold of each round, in pixels, rising.

    Args:
        smallest: pixels of the smallest patch that a sieved map should have.
    """
    rounds = []
    while smallest > 1:
        rounds.append(smallest)
        smallest = -(-smallest // 2)
    return rounds[::-1]


def margin(smallest: int) -> int:
    """Return how many pixels around a window decide, at most, on its pixels (see the module).

    Args:
        smallest: pixels of the smallest patch that a sieved map should have.
    """
    return sum(2 * (threshold - 1) for threshold in thresholds(smallest))


def sieve(codes: NDArray[np.uint8], smallest: int) -> NDArray[np.uint8]:
    """Return a whole map without its small patches (see the module for the rule).

    Memory: 2 bytes a pixel beside the map, result included, and 4 for each pixel of a small patch.

    Args:
        codes: class codes (rows, columns), nodata 255; not changed.
        smallest: pixels of the smallest patch to keep; of 1 or less, every patch is kept.
    """
    sieved, _ = _sieve(codes, smallest, around=OPEN)
    return sieved


def sieve_part(
    codes: NDArray[np.uint8], smallest: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Sieve a part of a map, and tell which of its pixels do not depend on what lies around it.

    Args:
        codes: class codes (rows, columns), nodata 255; not changed.
        smallest: pixels of the smallest patch to keep.

    Returns:
        The sieved part, and which of its pixels are those of the whole map, sieved; among them are
        all that lie at least `margin(smallest)` pixels from the part's edges.
    """
    sieved, states = _sieve(codes, smallest, around=UNKNOWN)
    return sieved, states != UNKNOWN


def sieve_window(
    pieces: Mapping[Window, str | Path], window: Window, smallest: int
) -> NDArray[np.uint8]:
    """Sieve a window of a map that is kept in pieces, exactly as the whole map would be.

    The window is worked on in blocks: about 120 MB beside the result, which takes a byte a pixel.

    Args:
        pieces: the file of each window of the map; what no window covers is nodata.
        window: which pixels of the map.
        smallest: pixels of the smallest patch to keep.

    Returns:
        Class codes, (rows, columns) of the window.

    Raises:
        RasterioIOError: if a piece cannot be read.
    """
    sieved = np.empty((window.height, window.width), dtype=np.uint8)
    for block in split(window, SIDE, SIDE):
        sieved[within(block, window)] = _sieve_block(pieces, block, smallest)
    return sieved


def read_around(
    pieces: Mapping[Window, str | Path], window: Window, margin: int
) -> NDArray[np.uint8]:
    """Read a window and what lies around it from the pieces of a map.

    Args:
        pieces: the file of each window of the map; what no window covers is nodata.
        window: which pixels of the map.
        margin: how many pixels more on each side.

    Returns:
        Class codes, (rows + 2 margin, columns + 2 margin).

    Raises:
        RasterioIOError: if a piece cannot be read.
    """
    around = Window(
        window.col_off - margin,
        window.row_off - margin,
        window.width + 2 * margin,
        window.height + 2 * margin,
    )
    codes = np.full((around.height, around.width), NODATA, dtype=np.uint8)
    for covered, path in pieces.items():
        if intersect(covered, around):
            shared = intersection(covered, around)
            inside = Window.from_slices(*within(shared, covered))
            with rasterio.open(path) as dataset:
                codes[within(shared, around)] = dataset.read(1, window=inside)
    return codes


def _sieve_block(
    pieces: Mapping[Window, str | Path], block: Window, smallest: int
) -> NDArray[np.uint8]:
    farthest = margin(smallest)
    around = min(USUAL_MARGIN, farthest)
    while True:
        codes, known = sieve_part(read_around(pieces, block, around), smallest)
        core = slice(around, around + block.height), slice(around, around + block.width)
        if known[core].all():
            return codes[core]
        around = min(2 * around, farthest)


def _sieve(
    codes: NDArray[np.uint8], smallest: int, around: np.uint8
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Sieve a map; `around` is the state of what lies around it.

    Patches of N pixels or more stay as they are through all rounds, so that after they are found
    the rounds look at the pixels of the others only.
    """
    framed = np.pad(codes, 1, constant_values=NODATA)
    states = np.full(framed.shape, around)
    states[1:-1, 1:-1] = OPEN
    if smallest > 1:
        _replace(framed.ravel(), states.ravel(), framed.shape[1], smallest)
    return framed[1:-1, 1:-1], states[1:-1, 1:-1]


def _replace(
    codes: NDArray[np.uint8], states: NDArray[np.uint8], width: int, smallest: int
) -> None:
    patch = np.empty(min(smallest, codes.size), dtype=np.int64)
    settle(codes, states, width, smallest, patch)
    number: type[np.signedinteger] = np.int32 if codes.size < 2**31 else np.int64
    # The operating system provides only as much of this as there are pixels to list.
    pixels = np.empty(codes.size, dtype=number)
    pixels = pixels[: list_open(states, pixels)]
    for threshold in thresholds(smallest):
        find_small(codes, states, width, pixels, threshold, patch)
        replace_small(codes, states, width, pixels, patch)
        pixels = pixels[: keep_open(states, pixels)]
