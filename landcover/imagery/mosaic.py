"""The mosaic: all imagery of one month, one file or many quads read as one raster."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
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
from landcover.grid import GRID_TOLERANCE, Bounds, Grid, grid_differences
from landcover.imagery.alignment import advise_warping
from landcover.imagery.bands import Bands, by_file, sort_files
from landcover.imagery.images import open_image, read_patiently
from landcover.imagery.pixels import Pixels, can_hold, common_type, read_pixels, stack_pixels
from landcover.imagery.quads import (
    FileBands,
    Header,
    Quad,
    find_quads,
    grid_of_image,
    look_again,
    read_bands,
    read_header,
    read_index,
    write_index,
)
from landcover.listing import listed
from landcover.notices import Notice
from landcover.windows import within

# At most this many changed files are named.
SHOWN = 5

# The tables of a map's tiles, 12 bytes for each of 512 x 512 pixels, are then 48 MB, which every
# reader takes in first. South America in pixels of 5 m is no larger.
MOST_PIXELS = 10**12

# What MOSAIC_NODATA says: nothing, a value that stands for no data in every band, or that nothing
# does that the files do not declare.
Nodata = float | Literal["none"] | None

# A window of 8192 pixels touches at most nine of NICFI's quads. Where a quad has several files, as
# many times more are kept open.
MOST_OPEN = 16

# What may help where the imagery's files have too few bands.
OWN_FILES = ", or, where each is a file of its own, to how their names end, such as red=B04.tif"


@dataclass(frozen=True)
class Raster:
    """Quads that are read as one raster: the month's imagery, or bands that do not change."""

    origin: str
    """Where they were found: the path or the glob."""
    quads: tuple[Quad, ...]
    """Of those that overlap, the later counts where it is valid."""
    bands: Mapping[str, int]
    """Names and numbers of the bands that the model reads, counted from 1 in this raster."""
    nodata: float | None = None
    """A value that stands for no data in every band, beside what the files say."""
    endings: tuple[str, ...] = ("",)
    """How the names of the files end that are read, of all that are there."""

    @property
    def count(self) -> int:
        """How many bands it has, read or not."""
        return max(len(quad.dtypes) for quad in self.quads)

    def dtypes(self, names: Collection[str]) -> list[str]:
        """Return the data types of those bands that have one of these names."""
        types = self.quads[0].dtypes
        return [types[number - 1] for name, number in self.bands.items() if name in names]


@dataclass(frozen=True)
class Static:
    """Bands that do not change from month to month (`STATIC_BANDS`), of one path or glob."""

    origin: str
    """The path or the glob."""
    bands: Mapping[str, int]
    """Names and numbers of the bands, counted from 1 in each file."""


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
    """Names of the bands that the model reads, and the numbers by which they are read, counted from
    1: those of the imagery, then those of what does not change."""
    grid: Grid
    """CRS, transform and size: of a single image its own; of quads those cells of their lattice
    that the area of interest touches, whichever quads are there. Quads may reach beyond it."""
    fingerprint: str
    """Changes when a file of the mosaic is replaced, or is read differently."""
    nodata: Nodata = None
    """What stands for no data in the imagery beside what the files say (`MOSAIC_NODATA`)."""
    notices: tuple[Notice, ...] = ()
    """What is to be told of its files."""
    endings: tuple[str, ...] = ("",)
    """How the names of the imagery's files end that are read."""
    static: tuple[Static, ...] = ()
    """What does not change from month to month."""

    def open(self) -> "MosaicReader":
        """Open the mosaic for reading, in a `with` statement.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        return MosaicReader(self.grid, self.rasters())

    @property
    def imagery(self) -> Mapping[str, int]:
        """Names and numbers of the bands of the imagery: those that change from month to month."""
        unchanging = {name for static in self.static for name in static.bands}
        return {name: number for name, number in self.bands.items() if name not in unchanging}

    @property
    def origins(self) -> tuple[str, ...]:
        """Where its files were found: the imagery's, then those that do not change."""
        return (self.origin, *(static.origin for static in self.static))

    @property
    def nodata_value(self) -> float | None:
        """The value that stands for no data in every band, if `MOSAIC_NODATA` is one."""
        return None if self.nodata == "none" else self.nodata

    def itemsize(self, bands: Sequence[str]) -> int:
        """Return how many bytes a value takes while bands are read.

        Those of the type that holds the values of all; twice as many where they are put together
        from several files.

        Args:
            bands: their names.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        dtypes = [dtype for raster in self.rasters() for dtype in raster.dtypes(bands)]
        several = len(self.endings) > 1 or bool(self.static)
        return common_type(dtypes).itemsize * (2 if several else 1)

    def dtypes(self) -> list[str]:
        """Return the data types of its bands, each once.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        names = list(self.bands)
        return sorted({dtype for raster in self.rasters() for dtype in raster.dtypes(names)})

    def quads(self) -> tuple[Quad, ...]:
        """Return the headers of the imagery's files.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        return self.rasters()[0].quads

    def rasters(self) -> tuple[Raster, ...]:
        """Return the imagery, and what does not change, with the headers of all files.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        bands = tuple(sorted(self.bands.items()))
        imagery, *others = _indexed(self.index, self.fingerprint, bands, self.nodata)
        return (
            Raster(self.origin, imagery, self.imagery, self.nodata_value, self.endings),
            *(
                Raster(static.origin, quads, static.bands)
                for static, quads in zip(self.static, others, strict=True)
            ),
        )


