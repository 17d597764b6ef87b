"""The report's maps: land cover, satellite image with training polygons, confidence."""

from collections.abc import Iterable, Mapping

import geopandas
import numpy as np
import rasterio
import shapely
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window
from shapely import box
from shapely.geometry.base import BaseGeometry
from shapely.plotting import patch_from_polygon

from landcover.classes import NODATA, Colour, colour, label_key
from landcover.geometry import reproject_rows
from landcover.grid import Bounds, Grid, grid_of
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.unseen import SIDE, Places
from landcover.report.cartography import (
    BORDER,
    DPI,
    EDGE,
    INK,
    TEXT,
    Frame,
    add_graticule,
    add_hatching,
    add_outline,
    add_scale_bar,
    new_map,
)
from landcover.report.true_colour import part_shown, true_colour
from landcover.report.wording import Wording

# Smaller polygons, in pixels of the picture, are shown as dots.
SMALLEST = 10

# Heights in pixels: of the space beneath the confidence map, and of the colour bar in it.
BAR_SPACE, BAR_HEIGHT = 100, 20

CONFIDENCE_COLOURS = "cividis"
UNSEEN_COLOURS = "YlOrBr"
UNKNOWN: Colour = (90, 90, 90)


def land_cover_map(path: str, area: BaseGeometry, frame: Frame, wording: Wording) -> Figure:
    """Draw a land-cover map in its classes' colours.

    Args:
        path: of a map of class codes in the frame's CRS, as GDAL opens it; its overviews are
            used.
        area: of interest, in that CRS.
        frame: of the picture.
        wording: of the scale bar and the coordinates.
    """
    return code_map(path, {code: colour(code) for code in range(NODATA)}, area, frame, wording)


def code_map(
    path: str, colours: Mapping[int, Colour], area: BaseGeometry, frame: Frame, wording: Wording
) -> Figure:
    """Draw a raster of codes in its own colours, hatched where it holds none.

    Args:
        path: of the raster in the frame's CRS, as GDAL opens it; its overviews are used.
        colours: of its codes; others are transparent.
        area: of interest, in that CRS.
        frame: of the picture.
        wording: of the scale bar and the coordinates.
    """
    figure, axes = new_map(frame)
    _add_codes(axes, path, area, frame, colours)
    return _finish(figure, axes, frame, area, wording)


def alert_map(
    path: str,
    alerts: geopandas.GeoDataFrame,
    colours: Mapping[int, Colour],
    area: BaseGeometry,
    frame: Frame,
    wording: Wording,
) -> Figure:
    """Draw a record of deforestation with its alerts.

    Args:
        path: of the raster in the frame's CRS, as GDAL opens it; its overviews are used.
        alerts: with `shade`, the colour of each.
        colours: of the raster's codes; others are transparent.
        area: of interest, in that CRS.
        frame: of the picture.
        wording: of the scale bar and the coordinates.
    """
    figure, axes = new_map(frame)
    _add_codes(axes, path, area, frame, colours)
    shown = alerts.set_geometry(reproject_rows(alerts.geometry, frame.crs))
    _add_outlines(axes, frame, shown.geometry, shown["shade"])
    return _finish(figure, axes, frame, area, wording)


