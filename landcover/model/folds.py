"""Folds: which samples are held out together, and which samples train the model that predicts them.

Pixels of one polygon are near copies of each other, so a split through a polygon measures memory,
not skill. So does one between polygons that lie on the same ground (see `landcover.model.ground`):
a ground is held out whole, with all polygons on it. Neighbouring polygons are alike too (Roberts et
al. 2017, Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
structure, doi:10.1111/ecog.02881), which is what blocks are for.
"""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator, StratifiedGroupKFold, StratifiedKFold

from landcover.errors import SettingsError
from landcover.model.balance import at_most_per_class
from landcover.model.forest import ForestSettings
from landcover.model.ground import Together, ground_of

# Each month that is held out is a forest to train.
MOST_MONTHS = 12

Indices = NDArray[np.intp]
Fold = tuple[Indices, Indices]


def validation_folds(
    samples: pd.DataFrame, codes: pd.Series, settings: ForestSettings, together: Together = ()
) -> list[Fold]:
    """Deal whole grounds or blocks into folds, and cap the training samples of each class.

    Args:
        samples: a row for each sample, with `polygon_id`, `x` and `y`.
        codes: the class code of each sample.
        settings: of the forest and its validation.
        together: the ids of polygons that lie on the same ground; the others lie alone.

    Returns:
        Row numbers of the training and of the held-out samples of each fold; no fold if no class
        lies on two grounds.

    Raises:
        SettingsError: if blocks are to be held out, and no class lies in two of them although one
            lies on two grounds.
    """
    grounds = ground_of(samples["polygon_id"], together)
    dealt = polygon_folds(grounds, codes, settings.folds, settings.seed)
    if dealt and settings.holdout == "blocks":
        blocks = blocks_of(samples, grounds, settings.block_size)
        dealt = block_folds(samples["polygon_id"], blocks, codes, settings.folds, settings.seed)
        if not dealt:
            raise SettingsError(_describe_blocks(samples, blocks, settings.block_size))
    return capped(dealt, codes, settings)


def capped(folds: Sequence[Fold], codes: pd.Series, settings: ForestSettings) -> list[Fold]:
    """Draw at most `max_pixels_per_class` training samples of each fold; keep all held-out ones.

    Args:
        folds: row numbers of the training and of the held-out samples of each fold.
        codes: the class code of each sample.
        settings: of the forest.
    """
    most, seed = settings.max_pixels_per_class, settings.seed
    return [
        (train[at_most_per_class(codes.iloc[train], most, seed)], test) for train, test in folds
    ]


def polygon_folds(grounds: pd.Series, codes: pd.Series, folds: int, seed: int) -> list[Fold]:
    """Deal polygons into folds, whole and with what lies on the same ground, each class evenly.

    A ground that is the only one of a class always stays in training: if it were held out, the
    model would not know that class. One with polygons of several classes is dealt as one of the
    class that lies on the fewest grounds.

    Here class 4 lies on a single ground, and the other classes on two each:

    >>> grounds = pd.Series(["a", "a", "b", "c", "c", "d", "e"])
    >>> codes = pd.Series([0, 0, 0, 1, 1, 1, 4])
    >>> for train, held_out in polygon_folds(grounds, codes, folds=5, seed=0):
    ...     print(train, held_out)
    [0 1 5 6] [2 3 4]
    [2 3 4 6] [0 1 5]

    Args:
        grounds: the ground of each sample (see `landcover.model.ground.ground_of`).
        codes: the class code of each sample.
        folds: how many folds; there are fewer if no class lies on as many grounds.
        seed: of the dealing.

    Returns:
        Row numbers of the training and of the held-out samples of each fold; no fold if every class
        lies on a single ground.
    """
    there = pd.DataFrame({"ground": grounds, "code": codes}).drop_duplicates()
    there["grounds"] = there.groupby("code")["ground"].transform("size")
    classes = there.sort_values(["ground", "grounds", "code"]).groupby("ground").first()
    dealt = classes.loc[classes["grounds"] > 1, "code"]
    if dealt.empty:
        return []
    number = min(folds, int(dealt.value_counts().max()))
    if number > 1:
        away = _deal(StratifiedKFold(number, shuffle=True, random_state=seed), dealt)
    else:  # what else there is of each class stays in training
        away = np.array_split(np.arange(len(dealt)), min(folds, len(dealt)))
    return _split(grounds, [dealt.index[held_out] for held_out in away], codes)


def block_folds(
    polygons: pd.Series,
    blocks: Sequence[object] | pd.Series,
    codes: pd.Series,
    folds: int,
    seed: int,
) -> list[Fold]:
    """Deal whole blocks of polygons into folds, each class about evenly.

    No sample of a held-out block trains the model. Samples of a class that lies in no other block
    are not predicted then, because the model would not know their class.

    Args:
        polygons: the polygon id of each sample.
        blocks: the block of each sample, the same for all samples of a polygon (see `blocks_of`).
        codes: the class code of each sample.
        folds: how many folds; there are fewer if there are fewer blocks.
        seed: of the dealing.

    Returns:
        Row numbers of the training and of the held-out samples of each fold; no fold if no class
        lies in two blocks.
    """
    block = pd.Series(np.asarray(blocks), index=codes.index)
    dealt = pd.DataFrame({"code": codes, "block": block}).groupby(polygons).first()
    number = min(folds, dealt["block"].nunique(), int(dealt["code"].value_counts().max()))
    if number < 2:
        return []
    dealer = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    away = _deal(dealer, dealt["code"], dealt["block"])
    return _split(block, [dealt["block"].iloc[held_out] for held_out in away], codes)


