"""What makes a picture a map: frame, graticule, scale bar and outlines."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from pyproj import Geod
from shapely.geometry.base import BaseGeometry
from shapely.plotting import patch_from_polygon

from landcover.geometry import difference, intersection, polygonal, to_lonlat
from landcover.grid import Bounds
from landcover.report.texts import FIXED
from landcover.report.wording import Wording

# The longest side of a map, and the width of one of two side by side, in pixels: on A4 they are
# then printed at 300 dots an inch.
LONGEST = 1500
COLUMN = 1000
DPI = 300

# A map whose width is more than this many times its height has a row of the page to itself.
WIDE = 1.5

# The largest ratio of the sides of a map: a long and thin area is shown with more around it.
SLIMMEST = 3

# The margin around an area, as a share of its larger side; and the size of a scale bar, as shares
# of the width and of the height of a map.
MARGIN = 0.025
LONGEST_BAR = 0.3
HIGHEST_BAR = 0.1

# Pixels around a map: on the left and below, where coordinates are written, and elsewhere.
BORDER = 44
EDGE = 8

# Coordinates are not written closer to a corner of a map than this, in pixels.
CORNER = 60

# How many points a line of the graticule has, because it is curved in most projections.
_POINTS = 50

INK = "#1f2a30"
TEXT = FontProperties(size=6.5)


@dataclass(frozen=True)
class Frame:
    """What a map shows, and how large its picture is."""

    crs: str
    """The coordinate reference system as WKT."""

    bounds: Bounds
    """West, south, east and north edge, in CRS units."""

    width: int
    """Of the picture, in pixels."""

    height: int
    """Of the picture, in pixels."""

    @property
    def unit(self) -> float:
        """The size of a pixel of the picture, in CRS units."""
        return (self.bounds[2] - self.bounds[0]) / self.width

    @property
    def wide(self) -> bool:
        """Whether it should be as wide as the page."""
        return self.width > WIDE * self.height

    @cached_property
    def metres(self) -> float:
        """True metres on the ground in a CRS unit from west to east, at the centre."""
        west, south, east, north = self.bounds
        step, middle = (east - west) / 100, (south + north) / 2
        start = (west + east) / 2
        lons, lats = to_lonlat(self.crs).transform([start, start + step], [middle, middle])
        _, _, distance = Geod(ellps="WGS84").inv(lons[0], lats[0], lons[1], lats[1])
        return float(distance) / step


def frame_around(area: BaseGeometry, crs: str) -> Frame:
    """Return the frame of a map that shows an area.

    Args:
        area: in the CRS.
        crs: as WKT.
    """
    west, south, east, north = area.bounds
    least = max(east - west, north - south) / SLIMMEST
    margin = MARGIN * max(east - west, north - south)
    half_width = max(east - west, least) / 2 + margin
    half_height = max(north - south, least) / 2 + margin
    x, y = (west + east) / 2, (south + north) / 2
    ratio = half_width / half_height
    most = LONGEST if ratio > WIDE else COLUMN
    width = round(min(most, LONGEST * ratio))
    return Frame(
        crs,
        (x - half_width, y - half_height, x + half_width, y + half_height),
        width,
        min(round(width / ratio), LONGEST),
    )


def new_map(frame: Frame, below: int = 0) -> tuple[Figure, Axes]:
    """Return an empty figure whose map has the size of its frame.

    Args:
        frame: of the map.
        below: pixels to leave free beneath it.
    """
    width, height = frame.width + BORDER + EDGE, frame.height + BORDER + EDGE + below
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    place = (
        BORDER / width,
        (BORDER + below) / height,
        frame.width / width,
        frame.height / height,
    )
    axes = figure.add_axes(place)
    west, south, east, north = frame.bounds
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])
    axes.spines[:].set(color=INK, linewidth=0.6)
    return figure, axes


def add_outline(axes: Axes, frame: Frame, area: BaseGeometry, *, fade: bool = False) -> None:
    """Draw the outline of the area of interest.

    Args:
        axes: of the map.
        frame: of the map.
        area: in the frame's CRS.
        fade: whether to make what lies outside paler.
    """
    shown = polygonal(area.simplify(frame.unit / 2))
    if fade:
        outside = difference(shapely.box(*frame.bounds), shown)
        axes.add_patch(
            patch_from_polygon(outside, facecolor="white", alpha=0.5, linewidth=0, zorder=2)
        )
    axes.add_patch(
        patch_from_polygon(shown, fill=False, edgecolor="black", linewidth=0.7, zorder=3)
    )


def add_hatching(axes: Axes, frame: Frame, area: BaseGeometry) -> None:
    """Hatch an area; it shows where nothing is drawn over it."""
    shown = polygonal(area.simplify(frame.unit / 2))
    axes.add_patch(
        patch_from_polygon(
            shown, facecolor="#fafafa", edgecolor="#b4b4b4", hatch="//////", linewidth=0, zorder=0
        )
    )


def add_scale_bar(axes: Axes, frame: Frame, area: BaseGeometry, wording: Wording) -> None:
    """Draw a bar of a round number of true metres on the ground, in the emptiest corner.

    A metre of Web Mercator is shorter than a true one, the more so the further from the equator.
    """
    west, _, east, _ = frame.bounds
    metres = round_down((east - west) * frame.metres * LONGEST_BAR)
    kilometres = metres >= 1000
    value = metres / 1000 if kilometres else metres
    decimals = max(0, -math.floor(math.log10(value)))
    bar = AuxTransformBox(axes.transData)
    bar.add_artist(Rectangle((0, 0), metres / frame.metres, frame.unit * 5, color=INK))
    text = f"{wording.number(value, decimals)}{FIXED}{'km' if kilometres else 'm'}"
    label = TextArea(text, textprops={"fontproperties": TEXT, "color": INK})
    packed = VPacker(children=[bar, label], align="center", pad=0, sep=2)
    box = AnchoredOffsetbox(
        _emptiest_corner(frame, area), child=packed, pad=0.5, borderpad=0.6, prop=TEXT
    )
    box.patch.set(facecolor="white", edgecolor="none", alpha=0.85)
    axes.add_artist(box)


def _emptiest_corner(frame: Frame, area: BaseGeometry) -> str:
    """Return the corner where a scale bar hides the least of an area."""
    west, south, east, north = frame.bounds
    across, up = (LONGEST_BAR + 0.05) * (east - west), HIGHEST_BAR * (north - south)
    corners = {
        "lower right": (east - across, south, east, south + up),
        "lower left": (west, south, west + across, south + up),
        "upper right": (east - across, north - up, east, north),
        "upper left": (west, north - up, west + across, north),
    }
    shown = area.simplify(frame.unit)
    return min(corners, key=lambda name: intersection(shown, shapely.box(*corners[name])).area)


def round_down(value: float) -> float:
    """Return the largest of ..., 0.2, 0.5, 1, 2, 5, 10, 20, ... that is at most a value."""
    power = float(10 ** math.floor(math.log10(value)))
    return max(step * power for step in (1, 2, 5) if step * power <= value)


def add_graticule(axes: Axes, frame: Frame, wording: Wording) -> None:
    """Draw meridians and parallels, and write their degrees at the left and lower edges."""
    west, south, east, north = frame.bounds
    edge = CORNER * frame.unit
    for meridian in (True, False):
        for degrees, xs, ys, decimals in _lines(frame, meridian=meridian):
            axes.plot(xs, ys, color=INK, linewidth=0.25, alpha=0.35, zorder=2)
            label = _degrees(degrees, decimals, wording, meridian=meridian)
            if meridian:
                at = np.interp(south, *_rising(ys, xs))
                if west + edge <= at <= east - edge:
                    _write(axes, label, (at, south), (0, -3), vertical=False)
            else:
                at = np.interp(west, *_rising(xs, ys))
                if south + edge <= at <= north - edge:
                    _write(axes, label, (west, at), (-3, 0), vertical=True)
    axes.set(xlim=(west, east), ylim=(south, north))


def _lines(
    frame: Frame, *, meridian: bool
) -> Iterator[tuple[float, NDArray[np.float64], NDArray[np.float64], int]]:
    """Yield each line's degrees, its points, and the decimals that tell lines apart."""
    west, south, east, north = to_lonlat(frame.crs).transform_bounds(*frame.bounds)
    if west > east:  # over the antimeridian
        east += 360
    low, high, start, end = (west, east, south, north) if meridian else (south, north, west, east)
    values = np.asarray(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    decimals = _decimals(values)
    along = np.linspace(start, end, _POINTS)
    for value in values[(values > low) & (values < high)]:
        line = np.full_like(along, value)
        lonlat = (line, along) if meridian else (along, line)
        xs, ys = to_lonlat(frame.crs).transform(*lonlat, direction="INVERSE")
        yield float(value), np.asarray(xs), np.asarray(ys), decimals


def _decimals(values: NDArray[np.float64]) -> int:
    """Return how many decimals evenly spaced values need, so that they are as far apart."""
    most = 1e-3 * abs(values[1] - values[0])
    return next(n for n in range(16) if np.abs(np.round(values, n) - values).max() <= most)


def _rising(
    along: NDArray[np.float64], across: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(along)
    return along[order], across[order]


def _degrees(value: float, decimals: int, wording: Wording, *, meridian: bool) -> str:
    negative, positive = ("west", "east") if meridian else ("south", "north")
    if value > 180:
        value -= 360
    number = wording.number(abs(value), decimals)
    if round(value, decimals) in (0, 180):
        return f"{number}°"
    return f"{number}°{FIXED}{wording.say(negative if value < 0 else positive)}"


def _write(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    offset: tuple[float, float],
    *,
    vertical: bool,
) -> None:
    axes.annotate(
        text,
        at,
        offset,
        textcoords="offset points",
        ha="right" if vertical else "center",
        va="center" if vertical else "top",
        rotation=90 if vertical else 0,
        fontproperties=TEXT,
        color=INK,
        path_effects=[withStroke(linewidth=1, foreground="white")],
        annotation_clip=False,
    )
