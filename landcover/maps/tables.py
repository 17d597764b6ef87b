"""Tables: what a model says of cells, kept so that it is asked once."""

import threading

import numpy as np
from numpy.typing import NDArray

from landcover.maps.cells import Numbers
from landcover.maps.table_kernels import insert, move_slots, read_entries
from landcover.windows import memory_for_run

# Bytes that a table may take; where the machine has less, at most this share of what prediction
# may take.
MOST_MEMORY = 2**29
SHARE_OF_PREDICTION = 1 / 3

ENTRY = np.dtype(np.uint16)
KEY = np.dtype(np.uint64)

# Slots of a table that is still empty: 40 kB.
FIRST_SLOTS = 2**12

# With more of its slots taken, looking for a cell takes ever more steps.
FULL = 2 / 3

Entries = NDArray[np.uint16]
Wanted = NDArray[np.bool_]


class Table:
    """What a model says of the cells that were met: a hash table with open addressing.

    The low byte of an answer's entry is the class code plus one, its high byte the confidence in
    percent. So no entry is 0, which stands for a cell that is not known.

    The table doubles when it is full. Readers need no lock: a slot is written once, and those who
    hold the arrays from before it grew only miss what is new.
    """

    def __init__(self, memory: int | None = None) -> None:
        """Make an empty table.

        Args:
            memory: the bytes that it may take, those of the smaller one included while it grows;
                cells that it has no room for are not kept. As many as the machine allows if left
                out.
        """
        self.memory = _memory_allowed() if memory is None else memory
        self._slots = _empty_slots(FIRST_SLOTS)
        self._known = 0
        self._writing = threading.Lock()

    def __len__(self) -> int:
        """Return how many cells are known."""
        return self._known

    @property
    def nbytes(self) -> int:
        """How many bytes the table takes."""
        return sum(array.nbytes for array in self._slots)

    def read(self, cells: Numbers, wanted: Wanted) -> Entries:
        """Return the entries of cells, 0 where one is not known or not wanted.

        Args:
            cells: their numbers.
            wanted: which of them are looked up.
        """
        entries = np.empty(cells.size, dtype=ENTRY)
        read_entries(*self._slots, cells, wanted, entries)
        return entries

    def keep(self, cells: Numbers, entries: Entries) -> None:
        """Keep the entries of cells for later, of as many as there is room for.

        Args:
            cells: their numbers.
            entries: of the cells.
        """
        with self._writing:
            room = self._make_room(cells.size)
            self._known += insert(*self._slots, cells[:room], entries[:room])

    def _make_room(self, count: int) -> int:
        """Grow until there is room for so many cells more; return for how many there is."""
        old = self._slots
        slots = old[0].size
        while _capacity(slots) < self._known + count and self._may_become(2 * slots):
            slots *= 2
        if slots > old[0].size:
            larger = _empty_slots(slots)
            move_slots(*old, *larger)
            self._slots = larger
        return max(_capacity(slots) - self._known, 0)

    def _may_become(self, slots: int) -> bool:
        return self.nbytes + slots * (KEY.itemsize + ENTRY.itemsize) <= self.memory


def _memory_allowed() -> int:
    return min(MOST_MEMORY, int(SHARE_OF_PREDICTION * memory_for_run()))


def _empty_slots(slots: int) -> tuple[NDArray[np.uint64], Entries]:
    return np.zeros(slots, dtype=KEY), np.zeros(slots, dtype=ENTRY)


def _capacity(slots: int) -> int:
    return int(FULL * slots)
