"""Ground that a model has not seen the like of: values outside the range of its samples, by place.

A forest gives every pixel a class, also where it has nothing to go by. A place is a square of the
mosaic, some of whose pixels are looked at while they are predicted.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.windows import Window

from landcover.geometry import to_lonlat
from landcover.grid import Grid
from landcover.imagery.kernels import count_outside
from landcover.imagery.pixels import Mask, Values
from landcover.notices import Notice
from landcover.windows import split, within

# The side of a place in pixels, that of a tile of Planet's quads; and of its rows and columns, one
# in so many is looked at: shares need no more, and all would take a twentieth of the whole time.
SIDE = 256
STEP = 4

# The quantiles of samples that bound their range, and the share of pixels outside it that is too
# much. Measured on scenes and their own samples: 0.08 at most in one band (Costa Rica, 30 polygons
# of 4 pixels).
RANGE = [0.005, 0.995]
MOST_OUTSIDE = 0.25

# The share of the pixels in places of which too much is unseen, from which on it is told.
LEAST_TOLD = 0.01

# The lowest and the highest value of each band that samples show, by name.
Ranges = Mapping[str, tuple[float, float]]

# By row and column of each place: how many pixels were looked at, and how many of them hold a value
# outside the range of their band.
Places = Mapping[tuple[int, int], tuple[int, int]]


def ranges_of(samples: pd.DataFrame, bands: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the range of each band of samples, without the outermost half percent on both sides.

    Args:
        samples: with a column for each band.
        bands: their names.
    """
    low, high = samples[list(bands)].quantile(RANGE).to_numpy(np.float64).tolist()
    return dict(zip(bands, zip(low, high, strict=True), strict=True))


def limits_of(bands: Sequence[str], ranges: Ranges) -> NDArray[np.float64]:
    """Return the lowest and the highest value of bands in their order, (2, bands).

    Args:
        bands: their names.
        ranges: of these and of others.
    """
    return np.array([ranges[name] for name in bands], dtype=np.float64).T


def look(
    window: Window, values: Values, counted: Mask, limits: NDArray[np.float64]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Count the pixels of a window that lie outside the range of samples, by place (see `Places`).

    Args:
        window: which pixels of the mosaic.
        values: of its bands, (bands, rows, columns).
        counted: which pixels to look at, (rows, columns).
        limits: see `limits_of`.
    """
    found = {}
    for square in split(window, SIDE, SIDE):
        place = within(square, window)
        looked_at, outside = count_outside(values[:, *place], counted[place], limits, STEP)
        if looked_at:
            found[square.row_off // SIDE, square.col_off // SIDE] = (looked_at, outside)
    return found


def share_outside(places: Places) -> float:
    """Return the share of the pixels of all places that lie outside the range, 0 to 1."""
    looked_at, outside = np.sum([*places.values(), (0, 0)], axis=0)
    return float(outside) / max(int(looked_at), 1)


def share_unseen(places: Places) -> float:
    """Return the share of the pixels that lie in places of which too much is unseen, 0 to 1."""
    strange = {place: found for place, found in places.items() if is_unseen(*found)}
    looked_at = sum(pixels for pixels, _ in places.values())
    return sum(pixels for pixels, _ in strange.values()) / max(looked_at, 1)


def is_unseen(looked_at: int, outside: int) -> bool:
    """Tell whether too much of a place lies outside the range of the samples."""
    return outside > MOST_OUTSIDE * looked_at


def unseen_notices(places: Places, grid: Grid) -> tuple[Notice, ...]:
    """Return what is to be told of places that a model has not seen the like of.

    Args:
        places: of a map.
        grid: the mosaic's.
    """
    share = share_unseen(places)
    if share < LEAST_TOLD:
        return ()
    # The place with the most of it, which is not one that the area of interest only touches.
    place = max(places, key=lambda place: (places[place][1], place))
    return (Notice("unseen_places", {"share": share, "where": _where(place, grid)}),)


def _where(place: tuple[int, int], grid: Grid) -> str:
    """Return longitude and latitude of the middle of a place, such as "-79.28, 0.36"."""
    row, column = ((number + 0.5) * SIDE for number in place)
    transformer: Transformer = to_lonlat(grid.crs)
    longitude, latitude = transformer.transform(*(grid.transform @ (column, row)))
    return f"{longitude:.2f}, {latitude:.2f}"
