"""The month's map, assembled from the pieces of its windows."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from prefect.logging import get_run_logger
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from upath import UPath

from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.files import (
    absolute,
    fetch,
    publish_all,
    scratch,
    sha256,
)
from landcover.imagery.mosaic import Mosaic, check_unchanged
from landcover.maps.cog import write_cog
from landcover.maps.measure import count_map
from landcover.model.forest import Model
from landcover.version import code_version
from tasks.access.storage import storage
from tasks.catalogue import build_companions
from tasks.retries import io_task
from tasks.run import Month
from tasks.windows import Piece, Plan, tell_loss

# In percent: below it, fewer than half of the trees agree.
LOW_CONFIDENCE = 50


@dataclass(frozen=True)
class FinishedMap:
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


@io_task("assemble map", "assemble map {month}")
def assemble_map(
    month: Month, plan: Plan, pieces: list[Piece], mosaic: Mosaic, model: Model
) -> FinishedMap:
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
    return FinishedMap(
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
