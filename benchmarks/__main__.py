"""Every benchmark, as a table of ratios, and a figure."""

import os
import platform
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure as Drawing

from benchmarks import (
    annual,
    bins,
    bucket,
    cells,
    change,
    intervals,
    machines,
    month,
    nine,
    pooling,
    stage,
    worlds,
)
from benchmarks.imagery import QUAD
from benchmarks.report import FOLDER, UNTOLD, Figure, as_table, found_of
from demo.world import build_world
from landcover.machine import cores
from tasks.access.process import configure

warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")


def main() -> int:
    """Measure everything and print it; return the exit status."""
    # As a run does: GDAL keeps no more blocks here than there.
    configure()
    os.environ.update(UNTOLD)
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(f"{cores()} cores, {_processor()}, Python {platform.python_version()}\n")
    with TemporaryDirectory(dir=FOLDER) as place:
        folder = Path(place).absolute()
        world = build_world(folder / "world")
        figures = stage.measure(world, folder)
        print(as_table(figures), flush=True)
        model = stage.train(world, folder)
        print(as_table(cells.measure(model)), flush=True)
        sampled = intervals.demo_month(world, model, folder)
        print(as_table(change.measure(folder)), flush=True)
        print(as_table(annual.measure(folder)), flush=True)
        of_month, runs = month.measure(world, folder)
        seconds = {count: run.seconds for count, run in runs.items()}
        print(as_table([*of_month, *against_copying(seconds, figures)]), flush=True)
        rate = rate_of("copying", figures)
        of_nine = nine.measure(world, folder / "nine", QUAD**2 / rate)
        print(as_table(of_nine), flush=True)
        quads = max(runs)
        of_bucket = bucket.measure(folder / f"{quads}", {}, "at most 1.05")
        print(as_table(of_bucket), flush=True)
        machine = machines.describe(runs, found_of(bucket.megabytes(quads), of_bucket) * 1e6)
        of_machines = machines.measure(folder / "machines", machine, FOLDER / "machines.png")
        print(as_table(of_machines), flush=True)
        draw(seconds, figures, FOLDER / "quads.png")
        study = bins.study(folder)
    print(as_table(bins.measure(study)))
    print("\nWhat the record finds of what was felled, and of what was not:\n")
    print(worlds.table(), flush=True)
    print("\nWhich rule of annual maps is wrong how often:\n")
    print(annual.accuracy(), flush=True)
    print("\nHow well a month is mapped by its own polygons, by others' and by both, in percent:\n")
    pooling.tell()
    print("\nHow often intervals of 95 % hold the truth, and how wide they are:\n")
    outcomes = intervals.measure(sampled)
    print(intervals.as_table(outcomes), flush=True)
    intervals.draw(outcomes, FOLDER / "intervals.png")
    print("\nAccuracy on held-out polygons, random forest of 50 trees:\n")
    print(study.round(3).to_string())
    print(f"\nTime against number of quads: {FOLDER / 'quads.png'}")
    print(f"Time against number of machines: {FOLDER / 'machines.png'}")
    print(f"How often intervals hold: {FOLDER / 'intervals.png'}")
    return 0


def rate_of(what: str, figures: list[Figure]) -> float:
    """Return how many pixels a second the stage's figures say of one of its jobs."""
    return found_of(f"million pixels a second, {what}", figures) * 1e6


def against_copying(seconds: dict[int, float], figures: list[Figure]) -> list[Figure]:
    """Return how long the largest month took against copying as many pixels.

    Args:
        seconds: of a month, by its number of quads.
        figures: of the stage.
    """
    quads = max(seconds)
    copying = quads * QUAD**2 / rate_of("copying", figures)
    return [
        Figure(
            f"whole month, {quads} quads, against copying as many pixels",
            f"{seconds[quads] / copying:.2f}",
            "at most 0.8",
        )
    ]


def draw(seconds: dict[int, float], figures: list[Figure], path: Path) -> None:
    """Draw the time of a month against its number of quads, beside the plain loop's and copying's.

    Args:
        seconds: of a month, by its number of quads.
        figures: of the stage; they hold the other two's pixels a second.
        path: the PNG to write.
    """
    drawing = Drawing(figsize=(7, 4.5), layout="constrained")
    axes = drawing.subplots()
    counts = sorted(seconds)
    for what in ("plain loop", "copying"):
        rate = rate_of(what, figures)
        axes.plot(counts, [count * QUAD**2 / rate / 60 for count in counts], "--", label=what)
    axes.plot(counts, [seconds[count] / 60 for count in counts], "o-", label="the whole month")
    axes.set(
        xscale="log", yscale="log", xlabel="quads of 4096 x 4096 pixels", ylabel="minutes",
        xticks=counts, xticklabels=[str(count) for count in counts],
    )  # fmt: skip
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    drawing.savefig(path, dpi=120)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
