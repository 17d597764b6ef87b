"""Which part of the area of interest has imagery: checked before anything is predicted."""

from prefect.logging import get_run_logger

from landcover.errors import LandcoverError
from landcover.geometry import LONLAT
from landcover.imagery.coverage import Coverage, advise_on_gaps, describe_gaps, find_gaps, is_empty
from landcover.imagery.mosaic import Mosaic, Raster
from landcover.imagery.quads import Quad
from landcover.maps.stac import footprint
from tasks.access.storage import side_by_side
from tasks.retries import io_task
from tasks.run import Run

# A smaller share of the area of interest than a pixel of any.
NOTHING = 1e-12


@io_task("check coverage", "check coverage {run}")
def measure_coverage(run: Run, mosaic: Mosaic, allow_gaps: bool) -> Coverage:
    """Find the quads that the area of interest needs and that are missing or hold no valid pixel.

    Args:
        run: whose area.
        mosaic: the imagery.
        allow_gaps: go on where there are such quads.

    Raises:
        LandcoverError: if there are such quads, and gaps are not allowed, or nothing has imagery;
            if the area is smaller than a pixel; or if its map could not be catalogued.
        TransientError: if the imagery cannot be read.
    """
    area = run.area(mosaic.grid.crs)
    # Where there is none, over a pole for one, the run would end once all is predicted.
    footprint(run.area(LONLAT), mosaic.grid)

    def empty(place: tuple[Raster, Quad]) -> bool:
        with run.imagery(mosaic, "to see what it covers"):
            return is_empty(mosaic, area, *place)

    with run.storage(mosaic.origin):
        places = [(raster, quad) for raster in mosaic.rasters() for quad in raster.quads]
    empties = side_by_side(empty, places, run.blocks.storage_block, mosaic.origin)
    hollow = [quad for (_, quad), nothing in zip(places, empties, strict=True) if nothing]
    coverage = find_gaps(mosaic, area, hollow)
    if coverage.gaps or coverage.more_missing:
        told = describe_gaps(coverage, str(run))
        if coverage.without_imagery > 1 - NOTHING:
            raise LandcoverError(f"{told} There is nothing to map: check AOI_DEFINITION.")
        if not allow_gaps:
            raise LandcoverError(
                f"{told} {advise_on_gaps(coverage)}, or map what there is with --allow_gaps."
            )
        get_run_logger().warning(told)
    return coverage
