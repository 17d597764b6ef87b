"""The mosaic: all imagery of one month, one file or many quads read as one raster."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, isfinite, nan
from pathlib import Path
from typing import Literal, Self

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window, intersection
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.errors import LandcoverError, SettingsError
from landcover.geometry import is_torn
from landcover.grid import Bounds, Grid, same_crs
from landcover.imagery.images import open_image, read_patiently
from landcover.imagery.pixels import Pixels, can_hold, common_type, read_pixels
from landcover.imagery.quads import (
    Quad,
    find_quads,
    grid_of_image,
    look_again,
    read_index,
    read_quad,
    write_index,
)
from landcover.listing import listed
from landcover.notices import Notice
from landcover.windows import within

# Quads lie on one grid if their origins are whole pixels apart within this share of a pixel: file
# headers round coordinates, and a hundredth of a pixel moves no value.
GRID_TOLERANCE = 0.01

# At most this many changed files are named.
SHOWN = 5

# The tables of a map's tiles, 12 bytes for each of 512 x 512 pixels, are then 48 MB, which every
# reader takes in first. South America in pixels of 5 m is no larger.
MOST_PIXELS = 10**12

# What MOSAIC_NODATA says: nothing, a value that stands for no data in every band, or that nothing
# does that the files do not declare.
Nodata = float | Literal["none"] | None

# A window of 8192 pixels touches at most nine of NICFI's quads.
MOST_OPEN = 16


@dataclass(frozen=True)
class Mosaic:
    """One month's imagery, ready to be opened by any task."""

    index: UPath
    """Where the headers of its image files are kept (see `quads.write_index`)."""
    origin: str
    """Where the imagery was found: the path or the glob, for people and for the database."""
    files: int
    """How many image files it is made of."""
    bands: Mapping[str, int]
    """Names and numbers (from 1) of the bands that the model reads."""
    grid: Grid
    """CRS, transform and size: of a single image its own; of quads those cells of their lattice
    that the area of interest touches, whichever quads are there. Quads may reach beyond it."""
    fingerprint: str
    """Changes when a file of the mosaic is replaced, or is read differently."""
    nodata: Nodata = None
    """What stands for no data beside what the files say (`MOSAIC_NODATA`)."""
    notices: tuple[Notice, ...] = ()
    """What is to be told of its files."""

    def open(self, quads: Sequence[Quad] | None = None) -> "MosaicReader":
        """Open the mosaic for reading, in a `with` statement.

        Args:
            quads: which of its image files; None for all.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        return MosaicReader(self.grid, self.quads() if quads is None else quads, self.nodata_value)

    @property
    def nodata_value(self) -> float | None:
        """The value that stands for no data in every band, if `MOSAIC_NODATA` is one."""
        return None if self.nodata == "none" else self.nodata

    def quads(self) -> tuple[Quad, ...]:
        """Return the headers of its image files.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        bands = tuple(sorted(self.bands.items()))
        return _indexed(self.index, self.fingerprint, bands, self.nodata)


@lru_cache(maxsize=4)
def _indexed(
    index: UPath, fingerprint: str, bands: tuple[tuple[str, int], ...], nodata: Nodata
) -> tuple[Quad, ...]:
    quads = tuple(read_index(index))
    if _fingerprint(quads, dict(bands), nodata) != fingerprint:
        raise LandcoverError(
            f"The imagery that {index} lists has changed while the month was run: run it again."
        )
    return quads


