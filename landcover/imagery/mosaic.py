"""The mosaic: all imagery of one month, one file or many quads read as one raster."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from upath import UPath

from landcover.errors import LandcoverError
from landcover.grid import Grid, grid_of
from landcover.imagery.images import open_image, read_patiently
from landcover.imagery.pixels import read_pixels
from landcover.imagery.quads import (
    Quad,
    find_quads,
    read_index,
    read_quad,
    write_index,
)

# Quads lie on one grid if their origins are whole pixels apart within this share of a pixel: file
# headers round coordinates, and a hundredth of a pixel moves no value.
GRID_TOLERANCE = 0.01

# So many changed files are named.
SHOWN = 5

# A window of 8192 pixels touches nine quads of NICFI's at most.
MOST_OPEN = 16


@dataclass(frozen=True)
class Mosaic:
    """One month's imagery, ready to be opened by any task.

    Attributes:
        index: where the headers of its image files are kept (see `quads.write_index`).
        origin: where the imagery was found: the path or the glob, for people and for the database.
        files: how many image files it is made of.
        bands: names and numbers (from 1) of the bands that the model reads.
        grid: CRS, transform and size.
        fingerprint: changes when a file of the mosaic is replaced.
    """

    index: UPath
    origin: str
    files: int
    bands: Mapping[str, int]
    grid: Grid
    fingerprint: str

    def open(self) -> "MosaicReader":
        """Open the mosaic for reading, in a `with` statement.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        return MosaicReader(self.grid, self.quads())

    def quads(self) -> tuple[Quad, ...]:
        """Return the headers of its image files.

        Raises:
            LandcoverError: if another run has found other imagery for the month since.
        """
        return _indexed(self.index, self.fingerprint, tuple(sorted(self.bands.items())))


@lru_cache(maxsize=4)
def _indexed(
    index: UPath, fingerprint: str, bands: tuple[tuple[str, int], ...]
) -> tuple[Quad, ...]:
    quads = tuple(read_index(index))
    if _fingerprint(quads, dict(bands)) != fingerprint:
        raise LandcoverError(
            f"The imagery that {index} lists has changed while the month was run: run it again."
        )
    return quads


