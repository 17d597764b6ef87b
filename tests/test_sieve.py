"""The sieve: the rule, worked out patch by patch in plain Python, whole and in windows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter, label

from landcover.classes import NODATA
from landcover.grid import Grid
from landcover.maps.pieces import write_piece
from landcover.maps.sieve import (
    SIDE,
    USUAL_MARGIN,
    margin,
    read_around,
    sieve,
    sieve_part,
    sieve_window,
    thresholds,
)
from landcover.windows import split
from tests.rasters import ORIGIN, class_layer

Codes = NDArray[np.uint8]

maps = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=2, max_side=14),
    elements=st.sampled_from([0, 1, 2, NODATA]),
)
sizes = st.integers(0, 14)


def patches_of(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the patch number of each pixel, 0 for nodata, and the pixels of each patch."""
    numbers = np.zeros(codes.shape, dtype=np.int64)
    for code in np.unique(codes[codes != NODATA]):
        found, _ = label(codes == code)
        numbers += np.where(found, found + numbers.max(), 0)
    return numbers, np.bincount(numbers.ravel())


def neighbours(row: int, column: int, shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            yield y, x


def one_round(codes: Codes, threshold: int) -> Codes:
    """Give each patch below a threshold the class of its longest border with patches above."""
    numbers, pixels = patches_of(codes)
    result = codes.copy()
    for patch in np.flatnonzero(pixels < threshold):
        inside = numbers == patch
        border = [
            place
            for row, column in np.argwhere(inside)
            for place in neighbours(row, column, codes.shape)
            if numbers[place] > 0 and pixels[numbers[place]] >= threshold
        ]
        # A counter lists what is equally common in the order in which it was met.
        votes = Counter(int(codes[place]) for place in sorted(border)).most_common(1)
        if patch > 0 and votes:
            result[inside] = votes[0][0]
    return result


def sieved_slowly(codes: Codes, smallest: int) -> Codes:
    rounds = {-(-smallest // 2**halvings) for halvings in range(smallest.bit_length())}
    for threshold in sorted(rounds - {1}):
        codes = one_round(codes, threshold)
    return codes


def noisy_map(rows: int, columns: int, seed: int = 0, noise: float = 0.5) -> Codes:
    """Return fields of five classes with speckle in them, and holes of nodata."""
    random = np.random.default_rng(seed)

    def field(sigma: float) -> NDArray[np.float64]:
        smooth = gaussian_filter(random.standard_normal((rows, columns)), sigma, mode="wrap")
        return smooth / smooth.std()

    layers = [field(4) + field(20) + noise * field(0) for _ in range(5)]
    codes = np.argmax(layers, axis=0).astype(np.uint8)
    codes[field(15) > 1.5] = NODATA
    return codes


def write_pieces(codes: Codes, size: int, folder: Path) -> dict[Window, Path]:
    """Write a map in pieces, with overviews; those of nothing but nodata are left out."""
    grid = Grid("EPSG:3857", ORIGIN, codes.shape[1], codes.shape[0])
    pieces = {}
    for window in split(grid.whole, size, size):
        part = codes[window.toslices()]
        if (part != NODATA).any():
            pieces[window] = folder / f"piece_{window.col_off}_{window.row_off}.tif"
            write_piece(class_layer(), part, grid.part(window), [2], pieces[window])
    return pieces


def assemble(pieces: Mapping[Window, str | Path], shape: tuple[int, ...], smallest: int) -> Codes:
    codes = np.full(shape, NODATA, dtype=np.uint8)
    for window in pieces:
        codes[window.toslices()] = sieve_window(pieces, window, smallest)
    return codes


def as_map(drawing: str) -> Codes:
    """Return a map drawn in digits, with `.` for nodata."""
    rows = [
        [NODATA if mark == "." else int(mark) for mark in line.strip()]
        for line in drawing.strip().splitlines()
    ]
    return np.array(rows, dtype=np.uint8)


# --- the rule -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(maps, sizes)
def test_the_rule_worked_out_patch_by_patch_gives_the_same_map(codes, smallest):
    before = codes.copy()
    np.testing.assert_array_equal(sieve(codes, smallest), sieved_slowly(codes, smallest))
    np.testing.assert_array_equal(codes, before)


@pytest.mark.parametrize("smallest", [2, 7, 40, 300])
@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_so_it_does_on_a_larger_map_with_speckle(smallest, noise):
    codes = noisy_map(150, 130, noise=noise)
    np.testing.assert_array_equal(sieve(codes, smallest), sieved_slowly(codes, smallest))


@pytest.mark.parametrize(
    ("smallest", "before", "after"),
    [
        # A speck takes its surroundings' class.
        (2, "000 010 000", "000 000 000"),
        # The longest border decides, not the larger neighbour.
        (4, "11112222222 11132222222 11132222222 11112222222",
            "11112222222 11112222222 11112222222 11112222222"),
        # Of equal borders the first in reading order does, whatever the codes.
        (3, "0002111", "0000111"),
        (3, "1112000", "1111000"),
        (3, "....1... ....1... ....1... 00022000 ...1.... ...1.... ...1....",
            "....1... ....1... ....1... 00011000 ...1.... ...1.... ...1...."),
        # Pixels that only touch by a corner are two patches.
        (2, "0000 0100 0010 0000", "0000 0000 0000 0000"),
        # Specks beside each other do not swap their classes.
        (3, "00000 01200 00000", "00000 00000 00000"),
        # Speckle goes first: a field with holes is a field.
        (20, "0000000 0111110 0121110 0111210 0111110 0000000",
             "0000000 0111110 0111110 0111110 0111110 0000000"),
        # Nodata is no neighbour, and is not filled.
        (4, "11.00 1..00 ...00 2..00", "11.00 1..00 ...00 2..00"),
        (2, "000 0.0 000", "000 0.0 000"),
        (2, "0.0 .1. 0.0", "0.0 .1. 0.0"),
        # No patch is smaller than one pixel.
        (1, "012 120", "012 120"),
        (0, "012 120", "012 120"),
    ],
)  # fmt: skip
def test_examples(smallest, before, after):
    codes, expected = as_map(before.replace(" ", "\n")), as_map(after.replace(" ", "\n"))
    np.testing.assert_array_equal(sieve(codes, smallest), expected)


@settings(deadline=None)
@given(maps, sizes)
def test_what_is_promised(codes, smallest):
    sieved = sieve(codes, smallest)
    numbers, pixels = patches_of(codes)
    after, pixels_after = patches_of(sieved)
    large, large_after = pixels[numbers] >= smallest, pixels_after[after] >= smallest
    valid = codes != NODATA

    np.testing.assert_array_equal(sieved == NODATA, ~valid)
    np.testing.assert_array_equal(sieved[valid & large], codes[valid & large])
    for place in np.argwhere(valid):
        for near in neighbours(*place, codes.shape):
            if valid[near] and large[near]:
                assert large_after[numbers == numbers[tuple(place)]].all()
    if large_after[valid].all():
        np.testing.assert_array_equal(sieve(sieved, smallest), sieved)


@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0])
def test_next_to_nothing_small_is_left_of_a_noisy_map(noise):
    codes = noisy_map(800, 800, seed=3, noise=noise)
    numbers, pixels = patches_of(sieve(codes, 44))
    small = np.flatnonzero(pixels < 44)
    assert (patches_of(codes)[1] < 44).sum() > 1000
    beside = {
        int(number)
        for number in small
        for row, column in np.argwhere(numbers == number)
        for near in neighbours(row, column, codes.shape)
        if numbers[near] not in (0, number)
    }
    assert len(beside) <= 1


@given(st.integers(-3, 5000))
def test_thresholds_at_least_double_up_to_the_last(smallest):
    rounds = thresholds(smallest)
    assert rounds[-1:] == ([smallest] if smallest > 1 else [])
    assert all(threshold > 1 for threshold in rounds)
    for threshold, following in pairwise(rounds):
        assert threshold == (following + 1) // 2
    assert margin(smallest) <= max(0, 4 * smallest)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (1, 9), (9, 1)])
