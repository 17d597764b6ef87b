"""Just enough of TIFF to make a Cloud-Optimized GeoTIFF from tiles that are already compressed.

GDAL would decode and compress each of them once more. The file is a BigTIFF, laid out as GDAL's COG
driver documents it: all directories first, then the tiles of the coarsest overview, those of the
map last. Each tile stands between its size and a copy of its last four bytes, so that reading from
a bucket takes few requests.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

# Row and column of a tile, counted from the upper left one.
Cell = tuple[int, int]


class Tag(NamedTuple):
    """An entry of a directory."""

    kind: int
    """Its TIFF type."""
    number: int
    """How many values it has."""
    value: bytes
    """The values' bytes."""


@dataclass(frozen=True)
class Span:
    """A compressed tile in a file."""

    path: Path
    """The file."""
    offset: int
    """Its first byte."""
    size: int
    """How many bytes it has."""

    def read(self) -> bytes:
        """Return the tile.

        Raises:
            RasterioIOError: if the file ends before it does.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise RasterioIOError(f"{self.path} ends too early: it was cut short")
        return content


@dataclass(frozen=True)
class Raster:
    """A map, one of its overviews, or what else is in its file."""

    width: int
    """Columns."""
    height: int
    """Rows."""
    tiles: Mapping[Cell, Span | bytes]
    """Compressed; those that are not there are nodata."""
    tags: Mapping[int, Tag]
    """Of any sizes and tiles: its own are written."""


LONG, LONG8 = 4, 16
BYTES = {1: 1, 2: 1, 3: 2, LONG: 4, 5: 8, 12: 8, LONG8: 8}

SUBFILE_TYPE, WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT = 254, 256, 257, 322, 323
TILE_OFFSETS, TILE_SIZES = 324, 325

# A BigTIFF with the lowest byte first, whose addresses have eight of them.
HEADER = struct.pack("<2sHHH", b"II", 43, 8, 0)

# Where a tile is, in the tables of a directory.
PLACE = np.dtype([("offset", "<u8"), ("size", "<u4")])

REDUCED = Tag(LONG, 1, struct.pack("<I", 1))

# Where the map lies and what else GDAL says of it, which is not repeated for overviews.
OF_THE_MAP = {33550, 33922, 34264, 34735, 34736, 34737, 42112}

# What GDAL calls the ghost area.
PROMISES = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)


def read_tags(content: bytes | mmap.mmap) -> list[dict[int, Tag]]:
    """Return the tags of each directory of a BigTIFF with the lowest byte first.

    Args:
        content: of the file.

    Raises:
        struct.error: if it ends too early.
    """
    directories = []
    (at,) = struct.unpack_from("<Q", content, 8)
    while at:
        tags = {}
        (number,) = struct.unpack_from("<Q", content, at)
        for entry in range(at + 8, at + 8 + 20 * number, 20):
            code, kind, count = struct.unpack_from("<HHQ", content, entry)
            size, place = count * BYTES[kind], entry + 12
            if size > 8:
                (place,) = struct.unpack_from("<Q", content, place)
            tags[code] = Tag(kind, count, content[place : place + size])
        directories.append(tags)
        (at,) = struct.unpack_from("<Q", content, at + 8 + 20 * number)
    return directories


def read_places(path: Path) -> list[dict[Cell, Span]]:
    """Return where the tiles of each raster are in a file that `write_tiff` wrote.

    Args:
        path: the file.

    Raises:
        RasterioIOError: if it is another file, or cut short.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            if whole[: len(HEADER)] != HEADER:
                raise RasterioIOError(f"{path} has changed: it is not the file that was written")
            directories = read_tags(whole)
    except struct.error as error:
        raise RasterioIOError(f"{path} ends too early: it was cut short") from error
    return [_places(path, tags) for tags in directories]


