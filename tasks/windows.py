"""The windows of a month's map: planned, predicted and sieved, some in each task."""

import hashlib
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from prefect.logging import get_run_logger
from prefect.runtime import task_run
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from upath import UPath

from landcover.errors import LandcoverError, TransientError
from landcover.files import scratch
from landcover.imagery.coverage import part_with_imagery
from landcover.imagery.doubts import Inspection
from landcover.imagery.images import gdal_path
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.thumbnails import Thumbnail, thumbnail_factor
from landcover.maps.layers import prediction_layers
from landcover.maps.pieces import (
    Piece,
    Plan,
    measure_piece,
    piece_factors,
    read_doubts,
    read_finished,
    read_piece,
    read_sieved,
    write_piece,
)
from landcover.maps.prediction import predict_window as predict
from landcover.maps.sieve import sieve_window as sieve
from landcover.model.forest import Model
from landcover.publishing import publish, publish_all
from landcover.version import code_version
from landcover.windows import largest_window, window_memory
from landcover.windows import plan_windows as plan_sizes
from tasks.cluster import Cluster, this_process
from tasks.retries import io_task
from tasks.run import Run

if TYPE_CHECKING:
    from landcover.maps.lookup import Predictor


@io_task("plan windows", "plan windows {run}")
def plan_windows(run: Run, mosaic: Mosaic, model: Model, cluster: Cluster | None = None) -> Plan:
    """Decide which windows of the mosaic are predicted.

    Args:
        run: whose map.
        mosaic: the imagery.
        model: what will predict.
        cluster: whose workers will; this process if left out.

    Raises:
        LandcoverError: if the mosaic lacks a band that the model reads, or the model file is not
            the recorded one.
        TransientError: if the bucket cannot be reached, or the imagery cannot be opened.
    """
    missing = [name for name in model.bands if name not in mosaic.bands]
    if missing:
        raise LandcoverError(
            f"The model {model.path.name} reads the bands {', '.join(model.bands)}, but neither "
            f"MOSAIC_BANDS nor STATIC_BANDS has {', '.join(missing)}: use the bands that it was "
            "trained on."
        )
    area = run.area(mosaic.grid.crs)
    cluster = cluster or this_process()
    workers, bands = cluster.at_once, len(model.bands) + 1
    with run.storage(mosaic.index):
        itemsize = mosaic.itemsize(model.bands)
    with run.storage(model.path):
        predictor = _predictor_of(model)
    # Where gaps are allowed, the area may be far larger than its imagery.
    with run.storage(mosaic.origin):
        seen = part_with_imagery(mosaic, area)
    speed, answers = predictor.pixels_a_second, predictor.memory(cluster.threads)
    memory_of = partial(window_memory, bands=bands, itemsize=itemsize)
    size, windows = plan_sizes(
        mosaic.grid,
        seen,
        workers,
        cluster.processes * (cluster.memory - answers),
        largest_window(speed),
        memory_of,
    )
    with run.imagery(mosaic, "to draw it"):
        thumbnails = thumbnail_factor(mosaic, area)
    parts = [mosaic.fingerprint, area.wkb_hex, model.sha256, code_version()]
    fingerprint = hashlib.sha256(" ".join([*parts, str(size), str(thumbnails)]).encode())
    get_run_logger().info(
        "%d windows of %d x %d pixels touch the area of interest: about %.0f s and at most %.1f GB "
        "of memory on %d cores",
        len(windows),
        size,
        size,
        sum(window.width * window.height for window in windows) / speed / workers,
        (cluster.processes * answers + workers * memory_of(size)) / 1e9,
        workers,
    )
    return Plan(
        folder=run.files.work / fingerprint.hexdigest()[:16],
        grid=mosaic.grid,
        windows=tuple(windows),
        factors=tuple(piece_factors(mosaic.grid, size)),
        layers=prediction_layers(run.period, model.names),
        thumbnails=thumbnails,
        code=code_version(),
    )


def name_windows(doing: str) -> str:
    """Return the name of a task run for some windows, such as "predict 0-512 and 5 more".

    Args:
        doing: what it does.
    """
    first, *others = task_run.parameters["windows"]
    more = f" and {len(others)} more" if others else ""
    return f"{doing} {first.col_off}-{first.row_off}{more}"


@io_task("predict windows", partial(name_windows, "predict"))
def predict_windows(
    windows: Sequence[Window], run: Run, plan: Plan, mosaic: Mosaic, model: Model
) -> list[Piece]:
    """Predict windows, but for those that an earlier run of the same work already did.

    Args:
        windows: which pixels of the mosaic.
        run: whose map.
        plan: where its piece goes.
        mosaic: the imagery.
        model: what predicts.

    Raises:
        TransientError: if the imagery cannot be read.
        LandcoverError: if the model file is not the recorded one, or this machine has other code.
    """
    _check_code(plan)
    return [_predict_window(window, run, plan, mosaic, model) for window in windows]


