"""The prediction stage against copying, and against the plain forest."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median

import geopandas
import shapely
from rasterio.windows import Window
from sklearn.pipeline import Pipeline
from upath import UPath

from benchmarks.copying import BANDS, WORKERS, copy
from benchmarks.imagery import QUAD, realistic, scattered, write_quad
from benchmarks.report import Figure
from demo.world import World
from landcover.classes import FIXED_CODES, assign_codes
from landcover.files import sha256
from landcover.imagery.doubts import Inspection
from landcover.imagery.mosaic import Mosaic, mosaic_of
from landcover.maps.assembly import assemble_layer
from landcover.maps.layers import Layer, prediction_layers
from landcover.maps.lookup import Lookup, Predictor
from landcover.maps.measure import measure_classes
from landcover.maps.pieces import Plan, piece_factors, write_piece
from landcover.maps.prediction import predict_window
from landcover.model.forest import ForestSettings, fit
from landcover.model.sampling import SamplingSettings, sample_polygons
from landcover.period import Period
from landcover.windows import plan_windows

REPEATS = 3
NAMES = {code: name for name, code in FIXED_CODES.items()}
PROBES = [Window(0, 0, 1024, 512), Window(2048, 2048, 1024, 512)]


def four_quads(folder: Path, world: World | None) -> Mosaic:
    """Write a mosaic of 2 x 2 quads: the demo's landscape, or without one, random values."""
    quads = [
        write_quad(
            folder / f"{number}.tif",
            realistic(world, number) if world else scattered(number),
            number % 2,
            number // 2,
        )
        for number in range(4)
    ]
    return mosaic_of(quads, BANDS, folder / "quads.parquet")


def train(world: World, folder: Path) -> Pipeline:
    """Return a forest of the default settings, trained on the demo's first month."""
    month = world.months[0]
    quads = sorted((world.mosaic_dir / f"{month.year}" / f"{month.month:02d}").glob("*.tif"))
    mosaic = mosaic_of(quads, BANDS, folder / "demo.parquet")
    polygons = geopandas.read_file(world.polygons)
    polygons = polygons[polygons["month"] == str(month)].rename(columns={"id": "polygon_id"})
    samples = sample_polygons(mosaic, polygons, SamplingSettings()).rows
    codes = samples["class_label"].map(assign_codes(samples["class_label"], {}))
    return fit(samples, list(BANDS), codes, ForestSettings()).set_params(forest__n_jobs=1)


def predict(mosaic: Mosaic, predictor: Predictor, folder: Path, *, confidence: bool = True) -> Path:
    """Run the prediction stage: windows side by side, then the maps, counted and hashed."""
    area = shapely.box(*mosaic.grid.bounds)
    size, windows = plan_windows(mosaic.grid, area, WORKERS)

    plan = Plan(
        folder=UPath(folder),
        grid=mosaic.grid,
        windows=tuple(windows),
        factors=tuple(piece_factors(mosaic.grid, size)),
        layers=prediction_layers(Period(2025, 6), NAMES)[: 1 + confidence],
        thumbnails=None,
    )

    def piece(window: Window) -> None:
        inspection = Inspection.of(mosaic)
        values = predict_window(mosaic, predictor, list(BANDS), area, window, inspection=inspection)
        part = mosaic.grid.part(window)
        for layer, those in zip(plan.layers, values, strict=False):
            built = Path(plan.piece(layer, window))
            write_piece(layer, those, part, plan.factors, built, inspection.found)
        measure_classes(str(plan.piece(plan.classes, window)))

    def assemble(layer: Layer) -> Path:
        pieces = {Path(plan.piece(layer, window)): window for window in windows}
        built, _ = assemble_layer(layer, pieces, plan, {}, folder)
        return built

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(piece, windows))
        built, *_ = pool.map(assemble, plan.layers)
    sha256(built)
    return built


def plain_loop(mosaic: Mosaic, model: Pipeline) -> float:
    """Return the seconds a pixel takes where the forest is asked for each, on all cores.

    Measured on two windows: on all of them it would take minutes.
    """
    forest = deepcopy(model).set_params(forest__n_jobs=-1)
    started, pixels = time.perf_counter(), 0
    with mosaic.open() as reader:
        for window in PROBES:
            values, valid, _ = reader.read(list(BANDS.values()), window)
            forest.predict(values[:, valid].T)
            pixels += window.width * window.height
    return (time.perf_counter() - started) / pixels


def seconds(job: Callable[[], object]) -> float:
    """Return how long a job takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def measure(world: World, folder: Path) -> list[Figure]:
    """Measure the stage on the demo's landscape, and on the worst case.

    Args:
        world: the demo's.
        folder: where quads and maps go.
    """
    model = train(world, folder)
    figures = []
    for kind, mosaic in {
        "realistic statistics": four_quads(folder / "realistic", world),
        "worst case": four_quads(folder / "scattered", None),
    }.items():
        real = kind == "realistic statistics"
        copying, cold, warm, bare = run_in_turn(mosaic, model, folder, REPEATS if real else 1)
        figures += [
            Figure(f"4 quads, table warm, against copying ({kind})", f"{warm / copying:.2f}",
                   "at most 1.5" if real else ""),
            Figure(f"4 quads, table cold, against copying ({kind})", f"{cold / copying:.2f}",
                   "at most 3" if real else ""),
        ]  # fmt: skip
        if real:
            pixels = 4 * QUAD * QUAD
            loop = pixels * plain_loop(mosaic, model)
            figures += [
                Figure("the same, warm, without writing a confidence map", f"{bare / copying:.2f}"),
                Figure(
                    "4 quads, plain loop against table warm", f"{loop / warm:.0f}", "at least 100"
                ),
                Figure("4 quads, plain loop against table cold", f"{loop / cold:.0f}"),
                Figure("million pixels a second, copying", f"{pixels / copying / 1e6:.0f}"),
                Figure("million pixels a second, table warm", f"{pixels / warm / 1e6:.0f}"),
                Figure("million pixels a second, plain loop", f"{pixels / loop / 1e6:.2f}"),
            ]
    return figures


def run_in_turn(
    mosaic: Mosaic, model: Pipeline, folder: Path, repeats: int
) -> tuple[float, float, float, float]:
    """Return median seconds: copying, the stage cold, warm, and warm without a confidence map."""
    copying, cold, warm, bare = [], [], [], []
    for _ in range(repeats):
        table = Lookup(model)
        copying.append(seconds(lambda: copy(mosaic, folder)))
        cold.append(seconds(partial(predict, mosaic, table, folder)))
        warm.append(seconds(partial(predict, mosaic, table, folder)))
        bare.append(seconds(partial(predict, mosaic, table, folder, confidence=False)))
    return median(copying), median(cold), median(warm), median(bare)
