"""Coverage: which part of the area of interest has imagery, and which has none."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, dist, floor
from pathlib import PurePosixPath

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.windows import Window
from shapely import buffer
from shapely.geometry.base import BaseGeometry

from landcover.areas import polygon_hectares
from landcover.classes import CLOUD
from landcover.errors import LandcoverError
from landcover.geometry import difference, intersection, union
from landcover.grid import Grid
from landcover.imagery.mosaic import Mosaic, MosaicReader, Raster
from landcover.imagery.quads import Quad
from landcover.windows import BLOCK, count_inside, part_windows_touching, pixels_inside

# Columns and rows of Planet's grid of quads, as their files are named: 570-1026.tif. Rows are
# counted from the south. A month, as in mosaic_2025-06_570-1026.tif, looks like it.
_QUAD_NAME = re.compile(r"(\d+)-(\d+)")

# At most this many gaps are named.
SHOWN = 20

# Of so many cells of the quads' lattice it is looked at which are missing, and of so many exactly.
MOST_CELLS = 25_000_000
MOST_CHECKED = 5_000

# A pixel's centre that is nearer to an area's edge, as a share of the pixel, may be on either side.
EDGE = 1e-3

# Column and row of a quad, counted from the first one to the right and downwards.
Cell = tuple[int, int]


@dataclass(frozen=True)
class Gap:
    """A part of the area of interest without imagery."""

    name: str
    """Of the quad that is missing, or of the file that holds no valid pixel there."""
    hectares: float
    """Of the area of interest."""
    outside: bool = False
    """Whether it is what lies outside the only image there is, whose file is named."""

    def __str__(self) -> str:
        """Return its name, as rows and messages have it."""
        return f"outside {self.name}" if self.outside else self.name


@dataclass(frozen=True)
class Coverage:
    """How much of the area of interest has imagery."""

    hectares: float
    """Of the area of interest."""
    pixels: int
    """Of the mosaic's grid, whose centres lie in the area of interest."""
    pixel_hectares: float
    """Of these; in a small area, more or less than its own."""
    uncovered: float = 0.0
    """Hectares of the area of interest without imagery, or without a band that does not change;
    what lies in two gaps counts once."""
    missing: tuple[Gap, ...] = ()
    """Quads that are not there: at most `SHOWN`, from west to east; or what is outside an image."""
    more_missing: int = 0
    """How many further quads are not there."""
    empty: tuple[Gap, ...] = ()
    """Quads without a valid pixel, each with what no other covers."""
    static: tuple[Gap, ...] = ()
    """Bands that do not change, each with what none of its files with a valid pixel covers."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All parts without imagery, or without what does not change, that are named."""
        return (*self.missing, *self.empty, *self.static)

    @property
    def without_imagery(self) -> float:
        """The share of the area of interest without imagery, 0 to 1."""
        return min(1.0, self.uncovered / self.hectares)

    def under_clouds(self, hectares: Mapping[str, float]) -> float:
        """Return the share of the area of interest that a map shows as clouds, 0 to 1.

        Args:
            hectares: the area of each class in the map.
        """
        return min(1.0, hectares.get(CLOUD, 0.0) / self.pixel_hectares)

    def without_class(self, hectares: Mapping[str, float], pixels: int) -> float:
        """Return the share of the area of interest that a map leaves without a class, 0 to 1.

        Pixels are compared with pixels: that a small area is not made of whole ones is not a hole.

        Args:
            hectares: the area of each class in the map.
            pixels: how many of the map's have a class.
        """
        if pixels >= self.pixels:
            return 0.0
        return max(0.0, 1 - sum(hectares.values()) / self.pixel_hectares)


def describe_gaps(coverage: Coverage, month: str) -> str:
    """Say which part of the area of interest is left uncovered, and how much of it.

    Args:
        coverage: with at least one gap.
        month: whose imagery, such as 2025-06.
    """
    outside = [gap for gap in coverage.missing if gap.outside]
    if outside and not coverage.static:
        (gap,) = outside
        # Rounded down: an image that covers 99.999 % does not cover all.
        covered = max(0, floor(1e4 * (1 - gap.hectares / coverage.hectares))) / 1e4
        return (
            f"The image {gap.name} covers {_percent(covered)} of the area of interest: "
            f"{gap.hectares:,.1f} ha of it lie outside."
        )
    parts = [
        f"{count:,} {what}{'s' if count > 1 else ''} {how}{_listed(gaps, count)}"
        for gaps, count, what, how in (
            (outside, len(outside), "image", "that does not cover it"),
            (coverage.missing, _count_missing(coverage) - len(outside), "quad", "missing"),
            (coverage.empty, len(coverage.empty), "quad", "without a valid pixel"),
            (coverage.static, len(coverage.static), "static band", "without data"),
        )
        if count
    ]
    share = _percent(coverage.without_imagery)
    whose = "imagery with its static bands" if coverage.static else "imagery"
    return (
        f"The {whose} of {month} leaves {share} of the area of interest uncovered, "
        f"{coverage.uncovered:,.1f} ha: {' and '.join(parts)}."
    )