def place_picture(
    mosaic: Mosaic, outline: BaseGeometry, shade: Colour, frame: Frame, wording: Wording
) -> Figure:
    """Draw the imagery of a small place in true colour, with an outline on it.

    Args:
        mosaic: the imagery.
        outline: in the mosaic's CRS.
        shade: of the outline.
        frame: of the picture.
        wording: of the scale bar.
    """
    figure = Figure(figsize=(frame.width / DPI, frame.height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    west, south, east, north = frame.bounds
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    add_hatching(axes, frame, box(*frame.bounds))
    _show(axes, true_colour(mosaic, box(*frame.bounds), frame), frame.bounds, "bilinear")
    _add_outlines(axes, frame, [outline], [shade])
    add_scale_bar(axes, frame, outline, wording)
    return figure


def _add_codes(
    axes: Axes, path: str, area: BaseGeometry, frame: Frame, colours: Mapping[int, Colour]
) -> None:
    """Draw a raster of codes, hatched where it holds none."""
    add_hatching(axes, frame, area)
    found = _read(path, frame, Resampling.mode)
    if found is not None:
        codes, bounds = found
        palette = np.zeros((256, 4), dtype=np.uint8)
        for code, shade in colours.items():
            palette[code] = (*shade, 255)
        _show(axes, palette[codes.filled(NODATA)], bounds)


def image_map(
    mosaic: Mosaic,
    polygons: geopandas.GeoDataFrame,
    names: Mapping[int, str],
    area: BaseGeometry,
    frame: Frame,
    wording: Wording,
) -> Figure:
    """Draw the imagery in true colour with the training polygons on it.

    Args:
        mosaic: the imagery.
        polygons: with `class_label`.
        names: the name of each class code.
        area: of interest, in the mosaic's CRS.
        frame: of the picture.
        wording: of the scale bar and the coordinates.
    """
    figure, axes = new_map(frame)
    add_hatching(axes, frame, area)
    _show(axes, true_colour(mosaic, area, frame), frame.bounds, "bilinear")
    add_outline(axes, frame, area, fade=True)
    shown = polygons.set_geometry(reproject_rows(polygons.geometry, frame.crs))
    _add_polygons(axes, frame, shown[~shown.is_empty], names)
    return _finish(figure, axes, frame, area, wording)


def confidence_map(path: str, area: BaseGeometry, frame: Frame, wording: Wording) -> Figure:
    """Draw a confidence map with its colour bar.

    Args:
        path: of a map of 0 to 100 in the frame's CRS, as GDAL opens it; its overviews are used.
        area: of interest, in that CRS.
        frame: of the picture.
        wording: of the scale bar, the colour bar and the coordinates.
    """
    figure, axes = new_map(frame, BAR_SPACE)
    add_hatching(axes, frame, area)
    shades = ScalarMappable(Normalize(0, 100), CONFIDENCE_COLOURS)
    found = _read(path, frame, Resampling.average)
    if found is not None:
        confidence, bounds = found
        _show(axes, shades.to_rgba(confidence, bytes=True), bounds)
    _add_colour_bar(figure, shades, wording.say("confidence_axis"))
    return _finish(figure, axes, frame, area, wording)


def unseen_map(
    places: Places, grid: Grid, area: BaseGeometry, frame: Frame, wording: Wording
) -> Figure:
    """Draw how much of each place lies outside of what the model has seen, with its colour bar.

    Args:
        places: one or more.
        grid: the mosaic's, in the frame's CRS.
        area: of interest, in that CRS.
        frame: of the picture.
        wording: of the scale bar, the colour bar and the coordinates.
    """
    figure, axes = new_map(frame, BAR_SPACE)
    add_hatching(axes, frame, area)
    rows, columns = (np.array(numbers) for numbers in zip(*places, strict=True))
    top, left = rows.min(), columns.min()
    shares = np.full((np.ptp(rows) + 1, np.ptp(columns) + 1), np.nan)
    looked_at, outside = np.array(list(places.values())).T
    shares[rows - top, columns - left] = 100 * outside / looked_at
    shades = ScalarMappable(Normalize(0, 100), UNSEEN_COLOURS)
    height, width = shares.shape
    bounds = grid.part(Window(left * SIDE, top * SIDE, width * SIDE, height * SIDE)).bounds
    _show(axes, shades.to_rgba(shares, bytes=True), bounds)
    _add_colour_bar(figure, shades, wording.say("unseen_axis"))
    return _finish(figure, axes, frame, area, wording)


def _read(
    path: str, frame: Frame, resampling: Resampling
) -> tuple[np.ma.MaskedArray[tuple[int, int], np.dtype[np.uint8]], Bounds] | None:
    """Return what a frame shows of a map, at the picture's size, and its bounds."""
    with rasterio.open(path) as dataset:
        part = part_shown(grid_of(dataset), frame)
        if part is None:
            return None
        values = dataset.read(
            1, window=part.window, out_shape=part.shape, resampling=resampling, masked=True
        )
    return values, part.bounds


def _show(
    axes: Axes, picture: NDArray[np.generic], bounds: Bounds, interpolation: str = "nearest"
) -> None:
    west, south, east, north = bounds
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(
        picture,
        extent=(west, east, south, north),
        interpolation=interpolation,
        aspect="auto",
        zorder=1,
    )
    axes.set(xlim=limits[0], ylim=limits[1])


def _finish(
    figure: Figure, axes: Axes, frame: Frame, area: BaseGeometry, wording: Wording
) -> Figure:
    add_outline(axes, frame, area)
    add_graticule(axes, frame, wording)
    add_scale_bar(axes, frame, area, wording)
    return figure


def _add_polygons(
    axes: Axes, frame: Frame, polygons: geopandas.GeoDataFrame, names: Mapping[int, str]
) -> None:
    codes = {label_key(name): code for code, name in names.items()}
    known = [codes.get(label_key(str(label))) for label in polygons["class_label"]]
    shades = [UNKNOWN if code is None else colour(code) for code in known]
    _add_outlines(axes, frame, polygons.geometry, shades)


def _add_outlines(
    axes: Axes, frame: Frame, shapes: Iterable[BaseGeometry], shades: Iterable[Colour]
) -> None:
    """Draw outlines, or dots where they are small, in their colours."""
    outlines, points = [], []
    for shape, parts in zip(shapes, shades, strict=True):
        shade = tuple(part / 255 for part in parts)
        west, south, east, north = shape.bounds
        if max(east - west, north - south) < SMALLEST * frame.unit:
            points.append((shape.representative_point(), shade))
        else:
            path = patch_from_polygon(shape).get_path()
            outlines += [(path, "white", 1.8), (path, shade, 0.9)]
    # In one piece each: to draw them one by one takes ten times as long.
    if outlines:
        paths, colours, widths = zip(*outlines, strict=True)
        lines = PathCollection(
            paths, edgecolors=colours, facecolors="none", linewidths=widths, zorder=4
        )
        lines.set(capstyle="butt", joinstyle="miter")
        axes.add_collection(lines, autolim=False)
    if points:
        places, colours = zip(*points, strict=True)
        x, y = shapely.get_coordinates(places).T
        axes.scatter(x, y, s=2.4**2, c=colours, edgecolors="white", linewidths=0.35, zorder=4)


def _add_colour_bar(figure: Figure, shades: ScalarMappable, label: str) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    inside = width - BORDER - EDGE
    place = (
        (BORDER + 0.15 * inside) / width,
        (BAR_SPACE - BAR_HEIGHT - 5) / height,
        0.7 * inside / width,
        BAR_HEIGHT / height,
    )
    bar = figure.colorbar(shades, cax=figure.add_axes(place), orientation="horizontal")
    bar.set_label(label, fontproperties=TEXT, color=INK, labelpad=1)
    bar.ax.tick_params(labelsize=TEXT.get_size_in_points(), length=2, width=0.4, pad=1, colors=INK)
    bar.outline.set(linewidth=0.4, edgecolor=INK)
