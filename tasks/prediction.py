"""The month's map: windows predicted one by one, then assembled."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

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
from landcover.areas import measure_classes
from landcover.classes import NODATA
from landcover.cog import count_map, write_cog
from landcover.errors import LandcoverError, TransientError
from landcover.files import (
    absolute,
    code_version,
    fetch,
    gdal_path,
    publish,
    publish_all,
    scratch,
    sha256,
)
from landcover.kernels import count_codes, halve_mean
from landcover.lookup import open_predictor
from landcover.mosaic import Mosaic, check_unchanged
from landcover.prediction import predict_window as predict
from landcover.pyramid import part_of, piece_factors, write_piece
from landcover.thumbnails import Thumbnail, needs_thumbnails
from landcover.training import Model
from landcover.windows import plan_windows as plan
from landcover.windows import window_memory
from tasks.catalogue import build_companions
from tasks.month import Month
from tasks.mosaic import reading
from tasks.retries import io_task
from tasks.storage import storage

# What a core of an ordinary machine reads, looks up and writes in a second.
PIXELS_A_SECOND = 20e6

# In percent: below it, fewer than half of the trees agree.
LOW_CONFIDENCE = 50


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


@dataclass(frozen=True)
class Prediction:
    """A finished map.

    Attributes:
        path: the Cloud-Optimized GeoTIFF.
        confidence: the one of the model's confidence, 0 to 100.
        folder: where both wait, under their names, until the map is recorded.
        sha256: of the map's file.
        model: what made it.
        source_mosaic: the imagery that it was made from.
        hectares: the true area of each class, by name.
        doubtful: the share of its pixels with a confidence below `LOW_CONFIDENCE`.
        companions: what lies beside the map for other tools, and waits in the folder too.
        thumbnails: the imagery in small; none where it can be drawn from its quads.
    """

    path: UPath
    confidence: UPath
    folder: UPath
    sha256: str
    model: Model
    source_mosaic: str
    hectares: Mapping[str, float]
    doubtful: float
    companions: tuple[UPath, ...] = ()
    thumbnails: tuple[UPath, ...] = ()

    def waiting(self, final: UPath) -> UPath:
        """Return where a finished file is until it is published."""
        return self.folder / final.name


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


@io_task("assemble map", "assemble map {month}")
def assemble_map(
    month: Month, plan: Plan, pieces: list[Piece], mosaic: Mosaic, model: Model
) -> Prediction:
    """Assemble the pieces into the month's map, check it, and add up its classes.

    The map waits in the work folder until it is recorded.

    Args:
        month: whose map.
        plan: what was to be predicted.
        pieces: of its windows.
        mosaic: the imagery.
        model: what predicted.

    Raises:
        LandcoverError: if the map is not what its pieces are, if one cannot be read, or if the
            imagery was changed meanwhile.
        TransientError: if the bucket cannot be reached.
    """
    path, block = month.prediction, month.blocks.storage_block
    sure_name = month.confidence.name
    with storage(block, mosaic.origin):
        check_unchanged(mosaic)
    with storage(block, absolute(path)), scratch(plan.folder) as local:
        # Side by side: much of it is one core's work.
        with ThreadPoolExecutor() as pool:
            assembling = [
                pool.submit(_assemble, parts, plan, mosaic, model, local / name, named)
                for parts, name, named in (
                    ({piece.confidence: piece.window for piece in pieces}, sure_name, False),
                    ({piece.path: piece.window for piece in pieces}, path.name, True),
                )
            ]
            (sure, of_sure), (built, of_codes) = (assembled.result() for assembled in assembling)
        _check(of_codes, of_sure, plan, pieces)
        digest = sha256(built)
        area = shapely.from_wkb(plan.area.read_bytes())
        companions = build_companions(built, month, area, mosaic, model)
        publish_all({file: plan.folder / file.name for file in (sure, built, *companions)})
    hectares: Counter[int] = Counter()
    for piece in pieces:
        hectares.update(piece.hectares)
    get_run_logger().info("Map assembled and found to be what its windows are")
    by_name = {model.names[code]: round(area, 2) for code, area in sorted(hectares.items())}
    doubtful = of_sure[:LOW_CONFIDENCE].sum() / max(of_sure[:NODATA].sum(), 1)
    windows = plan.windows if plan.thumbnails else ()
    thumbnails = tuple(plan.thumbnail(window) for window in windows)
    return Prediction(
        path=path,
        confidence=month.confidence,
        folder=plan.folder,
        sha256=digest,
        model=model,
        source_mosaic=mosaic.origin,
        hectares=by_name,
        doubtful=float(doubtful),
        companions=tuple(path.with_name(companion.name) for companion in companions),
        thumbnails=thumbnails,
    )


def _assemble(
    pieces: Mapping[UPath, Window],
    plan: Plan,
    mosaic: Mosaic,
    model: Model,
    built: Path,
    named: bool,
) -> tuple[Path, NDArray[np.int64]]:
    """Assemble pieces into one file, of classes with their names or of numbers.

    Returns:
        The file, and how many of its pixels have each of the 256 codes or numbers.

    Raises:
        LandcoverError: if a piece cannot be read.
    """
    tags = {"source_mosaic": mosaic.origin, "model": model.path.name, "code": code_version()}
    paths = fetch(list(pieces), built.parent)
    windows = dict(zip(paths, pieces.values(), strict=True))
    names = model.names if named else None
    try:
        write_cog(windows, mosaic.grid, plan.factors, names, tags, built)
        return built, count_map(str(built))
    except RasterioIOError as error:
        raise LandcoverError(tell_loss(error)) from error


def _check(
    of_codes: NDArray[np.int64], of_sure: NDArray[np.int64], plan: Plan, pieces: list[Piece]
) -> None:
    """Make sure that a map and its confidence hold each window's pixels, and no others."""
    expected = np.sum([piece.pixels[:NODATA] for piece in pieces], axis=0, dtype=np.int64)
    found, sure = of_codes[:NODATA], of_sure[:NODATA]
    complete = sorted(piece.window.toslices() for piece in pieces) == sorted(
        window.toslices() for window in plan.windows
    )
    if not complete or not np.array_equal(found, expected) or sure.sum() != expected.sum():
        raise LandcoverError(
            f"The assembled map holds {found.sum():,} pixels where its pieces hold "
            f"{expected.sum():,}, and its confidence {sure.sum():,}, so it is not published: "
            f"remove {plan.folder} and run the month again."
        )
