"""Band values rounded to levels that are even in the logarithm."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from landcover.model.bins import LogBins


@pytest.mark.parametrize(
    ("estimator", "check"),
    list(estimator_checks_generator(LogBins())),
    ids=lambda value: getattr(getattr(value, "func", None), "__name__", None),
)
def test_it_behaves_as_scikit_learn_expects(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(clone(estimator))


REFLECTANCE = np.random.default_rng(0).lognormal(6, 0.8, (5000, 1))


@pytest.mark.parametrize(
    "values",
    [
        REFLECTANCE.astype("uint16"),
        (REFLECTANCE / 40).clip(0, 255).astype("uint8"),
        (REFLECTANCE - 600).astype("int16"),
        (REFLECTANCE / 10_000).astype("float32"),
        -REFLECTANCE,
        np.zeros((10, 1)),
        np.full((10, 1), -9.0),
        np.full((10, 1), 137.17643600820224),
    ],
    ids=["uint16", "uint8", "int16 below zero", "0 to 1", "negative", "all 0", "all -9", "all 137"],
)
@pytest.mark.parametrize("bins", [2, 64])
def test_levels_rise_and_each_lies_in_its_own_bin(values, bins):
    fitted = LogBins(bins).fit(values)
    levels = fitted.levels_[0]
    assert levels.shape == (bins,)
    assert (np.diff(levels) >= 0).all()
    assert (np.diff(fitted.edges_[0]) >= 0).all()
    if np.ptp(values):
        assert np.array_equal(fitted.number(levels, 0), np.arange(bins))
    rounded = fitted.transform(values)
    assert np.isin(rounded, levels).all()
    assert np.array_equal(fitted.transform(rounded), rounded) or not np.ptp(values)


def test_levels_are_even_in_the_logarithm_between_the_percentiles():
    fitted = LogBins(64, lower=5, upper=95).fit(REFLECTANCE)
    assert np.ptp(np.diff(np.log(fitted.levels_[0]))) < 1e-9
    low, high = np.percentile(REFLECTANCE, [5, 95])
    assert fitted.levels_[0][0] == pytest.approx(low, rel=0.05)
    assert fitted.levels_[0][-1] == pytest.approx(high, rel=0.05)


def test_values_beyond_the_training_data_take_the_outermost_levels():
    fitted = LogBins(16).fit(REFLECTANCE)
    far = fitted.transform([[-1e9], [1e9]])
    assert far.ravel().tolist() == [fitted.levels_[0][0], fitted.levels_[0][-1]]


def test_a_single_bin_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        LogBins(1).fit(REFLECTANCE)
