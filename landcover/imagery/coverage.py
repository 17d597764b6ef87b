"""Coverage: which part of the area of interest has imagery, and which has none."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import PurePosixPath

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from landcover.aoi import polygonal
from landcover.areas import polygon_hectares
from landcover.classes import CLOUD
from landcover.grid import Grid
from landcover.imagery.mosaic import Mosaic, MosaicReader
from landcover.imagery.quads import Quad
from landcover.listing import listed
from landcover.windows import BLOCK, pixels_inside, split

# Columns and rows of Planet's grid of quads, as their files are named: 570-1026.tif. Rows are
# counted from the south. A month, as in mosaic_2025-06_570-1026.tif, looks like it.
_QUAD_NAME = re.compile(r"(\d+)-(\d+)")

# At most this many gaps are named.
SHOWN = 20

# Column and row of a quad, counted from the first one to the right and downwards.
Cell = tuple[int, int]


@dataclass(frozen=True)
class Gap:
    """A part of the area of interest without imagery."""

    name: str
    """Of the quad that is missing, or of the file that holds no valid pixel there."""
    hectares: float
    """Of the area of interest."""


@dataclass(frozen=True)
class Coverage:
    """How much of the area of interest has imagery."""

    hectares: float
    """Of the area of interest."""
    missing: tuple[Gap, ...] = ()
    """Quads that are not there."""
    empty: tuple[Gap, ...] = ()
    """Quads without a valid pixel."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All parts without imagery."""
        return (*self.missing, *self.empty)

    @property
    def without_imagery(self) -> float:
        """The share of the area of interest without imagery, 0 to 1."""
        return sum(gap.hectares for gap in self.gaps) / self.hectares

    def under_clouds(self, hectares: Mapping[str, float]) -> float:
        """Return the share of the area of interest that a map shows as clouds, 0 to 1.

        Args:
            hectares: the area of each class in the map.
        """
        return hectares.get(CLOUD, 0.0) / self.hectares

    def without_class(self, hectares: Mapping[str, float]) -> float:
        """Return the share of the area of interest that a map leaves without a class, 0 to 1.

        Args:
            hectares: the area of each class in the map.
        """
        return max(0.0, 1 - sum(hectares.values()) / self.hectares)


def describe_gaps(coverage: Coverage, month: str) -> str:
    """Say which quads leave a part of the area of interest uncovered, and how much of it.

    Args:
        coverage: with at least one gap.
        month: whose imagery, such as 2025-06.
    """
    parts = [
        f"{len(gaps)} quad{'s' if len(gaps) > 1 else ''} {how} ({_listed(gaps)})"
        for gaps, how in (
            (coverage.missing, "missing"),
            (coverage.empty, "without a valid pixel"),
        )
        if gaps
    ]
    return (
        f"The imagery of {month} leaves {coverage.without_imagery:.2%} of the area of interest "
        f"uncovered: {' and '.join(parts)}."
    )


def _listed(gaps: Sequence[Gap]) -> str:
    return listed([f"{gap.name}: {gap.hectares:,.1f} ha" for gap in gaps], SHOWN)


def missing_quads(mosaic: Mosaic, area: BaseGeometry) -> list[Gap]:
    """Return the parts of an area where the mosaic has no image file.

    Args:
        mosaic: the imagery.
        area: the area of interest, in the mosaic's CRS.
    """
    quads = mosaic.quads()
    outlines = shapely.box(*np.transpose([quad.grid.bounds for quad in quads]))
    uncovered = polygonal(shapely.difference(area, shapely.union_all(outlines)))
    # Where rounded edges leave a slit between quads, or the area reaches over an edge without
    # coming to the centre of a pixel, nothing is missing.
    slit = max(mosaic.grid.transform.a, -mosaic.grid.transform.e) / 2
    near = shapely.union_all(shapely.buffer(outlines, slit, join_style="mitre"))
    gap = polygonal(shapely.difference(area, near))
    named = _numbered(quads)
    return [
        Gap(
            _name(cell, named),
            polygon_hectares(polygonal(shapely.intersection(uncovered, box)), mosaic.grid.crs),
        )
        for cell, box in _cells(gap, quads[0].grid)
        if not polygonal(shapely.intersection(gap, box)).is_empty
    ]


