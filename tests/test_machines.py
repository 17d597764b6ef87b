"""The simulation of months on several machines: its limits, which follow from what it is given."""

from dataclasses import replace
from math import ceil, inf

import pytest

from benchmarks import month
from benchmarks.batches import Overhead
from benchmarks.machines import (
    QUADS,
    Machine,
    describe,
    quads_of_batches,
    seconds_of_month,
    seconds_of_months,
)

MACHINE = Machine(cores=2, predicting=1.0, fixed=30.0, assembling=0.1, size=100e6)
FREE = Overhead(asking=0, month=0, batch=0, rate=inf)
COSTLY = Overhead(asking=1, month=5, batch=0.2, rate=20)
GIGABIT = 1e9 / 8
MANY = 10_000


def test_a_machine_takes_the_months_that_describe_it():
    runs = {
        count: month.Run(taken, 1.0, f"seconds: samples 3, prediction {predicting}, map 1\n")
        for count, taken, predicting in ((16, 35.0, 11.0), (64, 70.0, 30.0), (277, 204.0, 141.0))
    }
    machine = describe(runs, 115e6)
    assert machine.month(277) == pytest.approx(204)
    assert machine.besides(16) == pytest.approx(24)


@pytest.mark.parametrize("quads", QUADS)
def test_one_machine_takes_what_was_measured(quads):
    measured = MACHINE.month(quads)
    assert measured == pytest.approx(quads / 2 + 30 + quads / 10)
    # The last batch may leave a core without work.
    assert seconds_of_month(MACHINE, FREE, quads, 1, inf) == pytest.approx(measured, rel=0.02)
    assert seconds_of_months(MACHINE, quads, 60, 1, inf) == pytest.approx(60 * measured)


@pytest.mark.parametrize("quads", QUADS)
def test_what_is_left_of_many_machines_is_the_bucket_and_what_is_not_windows(quads):
    reading, besides = quads * 100e6 / GIGABIT, MACHINE.besides(quads)
    assert seconds_of_month(MACHINE, FREE, quads, MANY, GIGABIT) == reading + besides
    assert seconds_of_months(MACHINE, quads, 60, MANY, GIGABIT) == 60 * reading + besides


@pytest.mark.parametrize("quads", QUADS)
@pytest.mark.parametrize("workers", [1, 2, 16, 256])
def test_all_pixels_are_in_some_batch(quads, workers):
    assert sum(quads_of_batches(quads, workers, 2 * workers)) == pytest.approx(quads)


def test_a_batch_costs_a_thread_its_overhead_once():
    batches = len(quads_of_batches(277, 1, 2))
    idle = replace(MACHINE, predicting=0.0)
    rounds = ceil(batches / 2)
    more = seconds_of_month(idle, COSTLY, 277, 1, inf) - idle.besides(277)
    assert more == pytest.approx(rounds * 0.2)


def test_batches_are_handed_out_no_faster_than_measured():
    batches = len(quads_of_batches(277, MANY, 2 * MANY))
    slow = replace(COSTLY, batch=0.0, rate=0.5)
    found = seconds_of_month(MACHINE, slow, 277, MANY, inf)
    assert found == pytest.approx(batches / 0.5 + MACHINE.besides(277))


def test_months_are_done_in_rounds():
    month = MACHINE.month(277)
    for workers, rounds in ((1, 60), (7, 9), (59, 2), (60, 1), (256, 1)):
        assert seconds_of_months(MACHINE, 277, 60, workers, inf) == pytest.approx(rounds * month)
