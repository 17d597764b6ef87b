"""The prediction stage against copying, and against the plain forest."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median

import geopandas
import rasterio
import shapely
from rasterio.windows import Window
from sklearn.pipeline import Pipeline
from upath import UPath

from benchmarks.copying import WORKERS, copy
from benchmarks.imagery import QUAD, Values, realistic, scattered, with_four_more, write_quad
from benchmarks.report import Figure
from demo.world import World
from landcover.classes import FIXED_CODES, assign_codes
from landcover.files import sha256
from landcover.imagery.doubts import Inspection
from landcover.imagery.mosaic import Mosaic, mosaic_of
from landcover.maps.assembly import assemble_layer
from landcover.maps.layers import Layer, prediction_layers
from landcover.maps.lookup import Lookup, Predictor
from landcover.maps.pieces import Plan, measure_piece, piece_factors, write_piece
from landcover.maps.prediction import predict_window
from landcover.maps.tables import Table
from landcover.model.forest import ForestSettings, fit
from landcover.model.sampling import SamplingSettings, sample_polygons
from landcover.period import Period
from landcover.version import code_version
from landcover.windows import plan_windows

REPEATS = 3
BANDS = {"blue": 1, "green": 2, "red": 3, "nir": 4}
EIGHT = {**BANDS, "edge1": 5, "edge2": 6, "other1": 7, "other2": 8}
NAMES = {code: name for name, code in FIXED_CODES.items()}
PROBES = [Window(0, 0, 1024, 512), Window(2048, 2048, 1024, 512)]


def four_quads(folder: Path, make: Callable[[int], Values], bands: Mapping[str, int]) -> Mosaic:
    """Write a mosaic of 2 x 2 quads.

    Args:
        folder: where they go.
        make: gives the values of a quad by its number.
        bands: their names and numbers.
    """
    quads = [
        write_quad(folder / f"{number}.tif", make(number), number % 2, number // 2)
        for number in range(4)
    ]
    return mosaic_of(quads, bands, folder / "quads.parquet")


def train(world: World, folder: Path) -> Pipeline:
    """Return a forest of the default settings, trained on the demo's first month."""
    return train_on(mosaic_of(demo_quads(world), BANDS, folder / "demo.parquet"), world)


def train_on_eight(world: World, folder: Path) -> Pipeline:
    """Return the same of eight bands, those of `with_four_more`."""
    quads = []
    for number, path in enumerate(demo_quads(world)):
        with rasterio.open(path) as quad:
            values, profile, colours = quad.read(), quad.profile, quad.colorinterp
        more = with_four_more(values, number)
        with rasterio.open(folder / path.name, "w", **{**profile, "count": len(more)}) as wider:
            wider.write(more)
            wider.colorinterp = [*colours[:4], *colours[1:4], colours[1], colours[4]]
        quads.append(folder / path.name)
    return train_on(mosaic_of(quads, EIGHT, folder / "demo-eight.parquet"), world)


def demo_quads(world: World) -> list[Path]:
    """Return the quads of the demo's first month."""
    month = world.months[0]
    return sorted((world.mosaic_dir / f"{month.year}" / f"{month.month:02d}").glob("*.tif"))


def train_on(mosaic: Mosaic, world: World) -> Pipeline:
    """Return a forest of the default settings, trained on a mosaic of the demo's first month."""
    month = world.months[0]
    polygons = geopandas.read_file(world.polygons)
    polygons = polygons[polygons["month"] == str(month)].rename(columns={"id": "polygon_id"})
    samples = sample_polygons(mosaic, polygons, SamplingSettings()).rows
    codes = samples["class_label"].map(assign_codes(samples["class_label"], {}))
    return fit(samples, list(mosaic.bands), codes, ForestSettings()).set_params(forest__n_jobs=1)


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
        code=code_version(),
    )

    def piece(window: Window) -> None:
        inspection = Inspection.of(mosaic)
        values = predict_window(
            mosaic, predictor, list(mosaic.bands), area, window, inspection=inspection
        )
        part = mosaic.grid.part(window)
        made = measure_piece(window, plan.pieces(window), values[0], part, inspection.found)
        for layer, those in zip(plan.layers, values, strict=False):
            built = Path(str(made.files[layer.key]))
            write_piece(layer, those, part, plan.factors, built, made.tags)

    def assemble(layer: Layer) -> Path:
        pieces = {Path(str(plan.piece(layer, window))): window for window in windows}
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
            values, valid, _ = reader.read(list(mosaic.bands.values()), window)
            forest.predict(values[:, valid].T)
            pixels += window.width * window.height
    return (time.perf_counter() - started) / pixels


