"""Samples: the valid pixels under the training polygons."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import geopandas
import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from pydantic import BaseModel, ConfigDict, Field
from rasterio.transform import xy
from rasterio.windows import Window, from_bounds, intersect, intersection
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.classes import label_key
from landcover.errors import LandcoverError
from landcover.files import is_local
from landcover.geometry import reproject_rows
from landcover.grid import Grid
from landcover.imagery.doubts import Doubts, Inspection
from landcover.imagery.mosaic import Mosaic, MosaicReader
from landcover.model.ground import Together, same_ground
from landcover.model.reflectance import Reflectance, Reflectances
from landcover.text import as_text
from landcover.windows import pixels_inside, split

# Large polygons are read in parts of this many pixels a side (2 MB a band of uint16).
PART = 1024

# Polygons that lie in one square of this many pixels a side, that of a quad, are read one after
# another, so that each block of the imagery is decoded once; squares are read side by side.
SQUARE = 4096

# Of a file of samples, beside the bands.
COLUMNS = ("polygon_id", "class_label", "x", "y")

Item = TypeVar("Item")
Result = TypeVar("Result")

# Of pixels: rows, columns, and values (bands, pixels).
Pixels = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.generic]]


class SamplingSettings(BaseModel):
    """How pixels are taken from under the training polygons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pixels: int = Field(
        default=200,
        ge=1,
        title="Pixels a polygon",
        description="At most so many pixels of each polygon, drawn at random. Pixels of one "
        "polygon are near copies of each other: more of them teach little, cost time, and let "
        "large polygons outweigh small ones. With 50 polygons for each of 7 classes, 200 make "
        "at most 70 000 samples.",
    )
    all_touched: bool = Field(
        default=False,
        title="All touched pixels",
        description="Take every pixel that a polygon touches, not only those whose centre is in "
        "it. Pixels on the edge are often mixed.",
    )
    row_per: Literal["pixel", "mean", "median"] = Field(
        default="pixel",
        title="One row per",
        description="One sample a pixel, or one a polygon: the mean or the median of its pixels.",
    )
    seed: int = Field(
        default=42, ge=0, title="Random seed", description="The same seed draws the same pixels."
    )


@dataclass(frozen=True)
class Samples:
    """What was sampled, and what was not."""

    rows: geopandas.GeoDataFrame
    """A row a sample, points in the mosaic's CRS, with `polygon_id`, `class_label`, `x`, `y` (CRS
    units, the pixel's centre), a column a band, and `geometry`."""
    skipped: dict[str, str]
    """The reason for each polygon id that gave no sample."""
    contested: int
    """How many pixels were drawn from under polygons of different classes."""
    together: Together
    """The ids of the polygons that lie on the same ground, a tuple for each such ground."""
    doubts: Doubts = field(default_factory=Doubts)
    """What is doubtful about the pixels under the polygons."""


@dataclass(frozen=True)
class Origin:
    """Where samples come from: kept in their file, beside the rows."""

    bands: tuple[str, ...]
    """The names of the bands, each a column."""
    mosaic: str | None = None
    """The imagery."""
    polygons: str | None = None
    """The table or file of the training polygons."""
    polygons_sha256: str | None = None
    """Of the polygons as they were fetched (see `polygons.digest`)."""
    sampling: Mapping[str, object] | None = None
    """The settings of the sampling."""
    together: Together | None = None
    """The ids of the polygons that lie on the same ground, a tuple for each such ground; None where
    that is not known."""
    reflectances: Reflectances | None = None
    """What makes the values of the bands reflectances; None where that is not known."""
    month: str | None = None
    """Of the imagery, such as 2025-06; None, as all that follows, where an earlier version did not
    write it."""
    fingerprint: str | None = None
    """Of the imagery (see `Mosaic.fingerprint`)."""
    dtype: str | None = None
    """The data types of the imagery's bands."""
    crs: str | None = None
    """The coordinate reference system of `x` and `y`, as WKT."""
    pixel: float | None = None
    """The side of a pixel in it, the smaller of the two."""


class Each(Protocol):
    """What calls a function for each of some items, one after another or side by side."""

    def __call__(
        self, call: Callable[[Item], Result], items: Sequence[Item], /
    ) -> Iterable[Result]:
        """Return what the function returned, in the order of the items."""


def write_samples(rows: geopandas.GeoDataFrame, origin: Origin, path: Path) -> None:
    """Write samples as a GeoParquet file that knows where they come from.

    Args:
        rows: of `Samples`.
        origin: where they come from.
        path: the file to write.
    """
    described = rows.copy(deep=False)
    described.attrs = {**asdict(origin), "bands": list(origin.bands)}
    described.to_parquet(path, index=False)


