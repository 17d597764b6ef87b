"""Which part of the area of interest has imagery, made sure of before anything is predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from geopandas import GeoSeries
from prefect.logging import get_run_logger

from landcover.aoi import load_aoi
from landcover.areas import polygon_hectares
from landcover.errors import LandcoverError
from landcover.imagery.coverage import Gap, find_empty, missing_quads
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.quads import Quad
from tasks.access.storage import side_by_side, storage
from tasks.mosaic import reading
from tasks.retries import io_task
from tasks.run import Month

# So many gaps are named.
SHOWN = 20


@dataclass(frozen=True)
class Coverage:
    """How much of the area of interest has imagery.

    Attributes:
        aoi: the area of interest, as `landcover.aoi.load_aoi` returns it.
        hectares: of it.
        gaps: its parts without imagery.
    """

    aoi: GeoSeries
    hectares: float
    gaps: tuple[Gap, ...]

    @property
    def missing(self) -> float:
        """The share of the area of interest without imagery, 0 to 1."""
        return sum(gap.hectares for gap in self.gaps) / self.hectares

    def under_clouds(self, hectares: Mapping[str, float]) -> float:
        """Return the share of the area of interest that a map shows as clouds, 0 to 1.

        Args:
            hectares: the area of each class in the map.
        """
        return hectares.get("Cloud", 0.0) / self.hectares

    def without_data(self, hectares: Mapping[str, float]) -> float:
        """Return the share of the area of interest that a map leaves without a class, 0 to 1.

        Args:
            hectares: the area of each class in the map.
        """
        return max(0.0, 1 - sum(hectares.values()) / self.hectares)


@io_task("check coverage", "check coverage {month}")
def check_coverage(month: Month, mosaic: Mosaic, aoi_definition: str, allow_gaps: bool) -> Coverage:
    """Find the quads that the area of interest needs and that are missing or hold no valid pixel.

    Args:
        month: that is mapped.
        mosaic: the imagery.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        allow_gaps: go on where there are such quads.

    Raises:
        LandcoverError: if there are such quads, and gaps are not allowed.
        TransientError: if the imagery cannot be read.
    """
    aoi = load_aoi(aoi_definition)
    area = aoi.to_crs(mosaic.grid.crs).iloc[0]

    def empty(quad: Quad) -> Sequence[Gap]:
        with reading(mosaic, "to see what it covers"):
            return find_empty(mosaic, area, quad)

    block = month.blocks.storage_block
    with storage(block, mosaic.origin):
        quads = mosaic.quads()
        missing = missing_quads(mosaic, area)
    empties = list(chain.from_iterable(side_by_side(empty, quads, block, mosaic.origin)))
    coverage = Coverage(aoi, polygon_hectares(area, mosaic.grid.crs), (*missing, *empties))
    told = _tell(month, missing, empties, coverage)
    if told and not allow_gaps:
        raise LandcoverError(f"{told} Add the quads, or map what there is with --allow_gaps.")
    if told:
        get_run_logger().warning(told)
    return coverage


def _tell(
    month: Month, missing: Sequence[Gap], empties: Sequence[Gap], coverage: Coverage
) -> str | None:
    if not coverage.gaps:
        return None
    parts = [
        f"{len(gaps)} quad{'s' if len(gaps) > 1 else ''} {how} ({_list(gaps)})"
        for gaps, how in ((missing, "missing"), (empties, "without a valid pixel"))
        if gaps
    ]
    return (
        f"The imagery of {month} leaves {coverage.missing:.2%} of the area of interest uncovered: "
        f"{' and '.join(parts)}."
    )


def _list(gaps: Sequence[Gap]) -> str:
    more = f" and {len(gaps) - SHOWN} more" if len(gaps) > SHOWN else ""
    return ", ".join(f"{gap.name}: {gap.hectares:,.1f} ha" for gap in gaps[:SHOWN]) + more
