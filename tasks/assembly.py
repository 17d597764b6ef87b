"""The month's map, assembled from the pieces of its windows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect.logging import get_run_logger
from rasterio.errors import RasterioIOError

from landcover.errors import LandcoverError
from landcover.files import fetch, on_disk, scratch, sha256
from landcover.imagery.doubts import Doubts, check_flat
from landcover.imagery.mosaic import Mosaic, check_unchanged
from landcover.machine import cores
from landcover.maps.assembly import (
    FinishedMap,
    assemble_layer,
    check_complete,
    find_notices,
    share_of_low_confidence,
    share_of_sieved,
)
from landcover.maps.layers import Layer
from landcover.maps.measure import Counts, total_hectares
from landcover.maps.pieces import Piece, Plan
from landcover.model.forest import Model
from landcover.publishing import publish_all
from landcover.version import code_version
from tasks.catalogue import build_companions
from tasks.regions import Regions, regions_of_map
from tasks.retries import io_task
from tasks.run import Run
from tasks.windows import describe_loss


@io_task("assemble map", "assemble map {run}")
def assemble_map(
    run: Run,
    plan: Plan,
    pieces: list[Piece],
    mosaic: Mosaic,
    model: Model,
    regions: Regions | None = None,
) -> FinishedMap:
    """Assemble the pieces into the month's map, check it, and add up its classes.

    The map waits in the work folder until it is recorded.

    Args:
        run: whose map.
        plan: what was to be predicted.
        pieces: of its windows.
        mosaic: the imagery.
        model: what predicted.
        regions: that hectares are given for, if any.

    Raises:
        LandcoverError: if the map is not what its pieces are, if one cannot be read, if the
            imagery was changed meanwhile, or if too much of it looks like no data.
        TransientError: if the bucket cannot be reached.
    """
    with run.storage(mosaic.origin):
        check_unchanged(mosaic)
    doubts = sum((piece.doubts for piece in pieces), Doubts())
    check_flat(doubts, mosaic)
    tags = {"source_mosaic": mosaic.origin, "model": model.path.name, "code": code_version()}

    def assemble(layer: Layer) -> tuple[Path, Counts]:
        paths = fetch([piece.files[layer.key] for piece in pieces], local)
        windows = dict(zip(paths, (piece.window for piece in pieces), strict=True))
        try:
            with on_disk(local):
                return assemble_layer(layer, windows, plan, tags, local)
        except RasterioIOError as error:
            raise LandcoverError(describe_loss(error)) from error

    with run.storage(run.files.maps / plan.classes.file), scratch(run.files.work) as local:
        # Side by side: much of it is one core's work.
        with ThreadPoolExecutor(cores()) as pool:
            built, counts = zip(*pool.map(assemble, plan.layers), strict=True)
        check_complete(plan, pieces, counts)
        digest = sha256(built[0])
        by_region = regions_of_map(run, regions, built[0], digest, model.names) if regions else None
        companions = build_companions(built[0], digest, run, plan.classes, model, mosaic.origin)
        publish_all({plan.folder / file.name: file for file in (*built, *companions)})
    get_run_logger().info("Map assembled and found to be what its windows are")
    hectares = total_hectares([piece.hectares for piece in pieces])
    notices = find_notices(doubts, mosaic.origin, mosaic.grid)
    for notice in notices:
        get_run_logger().warning("%s", notice)
    return FinishedMap(
        layers=plan.layers,
        final=run.files.maps,
        folder=plan.folder,
        sha256=digest,
        model=model,
        source_mosaic=mosaic.origin,
        hectares={model.names[code]: area for code, area in hectares.items()},
        low_confidence=share_of_low_confidence(counts[1], counts[0]),
        sieved=share_of_sieved(pieces),
        pixels=counts[0].total(),
        notices=notices,
        regions=by_region,
        thumbnails=tuple(map(plan.thumbnail, plan.windows)) if plan.thumbnails else (),
        places=doubts.places,
    )