def read_samples(path: UPath, bands: Sequence[str]) -> tuple[pd.DataFrame, Origin]:
    """Read samples, and where they come from.

    Args:
        path: the file, as `write_samples` wrote it, or as another program wrote it again.
        bands: the names of the bands, where the file does not say them any more.

    Returns:
        A row a sample, with `polygon_id`, `class_label`, `x`, `y` and a column a band.

    Raises:
        LandcoverError: if there is no such file, if it cannot be read, or if it does not hold
            samples.
        OSError: if the bucket cannot be read.
    """
    make = "make them with python flows/prepare_data.py."
    content = _content(path, make)
    try:
        rows = pd.read_parquet(BytesIO(content))
    # Of a damaged file pyarrow raises what a disk does.
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise LandcoverError(
            f"{path} is not a parquet file of samples ({_first_line(error)}): {make}"
        ) from error
    origin = Origin(
        bands=tuple(rows.attrs.get("bands") or bands),
        mosaic=rows.attrs.get("mosaic"),
        polygons=rows.attrs.get("polygons"),
        polygons_sha256=rows.attrs.get("polygons_sha256"),
        sampling=rows.attrs.get("sampling"),
        together=_together(rows.attrs.get("together")),
        reflectances=_reflectances(rows.attrs.get("reflectances")),
        **{
            name: rows.attrs.get(name) for name in ("month", "fingerprint", "dtype", "crs", "pixel")
        },
    )
    # Pandas would copy them with every table that is made of these rows.
    rows.attrs = {}
    missing = [name for name in (*COLUMNS, *origin.bands) if name not in rows]
    if missing:
        raise LandcoverError(
            f"{path} has no column {', '.join(missing)}, so it does not hold samples: {make}"
        )
    if rows.empty:
        raise LandcoverError(f"{path} holds no samples: {make}")
    for name in origin.bands:
        if not is_numeric_dtype(rows[name]) or not np.isfinite(rows[name].astype(float)).all():
            raise LandcoverError(f"{path} has samples whose {name} is not a number: {make}")
    for name in ("polygon_id", "class_label"):
        rows[name] = as_text(rows[name], f"The column {name} of {path}")
        if rows[name].map(label_key, na_action="ignore").fillna("").eq("").any():
            raise LandcoverError(f"{path} has samples without a {name}: {make}")
    return rows, origin


