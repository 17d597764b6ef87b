"""The month's map: windows predicted one by one, then assembled."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import shapely
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from rasterio.windows import Window
from upath import UPath

from landcover.aoi import load_aoi
from landcover.areas import class_hectares
from landcover.cog import write_cog
from landcover.errors import LandcoverError
from landcover.files import (
    absolute,
    code_version,
    fetch,
    gdal_path,
    publish,
    remove_folder,
    scratch,
    sha256,
)
from landcover.lookup import open_predictor
from landcover.mosaic import Mosaic
from landcover.prediction import predict_window as predict
from landcover.pyramid import overview_factors, part_of, write_piece
from landcover.training import Model
from landcover.windows import plan_windows as plan
from landcover.windows import window_memory
from tasks.catalogue import publish_companions
from tasks.month import Month
from tasks.mosaic import reading
from tasks.retries import io_task
from tasks.storage import storage

# What a core of an ordinary machine reads, looks up and writes in a second.
PIXELS_A_SECOND = 20e6


@dataclass(frozen=True)
class Plan:
    """What is to be predicted, and where the work is kept.

    Attributes:
        folder: holds the area and the pieces; named after all that the pieces depend on, so that
            a run that was cut short is taken up only by one that would make the same pieces.
        windows: the parts of the mosaic that touch the area of interest.
        factors: by how much each overview of the map is coarser.
    """

    folder: UPath
    windows: tuple[Window, ...]
    factors: tuple[int, ...]

    @property
    def area(self) -> UPath:
        """The area of interest in the mosaic's CRS, as WKB."""
        return self.folder / "area.wkb"

    def piece(self, window: Window) -> UPath:
        """The file of a window's piece."""
        return self.folder / f"piece_{window.col_off}_{window.row_off}.tif"


@dataclass(frozen=True)
class Piece:
    """The map of a window.

    Attributes:
        path: the GeoTIFF.
        window: which pixels of the mosaic it covers.
        hectares: the true area of each class code.
    """

    path: UPath
    window: Window
    hectares: Mapping[int, float]


@dataclass(frozen=True)
class Prediction:
    """A finished map.

    Attributes:
        path: the Cloud-Optimized GeoTIFF.
        sha256: of the file.
        hectares: the true area of each class, by name.
    """

    path: UPath
    sha256: str
    hectares: Mapping[str, float]


@task(name="plan windows", task_run_name="plan windows {month}", cache_policy=NO_CACHE)
def plan_windows(month: Month, mosaic: Mosaic, aoi_definition: str, model: Model) -> Plan:
    """Decide which windows of the mosaic are predicted.

    Args:
        month: whose map.
        mosaic: the imagery.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        model: what will predict.

    Raises:
        LandcoverError: if the mosaic lacks a band that the model reads.
    """
    area = load_aoi(aoi_definition).to_crs(mosaic.grid.crs).iloc[0]
    workers = os.cpu_count() or 1
    size, windows = plan(mosaic.grid, area, workers)
    missing = [name for name in model.bands if name not in mosaic.bands]
    if missing:
        raise LandcoverError(
            f"The model {model.path.name} reads the bands {', '.join(model.bands)}, but "
            f"MOSAIC_BANDS has no {', '.join(missing)}: use the bands that it was trained on."
        )
    parts = [mosaic.fingerprint, area.wkb_hex, model.sha256, code_version(), str(size)]
    fingerprint = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    folder = month.pieces / fingerprint
    planned = Plan(folder, tuple(windows), tuple(overview_factors(mosaic.grid, size)))
    with (
        storage(month.blocks.storage_block, absolute(folder)),
        scratch(month.folders.work_dir) as local,
    ):
        built = local / planned.area.name
        built.write_bytes(shapely.to_wkb(area))
        folder.mkdir(parents=True, exist_ok=True)
        publish(built, planned.area)
    get_run_logger().info(
        "%d windows of %d x %d pixels touch the area of interest: about %.0f s and %.1f GB of "
        "memory on %d cores",
        len(windows),
        size,
        size,
        sum(window.width * window.height for window in windows) / PIXELS_A_SECOND / workers,
        workers * window_memory(size, len(model.bands) + 1) / 1e9,
        workers,
    )
    return planned


def _window_name() -> str:
    window = task_run.parameters["window"]
    return f"predict {window.col_off}-{window.row_off}"


@io_task("predict window", _window_name)
def predict_window(window: Window, month: Month, plan: Plan, mosaic: Mosaic, model: Model) -> Piece:
    """Predict a window, unless an earlier run of the same work already did.

    Args:
        window: which pixels of the mosaic.
        month: whose map.
        plan: where its piece goes.
        mosaic: the imagery.
        model: what predicts.

    Raises:
        TransientError: if the imagery cannot be read.
        LandcoverError: if the model file is not the recorded one.
    """
    path = plan.piece(window)
    where = f"at column {window.col_off}, row {window.row_off}"
    with storage(month.blocks.storage_block, absolute(path)):
        if path.exists():
            return Piece(path, window, class_hectares(gdal_path(path)))
        area = shapely.from_wkb(plan.area.read_bytes())
        predictor = open_predictor(model.path, model.sha256)
        with reading(mosaic, where), scratch(plan.folder) as local:
            codes = predict(mosaic, predictor, model.bands, area, window)
            built = local / path.name
            write_piece(codes, part_of(mosaic.grid, window), list(plan.factors), built)
            hectares = class_hectares(str(built))
            publish(built, path)
    return Piece(path, window, hectares)


@io_task("assemble map", "assemble map {month}")
def assemble_map(
    month: Month, plan: Plan, pieces: list[Piece], mosaic: Mosaic, model: Model
) -> Prediction:
    """Assemble the pieces into the month's map, publish it, and add up its classes.

    Args:
        month: whose map.
        plan: what was to be predicted.
        pieces: of its windows.
        mosaic: the imagery.
        model: what predicted.
    """
    path, block = month.prediction, month.blocks.storage_block
    tags = {"source_mosaic": mosaic.origin, "model": model.path.name, "code": code_version()}
    with storage(block, absolute(path)), scratch(plan.folder) as local:
        paths = fetch([piece.path for piece in pieces], local)
        windows = dict(zip(paths, [piece.window for piece in pieces], strict=True))
        built = local / path.name
        write_cog(windows, mosaic.grid, list(plan.factors), model.names, tags, built)
        digest = sha256(built)
        # The map last: what describes it is there when it appears.
        area = shapely.from_wkb(plan.area.read_bytes())
        publish_companions(built, month, area, mosaic, model)
        publish(built, path)
    with storage(block, absolute(plan.folder)):
        remove_folder(month.pieces)
    hectares: Counter[int] = Counter()
    for piece in pieces:
        hectares.update(piece.hectares)
    get_run_logger().info("Map written to %s", path)
    by_name = {model.names[code]: round(area, 2) for code, area in sorted(hectares.items())}
    return Prediction(path, digest, by_name)
