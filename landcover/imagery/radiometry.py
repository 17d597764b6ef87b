"""Radiometry: whether a month's imagery is as bright as the month before's and as the samples.

Season, haze and clouds change some bands more than others, and dark pixels differently from bright
ones. A wrong scale factor, or an offset that was added or left in, changes all pixels alike: that
tells the two apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from landcover.imagery.doubts import Inspection, check_flat
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.unseen import MOST_OUTSIDE, RANGE
from landcover.notices import IN_ENGLISH, Notice, Phrasing, Told
from landcover.windows import part_windows_touching, pixels_inside

Floats = NDArray[np.float64]

# Percentiles that are kept.
KEPT = (1.0, *(float(level) for level in range(5, 100, 5)), 99.0)

# Percentiles that are compared: clouds take the bright end first, and the darkest fifth is still
# land where they cover half.
COMPARED = np.arange(5.0, 80.0, 5.0)
MEDIAN = int(np.flatnonzero(COMPARED == 50)[0])

# The side of a block in pixels: that of a tile of Planet's quads, so that a block is one read. At
# most this many are read, 4.2 million pixels.
SIDE = 256
MOST_BLOCKS = 64

# Of what is drawn, the share that may hold one value in all bands: three blocks of 64 are drawn by
# chance where a hundredth is empty. All of it is counted when it is predicted.
MOST_DRAWN = 0.05

# Values below this part of the brightest median are raised to it: compared with zero, everything is
# infinitely bright.
DARKEST = 0.001

# A band is scaled where all compared percentiles differ by this factor in one direction. Measured
# between true months: 1.9 at most (hazy Chiapas 2002 against 1999), 2.9 with clouds over 70 % of
# the hazy one, 3.7 with 90 %. In the band where a scale of ten shows best: 11 in Costa Rica, 13 in
# Chiapas, whose haze hides it worst.
FACTOR = 4.0

# Bands are shifted where all compared percentiles of all of them differ by one number, give or take
# this part of it, and that number at least doubles the darkest band. Measured between true months:
# they are 0.6 off such a number at best, whatever the clouds; 0.2 with 1000 added, 0.4 with 500.
UNEVEN = 0.4

# A band of fewer values may hold classes, whose numbers mean nothing; of so few pixels, one value
# may be an accident.
FEWEST_VALUES = 4
FEWEST_PIXELS = 10


class Distribution(TypedDict):
    """How band values are distributed, in a form that JSON can hold."""

    pixels: int
    """How many pixels it was measured on."""

    percentiles: list[float]
    """Which percentiles were taken, ascending."""

    bands: dict[str, list[float]]
    """Their values for each band, in the imagery's units; empty without pixels."""


@dataclass(frozen=True)
class Difference:
    """How imagery is scaled or shifted against what it should be like."""

    shift: float | None
    """By how much all bands are higher, in the imagery's units; None where they are scaled."""

    factors: Mapping[str, float]
    """How many times as bright each differing band is; 1 where it is shifted."""

    medians: Mapping[str, tuple[float, float]]
    """Ours and theirs, of the same bands."""

    def __str__(self) -> str:
        """Return `describe` in English."""
        return self.describe()

    def describe(self, phrasing: Phrasing = IN_ENGLISH) -> str:
        """Return in which bands and how much imagery differs."""
        medians = {
            band: {"band": band, "ours": phrasing.figure(ours), "theirs": phrasing.figure(theirs)}
            for band, (ours, theirs) in self.medians.items()
        }
        if self.shift is not None:
            return phrasing.say(
                "higher" if self.shift > 0 else "lower",
                shift=phrasing.figure(abs(self.shift)),
                bands="; ".join(phrasing.say("shifted", **values) for values in medians.values()),
            )
        return ", ".join(
            phrasing.say(
                "bright" if factor > 1 else "dark",
                factor=phrasing.figure(max(factor, 1 / factor)),
                **medians[band],
            )
            for band, factor in self.factors.items()
        )


@dataclass(frozen=True)
class ImageryWarning:
    """What is wrong with a month's imagery; as text a sentence in English."""

    kind: Literal["month", "samples", "range"]
    """What it differs from: the month before, the samples, or the samples' range."""

    mosaic: str
    """Where the imagery was found."""

    earlier: tuple[str, str] = ("", "")
    """The month before, and where its imagery was found."""

    difference: Difference | None = None
    """From that month or from the samples."""

    outside_range: Mapping[str, float] = field(default_factory=dict)
    """The share of pixels outside the samples' range, 0 to 1, by band."""

    def __str__(self) -> str:
        """Return `describe` in English."""
        return self.describe()

    def describe(self, phrasing: Phrasing = IN_ENGLISH) -> str:
        """Return what is wrong, and what to do, as a sentence."""
        month, origin = self.earlier
        shares = ", ".join(
            phrasing.say("outside_range", share=phrasing.percent(share), band=band)
            for band, share in self.outside_range.items()
        )
        return phrasing.say(
            f"warning_{self.kind}",
            mosaic=self.mosaic,
            month=month,
            origin=origin,
            found=self.difference.describe(phrasing) if self.difference else shares,
        )


