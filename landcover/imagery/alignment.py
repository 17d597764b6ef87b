"""Alignment: image files that hold bands of the same pixels, and what to do where they do not."""

from collections.abc import Mapping, Sequence

from pyproj import CRS
from shapely import box

from landcover.errors import LandcoverError
from landcover.grid import Grid, grid_differences, same_crs
from landcover.imagery.quads import Header, Quad

# Column, row, width and height of a file, in pixels of the finest one.
Place = tuple[int, int, int, int]


def advise_warping(grid: Grid, like: Grid, method: str) -> str:
    """Return the command that brings an image to the pixels of another.

    Args:
        grid: of the image.
        like: the pixels that it is to have.
        method: how gdalwarp is to resample it.
    """
    authority = CRS(like.crs).to_authority()
    target = ":".join(authority) if authority else "CRS"
    projection = "" if same_crs(grid.crs, like.crs) else f"-t_srs {target} "
    edges = " ".join(f"{edge:.15g}" for edge in like.bounds)
    size = f"{like.width} {like.height}"
    return f"`gdalwarp {projection}-te {edges} -ts {size} -r {method} FILE NEW.tif`"


def join_files(of_ending: Mapping[str, Sequence[Header]]) -> list[Quad]:
    """Join the files of each place, which hold different bands of the same pixels, to a quad.

    Args:
        of_ending: headers of the files by how their names end. Where there is one ending, each file
            is a quad.

    Returns:
        The quads, in the order of the files of the first ending.

    Raises:
        LandcoverError: if a file does not have the pixels of the others, if a place has no file of
            an ending, or two.
    """
    if len(of_ending) == 1:
        (headers,) = of_ending.values()
        return [Quad((header,)) for header in headers]
    finest = min(of_ending.values(), key=lambda headers: headers[0].grid.transform.a)
    places: dict[Place, dict[str, Header]] = {}
    for ending, headers in of_ending.items():
        for header in headers:
            at_place = places.setdefault(_place(header, finest), {})
            if ending in at_place:
                raise LandcoverError(
                    f"{at_place[ending].path} and {header.path} both end in {ending} and have the "
                    "same place: narrow MOSAIC_PATTERN to one of them, or make one image of both "
                    "first, such as their median."
                )
            at_place[ending] = header
    for at_place in places.values():
        _check_complete(at_place, of_ending)
    return [Quad(tuple(at_place[ending] for ending in of_ending)) for at_place in places.values()]


def _place(header: Header, finest: Sequence[Header]) -> Place:
    """Return the place of a file among those of the finest pixels, which it must share."""
    told = grid_differences(header.grid, finest[0].grid)
    if told:
        like = next((other for other in finest if _overlap(header.grid, other.grid)), None)
        how = advise_warping(header.grid, like.grid, "near") if like else "`gdalwarp`"
        raise LandcoverError(
            f"The image {header.path} does not have the pixels of {(like or finest[0]).path}: it "
            f"differs in {' and '.join(told)}. Bring it to them first, for instance with {how}, "
            "and name the new file in MOSAIC_BANDS."
        )
    window = finest[0].grid.window_of(header.grid)
    return window.col_off, window.row_off, window.width, window.height


def _overlap(ours: Grid, theirs: Grid) -> bool:
    return same_crs(ours.crs, theirs.crs) and bool(
        box(*ours.bounds).intersection(box(*theirs.bounds)).area
    )


def _check_complete(
    at_place: Mapping[str, Header], of_ending: Mapping[str, Sequence[Header]]
) -> None:
    """Make sure that a place has a file of every ending."""
    missing = [ending for ending in of_ending if ending not in at_place]
    if not missing:
        return
    there = next(iter(at_place.values()))
    for header in of_ending[missing[0]]:
        if _overlap(header.grid, there.grid):
            raise LandcoverError(
                f"The image {header.path} does not cover the same pixels as {there.path}: bring it "
                "to them first, for instance with "
                f"{advise_warping(header.grid, there.grid, 'near')}."
            )
    raise LandcoverError(
        f"There is no file that ends in {' or in '.join(missing)} where {there.path} lies, so that "
        "MOSAIC_BANDS cannot be read there: fetch it, or take the other files of that place away."
    )
