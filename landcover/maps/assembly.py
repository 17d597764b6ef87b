"""The finished map: layers assembled from their pieces, and found to be what the pieces are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rasterio.windows import Window
from upath import UPath

from landcover.errors import LandcoverError
from landcover.grid import Grid
from landcover.imagery.doubts import Doubts
from landcover.imagery.unseen import Places, unseen_notices
from landcover.maps.cog import write_cog
from landcover.maps.layers import Layer
from landcover.maps.measure import Counts, count_data, count_map
from landcover.maps.pieces import Piece, Plan
from landcover.maps.regional import RegionalAreas
from landcover.model.forest import Model
from landcover.notices import Notice

# Hectares: less is written as 0.0.
LEAST_TOLD = 0.05

# In percent: below it, the model thinks the other classes together likelier than the one shown.
LOW_CONFIDENCE = 50


@dataclass(frozen=True)
class FinishedMap:
    """A finished map, which waits in the work folder until it is recorded."""

    layers: tuple[Layer, ...]
    """What it is made of: the classes first."""
    final: UPath
    """The folder that it will be published in."""
    folder: UPath
    """Where its files wait, under their names."""
    sha256: str
    """Of the file of its classes."""
    model: Model
    """What predicted it."""
    source_mosaic: str
    """The imagery that it was made from."""
    hectares: Mapping[str, float]
    """The true area of each class, by name."""
    pixels: int
    """How many pixels have a class."""
    low_confidence: float
    """The share of its pixels whose confidence is below `LOW_CONFIDENCE`, 0 to 1."""
    sieved: float = 0.0
    """The share of its pixels that took the class of what surrounds them, without a confidence."""
    notices: tuple[Notice, ...] = ()
    """What is probably wrong with it."""
    regions: RegionalAreas | None = None
    """What it says of regions; None where none are set."""
    thumbnails: tuple[UPath, ...] = ()
    """Of its windows; none where the imagery can be drawn from its quads."""
    places: Places = field(default_factory=dict)
    """Where the imagery lies outside of what the model has seen; none where that is not known."""

    @property
    def path(self) -> UPath:
        """The Cloud-Optimized GeoTIFF of classes."""
        return self.final / self.layers[0].file


def assemble_layer(
    layer: Layer,
    pieces: Mapping[Path, Window],
    plan: Plan,
    tags: Mapping[str, str],
    folder: Path,
) -> tuple[Path, Counts]:
    """Assemble a layer from its pieces.

    Args:
        layer: which.
        pieces: each piece's file on this machine, and its window.
        plan: what was to be predicted.
        tags: what the file should say of itself.
        folder: where to write it.

    Returns:
        The file, and how many of its pixels have each value.

    Raises:
        RasterioIOError: if a piece cannot be read.
        OSError: if there is no room for the map.
    """
    path = folder / layer.file
    write_cog(layer, pieces, plan.grid, plan.factors, tags, path)
    return path, count_map(str(path), layer.nodata)


def assemble_counted(
    layer: Layer,
    pieces: Mapping[Path, Window],
    grid: Grid,
    factors: Sequence[int],
    tags: Mapping[str, str],
    expected: int,
    folder: Path,
) -> Path:
    """Assemble a layer from its pieces, and make sure that it holds what they do.

    Args:
        layer: which.
        pieces: each piece's file on this machine, and its window.
        grid: that of the whole.
        factors: of the overviews that the pieces have.
        tags: what the file should say of itself.
        expected: how many pixels of all pieces are not nodata: of the first band, where there are
            several.
        folder: where to write it.

    Raises:
        LandcoverError: if it holds more or fewer.
        RasterioIOError: if a piece cannot be read.
        OSError: if there is no room for it.
    """
    path = folder / layer.file
    write_cog(layer, pieces, grid, factors, tags, path)
    found = count_data(str(path), layer.nodata)
    if found != expected:
        raise LandcoverError(
            f"The assembled {layer.file} holds {found:,} pixels where its windows hold "
            f"{expected:,}, so it is not published: check the disk of WORK_DIR, and run it again."
        )
    return path


def check_complete(plan: Plan, pieces: Sequence[Piece], counts: Sequence[Counts]) -> None:
    """Make sure that a map holds each window's pixels, and no others.

    Args:
        plan: what was to be predicted.
        pieces: of its windows.
        counts: of each layer, how many pixels have each value; the classes first.

    Raises:
        LandcoverError: if it does not.
    """
    expected: Counts = sum((piece.pixels for piece in pieces), Counter())
    known = expected.total() - sum(piece.sieved for piece in pieces)
    classes, *others = counts
    planned = sorted(window.toslices() for window in plan.windows)
    complete = sorted(piece.window.toslices() for piece in pieces) == planned
    as_many = all(other.total() == known for other in others)
    if not complete or not as_many or classes != expected:
        found = " and ".join(f"{count.total():,}" for count in counts)
        raise LandcoverError(
            f"The layers of the assembled map hold {found} pixels where its windows hold "
            f"{expected.total():,}, so it is not published: remove {plan.folder} and run the month "
            "again."
        )


def find_notices(doubts: Doubts, origin: str, grid: Grid) -> tuple[Notice, ...]:
    """Return what is to be told about a map for the sake of its imagery.

    Args:
        doubts: about the imagery in the area of interest.
        origin: where it was found.
        grid: its grid.
    """
    notices = unseen_notices(doubts.places, grid)
    if doubts.partial < LEAST_TOLD:
        return notices
    values = {"hectares": doubts.partial, "mosaic": origin}
    return (Notice("partial_nodata", values), *notices)


def share_of_low_confidence(confidence: Counts, classes: Counts) -> float:
    """Return the share of a map's pixels whose confidence is low, 0 to 1.

    Args:
        confidence: how many pixels have each confidence in percent.
        classes: how many have each class code.
    """
    low = sum(pixels for percent, pixels in confidence.items() if percent < LOW_CONFIDENCE)
    return low / max(classes.total(), 1)


def share_of_sieved(pieces: Sequence[Piece]) -> float:
    """Return the share of a map's pixels that took the class of what surrounds them, 0 to 1.

    Args:
        pieces: of its windows.
    """
    pixels = sum(piece.pixels.total() for piece in pieces)
    return sum(piece.sieved for piece in pieces) / max(pixels, 1)