def find_empty(mosaic: Mosaic, area: BaseGeometry, quad: Quad) -> list[Gap]:
    """Tell whether a quad holds no valid pixel in an area; it is then a gap.

    Its blocks are read until one has a valid pixel, those in its middle first: most quads take one.
    A quad without any is not a gap where others lie over it and have them all.

    Args:
        mosaic: the imagery.
        area: the area of interest, in the mosaic's CRS.
        quad: one of its image files.

    Returns:
        The gap, or nothing.

    Raises:
        RasterioIOError: if the quad cannot be read.
    """
    part = polygonal(shapely.intersection(area, shapely.box(*quad.grid.bounds)))
    bands = list(mosaic.bands.values())

    def seen(reader: MosaicReader) -> Iterator[NDArray[np.bool_]]:
        """Yield which pixels of the part are valid, block by block."""
        for block in _middle_first(mosaic.grid.window_of(quad.grid)):
            inside = pixels_inside(part, block, mosaic.grid.transform)
            if inside.any():
                yield reader.read(bands, block).valid[inside]

    with mosaic.open([quad]) as alone:
        if any(valid.any() for valid in seen(alone)):
            return []
    with mosaic.open() as reader:
        if all(valid.all() for valid in seen(reader)):
            return []
    return [Gap(PurePosixPath(quad.path).name, polygon_hectares(part, mosaic.grid.crs))]


def _middle_first(window: Window) -> list[Window]:
    """Return the blocks of a window, those nearest its middle first."""
    blocks = list(split(window, BLOCK, BLOCK))
    middle = window.col_off + window.width / 2, window.row_off + window.height / 2

    def distance(block: Window) -> float:
        across = block.col_off + block.width / 2 - middle[0]
        down = block.row_off + block.height / 2 - middle[1]
        return float(across**2 + down**2)

    return sorted(blocks, key=distance)


def _cells(area: BaseGeometry, first: Grid) -> Iterator[tuple[Cell, BaseGeometry]]:
    """Yield the cells of the grid of quads that an area's bounds touch, counted from one quad."""
    if area.is_empty:
        return
    wide, high = first.width * first.transform.a, -first.height * first.transform.e
    west, south, east, north = area.bounds
    left, _, _, top = first.bounds
    for column in range(floor((west - left) / wide), ceil((east - left) / wide)):
        for row in range(floor((top - north) / high), ceil((top - south) / high)):
            at = left + column * wide, top - row * high
            yield (column, row), shapely.box(at[0], at[1] - high, at[0] + wide, at[1])


def _numbered(quads: Sequence[Quad]) -> Cell | None:
    """Return the column and row in the name of the first quad, if all names count on from it."""
    first = quads[0].grid
    cells = [_cell(quad.grid, first) for quad in quads]
    stems = [PurePosixPath(quad.path).stem for quad in quads]
    common = set.intersection(
        *(
            {(int(x) - column, int(y) + row) for x, y in _QUAD_NAME.findall(stem)}
            for stem, (column, row) in zip(stems, cells, strict=True)
        )
    )
    # A number that all names share (a month, say) does not number the quads.
    counted = len(set(cells)) > 1 or _QUAD_NAME.fullmatch(stems[0])
    return common.pop() if len(common) == 1 and counted else None


def _cell(quad: Grid, first: Grid) -> Cell:
    across, down = ~first.transform @ (quad.bounds[0], quad.bounds[3])
    return round(across / first.width), round(down / first.height)


def _name(cell: Cell, first: Cell | None) -> str:
    column, row = cell
    if first is None:
        return f"column {column}, row {row} from the first quad"
    return f"{first[0] + column}-{first[1] - row}"
