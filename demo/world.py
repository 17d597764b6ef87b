"""A small, believable world for the demo, the tests and the benchmarks.

Monthly mosaics of one landscape on the frontier of the lowland forest of western Ecuador: a river
and its tributaries, roads with farms along them, and clouds with their shadows. Over the months two
pieces of forest are cleared. Fields go from green to bare and back, and once the shadow of a cloud
lies on the forest like a burn: nothing has fallen there. Everything follows from one seed.

Inside this module a position is (row, column) in pixels, row 0 in the north.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TypeVar

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
import shapely
from rasterio import warp
from rasterio.enums import ColorInterp
from rasterio.features import rasterize, shapes
from rasterio.transform import Affine
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from scipy import fft, ndimage, special
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Delaunay, KDTree

from landcover.classes import FIXED_CODES, NODATA
from landcover.period import Period

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Uint16s = npt.NDArray[np.uint16]
Shape = TypeVar("Shape", bound=shapely.Geometry)

MAY = Period(2025, 5)
JUNE = Period(2025, 6)
MONTHS = (MAY, JUNE)

# The square of web Mercator and its zoom level 15, the grid of Planet's basemaps:
# https://developers.planet.com/docs/data/visual-basemaps/
HALF_MERCATOR = 20_037_508.342789244
RESOLUTION = 2 * HALF_MERCATOR / 2**23
SOUTH_WEST = (-79.3, 0.3)
OPAQUE = 65_535

MAP_CRS = "EPSG:3857"
LONLAT = "EPSG:4326"
POLYGON_LAYER = "training_polygons"
MOSAIC_PATTERN = "{year}/{month:02d}/*.tif"
BANDS = ("blue", "green", "red", "nir")

TIFF_PROFILE = {
    "driver": "GTiff",
    "crs": MAP_CRS,
    "tiled": True,
    "blockxsize": 256,
    "blockysize": 256,
    "compress": "deflate",
    "num_threads": "all_cpus",
}

# Lengths in pixels.
PIXELS = Affine.identity()
NODE_SPACING = 12
RIVER_INFLOW = 40_000
STREAM_FLOW = 1_200
LAKES = 3
TOWN_RADIUS = 38
PARCELS = 65_536
HIGHWAY_TRAFFIC = 1000
POINT_SPREAD = 0.6
MIN_RADIUS, MAX_RADIUS = 6, 17

FOREST_SHARE = 0.55
CLOUD_SHARE = 0.075
HAZE_SHARE = 0.04
HAZE_OPACITY = 0.12
POLYGONS_PER_CLASS = (28, 36)

# Towards the sun: east, north, up, as it stands over the equator at half past ten in June.
SUN_DIRECTION = (0.35, 0.40, 0.85)
CLOUD_BASE = 600  # metres

# What happens, in months after the first. Of the clearings, the first falls as soon as a record of
# deforestation can know that there was forest, which takes it two clear months; it takes it three
# to be sure that there is none.
CLEARINGS = (20, 12)  # hectares, of one month each
FIRST_CLEARING = 2
CLEAR_BEFORE, CLEAR_AFTER = 2, 3
SHADOW_MONTH = 3
SHADOW_HECTARES = 5
SHADOW_AWAY = 120  # pixels from the clearings, which its cloud shall not hide
BARE_MONTHS = 3

# Fractions of the extent, x to the east and y to the north. The south-western quad of nine stays
# outside, and the main part reaches into the corner that no orbit covers.
AOI_PARTS = (
    (
        (0.05, 0.44), (0.09, 0.58), (0.04, 0.74), (0.11, 0.89), (0.24, 0.95), (0.38, 0.91),
        (0.47, 0.96), (0.66, 0.93), (0.81, 0.95), (0.93, 0.83), (0.95, 0.66), (0.89, 0.52),
        (0.92, 0.43), (0.78, 0.37), (0.70, 0.22), (0.61, 0.18), (0.55, 0.06), (0.43, 0.05),
        (0.37, 0.17), (0.39, 0.34), (0.27, 0.42), (0.15, 0.39),
    ),
    ((0.79, 0.22), (0.88, 0.25), (0.95, 0.19), (0.93, 0.09), (0.84, 0.06), (0.78, 0.12)),
)  # fmt: skip

# Parishes of the world, likewise. Their border is slanted; the second goes on beyond the extent.
PARISHES = {
    "Caña Brava": ((0.02, 0.02), (0.52, 0.02), (0.68, 0.98), (0.02, 0.98)),
    "Estero Hondo": ((0.52, 0.02), (1.3, 0.02), (1.3, 0.98), (0.68, 0.98)),
}


class Cover(IntEnum):
    """What the ground is made of, finer than the classes of the map."""

    FOREST = 0
    PASTURE = 1
    CROP = 2
    PALM = 3
    SOIL = 4
    TOWN = 5
    ROAD = 6
    SAND = 7
    SLASH = 8
    WATER = 9


# Reflectance x 10 000 in blue, green, red, near infrared; standard deviation of texture, and how
# much relief and vigour change the reflectance.
SURFACES = {
    Cover.FOREST: (250, 450, 280, 3000, 0.12, 0.7, 0.3),
    Cover.PASTURE: (480, 780, 750, 3100, 0.08, 0.6, 1.0),
    Cover.CROP: (420, 740, 560, 3500, 0.08, 0.5, 1.0),
    Cover.PALM: (330, 600, 440, 3250, 0.11, 0.6, 0.5),
    Cover.SOIL: (720, 1060, 1500, 2350, 0.10, 0.5, 1.0),
    Cover.TOWN: (1150, 1350, 1550, 2250, 0.15, 0.3, 0.0),
    Cover.ROAD: (1000, 1300, 1650, 2250, 0.08, 0.3, 0.0),
    Cover.SAND: (1050, 1350, 1600, 2050, 0.08, 0.2, 0.0),
    Cover.SLASH: (600, 820, 1150, 1850, 0.20, 0.6, 0.5),
    Cover.WATER: (360, 370, 250, 200, 0.05, 0.0, 0.0),
}
_SURFACE_TABLE = np.array([SURFACES[cover] for cover in Cover], dtype=np.float32)
SPECTRA = _SURFACE_TABLE[:, : len(BANDS)]
TEXTURE, RELIEF, VIGOUR = _SURFACE_TABLE[:, len(BANDS) :].T

# Relative change from the first month, when the rains end, to the last: grass dries, fields ripen.
DRYING = np.zeros_like(SPECTRA)
DRYING[Cover.PASTURE] = (0.03, 0.02, 0.10, -0.06)
DRYING[Cover.CROP] = (0.05, 0.02, 0.12, -0.08)
GREENING = np.array([-0.10, -0.06, -0.20, 0.12], dtype=np.float32)
SEDIMENT = np.array([60, 120, 140, 40], dtype=np.float32)
CLOUD_TOP = np.array([7000, 6900, 7000, 7400], dtype=np.float32)
# In shadow only the light of the sky is left, and that is blue.
SKYLIGHT = np.array([0.50, 0.44, 0.40, 0.36], dtype=np.float32)

FARM_USES = (Cover.PASTURE, Cover.CROP, Cover.PALM, Cover.SOIL)
FARM_SHARES = (0.64, 0.17, 0.09, 0.10)
TOWN_USES = (Cover.TOWN, Cover.SOIL, Cover.PASTURE)
TOWN_SHARES = (0.50, 0.15, 0.35)


@dataclass(frozen=True)
class World:
    """Where the files of a generated world lie.

    Attributes:
        mosaic_dir: folder of the quads.
        mosaic_pattern: where a month's quads are in it, as the setting `MOSAIC_PATTERN` has it.
        polygons: GeoPackage with the layer `training_polygons`, EPSG:4326.
        aoi: GeoJSON of the area of interest, EPSG:4326.
        regions: GeoJSON of the parishes, EPSG:4326: column `nombre`.
        months: of each mosaic.
        truth: per month a GeoTIFF of class codes (uint8, nodata 255) over the whole extent.
        events: GeoPackage of what happens, EPSG:4326: columns `what` (see `What`) and `month`.
    """

    mosaic_dir: Path
    mosaic_pattern: str
    polygons: Path
    aoi: Path
    regions: Path
    months: tuple[Period, ...]
    truth: Mapping[Period, Path]
    events: Path


@dataclass(frozen=True)
class Grid:
    """The pixels of the extent: quads of the basemap's grid around `SOUTH_WEST`."""

    size: int
    quad_size: int

    @property
    def first_quad(self) -> tuple[int, int]:
        """Column and row (from the south) of the south-western quad."""
        (x,), (y,) = warp.transform(LONLAT, MAP_CRS, [SOUTH_WEST[0]], [SOUTH_WEST[1]])
        width = self.quad_size * RESOLUTION
        return int((x + HALF_MERCATOR) // width), int((y + HALF_MERCATOR) // width)

    @property
    def transform(self) -> Affine:
        """From (column, row) of a pixel's corner to EPSG:3857."""
        column, row = (quad * self.quad_size * RESOLUTION for quad in self.first_quad)
        north = row + self.size * RESOLUTION
        return Affine(RESOLUTION, 0, column - HALF_MERCATOR, 0, -RESOLUTION, north - HALF_MERCATOR)

    def quads(self) -> Iterator[tuple[str, Window]]:
        """Yield the name and the window of each quad."""
        column, row = self.first_quad
        count = self.size // self.quad_size
        for down, right in np.ndindex(count, count):
            window = Window(
                right * self.quad_size, down * self.quad_size, self.quad_size, self.quad_size
            )
            yield f"{column + right}-{row + count - 1 - down}", window


@dataclass(frozen=True)
class Land:
    """The ground in one month, arrays of (size, size).

    Attributes:
        cover: codes of `Cover`.
        vigour: how green it is, from -1 to 1; one value all over a field.
        texture: crowns, tussocks and furrows; standard deviation 1.
        illumination: sunlight on the slope, 1 on level ground.
    """

    cover: Bytes
    vigour: Floats
    texture: Floats
    illumination: Floats


@dataclass(frozen=True)
class Sky:
    """What a month's clouds do to the light, arrays of (size, size) from 0 to 1."""

    opacity: Floats
    shadow: Floats


class What(StrEnum):
    """What happens on the ground, or seems to."""

    CLEARING = "clearing"
    FIELD = "field"
    SHADOW = "shadow"


@dataclass(frozen=True)
class Event:
    """Something that happens.

    Attributes:
        what: it is.
        month: when it happens, in months after the first.
        place: where, (size, size).
    """

    what: What
    month: int
    place: Mask


@dataclass(frozen=True)
class Graph:
    """A triangulation of scattered points: (n, 2) positions and (m, 2) numbers of points."""

    points: Points
    edges: Ints


@dataclass(frozen=True)
class Routes:
    """The segments of a tree of paths: (n, 2, 2) positions, and the flow through each, (n,)."""

    segments: Points
    flow: Points


def build_world(
    folder: Path,
    *,
    size: int = 1536,
    quad_size: int = 512,
    seed: int = 7,
    months: Sequence[Period] = MONTHS,
    without_polygons: Collection[Period] = (),
) -> World:
    """Generate the world and write its files.

    Args:
        folder: where the files go; it is made if missing.
        size: width and height of the extent in pixels of 4.78 m; a multiple of `quad_size`,
            at least 640.
        quad_size: width and height of a quad in pixels; a power of two.
        seed: the same seed gives the same pixels and polygons.
        months: two or more, in a row. What is felled can be confirmed after six.
        without_polygons: months of which nobody has drawn training polygons.

    Raises:
        ValueError: if the extent does not divide into quads of the grid, or is too small.
    """
    if size % quad_size or quad_size & (quad_size - 1) or size < 640:
        raise ValueError(
            f"The world's size is {size}, its quads' {quad_size} pixels: take a power of two for "
            "the quads and a multiple of it, from 640 up, for the world."
        )
    land_rng, events_rng, *rngs = np.random.default_rng(seed).spawn(2 + len(months))
    grid = Grid(size, quad_size)
    aoi = area_of_interest(grid)
    inside = burn([aoi], size, grid.transform)

    land = make_land(land_rng, size)
    skies = [make_sky(rng, size) for rng in rngs]
    seen = imagery_mask(size)
    clear = [inside & seen & clear_sky(sky) for sky in skies]
    covers, events = change_land(events_rng, land, clear)
    if len(months) > SHADOW_MONTH:
        shadow = place_shadow(events_rng, covers[-1], clear)
        skies[SHADOW_MONTH] = with_cloud(skies[SHADOW_MONTH], shadow.place)
        events.append(shadow)

    world = World(
        mosaic_dir=folder / "mosaic",
        mosaic_pattern=MOSAIC_PATTERN,
        polygons=folder / f"{POLYGON_LAYER}.gpkg",
        aoi=folder / "aoi.geojson",
        regions=folder / "parishes.geojson",
        months=tuple(months),
        truth={month: folder / "truth" / f"{month}.tif" for month in months},
        events=folder / "truth" / "events.gpkg",
    )
    drawn = []
    dryness = np.linspace(0, 1, len(months)).tolist()
    for month, rng, cover, sky, dry in zip(months, rngs, covers, skies, dryness, strict=True):
        bands = observe(rng, replace(land, cover=cover), sky, dry)
        write_quads(world.mosaic_dir / f"{month.year}" / f"{month.month:02d}", bands, seen, grid)
        codes = label(cover, sky, seen)
        write_truth(world.truth[month], codes, grid)
        if month not in without_polygons:
            drawn.append(draw_polygons(rng, np.where(inside, codes, NODATA), month, grid))
    write_vectors(world, drawn, aoi, parishes(grid))
    write_events(world, events, grid)
    return world


# Fields


def power_law_noise(
    rng: np.random.Generator, size: int, *, longest: float, slope: float = 1.8
) -> Floats:
    """Return a random field with the spectrum of natural surfaces, (size, size).

    Spectral synthesis: the amplitude of white noise is made to fall with frequency (Saupe in
    "The Science of Fractal Images", 1988).

    Args:
        rng: source of the white noise.
        size: width and height in pixels.
        longest: wavelength in pixels from which on the spectrum is flat.
        slope: by which power the amplitude falls; higher is smoother.

    Returns:
        The field with mean 0 and standard deviation 1.
    """
    white = rng.standard_normal((size, size), dtype=np.float32)
    frequency = np.hypot(fft.fftfreq(size)[:, np.newaxis], fft.rfftfreq(size))
    amplitude = np.maximum(frequency, 1 / longest).astype(np.float32) ** -slope
    field: Floats = fft.irfft2(fft.rfft2(white, workers=2) * amplitude, s=white.shape, workers=2)
    field -= field.mean()
    field /= field.std()
    return field


def burn(shapes: Iterable[shapely.Geometry], size: int, transform: Affine = PIXELS) -> Mask:
    """Return the pixels whose centres lie inside any of the shapes, (size, size)."""
    burnt: Bytes = rasterize(shapes, (size, size), transform=transform, dtype="uint8")
    return burnt.astype(bool)


def distance_to(mask: Mask) -> Floats:
    """Return the distance of each pixel to the mask in pixels."""
    distance: Floats = ndimage.distance_transform_edt(~mask).astype(np.float32)
    return distance


def bend(codes: Bytes, rng: np.random.Generator, *, amplitude: float, longest: float) -> Bytes:
    """Make the outlines of areas irregular by displacing pixels by a smooth random field."""
    size = len(codes)
    shifts = [amplitude * power_law_noise(rng, size, longest=longest, slope=2.4) for _ in range(2)]
    source = [index + shift for index, shift in zip(np.indices(codes.shape), shifts, strict=True)]
    bent: Bytes = ndimage.map_coordinates(codes, source, order=0, mode="nearest")
    return bent


def sample(field: Floats, points: Points) -> Floats:
    """Return the field's values at positions (..., 2); outside, those at its border."""
    row, column = np.moveaxis(np.clip(points, 0, len(field) - 1).astype(int), -1, 0)
    values: Floats = field[row, column]
    return values


# Paths of water and of people


def scatter_graph(rng: np.random.Generator, size: int) -> Graph:
    """Triangulate points scattered over the extent and a little beyond it.

    Paths over it wander, where those over a grid of pixels would show its eight directions.
    """
    axis = np.arange(-4 * NODE_SPACING, size + 4 * NODE_SPACING, NODE_SPACING)
    lattice = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    points = lattice + rng.uniform(-0.45, 0.45, lattice.shape) * NODE_SPACING
    triangles = Delaunay(points).simplices
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return Graph(points, np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64))


