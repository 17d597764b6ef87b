"""A month and five years of months on several machines: what Dask costs, and a simulation.

What one machine takes is measured, and so is what a cluster adds; what a bucket gives is assumed.
"""

import heapq
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil, inf, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import shapely
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks import batches
from benchmarks.batches import Overhead
from benchmarks.imagery import QUAD
from benchmarks.month import Run
from benchmarks.report import FOLDER, UNTOLD, Figure, as_table
from flows.parallel import split_into_batches
from landcover.grid import Grid
from landcover.machine import cores
from landcover.windows import MEMORY, plan_windows

# Western Ecuador, and a country.
QUADS = {277: "277 quads", 10_000: "10 000 quads"}
MONTHS = 60
WORKERS = [2**power for power in range(9)]
BANDWIDTHS = {1e9 / 8: "1 Gbit/s", 10e9 / 8: "10 Gbit/s"}  # by bytes a second


@dataclass(frozen=True)
class Machine:
    """What a month takes on one machine.

    Attributes:
        cores: of the machine.
        predicting: core seconds that the windows of a quad take.
        fixed: seconds of all that is not windows, of however few quads.
        assembling: seconds more of it with each quad.
        size: bytes that are read of a quad.
    """

    cores: int
    predicting: float
    fixed: float
    assembling: float
    size: float

    def besides(self, quads: int) -> float:
        """The seconds of a month that are not windows."""
        return self.fixed + self.assembling * quads

    def month(self, quads: int) -> float:
        """The seconds of a month on this machine alone."""
        return quads * self.predicting / self.cores + self.besides(quads)


# That of docs/speed.md.
MEASURED = Machine(cores=2, predicting=1.02, fixed=22.3, assembling=0.145, size=115e6)


def describe(runs: Mapping[int, Run], size: float) -> Machine:
    """Return what months say of the machine that they ran on.

    Args:
        runs: whole months, by their number of quads.
        size: bytes that are read of a quad.
    """
    few, many = min(runs), max(runs)
    besides = {
        count: runs[count].seconds - runs[count].of_step("prediction") for count in (few, many)
    }
    assembling = (besides[many] - besides[few]) / (many - few)
    return Machine(
        cores=cores(),
        predicting=runs[many].of_step("prediction") * cores() / many,
        fixed=besides[few] - assembling * few,
        assembling=assembling,
        size=size,
    )


def seconds_of_month(
    machine: Machine, overhead: Overhead, quads: int, workers: int, bandwidth: float
) -> float:
    """Return the seconds of a month whose windows are spread over machines.

    Args:
        machine: one of them.
        overhead: what the cluster adds.
        quads: of the month.
        workers: how many machines predict its windows.
        bandwidth: bytes a second that the bucket gives to all of them.
    """
    threads = workers * machine.cores
    parts = quads_of_batches(quads, workers, threads)
    predicting = _makespan([part * machine.predicting + overhead.batch for part in parts], threads)
    handing_out = len(parts) / overhead.rate
    reading = quads * machine.size / bandwidth
    return max(predicting, handing_out, reading) + machine.besides(quads)


def seconds_of_months(
    machine: Machine, quads: int, months: int, workers: int, bandwidth: float
) -> float:
    """Return the seconds of months that are spread over machines, each of which runs whole ones.

    Args:
        machine: one of them.
        quads: of a month.
        months: how many.
        workers: how many machines there are.
        bandwidth: bytes a second that the bucket gives to all of them.
    """
    rounds = ceil(months / workers)
    predicting = quads * machine.predicting / machine.cores
    # Machines that work side by side have its bandwidth together.
    reading = months / rounds * quads * machine.size / bandwidth
    return rounds * (max(predicting, reading) + machine.besides(quads))


@cache
def quads_of_batches(quads: int, workers: int, threads: int) -> tuple[float, ...]:
    """Return how many quads' pixels each batch of a month's windows has.

    Args:
        quads: of the month; they are laid in a square, row by row.
        workers: how many machines predict.
        threads: of all of them.
    """
    side = ceil(sqrt(quads)) * QUAD
    rows = quads * QUAD**2 / side
    grid = Grid("EPSG:3857", Affine.scale(1, -1), side, side)
    area = shapely.box(0, -rows, side, 0)
    _, windows = plan_windows(grid, area, threads, workers * MEMORY)
    return tuple(
        sum(window.width * min(window.height, rows - window.row_off) for window in batch) / QUAD**2
        for batch in split_into_batches(windows, threads)
    )


