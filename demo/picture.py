"""A picture of the demo: imagery, truth and map of each month."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import matplotlib as mpl
import numpy as np
import rasterio
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rasterio.plot import plotting_extent

from demo.compare import read_codes
from landcover.classes import FIXED_CODES, NODATA, colour
from landcover.imagery.mosaic import mosaic_of

BRIGHTEST = 2000  # reflectance x 10 000 shown as full brightness; forest is below 500


def draw_months(
    months: Sequence[tuple[str, Sequence[Path], Path, Path]],
    aoi: Path,
    polygons: Path,
    picture: Path,
) -> None:
    """Draw a row a month: true colour with the training polygons, truth, and map.

    Args:
        months: of each month its name, its quads, its truth, its map.
        aoi: the area of interest.
        polygons: the training polygons, with a column `month`.
        picture: the PNG to write.
    """
    mpl.use("agg")
    figure = Figure(figsize=(15, 5.2 * len(months) + 0.6), layout="constrained")
    axes = figure.subplots(len(months), 3, squeeze=False, sharex=True, sharey=True)
    for (name, quads, truth, prediction), row in zip(months, axes, strict=True):
        with rasterio.open(prediction) as dataset:
            extent, crs = plotting_extent(dataset), dataset.crs
        row[0].imshow(_true_colour(_read(quads)), extent=extent)
        drawn = geopandas.read_file(polygons).to_crs(crs)
        drawn[drawn["month"] == name].boundary.plot(ax=row[0], color="yellow", linewidth=0.6)
        row[1].imshow(_coloured(read_codes(truth)), extent=extent, interpolation="none")
        row[2].imshow(_coloured(read_codes(prediction)), extent=extent, interpolation="none")
        outline = geopandas.read_file(aoi).to_crs(crs).boundary
        for axis, title in zip(row, ("imagery and training polygons", "truth", "map"), strict=True):
            outline.plot(ax=axis, color="black", linewidth=1.2)
            _dress(axis, f"{name}: {title}")
    shown = {code for *_, prediction in months for code in np.unique(read_codes(prediction))}
    classes = {name: code for name, code in FIXED_CODES.items() if code in shown}
    figure.legend(
        handles=[
            Patch(facecolor=_shade(code), edgecolor="grey", label=name)
            for name, code in classes.items()
        ],
        loc="outside lower center",
        ncols=len(classes),
    )
    figure.savefig(picture, dpi=100)


def _dress(axis: Axes, title: str) -> None:
    axis.set_title(title)
    axis.set(xticks=[], yticks=[], xlabel="", ylabel="")


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


def _coloured(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.full((NODATA + 1, 3), 255, dtype=np.uint8)
    for code in FIXED_CODES.values():
        table[code] = colour(code)
    return table[codes]


def _shade(code: int) -> tuple[float, float, float]:
    red, green, blue = colour(code)
    return red / 255, green / 255, blue / 255