def least_cost_tree(graph: Graph, cost: Floats, root: int, load: Points) -> Routes:
    """Lead a load from every point to the root along paths of least cost.

    Args:
        graph: the points and the steps between them.
        cost: of a pixel's way at each point, (n,).
        root: number of the point where all paths end.
        load: what sets out from each point, (n,).

    Returns:
        The steps that anything passes.
    """
    start, end = graph.edges.T
    length = np.linalg.norm(graph.points[start] - graph.points[end], axis=1)
    weight = length * (cost[start] + cost[end]) / 2
    count = len(graph.points)
    steps = coo_array((weight, (start, end)), shape=(count, count)).tocsr()
    effort, onward = dijkstra(steps, directed=False, indices=root, return_predecessors=True)

    flow = load.copy()
    farthest_first = np.argsort(-effort)[:-1]
    for point in farthest_first:
        flow[onward[point]] += flow[point]
    used = farthest_first[flow[farthest_first] > 0]
    points = smooth_tree(graph.points, used, onward[used])
    return Routes(np.stack([points[used], points[onward[used]]], axis=1), flow[used])


def smooth_tree(points: Points, used: Ints, onward: Ints) -> Points:
    """Draw every point of a tree toward the middle of its neighbours, so that paths curve."""
    smooth = points.copy()
    for _ in range(4):
        total = smooth.copy()
        weight = np.ones((len(points), 1))
        for here, there in ((used, onward), (onward, used)):
            np.add.at(total, here, smooth[there])
            np.add.at(weight, here, 1)
        smooth = total / weight
    return smooth