@dataclass(frozen=True)
class Earlier:
    """An earlier month."""

    month: str
    """Such as 2025-05."""

    origin: str
    """Where its imagery was."""

    measured: Distribution
    """What was measured on it."""


@dataclass(frozen=True)
class Radiometry:
    """How bright a month's imagery is, and what is wrong with that."""

    measured: Mapping[str, object]
    """What was measured (see `Distribution`), the month that it was compared with, if any, and the
    warnings in words: kept with the month's map."""

    warnings: tuple[Told, ...]
    """None where nothing is wrong."""


def compare_imagery(
    mosaic: Mosaic, pixels: pd.DataFrame, before: Earlier | None, samples: pd.DataFrame | None
) -> Radiometry:
    """Compare a month's imagery with that of the month before and with its samples.

    Args:
        mosaic: the imagery.
        pixels: of it (see `draw_pixels`).
        before: the month before; None if there is none.
        samples: a row a sample, a column a band; None if they are not at hand.
    """
    measured = measure(pixels, mosaic.imagery)
    found: list[Told | None] = [_against_month(mosaic, measured, before)]
    if samples is not None and measured["pixels"]:
        imagery = pixels[list(mosaic.imagery)]
        found.append(_against_samples(mosaic, imagery, measured, samples))
    warnings = tuple(warning for warning in (*found, *_undeclared(mosaic, pixels)) if warning)
    compared = before.month if before else None
    told = [str(warning) for warning in warnings]
    return Radiometry({**measured, "compared_with": compared, "warnings": told}, warnings)


def draw_pixels(mosaic: Mosaic, area: BaseGeometry, seed: int = 42) -> pd.DataFrame:
    """Read the valid pixels of at most 64 blocks of 256 x 256 pixels, drawn at random.

    Args:
        mosaic: the imagery.
        area: the area of interest, in the mosaic's CRS.
        seed: the same seed draws the same ground each month, where the quads are the same.

    Returns:
        A row for each pixel, a column for each band.

    Raises:
        LandcoverError: if another run has found other imagery for the month since, or if more of
            it looks like no data than chance would draw (see `landcover.imagery.doubts`).
        RasterioIOError: if the imagery cannot be read.
    """
    bands = list(mosaic.bands.values())
    drawn = []
    inspection = Inspection.of(mosaic)
    blocks = _draw_blocks(mosaic, area, seed)
    with mosaic.open() as reader:
        for block in blocks:
            read = reader.read(bands, block)
            inside = pixels_inside(area, block, mosaic.grid.transform)
            drawn.append(read.values[:, read.valid & inside])
            inspection.add(block, read, inside)
    if len(blocks) < MOST_BLOCKS:
        check_flat(inspection.found, mosaic)
    else:
        check_flat(inspection.found, mosaic, "of what was drawn from the area", MOST_DRAWN)
    pixels = np.concatenate(drawn, axis=1) if drawn else np.empty((len(bands), 0))
    return pd.DataFrame(dict(zip(mosaic.bands, pixels, strict=True)))


def measure(pixels: pd.DataFrame, bands: Iterable[str]) -> Distribution:
    """Return how band values are distributed.

    Args:
        pixels: a row for each pixel or sample, with a column for each band.
        bands: the names of those columns; others are left out.
    """
    return {
        "pixels": len(pixels),
        "percentiles": list(KEPT),
        "bands": {
            band: np.percentile(pixels[band].to_numpy(np.float64), KEPT).tolist()
            for band in bands
            if band in pixels and len(pixels)
        },
    }


def compare(ours: Distribution, theirs: Distribution) -> Difference | None:
    """Return in which bands and how much ours is scaled or shifted against theirs, if it is.

    Args:
        ours: what was measured, such as a month's mosaic.
        theirs: what it should be like, such as the month before's. Bands that only one of the two
            has are left out.
    """
    bands = [band for band in ours["bands"] if band in theirs["bands"]]
    if not bands:
        return None
    found, expected = _curves(ours, bands), _curves(theirs, bands)
    shift = _shift(found, expected)
    factors = np.ones(len(bands)) if shift is not None else _factors(found, expected)
    differing = [
        number for number in range(len(bands)) if shift is not None or factors[number] != 1
    ]
    if not differing:
        return None
    return Difference(
        shift,
        {bands[number]: float(factors[number]) for number in differing},
        {
            bands[number]: (float(found[number, MEDIAN]), float(expected[number, MEDIAN]))
            for number in differing
        },
    )


