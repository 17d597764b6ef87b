"""Annual maps: whether a pixel is forest at the end of a year, by what its clear months say.

Each rule looks at the months of one pixel, in their order. A month that does not see it clear, or
that has no map, says nothing; where fewer months are clear than a rule needs (`LEAST`), there is no
data. Land that was never seen gets no class from any rule.

>>> F, N, nothing = SAYS_FOREST, SAYS_NON_FOREST, UNCLEAR
>>> months = np.array([[F, F, nothing], [F, F, nothing], [N, N, N], [F, N, nothing]], np.int8)
>>> annual_classes(months, [9, 10, 11, 12], AnnualSettings(rule="trend")).tolist()
[1, 0, 255]
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from landcover.change.rule import (
    FOREST,
    NON_FOREST,
    SAYS_FOREST,
    SAYS_NON_FOREST,
    UNCLEAR,
)
from landcover.classes import NODATA
from landcover.imagery.kernels import compiled

Rule = Literal["majority", "trend", "change_point", "latest", "weighted", "hmm"]

MAJORITY, TREND, CHANGE_POINT, LATEST, WEIGHTED = range(5)

# Of the rules that need no confidence.
NUMBERS: Mapping[Rule, int] = {
    "majority": MAJORITY,
    "trend": TREND,
    "change_point": CHANGE_POINT,
    "latest": LATEST,
    "weighted": WEIGHTED,
}

# How many months must be clear.
LEAST: Mapping[Rule, int] = {
    "majority": 2,
    "trend": 3,
    "change_point": 4,
    "latest": 1,
    "weighted": 2,
    "hmm": 2,
}

MONTHS = 12

# Pixels that are worked on at once, so that all of theirs is in the processor's cache.
CHUNK = 1024

# How fast a month counts for less, the longer it is before the end of the year (`weighted`).
FADING = 0.3

# A change is believed where more than this share of the months agree with it, and so many months
# follow it (`change_point`).
AGREEING, AFTER = 0.6, 2

# Of `hmm`: what a percent is, and the probability of either state where nothing is known.
PERCENT, EVEN = np.float32(0.01), np.float32(0.5)


class AnnualSettings(BaseModel):
    """By which rule a year's months become one class a pixel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule = Field(
        default="hmm",
        title="Rule",
        description="majority: what most clear months are, after a tie those of the later half (at "
        "least 2 clear months, else no data). trend: what the last two are; where they differ, one "
        "of the last three is odd, and the other two count (3). change_point: the year is split in "
        "two where the months before and those after agree best; what came after where it is "
        "something else, else the majority (4). latest: the last (1). weighted: the greater sum of "
        "exp(-0.3 x months before the end of the year) (2). hmm: the likelier state at the end of "
        "the year in a hidden Markov model, by the maps' confidence (2).",
    )
    loss: float = Field(
        default=0.005,
        gt=0,
        lt=0.5,
        title="Loss in a month",
        description="Of hmm: the probability that forest is felled in a month. A higher one "
        "believes sooner that it was.",
    )
    regain: float = Field(
        default=0.001,
        gt=0,
        lt=0.5,
        title="Regain in a month",
        description="Of hmm: the probability that other land becomes forest in a month.",
    )
    most_said: float = Field(
        default=0.9,
        gt=0.5,
        lt=0.999,
        title="Most that a month may say",
        description="Of hmm: a higher confidence of a month's map counts for no more than this.",
    )
    least_said: float = Field(
        default=0.6,
        gt=0.5,
        lt=0.999,
        title="Least that a month may say",
        description="Of hmm: a lower confidence, or one that is not known, counts for this.",
    )

    @model_validator(mode="after")
    def _needs_two_months(self) -> Self:
        if self.least_said > self.most_said:
            raise ValueError("the least that a month may say is more than the most")
        # What is left of the odds, month by month, where all months agree but say little.
        against = (1 - self.least_said) / self.least_said
        doubt = max(self.loss, self.regain) / (1 - against)
        if doubt * self.most_said / (1 - self.most_said) >= 1:
            raise ValueError(
                "a single month could outweigh all others of a year: lower loss, regain or "
                "most_said, or raise least_said"
            )
        return self

    @property
    def least(self) -> int:
        """How many months must be clear."""
        return LEAST[self.rule]

    @property
    def needs_confidence(self) -> bool:
        """Whether the rule reads the maps' confidence."""
        return self.rule == "hmm"

    def parameters(self) -> dict[str, float]:
        """Return what the rule depends on beside the maps, by name."""
        if self.rule == "hmm":
            return self.model_dump(exclude={"rule"})
        if self.rule == "weighted":
            return {"fading": FADING}
        if self.rule == "change_point":
            return {"agreeing": AGREEING, "months_after": AFTER}
        return {}


