"""The rule: what one more month says of each pixel's forest.

Each month that sees a pixel clear is evidence: the class of its map, and how sure the map is of it.
Evidence is counted in log odds, where Bayes' rule is addition: 0 is an even chance, what speaks for
non-forest is above it, what speaks for forest below.

>>> [round(float(probability(10_000 * months)), 6) for months in (1, 2, 3)]
[0.9, 0.987805, 0.99863]

They are whole numbers, 10,000 of them for the odds of 9 to 1 (0.9), the most that a month may say
by default. So sums are exact, a state that is stored is the very state that was computed, and a
year brought up to date month by month is the year brought up to date at once.

From one clear month to the next a pixel is

- *not known yet*, until two clear months agree: then it is forest or non-forest, after three clear
  months at the latest. A baseline says so from the start;
- *non-forest* for as long as the record runs: what grows there is for the annual maps to say;
- *forest*, until a clear month takes the odds above even, which opens a warning;
- under *warning*, while clear months are added to it: confirmed when the odds reach the threshold,
  withdrawn (forest again) when they fall below even, or when the months that it had are over;
- *confirmed loss* for as long as the record runs, with the odds that confirmed it. Ground on which
  forest grows again is not forest again within months, and what was told must not vanish.

A month that does not see a pixel clear changes nothing but the time.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from landcover.change.dates import day_of, months_before
from landcover.classes import NODATA, label_key
from landcover.errors import LandcoverError
from landcover.imagery.kernels import compiled
from landcover.period import Period

# Goes up when the rule changes, so that records that another one made are made anew.
RULE = 1

# What a pixel is: the codes of the record's raster.
NON_FOREST, FOREST, WARNING, CONFIRMED, NOT_KNOWN, OUTSIDE = 0, 1, 2, 3, 254, NODATA

# What a class says of a pixel, as a factor of how sure the map is.
SAYS_FOREST, UNCLEAR, SAYS_NON_FOREST = -1, 0, 1

# Of a pixel that is not known yet: one clear month said forest, another said that it is not.
SAID_BOTH = 2

# Log odds of ln 9, those of 0.9, are so many of the units that are stored.
NINE_TO_ONE = 10_000
UNITS = NINE_TO_ONE / np.log(9)

MOST = np.iinfo(np.int16).max

NEVER = -1


class ChangeSettings(BaseModel):
    """When lost forest is believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(
        default=0.99,
        gt=0.5,
        le=0.999,
        title="Threshold",
        description="A warning is confirmed when the probability that the forest fell reaches it.",
    )
    within: int = Field(
        default=6,
        ge=1,
        le=120,
        title="Months of a warning",
        description="A warning that is not confirmed within so many months is withdrawn.",
    )
    clamp: float = Field(
        default=0.9,
        gt=0.5,
        lt=0.999,
        title="Most that a month may say",
        description="The confidence of a map counts for no more than this, so that one month alone "
        "never confirms a loss.",
    )
    prior: float = Field(
        default=0.5,
        ge=0.01,
        le=0.99,
        title="Prior",
        description="The probability of loss that a first warning starts from. A lower one asks "
        "for surer months.",
    )
    smallest_hectares: float = Field(
        default=0.5,
        ge=0,
        title="Smallest alert",
        description="Patches of a smaller true area are in the rasters, but are no alerts.",
    )

    @model_validator(mode="after")
    def _needs_two_months(self) -> Self:
        if max(self.clamp, odds_on(self.prior, self.clamp)) >= self.threshold:
            raise ValueError(
                "a single month could confirm a loss: raise threshold, or lower clamp or prior"
            )
        return self


