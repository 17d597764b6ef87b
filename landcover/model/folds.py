"""Folds: which samples are held out together, and which samples train the model that predicts them.

Pixels of one polygon are near copies of each other, so a split through a polygon measures memory,
not skill. Neighbouring polygons are alike too (Roberts et al. 2017, Cross-validation
strategies for data with temporal, spatial, hierarchical, or phylogenetic structure,
doi:10.1111/ecog.02881), which is what blocks are for.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator, StratifiedGroupKFold, StratifiedKFold

from landcover.errors import SettingsError
from landcover.model.balance import at_most_per_class
from landcover.model.forest import ForestSettings

Indices = NDArray[np.intp]
Fold = tuple[Indices, Indices]


def validation_folds(
    samples: pd.DataFrame, codes: pd.Series, settings: ForestSettings
) -> list[Fold]:
    """Deal whole polygons or blocks into folds, and cap the training samples of each class.

    Args:
        samples: a row for each sample, with `polygon_id`, `x` and `y`.
        codes: the class code of each sample.
        settings: of the forest and its validation.

    Returns:
        Row numbers of the training and of the held-out samples of each fold.

    Raises:
        SettingsError: if blocks are to be held out, and all polygons lie in one.
    """
    polygons = samples["polygon_id"]
    if settings.holdout == "blocks":
        blocks = blocks_of(samples, settings.block_size)
        dealt = block_folds(polygons, blocks, codes, settings.folds, settings.seed)
    else:
        dealt = polygon_folds(polygons, codes, settings.folds, settings.seed)
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


def polygon_folds(polygons: pd.Series, codes: pd.Series, folds: int, seed: int) -> list[Fold]:
    """Deal whole polygons into folds, each class evenly.

    A polygon that is the only one of its class always stays in training: if it were held out, the
    model would not know its class.

    Here class 4 has a single polygon, and the other classes have two each:

    >>> polygons = pd.Series(["a", "a", "b", "c", "c", "d", "e"])
    >>> codes = pd.Series([0, 0, 0, 1, 1, 1, 4])
    >>> for train, held_out in polygon_folds(polygons, codes, folds=5, seed=0):
    ...     print(train, held_out)
    [0 1 5 6] [2 3 4]
    [2 3 4 6] [0 1 5]

    Args:
        polygons: the polygon id of each sample.
        codes: the class code of each sample.
        folds: how many folds; there are fewer if no class has as many polygons.
        seed: of the dealing.

    Returns:
        Row numbers of the training and of the held-out samples of each fold; no fold if every class
        has a single polygon.
    """
    classes = codes.groupby(polygons).first()
    counts = classes.map(classes.value_counts())
    dealt = classes[counts > 1]
    if dealt.empty:
        return []
    dealer = StratifiedKFold(min(folds, int(counts.max())), shuffle=True, random_state=seed)
    return [
        _split(polygons.isin(dealt.index[held_out]).to_numpy(), codes)
        for held_out in _deal(dealer, dealt)
    ]


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
        Row numbers of the training and of the held-out samples of each fold.
    """
    block = pd.Series(np.asarray(blocks), index=codes.index)
    dealt = pd.DataFrame({"code": codes, "block": block}).groupby(polygons).first()
    number = min(folds, dealt["block"].nunique(), int(dealt["code"].value_counts().max()))
    if number < 2:
        return []
    dealer = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    parts = [
        _split(block.isin(dealt["block"].iloc[held_out]).to_numpy(), codes)
        for held_out in _deal(dealer, dealt["code"], dealt["block"])
    ]
    return [(train, test) for train, test in parts if test.size]


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
    chosen = np.isin(np.arange(len(codes)), among)
    return [
        _split(chosen & np.isin(np.arange(len(codes)), held_out), codes)
        for held_out in _deal(dealer, codes)
    ]


def blocks_of(samples: pd.DataFrame, size: float) -> pd.Series:
    """Return the block that each sample's polygon lies in, by column and row of a square grid.

    A polygon that crosses the border of two blocks belongs wholly to the one that holds the mean
    position of its samples.

    Args:
        samples: with `polygon_id`, `x` and `y`.
        size: side of a block, in units of `x` and `y`, which are those of the mosaic's CRS.

    Raises:
        SettingsError: if every polygon lies in one block.
    """
    places = samples.groupby("polygon_id")[["x", "y"]].transform("mean")
    numbers = np.floor(places / size).astype(int).astype(str)
    blocks: pd.Series = numbers["x"] + " " + numbers["y"]
    if blocks.nunique() == 1:
        extent = max(np.ptp(places["x"]), np.ptp(places["y"]))
        raise SettingsError(
            f"All training polygons lie in one block of {size:g}, so none can be held out: give a "
            f"smaller --block_size; they span {extent:g}, in units of the mosaic's CRS."
        )
    return blocks


def _deal(
    dealer: BaseCrossValidator, codes: pd.Series, groups: pd.Series | None = None
) -> list[Indices]:
    """Return the row numbers that each fold holds out."""
    with warnings.catch_warnings():
        # A class with fewer members than folds is in some of the folds only, which is right.
        warnings.filterwarnings("ignore", message="The least populated class")
        return [held_out for _, held_out in dealer.split(codes, codes, groups)]


def _split(held_out: NDArray[np.bool_], codes: pd.Series) -> Fold:
    """Split samples into those that train, and held-out ones whose class the training has."""
    known = codes.isin(codes[~held_out].unique()).to_numpy()
    return np.flatnonzero(~held_out), np.flatnonzero(held_out & known)
