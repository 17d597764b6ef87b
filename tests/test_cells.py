"""The cells that pixels fall into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from landcover.maps.cells import Cells, count_cells
from landcover.model.bins import LogBins


@tried(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    bands=st.integers(1, 6),
    bins=st.sampled_from([2, 3, 7, 64, 1000]),
    dtype=st.sampled_from(["uint8", "int8", "int16", "int32", "int64", "float32", "float64"]),
)
def test_a_cell_has_the_levels_that_the_bins_give_its_pixels(seed, bands, bins, dtype):
    random = np.random.default_rng(seed)
    fitted = LogBins(bins).fit(random.lognormal(4, 1, (200, bands)).clip(0, 100).astype(dtype))
    edges = fitted.edges_.ravel()
    near = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    values = random.choice(near.clip(-128, 127), (bands, 50)).astype(dtype)
    cells = Cells(fitted)
    numbers = cells.number(values)
    assert numbers.max() < cells.count
    np.testing.assert_array_equal(cells.levels(numbers), fitted.transform(values.T))


def test_what_is_no_number_falls_into_the_last_bin_as_it_does_in_numpy():
    fitted = LogBins(5).fit(np.arange(1, 100)[:, np.newaxis])
    values = np.array([[np.nan, np.inf, -np.inf]])
    assert Cells(fitted).number(values).tolist() == fitted.number(values[0], 0).tolist()


def test_more_cells_than_there_are_numbers_are_refused():
    fitted = LogBins(64).fit(np.ones((3, 11)))
    assert count_cells(fitted) == 64**11
    with pytest.raises(ValueError, match="64 bits"):
        Cells(fitted)