def test_maps_of_few_or_no_pixels_are_sieved(shape):
    codes = np.zeros(shape, dtype=np.uint8)
    np.testing.assert_array_equal(sieve(codes, 5), codes)


# --- parts of a map -------------------------------------------------------------------------------


@st.composite
def maps_and_parts(draw) -> tuple[Codes, Window]:
    codes = draw(maps)
    top, left = (draw(st.integers(0, side - 1)) for side in codes.shape)
    height = draw(st.integers(1, codes.shape[0] - top))
    width = draw(st.integers(1, codes.shape[1] - left))
    return codes, Window(left, top, width, height)


@settings(deadline=None, max_examples=300)
@given(maps_and_parts(), sizes)
def test_what_is_known_of_a_part_is_as_in_the_whole(map_and_part, smallest):
    codes, part = map_and_part
    sieved, known = sieve_part(codes[part.toslices()], smallest)
    np.testing.assert_array_equal(sieved[known], sieve(codes, smallest)[part.toslices()][known])


@settings(deadline=None, max_examples=300)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(60)), elements=st.integers(0, 1)),
    st.integers(2, 9),
)
def test_all_is_known_beyond_the_margin(codes, smallest):
    _, known = sieve_part(codes, smallest)
    rows, columns = np.indices(codes.shape)
    height, width = codes.shape
    from_edge = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns])
    assert known[from_edge >= margin(smallest)].all()


