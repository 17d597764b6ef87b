"""Another map of the place: which of its values are forest, and what it says of a grid's pixels."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.areas import areas_of
from landcover.errors import LandcoverError, SettingsError
from landcover.files import absolute
from landcover.grid import Grid, grid_of
from landcover.imagery.images import open_band, open_image
from landcover.listing import listed

# What a map says of a pixel.
NON_FOREST, FOREST, UNKNOWN = 0, 1, 2

States = NDArray[np.uint8]

# In pixels of the other map: places between which a line is drawn may be off by so much. GDAL's own
# eighth of a pixel of 30 m is nearly one of NICFI's.
TOLERANCE = 0.01

# So many values that were seen are kept, and so many are named.
SEEN, NAMED = 300, 12

_COMPARED: Mapping[str, Callable[[Any, float], Any]] = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    ">": np.greater,
    "<": np.less,
}
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_BOUND = re.compile(rf"\s*(>=|<=|>|<)\s*({_NUMBER})\s*")
_CODES = re.compile(r"\s*[-+]?\d+\s*(?:,\s*[-+]?\d+\s*)*")


@dataclass(frozen=True)
class ForestRule:
    """Which values of another map are forest: some codes, or all on one side of a bound.

    >>> read_rule("3, 4,5").holds(np.array([1, 3, 5])).tolist()
    [False, True, True]
    >>> read_rule(">=30").holds(np.array([29.9, 30, 100])).tolist()
    [False, True, True]
    """

    text: str
    """As it was written."""
    codes: frozenset[int] = frozenset()
    """None where there is a bound."""
    sign: str | None = None
    """`>=`, `<=`, `>` or `<`, before the bound."""
    bound: float = 0.0

    def holds(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which values are forest."""
        found: NDArray[np.bool_] = (
            _COMPARED[self.sign](values, self.bound)
            if self.sign
            else np.isin(values, sorted(self.codes))
        )
        return found


def read_rule(text: str) -> ForestRule:
    """Return the rule that a text is.

    Args:
        text: codes with commas between them, or a bound such as `>=30`.

    Raises:
        ValueError: if it is neither.
    """
    if bound := _BOUND.fullmatch(text):
        return ForestRule(text, sign=bound[1], bound=float(bound[2]))
    if _CODES.fullmatch(text):
        return ForestRule(text, codes=frozenset(map(int, text.split(","))))
    raise ValueError(
        "write the codes of forest with commas between them, such as 3,4,5,6, or a bound, such as "
        ">=30"
    )


def read_no_data(text: str) -> frozenset[int] | None:
    """Return the values that stand for no data; None for those that the file declares.

    Args:
        text: `declared`, `none`, or values with commas between them.

    Raises:
        ValueError: if it is none of these.
    """
    if text == "declared":
        return None
    if text == "none":
        return frozenset()
    if _CODES.fullmatch(text):
        return frozenset(map(int, text.split(",")))
    raise ValueError("write declared, none, or values with commas between them, such as 0,27")


@dataclass(frozen=True)
class OtherMap:
    """A raster of the place that somebody else made."""

    path: UPath
    band: int
    """Which of its bands, from 1."""
    forest: ForestRule
    no_data: frozenset[int] | None
    """The values that stand for no data, in place of what the file declares; None for that."""
    metres: float
    """The side of a square as large as one of its pixels, in the middle of the area."""


def find_other(
    path: UPath,
    band: int | None,
    forest: ForestRule,
    no_data: frozenset[int] | None,
    area: BaseGeometry,
    crs: str,
) -> OtherMap:
    """Return another map, made sure that it can be laid over an area.

    Args:
        path: of the raster.
        band: which of its bands; its only one if None.
        forest: which of its values are forest.
        no_data: which stand for no data; what the file declares if None.
        area: of interest.
        crs: of the area, as WKT.

    Raises:
        RasterioIOError: if GDAL cannot open it.
        SettingsError: if it has no such band, or several of which none is named.
        LandcoverError: if it does not say where it lies, or lies elsewhere.
    """
    with open_image(path) as dataset:
        if not dataset.crs or dataset.transform.is_identity:
            raise LandcoverError(
                f"{absolute(path)} does not say where it lies (coordinate reference system and "
                "position), so it cannot be laid over the map: write that into the file, for "
                "instance with `gdal_edit.py -a_srs EPSG:4326 -a_ullr WEST NORTH EAST SOUTH FILE`."
            )
        which = _band_of(dataset, band, absolute(path))
        _check_touches(dataset, area, crs, absolute(path))
        metres = pixel_metres(grid_of(dataset), area, crs)
    return OtherMap(path, which, forest, no_data, metres)


def _band_of(dataset: DatasetReader, band: int | None, name: str) -> int:
    bands = [
        number
        for number, shown in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if shown != ColorInterp.alpha
    ]
    if band is None and len(bands) == 1:
        return int(bands[0])
    if band is None:
        raise SettingsError(
            f"{name} has {len(bands)} bands, such as one for each year, and --band does not say "
            "which of them is compared: add --band and its number, from 1."
        )
    if band not in bands:
        raise SettingsError(
            f"--band names band {band}, but {name} has {len(bands)}: name one from 1 to "
            f"{len(bands)}."
        )
    return band


