"""Radiometry: whether a month is as bright as the month before, and as the samples.

Season, haze and clouds change some bands more than others, and the dark pixels of a month otherwise
than its bright ones. A wrong scale factor, an offset or a wrong order of bands changes them all
alike, and that is what tells the two apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy.optimize import linear_sum_assignment
from shapely.geometry.base import BaseGeometry

from landcover.mosaic import Mosaic
from landcover.windows import BLOCK, pixels_inside, split, windows_touching

Floats = NDArray[np.float64]

# Percentiles that are kept. The outermost leave out what any sensor has a few of.
PERCENTILES = (0.5, 1.0, 2.5, *(float(level) for level in range(5, 100, 5)), 97.5, 99.0, 99.5)

# Percentiles that are compared. Clouds take the bright end: with 60 % of cloud the median is that
# of clouds, while the darkest fifth is still land.
COMPARED = np.arange(5.0, 80.0, 5.0)
MEDIAN = int(np.flatnonzero(COMPARED == 50)[0])

# The side of a block, in pixels: the tile of Planet's quads, so that a block is one read.
SIDE = 256

# What is drawn for a month: 4.2 million pixels, 34 MB in four bands of uint16.
MOST_BLOCKS = 64

# Values below this part of a band's median count as this part: beside zero any value is infinitely
# bright.
DARKEST = 0.01

# A band is scaled where all compared percentiles differ by this factor in one direction. Measured
# at most: 1.9 between true months (Chiapas 1999 and hazy 2002; Costa Rica 1.1, demo 1.1), 2.6 with
# half of hazy Chiapas under clouds besides, 2.9 with 70 %. At least: 10.8 where Costa Rica is ten
# times too bright, 8.0 where it or the demo is ten times too dark, 4.1 where hazy Chiapas is.
FACTOR = 3.0

# All bands are shifted where they differ by the first of these (mean logarithm of the ratio) and
# one number added to all leaves at most the second of it. Measured: 0.1 to 0.6 and 0.28 to 0.9
# between true months; 1.0 to 1.2 and 0.01 to 0.02 with 1000 added; under 95 % of cloud 2 and 0.07.
SHIFT_DIFFERENCE, SHIFT_LEFT = 0.8, 0.05

# Bands are in another order where, likewise, the best order leaves at most the second. Measured: no
# order is better than the right one between true months, cloudy or not; 0.9 to 1.4 and 0.04 to 0.56
# with near infrared in another's place. Blue, green and red among themselves are too much alike to
# be told apart (0.1 to 0.2, as between true months).
ORDER_DIFFERENCE, ORDER_LEFT = 0.5, 0.67

# The share of a mosaic's pixels beyond the range of its samples that is worth a warning. Measured:
# 0.06 at most where samples are of the same scene (Costa Rica, 120 pixels; 0.10 with 40 of them),
# 0.92 where those of hazy Chiapas 2002 meet clear 1999.
BEYOND = 0.2


class Radiometry(TypedDict):
    """How band values are distributed, in a form that JSON can hold.

    Attributes:
        pixels: how many pixels it was measured on.
        percentiles: which percentiles were taken.
        bands: their values, in the imagery's units, for each band; empty without pixels.
    """

    pixels: int
    percentiles: list[float]
    bands: dict[str, list[float]]


def measure(mosaic: Mosaic, area: BaseGeometry, seed: int = 42) -> Radiometry:
    """Estimate how the band values of a month are distributed.

    All valid pixels of at most 64 blocks of 256 x 256 pixels are taken. The blocks are a systematic
    sample in Z-order, which spreads them evenly over the area (as Stevens and Olsen 2004,
    doi:10.1198/016214504000000250, do with points).

    Args:
        mosaic: the imagery.
        area: the area of interest, in the mosaic's CRS.
        seed: the same seed draws the same blocks.

    Raises:
        LandcoverError: if another run has found other imagery for the month since.
        RasterioIOError: if the imagery cannot be read.
    """
    bands = list(mosaic.bands.values())
    drawn = []
    with mosaic.open() as reader:
        for block in _draw_blocks(mosaic, area, seed):
            values, valid = reader.read(bands, block)
            drawn.append(values[:, valid & pixels_inside(area, block, mosaic.grid.transform)])
    pixels = np.concatenate(drawn, axis=1) if drawn else np.empty((len(bands), 0))
    return _summarise(dict(zip(mosaic.bands, pixels, strict=True)))


def measure_samples(samples: pd.DataFrame, bands: Sequence[str]) -> Radiometry:
    """Tell how the band values of samples are distributed.

    Args:
        samples: a row a sample, with a column a band.
        bands: the names of those columns.
    """
    return _summarise({band: samples[band].to_numpy() for band in bands})


def compare_months(
    month: Radiometry, before: Radiometry | None, earlier: str = "the month before"
) -> list[str]:
    """Return a warning for each way in which a month's imagery is not like an earlier month's.

    Args:
        month: what was measured on the month's mosaic.
        before: what was measured on the earlier one; None if nothing was.
        earlier: how the warnings call the earlier month, such as `2025-05`.
    """
    if before is None:
        return []
    bands = _common(month, before)
    advice = {
        "scale": "unless clouds cover almost all of one of the two, their scale or offset "
        "differs. Check the scale factor of the image files before trusting the map.",
        "shift": "an offset was added to one of the two, or left in it. "
        "Check the offset of the image files before trusting the map.",
        "order": "one of the two has its bands in another order. "
        "Check MOSAIC_BANDS and the order of the bands in the image files.",
    }
    return [f"{what}: {advice[kind]}" for kind, what in _differences(bands, "this month", earlier)]


def compare_samples(samples: Radiometry, month: Radiometry) -> list[str]:
    """Return a warning for each way in which samples do not stand for a month's imagery.

    Args:
        samples: what was measured on the samples that the model learns from.
        month: what was measured on the mosaic that it predicts.
    """
    found = _differences(_common(samples, month), "the samples", "the mosaic")
    if found:
        return [
            f"{what}: the samples were taken from other imagery than the mosaic, or parts of the "
            "mosaic differ. Sample this mosaic and train again before trusting the map."
            for _, what in found
        ]
    return _beyond_the_samples(samples, month)


# --- measuring ------------------------------------------------------------------------------------


def _draw_blocks(mosaic: Mosaic, area: BaseGeometry, seed: int) -> list[Window]:
    windows = windows_touching(mosaic.grid, area, BLOCK)
    blocks = [block for window in windows for block in split(window, SIDE, SIDE)]
    if not blocks:
        return []
    places = np.array([(block.row_off // SIDE, block.col_off // SIDE) for block in blocks])
    ordered = np.argsort(_z_order(places), kind="stable")
    # Not less than 1, so that a small area gives each of its blocks once.
    step = max(1.0, len(blocks) / MOST_BLOCKS)
    count = min(len(blocks), MOST_BLOCKS)
    start = np.random.default_rng(seed).uniform(0, step)
    chosen = np.floor(start + step * np.arange(count)).astype(int)
    return [blocks[number] for number in ordered[chosen]]


def _z_order(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the numbers of places (rows and columns) along a curve that leaves none far behind."""
    rows, columns = places.T
    numbers = np.zeros(len(places), dtype=np.intp)
    for bit in range(int(places.max()).bit_length()):
        numbers |= ((columns >> bit & 1) << 2 * bit) | ((rows >> bit & 1) << 2 * bit + 1)
    return numbers