class State(NamedTuple):
    """What is known of pixels: arrays of one shape."""

    status: NDArray[np.uint8]
    """`NON_FOREST`, `FOREST`, `WARNING`, `CONFIRMED`, `NOT_KNOWN` or `OUTSIDE`."""
    log_odds: NDArray[np.int16]
    """Of loss, where there is a warning or confirmed loss. Where a pixel is not known yet, what its
    clear months said: nothing, forest, non-forest, or each once (`SAID_BOTH`). Else 0."""
    first: NDArray[np.int16]
    """The day of the month that opened the warning; 0 where there is none."""
    forest_seen: NDArray[np.int16]
    """The day of the last clear month before that one; 0 where there is no warning."""
    seen: NDArray[np.int16]
    """The day of the last clear month; `NEVER` where there was none."""


def odds_on(prior: float, evidence: float) -> float:
    """Return a probability after evidence, by Bayes' rule.

    >>> round(odds_on(0.5, 0.9), 3), round(odds_on(0.9, 0.9), 6)
    (0.9, 0.987805)

    Args:
        prior: the probability before.
        evidence: what the evidence alone would make of an even chance.
    """
    loss, none = prior * evidence, (1 - prior) * (1 - evidence)
    return loss / (loss + none)


def log_odds(probability: float) -> int:
    """Return the log odds of a probability, in whole units.

    >>> log_odds(0.9), log_odds(0.5), log_odds(0.1)
    (10000, 0, -10000)
    """
    return int(np.rint(UNITS * np.log(probability / (1 - probability))))


def probability(log_odds: NDArray[np.int16] | int) -> NDArray[np.float64]:
    """Return the probability of log odds in units."""
    likely: NDArray[np.float64] = 1 / (1 + np.exp(-np.asarray(log_odds) / UNITS))
    return likely


def new_state(inside: NDArray[np.bool_], baseline: NDArray[np.bool_] | None = None) -> State:
    """Return the state before the first month.

    Args:
        inside: which pixels lie in the area of interest, (rows, columns).
        baseline: which of them are forest, all others being non-forest; None where that is not
            known.
    """
    start = NOT_KNOWN if baseline is None else np.where(baseline, FOREST, NON_FOREST)
    return State(
        status=np.where(inside, start, OUTSIDE).astype(np.uint8),
        log_odds=np.zeros(inside.shape, np.int16),
        first=np.zeros(inside.shape, np.int16),
        forest_seen=np.zeros(inside.shape, np.int16),
        seen=np.full(inside.shape, NEVER, np.int16),
    )


def what_classes_say(
    names: Mapping[int, str],
    forest: Collection[str],
    unclear: Collection[str],
    of: str = "The map",
) -> NDArray[np.int8]:
    """Return what each class code of a map says: forest, non-forest, or nothing.

    >>> says = what_classes_say({0: "Forest", 1: "Pasture", 2: "Cloud"}, ["forest"], ["Cloud"])
    >>> says[[0, 1, 2, NODATA]].tolist()
    [-1, 1, 0, 0]

    Args:
        names: the name of each class code of the map.
        forest: the names of the classes that are forest, in any spelling of them.
        unclear: likewise, of those that hide the ground; every other class is non-forest.
        of: which map, for messages.

    Raises:
        LandcoverError: if the map has no class that is forest: all of it would seem to have fallen.
    """
    are_forest, are_unclear = (set(map(label_key, those)) for those in (forest, unclear))
    if are_forest.isdisjoint(map(label_key, names.values())):
        raise LandcoverError(
            f"{of} has none of the classes {', '.join(forest)} (FOREST_CLASSES): it has "
            f"{', '.join(names.values()) or 'no names of classes'}; set FOREST_CLASSES to those "
            "that are forest, or draw polygons of forest for that month and map it again."
        )
    says = np.full(256, SAYS_NON_FOREST, np.int8)
    for code, name in names.items():
        key = label_key(name)
        if key in are_forest | are_unclear:
            says[code] = SAYS_FOREST if key in are_forest else UNCLEAR
    says[NODATA] = UNCLEAR
    return says