class MosaicReader:
    """An open mosaic: quads pasted into whichever window is read.

    Not to be shared by threads.
    """

    def __init__(self, grid: Grid, quads: Sequence[Quad], nodata: float | None = None) -> None:
        """Work out where the quads lie; none is opened yet.

        Args:
            grid: the mosaic's.
            quads: its image files; of two that overlap, the later counts where it is valid.
            nodata: a value that stands for no data in every band, beside what they say.
        """
        self.grid = grid
        self._nodata = nodata
        self._quads = quads
        self._places = np.array([_place(quad.grid, grid) for quad in quads])
        self._open: dict[int, tuple[DatasetReader, ExitStack]] = {}

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the quads."""
        self._close_all()

    @property
    def extent(self) -> Window:
        """The part of the grid's plane that the quads cover; it may reach beyond the grid."""
        left, top = (int(edge) for edge in self._places[:, :2].min(axis=0))
        right, bottom = (int(edge) for edge in self._places[:, 2:].max(axis=0))
        return Window(left, top, right - left, bottom - top)

    def read(self, bands: Sequence[int], window: Window) -> Pixels:
        """Read bands of a window and tell which of its pixels are valid.

        `landcover.imagery.pixels.read_pixels` decides what is valid in a quad; where there is no
        quad, nothing is.

        Args:
            bands: the numbers of the bands, counted from 1.
            window: the part to read, in pixels of the mosaic's grid; it may reach beyond it.

        Returns:
            The values, in the type that holds those of the bands, and which of them are valid; of
            quads that overlap, what holds data in one of them is not partial.

        Raises:
            RasterioIOError: if a quad cannot be read, or is no longer where it was; it is named.
        """
        shape = (window.height, window.width)
        types = self._quads[0].dtypes
        dtype = common_type([types[band - 1] for band in bands])
        touching = self._touching(window)
        if len(touching) == 1:
            part, _ = _overlap(self._places[touching[0]], window)
            if (part.height, part.width) == shape:
                return self._read(touching[0], bands, part)
        values = np.zeros((len(bands), *shape), dtype=dtype)
        valid, partial = np.zeros((2, *shape), dtype=bool)
        for number in touching:
            part, place = _overlap(self._places[number], window)
            found = self._read(number, bands, part)
            if valid[place].any():
                np.copyto(values[:, *place], found.values, where=found.valid)
                valid[place] |= found.valid
            else:
                values[:, *place], valid[place] = found.values, found.valid
            partial[place] |= found.partial
        partial &= ~valid
        return Pixels(values, valid, partial)

    def _touching(self, window: Window) -> list[int]:
        left, top, right, bottom = self._places.T
        touching = (
            (left < window.col_off + window.width)
            & (right > window.col_off)
            & (top < window.row_off + window.height)
            & (bottom > window.row_off)
        )
        return [int(number) for number in np.flatnonzero(touching)]

    def _read(self, number: int, bands: Sequence[int], part: Window) -> Pixels:
        quad = self._quads[number]

        def read() -> Pixels:
            try:
                return read_pixels(self._dataset(number), bands, part, nodata=self._nodata)
            except RasterioIOError as error:
                # GDAL remembers the failure until something is opened, and rasterio would then
                # raise it for the next quad.
                self._close_all()
                raise RasterioIOError(f"{quad.path}: {error.__cause__ or error}") from error

        return read_patiently(UPath(quad.path), read)

    def _dataset(self, number: int) -> DatasetReader:
        if number not in self._open:
            if len(self._open) == MOST_OPEN:
                self._close_oldest()
            quad = self._quads[number]
            with ExitStack() as closing:
                dataset = closing.enter_context(open_image(UPath(quad.path)))
                if grid_of_image(dataset) != quad.grid:
                    raise RasterioIOError("it has changed: it covers another area than before")
                self._open[number] = dataset, closing.pop_all()
        return self._open[number][0]

    def _close_all(self) -> None:
        while self._open:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, closing = self._open.pop(next(iter(self._open)))
        closing.close()