def strips(segments: Points, width: Points) -> Iterable[shapely.Geometry]:
    """Return segments as areas of a width in pixels; in x, y, as pixels are burnt."""
    areas: Iterable[shapely.Geometry] = shapely.buffer(
        shapely.linestrings(segments[..., ::-1]), width / 2
    )
    return areas


def nearest_point(graph: Graph, position: tuple[float, float]) -> int:
    """Return the number of the graph's point that is nearest to a position."""
    return int(np.argmin(np.linalg.norm(graph.points - position, axis=1)))


def trace_rivers(rng: np.random.Generator, graph: Graph, relief: Floats) -> Routes:
    """Return the streams that run to the western border, the flow in points that they drain.

    A large river comes in from the Andes in the east.
    """
    size = len(relief)
    obstacles = 1.3 * sample(relief, graph.points) + 0.7 * rng.standard_normal(len(graph.points))
    load = np.ones(len(graph.points))
    load[nearest_point(graph, (0.42 * size, size + 2 * NODE_SPACING))] = RIVER_INFLOW
    outlet = nearest_point(graph, (0.62 * size, -2 * NODE_SPACING))
    rivers = least_cost_tree(graph, np.exp(obstacles), outlet, load)
    streams = rivers.flow > STREAM_FLOW
    return Routes(rivers.segments[streams], rivers.flow[streams])


