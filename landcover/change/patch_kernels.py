"""The loops of patches over pixels and runs, compiled by numba (see `landcover.change.patches`)."""

import numpy as np
from numpy.typing import NDArray

from landcover.change.rule import CONFIRMED, WARNING, State
from landcover.imagery.kernels import compiled

# What a run is of, where it is not of an alert: these are numbered from 1.
NEW = 0

# The columns of runs.
ROW, START, STOP, ALERT, STATUS, FIRST, FOREST_SEEN, IS_SEEN, LOG_ODDS = range(9)


@compiled
def find_runs(state: State, owner: NDArray[np.int32], today: int, runs: NDArray[np.int32]) -> int:
    """Find the runs of alerts and of lost forest: pixels of a row that are alike and of one alert.

    Args:
        state: what is known of pixels, (rows, columns).
        owner: the number of the alert that each lies in; `NEW` where it is none's, less where it is
            one's that does not change any more.
        today: the day of the month.
        runs: what is written, a row a run. If it is empty, they are counted only.

    Returns:
        The number of runs.
    """
    status = state.status
    found = 0
    for row in range(status.shape[0]):
        # What the pixels of a run have in common, from its alert on; -1 where there is none.
        last = (-1, 0, 0, 0, 0)
        for column in range(status.shape[1]):
            this = (-1, 0, 0, 0, 0)
            number = owner[row, column]
            if number > 0 or (number == NEW and WARNING <= status[row, column] <= CONFIRMED):
                this = (
                    int(number),
                    int(status[row, column]),
                    int(state.first[row, column]),
                    int(state.forest_seen[row, column]),
                    int(state.seen[row, column] == today),
                )
                found += this != last
                if runs.size:
                    run = runs[found - 1]
                    if this != last:
                        run[ROW], run[START], run[LOG_ODDS] = row, column, 0
                        run[ALERT], run[STATUS], run[FIRST], run[FOREST_SEEN], run[IS_SEEN] = this
                    run[STOP] = column + 1
                    run[LOG_ODDS] += state.log_odds[row, column]
            last = this
    return found


@compiled
def _root(parents: NDArray[np.int64], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


@compiled
def join_runs(
    row: NDArray[np.int32],
    start: NDArray[np.int32],
    stop: NDArray[np.int32],
    alert: NDArray[np.int32],
    beside: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return for each run the number of the first run of its patch: 8-connected, of one alert.

    Args:
        row: of each run, rising.
        start: its first column, rising within a row.
        stop: the column after its last.
        alert: what it is of.
        beside: what is written: of new runs, the lowest number of an alert that touches them; else
            `NEW`.
    """
    parents = np.arange(row.size)
    beside[:] = NEW
    above = 0  # the first run of the row above that may still touch
    for number in range(row.size):
        while above < number and (
            row[above] < row[number] - 1
            or (row[above] == row[number] - 1 and stop[above] < start[number])
        ):
            above += 1
        other = above
        while other < number and row[other] == row[number] - 1 and start[other] <= stop[number]:
            _meet(parents, alert, beside, other, number)
            other += 1
        before = number - 1
        if number and row[before] == row[number] and stop[before] == start[number]:
            _meet(parents, alert, beside, before, number)
    for number in range(row.size):
        parents[number] = _root(parents, number)
    return parents


@compiled
def _meet(
    parents: NDArray[np.int64],
    alert: NDArray[np.int32],
    beside: NDArray[np.int32],
    one: int,
    other: int,
) -> None:
    """Join two runs that touch, where they are of one alert; else remember whom the new touches."""
    if alert[one] == alert[other]:
        # A patch is numbered by the first of its runs.
        low, high = _root(parents, one), _root(parents, other)
        parents[max(low, high)] = min(low, high)
    elif alert[one] == NEW:
        beside[one] = alert[other] if beside[one] == NEW else min(beside[one], alert[other])
    elif alert[other] == NEW:
        beside[other] = alert[one] if beside[other] == NEW else min(beside[other], alert[one])


@compiled
def next_rows(
    row: NDArray[np.int32],
    start: NDArray[np.int32],
    stop: NDArray[np.int32],
    of: NDArray[np.int64],
    tops: NDArray[np.int64],
    depth: int,
) -> NDArray[np.int64]:
    """Return the parts of stretches that go on for one row more.

    Args:
        row: of each run, rising; runs of one row and number do not meet.
        start: its first column, rising within a row.
        stop: the column after its last.
        of: a number for each run; a stretch goes on in runs of its own number only.
        tops: stretches that are `depth` rows deep: the number of the run in their first row, their
            first column, the column after their last; (stretches, 3), rising by row and column.
        depth: see there.

    Returns:
        The same of those that are a row deeper.
    """
    deeper = np.empty((row.size + len(tops), 3), np.int64)
    found, below = 0, 0
    for top, left, right in tops:
        wanted = row[top] + depth
        while below < row.size and (
            row[below] < wanted or (row[below] == wanted and stop[below] <= left)
        ):
            below += 1
        other = below
        while other < row.size and row[other] == wanted and start[other] < right:
            if of[other] == of[top]:
                deeper[found, 0] = top
                deeper[found, 1] = max(left, start[other])
                deeper[found, 2] = min(right, stop[other])
                found += 1
            other += 1
    return deeper[:found]


@compiled
def burn(
    row: NDArray[np.int32],
    start: NDArray[np.int32],
    stop: NDArray[np.int32],
    top: int,
    left: int,
    raster: NDArray[np.uint8],
) -> None:
    """Write 1 into a raster where runs lie.

    Args:
        row: of each run.
        start: its first column.
        stop: the column after its last.
        top: the first row of the raster.
        left: its first column.
        raster: what is written to.
    """
    height, width = raster.shape
    for number in range(row.size):
        if 0 <= row[number] - top < height:
            for column in range(max(start[number] - left, 0), min(stop[number] - left, width)):
                raster[row[number] - top, column] = 1