def seconds(job: Callable[[], object]) -> float:
    """Return how long a job takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def measure(world: World, folder: Path) -> list[Figure]:
    """Measure the stage on the demo's landscape of four and of eight bands, and on the worst case.

    Args:
        world: the demo's.
        folder: where quads and maps go.
    """
    model = train(world, folder)
    return [
        *_measure_realistic(world, model, folder),
        *_measure_eight_bands(world, folder),
        *_measure_worst(model, folder),
    ]


def _measure_realistic(world: World, model: Pipeline, folder: Path) -> list[Figure]:
    mosaic = four_quads(folder / "realistic", partial(realistic, world), BANDS)
    took = run_in_turn(mosaic, model, folder, REPEATS)
    pixels = 4 * QUAD * QUAD
    loop = pixels * plain_loop(mosaic, model)
    copying, cold, warm = took["copying"], took["cold"], took["warm"]
    kind = "(realistic statistics)"
    return [
        Figure(f"4 quads, table warm, against copying {kind}", f"{warm / copying:.2f}",
               "at most 1.0"),
        Figure(f"4 quads, table cold, against copying {kind}", f"{cold / copying:.2f}",
               "at most 1.3"),
        Figure("the same, warm, without writing a confidence map",
               f"{took['bare'] / copying:.2f}"),
        Figure("4 quads, plain loop against table warm", f"{loop / warm:.0f}", "at least 100"),
        Figure("4 quads, plain loop against table cold", f"{loop / cold:.0f}"),
        Figure("million pixels a second, copying", f"{pixels / copying / 1e6:.0f}"),
        Figure("million pixels a second, table warm", f"{pixels / warm / 1e6:.0f}"),
        Figure("million pixels a second, plain loop", f"{pixels / loop / 1e6:.2f}"),
    ]  # fmt: skip


def _measure_eight_bands(world: World, folder: Path) -> list[Figure]:
    mosaic = four_quads(
        folder / "eight", lambda number: with_four_more(realistic(world, number), number), EIGHT
    )
    model = train_on_eight(world, folder)
    took = run_in_turn(mosaic, model, folder, 1)
    loop = 4 * QUAD * QUAD * plain_loop(mosaic, model)
    return [
        Figure("4 quads of 8 bands, table warm, against copying",
               f"{took['warm'] / took['copying']:.2f}", "at most 1.3"),
        Figure("4 quads of 8 bands, table cold, against copying",
               f"{took['cold'] / took['copying']:.2f}", "at most 4"),
        Figure("4 quads of 8 bands, plain loop against table cold",
               f"{loop / took['cold']:.0f}", "at least 50"),
        Figure("pixels of 8 bands a cell", f"{4 * QUAD * QUAD / took['cells']:.0f}"),
    ]  # fmt: skip


def _measure_worst(model: Pipeline, folder: Path) -> list[Figure]:
    took = run_in_turn(four_quads(folder / "scattered", scattered, BANDS), model, folder, 1)
    return [
        Figure(f"4 quads, table {state}, against copying (worst case)",
               f"{took[state] / took['copying']:.2f}", aim)
        for state, aim in (("warm", ""), ("cold", "at most 4"))
    ]  # fmt: skip


def run_in_turn(mosaic: Mosaic, model: Pipeline, folder: Path, repeats: int) -> dict[str, float]:
    """Return median seconds of copying and of the stage, and how many cells were met.

    Returns:
        copying; cold and warm; bare, warm without a confidence map; cells.
    """
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        table = Table()
        predictor = Lookup(model, table)
        jobs = {
            "copying": partial(copy, mosaic, folder),
            "cold": partial(predict, mosaic, predictor, folder),
            "warm": partial(predict, mosaic, predictor, folder),
            "bare": partial(predict, mosaic, predictor, folder, confidence=False),
        }
        for name, job in jobs.items():
            took[name].append(seconds(job))
        took["cells"].append(len(table))
    return {name: median(all_of_it) for name, all_of_it in took.items()}