def _places(path: Path, directory: Mapping[int, Tag]) -> dict[Cell, Span]:
    offsets, sizes = (
        np.frombuffer(directory[code].value, kind).reshape(_shape(directory))
        for code, kind in ((TILE_OFFSETS, "<u8"), (TILE_SIZES, "<u4"))
    )
    return {
        (row, column): Span(path, int(offsets[row, column]), int(sizes[row, column]))
        for row, column in np.argwhere(offsets).tolist()
    }


def write_tiff(path: Path, rasters: Sequence[Raster]) -> None:
    """Write a Cloud-Optimized GeoTIFF.

    Args:
        path: the file to write.
        rasters: the map, its overviews from fine to coarse, and what else is in the file.

    Raises:
        OSError: if there is no room for it.
    """
    directories = [_directory(raster) for raster in rasters]
    tables = [np.zeros(_shape(directory), PLACE) for directory in directories]
    with path.open("wb") as file:
        file.write(_head(directories, tables))
        for raster, table in reversed(list(zip(rasters, tables, strict=True))):
            for cell, content in _contents(raster):
                table[cell] = file.tell() + 4, len(content)
                file.write(struct.pack("<I", len(content)) + content + content[-4:])
        file.seek(0)
        file.write(_head(directories, tables))


def overview_tags(tags: Mapping[int, Tag]) -> dict[int, Tag]:
    """Return the tags of an overview.

    Args:
        tags: of the map.
    """
    kept = {code: tag for code, tag in tags.items() if code not in OF_THE_MAP}
    return kept | {SUBFILE_TYPE: REDUCED}


def _directory(raster: Raster) -> dict[int, Tag]:
    """Return the tags of a raster, but for its tiles'."""
    sizes = ((WIDTH, raster.width), (HEIGHT, raster.height))
    return {**raster.tags, **{code: Tag(LONG, 1, struct.pack("<I", size)) for code, size in sizes}}


def _shape(directory: Mapping[int, Tag]) -> tuple[int, int]:
    """Return how many rows and columns of tiles there are."""
    height, width, high, wide = (
        int.from_bytes(directory[code].value, "little")
        for code in (HEIGHT, WIDTH, TILE_HEIGHT, TILE_WIDTH)
    )
    return -(-height // high), -(-width // wide)


def _contents(raster: Raster) -> Iterator[tuple[Cell, bytes]]:
    for cell, tile in sorted(raster.tiles.items()):
        yield cell, tile if isinstance(tile, bytes) else tile.read()


def _head(directories: Sequence[Mapping[int, Tag]], tables: Sequence[NDArray[np.void]]) -> bytes:
    """Return all that comes before the tiles; its length does not depend on where these are."""
    ghost = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(PROMISES) + PROMISES
    ghost += bytes(len(ghost) % 2)
    head = HEADER + struct.pack("<Q", 16 + len(ghost)) + ghost
    for number, (directory, table) in enumerate(zip(directories, tables, strict=True), start=1):
        of_tiles = {
            TILE_OFFSETS: Tag(LONG8, table.size, table["offset"].tobytes()),
            TILE_SIZES: Tag(LONG, table.size, table["size"].tobytes()),
        }
        head += _encode({**directory, **of_tiles}, len(head), last=number == len(tables))
    return head


def _encode(tags: Mapping[int, Tag], at: int, *, last: bool) -> bytes:
    """Return a directory that begins at a byte of the file, with its values after it."""
    values_at = at + 8 + 20 * len(tags) + 8
    entries, values = b"", b""
    for code, tag in sorted(tags.items()):
        place = tag.value
        if len(place) > 8:
            place = struct.pack("<Q", values_at + len(values))
            values += tag.value.ljust(-(-len(tag.value) // 8) * 8, b"\0")
        entries += struct.pack("<HHQ", code, tag.kind, tag.number) + place.ljust(8, b"\0")
    following = 0 if last else values_at + len(values)
    return struct.pack("<Q", len(tags)) + entries + struct.pack("<Q", following) + values
