"""Doubts about pixels: valid ones that look like no data, and some bands' nodata among data.

Beside them, where there are samples to compare with, ground that these say nothing of (see
`landcover.imagery.unseen`).

Where nothing says which value stands for no data, all bands hold one same value there: 0, 255,
65535, -9999. So do saturated clouds and the darkest water in few bits; but those are reached band
by band, so that beside them some bands hold the value already and others do not yet, while beside
an empty part the land begins. Of 0 that is no excuse: it is what most empty parts hold.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from landcover.areas import SQUARE_METRES_A_HECTARE, pixel_areas
from landcover.errors import LandcoverError
from landcover.grid import Grid
from landcover.imagery.kernels import mark_flat
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.pixels import Mask, Pixels, Values
from landcover.imagery.unseen import Places, Ranges, limits_of, look
from landcover.windows import BLOCK, split, within

# The share of an area that is a trifle, and of a block so many pixels. Measured on the real scenes
# of the tests: no pixel holds one value in three or four bands but where clouds saturate (1.2 % of
# Chiapas 2002), which the rule below knows. In 8 bits, stretched in six ways, up to 56 % do.
TRIFLE = 0.001
FEWEST = 16

# Of the pixels beside those that hold a value in all bands, the share that hold it in one at least
# below which the value was not reached band by band. Measured on the same scenes in 8 bits, in
# four, three and two bands: 0.13 at least, mostly 0.4 to 1. Beside an empty part: 0 in 16 bits.
GRADUAL = 0.1

# Where more values than this are each the same in all bands of many of a block's pixels, imagery is
# grey, which says nothing of what is empty but for 0.
MOST_FILLS = 8

# What most empty parts hold, and hardly any land: it is doubted however it was reached.
ZERO = 0


@dataclass(frozen=True)
class Flat:
    """The area that holds one same value in all bands."""

    sharp: float = 0.0
    """Hectares in blocks where what lies beside it does not hold the value in any band."""
    gradual: float = 0.0
    """Hectares in blocks where it was reached band by band."""
    whole: float = 0.0
    """Hectares in blocks where nothing else is beside it."""

    @property
    def hectares(self) -> float:
        """All of it."""
        return self.sharp + self.gradual + self.whole

    @property
    def doubtful(self) -> float:
        """What looks like no data: whole blocks too, unless there is more of what was reached."""
        return self.sharp + (self.whole if self.whole > self.gradual else 0.0)

    def __add__(self, other: "Flat") -> "Flat":
        """Return both areas together."""
        return Flat(
            self.sharp + other.sharp, self.gradual + other.gradual, self.whole + other.whole
        )


@dataclass(frozen=True)
class Doubts:
    """What is doubtful about the pixels of a part of the area of interest."""

    seen: float = 0.0
    """Hectares that were looked at, valid or not."""
    flat: Mapping[float, Flat] = field(default_factory=dict)
    """What is valid and holds one same value in all bands, by the value."""
    partial: float = 0.0
    """Hectares that hold nodata in some of the bands but not in all."""
    places: Places = field(default_factory=dict)
    """Of how many pixels samples say nothing, where they are compared with some."""

    def __add__(self, other: "Doubts") -> "Doubts":
        """Return the doubts about both parts together."""
        flat = {
            value: self.flat.get(value, Flat()) + other.flat.get(value, Flat())
            for value in {**self.flat, **other.flat}
        }
        places = {**self.places, **other.places}
        return Doubts(self.seen + other.seen, flat, self.partial + other.partial, places)

    def to_json(self) -> str:
        """Return them as JSON."""
        flat = [[value, *astuple(areas)] for value, areas in self.flat.items()]
        places = [[*place, *found] for place, found in self.places.items()]
        return json.dumps(
            {"seen": self.seen, "flat": flat, "partial": self.partial, "places": places}
        )

    @classmethod
    def from_json(cls, text: str) -> "Doubts":
        """Return what `to_json` wrote."""
        found = json.loads(text)
        flat = {value: Flat(*areas) for value, *areas in found["flat"]}
        places = {
            (row, column): (looked_at, outside)
            for row, column, looked_at, outside in found.get("places", ())
        }
        return cls(found["seen"], flat, found["partial"], places)


class Inspection:
    """Doubts about the pixels of a mosaic, found while they are read for something else."""

    def __init__(
        self,
        grid: Grid,
        flat: bool = True,
        imagery: Sequence[int] | None = None,
        limits: NDArray[np.float64] | None = None,
        dtype: str | None = None,
    ) -> None:
        """Start without doubts.

        Args:
            grid: of the mosaic.
            flat: whether to look for what holds one value in all bands.
            imagery: where the bands of the imagery stand among those that are read: what does not
                change says nothing of empty parts. None for all.
            limits: of the bands that are read, outside of which there are no samples (see
                `landcover.imagery.unseen.limits_of`); None where there is nothing to compare with.
            dtype: of a single band of the imagery; None for that of the values that are read.
        """
        self._pixel_area = pixel_areas(grid)
        self._flat = flat
        self._imagery = slice(None) if imagery is None else list(imagery)
        self._limits = limits
        self._dtype = dtype
        self.found = Doubts()

    @classmethod
    def of(
        cls, mosaic: Mosaic, bands: Sequence[str] | None = None, ranges: Ranges | None = None
    ) -> "Inspection":
        """Return one that looks for what `MOSAIC_NODATA` leaves in doubt.

        Args:
            mosaic: the imagery.
            bands: the names of those that are read; None for all.
            ranges: of the samples that the pixels are compared with, if they are.
        """
        names = list(mosaic.bands) if bands is None else bands
        seen = [place for place, name in enumerate(names) if name in mosaic.imagery]
        # A model of what does not change alone looks at no imagery.
        flat = mosaic.nodata != "none" and bool(seen)
        limits = limits_of(names, ranges) if ranges else None
        # Beside an elevation its values are read as that one's type.
        dtype = mosaic.rasters()[0].dtypes([names[seen[0]]])[0] if len(seen) == 1 else None
        return cls(mosaic.grid, flat, None if len(seen) == len(names) else seen, limits, dtype)

    def add(self, window: Window, pixels: Pixels, inside: Mask) -> None:
        """Look at the pixels of a window.

        Args:
            window: which pixels of the mosaic.
            pixels: as they were read.
            inside: which of them count, (rows, columns).
        """
        seen = int(np.count_nonzero(inside)) * self._hectares(window)
        partial = 0.0
        flat: dict[float, Flat] = {}
        for block in split(window, BLOCK, BLOCK):
            place = within(block, window)
            if pixels.partial[place].any():
                holes = int(np.count_nonzero(pixels.partial[place] & inside[place]))
                partial += holes * self._hectares(block)
            if self._flat:
                values, valid = pixels.values[:, *place][self._imagery], pixels.valid[place]
                dtype = self._dtype or values.dtype.name
                for value, count, kind in _find_flat(values, valid, inside[place], dtype):
                    areas = {kind: count * self._hectares(block)}
                    flat[value] = flat.get(value, Flat()) + Flat(**areas)
        places: Places = {}
        if self._limits is not None:
            places = look(window, pixels.values, pixels.valid & inside, self._limits)
        self.found += Doubts(seen, flat, partial, places)

    def _hectares(self, window: Window) -> float:
        return self._pixel_area(window) / SQUARE_METRES_A_HECTARE


def check_flat(
    doubts: Doubts,
    mosaic: Mosaic,
    where: str = "of the area of interest",
    least: float = TRIFLE,
    with_edge: bool = False,
) -> None:
    """Make sure that nothing that looks like no data is taken for land.

    Args:
        doubts: about the mosaic's pixels.
        mosaic: the imagery.
        where: what was looked at, for the message.
        least: the share of it that is too much, 0 to 1.
        with_edge: leave out values that have nowhere been seen to begin at an edge.

    Raises:
        LandcoverError: if more than that holds one same value in all bands.
    """
    found = {
        value: flat.hectares if value == ZERO else flat.doubtful
        for value, flat in doubts.flat.items()
        if flat.sharp or value == ZERO or not with_edge
    }
    value, hectares = max(found.items(), key=lambda item: item[1], default=(0.0, 0.0))
    if hectares <= least * doubts.seen:
        return
    told = f"{value:.15g}"
    declare = (
        f"set MOSAIC_NODATA={told} if it stands for no data"
        if mosaic.nodata is None
        else f"MOSAIC_NODATA is {mosaic.nodata:.15g} already, so declare {told} as the nodata "
        "value of the image files if it stands for no data"
    )
    raise LandcoverError(
        f"In {hectares / doubts.seen:.1%} {where} ({hectares:,.1f} ha) every band of the mosaic "
        f"{mosaic.origin} that the model reads holds {told}, and nothing declares that as no data: "
        f"{declare}, or MOSAIC_NODATA=none if it is what the sensor saw."
    )


def _find_flat(
    values: Values, valid: Mask, inside: Mask, dtype: str
) -> Iterator[tuple[float, int, str]]:
    """Yield what valid pixels hold in all bands: the value, how many do, and which area of `Flat`.

    Args:
        values: of a block, (bands, rows, columns).
        valid: which of its pixels hold data.
        inside: which of them count.
        dtype: of the imagery; its ends are what a single band may be filled with.
    """
    first = values[0]
    if len(values) == 1:
        flat = valid & inside & np.isin(first, _outermost(dtype))
    else:
        flat = np.empty(valid.shape, dtype=bool)
        if not mark_flat(values, valid, inside, flat):
            return
    numbers, counts = np.unique(first[flat], return_counts=True)
    many = counts > max(FEWEST, TRIFLE * flat.size)
    if np.count_nonzero(many) > MOST_FILLS:
        many &= numbers == ZERO
    for number, count in zip(numbers[many], counts[many], strict=True):
        beside = _beside(flat & (first == number)) & valid & ~(values == number).all(axis=0)
        edge = int(np.count_nonzero(beside))
        reached = np.count_nonzero(beside & (values == number).any(axis=0))
        kind = "whole" if not edge else "gradual" if reached >= GRADUAL * edge else "sharp"
        yield float(number), int(count), kind


def _beside(mask: Mask) -> Mask:
    """Return the pixels above, below, left and right of those of a mask."""
    beside = np.zeros_like(mask)
    beside[1:] |= mask[:-1]
    beside[:-1] |= mask[1:]
    beside[:, 1:] |= mask[:, :-1]
    beside[:, :-1] |= mask[:, 1:]
    return beside


def _outermost(dtype: str) -> list[float]:
    """Return the values that one band alone may be filled with: 0 and the ends of its type."""
    limits = np.finfo(dtype) if np.issubdtype(dtype, np.floating) else np.iinfo(dtype)
    return [0.0, float(limits.min), float(limits.max)]
