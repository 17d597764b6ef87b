"""Normalised differences of bands."""

import numpy as np

from landcover.model.indices import with_normalized_differences


def test_every_two_bands_give_their_normalised_difference_behind_the_bands():
    blue, red, nir = 300.0, 500.0, 3500.0
    expected = [blue, red, nir, 200 / 800, 3200 / 3800, 3000 / 4000]
    assert np.allclose(with_normalized_differences([[blue, red, nir]]), [expected])


def test_two_dark_bands_differ_by_nothing():
    assert with_normalized_differences([[0, 0], [-3, 3]]).tolist() == [[0, 0, 0], [-3, 3, 0]]
