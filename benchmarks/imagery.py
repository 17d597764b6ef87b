"""Imagery to measure on: quads of NICFI's size and layout, and a model for them."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from demo.world import RESOLUTION, World

QUAD = 4096
BLOCK = 256
OPAQUE = 65_535

# What a pixel of a band differs by from what its neighbours in the spectrum say.
NOISE = 0.015

# The upper left corner of quad 570-1028 of NICFI's grid, in metres of EPSG:3857.
CORNER = (570 * QUAD * RESOLUTION - 20_037_508.342789244, 200_000.0)

Values = NDArray[np.uint16]


def realistic(world: World, number: int) -> Values:
    """Return a quad of the demo's landscape, mirrored until it fills it, (bands and alpha, ...).

    Args:
        world: the demo's.
        number: which of several distinct quads.
    """
    month = world.months[number % len(world.months)]
    paths = sorted((world.mosaic_dir / f"{month.year}" / f"{month.month:02d}").glob("*.tif"))
    rows = sorted({path.stem.split("-")[1] for path in paths}, reverse=True)
    scene = np.concatenate(
        [
            np.concatenate([_read(path) for path in paths if path.stem.endswith(row)], axis=2)
            for row in rows
        ],
        axis=1,
    )
    scene = np.roll(np.rot90(scene, number // 2, axes=(1, 2)), 400 * number, axis=2)
    short = QUAD - scene.shape[1]
    return np.pad(scene, [(0, 0), (0, short), (0, short)], mode="symmetric")


def scattered(number: int) -> Values:
    """Return a quad of the worst case: every pixel its own random reflectances."""
    random = np.random.default_rng(number)
    values = random.integers(100, 6000, (5, QUAD, QUAD), dtype=np.uint16)
    values[4] = OPAQUE
    return values


def with_four_more(values: Values, number: int) -> Values:
    """Return eight bands and alpha, as alike as those of other sensors are.

    The four more lie between red and near infrared, as the red edge does, and between the others;
    each has noise of its own.

    Args:
        values: blue, green, red, near infrared and alpha, (5, rows, columns).
        number: of the quad; it has noise of its own.
    """
    random = np.random.default_rng(number)
    blue, green, red, nir, alpha = values
    pairs = ((red, nir, 0.3), (red, nir, 0.7), (green, nir, 0.5), (blue, red, 0.5))
    more = []
    for one, other, share in pairs:
        noise = random.normal(1, NOISE, one.shape).astype(np.float32)
        more.append((((1 - share) * one + share * other) * noise).clip(0, OPAQUE))
    return np.stack([blue, green, red, nir, *more, alpha]).astype(np.uint16)


def write_quad(path: Path, values: Values, column: int, row: int) -> Path:
    """Write a quad as NICFI's are, with alpha as its last band, tiled, DEFLATE.

    Args:
        path: the GeoTIFF to write.
        values: bands and alpha.
        column: of the quad, counted from the corner.
        row: of the quad, downwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=QUAD,
        height=QUAD,
        count=len(values),
        dtype="uint16",
        crs="EPSG:3857",
        transform=place(column, row),
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        compress="deflate",
        predictor=2,
        num_threads="all_cpus",
    ) as dataset:
        # Before the values: afterwards the file does not take it.
        others = [ColorInterp.undefined] * (len(values) - 2)
        dataset.colorinterp = [ColorInterp.gray, *others, ColorInterp.alpha]
        dataset.write(values)
    return path


def place(column: int, row: int) -> Affine:
    """Return the transform of the quad so many columns right of and rows below the corner."""
    west, north = CORNER
    corner = Affine(RESOLUTION, 0, west, 0, -RESOLUTION, north)
    return corner @ Affine.translation(column * QUAD, row * QUAD)


def _read(path: Path) -> Values:
    with rasterio.open(path) as dataset:
        values: Values = dataset.read()
    return values
