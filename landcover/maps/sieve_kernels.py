"""The loops of the sieve over single pixels, compiled by numba (see `landcover.maps.sieve`)."""

import numpy as np
from numpy.typing import NDArray

from landcover.classes import NODATA
from landcover.imagery.kernels import compiled

EMPTY = np.uint8(NODATA)

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
