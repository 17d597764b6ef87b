"""Ground: training polygons that lie on the same ground, whatever their ids.

A polygon that was drawn twice, copied with a project, or drawn within another shows the same ground
as that other. If one of the two trained the model that predicts the other, validation would measure
memory.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landcover.notices import Notice

# The ids of polygons that lie on the same ground, a tuple for each ground of several polygons.
Together = tuple[tuple[str, ...], ...]

# Two polygons lie on the same ground if they have this share of the smaller one in common. Less is
# no sign of it in small or thin polygons, whose edges are much of them.
SHARED = 0.25

# Or if they have this share in common, and the common part is somewhere at least so many pixels
# wide. Neighbours that are digitised by hand overlap by a pixel or so along their borders, and such
# slivers must not chain all parcels of a map together. Under a hundredth lies too little to matter.
TOUCHED, WIDTH = 0.01, 2

# From this share of all polygons on it is told that some lie on the ground of others: a few may
# well overlap, but many are probably copies.
MANY = 0.1

# At most this many polygons are named in a notice.
SHOWN = 5


def same_ground(shapes: Sequence[BaseGeometry], pixel: float) -> list[NDArray[np.intp]]:
    """Find the polygons that lie on the same ground, directly or through others.

    Two do if they have a quarter of the smaller one in common, or a hundredth of it in a part that
    is two pixels wide. Neighbours that merely share a border, or slivers along it, do not.

    Args:
        shapes: polygons and multipolygons in the CRS of the mosaic; those that cannot be brought to
            it may have infinite coordinates.
        pixel: side of a pixel in that CRS, the smaller of the two.

    Returns:
        The numbers of the polygons of each ground that several share, rising.
    """
    finite = np.flatnonzero(np.isfinite(shapely.bounds(shapes)).all(axis=1))
    # What was valid before it was reprojected may not be so any more.
    valid = shapely.make_valid(np.asarray(shapes, dtype=object)[finite])
    one, other = shapely.STRtree(valid).query(valid, predicate="intersects")
    pairs = np.stack([one, other])[:, one < other]
    joined = pairs[:, _overlap(valid[pairs[0]], valid[pairs[1]], pixel)]
    members = pd.Series(finite).groupby(_linked(joined[0], joined[1], len(valid)))
    return [its.to_numpy() for _, its in members if len(its) > 1]


def _overlap(
    one: NDArray[np.object_], other: NDArray[np.object_], pixel: float
) -> NDArray[np.bool_]:
    """Tell which pairs of polygons have enough ground in common."""
    common = shapely.intersection(one, other)
    smaller = np.minimum(shapely.area(one), shapely.area(other))
    share = np.divide(shapely.area(common), smaller, where=smaller > 0, out=np.zeros(len(one)))
    enough: NDArray[np.bool_] = share >= SHARED
    doubtful = np.flatnonzero((share >= TOUCHED) & ~enough)
    # Of what is narrower, taking half the width off all round leaves nothing.
    cores = shapely.buffer(common[doubtful], -WIDTH * pixel / 2)
    enough[doubtful] = ~shapely.is_empty(cores)
    return enough


def joined(groups: Sequence[Sequence[str]]) -> Together:
    """Join the groups that have a polygon in common.

    >>> joined([("a", "b"), ("c", "d"), ("b", "e")])
    (('a', 'b', 'e'), ('c', 'd'))

    Args:
        groups: the ids of polygons that lie on the same ground.
    """
    ids = pd.Index(sorted({name for group in groups for name in group}), dtype=object)
    pairs = [(group[0], name) for group in groups for name in group]
    if not pairs:
        return ()
    one, other = (
        ids.get_indexer(pd.Index(names, dtype=object)) for names in zip(*pairs, strict=True)
    )
    ground = _linked(one, other, len(ids))
    return tuple(tuple(its) for _, its in ids.to_series().groupby(ground))


def _linked(one: NDArray[np.intp], other: NDArray[np.intp], count: int) -> NDArray[np.integer[Any]]:
    """Return a number for each of `count` things, the same for those that pairs link."""
    # Here, because they take a twelfth of the time in which a command starts.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    _, numbers = connected_components(links, directed=False)
    return np.asarray(numbers)


def ground_of(polygons: pd.Series, together: Together) -> pd.Series:
    """Return the ground of each sample: the id of its polygon, or of one that shares its ground.

    >>> ground_of(pd.Series(["a", "b", "c", "c"]), (("a", "c"),)).tolist()
    ['a', 'b', 'a', 'a']

    Args:
        polygons: the polygon id of each sample.
        together: the ids of polygons that lie on the same ground.
    """
    first = {name: min(ids) for ids in together for name in ids}
    return polygons.map(str).map(lambda name: first.get(name, name))


def ground_notices(polygons: pd.Series, codes: pd.Series, together: Together) -> tuple[Notice, ...]:
    """Return what is probably wrong with polygons that lie on the same ground.

    Args:
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        together: the ids of polygons that lie on the same ground.
    """
    notices = []
    classes = codes.groupby(polygons.map(str)).first()
    shared = list(chain.from_iterable(together))
    every = len(classes.index.union(shared))
    if len(shared) >= MANY * every and shared:
        values = {"count": len(shared), "polygons": every, "ids": ", ".join(together[0][:SHOWN])}
        notices.append(Notice("polygons_on_same_ground", values))
    labelled = [classes.reindex(ids).dropna().drop_duplicates() for ids in together]
    unlike = [found.index for found in labelled if len(found) > 1]
    if unlike:
        values = {"count": len(unlike), "ids": ", ".join(unlike[0][:SHOWN])}
        notices.append(Notice("unlike_on_same_ground", values))
    return tuple(notices)