def _count_missing(coverage: Coverage) -> int:
    return len(coverage.missing) + coverage.more_missing


def advise_on_gaps(coverage: Coverage) -> str:
    """Say what to do about gaps, but for mapping what there is.

    Args:
        coverage: with at least one gap.
    """
    if any(gap.outside for gap in coverage.missing):
        return "Give imagery of all of it, or draw a smaller area (AOI_DEFINITION)"
    if _count_missing(coverage) or coverage.empty:
        return "Add the quads"
    return "Give STATIC_BANDS files of all of it, or draw a smaller area (AOI_DEFINITION)"


def _percent(share: float) -> str:
    return f"{share:.2%}" if share >= 1e-4 else "less than 0.01%"


def _listed(gaps: Sequence[Gap], count: int) -> str:
    if not gaps:
        return ""
    shown = [f"{gap.name}: {gap.hectares:,.1f} ha" for gap in gaps[:SHOWN]]
    more = count - len(shown)
    return f" ({', '.join(shown)}{f' and {more:,} more' if more else ''})"


def find_gaps(mosaic: Mosaic, area: BaseGeometry, empty: Sequence[Quad]) -> Coverage:
    """Tell how much of an area a mosaic covers, and which quads are missing.

    Args:
        mosaic: the imagery, and what does not change.
        area: the area of interest, in the mosaic's CRS.
        empty: those of its quads that hold no valid pixel there (see `is_empty`).

    Raises:
        LandcoverError: if no pixel's centre lies in the area.
    """
    transform, crs = mosaic.grid.transform, mosaic.grid.crs
    pixel = transform.a, -transform.e
    hectares = polygon_hectares(area, crs)
    # Whichever side of an edge a centre is on that lies on it: it is not counted.
    pixels = count_inside(buffer(area, -EDGE * max(pixel), join_style="mitre"), transform)
    if not pixels:
        raise LandcoverError(
            f"The area of interest, of {hectares:,.2g} ha, is too small for the mosaic "
            f"{mosaic.origin}: no pixel of it has its centre there. Check AOI_DEFINITION."
        )
    # Where rounded edges leave a slit between quads, or the area reaches over an edge without
    # coming to the centre of a pixel, nothing is missing.
    slit = max(pixel) / 2
    imagery, *others = mosaic.rasters()
    names = {quad.path for quad in empty}
    quads, hollow_quads = imagery.quads, [quad for quad in imagery.quads if quad.path in names]
    gap, far = _uncovered(area, imagery, names, slit)
    hollow = _outlines(hollow_quads)
    nowhere = difference(gap, union(list(hollow)))
    beyond = difference(far, union(list(buffer(hollow, slit, join_style="mitre"))))
    if len(quads) == 1:
        name = PurePosixPath(quads[0].path).name
        found = [Gap(name, polygon_hectares(nowhere, crs), outside=True)]
        missing, more = ([] if beyond.is_empty else found), 0
    else:
        missing, more = _missing(_near(nowhere, beyond), beyond, quads)
    without = [(raster, _uncovered(area, raster, names, slit)[0]) for raster in others]
    return Coverage(
        hectares=hectares,
        pixels=pixels,
        pixel_hectares=hectares * pixels * pixel[0] * pixel[1] / area.area,
        uncovered=polygon_hectares(union([gap, *(lack for _, lack in without)]), crs),
        missing=tuple(missing),
        more_missing=more,
        empty=tuple(_empty(gap, far, hollow_quads, hollow, crs)),
        static=tuple(
            Gap(f"{'+'.join(raster.bands)} of {raster.origin}", polygon_hectares(lack, crs))
            for raster, lack in without
            if not lack.is_empty
        ),
    )


def _uncovered(
    area: BaseGeometry, raster: Raster, empty: Collection[str], slit: float
) -> tuple[BaseGeometry, BaseGeometry]:
    """Return the parts of an area where a raster has no quad with a valid pixel.

    Args:
        area: the area.
        raster: whose quads.
        empty: the paths of those without a valid pixel.
        slit: the width below which a part does not matter.

    Returns:
        The parts that are wider than a slit somewhere; and these without what is within a slit of
        a quad.
    """
    filled = _outlines([quad for quad in raster.quads if quad.path not in empty])
    far = difference(area, union(list(buffer(filled, slit, join_style="mitre"))))
    return _near(difference(area, union(list(filled))), far), far


