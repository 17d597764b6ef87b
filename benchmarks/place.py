"""A month to measure on: the real area of interest, on quads of NICFI's grid."""

from pathlib import Path

import geopandas
import pandas as pd
import rasterio
import rasterio.shutil
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from benchmarks.imagery import QUAD, realistic, write_quad
from demo.world import HALF_MERCATOR, RESOLUTION, World

SIDE = QUAD * RESOLUTION  # of a quad, in metres

# Quads with training polygons: enough for about 60 of each class.
LABELLED = 2

Name = tuple[int, int]  # column and row of a quad, from the south-west corner of Web Mercator


def quads_touching(area: BaseGeometry) -> list[Name]:
    """Return the quads that an area (EPSG:3857) touches."""
    west, south, east, north = area.bounds
    columns = range(int((west + HALF_MERCATOR) // SIDE), int((east + HALF_MERCATOR) // SIDE) + 1)
    rows = range(int((south + HALF_MERCATOR) // SIDE), int((north + HALF_MERCATOR) // SIDE) + 1)
    names = [(column, row) for column in columns for row in rows]
    shapely.prepare(area)
    return [name for name in names if shapely.intersects(area, shapely.box(*bounds(name)))]


def bounds(name: Name) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a quad in metres of EPSG:3857."""
    west, south = (number * SIDE - HALF_MERCATOR for number in name)
    return west, south, west + SIDE, south + SIDE


def write_month(
    folder: Path, world: World, names: list[Name], area: BaseGeometry, distinct: int = 4
) -> None:
    """Write a month of quads: a few images, and for each quad a small VRT of one of them.

    Args:
        folder: gets `quads/<column>-<row>.vrt` and `polygons.gpkg`.
        world: whose landscape and polygons the quads show.
        names: of the quads.
        area: of interest; polygons are drawn in the quads that lie farthest inside.
        distinct: how many images there are.
    """
    images = [
        write_quad(folder / "images" / f"{number}.tif", realistic(world, number), number, 0)
        for number in range(distinct)
    ]
    (folder / "quads").mkdir(parents=True)
    for number, name in enumerate(names):
        vrt = folder / "quads" / f"{name[0]}-{name[1]}.vrt"
        rasterio.shutil.copy(images[number % distinct], vrt, driver="VRT")
        west, _, _, north = bounds(name)
        with rasterio.open(vrt, "r+") as dataset:
            dataset.transform = rasterio.Affine(RESOLUTION, 0, west, 0, -RESOLUTION, north)
    inside = sorted(names[::distinct], key=lambda name: _area_outside(area, name))
    polygons = pd.concat([_polygons_of(world, name) for name in inside[:LABELLED]])
    polygons.to_file(folder / "polygons.gpkg")


def _area_outside(area: BaseGeometry, name: Name) -> float:
    quad = shapely.box(*bounds(name))
    return float(quad.difference(area).area)


def _polygons_of(world: World, name: Name) -> geopandas.GeoDataFrame:
    """Return the world's polygons, moved to where its landscape stands in a quad's upper left."""
    first = min((world.mosaic_dir / "2025" / "05").glob("*.tif"), key=_north_west)
    with rasterio.open(first) as dataset:
        left, top = dataset.bounds.left, dataset.bounds.top
    west, _, _, north = bounds(name)
    drawn = geopandas.read_file(world.polygons).to_crs("EPSG:3857")
    drawn = drawn[drawn["month"] == "2025-05"]
    moved = drawn.geometry.map(lambda shape: translate(shape, west - left, north - top))
    return drawn.assign(id=drawn["id"] + f" in {name[0]}-{name[1]}").set_geometry(moved)


def _north_west(path: Path) -> tuple[float, float]:
    with rasterio.open(path) as dataset:
        return dataset.bounds.left, -dataset.bounds.top
