"""Balance: a cap on the samples of each class that train the forest."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def at_most_per_class(codes: pd.Series, most: int | None, seed: int) -> NDArray[np.intp]:
    """Draw at most `most` samples of each class at random (random undersampling).

    Args:
        codes: the class code of each sample.
        most: how many of each class; None for all.
        seed: of the draw.

    Returns:
        Row numbers of the samples drawn, in order.
    """
    if most is None:
        return np.arange(len(codes))
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    place = codes.iloc[shuffled].groupby(codes.iloc[shuffled].to_numpy()).cumcount()
    return np.sort(shuffled[place.to_numpy() < most])