def part_with_imagery(mosaic: Mosaic, area: BaseGeometry) -> BaseGeometry:
    """Return the part of an area where there are image files: all that can be mapped of it.

    Args:
        mosaic: the imagery, and what does not change.
        area: the area of interest, in the mosaic's CRS.
    """
    # A little less, so that a quad whose header rounds its edges does not reach into the next.
    least = -EDGE * mosaic.grid.transform.a
    for raster in mosaic.rasters():
        outlines = buffer(_outlines(raster.quads), least, join_style="mitre")
        area = intersection(area, union(list(outlines)))
    return area


def is_empty(mosaic: Mosaic, area: BaseGeometry, raster: Raster, quad: Quad) -> bool:
    """Tell whether a quad has pixels in an area, but no valid one.

    Its blocks are read until one has a valid pixel, those in its middle first: most quads take one.

    Args:
        mosaic: the imagery, and what does not change.
        area: the area of interest, in the mosaic's CRS.
        raster: which of these the quad is of; only its bands are read.
        quad: one of its quads.

    Raises:
        RasterioIOError: if the quad cannot be read.
    """
    part = intersection(area, shapely.box(*quad.grid.bounds))
    bands = list(raster.bands.values())
    needed = False
    with MosaicReader(mosaic.grid, [replace(raster, quads=(quad,))]) as reader:
        for block in _middle_first(quad.grid, part, mosaic.grid):
            inside = pixels_inside(part, block, mosaic.grid.transform)
            needed |= bool(inside.any())
            if inside.any() and reader.read(bands, block).valid[inside].any():
                return False
    return needed


def _outlines(quads: Sequence[Quad]) -> NDArray[np.object_]:
    return np.array([shapely.box(*quad.grid.bounds) for quad in quads], dtype=object)


def _near(geometry: BaseGeometry, far: BaseGeometry) -> BaseGeometry:
    """Return those parts of polygons that others have a part in."""
    parts = shapely.get_parts(geometry)
    near, _ = shapely.STRtree(shapely.get_parts(far)).query(parts, predicate="intersects")
    return union(list(parts[np.unique(near)]))


def _empty(
    gap: BaseGeometry,
    far: BaseGeometry,
    quads: Sequence[Quad],
    outlines: NDArray[np.object_],
    crs: str,
) -> Iterator[Gap]:
    """Yield what each empty quad leaves uncovered; what several do, is of the first."""
    tree = shapely.STRtree(outlines)
    for number, quad in enumerate(quads):
        over = tree.query(outlines[number], predicate="intersects")
        own = difference(outlines[number], union(list(outlines[over[over < number]])))
        if not intersection(far, own).is_empty:
            name = PurePosixPath(quad.path).name
            yield Gap(name, polygon_hectares(intersection(gap, own), crs))


def _missing(
    gap: BaseGeometry, beyond: BaseGeometry, quads: Sequence[Quad]
) -> tuple[list[Gap], int]:
    """Return the first of the quads that are missing, and how many more are.

    Args:
        gap: what has no image file.
        beyond: the same without slits.
        quads: the image files, of whose lattice the missing ones are.
    """
    if beyond.is_empty:
        return [], 0
    first = quads[0].grid
    wide, high = first.width * first.transform.a, -first.height * first.transform.e
    west, south, east, north = beyond.bounds
    left, _, _, top = first.bounds
    start = floor((west - left) / wide), floor((top - north) / high)
    columns = ceil((east - left) / wide) - start[0]
    rows = ceil((top - south) / high) - start[1]
    if columns * rows > MOST_CELLS:
        return [], ceil(beyond.area / (wide * high))
    corner = Affine(wide, 0, left + start[0] * wide, 0, -high, top - start[1] * high)
    touched = geometry_mask([beyond], (rows, columns), corner, all_touched=True, invert=True)
    cells = np.argwhere(touched.T) + start
    # Of the first, those are left out that it only touches; among very many they do not matter.
    ours, others = cells[:MOST_CHECKED], cells[MOST_CHECKED:]
    x, y = left + ours[:, 0] * wide, top - ours[:, 1] * high
    boxes = shapely.box(x, y - high, x + wide, y)
    shapely.prepare(beyond)
    in_it = shapely.intersects(beyond, boxes) & ~shapely.touches(beyond, boxes)
    numbered = _numbered(quads)
    named = [
        Gap(
            _name((int(column), int(row)), numbered),
            polygon_hectares(intersection(gap, box), first.crs),
        )
        for (column, row), box in zip(ours[in_it][:SHOWN], boxes[in_it], strict=False)
    ]
    return named, int(in_it.sum()) - len(named) + len(others)


def _middle_first(quad: Grid, part: BaseGeometry, mosaic: Grid) -> list[Window]:
    """Return the blocks of a quad that an area has a part in, those nearest its middle first."""
    middle = _middle(mosaic.window_of(quad))
    blocks = part_windows_touching(quad, mosaic, part, BLOCK)
    return sorted(blocks, key=lambda block: dist(_middle(block), middle))


def _middle(window: Window) -> tuple[float, float]:
    return window.col_off + window.width / 2, window.row_off + window.height / 2


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
