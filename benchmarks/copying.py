"""Copying: the limit of reading and writing that prediction is measured against."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import rasterio.shutil
import shapely
from rasterio.windows import Window
from shapely.geometry import Polygon, box

from landcover.grid import Bounds, Grid
from landcover.imagery.mosaic import Mosaic
from landcover.windows import BLOCK, plan_windows, split

WORKERS = 2

# GDAL's fastest, of DEFLATE.
LEVEL = 1


def copy(mosaic: Mosaic, folder: Path) -> Path:
    """Read the same bands and mask with the same threads, and write a uint8 COG of the size."""
    numbers = [*mosaic.bands.values(), len(mosaic.bands) + 1]
    _, windows = plan_windows(mosaic.grid, shapely.box(*mosaic.grid.bounds), WORKERS)

    def piece(window: Window) -> Path:
        path = folder / f"{window.col_off}_{window.row_off}.tif"
        place = mosaic.grid.part(window)
        with (
            mosaic.open() as reader,
            rasterio.open(
                path,
                "w",
                driver="GTiff",
                width=place.width,
                height=place.height,
                count=1,
                dtype="uint8",
                crs=place.crs,
                transform=place.transform,
                tiled=True,
                blockxsize=BLOCK,
                blockysize=BLOCK,
                compress="zstd",
                zstd_level=1,
            ) as out,
        ):
            for strip in split(window, BLOCK):
                values = reader.read(numbers, strip).values
                row = strip.row_off - window.row_off
                # A third of the values: about as many kinds of pixel as a map has classes.
                codes = (values[0] >> 9).astype(np.uint8)
                out.write(codes, 1, window=Window(0, row, strip.width, strip.height))
        return path

    with ThreadPoolExecutor(WORKERS) as pool:
        pieces = list(pool.map(piece, windows))
    index = write_tile_index(
        [str(path) for path in pieces],
        [mosaic.grid.part(window) for window in windows],
        mosaic.grid,
        folder / "copy.gti.gpkg",
    )
    rasterio.shutil.copy(
        index,
        folder / "copy.tif",
        driver="COG",
        compress="DEFLATE",
        level=LEVEL,
        blocksize=BLOCK,
        num_threads="ALL_CPUS",
    )
    return folder / "copy.tif"


def write_tile_index(
    locations: Sequence[str],
    grids: Sequence[Grid],
    whole: Grid,
    path: Path,
) -> str:
    """Write the index of rasters that lie on one grid.

    The grid is given in so many words, because worked out from the outlines it can be a pixel too
    wide, and GDAL rounds the size up from the edges, so the far edges are given half a pixel short.
    The outlines are drawn a quarter of a pixel inside the rasters: GDAL looks up by outline what a
    window needs, and where rounding makes a neighbour reach into it by a millionth of a pixel, GDAL
    3.10 leaves the whole window empty.

    Args:
        locations: what GDAL opens to read the rasters, from any folder.
        grids: the grid of each raster.
        whole: the grid of the raster that they make.
        path: the GeoPackage to write, ending in `.gti.gpkg`.

    Returns:
        What GDAL opens.
    """
    west, south, east, north = whole.bounds
    column, row = whole.transform.a, -whole.transform.e
    extent = {
        "RESX": column,
        "RESY": row,
        "MINX": west,
        "MINY": south + row / 2,
        "MAXX": east - column / 2,
        "MAXY": north,
    }
    outlines = geopandas.GeoDataFrame(
        {"location": list(locations)},
        geometry=[_outline(grid.bounds, column, row) for grid in grids],
        crs=whole.crs,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    outlines.to_file(
        path,
        driver="GPKG",
        layer="tiles",
        layer_metadata={name: repr(float(value)) for name, value in extent.items()},
    )
    return f"GTI:{path}"


def _outline(bounds: Bounds, column: float, row: float) -> Polygon:
    west, south, east, north = bounds
    return box(west + column / 4, south + row / 4, east - column / 4, north - row / 4)