def test_nothing_less_than_the_margin_would_do():
    """The last pixel may go on beyond the edge, and so be large and replace the one before."""
    codes = as_map("..... ..... ...01 ..... .....".replace(" ", "\n"))
    _, known = sieve_part(codes, 2)
    np.testing.assert_array_equal(np.argwhere(~known), [(2, 3), (2, 4)])
    assert margin(2) == 2


# --- windows of a map in pieces -------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(codes=maps, size=st.integers(3, 15), smallest=sizes)
def test_windows_of_any_size_give_the_whole_map(tmp_path_factory, codes, size, smallest):
    pieces = write_pieces(codes, size, tmp_path_factory.mktemp("pieces"))
    sieved = assemble(pieces, codes.shape, smallest)
    np.testing.assert_array_equal(sieved, sieve(codes, smallest))


@pytest.mark.parametrize(("size", "smallest"), [(128, 9), (256, 100), (256, 400), (512, 44)])
def test_so_do_windows_of_a_noisy_map(tmp_path, size, smallest):
    codes = noisy_map(700, 900, seed=7, noise=0.8)
    pieces = write_pieces(codes, size, tmp_path)
    np.testing.assert_array_equal(assemble(pieces, codes.shape, smallest), sieve(codes, smallest))


def test_a_window_larger_than_its_blocks_is_sieved_whole(tmp_path):
    codes = noisy_map(400, SIDE + 700, seed=5)
    pieces = write_pieces(codes, 8192, tmp_path)
    assert len(pieces) == 1
    np.testing.assert_array_equal(assemble(pieces, codes.shape, 50), sieve(codes, 50))


@pytest.mark.parametrize("beyond", [199, 200])
def test_a_patch_far_outside_a_window_decides_where_thin_ones_lead_to_it(tmp_path, beyond):
    """A line of one pixel's width: as much of it as decides is more than is read at first."""
    smallest = 200
    assert 699 + beyond > 512 + USUAL_MARGIN
    codes = np.full((3, 1024), NODATA, dtype=np.uint8)
    codes[1, 500:699] = 0
    codes[1, 699 : 699 + beyond] = 1
    pieces = write_pieces(codes, 512, tmp_path)
    sieved = assemble(pieces, codes.shape, smallest)
    np.testing.assert_array_equal(sieved, sieve(codes, smallest))
    assert set(sieved[1, 500:699]) == {1 if beyond >= smallest else 0}


def test_a_window_is_read_with_what_lies_around_it(tmp_path):
    codes = np.arange(35, dtype=np.uint8).reshape(5, 7)
    pieces: Mapping[Window, str | Path] = write_pieces(codes, 3, tmp_path)
    framed = np.pad(codes, 4, constant_values=NODATA)
    for window in pieces:
        for more in (0, 1, 4):
            top, left = window.row_off + 4 - more, window.col_off + 4 - more
            rows = slice(top, top + window.height + 2 * more)
            columns = slice(left, left + window.width + 2 * more)
            around = read_around(pieces, window, more)
            np.testing.assert_array_equal(around, framed[rows, columns])


def test_a_window_without_a_piece_is_nodata(tmp_path):
    codes = np.ones((4, 8), dtype=np.uint8)
    pieces = write_pieces(codes, 4, tmp_path)
    del pieces[Window(4, 0, 4, 4)]
    around = read_around(pieces, Window(0, 0, 4, 4), 2)
    assert (around[2:-2, 2:6] == 1).all()
    assert (around == 1).sum() == 16


def test_a_piece_that_cannot_be_read_is_an_error(tmp_path):
    pieces = write_pieces(np.ones((4, 8), dtype=np.uint8), 4, tmp_path)
    pieces[Window(4, 0, 4, 4)].write_bytes(b"not a GeoTIFF")
    with pytest.raises(RasterioIOError):
        sieve_window(pieces, Window(0, 0, 4, 4), 3)


def test_a_piece_is_opened_by_the_name_that_gdal_knows_too(tmp_path):
    codes = noisy_map(60, 60)
    paths = write_pieces(codes, 32, tmp_path)
    named = {window: str(path) for window, path in paths.items()}
    np.testing.assert_array_equal(assemble(named, codes.shape, 20), sieve(codes, 20))
    with rasterio.open(next(iter(named.values()))) as dataset:
        assert dataset.nodata == NODATA