@lru_cache(maxsize=4)
def _indexed(
    index: UPath, fingerprint: str, bands: tuple[tuple[str, int], ...], nodata: Nodata
) -> list[tuple[Quad, ...]]:
    rasters = read_index(index)
    if _fingerprint(rasters, dict(bands), nodata) != fingerprint:
        raise LandcoverError(
            f"The imagery that {index} lists has changed while the month was run: run it again."
        )
    return rasters


class MosaicReader:
    """An open mosaic: quads pasted into whichever window is read.

    Not to be shared by threads.
    """

    def __init__(self, grid: Grid, rasters: Sequence[Raster]) -> None:
        """Work out where the quads lie; none is opened yet.

        Args:
            grid: the mosaic's.
            rasters: whose bands are numbered on from each to the next. The first is the imagery.
        """
        self._rasters = rasters
        self._before = np.cumsum([0, *(raster.count for raster in rasters)])
        self._places = [
            np.array([_place(quad.grid, grid) for quad in raster.quads]) for raster in rasters
        ]
        self._open: dict[str, tuple[DatasetReader, ExitStack]] = {}
        files = (max(len(quad.headers) for quad in raster.quads) for raster in rasters)
        self._most_open = MOST_OPEN * sum(files)

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the quads."""
        self._close_all()

    @property
    def extent(self) -> Window:
        """The part of the grid's plane that the imagery covers; it may reach beyond the grid."""
        left, top = (int(edge) for edge in self._places[0][:, :2].min(axis=0))
        right, bottom = (int(edge) for edge in self._places[0][:, 2:].max(axis=0))
        return Window(left, top, right - left, bottom - top)

    def read(self, bands: Sequence[int], window: Window) -> Pixels:
        """Read bands of a window and tell which of its pixels are valid.

        `landcover.imagery.pixels.read_pixels` decides what is valid in a file; where there is no
        quad, nothing is.

        Args:
            bands: the numbers of the bands, counted from 1.
            window: the part to read, in pixels of the mosaic's grid; it may reach beyond it.

        Returns:
            The values, in the type that holds those of the bands, and which of them are valid.
            Partial is what the imagery alone is; of quads that overlap, what holds data in one of
            them is not.

        Raises:
            RasterioIOError: if a file cannot be read, or is no longer where it was; it is named.
        """
        of_raster = np.searchsorted(self._before, bands, side="left") - 1
        parts = []
        for number in np.unique(of_raster):
            places = np.flatnonzero(of_raster == number).tolist()
            own = [bands[place] - int(self._before[number]) for place in places]
            parts.append((places, self._read_raster(int(number), own, window)))
        found = stack_pixels(parts)
        if of_raster.max() == 0:
            return found
        # Where the sea has no elevation, nothing is wrong with the imagery.
        nowhere = np.zeros_like(found.valid)
        return found._replace(partial=parts[0][1].partial if of_raster.min() == 0 else nowhere)

    def _read_raster(self, raster: int, bands: Sequence[int], window: Window) -> Pixels:
        shape = (window.height, window.width)
        types = self._rasters[raster].quads[0].dtypes
        dtype = common_type([types[band - 1] for band in bands])
        touching = _touching(self._places[raster], window)
        if len(touching) == 1:
            part, _ = _overlap(self._places[raster][touching[0]], window)
            if (part.height, part.width) == shape:
                return self._read_quad(self._rasters[raster], touching[0], bands, part)
        values = np.zeros((len(bands), *shape), dtype=dtype)
        valid, partial = np.zeros((2, *shape), dtype=bool)
        for number in touching:
            part, place = _overlap(self._places[raster][number], window)
            found = self._read_quad(self._rasters[raster], number, bands, part)
            if valid[place].any():
                np.copyto(values[:, *place], found.values, where=found.valid)
                valid[place] |= found.valid
            else:
                values[:, *place], valid[place] = found.values, found.valid
            partial[place] |= found.partial
        partial &= ~valid
        return Pixels(values, valid, partial)

    def _read_quad(self, raster: Raster, number: int, bands: Sequence[int], part: Window) -> Pixels:
        def read_file(header: Header, numbers: Sequence[int]) -> Pixels:
            def read() -> Pixels:
                try:
                    dataset = self._dataset(header)
                    return read_pixels(dataset, numbers, part, nodata=raster.nodata)
                except RasterioIOError as error:
                    # GDAL remembers the failure until something is opened, and rasterio would then
                    # raise it for the next quad.
                    self._close_all()
                    raise RasterioIOError(f"{header.path}: {error.__cause__ or error}") from error

            return read_patiently(UPath(header.path), read)

        return read_bands(raster.quads[number], bands, read_file)

    def _dataset(self, header: Header) -> DatasetReader:
        if header.path not in self._open:
            if len(self._open) == self._most_open:
                self._close_oldest()
            with ExitStack() as closing:
                dataset = closing.enter_context(open_image(UPath(header.path)))
                if grid_of_image(dataset) != header.grid:
                    raise RasterioIOError("it has changed: it covers another area than before")
                self._open[header.path] = dataset, closing.pop_all()
        return self._open[header.path][0]

    def _close_all(self) -> None:
        while self._open:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, closing = self._open.pop(next(iter(self._open)))
        closing.close()