def annual_classes(
    said: NDArray[np.int8],
    months: Sequence[int],
    settings: AnnualSettings,
    confidence: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return the class of each pixel at the end of a year.

    Args:
        said: `SAYS_FOREST`, `SAYS_NON_FOREST` or `UNCLEAR`, (months, pixels).
        months: which of the year's they are, from 1, in their order.
        settings: the rule.
        confidence: in percent, `NODATA` where it is not known, (months, pixels); only `hmm` needs
            it.

    Returns:
        `FOREST`, `NON_FOREST` or `NODATA`, (pixels,).
    """
    classes = np.empty(said.shape[1], np.uint8)
    numbers = np.array(months, np.int64)
    if settings.rule == "hmm":
        assert confidence is not None
        limits = np.float32(settings.least_said), np.float32(settings.most_said)
        rates = np.float32(settings.loss), np.float32(settings.regain)
        _classify_hmm(said, confidence, numbers, settings.least, *limits, *rates, classes)
    else:
        _look_up(said, _answers(settings.rule, tuple(months)), classes)
    return classes


@lru_cache(maxsize=4)
def _answers(rule: Rule, months: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the class of every series that months may be, by its number (see `_look_up`).

    Of twelve months there are half a million series, fewer than a window has pixels: each is asked
    once.
    """
    count = len(months)
    said = np.indices((3,) * count, np.int8).reshape(count, -1) - np.int8(1)
    weights = np.exp(-FADING * (MONTHS - np.array(months, np.float64)))
    classes = np.empty(said.shape[1], np.uint8)
    _classify(said, NUMBERS[rule], LEAST[rule], weights, classes)
    return classes


@compiled
def majority(series: NDArray[np.int8]) -> int:
    """Return what most months say; after a tie those of the later half, and so on.

    Args:
        series: what each clear month says, in order; at least one. So it is of the other rules.
    """
    first, total = 0, 0
    while total == 0:
        for position in range(first, series.size):
            total += series[position]
        first += (series.size - first) // 2
    return SAYS_FOREST if total < 0 else SAYS_NON_FOREST


@compiled
def trend(series: NDArray[np.int8]) -> int:
    """Return what the last two months say or, where they differ, the last without odd ones.

    A month is odd that is unlike both of its neighbours, and so is the last one that is unlike both
    of the two before it. So where the last two differ, it is the last that is odd (forest, forest,
    non-forest) or the one before it (forest, non-forest, forest), and the third from the end says
    which.
    """
    return int(series[-1] if series[-1] == series[-2] else series[-3])


@compiled
def change_point(series: NDArray[np.int8]) -> int:
    """Return what the months after a change say, where the year shows one; else the majority."""
    count, total = series.size, 0
    for said in series:
        total += said
    best, split, before, before_split = 0, 0, 0, 0
    for position in range(1, count):
        before += series[position - 1]
        # Of n months that sum up to s, (n + |s|) / 2 are of their commonest class.
        agreeing = count + abs(before) + abs(total - before)
        if agreeing > best:
            best, split, before_split = agreeing, position, before
    after = total - before_split
    is_change = before_split * after < 0
    if is_change and best > 2 * AGREEING * count and count - split >= AFTER:
        return SAYS_FOREST if after < 0 else SAYS_NON_FOREST
    return majority(series)


@compiled
def latest(series: NDArray[np.int8]) -> int:
    """Return what the last month says."""
    return int(series[-1])


@compiled
def weighted(said: NDArray[np.int8], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the months that say non-forest outweigh those that say forest.

    Args:
        said: by each month, clear or not, (months, pixels).
        weights: of each month.
    """
    balance = np.zeros(said.shape[1])
    for month in range(said.shape[0]):
        for pixel in range(said.shape[1]):
            balance[pixel] += said[month, pixel] * weights[month]
    return balance


@compiled
def hmm(
    said: NDArray[np.int8],
    confidence: NDArray[np.uint8],
    months: NDArray[np.int64],
    least: np.float32,
    most: np.float32,
    loss: np.float32,
    regain: np.float32,
) -> NDArray[np.float32]:
    """Return how much likelier non-forest is at the end of the year, in a hidden Markov model.

    Land is forest or not, by an even chance at first, and passes from one to the other with the
    probabilities `loss` and `regain` a month, whether it is seen or not. The forward algorithm
    (Rabiner 1989, https://doi.org/10.1109/5.18626) gives the probability of the last state, which
    is what forward and backward together would.

    Args:
        said: by each month, clear or not, (months, pixels).
        confidence: of the months' maps in percent, (months, pixels); more than 100 is not known.
        months: which of the year's they are, from 1.
        least: the probability of a class where its confidence is lower, or not known.
        most: the same where it is higher.
        loss: the probability that forest becomes other land in a month.
        regain: the probability of the reverse.
    """
    forest, other = np.ones(said.shape[1], np.float32), np.ones(said.shape[1], np.float32)
    for month in range(said.shape[0]):
        if month > 0:
            _pass(forest, other, months[month] - months[month - 1], loss, regain)
        # Without a branch or a table, so that several pixels are worked on at once. What says
        # nothing is as likely either way.
        for pixel in range(said.shape[1]):
            percent = confidence[month, pixel]
            sure = np.float32(percent if percent <= 100 else 0) * PERCENT
            lean = np.float32(said[month, pixel]) * (min(max(sure, least), most) - EVEN)
            forest[pixel] *= EVEN - lean
            other[pixel] *= EVEN + lean
    _pass(forest, other, MONTHS - months[-1], loss, regain)
    return other - forest


@compiled
def _pass(
    forest: NDArray[np.float32],
    other: NDArray[np.float32],
    months: int,
    loss: np.float32,
    regain: np.float32,
) -> None:
    """Let months go by, without anything that is seen."""
    for _ in range(months):
        for pixel in range(forest.size):
            moved = forest[pixel] * loss - other[pixel] * regain
            forest[pixel] -= moved
            other[pixel] += moved


@compiled
def _look_up(
    said: NDArray[np.int8], answers: NDArray[np.uint8], classes: NDArray[np.uint8]
) -> None:
    """Look the class of every pixel up; what is written is `classes`.

    The number of a series has a digit of base three for each month, the first month's first.
    """
    for first in range(0, said.shape[1], CHUNK):
        part = said[:, first : first + CHUNK]
        number = np.zeros(part.shape[1], np.int32)
        for month in range(part.shape[0]):
            for pixel in range(part.shape[1]):
                number[pixel] = 3 * number[pixel] + part[month, pixel] + 1
        for pixel in range(part.shape[1]):
            classes[first + pixel] = answers[number[pixel]]


@compiled
def _classify_hmm(
    said: NDArray[np.int8],
    confidence: NDArray[np.uint8],
    months: NDArray[np.int64],
    clear: int,
    least: np.float32,
    most: np.float32,
    loss: np.float32,
    regain: np.float32,
    classes: NDArray[np.uint8],
) -> None:
    """Apply `hmm` to every pixel; what is written is `classes`."""
    for first in range(0, said.shape[1], CHUNK):
        part = said[:, first : first + CHUNK]
        counts = count_clear(part)
        sure = confidence[:, first : first + CHUNK]
        balance = hmm(part, sure, months, least, most, loss, regain)
        for pixel in range(part.shape[1]):
            odds = balance[pixel]
            if odds == 0:
                # The months outweigh each other: what the last clear one says.
                for month in range(part.shape[0]):
                    odds = odds if part[month, pixel] == UNCLEAR else np.float32(part[month, pixel])
            found = FOREST if odds < 0 else NON_FOREST
            classes[first + pixel] = found if counts[pixel] >= clear else NODATA


@compiled
def _classify(
    said: NDArray[np.int8],
    rule: int,
    least: int,
    weights: NDArray[np.float64],
    classes: NDArray[np.uint8],
) -> None:
    """Apply another rule to every pixel; what is written is `classes`."""
    for first in range(0, said.shape[1], CHUNK):
        part = said[:, first : first + CHUNK]
        series, counts = _gather(part)
        balance = weighted(part, weights)
        for pixel in range(part.shape[1]):
            count = counts[pixel]
            if count < least:
                classes[first + pixel] = NODATA
                continue
            clear = series[pixel, :count]
            if rule == MAJORITY:
                found = majority(clear)
            elif rule == TREND:
                found = trend(clear)
            elif rule == CHANGE_POINT:
                found = change_point(clear)
            elif rule == LATEST or balance[pixel] == 0:
                found = latest(clear)
            else:
                found = SAYS_FOREST if balance[pixel] < 0 else SAYS_NON_FOREST
            classes[first + pixel] = FOREST if found == SAYS_FOREST else NON_FOREST


@compiled
def _gather(said: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return what the clear months of each pixel say, one after the other, and how many there are.

    Month by month, because the months of a pixel lie so far apart that they share a line of the
    processor's cache.
    """
    months, pixels = said.shape
    series, counts = np.empty((pixels, months), np.int8), np.zeros(pixels, np.int64)
    for month in range(months):
        for pixel in range(pixels):
            # What is not clear is written over by the next that is.
            series[pixel, counts[pixel]] = said[month, pixel]
            counts[pixel] += said[month, pixel] != UNCLEAR
    return series, counts


@compiled
def count_clear(said: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return how many months are clear.

    Args:
        said: (months, pixels).
    """
    counts = np.zeros(said.shape[1], np.uint8)
    for month in range(said.shape[0]):
        for pixel in range(said.shape[1]):
            counts[pixel] += said[month, pixel] != UNCLEAR
    return counts


@compiled
def translate(codes: NDArray[np.uint8], says: NDArray[np.int8], said: NDArray[np.int8]) -> None:
    """Write what each class code says; in place of the codes, where the memory is the same.

    Args:
        codes: of a month's map, (pixels,).
        says: by class code.
        said: what is written, (pixels,).
    """
    for pixel in range(codes.size):
        said[pixel] = says[codes[pixel]]
