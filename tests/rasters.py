"""Small real GeoTIFFs for the tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from shapely import Polygon

from landcover.classes import legend_of
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.mosaic import mosaic_of as read_mosaic
from landcover.maps.layers import Layer

# Web Mercator near 0.3 N, 79.3 W, at NICFI's resolution.
RESOLUTION = 4.777314267823516
ORIGIN = Affine(RESOLUTION, 0, -8828000, 0, -RESOLUTION, 34000)


def write_raster(
    path: Path,
    values: NDArray[np.generic],
    *,
    transform: Affine = ORIGIN,
    crs: str | None = "EPSG:3857",
    nodata: float | None = None,
    alpha: NDArray[np.bool_] | None = None,
    mask: NDArray[np.bool_] | None = None,
    block: int = 256,
) -> Path:
    """Write a GeoTIFF of values (bands, rows, columns), with an alpha band or a mask if given."""
    count, height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            dtype=values.dtype,
            count=count + (alpha is not None),
            crs=crs,
            transform=transform,
            nodata=nodata,
            tiled=True,
            blockxsize=block,
            blockysize=block,
            compress="deflate",
            # Else GDAL takes the last of three or four bands of bytes for colour or alpha.
            photometric="minisblack",
        ) as dataset,
    ):
        dataset.write(values, list(range(1, count + 1)))
        if alpha is not None:
            dataset.colorinterp = [ColorInterp.gray] * count + [ColorInterp.alpha]
            dataset.write(alpha.astype(values.dtype) * np.iinfo(values.dtype).max, count + 1)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def moved(columns: int, rows: int) -> Affine:
    """Return the transform of a quad so many pixels right of and below the first."""
    return ORIGIN @ Affine.translation(columns, rows)


def random_values(
    shape: Sequence[int], seed: int = 0, dtype: str = "uint16"
) -> NDArray[np.generic]:
    """Return reflectances from 1 to 4999."""
    return np.random.default_rng(seed).integers(1, 5000, shape).astype(dtype)


def mosaic_of(
    quads: Sequence[Path], folder: Path, bands: Mapping[str, int] | None = None
) -> Mosaic:
    """Return files as the mosaic that the pipeline makes of them, its index in a folder."""
    bands = bands or {"blue": 1, "green": 2, "red": 3, "nir": 4}
    return read_mosaic(quads, bands, folder / "mosaic.parquet")


def class_layer(names: Mapping[int, str] | None = None) -> Layer:
    """Return a layer of classes."""
    return Layer("piece", "prediction_202506.tif", legend_of(names or {0: "Forest"}), "mode")


NUMBERS = Layer("confidence", "confidence_202506.tif", None, "mean")


def pixel_box(left: float, top: float, right: float, bottom: float, of: Affine = ORIGIN) -> Polygon:
    """Return a rectangle given in columns and rows of a grid."""
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Polygon([of @ corner for corner in corners])


def centres(height: int, width: int, of: Affine = ORIGIN) -> NDArray[np.object_]:
    """Return the centres of a grid's pixels as points, (rows, columns)."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return shapely.points(*(of @ (columns, rows)))
