"""The month's map: windows predicted one by one, then assembled."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from upath import UPath

from landcover.aoi import load_aoi
from landcover.errors import LandcoverError, TransientError
from landcover.files import (
    absolute,
    publish,
    publish_all,
    scratch,
)
from landcover.imagery.images import gdal_path
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.thumbnails import Thumbnail, needs_thumbnails
from landcover.maps.kernels import count_codes, halve_mean
from landcover.maps.lookup import open_predictor
from landcover.maps.measure import count_map, measure_classes
from landcover.maps.pieces import part_of, piece_factors, write_piece
from landcover.maps.prediction import predict_window as predict
from landcover.maps.sieve import sieve_window as sieve
from landcover.model.forest import Model
from landcover.version import code_version
from landcover.windows import plan_windows as plan
from landcover.windows import window_memory
from tasks.access.storage import storage
from tasks.mosaic import reading
from tasks.retries import io_task
from tasks.run import Month

# What a core of an ordinary machine reads, looks up and writes in a second.
PIXELS_A_SECOND = 20e6


@dataclass(frozen=True)
class Plan:
    """What is to be predicted, and where the work is kept.

    Attributes:
        folder: holds the area and the pieces; named after all that the pieces depend on, so that
            a run that was cut short is taken up only by one that would make the same pieces.
        windows: the parts of the mosaic that touch the area of interest.
        factors: by how much each overview of a piece is coarser.
        thumbnails: whether the report needs the imagery in small.
    """

    folder: UPath
    windows: tuple[Window, ...]
    factors: tuple[int, ...]
    thumbnails: bool

    @property
    def area(self) -> UPath:
        """The area of interest in the mosaic's CRS, as WKB."""
        return self.folder / "area.wkb"

    def piece(self, window: Window) -> UPath:
        """The file of a window's piece."""
        return self.folder / f"piece_{window.col_off}_{window.row_off}.tif"

    def sieved(self, window: Window, smallest: int) -> UPath:
        """The file of a window's piece without patches of fewer pixels."""
        return self.folder / f"sieved{smallest}_{window.col_off}_{window.row_off}.tif"

    def confidence(self, window: Window) -> UPath:
        """The file of the confidence in a window's piece."""
        return self.folder / f"confidence_{window.col_off}_{window.row_off}.tif"

    def thumbnail(self, window: Window) -> UPath:
        """The file of the imagery of a window in small."""
        return self.folder / f"thumbnail_{window.col_off}_{window.row_off}.tif"


@dataclass(frozen=True)
class Piece:
    """The map of a window.

    Attributes:
        path: the GeoTIFF of class codes.
        confidence: the GeoTIFF of the model's confidence.
        window: which pixels of the mosaic they cover.
        hectares: the true area of each class code.
        pixels: of each of the 256 codes.
    """

    path: UPath
    confidence: UPath
    window: Window
    hectares: Mapping[int, float]
    pixels: tuple[int, ...]


