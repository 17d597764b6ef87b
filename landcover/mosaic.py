"""The mosaic: all imagery of one month, one file or many quads opened as one raster."""

import glob
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from landcover.errors import LandcoverError
from landcover.tile_index import Grid, grid_of, write_tile_index

# Quads lie on one grid if their origins are whole pixels apart within this share of a pixel: file
# headers round coordinates, and a hundredth of a pixel moves no value.
GRID_TOLERANCE = 0.01

# What GIS programs leave beside an image, and `*.tif*` matches too.
SIDECARS = (".aux.xml", ".ovr", ".msk")


@dataclass(frozen=True)
class Quad:
    """What the header of one image file says.

    Attributes:
        path: where the file is.
        grid: CRS, transform and size.
        dtypes: the data type of each band.
        nodata: the value that stands for no data, as text; "None" if there is none.
        alpha: whether a band is marked as alpha.
        version: changes when the file is replaced.
    """

    path: str
    grid: Grid
    dtypes: tuple[str, ...]
    nodata: str
    alpha: bool
    version: str


@dataclass(frozen=True)
class Mosaic:
    """One month's imagery, ready to be opened by any task.

    Attributes:
        source: what GDAL opens: the file, or the tile index of the quads.
        origin: where the imagery was found: the path or the glob, for people and for the database.
        files: how many image files it is made of.
        bands: names and numbers (from 1) of the bands that the model reads.
        grid: CRS, transform and size.
        fingerprint: changes when a file of the mosaic is replaced.
    """

    source: str
    origin: str
    files: int
    bands: Mapping[str, int]
    grid: Grid
    fingerprint: str

    def open(self) -> DatasetReader:
        """Open the mosaic for reading, in a `with` statement."""
        return rasterio.open(self.source)


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


def find_quads(where: str, wanted: str) -> list[str]:
    """Return the image files that a path or a glob stands for, sorted.

    Args:
        where: the path of a file, of a folder of GeoTIFFs, or a glob.
        wanted: what is looked for, for the message, such as "the mosaic of 2025-06".

    Raises:
        LandcoverError: if there is none; it says what is there instead.
    """
    path = Path(where)
    if path.is_file():
        return [where]
    pattern = path / "*.tif*" if path.is_dir() else path
    escaped = Path(glob.escape(where), pattern.name) if path.is_dir() else path
    # Path.glob refuses patterns that are absolute.
    matches = glob.glob(str(escaped), recursive=True)  # noqa: PTH207
    found = sorted(
        match for match in matches if Path(match).is_file() and not match.endswith(SIDECARS)
    )
    if not found:
        raise LandcoverError(
            f"Cannot find {wanted}: nothing matches {pattern}; {_what_is_near(pattern)}. "
            "Put the imagery there, set PLANET_MOSAIC_DIR and MOSAIC_PATTERN, "
            "or give --mosaic_path."
        )
    return found


def _what_is_near(path: Path) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{folder} holds {', '.join(names[:5])}{more}"


def read_quad(path: str) -> Quad:
    """Read the header of an image file.

    Raises:
        LandcoverError: if GDAL cannot open it, or if it has no CRS or is not north-up.
    """
    status = Path(path).stat()
    try:
        with rasterio.open(path) as dataset:
            quad = Quad(
                path=path,
                grid=grid_of(dataset),
                dtypes=dataset.dtypes,
                nodata=str(dataset.nodata),
                alpha=ColorInterp.alpha in dataset.colorinterp,
                version=f"{status.st_size}-{status.st_mtime_ns}",
            )
    except RasterioIOError as error:
        raise LandcoverError(
            f"Cannot read the image {path} ({error}): fetch the file again."
        ) from error
    if not quad.grid.crs:
        raise LandcoverError(
            f"The image {path} does not say its coordinate reference system: "
            "set it, for instance with `rio edit-info --crs EPSG:3857`."
        )
    transform = quad.grid.transform
    if not (transform.is_rectilinear and transform.a > 0 > transform.e):
        raise LandcoverError(
            f"The image {path} is rotated or not north-up: warp it to a north-up grid first."
        )
    return quad


def describe_mosaic(
    quads: Sequence[Quad], origin: str, bands: Mapping[str, int], index: Path
) -> Mosaic:
    """Make one mosaic of quads, writing a tile index where there are several.

    Args:
        quads: headers of the image files.
        origin: where they were found.
        bands: names and numbers of the bands that the model reads.
        index: the tile index to write, ending in `.gti.gpkg`.

    Raises:
        LandcoverError: if the quads do not make one raster, or lack a band.
    """
    for quad in quads:
        _check_bands(quad, bands)
        _check_same_grid(quad, quads[0])
    grid, source = quads[0].grid, quads[0].path
    if len(quads) > 1:
        grid = _union([quad.grid for quad in quads])
        # Without a mask band, the gaps between quads of no nodata would pass for valid zeros.
        unmasked = quads[0].nodata == "None" and not quads[0].alpha
        source = write_tile_index(
            [str(Path(quad.path).absolute()) for quad in quads],
            [quad.grid for quad in quads],
            grid,
            index,
            {"MASK_BAND": "YES"} if unmasked else {},
        )
    return Mosaic(
        source=source,
        origin=origin,
        files=len(quads),
        bands=dict(bands),
        grid=grid,
        fingerprint=_fingerprint(quads, bands),
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