class MosaicReader:
    """An open mosaic: quads pasted into whichever window is read.

    Not to be shared by threads.
    """

    def __init__(self, grid: Grid, quads: Sequence[Quad]) -> None:
        """Work out where the quads lie; none is opened yet.

        Args:
            grid: the mosaic's.
            quads: its image files; of two that overlap, the later counts where it is valid.
        """
        self.grid = grid
        self._quads = quads
        self._places = np.array([_place(quad.grid, grid) for quad in quads])
        self._open: dict[int, tuple[DatasetReader, ExitStack]] = {}

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the quads."""
        self._close_all()

    def read(
        self, bands: Sequence[int], window: Window
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read bands of a window and tell which of its pixels are valid.

        `landcover.imagery.pixels.read_pixels` decides what is valid in a quad; where there is no
        quad, nothing is.

        Args:
            bands: the numbers of the bands, counted from 1.
            window: the part to read, in pixels, inside the mosaic.

        Returns:
            The values, (bands, rows, columns) in the quads' dtype, and the mask, (rows, columns),
            True where the pixel is valid.

        Raises:
            RasterioIOError: if a quad cannot be read, or is no longer where it was; it is named.
        """
        shape = (window.height, window.width)
        values = np.zeros((len(bands), *shape), dtype=self._quads[0].dtypes[bands[0] - 1])
        valid = np.zeros(shape, dtype=bool)
        for number in self._touching(window):
            part, place = _overlap(self._places[number], window)
            found, good = self._read(number, bands, part)
            if valid[place].any():
                np.copyto(values[:, *place], found, where=good)
                valid[place] |= good
            else:
                values[:, *place], valid[place] = found, good
        return values, valid

    def _touching(self, window: Window) -> list[int]:
        left, top, right, bottom = self._places.T
        touching = (
            (left < window.col_off + window.width)
            & (right > window.col_off)
            & (top < window.row_off + window.height)
            & (bottom > window.row_off)
        )
        return [int(number) for number in np.flatnonzero(touching)]

    def _read(
        self, number: int, bands: Sequence[int], part: Window
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        quad = self._quads[number]

        def read() -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
            try:
                return read_pixels(self._dataset(number), bands, part)
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
                if grid_of(dataset) != quad.grid:
                    raise RasterioIOError("it has changed: it covers another area than before")
                self._open[number] = dataset, closing.pop_all()
        return self._open[number][0]

    def _close_all(self) -> None:
        while self._open:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, closing = self._open.pop(next(iter(self._open)))
        closing.close()


def window_of(quad: Grid, mosaic: Grid) -> Window:
    """Return which pixels of a mosaic a quad covers."""
    left, top = (round(offset) for offset in ~mosaic.transform @ (quad.transform @ (0, 0)))
    return Window(left, top, quad.width, quad.height)


def _place(quad: Grid, mosaic: Grid) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom edge of a quad, in pixels of the mosaic."""
    window = window_of(quad, mosaic)
    left, top = window.col_off, window.row_off
    return left, top, left + window.width, top + window.height


def _overlap(place: NDArray[np.int_], window: Window) -> tuple[Window, tuple[slice, slice]]:
    """Return which part of a quad lies in a window: in the quad's pixels, and in the window's."""
    left, top, right, bottom = (int(edge) for edge in place)
    west, north = max(left, window.col_off), max(top, window.row_off)
    east = min(right, window.col_off + window.width)
    south = min(bottom, window.row_off + window.height)
    return (
        Window(west - left, north - top, east - west, south - north),
        (
            slice(north - window.row_off, south - window.row_off),
            slice(west - window.col_off, east - window.col_off),
        ),
    )


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


def describe_mosaic(
    quads: Sequence[Quad], origin: str, bands: Mapping[str, int], index: UPath
) -> Mosaic:
    """Make one mosaic of quads.

    Args:
        quads: headers of the image files.
        origin: where they were found.
        bands: names and numbers of the bands that the model reads.
        index: where the headers are, or will be, kept (see `landcover.imagery.quads.write_index`).

    Raises:
        LandcoverError: if the quads do not make one raster, or lack a band.
    """
    for quad in quads:
        _check_bands(quad, bands)
        _check_same_grid(quad, quads[0])
    return Mosaic(
        index=index,
        origin=origin,
        files=len(quads),
        bands=dict(bands),
        grid=_union([quad.grid for quad in quads]) if len(quads) > 1 else quads[0].grid,
        fingerprint=_fingerprint(quads, bands),
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
    before = {(quad.path, quad.version) for quad in mosaic.quads()}
    now = {(image.path, image.version) for image in find_quads(mosaic.origin, "the mosaic")}
    changed = sorted({path for path, _ in before ^ now})
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise LandcoverError(
            f"The imagery of {mosaic.origin} was changed while the month was run "
            f"({', '.join(changed[:SHOWN])}{more}), so that a map would show both: run the month "
            "again."
        )


def _fingerprint(quads: Sequence[Quad], bands: Mapping[str, int]) -> str:
    parts = [str(sorted(bands.items())), *(f"{quad.path} {quad.version}" for quad in quads)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _union(grids: Sequence[Grid]) -> Grid:
    west, south, east, north = zip(*(grid.bounds for grid in grids), strict=True)
    first = grids[0].transform
    return Grid(
        crs=grids[0].crs,
        transform=Affine(first.a, 0, min(west), 0, first.e, max(north)),
        width=round((max(east) - min(west)) / first.a),
        height=round((min(south) - max(north)) / first.e),
    )


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
            f"The image {quad.path} holds complex numbers, which are no reflectance: "
            "set MOSAIC_BANDS to bands of real numbers."
        )


def _check_same_grid(quad: Quad, first: Quad) -> None:
    ours, theirs = quad.grid, first.grid
    pixels = max(ours.width, ours.height)
    steps = (ours.transform.a, ours.transform.e), (theirs.transform.a, theirs.transform.e)
    offsets = ~theirs.transform @ (ours.transform.c, ours.transform.f)
    differences = {
        "its coordinate reference system": ours.crs != theirs.crs,
        "its resolution": any(
            abs(our / their - 1) * pixels > GRID_TOLERANCE
            for our, their in zip(*steps, strict=True)
        ),
        "its pixel grid": any(abs(offset - round(offset)) > GRID_TOLERANCE for offset in offsets),
        "its bands or data type": quad.dtypes != first.dtypes,
        "its nodata value": quad.nodata != first.nodata,
        "having an alpha band": quad.alpha != first.alpha,
    }
    told = [what for what, differs in differences.items() if differs]
    if told:
        raise LandcoverError(
            f"The quads do not make one mosaic: {quad.path} differs from {first.path} in "
            f"{' and '.join(told)}. Bring them to one grid, or narrow MOSAIC_PATTERN."
        )