def _summarise(values: Mapping[str, NDArray[np.generic]]) -> Radiometry:
    pixels = len(next(iter(values.values()), ()))
    return Radiometry(
        pixels=pixels,
        percentiles=list(PERCENTILES),
        bands={
            band: np.percentile(found.astype(np.float64), PERCENTILES).tolist()
            for band, found in values.items()
            if pixels
        },
    )


# --- comparing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bands:
    """The bands that two measurements have: percentiles above zero, (bands, percentiles)."""

    names: list[str]
    ours: Floats
    theirs: Floats
    medians: tuple[Floats, Floats]  # of ours and of theirs, (bands,), as measured


def _common(ours: Radiometry, theirs: Radiometry) -> _Bands:
    names = [name for name in ours["bands"] if name in theirs["bands"]]
    found, expected = (
        np.array(
            [np.interp(COMPARED, of["percentiles"], of["bands"][name]) for name in names]
        ).reshape(len(names), len(COMPARED))
        for of in (ours, theirs)
    )
    medians = found[:, MEDIAN], expected[:, MEDIAN]
    brightest = np.abs(medians).max(axis=0)
    least = np.where(brightest > 0, DARKEST * brightest, 1.0)[:, np.newaxis]
    return _Bands(names, np.maximum(found, least), np.maximum(expected, least), medians)


def _differences(bands: _Bands, ours: str, theirs: str) -> list[tuple[str, str]]:
    """Return kind and description of each difference that is not a natural one."""
    if not bands.names:
        return []
    order = _order(bands)
    if order is not None:
        return [("order", _tell_order(bands, order, ours, theirs))]
    shift = _shift(bands)
    if shift is not None:
        return [("shift", _tell_shift(bands, shift, ours, theirs))]
    log_ratios = np.log(bands.ours / bands.theirs)
    brighter = log_ratios.min(axis=1) > np.log(FACTOR)
    darker = log_ratios.max(axis=1) < -np.log(FACTOR)
    return [
        ("scale", _tell_scale(bands, np.flatnonzero(scaled), ours, theirs))
        for scaled in (brighter, darker)
        if scaled.any()
    ]