@io_task("plan windows", "plan windows {month}")
def plan_windows(month: Month, mosaic: Mosaic, aoi_definition: str, model: Model) -> Plan:
    """Decide which windows of the mosaic are predicted.

    Args:
        month: whose map.
        mosaic: the imagery.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        model: what will predict.

    Raises:
        LandcoverError: if the mosaic lacks a band that the model reads.
        TransientError: if the bucket cannot be reached, or the imagery not be opened.
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
    with storage(month.blocks.storage_block, mosaic.origin), reading(mosaic, "to draw it"):
        small = needs_thumbnails(mosaic, area)
    parts = [mosaic.fingerprint, area.wkb_hex, model.sha256, code_version(), str(size), str(small)]
    fingerprint = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    folder = month.work / fingerprint
    planned = Plan(folder, tuple(windows), tuple(piece_factors(mosaic.grid, size)), small)
    with (
        storage(month.blocks.storage_block, absolute(folder)),
        scratch(month.work) as local,
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
    path, sure = plan.piece(window), plan.confidence(window)
    where = f"at column {window.col_off}, row {window.row_off}"
    with storage(month.blocks.storage_block, absolute(path)):
        if made := take_up(path, lambda: _read_piece(window, plan)):
            return made
        area = shapely.from_wkb(plan.area.read_bytes())
        predictor = open_predictor(model.path, model.sha256)
        with reading(mosaic, where), scratch(plan.folder) as local:
            thumbnail = Thumbnail(window, model.bands) if plan.thumbnails else None
            codes, confidence = predict(mosaic, predictor, model.bands, area, window, thumbnail)
            grid, factors = part_of(mosaic.grid, window), list(plan.factors)
            write_piece(confidence, grid, factors, local / sure.name, halve_mean)
            write_piece(codes, grid, factors, local / path.name)
            piece = describe_piece(window, path, sure, str(local / path.name))
            _check_written(piece, codes)
            # The piece last: where it is, the others are too.
            if thumbnail is not None:
                small = plan.thumbnail(window)
                thumbnail.write(mosaic.grid, local / small.name)
                publish(local / small.name, small)
            publish_all({local / sure.name: sure, local / path.name: path})
    return piece


def take_up(path: UPath, read: Callable[[], Piece]) -> Piece | None:
    """Return the piece of an earlier run; none where there is none, or none that is whole.

    Args:
        path: where it would be.
        read: reads it; raises RasterioIOError where it is not whole.
    """
    if not path.exists():
        return None
    try:
        return read()
    except RasterioIOError as error:
        get_run_logger().warning("%s cannot be read (%s), so it is made anew", path, error)
        return None


def _read_piece(window: Window, plan: Plan) -> Piece:
    """Return the piece of an earlier run.

    Raises:
        RasterioIOError: if one of its files is not whole.
    """
    count_map(gdal_path(plan.confidence(window)))
    if plan.thumbnails:
        with rasterio.open(gdal_path(plan.thumbnail(window))) as small:
            small.read()
    path = plan.piece(window)
    return describe_piece(window, path, plan.confidence(window), gdal_path(path))


def _check_written(piece: Piece, codes: NDArray[np.uint8]) -> None:
    """Make sure that a piece holds what was predicted: a write that failed may leave a hole."""
    if not np.array_equal(piece.pixels, count_codes(codes)):
        raise TransientError(
            f"The piece {piece.path} does not hold what was predicted: check the disk of WORK_DIR."
        )


def describe_piece(window: Window, path: UPath, sure: UPath, codes: str) -> Piece:
    """Return a piece, by reading what was written of it.

    Args:
        window: which pixels of the mosaic.
        path: of its class codes.
        sure: of its confidence.
        codes: what GDAL opens to read the class codes.
    """
    counts, hectares = measure_classes(codes)
    return Piece(
        path=path,
        confidence=sure,
        window=window,
        hectares=hectares,
        pixels=tuple(int(count) for count in counts),
    )


def tell_loss(error: RasterioIOError) -> str:
    """Say that a piece cannot be read, although it was finished.

    Args:
        error: names its file.
    """
    return (
        f"The map of a window cannot be read any more ({error}): check the disk of WORK_DIR and "
        "run the month again, which makes it anew."
    )


def _sieved_name() -> str:
    window = task_run.parameters["window"]
    return f"sieve {window.col_off}-{window.row_off}"


@io_task("sieve window", _sieved_name)
def sieve_window(window: Window, month: Month, plan: Plan, mosaic: Mosaic, smallest: int) -> Piece:
    """Sieve a window once all are predicted, unless an earlier run of the same work already did.

    Args:
        window: which pixels of the mosaic.
        month: whose map.
        plan: where its pieces are.
        mosaic: the imagery.
        smallest: pixels of the smallest patch to keep.

    Raises:
        TransientError: if the window or one beside it cannot be read.
    """
    path, sure = plan.sieved(window, smallest), plan.confidence(window)
    with storage(month.blocks.storage_block, absolute(path)):
        if made := take_up(path, lambda: describe_piece(window, path, sure, gdal_path(path))):
            return made
        with scratch(plan.folder) as local:
            pieces = {there: gdal_path(plan.piece(there)) for there in plan.windows}
            try:
                codes = sieve(pieces, window, smallest)
            except RasterioIOError as error:
                raise TransientError(tell_loss(error)) from error
            built = local / path.name
            write_piece(codes, part_of(mosaic.grid, window), list(plan.factors), built)
            piece = describe_piece(window, path, sure, str(built))
            publish(built, path)
    return piece