def draw_water(
    rng: np.random.Generator, graph: Graph, rivers: Routes, relief: Floats
) -> tuple[Mask, Mask]:
    """Return the water, and the bed of the large river that is dry here and there."""
    size = len(relief)
    # Hydraulic geometry: width grows with the root of discharge (Leopold and Maddock 1953).
    width = 0.09 * np.sqrt(rivers.flow)
    lakes = place_lakes(rng, graph, rivers, relief)
    large = width > 8
    water = burn([*strips(rivers.segments, width), *strips(lakes, np.full(len(lakes), 38))], size)
    bed = burn(strips(rivers.segments[large], 1.8 * width[large]), size)
    both = bend(np.where(water, 2, bed).astype(np.uint8), rng, amplitude=10, longest=130)
    dry = (both == 1) & (power_law_noise(rng, size, longest=70) > 0.6)
    return both == 2, dry


def place_lakes(rng: np.random.Generator, graph: Graph, rivers: Routes, relief: Floats) -> Points:
    """Return the axes of lakes, (n, 2, 2), in low places near the rivers."""
    size = len(relief)
    away, _ = KDTree(rivers.segments.mean(axis=1)).query(graph.points)
    central = np.all(np.abs(graph.points - size / 2) < 0.4 * size, axis=1)
    shores = graph.points[central & (away > 45) & (away < 120)]
    lowest = shores[np.argsort(sample(relief, shores))]
    apart: list[int] = []
    for number, point in enumerate(lowest):
        if np.linalg.norm(lowest[apart] - point, axis=1).min(initial=np.inf) > 0.3 * size:
            apart.append(number)
    middle = lowest[apart[:LAKES]]
    axis = rng.uniform(-30, 30, middle.shape)
    return np.stack([middle - axis, middle + axis], axis=1)


def trace_roads(rng: np.random.Generator, graph: Graph, town: int, cost: Floats) -> Routes:
    """Return the roads from farms and from three towns beyond the extent to the town."""
    size = graph.points.max() - 4 * NODE_SPACING
    load = np.zeros(len(graph.points))
    load[rng.choice(len(load), size=max(12, int((size / 250) ** 2)), replace=False)] = 1
    for beyond in ((0.2 * size, -40.0), (size + 40.0, 0.75 * size), (-40.0, 0.6 * size)):
        load[nearest_point(graph, beyond)] = HIGHWAY_TRAFFIC
    return least_cost_tree(graph, cost, town, load)


