"""The compiled loops, against plain counting."""

from collections import Counter
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from landcover.classes import NODATA
from landcover.maps.kernels import (
    add_fours,
    count_codes,
    halve_mode,
    round_means,
    sum_fours,
)

maps = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from([0, 1, 4, 254, NODATA]),
)


@settings(deadline=None)
@given(maps)
def test_half_the_size_shows_the_first_of_the_commonest_classes_of_each_four_pixels(codes):
    before = codes.copy()
    half = halve_mode(codes, codes.dtype.type(NODATA))
    np.testing.assert_array_equal(codes, before)
    assert half.shape == tuple(-(-side // 2) for side in codes.shape)
    for row, column in np.ndindex(half.shape):
        four = codes[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()
        # A counter lists what is equally common in the order in which it was met.
        common = Counter(code for code in four if code != NODATA).most_common(1)
        assert half[row, column] == (common[0][0] if common else NODATA)


@settings(deadline=None)
@given(maps)
def test_codes_are_counted(codes):
    counts = count_codes(codes)
    assert counts.sum() == codes.size
    assert dict(enumerate(counts.tolist())) == {
        code: int((codes == code).sum()) for code in range(256)
    }


@settings(deadline=None)
@given(
    arrays(
        np.int16,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([-700, -3, -1, 0, 1, 98, 99, 100, 32_767]),
    )
)
def test_means_are_those_of_all_pixels_beneath_whatever_the_level(values):
    """Exact fractions, halves to the even neighbour; -1 is nodata."""
    totals = values
    for factor in (2, 4, 8, 16):
        shape = tuple(-(-side // factor) for side in values.shape)
        halved = np.empty((2, *shape), np.int64)
        if factor == 2:
            sum_fours(totals, np.int16(-1), halved)
        else:
            add_fours(totals, halved)
        totals = halved
        means = np.empty(shape, np.int16)
        round_means(totals, np.int16(-1), means)
        for row, column in np.ndindex(shape):
            square = values[
                row * factor : (row + 1) * factor, column * factor : (column + 1) * factor
            ]
            beneath = square[square != -1].tolist()
            mean = round(Fraction(sum(beneath), len(beneath))) if beneath else -1
            assert means[row, column] == mean