def _check_touches(dataset: DatasetReader, area: BaseGeometry, crs: str, name: str) -> None:
    """Make sure, before all of an area is read, that a raster has a part in it."""
    to_theirs = Transformer.from_crs(crs, dataset.crs.to_wkt(), always_xy=True)
    west, south, east, north = to_theirs.transform_bounds(*area.bounds)
    around = 0.0
    if dataset.crs.is_geographic:
        # Longitudes may run to 360, and the area may lie on the antimeridian.
        around, east = 360.0, east + 360 * (west > east)
    left, bottom, right, top = dataset.bounds
    bottom, top = min(bottom, top), max(bottom, top)
    across = any(west + turn < right and left < east + turn for turn in (-around, 0, around))
    if not (across and south < top and bottom < north):
        raise LandcoverError(
            f"{name} does not touch the area of interest: it lies between {left:.6g} and "
            f"{right:.6g}, {bottom:.6g} and {top:.6g} in {_name_of(dataset)}, and the area between "
            f"{west:.6g} and {east:.6g}, {south:.6g} and {north:.6g} there. Take the part of the "
            "other map that covers the area."
        )


def _name_of(dataset: DatasetReader) -> str:
    code = dataset.crs.to_epsg()
    return f"EPSG:{code}" if code else "its coordinate reference system"


def pixel_metres(theirs: Grid, area: BaseGeometry, crs: str) -> float:
    """Return the side of a square as large as a pixel in the middle of an area, in metres.

    Args:
        theirs: the grid of the pixel.
        area: of interest.
        crs: of the area, as WKT.
    """
    middle = area.envelope.centroid
    place = Transformer.from_crs(crs, theirs.crs, always_xy=True).transform(middle.x, middle.y)
    column, row = ~theirs.transform @ place
    return float(np.sqrt(areas_of(theirs, np.array([column]), np.array([row]))[0]))


def read_states(other: OtherMap, grid: Grid) -> tuple[States, frozenset[float]]:
    """Return what another map says of each pixel of a grid, by the pixel's centre.

    Args:
        other: the map, on whatever grid.
        grid: such as that of a window of this one.

    Returns:
        Whether it is forest, (rows, columns), and which values were seen; of many, or where the
        rule is a bound, at least the smallest and the largest.

    Raises:
        RasterioIOError: if it cannot be read.
    """
    with open_band(other.path, other.band, declared=other.no_data is None) as source:
        first, *others = (_warp(source, grid, turn) for turn in _turns(source))
    values, known = first[0], first[1] != 0
    for more, mask in others:
        values = np.where(known, values, more)
        known |= mask != 0
    if values.dtype.kind == "f":
        known &= ~np.isnan(values)
    if other.no_data:
        known &= ~np.isin(values, sorted(other.no_data))
    states = np.where(known, other.forest.holds(values), UNKNOWN).astype(np.uint8)
    return states, _seen(values[known], other.forest)


def _turns(dataset: DatasetReader) -> list[float]:
    """Return by how many degrees a raster is turned for its longitudes to be -180 to 180.

    GDAL does not look for a place at 280 where a projection says -80; a raster that runs from 0 to
    360 has parts of either kind.
    """
    if not dataset.crs.is_geographic:
        return [0.0]
    west, _, east, _ = dataset.bounds
    return [turn for turn in (0.0, -360.0, 360.0) if west + turn < 180 and east + turn > -180]


def _warp(source: DatasetReader, grid: Grid, turn: float) -> NDArray[Any]:
    with WarpedVRT(
        source,
        src_transform=Affine.translation(turn, 0) @ source.transform,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        resampling=Resampling.nearest,
        tolerance=TOLERANCE,
    ) as warped:
        both: NDArray[Any] = warped.read()
    return both


def _seen(values: NDArray[Any], rule: ForestRule) -> frozenset[float]:
    if not values.size:
        return frozenset()
    if rule.sign:
        return frozenset({float(values.min()), float(values.max())})
    found = np.unique(values)
    ours = found[np.isin(found, sorted(rule.codes))]
    return frozenset(map(float, (*ours, *found[:SEEN], found[-1])))


def check_seen(other: OtherMap, seen: frozenset[float]) -> list[int]:
    """Make sure that something of another map is forest; return its codes that do not occur.

    Args:
        other: the map.
        seen: its values in the area.

    Raises:
        LandcoverError: if it has no data there, or none of its values is forest.
    """
    name = absolute(other.path)
    if not seen:
        raise LandcoverError(
            f"{name} holds no data in the area of interest: look at it together with the map, and "
            "see with `gdalinfo` which value it declares as no data (--no_data none if that is a "
            "class)."
        )
    values = sorted(seen)
    if not other.forest.holds(np.array(values)).any():
        told = (
            f"from {values[0]:g} to {values[-1]:g}"
            if other.forest.sign
            else listed([f"{value:g}" for value in values], NAMED)
        )
        raise LandcoverError(
            f"Nothing of {name} in the area of interest is forest by --forest {other.forest.text}: "
            f"its values there are {told}. Look up which of them are forest in the legend of that "
            "map."
        )
    return sorted(other.forest.codes - seen)
