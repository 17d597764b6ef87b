"""The annual map: what it is made from, how a window of it is made, and what it holds."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.change.annual import (
    AnnualSettings,
    annual_classes,
    count_clear,
    translate,
)
from landcover.change.history import MappedMonth
from landcover.change.rule import FOREST, NON_FOREST
from landcover.classes import NODATA, Legend
from landcover.files import file_name
from landcover.grid import Grid
from landcover.imagery.images import gdal_path
from landcover.maps.layers import Layer
from landcover.maps.measure import measure_codes
from landcover.maps.regional import RegionalAreas
from landcover.notices import Notice
from landcover.period import CalendarYear, Period
from landcover.windows import BLOCK, pixels_inside, split, within

LEGEND = Legend(
    names={NON_FOREST: "Non-forest", FOREST: "Forest"},
    colours={NON_FOREST: (240, 228, 200), FOREST: (27, 120, 55)},
)

# Where the area of interest has no class, while hectares are counted.
NO_DATA = 254


@dataclass(frozen=True)
class AnnualPlan:
    """How the maps of a year are put together."""

    year: CalendarYear
    maps: tuple[MappedMonth, ...]
    """Of the months that have one, in their order."""
    says: tuple[tuple[int, ...], ...]
    """What each class code of each map says (see `landcover.change.rule.what_classes_say`)."""
    settings: AnnualSettings
    """The rule."""
    grid: Grid
    """Of all maps, and of what is made of them."""
    windows: tuple[Window, ...]
    """The parts of it that touch the area of interest."""
    factors: tuple[int, ...]
    """By how much each overview of a piece is coarser."""
    folder: UPath
    """Holds what is made."""

    @property
    def missing(self) -> list[Period]:
        """The months of the year without a map."""
        there = {month.period for month in self.maps}
        return [period for period in self.year.months if period not in there]

    @property
    def layers(self) -> tuple[Layer, Layer]:
        """The rasters: the classes, and how many months saw each pixel clear."""
        return (
            Layer("forest", file_name("forest", self.year), LEGEND, "mode"),
            Layer("clear_months", file_name("clear_months", self.year), None, "mode"),
        )

    def rasters(self) -> tuple[list[UPath], list[UPath]]:
        """Return the maps of the months, and those of their confidence where the rule reads it."""
        classes = [month.classes for month in self.maps]
        needs = self.settings.needs_confidence
        return classes, [month.confidence for month in self.maps] if needs else []

    def piece(self, layer: Layer, window: Window) -> UPath:
        """The file of a layer of a window."""
        return self.folder / f"{layer.key}_{window.col_off}_{window.row_off}.tif"


@dataclass(frozen=True)
class AnnualWindow:
    """What was found in a window of the annual map."""

    window: Window
    """Which pixels."""
    data: Mapping[str, int]
    """How many of them hold data, by the layer's key."""
    hectares: Mapping[int, float]
    """The true area of each class, and of `NO_DATA`, in the area of interest."""
    clear: Mapping[int, float]
    """True hectares by how many months saw them clear."""


@dataclass(frozen=True)
class FinishedYear:
    """An annual map, which waits in the work folder until it is recorded."""

    plan: AnnualPlan
    """What it was made from."""
    sha256: Mapping[str, str]
    """Of its rasters, by the layer's key."""
    hectares: Mapping[int, float]
    """The true area of each class, and of `NO_DATA`."""
    clear: Mapping[int, float]
    """True hectares by how many months saw them clear."""
    notices: tuple[Notice, ...] = ()
    """What is probably wrong with it."""
    regions: RegionalAreas | None = None
    """What it says of regions, where the settings name some."""

    @property
    def waiting(self) -> UPath:
        """The folder where its files wait, under their names."""
        return self.plan.folder


def annual_window(
    window: Window, plan: AnnualPlan, area: BaseGeometry
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put a window of a year's maps together.

    It is worked on in strips: beside the result, which takes 2 bytes a pixel, only one of them is
    in memory, with all of its months.

    Args:
        window: which pixels of the grid.
        plan: the maps and the rule.
        area: the area of interest, in the grid's CRS.

    Returns:
        `FOREST`, `NON_FOREST` or `NODATA`, and how many months saw each pixel clear, `NODATA`
        outside the area of interest; (rows, columns).

    Raises:
        RasterioIOError: if a map cannot be read.
    """
    shape = (window.height, window.width)
    forest, clear = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    months = [month.period.month for month in plan.maps]
    with ExitStack() as opened:
        both = [
            [opened.enter_context(rasterio.open(gdal_path(path))) for path in paths]
            for paths in plan.rasters()
        ]
        # The same memory for all strips: to be given it anew takes as long as to read a month.
        pixels = BLOCK * window.width
        buffers = [np.empty(len(rasters) * pixels, np.uint8) for rasters in both]
        for strip in split(window, BLOCK):
            codes, confidence = (
                _read(rasters, strip, buffer) for rasters, buffer in zip(both, buffers, strict=True)
            )
            said = codes.view(np.int8)
            for number, says in enumerate(plan.says):
                translate(codes[number], np.array(says, np.int8), said[number])
            inside = pixels_inside(area, strip, plan.grid.transform)
            place = within(strip, window)
            found = annual_classes(said, months, plan.settings, confidence)
            forest[place] = np.where(inside, found.reshape(inside.shape), NODATA)
            clear[place] = np.where(inside, count_clear(said).reshape(inside.shape), NODATA)
    return forest, clear


def _read(
    rasters: Sequence[DatasetReader], strip: Window, buffer: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the pixels of a strip of rasters, (rasters, pixels), in memory that is there."""
    pixels = strip.height * strip.width
    values = buffer[: len(rasters) * pixels].reshape(len(rasters), pixels)
    for number, raster in enumerate(rasters):
        raster.read(1, window=strip, out=values[number].reshape(strip.height, strip.width))
    return values


def measure_window(
    window: Window, grid: Grid, forest: NDArray[np.uint8], clear: NDArray[np.uint8]
) -> AnnualWindow:
    """Return what there is in a window of an annual map.

    Args:
        window: which pixels of the grid.
        grid: of the map.
        forest: see `annual_window`, as `clear`.
        clear: how many months saw each pixel clear.
    """
    part = grid.part(window)
    status = np.where((forest == NODATA) & (clear != NODATA), np.uint8(NO_DATA), forest)
    inside, hectares = measure_codes(status, part)
    seen, by_months = measure_codes(clear, part)
    data = {"forest": inside.total() - inside[NO_DATA], "clear_months": seen.total()}
    return AnnualWindow(window, data, hectares, by_months)
