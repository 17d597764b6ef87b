"""Bins: band values rounded to a few levels, so that the pixels of a month fall into few cells.

With 64 levels a band, four bands make 16.7 million cells. A model that is trained on levels gives
every pixel of a cell the same answer, so the model is a table (see `landcover.maps.lookup`).
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

# Values near or below zero have no useful logarithm. They are shifted first, until the levels start
# at this part of their span: what lies below is mostly noise.
SMALLEST = 0.01


class LogBins(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Round each band to one of `bins` levels, evenly spaced in the logarithm.

    Levels lie between two percentiles of the training data; values outside take the lowest or the
    highest level. Reflectances vary by factors (light, slope, haze), so bins that are even in the
    logarithm lose nothing; quantile bins do, because they crowd where most pixels are.

    >>> bins = LogBins(4, lower=0, upper=100).fit([[100.0], [1600.0]])
    >>> bins.edges_
    array([[200., 400., 800.]])
    >>> bins.levels_.round()
    array([[ 141.,  283.,  566., 1131.]])
    >>> bins.number(np.array([50, 150, 250, 5000]), band=0)
    array([0, 0, 1, 3])
    >>> bins.transform([[150.0], [250.0]]).round()
    array([[141.],
           [283.]])

    Args:
        bins: how many levels each band has.
        lower: the percentile of the training data at which the levels start.
        upper: the percentile at which they end.

    Attributes:
        edges_: the values at which the next level starts, (bands, bins - 1).
        levels_: the values that the bins stand for, the geometric means of their edges,
            (bands, bins).
    """

    def __init__(self, bins: int = 64, lower: float = 0.2, upper: float = 99.8) -> None:
        """Keep the parameters unchanged, as scikit-learn requires."""
        self.bins = bins
        self.lower = lower
        self.upper = upper

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """Find each band's levels.

        Args:
            X: raw band values, (samples, bands).
            y: not used.
        """
        if self.bins < 2:
            raise ValueError(f"bins is {self.bins}, but a band needs at least 2.")
        values = validate_data(self, X)
        low, high = np.percentile(values.astype(np.float64), [self.lower, self.upper], axis=0)
        span = np.where(high > low, high - low, 1.0)
        shift = np.maximum(0.0, SMALLEST * span - low)
        edges = np.geomspace(low + shift, high + shift, self.bins + 1, axis=1)
        # Of a band that is the same everywhere, rounding would make some edges fall.
        edges = np.maximum.accumulate(edges, axis=1)
        self.edges_ = edges[:, 1:-1] - shift[:, np.newaxis]
        self.levels_ = np.sqrt(edges[:, :-1] * edges[:, 1:]) - shift[:, np.newaxis]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the level of each value, (samples, bands).

        Args:
            X: raw band values, (samples, bands).
        """
        check_is_fitted(self)
        values = validate_data(self, X, reset=False)
        return np.column_stack(
            [levels[self.number(values[:, band], band)] for band, levels in enumerate(self.levels_)]
        )

    def number(self, values: NDArray[np.generic], band: int) -> NDArray[np.intp]:
        """Return the number of the bin, from 0, that each value of a band falls into.

        Args:
            values: raw values of one band, of any shape.
            band: the band's place among the bands of the training data, from 0.
        """
        return np.searchsorted(self.edges_[band], values, side="right")
