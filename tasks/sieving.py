"""The minimum mapping unit: small patches of a predicted map take their surroundings' class."""

from prefect.runtime import task_run
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from landcover.errors import TransientError
from landcover.files import absolute, gdal_path, publish, scratch
from landcover.mosaic import Mosaic
from landcover.pyramid import part_of, write_piece
from landcover.sieve import sieve_window as sieve
from tasks.month import Month
from tasks.prediction import Piece, Plan, describe_piece, take_up, tell_loss
from tasks.retries import io_task
from tasks.storage import storage


def _window_name() -> str:
    window = task_run.parameters["window"]
    return f"sieve {window.col_off}-{window.row_off}"


@io_task("sieve window", _window_name)
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
