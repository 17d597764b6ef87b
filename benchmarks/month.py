"""The whole month on the real area of interest, from polygons to rows."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import geopandas
from prefect.logging import disable_run_logger
from prefect.server.api.server import SubprocessASGIServer

from benchmarks.place import quads_touching, write_month
from benchmarks.report import Figure
from demo.world import World
from flows.monthly import NEEDS
from landcover.imagery.survey import Survey
from landcover.machine import cores
from landcover.model.forest import ForestSettings
from landcover.model.sampling import SamplingSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.lock import only_run
from tasks.assembly import assemble_map
from tasks.catalogue import list_maps
from tasks.coverage import measure_coverage
from tasks.mosaic import find_mosaic
from tasks.polygons import fetch_polygons
from tasks.radiometry import measure_radiometry
from tasks.records import load_classes, record_model, record_prediction
from tasks.report import write_report
from tasks.run import prepare_run
from tasks.sampling import sample_mosaic
from tasks.training import train_model
from tasks.windows import plan_windows, predict_windows

ROOT = Path(__file__).parents[1]
PEAK = Path(__file__).with_name("peak.py")
BOUNDARY = ROOT.parent / "shared" / "real" / "western_ecuador" / "boundary_900m.geojson"

YEAR, MONTH = 2025, 5


@dataclass(frozen=True)
class Run:
    """What a process took.

    Attributes:
        seconds: of wall time.
        gigabytes: of memory at its peak.
        told: what it printed.
    """

    seconds: float
    gigabytes: float
    told: str

    def of_step(self, step: str) -> float:
        """The seconds that the run says a step took."""
        found = re.search(rf"^seconds: .*\b{step} ([\d.]+)", self.told, re.MULTILINE)
        assert found, f"{step} is not in: {self.told[-500:]}"
        return float(found[1])


def measure(world: World, folder: Path) -> tuple[list[Figure], dict[int, Run]]:
    """Measure months of all quads of the area of interest, and of fewer.

    Args:
        world: the demo's.
        folder: where imagery and results go.

    Returns:
        The figures, and the months by their number of quads.
    """
    area = geopandas.read_file(BOUNDARY).to_crs("EPSG:3857").geometry.union_all()
    every = quads_touching(area)
    middle = sorted(every, key=lambda name: abs(name[1] - every[len(every) // 2][1]))
    runs = {}
    with SubprocessASGIServer() as server:
        for count in (16, 64, len(every)):
            place = folder / f"{count}"
            write_month(place, world, middle[:count], area)
            # Of fewer quads than the area needs, the others are gaps.
            runs[count] = run([*command("monthly"), "--allow_gaps"], place, server.api_url)
        bare = run([sys.executable, "-m", "benchmarks.month"], place, server.api_url)
    starting = run([sys.executable, "-c", "import prefect.main"], place, "")
    whole, few = runs[len(every)], runs[16]
    share = (whole.seconds - bare.seconds + starting.seconds) / whole.seconds
    figures = [
        Figure(
            f"whole month, {len(every)} quads, minutes", f"{whole.seconds / 60:.1f}", "at most 6"
        ),
        Figure("its peak memory, GB", f"{whole.gigabytes:.2f}", "at most 1.2"),
        Figure("peak memory of 16 quads, GB", f"{few.gigabytes:.2f}", "at most 1.2"),
        Figure("Prefect's share of the whole month", f"{share:.1%}", "at most 5 %"),
        Figure(
            "the report's share of the whole month",
            f"{whole.of_step('report') / whole.seconds:.1%}",
        ),
    ]
    return figures, runs


def command(flow: str) -> list[object]:
    """Return the words that run a flow on the month."""
    words = [sys.executable, ROOT / "flows" / f"{flow}.py"]
    return [*words, "--year", f"{YEAR}", "--month", f"{MONTH}"]


def run(
    words: Sequence[object], folder: Path, api: str, more: Mapping[str, str] | None = None
) -> Run:
    """Run a command with the settings of a month's folder.

    Args:
        words: of the command.
        folder: of imagery and polygons, where it is run.
        api: the address of a Prefect server; none for a command that needs none.
        more: settings that are otherwise.
    """
    settings = {
        "AOI_DEFINITION": BOUNDARY,
        "PLANET_MOSAIC_DIR": folder.absolute() / "quads",
        "MOSAIC_PATTERN": "*.vrt",
        "TRAINING_POLYGON_TABLE": folder.absolute() / "polygons.gpkg",
        "TRAINING_POLYGON_CLASS_COL": "class_label",
        "TRAINING_POLYGON_ID_COL": "id",
        **(more or {}),
    }
    environment = os.environ | {name: str(value) for name, value in settings.items()}
    log, peak = folder.absolute() / "log", folder.absolute() / "peak"
    started = time.monotonic()
    with log.open("w") as output:
        process = subprocess.run(
            [sys.executable, PEAK, peak, *map(str, words)],
            cwd=folder,
            env=environment | ({"PREFECT_API_URL": api} if api else {}),
            stdout=output,
            stderr=output,
            check=False,
        )
    if process.returncode:
        raise RuntimeError(f"{words} failed: {log.read_text()[-2000:]}")
    return Run(time.monotonic() - started, int(peak.read_text()) / 1e9, log.read_text())


def month_without_prefect() -> None:
    """Do what the month's flow does, with the bare functions of its tasks."""
    blocks = Blocks(database_block=None, storage_block=None)
    run = prepare_run(Period(YEAR, MONTH), blocks, NEEDS)
    classes = load_classes.fn(run)
    mosaic = find_mosaic.fn(run, None)
    coverage = measure_coverage.fn(run, mosaic, allow_gaps=False)
    polygons = fetch_polygons.fn(run)
    samples = sample_mosaic.fn(run, mosaic, polygons, SamplingSettings())
    radiometry = measure_radiometry.fn(run, mosaic, [samples])
    training = train_model.fn(run, [samples], ForestSettings(), classes)
    with only_run(run.period, None):
        model_id = record_model.fn(run, training, {})
    plan = plan_windows.fn(run, mosaic, training.model)
    with ThreadPoolExecutor(cores()) as pool:
        done = pool.map(
            lambda window: predict_windows.fn([window], run, plan, mosaic, training.model),
            plan.windows,
        )
        pieces = [piece for (piece,) in done]
    finished = assemble_map.fn(run, plan, pieces, mosaic, training.model)
    survey = Survey(mosaic, coverage, radiometry)
    write_report.fn(run, survey, finished, polygons, training, {})
    with only_run(run.period, None):
        record_prediction.fn(run, survey, training, finished, model_id, {})
    list_maps.fn(run)


if __name__ == "__main__":
    with disable_run_logger():
        month_without_prefect()