def outside_range(pixels: pd.DataFrame, samples: pd.DataFrame) -> dict[str, float]:
    """Return the share of pixels outside the range of samples, 0 to 1, for bands where many are.

    Args:
        pixels: a row for each pixel, a column for each band (see `draw_pixels`).
        samples: a row for each sample, with a column for each band.
    """
    shares = {
        str(band): 1 - float(pixels[band].between(*samples[band].quantile(RANGE)).mean())
        for band in pixels.columns.intersection(samples.columns)
    }
    return {band: share for band, share in shares.items() if share > MOST_OUTSIDE}


def lone_value(values: NDArray[np.generic]) -> float | None:
    """Return the lowest or highest value if it is farther from the rest than these lie apart.

    Such is what stands for no data: -32768 or -9999 among heights. Of a few values, as classes are,
    none is told.

    >>> lone_value(np.array([-9999, 3, 120, 900] * 20)), lone_value(np.array([0, 3, 90, 120] * 20))
    (-9999.0, None)

    Args:
        values: of one band, of any shape.
    """
    found, counts = np.unique(values, return_counts=True)
    if found.size < FEWEST_VALUES:
        return None
    ascending = found.astype(np.float64)
    for end, others in ((0, ascending[1:]), (-1, ascending[:-1])):
        gap = np.abs(others - ascending[end]).min()
        if counts[end] >= FEWEST_PIXELS and gap > np.ptp(others):
            return float(ascending[end])
    return None


def _draw_blocks(mosaic: Mosaic, area: BaseGeometry, seed: int) -> list[Window]:
    # Quad by quad, so that none is drawn where the mosaic has no imagery.
    blocks = [
        block
        for quad in mosaic.quads()
        for block in part_windows_touching(quad.grid, mosaic.grid, area, SIDE)
    ]
    count = min(len(blocks), MOST_BLOCKS)
    chosen = np.random.default_rng(seed).choice(len(blocks), count, replace=False)
    # In order, so that a quad is opened once.
    return [blocks[number] for number in np.sort(chosen)]


def _curves(of: Distribution, bands: list[str]) -> Floats:
    """Return the percentiles that are compared, (bands, percentiles)."""
    return np.array([np.interp(COMPARED, of["percentiles"], of["bands"][band]) for band in bands])


def _shift(ours: Floats, theirs: Floats) -> float | None:
    """Return the number by which all of our percentiles are higher, if there is one that matters.

    It matters against brightness, which is above zero. Where a band is at or below zero in both
    (decibels, indices), there is none to compare it with; where a band reaches down to zero in one
    of them, it has to be more than what the values of a band differ by among themselves.
    """
    higher = ours - theirs
    shift = float(np.median(higher))
    even = np.abs(higher - shift).max() <= UNEVEN * abs(shift)
    darkest = np.maximum(ours, theirs)[:, MEDIAN].min()
    least = darkest / 2
    if np.minimum(ours, theirs).min() <= 0:
        least = max(least, float(np.median(np.ptp(theirs, axis=1))))
    return shift if shift and even and darkest > 0 and abs(shift) >= least else None


def _factors(ours: Floats, theirs: Floats) -> Floats:
    """Return how many times as bright ours are, (bands,); 1 where they are not scaled."""
    least = DARKEST * np.maximum(ours, theirs)[:, MEDIAN].max()
    if least <= 0:
        return np.ones(len(ours))
    ratios = np.maximum(ours, least) / np.maximum(theirs, least)
    scaled = (ratios.min(axis=1) >= FACTOR) | (ratios.max(axis=1) <= 1 / FACTOR)
    return np.where(scaled, ratios[:, MEDIAN], 1.0)


def _against_month(
    mosaic: Mosaic, measured: Distribution, before: Earlier | None
) -> ImageryWarning | None:
    found = compare(measured, before.measured) if before else None
    if not before or not found:
        return None
    return ImageryWarning("month", mosaic.origin, (before.month, before.origin), found)


def _undeclared(mosaic: Mosaic, pixels: pd.DataFrame) -> Iterator[Notice]:
    """Yield what looks like no data in bands that do not change, though no file declares it."""
    for static in mosaic.static:
        for band in static.bands:
            value = lone_value(pixels[band].to_numpy())
            if value is not None:
                yield Notice(
                    "static_undeclared",
                    {
                        "band": band,
                        "origin": static.origin,
                        "value": f"{value:.15g}",
                        "share": float((pixels[band] == value).mean()),
                    },
                )


def _against_samples(
    mosaic: Mosaic, pixels: pd.DataFrame, measured: Distribution, samples: pd.DataFrame
) -> ImageryWarning | None:
    found = compare(measured, measure(samples, mosaic.imagery))
    if found:
        return ImageryWarning("samples", mosaic.origin, difference=found)
    shares = outside_range(pixels, samples)
    if shares:
        return ImageryWarning("range", mosaic.origin, outside_range=shares)
    return None
