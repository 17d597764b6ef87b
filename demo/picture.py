"""A picture of the demo: imagery, truth, map and record of each month."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import matplotlib as mpl
import numpy as np
import rasterio
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rasterio.plot import plotting_extent

from demo.compare import read_codes
from demo.world import What, World
from landcover.change.record import LEGEND
from landcover.classes import FIXED_CODES, NODATA, Legend, legend_of
from landcover.imagery.mosaic import mosaic_of
from landcover.period import Period

BRIGHTEST = 2000  # reflectance x 10 000 shown as full brightness; forest is below 500

# The world has no sensor errors.
CLASSES = legend_of({code: name for name, code in FIXED_CODES.items() if name != "Sensor Error"})

STEP = 3  # every third pixel is drawn, which is as many as a panel has

POLYGONS = "yellow"
EVENTS = {What.CLEARING: "red", What.FIELD: "cyan", What.SHADOW: "magenta"}


@dataclass(frozen=True)
class Month:
    """The files of a month.

    Attributes:
        period: the month.
        quads: its imagery.
        truth: its true classes.
        map: its mapped classes.
        record: what is known of lost forest up to it.
    """

    period: Period
    quads: Sequence[Path]
    truth: Path
    map: Path
    record: Path


def draw_months(months: Sequence[Month], world: World, picture: Path) -> None:
    """Draw a column a month: imagery with the training polygons, truth, map and record.

    Args:
        months: in their order.
        world: that they are of.
        picture: the PNG to write.
    """
    mpl.use("agg")
    figure = Figure(figsize=(3.8 * len(months), 16), layout="constrained")
    without_ticks: dict[str, list[float]] = {"xticks": [], "yticks": []}
    axes = figure.subplots(4, len(months), squeeze=False, subplot_kw=without_ticks)
    with rasterio.open(months[0].map) as dataset:
        extent, crs = plotting_extent(dataset), dataset.crs
    area, polygons, events = (
        geopandas.read_file(path).to_crs(crs) for path in (world.aoi, world.polygons, world.events)
    )
    for month, column in zip(months, axes.T, strict=True):
        images: dict[str, NDArray[Any]] = {
            "imagery": _true_colour(_read(month.quads)),
            "truth": _coloured(month.truth, CLASSES),
            "map": _coloured(month.map, CLASSES),
            "record": _coloured(month.record, LEGEND),
        }
        for axis, (what, image) in zip(column, images.items(), strict=True):
            axis.imshow(image[::STEP, ::STEP], extent=extent, interpolation="none")
            area.boundary.plot(ax=axis, aspect=None, color="black", linewidth=1)
            axis.set_title(f"{month.period}: {what}")
        drawn = polygons[polygons["month"] == str(month.period)]
        drawn.boundary.plot(ax=column[0], aspect=None, color=POLYGONS, linewidth=0.6)
        for event in events[events["month"] == str(month.period)].itertuples():
            around = geopandas.GeoSeries([event.geometry.convex_hull.buffer(40)])
            for axis in column:
                around.boundary.plot(
                    ax=axis, aspect=None, color=EVENTS[What(event.what)], linewidth=1.2
                )
    for axis in axes.flat:
        axis.set(xlabel="", ylabel="")
    figure.legend(handles=_keys(), loc="outside lower center", ncols=8)
    figure.savefig(picture, dpi=100)


def _keys() -> list[Patch | Line2D]:
    """Return the keys of the picture's colours and lines."""
    lines = {"training polygons": POLYGONS} | {str(what): line for what, line in EVENTS.items()}
    return [
        *_patches("map", CLASSES),
        *_patches("record", LEGEND),
        *(Line2D([], [], color=colour, label=label) for label, colour in lines.items()),
    ]


def _patches(of: str, legend: Legend) -> list[Patch]:
    """Return the keys of a raster's classes."""
    return [
        Patch(facecolor=f"#{bytes(colour).hex()}", edgecolor="grey", label=f"{of}: {name}")
        for name, colour in zip(legend.names.values(), legend.colours.values(), strict=True)
    ]


def _read(quads: Sequence[Path]) -> NDArray[np.uint16]:
    """Return red, green and blue of quads, (bands, rows, columns)."""
    with TemporaryDirectory() as folder:
        mosaic = mosaic_of(quads, {"red": 3, "green": 2, "blue": 1}, Path(folder) / "quads.parquet")
        with mosaic.open() as reader:
            values = reader.read([3, 2, 1], mosaic.grid.whole).values
    return values.astype(np.uint16)


def _true_colour(values: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return an image (rows, columns, 3) of 0 to 1, brightened as an eye would like it."""
    return np.moveaxis(np.clip(values / BRIGHTEST, 0, 1) ** (1 / 1.6), 0, 2)


def _coloured(path: Path, legend: Legend) -> NDArray[np.uint8]:
    """Return a raster of codes as an image (rows, columns, 3)."""
    table = np.full((NODATA + 1, 3), 255, dtype=np.uint8)
    for code, colour in legend.colours.items():
        table[code] = colour
    return table[read_codes(path)]
