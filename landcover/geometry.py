"""Polygons brought to another CRS and laid over one another: they stay valid and polygonal.

GEOS keeps what has no area where polygons meet in a line or a point, and raises where a polygon
crosses itself, as two parcels with a common border may do once their points were rounded in
another CRS. Both would be pixels that are mapped by mistake, or a run that ends late.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from landcover.errors import LandcoverError
from landcover.grid import Bounds

LONLAT_SRID = 4326
LONLAT = CRS.from_epsg(LONLAT_SRID)

# The largest distance of an edge from where its CRS has it: a share of its ring's extent, but no
# less than what matters, in metres and in degrees.
OFF = 1e-7
LEAST_OFF, LEAST_OFF_DEGREES = 1e-2, 1e-7

# Each cuts an edge in three and divides its error by nine. After so many, only an edge that jumps
# from one end of a projection to the other is still in error.
ROUNDS = 10
MOST_EDGES = 2_000_000

# Thirds of an edge that lie so far from those of its chord, as a share of it, may be on either side
# of a jump.
UNEVEN = 0.2

# No projection has coordinates as large, in metres or in feet, where it makes sense.
FARTHEST = 1e9

# Cosine of the angle, a thousandth of a radian, that a point may be off once it is brought back:
# farther, the projection folds over there.
_SAME = np.cos(1e-3)

# Where the distance in a CRS is so many times that on the ground, the CRS is cut in between.
_TORN = 10

Floats = NDArray[np.float64]
Shapes = NDArray[np.object_]


def polygonal(geometry: BaseGeometry) -> BaseGeometry:
    """Return the part of a geometry that has an area: a valid polygon or multipolygon, or empty."""
    if not shapely.is_valid(geometry):
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = shapely.get_parts(shapely.get_parts(shapely.get_parts(geometry)))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])


def intersection(one: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    """Return what two polygons share, a valid polygon or multipolygon; empty where they touch."""
    return _overlay(shapely.intersection, one, other)


def difference(one: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    """Return what a polygon does not share with another, a valid polygon or multipolygon."""
    return _overlay(shapely.difference, one, other)


def union(shapes: Sequence[BaseGeometry]) -> BaseGeometry:
    """Return what any of some polygons covers, a valid polygon or multipolygon."""
    try:
        return polygonal(shapely.union_all(shapes))
    except GEOSException:
        whole = [polygonal(shape) for shape in shapes if shape is not None]
        return polygonal(shapely.union_all(whole, grid_size=_fine(*whole)))


def hulls_of(points: Floats, of: pd.Series) -> tuple[NDArray[Any], Shapes]:
    """Return the convex hull of the points of each group, and what the groups are called, sorted.

    >>> names, hulls = hulls_of(np.array([[0, 0], [5, 5], [2, 0]]), pd.Series(["a", "b", "a"]))
    >>> names.tolist(), [hull.wkt for hull in hulls]
    (['a', 'b'], ['LINESTRING (0 0, 2 0)', 'POINT (5 5)'])

    Args:
        points: x and y, (n, 2).
        of: the group of each.
    """
    numbers, names = pd.factorize(of.to_numpy(), sort=True)
    order = np.argsort(numbers, kind="stable")
    groups = shapely.multipoints(shapely.points(points[order]), indices=numbers[order])
    hulls: Shapes = shapely.convex_hull(groups)
    return names, hulls


def reproject(
    geometry: BaseGeometry,
    source: str | int | CRS,
    target: str | int | CRS,
    what: str = "The area of interest",
) -> BaseGeometry:
    """Return polygons in another CRS: a valid polygon or multipolygon.

    Their edges are straight in the CRS that they come from, so points are put on those that are
    curved in the other one. In longitude and latitude they are cut at the antimeridian (RFC 7946,
    3.1.9), and so they are on their way to a CRS that is cut there.

    Args:
        geometry: polygons.
        source: their CRS.
        target: the other one.
        what: they are, for messages.

    Raises:
        LandcoverError: if they cannot be brought to it.
    """
    start, end = _crs(source), _crs(target)
    flat = shapely.force_2d(geometry)
    if not np.isfinite(shapely.get_coordinates(flat)).all():
        raise LandcoverError(f"{what} has coordinates that are not numbers: draw it again.")
    shape = fold(polygonal(flat)) if start.is_geographic else polygonal(flat)
    if start == end:
        return shape
    try:
        (found,), (good,) = _bring(np.array([shape], dtype=object), start, end)
        if not good and not (start.is_geographic or end.is_geographic):
            # Where the CRS is cut, longitudes are too.
            (lonlat,), (good,) = _bring(np.array([shape], dtype=object), start, LONLAT)
            if good:
                (found,), (good,) = _bring(np.array([lonlat], dtype=object), LONLAT, end)
    except ProjError as error:
        raise LandcoverError(
            f"{what} cannot be brought from the coordinate reference system {start.name} to "
            f"{end.name}: between these, no transformation is known ({error})."
        ) from error
    if good:
        return found
    why = (
        "it reaches over a pole, or beyond what its own coordinate reference system is made for"
        if end.is_geographic
        else "it lies outside what this is made for, or across its edge"
    )
    raise LandcoverError(
        f"{what} cannot be brought to the coordinate reference system {end.name}: {why}. Check "
        "its coordinates, or use a coordinate reference system that is made for that place."
    )


def reproject_rows(rows: geopandas.GeoSeries, target: str | int | CRS) -> geopandas.GeoSeries:
    """Return rows of polygons in another CRS (see `reproject`).

    Args:
        rows: with their CRS.
        target: the other one.

    Returns:
        Valid polygons and multipolygons; empty ones where a row has no area or cannot be brought.
    """
    start, end = _crs(rows.crs), _crs(target)
    shapes = np.array(
        [shapely.Polygon() if shape is None else polygonal(shape) for shape in rows], dtype=object
    )
    if start != end and len(shapes):
        shapes, good = _bring(shapes, start, end)
        for number in np.flatnonzero(~good):
            try:
                shapes[number] = reproject(rows.iloc[number], start, end)
            except LandcoverError:
                shapes[number] = shapely.Polygon()
    return geopandas.GeoSeries(shapes, index=rows.index, crs=rows.crs if start == end else end)


def fold(lonlat: BaseGeometry) -> BaseGeometry:
    """Return polygons in degrees, cut at the antimeridian where they reach beyond it.

    Args:
        lonlat: polygons with longitudes from -540 to 540 degrees.
    """
    west, south, east, north = lonlat.bounds
    # Edges of the globe are rounded, too.
    if not (west < -180 - LEAST_OFF_DEGREES or east > 180 + LEAST_OFF_DEGREES):
        return lonlat
    turns = [
        shapely.transform(
            intersection(lonlat, shapely.box(turn - 180, south - 1, turn + 180, north + 1)),
            lambda points, turn=turn: points - [turn, 0],
        )
        for turn in (-360, 0, 360)
    ]
    return union(turns)


def lonlat_bounds(lonlat: BaseGeometry) -> Bounds:
    """Return the narrowest bounds of polygons in degrees.

    West is greater than east where they reach over the antimeridian (RFC 7946, 5.2).

    Args:
        lonlat: polygons with longitudes from -180 to 180 degrees.
    """
    return narrowest(shapely.bounds(shapely.get_parts(lonlat)).tolist())


def narrowest(boxes: Sequence[Sequence[float]]) -> Bounds:
    """Return the narrowest bounds around bounds in degrees (see `lonlat_bounds`)."""
    souths, norths = [box[1] for box in boxes], [box[3] for box in boxes]
    pieces = []
    for west, _, east, _ in boxes:
        pieces += [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    pieces.sort()
    # The widest stretch without a piece is left out: that over the antimeridian, or another.
    first, reached = pieces[0][0], pieces[0][1]
    bounds, widest = [first, max(east for _, east in pieces)], 0.0
    widest = first + 360 - bounds[1]
    for west, east in pieces[1:]:
        if west - reached > widest:
            bounds, widest = [west, reached], west - reached
        reached = max(reached, east)
    return bounds[0], min(souths), bounds[1], max(norths)


def is_torn(area: BaseGeometry, crs: str | int | CRS) -> bool:
    """Tell whether a CRS is cut at the antimeridian and an area lies on both sides of it.

    Args:
        area: polygons in the CRS.
        crs: theirs.

    Raises:
        LandcoverError: if the area cannot be brought to longitude and latitude.
    """
    west, south, east, north = lonlat_bounds(reproject(area, crs, LONLAT))
    if west <= east:
        return False
    here = _crs(crs)
    middle = (south + north) / 2
    xs, ys = _transformer(LONLAT.to_wkt(), here.to_wkt()).transform([west, east], [middle] * 2)
    _, _, metres = Geod(ellps="WGS84").inv(west, middle, east, middle)
    factor = here.axis_info[0].unit_conversion_factor if here.axis_info else 1.0
    # Of degrees, it makes radians.
    unit = factor * (6_378_137 if here.is_geographic else 1)
    return bool(np.hypot(xs[1] - xs[0], ys[1] - ys[0]) * unit > _TORN * metres)


@lru_cache(maxsize=32)
def to_lonlat(crs: str | CRS) -> Transformer:
    """Return what brings coordinates of a CRS to longitude and latitude; threads may share it.

    Args:
        crs: as WKT, or as it is.

    Raises:
        ProjError: if no transformation is known between the two.
    """
    return Transformer.from_crs(crs, LONLAT, always_xy=True)


def _overlay(
    operation: Callable[..., BaseGeometry], one: BaseGeometry, other: BaseGeometry
) -> BaseGeometry:
    try:
        return polygonal(operation(one, other))
    except GEOSException:
        # Invalid, or lines that all but lie on one another: on a fine grid they do.
        whole = polygonal(one), polygonal(other)
        return polygonal(operation(*whole, grid_size=_fine(*whole)))


def _fine(*shapes: BaseGeometry) -> float:
    """Return the step of a grid that moves no point of polygons by more than rounding does."""
    return float(np.nanmax(np.abs(shapely.bounds(list(shapes))), initial=1.0)) * 1e-14


@lru_cache(maxsize=32)
def _crs(said: str | int | CRS) -> CRS:
    return CRS.from_user_input(said)


@lru_cache(maxsize=32)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _bring(shapes: Shapes, source: CRS, target: CRS) -> tuple[Shapes, NDArray[np.bool_]]:
    """Bring polygons to another CRS.

    Args:
        shapes: valid polygons, multipolygons and empty ones.
        source: their CRS.
        target: the other one.

    Returns:
        The polygons, valid, and which of them could be brought; the others are empty.

    Raises:
        ProjError: if no transformation is known between the two.
    """
    parts, of_shape = shapely.get_parts(shapes, return_index=True)
    drawn = ~shapely.is_empty(parts)
    parts, of_shape = parts[drawn], of_shape[drawn]
    rings, of_part = shapely.get_rings(parts, return_index=True)
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    points, of_ring, bad = _follow(points, of_ring, source, target)
    if target.is_geographic:
        points[:, 0], torn = _unwrap(points[:, 0], of_ring, of_part)
        bad |= torn
    good = np.ones(len(shapes), dtype=bool)
    good[of_shape[of_part[bad]]] = False
    points[bad[of_ring]] = 0
    shells = shapely.polygons(shapely.linearrings(points, indices=of_ring), indices=of_part)
    found = np.full(len(shapes), shapely.Polygon(), dtype=object)
    for number in np.flatnonzero(good):
        its = shells[slice(*np.searchsorted(of_shape, [number, number + 1]))]
        if len(its):
            shape = polygonal(its[0] if len(its) == 1 else shapely.multipolygons(its))
            found[number] = fold(shape) if target.is_geographic else shape
    return found, good


def _follow(
    points: Floats, of_ring: NDArray[np.int64], source: CRS, target: CRS
) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Bring rings to another CRS, with more points on edges that are curved there.

    Args:
        points: of the rings, one after the other, (points, 2).
        of_ring: the number of each point's ring.
        source: their CRS.
        target: the other one.

    Returns:
        Points and ring numbers, and which rings could not be brought.
    """
    transformer = _transformer(source.to_wkt(), target.to_wkt())

    def bring(these: Floats) -> Floats:
        return np.column_stack(transformer.transform(*these.T))

    def between(start: Floats, end: Floats) -> Floats:
        steps = end - start
        if target.is_geographic:
            steps[..., 0] -= 360 * np.round(steps[..., 0] / 360)
        return steps

    there = bring(points)
    bad = np.zeros(of_ring.max(initial=-1) + 1, dtype=bool)
    bad[of_ring[~_same_place(points, there, source, target)]] = True
    most = _tolerance(there, of_ring, target)
    # Edges that may be curved, by their first point.
    unsure = np.zeros(len(points), dtype=bool)
    unsure[:-1] = (of_ring[1:] == of_ring[:-1]) & ~bad[of_ring[1:]]
    for _ in range(ROUNDS):
        edges = np.flatnonzero(unsure)
        if not 0 < edges.size <= MOST_EDGES:
            break
        along = points[edges + 1] - points[edges]
        new = np.stack([points[edges] + along / 3, points[edges] + along * 2 / 3], axis=1)
        found = bring(new.reshape(-1, 2)).reshape(new.shape)
        chords = between(there[edges], there[edges + 1])
        off = _off(chords, between(there[edges][:, np.newaxis], found))
        bad[of_ring[edges[~np.isfinite(off)]]] = True
        curved = ~(off <= most[of_ring[edges]])
        unsure[edges[~curved]] = False
        after = np.repeat(edges[curved] + 1, 2)
        points = np.insert(points, after, new[curved].reshape(-1, 2), axis=0)
        there = np.insert(there, after, found[curved].reshape(-1, 2), axis=0)
        unsure = np.insert(unsure, after, [True])
        of_ring = np.insert(of_ring, after, of_ring[after - 1])
    bad[of_ring[unsure]] = True
    return there, of_ring, bad