def _makespan(jobs: list[float], threads: int) -> float:
    """Return when the last of some jobs ends, if a thread takes the next as soon as it is free."""
    free = [0.0] * threads
    for job in jobs:
        heapq.heapreplace(free, free[0] + job)
    return max(free)


def measure(folder: Path, machine: Machine, drawing: Path) -> list[Figure]:
    """Measure what a cluster adds to a month, and draw what follows for larger ones.

    Args:
        folder: where empty quads go.
        machine: what months take on this one.
        drawing: the PNG to write.
    """
    overhead = batches.measure(folder)
    draw(machine, overhead, drawing)
    month = machine.month(277)
    return [
        Figure("windows of a month on Dask against threads, seconds more",
               f"{overhead.month:.1f}"),
        Figure("the same, against the whole month of 277 quads",
               f"{overhead.month / month:.1%}", "at most 5 %"),
        Figure("a batch of windows on Dask, seconds of a worker more than of a thread",
               f"{overhead.batch:.2f}"),
        Figure("batches a second, with scheduler, Prefect server and workers on one machine",
               f"{overhead.rate:.1f}"),
        Figure("asking the cluster before the first window, seconds", f"{overhead.asking:.1f}"),
        Figure("a month of 277 quads without its windows, seconds",
               f"{machine.besides(277):.0f} of {month:.0f}"),
        Figure("the same, of however few quads; more with each",
               f"{machine.fixed:.1f}; {machine.assembling:.3f}"),
        Figure("windows of a quad, core seconds", f"{machine.predicting:.2f}"),
    ]  # fmt: skip


def draw(machine: Machine, overhead: Overhead, path: Path) -> None:
    """Draw the time of a month and of five years against the number of machines.

    Args:
        machine: one of them.
        overhead: what Dask adds.
        path: the PNG to write.
    """

    def month(quads: int, workers: int, bandwidth: float) -> float:
        return seconds_of_month(machine, overhead, quads, workers, bandwidth) / 60

    def months(quads: int, workers: int, bandwidth: float) -> float:
        return seconds_of_months(machine, quads, MONTHS, workers, bandwidth) / 3600

    drawing = Drawing(figsize=(10, 5), layout="constrained")
    left, right = drawing.subplots(ncols=2)
    _draw_panel(left, month)
    left.set(title="A month, its windows over machines", ylabel="minutes")
    _draw_panel(right, months)
    right.set(title=f"{MONTHS} months, months over machines", ylabel="hours")
    for axes in (left, right):
        axes.set_xlabel(f"machines of {machine.cores} cores")
    drawing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    drawing.savefig(path, dpi=120)


def _draw_panel(axes: Axes, time: Callable[[int, int, float], float]) -> None:
    """Draw a time by quads, workers and bandwidth; points are hollow where the bucket decides."""
    for (quads, name), colour in zip(QUADS.items(), ("tab:blue", "tab:orange"), strict=True):
        for (bandwidth, rate), line in zip(BANDWIDTHS.items(), ("--", "-"), strict=True):
            times = [time(quads, workers, bandwidth) for workers in WORKERS]
            axes.plot(WORKERS, times, line, color=colour, label=f"{name}, bucket of {rate}")
            for workers, found in zip(WORKERS, times, strict=True):
                waits = found > time(quads, workers, inf)
                axes.plot(workers, found, "o", color=colour, mfc="white" if waits else colour)
    axes.plot([], [], "o", color="grey", mfc="white", label="the bucket is the limit")
    axes.set(xscale="log", yscale="log", xticks=WORKERS)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)


def main() -> int:
    """Measure what Dask adds, and draw with the months of docs/speed.md; return the exit status."""
    os.environ.update(UNTOLD)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as folder:
        print(as_table(measure(Path(folder), MEASURED, FOLDER / "machines.png")))
    print(f"\nTime against number of machines: {FOLDER / 'machines.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