def _place(quad: Grid, mosaic: Grid) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom edge of a quad, in pixels of the mosaic."""
    window = mosaic.window_of(quad)
    left, top = window.col_off, window.row_off
    return left, top, left + window.width, top + window.height


def _overlap(place: NDArray[np.int_], window: Window) -> tuple[Window, tuple[slice, slice]]:
    """Return which part of a quad lies in a window: in the quad's pixels, and in the window's."""
    left, top, right, bottom = (int(edge) for edge in place)
    shared = intersection(Window(left, top, right - left, bottom - top), window)
    part = Window(shared.col_off - left, shared.row_off - top, shared.width, shared.height)
    return part, within(shared, window)


def parse_bands(text: object) -> dict[str, int]:
    """Read names and numbers of bands from text such as `blue=1,green=2`.

    Raises:
        ValueError: if the text is not of that form, or a name or a number stands twice.
    """
    if isinstance(text, dict):
        return text
    pairs = [pair.partition("=") for pair in str(text).split(",")]
    bands = {
        name.strip(): int(number)
        for name, _, number in pairs
        if name.strip().isidentifier() and number.strip().isdecimal() and int(number) > 0
    }
    if len(bands) < len(pairs) or len(set(bands.values())) < len(pairs):
        raise ValueError(f"{text!r} is not a list of distinct name=number pairs")
    return bands


def parse_nodata(value: object) -> Nodata:
    """Read MOSAIC_NODATA: a number, `none`, or nothing where it is not set.

    Raises:
        ValueError: if it is neither.
    """
    if value is None:
        return None
    text = str(value).strip()
    if text.casefold() == "none":
        return "none"
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise ValueError(f"{text!r} is neither a number nor none")
    return number


def describe_mosaic(
    quads: Sequence[Quad],
    origin: str,
    bands: Mapping[str, int],
    index: UPath,
    area: BaseGeometry | None = None,
    nodata: Nodata = None,
) -> Mosaic:
    """Make one mosaic of quads.

    Args:
        quads: headers of the image files.
        origin: where they were found.
        bands: names and numbers of the bands that the model reads.
        index: where the headers are, or will be, kept (see `quads.write_index`).
        area: the area of interest in the quads' CRS, which the mosaic's grid is to cover; without
            one it covers the quads.
        nodata: what stands for no data beside what the files say.

    Raises:
        SettingsError: if `nodata` is a value that none of the bands can hold.
        LandcoverError: if the quads do not make one raster, if they lack a band, if one that the
            model reads is marked as alpha, or if the area of interest does not touch them or makes
            a grid that is too large.
    """
    for quad in quads:
        _check_bands(quad, bands)
        _check_same(quad, quads[0], list(bands.values()), nodata)
    _check_nodata(quads[0], bands, nodata)
    return Mosaic(
        index=index,
        origin=origin,
        files=len(quads),
        bands=dict(bands),
        grid=_grid([quad.grid for quad in quads], origin, area),
        fingerprint=_fingerprint(quads, bands, nodata),
        nodata=nodata,
    )


def mosaic_of(files: Sequence[Path], bands: Mapping[str, int], index: Path) -> Mosaic:
    """Make a mosaic of image files that are known.

    Args:
        files: on one grid.
        bands: names and numbers of the bands that the model reads.
        index: the parquet file to write of their headers.

    Raises:
        LandcoverError: if a file cannot be read, or they do not make one raster.
    """
    images = [image for file in files for image in find_quads(str(file), str(file))]
    quads = [read_quad(image) for image in images]
    mosaic = describe_mosaic(quads, str(files[0].parent), bands, UPath(index))
    write_index(quads, index)
    return mosaic


def check_unchanged(mosaic: Mosaic) -> None:
    """Make sure that the imagery is what it was when its headers were read.

    Raises:
        LandcoverError: if image files were replaced, added or removed since.
        OSError: if the folder or the bucket cannot be listed.
    """
    quads = mosaic.quads()
    before = {file for quad in quads for file in quad.files}
    sources = {source.path for quad in quads for source in quad.sources}
    now = {*find_quads(mosaic.origin, "the mosaic"), *look_again(sources)}
    changed = sorted({file.path for file in before ^ now})
    if changed:
        raise LandcoverError(
            f"The imagery of {mosaic.origin} was changed while the month was run "
            f"({listed(changed, SHOWN)}), so that a map would show both: run the month again."
        )


def _fingerprint(quads: Sequence[Quad], bands: Mapping[str, int], nodata: Nodata) -> str:
    files = [f"{file.path} {file.version}" for quad in quads for file in quad.files]
    parts = [str(sorted(bands.items())), f"nodata {nodata}", *files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _grid(grids: Sequence[Grid], origin: str, area: BaseGeometry | None) -> Grid:
    """Return the grid of a mosaic (see `Mosaic.grid`)."""
    extent = _bounds(grids)
    if area is not None and not shapely.box(*extent).intersects(area):
        raise LandcoverError(
            f"The area of interest does not touch the mosaic {origin}, which covers "
            f"{_extent(extent)}; the area covers {_extent(area.bounds)} "
            "(west, south, east, north): check AOI_DEFINITION."
        )
    if len(grids) == 1:
        return grids[0]
    if area is None:
        return _around(grids[0], extent)
    grid = _snap(grids, area.bounds)
    _check_size(grid, area, origin)
    return grid


def _check_size(grid: Grid, area: BaseGeometry, origin: str) -> None:
    """Make sure that a grid, which follows the area of interest, is one that can be mapped on."""
    name = CRS.from_user_input(grid.crs).name
    if is_torn(area, grid.crs):
        raise LandcoverError(
            f"The area of interest lies on both sides of the antimeridian, where {name}, the "
            f"coordinate reference system of {origin}, is cut: its map would reach round the "
            "globe. Map each side by itself (AOI_DEFINITION), or bring the imagery to a "
            "coordinate reference system that is not cut there, such as EPSG:3832."
        )
    if grid.width * grid.height > MOST_PIXELS:
        raise LandcoverError(
            f"A map of the area of interest would have {grid.width:,} x {grid.height:,} pixels of "
            f"{origin}, more than {MOST_PIXELS:.0e}: draw a smaller area (AOI_DEFINITION), or map "
            "its parts one by one."
        )


def _around(first: Grid, bounds: Bounds) -> Grid:
    """Return the grid of the pixels of a quad within bounds, which are edges of pixels."""
    west, south, east, north = bounds
    step = first.transform
    return Grid(
        crs=first.crs,
        transform=Affine(step.a, 0, west, 0, step.e, north),
        width=round((east - west) / step.a),
        height=round((south - north) / step.e),
    )


def _bounds(grids: Sequence[Grid]) -> Bounds:
    west, south, east, north = zip(*(grid.bounds for grid in grids), strict=True)
    return min(west), min(south), max(east), max(north)


def _extent(bounds: Bounds) -> str:
    return ", ".join(f"{edge:.6g}" for edge in bounds)


def _lattice(grids: Sequence[Grid]) -> tuple[int, int]:
    """Return width and height of the cells that quads of one size fill; a pixel where they do not.

    Quads of unlike sizes, or some that overlap, have no lattice but that of their pixels.
    """
    first = grids[0]
    places = [first.window_of(grid) for grid in grids]
    regular = all(
        (place.width, place.height) == (first.width, first.height)
        and place.col_off % first.width == 0
        and place.row_off % first.height == 0
        for place in places
    )
    return (first.width, first.height) if regular else (1, 1)


def _snap(grids: Sequence[Grid], bounds: Bounds) -> Grid:
    """Return the grid of those cells of the quads' lattice that bounds touch.

    Args:
        grids: of the quads.
        bounds: in CRS units.
    """
    first, cell = grids[0], _lattice(grids)
    west, south, east, north = bounds
    pixel = first.transform.a, first.transform.e
    # Headers round coordinates: counted from the CRS's origin, in pixels, every quad of a lattice
    # names the same corner.
    corner = [
        round(offset / step, 6)
        for offset, step in zip((first.transform.c, first.transform.f), pixel, strict=True)
    ]
    (left, right), (top, bottom) = (
        _cells(low / step - at, high / step - at, size)
        for low, high, step, at, size in zip(
            (west, north), (east, south), pixel, corner, cell, strict=True
        )
    )
    return Grid(
        crs=first.crs,
        transform=Affine(
            pixel[0], 0, (corner[0] + left) * pixel[0], 0, pixel[1], (corner[1] + top) * pixel[1]
        ),
        width=right - left,
        height=bottom - top,
    )


def _cells(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the first and the last pixel edge of the cells that a stretch of pixels touches.

    >>> _cells(5.0, 4096.0, 4096), _cells(-0.5, 4096.5, 4096)
    ((0, 4096), (-4096, 8192))
    """
    first = floor((low + GRID_TOLERANCE) / size) * size
    last = ceil((high - GRID_TOLERANCE) / size) * size
    return first, max(last, first + size)