def _touching(places: NDArray[np.int_], window: Window) -> list[int]:
    """Return the numbers of the quads that have pixels in a window."""
    left, top, right, bottom = places.T
    touching = (
        (left < window.col_off + window.width)
        & (right > window.col_off)
        & (top < window.row_off + window.height)
        & (bottom > window.row_off)
    )
    return [int(number) for number in np.flatnonzero(touching)]


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
    bands: Bands,
    index: UPath,
    area: BaseGeometry | None = None,
    nodata: Nodata = None,
    static: Sequence[Raster] = (),
) -> Mosaic:
    """Make one mosaic of quads.

    Args:
        quads: headers of the imagery's files; of each quad a file for each that the bands name.
        origin: where they were found.
        bands: of the imagery, that the model reads.
        index: where the headers are, or will be, kept (see `quads.write_index`).
        area: the area of interest in the quads' CRS, which the mosaic's grid is to cover; without
            one it covers the quads.
        nodata: what stands for no data in the imagery beside what its files say.
        static: what does not change from month to month, on the same pixels.

    Raises:
        SettingsError: if `nodata` is a value that none of the bands can hold.
        LandcoverError: if the quads do not make one raster, if they lack a band, if one that the
            model reads is marked as alpha, or if the area of interest does not touch them or makes
            a grid that is too large; or if what does not change lies on other pixels.
    """
    of_file = by_file(bands)
    _check_bands(quads, list(of_file.values()), "MOSAIC_BANDS")
    numbers = _number(quads[0], of_file)
    imagery = {name: numbers[name] for name in bands}
    _check_same(quads, list(imagery.values()), nodata, "MOSAIC_PATTERN")
    _check_nodata(quads[0], imagery, nodata)
    grid = _grid([quad.grid for quad in quads], origin, area)
    rasters = [Raster(origin, tuple(quads), imagery), *static]
    for raster in static:
        _check_static(raster, quads[0], grid)
    before = accumulate((raster.count for raster in rasters), initial=0)
    numbered = {
        name: number + first
        for raster, first in zip(rasters, before, strict=False)
        for name, number in raster.bands.items()
    }
    return Mosaic(
        index=index,
        origin=origin,
        files=sum(len(quad.headers) for quad in quads),
        bands=numbered,
        grid=grid,
        fingerprint=_fingerprint([raster.quads for raster in rasters], numbered, nodata),
        nodata=nodata,
        endings=tuple(of_file),
        static=tuple(Static(raster.origin, raster.bands) for raster in static),
    )