def _order(bands: _Bands) -> NDArray[np.intp] | None:
    """Return which of their bands each of ours looks like, if that is not the one of its name."""
    misfits = np.abs(np.log(bands.ours[:, np.newaxis] / bands.theirs)).mean(axis=2)
    _, order = linear_sum_assignment(misfits)
    difference = np.diag(misfits).mean()
    left = misfits[np.arange(len(order)), order].mean()
    if difference < ORDER_DIFFERENCE or left > ORDER_LEFT * difference:
        return None
    return np.asarray(order)


def _shift(bands: _Bands) -> float | None:
    """Return the number by which all of our bands are higher than theirs, if there is one."""
    shift = float(np.median(bands.ours - bands.theirs))
    shifted = np.maximum(bands.theirs + shift, DARKEST * bands.theirs)
    difference = np.abs(np.log(bands.ours / bands.theirs)).mean(axis=1)
    left = np.abs(np.log(bands.ours / shifted)).mean(axis=1)
    explained = (left <= difference).all() and left.mean() <= SHIFT_LEFT * difference.mean()
    return shift if explained and difference.mean() >= SHIFT_DIFFERENCE else None


def _tell_order(bands: _Bands, order: NDArray[np.intp], ours: str, theirs: str) -> str:
    found, expected = bands.medians
    pairs = [
        f"{bands.names[number]} (median {_number(found[number])}) looks like "
        f"{bands.names[other]} in {theirs} ({_number(expected[other])})"
        for number, other in enumerate(order)
        if number != other
    ]
    return f"The bands of {ours} seem to be mixed up: {_listed(pairs)}"


def _tell_shift(bands: _Bands, shift: float, ours: str, theirs: str) -> str:
    everything = np.arange(len(bands.names))
    return (
        f"{_subject(bands, everything, ours)} about {_number(abs(float(f'{shift:.2g}')))} "
        f"{'higher' if shift > 0 else 'lower'} than in {theirs} ({_medians(bands, everything)})"
    )


def _tell_scale(bands: _Bands, scaled: NDArray[np.intp], ours: str, theirs: str) -> str:
    times, brighter = _times(bands, scaled)
    return (
        f"{_subject(bands, scaled, ours)} {times} times as {'bright' if brighter else 'dark'} "
        f"as in {theirs} ({_medians(bands, scaled)})"
    )


def _times(bands: _Bands, scaled: NDArray[np.intp]) -> tuple[str, bool]:
    """Say how many times as bright or as dark our bands are, and whether it is as bright."""
    ours, theirs = (medians[scaled] for medians in bands.medians)
    brighter = bool(bands.ours[scaled[0], MEDIAN] > bands.theirs[scaled[0], MEDIAN])
    if min(ours.min(), theirs.min()) <= 0:
        return f"over {1 / DARKEST:.0f}", brighter
    factors = np.exp(np.abs(np.log(ours / theirs)))
    # Within a factor of two it is one cause, and one number tells it.
    if factors.max() < 2 * factors.min():
        factors = np.exp(np.log(factors).mean(keepdims=True))
    rounded = [_number(float(f"{factor:.1g}")) for factor in (factors.min(), factors.max())]
    return f"about {' to '.join(dict.fromkeys(rounded))}", brighter


def _subject(bands: _Bands, which: NDArray[np.intp], ours: str) -> str:
    names = _listed([bands.names[number] for number in which])
    several = len(which) > 1
    return f"The band{'s' if several else ''} {names} of {ours} {'are' if several else 'is'}"


def _medians(bands: _Bands, which: NDArray[np.intp]) -> str:
    ours, theirs = (_listed([_number(median) for median in of[which]]) for of in bands.medians)
    return f"median{'s' if len(which) > 1 else ''} {ours} against {theirs}"


def _beyond_the_samples(samples: Radiometry, month: Radiometry) -> list[str]:
    told = []
    for band in _common(samples, month).names:
        lowest, highest = np.interp(
            [PERCENTILES[0], PERCENTILES[-1]], samples["percentiles"], samples["bands"][band]
        )
        # Where many pixels have the very value of the limit, they are within it.
        below = _share_below(np.nextafter(lowest, -np.inf), month, band)
        above = 1 - _share_below(np.nextafter(highest, np.inf), month, band)
        if below + above > BEYOND:
            side = "darker" if below > above else "brighter"
            told.append(f"{band} {below + above:.0%} (mostly {side})")
    if not told:
        return []
    warning = (
        "Many pixels of the mosaic lie outside the range of the samples, where the model has "
        f"nothing to go by: {_listed(told)}. Draw polygons on such ground, or check that the "
        "samples come from this imagery."
    )
    return [warning]


def _share_below(value: float, month: Radiometry, band: str) -> float:
    """Return the share of a month's pixels, 0 to 1, below a value of a band."""
    levels = month["percentiles"]
    return float(np.interp(value, month["bands"][band], levels, left=0, right=100)) / 100


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