def weights(clamp: float) -> NDArray[np.int16]:
    """Return how much a class says by the confidence of the map, in log odds.

    A class that was chosen among several with less than half of the votes says nothing, but not the
    contrary; nor does one whose confidence is not known (`NODATA`, after a sieve).

    Args:
        clamp: a higher confidence counts for no more.
    """
    percent = np.minimum(np.arange(101) / 100, clamp)
    said = np.zeros(256, np.int16)
    said[50:101] = [log_odds(chance) for chance in percent[50:]]
    return said


def update(
    state: State,
    codes: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    says: NDArray[np.int8],
    period: Period,
    settings: ChangeSettings,
) -> State:
    """Return what is known of pixels after one more month.

    Args:
        state: after the last month before it, however long ago.
        codes: the month's class codes, of the shape of the state.
        confidence: in percent; `NODATA` where it is not known.
        says: what each class code says (see `what_classes_say`).
        period: the month.
        settings: when lost forest is believed.
    """
    after = State._make(map(np.empty_like, state))
    _update(
        state,
        codes,
        confidence,
        says,
        weights(settings.clamp),
        day_of(period),
        months_before(period, settings.within),
        log_odds(settings.prior),
        log_odds(settings.threshold),
        after,
    )
    return after


@compiled
def next_month(
    status: int,
    log_odds: int,
    first: int,
    forest_seen: int,
    seen: int,
    evidence: int,
    says: int,
    today: int,
    deadline: int,
    prior: int,
    threshold: int,
) -> tuple[int, int, int, int, int]:
    """Return the state of one pixel after one month: this is the rule.

    Args:
        status: what it is; this and the next four are of the pixel (see `State`).
        log_odds: of loss, or what the clear months said.
        first: the day of the month that opened its warning, or 0.
        forest_seen: the day of the last clear month before it, or 0.
        seen: the day of its last clear month, or `NEVER`.
        evidence: what the month says, in log odds.
        says: `SAYS_FOREST`, `SAYS_NON_FOREST` or `UNCLEAR`.
        today: the day of the month.
        deadline: the day of the month whose warnings have their last month now.
        prior: log odds that a first warning starts from.
        threshold: log odds that confirm.
    """
    if status == WARNING and first < deadline:  # its last month went by without a map
        status, log_odds, first, forest_seen = FOREST, 0, 0, 0
    if says != UNCLEAR and status != OUTSIDE:
        if status == NOT_KNOWN:
            if log_odds == UNCLEAR:
                log_odds = says
            elif log_odds == -says:
                log_odds = SAID_BOTH
            else:
                status, log_odds = FOREST if says == SAYS_FOREST else NON_FOREST, 0
        elif status == FOREST:
            if prior + evidence > 0:
                status, log_odds = WARNING, prior + evidence
                first, forest_seen = today, seen
        elif status == WARNING:
            log_odds += evidence
            if log_odds >= threshold:
                status, log_odds = CONFIRMED, min(log_odds, MOST)
            elif log_odds < 0:
                status, log_odds, first, forest_seen = FOREST, 0, 0, 0
        seen = today
    if status == WARNING and first <= deadline:
        status, log_odds, first, forest_seen = FOREST, 0, 0, 0
    return status, log_odds, first, forest_seen, seen


@compiled
def _update(
    state: State,
    codes: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
    says: NDArray[np.int8],
    weights: NDArray[np.int16],
    today: int,
    deadline: int,
    prior: int,
    threshold: int,
    after: State,
) -> None:
    """Apply the rule to every pixel; what is written is `after`."""
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            said = int(says[codes[row, column]])
            (
                after.status[row, column],
                after.log_odds[row, column],
                after.first[row, column],
                after.forest_seen[row, column],
                after.seen[row, column],
            ) = next_month(
                int(state.status[row, column]),
                int(state.log_odds[row, column]),
                int(state.first[row, column]),
                int(state.forest_seen[row, column]),
                int(state.seen[row, column]),
                said * int(weights[confidence[row, column]]),
                said,
                today,
                deadline,
                prior,
                threshold,
            )
