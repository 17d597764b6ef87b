"""Tables keep the answers to cells, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landcover.maps.cells import MOST_CELLS
from landcover.maps.table_kernels import SPREAD
from landcover.maps.tables import FIRST_SLOTS, Table

# Cells whose spread keys belong into the last two slots, so that they go on in the first.
BACK = pow(int(SPREAD), -1, 2**64)
SLOT = 2**64 // FIRST_SLOTS
CROWDED = [
    (slot * SLOT + number) * BACK % 2**64 - 1
    for slot in (FIRST_SLOTS - 2, FIRST_SLOTS - 1)
    for number in range(4)
]

cells = st.one_of(
    st.integers(0, MOST_CELLS - 1),
    st.sampled_from([0, 1, 2**53, 2**53 + 1, 2**63, MOST_CELLS - 1]),
    st.sampled_from(CROWDED),
)
kept = st.dictionaries(cells, st.integers(1, 2**16 - 1), min_size=1)


def read(table, numbers):
    """Read all of some cells."""
    return table.read(np.array(numbers, dtype=np.uint64), np.ones(len(numbers), dtype=bool))


@settings(deadline=None)
@given(kept=st.lists(kept, min_size=1, max_size=4), others=st.lists(cells))
def test_a_table_is_a_dictionary(kept, others):
    table, known = Table(), {}
    for entries in kept:
        # What is there stays: the model says the same of a cell each time.
        known = {**entries, **known}
        numbers = np.array(list(entries), dtype=np.uint64)
        table.keep(numbers, np.array(list(entries.values()), dtype=np.uint16))
        asked = [*known, *others]
        assert read(table, asked).tolist() == [known.get(cell, 0) for cell in asked]
        assert len(table) == len(known)


@pytest.mark.parametrize("step", [1, 64, 64**2, 64**7])
def test_cells_that_differ_in_one_band_are_found_again_after_the_table_has_grown(step):
    table = Table()
    numbers = np.arange(20 * FIRST_SLOTS, dtype=np.uint64) * np.uint64(step)
    entries = (np.arange(numbers.size) % 1000 + 1).astype(np.uint16)
    for part in np.array_split(np.arange(numbers.size), 7):
        table.keep(numbers[part], entries[part])
    assert np.array_equal(read(table, numbers), entries)
    assert len(table) == numbers.size


@pytest.mark.parametrize("memory", [0, 40 * FIRST_SLOTS])
def test_a_table_takes_no_more_memory_than_it_may_even_while_it_grows(memory):
    """It may become twice as large where both fit, not four times."""
    table = Table(memory)
    numbers = np.arange(20 * FIRST_SLOTS, dtype=np.uint64)
    table.keep(numbers, np.ones(numbers.size, dtype=np.uint16))
    found = read(table, numbers)
    assert table.nbytes == (10 if memory == 0 else 20) * FIRST_SLOTS
    assert len(table) == np.count_nonzero(found) == table.nbytes // 10 * 2 // 3


def test_pixels_that_are_not_wanted_are_not_read():
    table = Table()
    numbers = np.arange(4, dtype=np.uint64)
    table.keep(numbers, np.full(4, 7, dtype=np.uint16))
    assert table.read(numbers, np.array([True, False, True, False])).tolist() == [7, 0, 7, 0]