def _check_code(plan: Plan) -> None:
    """Make sure that a worker that has come later would make the pixels that the others make."""
    if plan.code != code_version():
        raise LandcoverError(
            f"A Dask worker on {socket.gethostname()} has this package, or a library that can "
            f"change a map, in another version ({code_version()}) than where the run was started "
            f"({plan.code}): stop it, install the same on both, and run the same command to go on "
            "with what is left."
        )


def _predictor_of(model: Model) -> "Predictor":
    # Here, because scikit-learn comes with it, for which all commands would wait.
    from landcover.maps.lookup import open_predictor

    return open_predictor(model.path, model.sha256)


def forget_predictor() -> None:
    """Give the memory back that a model and its table take, once all windows are predicted."""
    from landcover.maps.lookup import open_predictor

    open_predictor.cache_clear()


def _predict_window(window: Window, run: Run, plan: Plan, mosaic: Mosaic, model: Model) -> Piece:
    files = plan.pieces(window)
    path = files[plan.classes.key]
    with run.storage(path):
        if piece := reuse_piece(path, lambda: read_finished(plan, window)):
            return piece
        predictor = _predictor_of(model)
        where = f"at column {window.col_off}, row {window.row_off}"
        with run.imagery(mosaic, where), scratch(run.files.work) as local:
            thumbnail = (
                Thumbnail(window, model.bands, plan.thumbnails, mosaic.imagery)
                if plan.thumbnails
                else None
            )
            inspection = Inspection.of(mosaic, model.bands, model.ranges)
            area = run.area(mosaic.grid.crs)
            layers = predict(mosaic, predictor, model.bands, area, window, thumbnail, inspection)
            grid = plan.grid.part(window)
            piece = measure_piece(window, files, layers[0], grid, inspection.found)
            for layer, values in zip(plan.layers, layers, strict=True):
                built = local / files[layer.key].name
                write_piece(layer, values, grid, plan.factors, built, piece.tags)
            # Named again: what a bucket refuses here is refused for the piece, not for the imagery.
            with run.storage(path):
                if thumbnail is not None:
                    final = plan.thumbnail(window)
                    thumbnail.write(plan.grid, local / final.name)
                    publish(local / final.name, final)
                # The classes last: where they are, the others are too.
                publish_all({final: local / final.name for final in files.values()})
    return piece


@io_task("sieve windows", partial(name_windows, "sieve"))
def sieve_windows(windows: Sequence[Window], run: Run, plan: Plan, smallest: int) -> list[Piece]:
    """Sieve windows once all are predicted, but for those that an earlier run already did.

    Args:
        windows: which pixels of the mosaic.
        run: whose map.
        plan: where its pieces are.
        smallest: pixels of the smallest patch to keep.

    Raises:
        TransientError: if a window or one beside it cannot be read.
        LandcoverError: if this machine has other code.
    """
    _check_code(plan)
    return [_sieve_window(window, run, plan, smallest) for window in windows]


def _sieve_window(window: Window, run: Run, plan: Plan, smallest: int) -> Piece:
    files = plan.sieved(window, smallest)
    path = files[plan.classes.key]
    with run.storage(path):
        if piece := reuse_piece(path, lambda: read_sieved(plan, window, smallest)):
            return piece
        with scratch(run.files.work) as local:
            pieces = {there: gdal_path(plan.piece(plan.classes, there)) for there in plan.windows}
            grid = plan.grid.part(window)
            try:
                codes = sieve(pieces, window, smallest)
                doubts = read_doubts(pieces[window])
                values = [read_piece(plan.piece(layer, window)) for layer in plan.layers]
            except RasterioIOError as error:
                raise TransientError(describe_loss(error)) from error
            taken = codes != values[0]
            piece = measure_piece(window, files, codes, grid, doubts, int(taken.sum()))
            write_piece(plan.classes, codes, grid, plan.factors, local / path.name, piece.tags)
            for layer, kept in zip(plan.layers[1:], values[1:], strict=True):
                # That of the class that a pixel lost says nothing about the one that it took.
                kept[taken] = layer.nodata
                write_piece(layer, kept, grid, plan.factors, local / files[layer.key].name)
            # The classes last: where they are, the others are too.
            publish_all({final: local / final.name for final in files.values()})
    return piece


def reuse_piece(path: UPath, read: Callable[[], Piece]) -> Piece | None:
    """Return the piece of an earlier run; None where there is none, or none that is whole.

    Args:
        path: where its classes would be.
        read: reads it; raises RasterioIOError where it is not whole.
    """
    if not path.exists():
        return None
    try:
        return read()
    except RasterioIOError as error:
        get_run_logger().warning("%s cannot be read (%s), so it is made anew", path, error)
        return None


def describe_loss(error: RasterioIOError) -> str:
    """Say that a piece cannot be read, although it was finished.

    Args:
        error: names its file.
    """
    return (
        f"The map of a window cannot be read any more ({error}): check the disk of WORK_DIR and "
        "run the month again, which makes it anew."
    )