def _number(quad: Quad, of_file: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return the number of each band among those of a quad, whose files are in the same order."""
    before = accumulate(_counts(quad), initial=0)
    return {
        name: number + first
        for first, bands in zip(before, of_file.values(), strict=False)
        for name, number in bands.items()
    }


def _counts(quad: Quad) -> list[int]:
    """Return how many bands each file of a quad has."""
    return [len(header.dtypes) for header in quad.headers]


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
    quads = [Quad((read_header(image),)) for image in images]
    mosaic = describe_mosaic(quads, str(files[0].parent), bands, UPath(index))
    write_index([quads], index)
    return mosaic


def check_unchanged(mosaic: Mosaic) -> None:
    """Make sure that the imagery is what it was when its headers were read.

    Raises:
        LandcoverError: if image files were replaced, added or removed since.
        OSError: if the folder or the bucket cannot be listed.
    """
    changed = sorted({path for raster in mosaic.rasters() for path in _changed(raster)})
    if changed:
        raise LandcoverError(
            f"The imagery of {mosaic.origin} was changed while the month was run "
            f"({listed(changed, SHOWN)}), so that a map would show both: run the month again."
        )


def _changed(raster: Raster) -> set[str]:
    """Return the paths of a raster's files that were replaced, added or removed."""
    files = {file for quad in raster.quads for file in quad.files}
    sources = {source.path for quad in raster.quads for source in quad.sources}
    of_ending, _ = sort_files(find_quads(raster.origin, "the mosaic"), raster.endings)
    found = {image for images in of_ending.values() for image in images}
    return {file.path for file in files ^ {*found, *look_again(sources)}}


def _fingerprint(
    rasters: Sequence[Sequence[Quad]], bands: Mapping[str, int], nodata: Nodata
) -> str:
    files = [
        f"{file.path} {file.version}" for quads in rasters for quad in quads for file in quad.files
    ]
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


def _check_bands(quads: Sequence[Quad], of_file: Sequence[Mapping[str, int]], setting: str) -> None:
    """Make sure that the files of quads have the bands that are read.

    Args:
        quads: whose files.
        of_file: names and numbers of the bands in each file of a quad.
        setting: that names them.
    """
    for quad in quads:
        for header, bands in zip(quad.headers, of_file, strict=True):
            _check_file(header, bands, setting)


def _check_file(header: Header, bands: Mapping[str, int], setting: str) -> None:
    count = len(header.dtypes)
    missing = [f"{name}={number}" for name, number in bands.items() if number > count]
    if missing:
        hint = OWN_FILES if setting == "MOSAIC_BANDS" else ""
        raise LandcoverError(
            f"The image {header.path} has {count} band{'s' if count > 1 else ''}, but {setting} "
            f"asks for {', '.join(missing)}: set {setting} to the bands that the files have{hint}."
        )
    if any("complex" in header.dtypes[number - 1] for number in bands.values()):
        raise LandcoverError(
            f"The image {header.path} holds complex numbers, which are not reflectances: "
            f"set {setting} to bands of real numbers."
        )
    for name, number in bands.items():
        if number in header.alpha:
            raise LandcoverError(
                f"Band {number} of the image {header.path} is marked as alpha, which says where "
                f"the image is transparent, but {setting} reads it as {name}: leave {name} out of "
                f"{setting} or, if it truly is a band of the imagery, unmark it in the "
                f"image files with `gdal_edit.py -colorinterp_{number} undefined FILE`."
            )


def _check_nodata(quad: Quad, bands: Mapping[str, int], nodata: Nodata) -> None:
    types = sorted({quad.dtypes[number - 1] for number in bands.values()})
    if isinstance(nodata, float) and not any(can_hold(dtype, nodata) for dtype in types):
        raise SettingsError(
            f"MOSAIC_NODATA is {nodata:.15g}, which no band that the model reads can hold: those "
            f"of {quad.path} are {' and '.join(types)}."
        )


def _check_same(quads: Sequence[Quad], bands: Sequence[int], nodata: Nodata, setting: str) -> None:
    """Make sure that quads are parts of one raster, as far as the bands that are read go.

    Args:
        quads: which.
        bands: the numbers of those bands.
        nodata: what stands for no data beside what the files say.
        setting: that says which files they are.
    """
    for quad in quads:
        told = grid_differences(quad.grid, quads[0].grid)
        if len(quad.headers) > 1 and _counts(quad) != _counts(quads[0]):
            told.append("the number of bands in its files")
        else:
            for ours, theirs in zip(quad.by_file(bands), quads[0].by_file(bands), strict=True):
                told += _unlike(ours, theirs, nodata)
        if told:
            raise LandcoverError(
                f"The quads do not make one mosaic: {quad.path} differs from {quads[0].path} in "
                f"{' and '.join(dict.fromkeys(told))}. Bring them to one grid and one kind of "
                f"values, or narrow {setting}."
            )


def _unlike(ours: FileBands, theirs: FileBands, nodata: Nodata) -> list[str]:
    """Return in what the bands of two files differ."""

    def of(attribute: str, of_file: FileBands) -> list[object]:
        values = getattr(of_file.header, attribute)
        return [values[number - 1] for number in of_file.numbers]

    def declared(of_file: FileBands) -> list[str]:
        return [_nodata(str(value), nodata) for value in of("nodata", of_file)]

    differences = {
        "its data type": of("dtypes", ours) != of("dtypes", theirs),
        "its nodata value": declared(ours) != declared(theirs),
        "its scale or offset": any(
            of(name, ours) != of(name, theirs) for name in ("scales", "offsets")
        ),
        "having an alpha band": bool(ours.header.alpha) != bool(theirs.header.alpha),
    }
    return [what for what, differs in differences.items() if differs]


def _nodata(declared: str, nodata: Nodata) -> str:
    """Return what stands for no data in a band, as text: MOSAIC_NODATA where the file is silent."""
    return str(nodata) if declared == "None" and isinstance(nodata, float) else declared


def _check_static(raster: Raster, imagery: Quad, grid: Grid) -> None:
    """Make sure that what does not change has its bands, and the pixels of the imagery.

    Args:
        raster: what does not change.
        imagery: a quad of the imagery.
        grid: of the mosaic.
    """
    _check_bands(raster.quads, [raster.bands], "STATIC_BANDS")
    for quad in raster.quads:
        told = grid_differences(quad.grid, imagery.grid)
        if told:
            raise LandcoverError(
                f"{quad.path}, which STATIC_BANDS reads as {', '.join(raster.bands)}, does not "
                f"have the pixels of the imagery ({imagery.path}): it differs in "
                f"{' and '.join(told)}. Bring it to them first, for instance with "
                f"{advise_warping(quad.grid, grid, 'bilinear')}."
            )
    _check_same(raster.quads, list(raster.bands.values()), None, "STATIC_BANDS")