def month_folds(months: pd.Series, grounds: pd.Series, codes: pd.Series, seed: int) -> list[Fold]:
    """Hold out whole months, at most `MOST_MONTHS` of them, spread over the time that there is.

    No sample of the month trains the model that predicts it, nor does one of another month from the
    same ground (Meyer et al. 2018, Improving performance of spatio-temporal machine learning models
    using forward feature selection and target-oriented validation,
    doi:10.1016/j.envsoft.2017.12.001). So where ground recurs, half of it is predicted by what the
    other months show of the other half.

    Args:
        months: the month of each sample.
        grounds: its ground (see `landcover.model.ground.ground_of`).
        codes: its class code.
        seed: of the halving.

    Returns:
        Row numbers of the training and of the held-out samples of each fold; no fold of a month
        whose classes no other month has.
    """
    every = np.sort(months.unique())
    chosen = every[np.unique(np.linspace(0, len(every) - 1, MOST_MONTHS).round().astype(int))]
    folds = []
    for month in chosen:
        its = months == month
        of_ground = codes[its].groupby(grounds[its]).first()
        # Of each class, one half is dealt to each part.
        dealt = of_ground.sample(frac=1, random_state=seed).sort_values(kind="stable").index
        parts = 2 if grounds[~its].isin(dealt).any() else 1
        for first in range(parts):
            on_it = grounds.isin(dealt[first::parts])
            train = ~its & ~on_it
            known = codes.isin(codes[train].unique())
            test = np.flatnonzero(its & on_it & known)
            if test.size:
                folds.append((np.flatnonzero(train), test))
    return folds


def pixel_folds(codes: pd.Series, among: Indices, folds: int, seed: int) -> list[Fold]:
    """Deal single pixels into folds, each class evenly, for an accuracy not to be believed.

    The model that predicts a pixel was trained on its neighbours in the same polygon. The accuracy
    found in this way is what a validation that ignores polygons would claim.

    Args:
        codes: the class code of each sample.
        among: row numbers of the samples that are held out; the others always train.
        folds: how many folds.
        seed: of the dealing.
    """
    number = min(folds, int(codes.value_counts().max()))
    if not among.size or number < 2:
        return []
    dealer = StratifiedKFold(number, shuffle=True, random_state=seed)
    rows = pd.Series(np.arange(len(codes)), index=codes.index)
    away = [held_out[np.isin(held_out, among)] for held_out in _deal(dealer, codes)]
    return _split(rows, away, codes)


def blocks_of(samples: pd.DataFrame, grounds: pd.Series, size: float) -> pd.Series:
    """Return the block that each sample's ground lies in, by column and row of a square grid.

    A ground that crosses the border of two blocks belongs wholly to the one that holds the mean
    position of its samples.

    Args:
        samples: with `x` and `y`.
        grounds: the ground of each sample.
        size: side of a block, in units of `x` and `y`, which are those of the mosaic's CRS.
    """
    places = samples.groupby(grounds)[["x", "y"]].transform("mean")
    numbers = np.floor(places / size).astype(int).astype(str)
    blocks: pd.Series = numbers["x"] + " " + numbers["y"]
    return blocks


def _describe_blocks(samples: pd.DataFrame, blocks: pd.Series, size: float) -> str:
    one = blocks.nunique() == 1
    what = "All training polygons lie" if one else "The training polygons of each class lie"
    extent = max(np.ptp(samples["x"]), np.ptp(samples["y"]))
    return (
        f"{what} in one block of {size:g}, so none can be held out: give a smaller --block_size; "
        f"they span {extent:g}, in units of the mosaic's CRS."
    )


def _deal(
    dealer: BaseCrossValidator, codes: pd.Series, groups: pd.Series | None = None
) -> list[Indices]:
    """Return the row numbers that each fold holds out."""
    with warnings.catch_warnings():
        # A class with fewer members than folds is in some of the folds only, which is right.
        warnings.filterwarnings("ignore", message="The least populated class")
        return [held_out for _, held_out in dealer.split(codes, codes, groups)]


def _split(units: pd.Series, held_out: Iterable[Iterable[object]], codes: pd.Series) -> list[Fold]:
    """Split samples into those that train, and held-out ones whose class the training has.

    Folds that hold none are left out.

    Args:
        units: what each sample is dealt by.
        held_out: the units of each fold.
        codes: the class code of each sample.
    """
    folds = []
    for its in held_out:
        away = units.isin(its).to_numpy()
        known = codes.isin(codes[~away].unique()).to_numpy()
        test = np.flatnonzero(away & known)
        if test.size:
            folds.append((np.flatnonzero(~away), test))
    return folds