def _check_bands(quad: Quad, bands: Mapping[str, int]) -> None:
    count = len(quad.dtypes)
    missing = [f"{name}={number}" for name, number in bands.items() if number > count]
    if missing:
        raise LandcoverError(
            f"The image {quad.path} has {count} band{'s' if count > 1 else ''}, but MOSAIC_BANDS "
            f"asks for {', '.join(missing)}: set MOSAIC_BANDS to the bands that the mosaic has."
        )
    if any("complex" in quad.dtypes[number - 1] for number in bands.values()):
        raise LandcoverError(
            f"The image {quad.path} holds complex numbers, which are not reflectances: "
            "set MOSAIC_BANDS to bands of real numbers."
        )
    for name, number in bands.items():
        if number in quad.alpha:
            raise LandcoverError(
                f"Band {number} of the image {quad.path} is marked as alpha, which says where the "
                f"image is transparent, but MOSAIC_BANDS reads it as {name}: leave {name}={number} "
                "out of MOSAIC_BANDS or, if it truly is a band of the imagery, unmark it in the "
                f"image files with `gdal_edit.py -colorinterp_{number} undefined FILE`."
            )


def _check_nodata(quad: Quad, bands: Mapping[str, int], nodata: Nodata) -> None:
    types = sorted({quad.dtypes[number - 1] for number in bands.values()})
    if isinstance(nodata, float) and not any(can_hold(dtype, nodata) for dtype in types):
        raise SettingsError(
            f"MOSAIC_NODATA is {nodata:.15g}, which no band that the model reads can hold: those "
            f"of {quad.path} are {' and '.join(types)}."
        )