# Land


def make_land(rng: np.random.Generator, size: int) -> Land:
    """Return the landscape before anything is cleared."""
    relief = power_law_noise(rng, size, longest=500, slope=2.0)
    graph = scatter_graph(rng, size)
    rivers = trace_rivers(rng, graph, relief)
    water, dry = draw_water(rng, graph, rivers, relief)
    to_water = distance_to(water)
    elevation = 40 * relief - 60 * np.exp(-to_water / 80)

    cost = np.exp(0.9 * sample(relief, graph.points)) + 30 * (sample(to_water, graph.points) < 8)
    town = place_town(graph, cost, sample(to_water, graph.points), size)
    roads = trace_roads(rng, graph, town, cost)
    farmland = paint_farmland(rng, roads, to_water, relief)
    cover = paint_town(rng, farmland.cover, graph.points[town], roads)
    cover[dry] = Cover.SAND
    cover[water] = Cover.WATER
    return replace(farmland, cover=cover, illumination=illuminate(elevation))


def place_town(graph: Graph, cost: Floats, to_water: Floats, size: int) -> int:
    """Return the point for the town: easy ground, near water, away from the borders."""
    central = np.all(np.abs(graph.points - size / 2) < 0.22 * size, axis=1)
    suitable = central & (to_water > 30) & (to_water < 110)
    return int(np.argmin(np.where(suitable, cost, np.inf)))


def illuminate(elevation: Floats) -> Floats:
    """Return the sunlight on each slope relative to level ground; elevation in metres."""
    north, east = np.gradient(elevation, -RESOLUTION, RESOLUTION)
    sun_east, sun_north, sun_up = SUN_DIRECTION
    light = 1 - (sun_east * east + sun_north * north) / sun_up
    illumination: Floats = light / np.sqrt(1 + north**2 + east**2)
    return illumination