def _off(chords: Floats, thirds: Floats) -> Floats:
    """Return how far the points that cut edges in three are from their chords.

    Args:
        chords: from an edge's first point to its last, (edges, 2).
        thirds: from its first point to those points, (edges, 2, 2).

    Returns:
        Of the farther one; the chord's length where they lie so unevenly that the edge may jump.
    """
    squared = np.maximum((chords**2).sum(axis=1), np.finfo(float).tiny)[:, np.newaxis]
    share = np.einsum("ei,eti->et", chords, thirds) / squared
    feet = np.clip(share, 0, 1)[..., np.newaxis] * chords[:, np.newaxis]
    off: Floats = np.hypot(*np.moveaxis(thirds - feet, -1, 0)).max(axis=1)
    uneven = (np.abs(share - [1 / 3, 2 / 3]) > UNEVEN).any(axis=1)
    length = np.sqrt(squared[:, 0])
    return np.where(uneven, np.maximum(off, length), off)


def _tolerance(there: Floats, of_ring: NDArray[np.int64], target: CRS) -> Floats:
    """Return how far the edges of each ring may be off, in units of the target CRS."""
    first = np.flatnonzero(np.diff(of_ring, prepend=-1))
    if not first.size:
        return np.empty(0)

    def extent(along: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            found: Floats = np.maximum.reduceat(along, first) - np.minimum.reduceat(along, first)
        return found

    across = extent(there[:, 0])
    if target.is_geographic:
        across = np.fmin(across, extent(there[:, 0] % 360))
    least = LEAST_OFF_DEGREES if target.is_geographic else LEAST_OFF
    return np.maximum(OFF * np.maximum(across, extent(there[:, 1])), least)


def _same_place(points: Floats, there: Floats, source: CRS, target: CRS) -> NDArray[np.bool_]:
    """Tell which points are the same on the globe: a projection folds over beyond its domain."""
    finite = np.isfinite(points).all(axis=1) & np.isfinite(there).all(axis=1)
    if not target.is_geographic:
        finite &= (np.abs(there) < FARTHEST).all(axis=1)
    one, other = (_on_globe(of, crs) for of, crs in ((points, source), (there, target)))
    same: NDArray[np.bool_] = finite & ((one * other).sum(axis=0) > _SAME)
    return same


def _on_globe(points: Floats, crs: CRS) -> Floats:
    """Return points as unit vectors, (3, points)."""
    lons, lats = points.T
    if not crs.is_geographic:
        lons, lats = to_lonlat(crs).transform(lons, lats)
    with np.errstate(invalid="ignore"):
        lon, lat = np.radians(lons), np.radians(lats)
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _unwrap(
    lons: Floats, of_ring: NDArray[np.int64], of_part: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Make longitudes run on over the antimeridian.

    Args:
        lons: of the points of rings, one after the other; none is half the globe from the next.
        of_ring: the number of each point's ring.
        of_part: the number of each ring's polygon, whose first ring is its outline.

    Returns:
        The longitudes, a hole's within those of its outline, and which rings run round a pole.
    """
    first = np.flatnonzero(np.diff(of_ring, prepend=-1))
    last = np.append(first[1:], len(lons)) - 1
    turns = np.cumsum(-np.round(np.diff(lons, prepend=lons[:1]) / 360))
    lons = lons + 360 * (turns - turns[first][of_ring])
    middles = np.array(
        [
            (lons[start : end + 1].min() + lons[start : end + 1].max()) / 2
            for start, end in zip(first, last, strict=True)
        ]
    )
    # Every outline about Greenwich, every hole about its outline.
    outlines = np.searchsorted(of_part, of_part)
    shift = -np.round(middles[outlines] / 360) + np.round((middles[outlines] - middles) / 360)
    return lons + 360 * shift[of_ring], np.abs(lons[last] - lons[first]) > 1