def _check_same(quad: Quad, first: Quad, bands: Sequence[int], nodata: Nodata) -> None:
    """Make sure that two quads are parts of one raster, as far as the bands that are read go."""
    ours, theirs = quad.grid, first.grid
    pixels = max(ours.width, ours.height)
    steps = (ours.transform.a, ours.transform.e), (theirs.transform.a, theirs.transform.e)
    offsets = ~theirs.transform @ (ours.transform.c, ours.transform.f)

    def unlike(of: Callable[[Quad, int], object]) -> bool:
        return any(of(quad, band) != of(first, band) for band in bands)

    differences = {
        "its coordinate reference system": not same_crs(ours.crs, theirs.crs),
        "its resolution": any(
            abs(our / their - 1) * pixels > GRID_TOLERANCE
            for our, their in zip(*steps, strict=True)
        ),
        "its pixel grid": any(abs(offset - round(offset)) > GRID_TOLERANCE for offset in offsets),
        "its data type": unlike(lambda one, band: one.dtypes[band - 1]),
        "its nodata value": unlike(lambda one, band: _nodata(one.nodata[band - 1], nodata)),
        "its scale or offset": unlike(
            lambda one, band: (one.scales[band - 1], one.offsets[band - 1])
        ),
        "having an alpha band": bool(quad.alpha) != bool(first.alpha),
    }
    told = [what for what, differs in differences.items() if differs]
    if told:
        raise LandcoverError(
            f"The quads do not make one mosaic: {quad.path} differs from {first.path} in "
            f"{' and '.join(told)}. Bring them to one grid and one kind of values, or narrow "
            "MOSAIC_PATTERN."
        )


def _nodata(declared: str, nodata: Nodata) -> str:
    """Return what stands for no data in a band, as text: MOSAIC_NODATA where the file is silent."""
    return str(nodata) if declared == "None" and isinstance(nodata, float) else declared