def lay_parcels(rng: np.random.Generator, roads: Routes, size: int) -> tuple[Ints, Points]:
    """Divide the land into rectangular parcels, in districts along the nearest road.

    Returns:
        A number that is the same all over one parcel, from 0 to PARCELS - 1, (size, size), and the
        position of its centre, (size, size, 2).
    """
    centres = rng.uniform(0, size, (max(4, (size // 130) ** 2), 2))
    district = nearest_of(centres, size)
    _, nearest = KDTree(roads.segments.mean(axis=1)).query(centres)
    down, right = np.diff(roads.segments[nearest], axis=1)[:, 0].T
    width = rng.uniform(22, 46, len(centres))[district]
    length = width * rng.uniform(1.2, 2.4, len(centres))[district]

    # Positions as complex numbers, so that a product rotates them.
    turn = np.exp(1j * np.arctan2(down, right))[district]
    row, column = np.ogrid[:size, :size]
    local = (column + 1j * row) * turn.conj()
    strip = np.floor(local.real / width).astype(int)
    offset = rng.random(1024)[strip % 1024]
    field = np.floor(local.imag / length + offset).astype(int)
    centre = ((strip + 0.5) * width + 1j * (field + 0.5 - offset) * length) * turn
    # The spatial hash of Teschner and others (2003).
    number = strip * 73_856_093 ^ field * 19_349_663 ^ district * 83_492_791
    return number % PARCELS, np.stack([centre.imag, centre.real], axis=-1)


def nearest_of(points: Points, size: int) -> Ints:
    """Return the number of the point nearest to each pixel, (size, size)."""
    number = np.full((size, size), -1)
    row, column = points.astype(int).T
    number[row, column] = np.arange(len(points))
    nearest = ndimage.distance_transform_edt(
        number < 0, return_distances=False, return_indices=True
    )
    owner: Ints = number[tuple(nearest)]
    return owner


def paint_farmland(
    rng: np.random.Generator, roads: Routes, to_water: Floats, relief: Floats
) -> Land:
    """Clear the forest, parcel by parcel, where roads are near, and use what is cleared."""
    size = len(relief)
    lines = burn(strips(roads.segments, np.full(len(roads.flow), 1.5)), size)
    to_road = distance_to(lines)
    parcel, centre = lay_parcels(rng, roads, size)
    region = power_law_noise(rng, size, longest=400)
    remote = to_road / 45 + 0.9 * region + 0.5 * relief
    remote_parcel = sample(remote, centre) + 0.8 * rng.standard_normal(PARCELS)[parcel]
    woods = power_law_noise(rng, size, longest=45, slope=2.1)
    wild = remote_parcel + 0.5 * woods + 2.5 * (to_water < 7 + 5 * woods)
    forest = (wild > np.quantile(wild, 1 - FOREST_SHARE)) | (woods > 2.1)

    use = rng.choice(FARM_USES, size=PARCELS, p=FARM_SHARES)[parcel]
    texture = power_law_noise(rng, size, longest=9, slope=1.3)
    vigour = np.where(
        forest,
        0.5 * power_law_noise(rng, size, longest=150, slope=1.4),
        rng.uniform(-1, 1, PARCELS)[parcel] + 0.25 * woods,
    )
    return Land(
        cover=np.where(forest, Cover.FOREST, use).astype(np.uint8),
        vigour=vigour.astype(np.float32),
        texture=texture,
        illumination=np.ones_like(texture),
    )


def paint_town(rng: np.random.Generator, cover: Bytes, centre: Points, roads: Routes) -> Bytes:
    """Return the cover with the town and the roads on it."""
    size = len(cover)
    row, column = np.ogrid[:size, :size]
    edge = power_law_noise(rng, size, longest=60)
    town = np.hypot(row - centre[0], column - centre[1]) + 9 * edge < TOWN_RADIUS
    houses = rng.choice(TOWN_USES, size=(-(-size // 4), -(-size // 4)), p=TOWN_SHARES)
    painted = np.where(town, houses.repeat(4, axis=0).repeat(4, axis=1)[:size, :size], cover)
    painted[town & ((row % 16 < 2) | (column % 12 < 2))] = Cover.ROAD
    width = np.where(roads.flow >= HIGHWAY_TRAFFIC, 3.2, 1.7)
    painted[burn(strips(roads.segments, width), size)] = Cover.ROAD
    return painted.astype(np.uint8)


def change_land(
    rng: np.random.Generator, land: Land, clear: Sequence[Mask]
) -> tuple[list[Bytes], list[Event]]:
    """Return the cover in each month, and what happens.

    Args:
        rng: source of the shapes of the clearings.
        land: the land in the first month.
        clear: of each month, what of the AOI its imagery shows without clouds.
    """
    covers = [farm(land, month) for month in range(len(clear))]
    events = []
    for number, hectares in enumerate(CLEARINGS):
        month = min(FIRST_CLEARING + number, len(clear) - 1)
        shown = seen_often(clear[:month], CLEAR_BEFORE) & seen_often(clear[month:], CLEAR_AFTER)
        forest = shown & (covers[month] == Cover.FOREST)
        events.append(Event(What.CLEARING, month, irregular_patch(rng, forest, hectares)))
        for cover in covers[month:]:
            cover[events[-1].place] = Cover.SLASH
    month = events[0].month
    bared = (covers[month - 1] == Cover.CROP) & (covers[month] == Cover.SOIL)
    events.append(Event(What.FIELD, month, largest_patch(bared & clear[month])))
    return covers, events


def farm(land: Land, month: int) -> Bytes:
    """Return the cover so many months after the first: fields are harvested and sown in turn.

    The greenest are harvested first. They lie bare for `BARE_MONTHS`.
    """
    harvest = np.maximum(1, np.ceil((1 - land.vigour) / 0.4))
    bare = (harvest <= month) & (month < harvest + BARE_MONTHS)
    return np.where((land.cover == Cover.CROP) & bare, Cover.SOIL, land.cover).astype(np.uint8)


def seen_often(clear: Sequence[Mask], times: int) -> Mask:
    """Return the pixels that are clear so often, or always if there are fewer months."""
    often: Mask = np.sum(clear, axis=0) >= min(times, len(clear))
    return often


def irregular_patch(rng: np.random.Generator, forest: Mask, hectares: float) -> Mask:
    """Return an irregular patch of a given area where there is most forest around."""
    size = len(forest)
    pixels = round(hectares * 10_000 / RESOLUTION**2)
    around = round(1.6 * np.sqrt(pixels))
    room = ndimage.uniform_filter(forest.astype(np.float32), around, mode="constant")
    centre = np.unravel_index(np.argmax(room), room.shape)
    row, column = np.ogrid[:size, :size]
    ragged = np.exp(0.25 * power_law_noise(rng, size, longest=80, slope=2.1))
    reach = np.where(forest, np.hypot(row - centre[0], column - centre[1]) * ragged, np.inf)
    patch = np.zeros(forest.size, dtype=bool)
    patch[np.argpartition(reach, pixels, axis=None)[:pixels]] = True
    return patch.reshape(forest.shape)


def largest_patch(mask: Mask) -> Mask:
    """Return the largest of the connected parts of a mask."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts[mask], minlength=1)
    largest: Mask = mask & (parts == np.argmax(sizes))
    return largest


# Sky and sensor


def shadow_offset() -> tuple[int, int]:
    """Return how many pixels a shadow falls to the south and to the west of its cloud."""
    east, north, up = SUN_DIRECTION
    down, left = (round(CLOUD_BASE / RESOLUTION * tilt / up) for tilt in (north, east))
    return down, left


def make_sky(rng: np.random.Generator, size: int) -> Sky:
    """Return clouds and thin veils, with soft edges, and their shadows, away from the sun."""
    down, left = shadow_offset()
    wide = size + max(down, left)
    billows = power_law_noise(rng, wide, longest=150, slope=1.85)
    clouds = special.expit((billows - np.quantile(billows, 1 - CLOUD_SHARE)) / 0.09)
    veils = power_law_noise(rng, wide, longest=260, slope=2.0)
    haze = 0.3 * special.expit((veils - np.quantile(veils, 1 - HAZE_SHARE)) / 0.2)
    opacity = np.maximum(clouds, haze)
    overhead = opacity[down : down + size, :size]
    upwind = opacity[:size, left : left + size]
    return Sky(opacity=overhead, shadow=upwind)


def clear_sky(sky: Sky) -> Mask:
    """Return the pixels that no cloud and no shadow touches."""
    clear: Mask = (sky.opacity < 0.1) & (sky.shadow < 0.1)
    return clear


def place_shadow(rng: np.random.Generator, cover: Bytes, clear: Sequence[Mask]) -> Event:
    """Return a shadow on forest that stays forest, and that is clear in all other months.

    Args:
        rng: source of its shape.
        cover: in the last month.
        clear: of each month, what of the AOI its imagery shows without clouds.
    """
    forest = (cover == Cover.FOREST) & (distance_to(cover == Cover.SLASH) > SHADOW_AWAY)
    shown = seen_often(clear, len(clear))
    return Event(What.SHADOW, SHADOW_MONTH, irregular_patch(rng, forest & shown, SHADOW_HECTARES))


def with_cloud(sky: Sky, place: Mask) -> Sky:
    """Return a sky with one more cloud, whose shadow falls on a place."""
    shade = np.minimum(1, 2 * ndimage.gaussian_filter(place.astype(np.float32), 2))
    down, left = shadow_offset()
    cloud = ndimage.shift(shade, (-down, left), order=0)
    return Sky(np.maximum(sky.opacity, cloud), np.maximum(sky.shadow, shade))


def imagery_mask(size: int) -> Mask:
    """Return the pixels west of the slanted edge of the orbit: the north-east has no imagery."""
    row, column = np.ogrid[:size, :size]
    seen: Mask = column < 0.86 * size + 0.2 * row
    return seen


def label(cover: Bytes, sky: Sky, seen: Mask) -> Bytes:
    """Return the class codes that a person would see, nodata where there is no imagery."""
    codes = np.full(cover.shape, FIXED_CODES["Non-Forest"], dtype=np.uint8)
    codes[cover == Cover.FOREST] = FIXED_CODES["Forest"]
    codes[cover == Cover.WATER] = FIXED_CODES["Water"]
    codes[sky.shadow > 0.5] = FIXED_CODES["Shadow"]
    codes[sky.opacity > HAZE_OPACITY] = FIXED_CODES["Haze"]
    codes[sky.opacity > 0.5] = FIXED_CODES["Cloud"]
    codes[~seen] = NODATA
    return codes


def observe(rng: np.random.Generator, land: Land, sky: Sky, dryness: float) -> Uint16s:
    """Return the image that the sensor takes of the land.

    Args:
        rng: source of what differs between two images of the same land.
        land: the ground.
        sky: the clouds.
        dryness: from 0, the end of the rains, to 1.

    Returns:
        Reflectance x 10 000 in blue, green, red, near infrared: (4, size, size).
    """
    size = len(land.cover)
    turbidity = power_law_noise(rng, size, longest=250)
    tops = 1 + 0.12 * power_law_noise(rng, size, longest=60, slope=1.4)
    gains = rng.normal(1, 0.025, len(BANDS))
    bands = np.empty((len(BANDS), size, size), dtype=np.uint16)
    for band, gain in enumerate(gains):
        surface = ground_reflectance(land, band, dryness)
        surface += SEDIMENT[band] * np.exp(0.5 * turbidity) * (land.cover == Cover.WATER)
        surface = ndimage.gaussian_filter(surface, POINT_SPREAD)
        lit = surface * (1 - sky.shadow * (1 - SKYLIGHT[band]))
        seen = lit * (1 - sky.opacity) + CLOUD_TOP[band] * tops * sky.opacity
        noise = rng.standard_normal((size, size), dtype=np.float32)
        bands[band] = np.clip(gain * seen + (10 + 0.015 * seen) * noise, 1, 15_000)
    return bands


def ground_reflectance(land: Land, band: int, dryness: float) -> Floats:
    """Return the reflectance x 10 000 of the ground in one band, (size, size)."""
    mean = SPECTRA[:, band] * (1 + dryness * DRYING[:, band])
    reflectance: Floats = (
        mean.astype(np.float32)[land.cover]
        * (1 + TEXTURE[land.cover] * land.texture)
        * (1 + VIGOUR[land.cover] * GREENING[band] * land.vigour)
        * (1 + RELIEF[land.cover] * (land.illumination - 1))
    )
    return reflectance


# People


def area_of_interest(grid: Grid) -> shapely.MultiPolygon:
    """Return the AOI in EPSG:3857."""
    parts = shapely.MultiPolygon([shapely.Polygon(part) for part in AOI_PARTS])
    return place(parts, of_fractions(grid))


def parishes(grid: Grid) -> dict[str, shapely.Polygon]:
    """Return the outlines of the parishes in EPSG:3857, by their names."""
    outlines = {name: shapely.Polygon(corners) for name, corners in PARISHES.items()}
    return {name: place(outline, of_fractions(grid)) for name, outline in outlines.items()}


def of_fractions(grid: Grid) -> Affine:
    """Return what takes fractions of the extent to EPSG:3857."""
    return grid.transform @ Affine.translation(0, grid.size) @ Affine.scale(grid.size, -grid.size)


def place(shape: Shape, transform: Affine) -> Shape:
    """Return a shape transformed from one plane to another."""
    matrix = np.array([[transform.a, transform.b], [transform.d, transform.e]])
    offset = (transform.c, transform.f)
    placed: Shape = shapely.transform(shape, lambda points: points @ matrix.T + offset)
    return placed


def draw_polygons(
    rng: np.random.Generator, classes: Bytes, month: Period, grid: Grid
) -> gpd.GeoDataFrame:
    """Draw training polygons as a person does: well inside what is plainly one class.

    Args:
        rng: source of the places and the shapes.
        classes: class codes, nodata where nobody would draw, (size, size).
        month: what the polygons are for.
        grid: where the pixels are.
    """
    room = room_inside(classes)
    rows: list[tuple[str, str, shapely.Polygon]] = []
    for name, code in FIXED_CODES.items():
        count = int(rng.integers(*POLYGONS_PER_CLASS, endpoint=True))
        for spot in spread_spots(rng, np.where(classes == code, room, 0), count):
            outline = place(hand_drawn(rng, *spot), grid.transform)
            rows.append((f"{month}-{len(rows) + 1:03d}", name, outline))
    ids, names, outlines = zip(*rows, strict=True)
    columns = {"id": ids, "class_label": names, "month": str(month)}
    return gpd.GeoDataFrame(columns, geometry=list(outlines), crs=MAP_CRS)


def room_inside(classes: Bytes) -> Floats:
    """Return the distance of each pixel to the border of its class or of the extent, in pixels."""
    framed = np.pad(classes, 1, constant_values=NODATA)
    low, high = ndimage.minimum_filter(framed, 3), ndimage.maximum_filter(framed, 3)
    return distance_to(low != high)[1:-1, 1:-1]


def spread_spots(
    rng: np.random.Generator, room: Floats, count: int
) -> list[tuple[float, float, float]]:
    """Choose discs far from each other (best-candidate sampling, Mitchell 1991).

    Returns:
        Up to `count` of column, row, radius in pixels, none reaching beyond its room.
    """
    candidates = np.argwhere(room > MIN_RADIUS + 1)
    chosen = np.empty((0, 3))
    for _ in range(count if len(candidates) else 0):
        centre = rng.choice(candidates, size=25)
        wish = MIN_RADIUS * (MAX_RADIUS / MIN_RADIUS) ** rng.random(len(centre))
        reach = np.minimum(wish, room[tuple(centre.T)] - 1)
        apart = np.linalg.norm(centre[:, np.newaxis] - chosen[:, 1::-1], axis=2)
        gap = (apart - chosen[:, 2]).min(axis=1, initial=2 * len(room)) - reach
        best = np.argmax(gap)
        if gap[best] > 0:
            disc = (centre[best, 1] + 0.5, centre[best, 0] + 0.5, reach[best])
            chosen = np.vstack([chosen, disc])
    return [(column, row, radius) for column, row, radius in chosen.tolist()]


def hand_drawn(
    rng: np.random.Generator, column: float, row: float, radius: float
) -> shapely.Polygon:
    """Return an irregular polygon of 5 to 12 corners inside a disc, in pixels."""
    corners = int(rng.integers(5, 12, endpoint=True))
    angle = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) / corners
    reach = radius * rng.uniform(0.75, 1, corners)
    points = np.stack([column + reach * np.cos(angle), row + reach * np.sin(angle)], axis=1)
    return shapely.Polygon(points)


# Files


def write_quads(folder: Path, bands: Uint16s, seen: Mask, grid: Grid) -> None:
    """Write an image as quads: bands (4, size, size) and an alpha band from the mask.

    As in Planet's quads, alpha is the fifth band, where GDAL's own masks overlook it: they honour
    alpha in files of two and of four bands only (https://github.com/rasterio/rasterio/issues/1456).
    """
    folder.mkdir(parents=True, exist_ok=True)
    alpha = np.where(seen, OPAQUE, 0).astype(np.uint16)
    image = np.concatenate([bands * seen, alpha[np.newaxis]])
    for name, window in grid.quads():
        profile = TIFF_PROFILE | {
            "count": len(image),
            "dtype": "uint16",
            "width": grid.quad_size,
            "height": grid.quad_size,
            "transform": window_transform(window, grid.transform),
            "predictor": 2,
        }
        rows, columns = window.toslices()
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as quad:
            quad.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * 3, ColorInterp.alpha]
            quad.descriptions = (*BANDS, "alpha")
            quad.write(image[:, rows, columns])


def write_truth(path: Path, codes: Bytes, grid: Grid) -> None:
    """Write class codes (size, size) over the whole extent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = TIFF_PROFILE | {
        "count": 1,
        "dtype": "uint8",
        "nodata": NODATA,
        "width": grid.size,
        "height": grid.size,
        "transform": grid.transform,
    }
    with rasterio.open(path, "w", **profile) as truth:
        truth.write(codes, 1)


def write_vectors(
    world: World,
    drawn: list[gpd.GeoDataFrame],
    aoi: shapely.MultiPolygon,
    regions: Mapping[str, shapely.Polygon],
) -> None:
    """Write training polygons, AOI and regions, all of them in EPSG:3857, as EPSG:4326."""
    polygons = pd.concat(drawn, ignore_index=True).to_crs(LONLAT)
    polygons.to_file(world.polygons, layer=POLYGON_LAYER, driver="GPKG")
    gpd.GeoSeries([aoi], crs=MAP_CRS).to_crs(LONLAT).to_file(world.aoi, driver="GeoJSON")
    names, outlines = list(regions), list(regions.values())
    named = gpd.GeoDataFrame({"nombre": names}, geometry=outlines, crs=MAP_CRS)
    named.to_crs(LONLAT).to_file(world.regions, driver="GeoJSON")


def write_events(world: World, events: Sequence[Event], grid: Grid) -> None:
    """Write what happens, as EPSG:4326."""
    outlines = [
        shapely.union_all(
            [
                shapely.geometry.shape(outline)
                for outline, _ in shapes(
                    event.place.astype(np.uint8), event.place, transform=grid.transform
                )
            ]
        )
        for event in events
    ]
    columns = {
        "what": [event.what for event in events],
        "month": [str(world.months[event.month]) for event in events],
    }
    frame = gpd.GeoDataFrame(columns, geometry=outlines, crs=MAP_CRS)
    frame.to_crs(LONLAT).to_file(world.events, driver="GPKG")