def _content(path: UPath, make: str) -> bytes:
    """Return what is in a file of samples."""
    try:
        # Not is_file: s3fs would say no where the bucket does not answer.
        if not path.exists():
            raise LandcoverError(f"There are no samples at {path}: {make}")
        return path.read_bytes()
    except (IsADirectoryError, FileNotFoundError) as error:
        raise LandcoverError(
            f"{path} is a folder, not a file of samples: name the file in it, or {make}"
        ) from error
    except OSError as error:
        if not is_local(path):
            raise
        raise LandcoverError(
            f"The samples {path} cannot be read ({error.strerror}): give this user permission to "
            "read them, and check the disk that they are on."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _together(found: Sequence[Sequence[str]] | None) -> Together | None:
    return None if found is None else tuple(map(tuple, found))


def _reflectances(found: Mapping[str, Sequence[float] | None] | None) -> Reflectances | None:
    if found is None:
        return None
    return {name: None if known is None else Reflectance(*known) for name, known in found.items()}


def sample_polygons(
    mosaic: Mosaic,
    polygons: geopandas.GeoDataFrame,
    settings: SamplingSettings,
    each: Each = map,
) -> Samples:
    """Take the valid pixels under polygons, each pixel once, and find what lies on the same ground.

    A pixel drawn from under several polygons goes to the one that comes first.

    Args:
        mosaic: the imagery.
        polygons: `polygon_id` (text, unique), `class_label` and geometries in any CRS.
        settings: how to draw the pixels.
        each: reads the parts of the mosaic that polygons lie in.
    """
    shapes = reproject_rows(polygons.geometry, mosaic.grid.crs).array
    ids = polygons["polygon_id"].map(str).to_numpy()
    together = tuple(tuple(ids[members]) for members in same_ground(shapes, mosaic.grid.pixel))

    def draw(numbers: Sequence[int]) -> tuple[list[Pixels | str], Doubts]:
        inspection = Inspection.of(mosaic)
        with mosaic.open() as reader:
            found = [
                _pixels_under(shapes[number], reader, mosaic, settings, ids[number], inspection)
                for number in numbers
            ]
        return found, inspection.found

    drawn: dict[int, Pixels] = {}
    skipped: dict[str, str] = {}
    doubts = Doubts()
    squares = _by_square(shapes, mosaic.grid)
    for numbers, (found, of_these) in zip(squares, each(draw, squares), strict=True):
        doubts += of_these
        for number, given in zip(numbers, found, strict=True):
            if isinstance(given, str):
                skipped[ids[number]] = given
            else:
                drawn[number] = given
    if not drawn:
        nothing = _as_points(pd.DataFrame(), mosaic)
        return Samples(nothing, skipped, 0, together, doubts)
    pixels = _as_table(drawn, polygons, list(mosaic.bands))
    keys = pixels["class_label"].map(label_key)
    classes = keys.groupby([pixels["row"], pixels["column"]]).transform("nunique")
    contested = pixels[classes > 1].drop_duplicates(["row", "column"])
    once = pixels.drop_duplicates(["row", "column"], ignore_index=True)
    for polygon_id in set(pixels["polygon_id"]) - set(once["polygon_id"]):
        skipped[polygon_id] = "its pixels were drawn for other polygons"
    rows = _as_points(_one_row_per(once, settings.row_per), mosaic)
    return Samples(rows, skipped, len(contested), together, doubts)


def _by_square(shapes: Sequence[BaseGeometry], grid: Grid) -> list[list[int]]:
    """Group polygons by the square of the mosaic that their upper left corner lies in."""
    west, _, _, north = grid.bounds
    squares: dict[tuple[float, float], list[int]] = defaultdict(list)
    for number, shape in enumerate(shapes):
        place = np.inf, np.inf
        if not shape.is_empty:
            left, _, _, top = shape.bounds
            place = (
                (north - top) // (SQUARE * -grid.transform.e),
                (left - west) // (SQUARE * grid.transform.a),
            )
        squares[place].append(number)
    return [squares[place] for place in sorted(squares)]


def _pixels_under(
    polygon: BaseGeometry,
    reader: MosaicReader,
    mosaic: Mosaic,
    settings: SamplingSettings,
    polygon_id: str,
    inspection: Inspection,
) -> Pixels | str:
    """Return the pixels drawn from under a polygon, or the reason why there are none."""
    window = _window_around(polygon, mosaic.grid, reader.extent)
    if window is None:
        return "outside the mosaic"
    # Each polygon has its own random numbers: a new polygon does not change another's pixels.
    random = np.random.default_rng([settings.seed, zlib.crc32(polygon_id.encode())])
    covered = 0
    found: list[tuple[NDArray[np.float64], Pixels]] = []
    for part in split(window, PART, PART):
        inside = pixels_inside(polygon, part, mosaic.grid.transform, settings.all_touched)
        if not inside.any():
            continue
        covered += int(inside.sum())
        read = reader.read(list(mosaic.bands.values()), part)
        inspection.add(part, read, inside)
        rows, columns = np.nonzero(inside & read.valid)
        draw = random.random(rows.size)
        least = _least(draw, settings.max_pixels)
        at = rows[least], columns[least]
        here = at[0] + part.row_off, at[1] + part.col_off, read.values[:, *at]
        found.append((draw[least], here))
    if not covered:
        return "smaller than a pixel"
    draws = np.concatenate([draw for draw, _ in found])
    if not draws.size:
        return "no valid pixel under it"
    rows, columns, values = (
        np.concatenate(parts, axis=-1) for parts in zip(*(there for _, there in found), strict=True)
    )
    least = _least(draws, settings.max_pixels)
    order = least[np.lexsort((columns[least], rows[least]))]
    return rows[order], columns[order], values[:, order]


def _least(draws: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return where the so many least numbers are, in no order."""
    if draws.size <= count:
        return np.arange(draws.size)
    return np.argpartition(draws, count - 1)[:count]


def _window_around(polygon: BaseGeometry, grid: Grid, extent: Window) -> Window | None:
    """Return the pixels that a polygon's bounds touch; None where there is no imagery."""
    # It is where a polygon cannot be brought to the mosaic's CRS.
    if polygon.is_empty:
        return None
    exact = from_bounds(*polygon.bounds, transform=grid.transform)
    left, top = int(np.floor(exact.col_off)), int(np.floor(exact.row_off))
    right = int(np.ceil(exact.col_off + exact.width))
    bottom = int(np.ceil(exact.row_off + exact.height))
    around = Window(left, top, right - left, bottom - top)
    return intersection(around, extent) if intersect(around, extent) else None


def _as_table(
    drawn: Mapping[int, Pixels], polygons: geopandas.GeoDataFrame, bands: Sequence[str]
) -> pd.DataFrame:
    """Return a row a pixel, in the polygons' order."""
    numbers = sorted(drawn)
    rows, columns, values = (
        np.concatenate(parts, axis=-1)
        for parts in zip(*(drawn[number] for number in numbers), strict=True)
    )
    of_each = np.repeat(numbers, [drawn[number][0].size for number in numbers])
    whose = polygons[["polygon_id", "class_label"]].iloc[of_each].reset_index(drop=True)
    pixels = {"row": rows, "column": columns} | dict(zip(bands, values, strict=True))
    return pd.DataFrame(
        {"polygon_id": whose["polygon_id"].map(str), "class_label": whose["class_label"]} | pixels
    )


def _one_row_per(pixels: pd.DataFrame, kind: str) -> pd.DataFrame:
    if kind == "pixel":
        return pixels
    by_polygon = pixels.groupby(["polygon_id", "class_label"], sort=False)
    return by_polygon.agg(kind).reset_index()


def _as_points(pixels: pd.DataFrame, mosaic: Mosaic) -> geopandas.GeoDataFrame:
    bands = list(mosaic.bands)
    if pixels.empty:
        pixels = pd.DataFrame(columns=["polygon_id", "class_label", "row", "column", *bands])
    x, y = xy(mosaic.grid.transform, pixels["row"].to_numpy(), pixels["column"].to_numpy())
    samples = pixels.assign(x=x, y=y)[["polygon_id", "class_label", "x", "y", *bands]]
    return geopandas.GeoDataFrame(
        samples, geometry=geopandas.points_from_xy(x, y), crs=mosaic.grid.crs
    )
