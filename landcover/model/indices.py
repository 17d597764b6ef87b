"""Spectral indices: what two bands say together, whatever the light."""

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def with_normalized_differences(values: ArrayLike) -> NDArray[np.float64]:
    """Append (a - b) / (a + b) of every two bands, 0 where their sum is 0.

    Of near infrared and red this is the NDVI (Rouse et al. 1974, Monitoring vegetation systems in
    the Great Plains with ERTS), of green and near infrared the NDWI (McFeeters 1996,
    doi:10.1080/01431169608948714).

    Args:
        values: of the bands, (samples, bands).

    Returns:
        (samples, bands + bands * (bands - 1) / 2)
    """
    bands = np.asarray(values, dtype=np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [(b - a) / (b + a) for a, b in combinations(bands, 2)]
    finite: NDArray[np.float64] = np.nan_to_num(
        np.column_stack([*bands, *ratios]), posinf=0.0, neginf=0.0
    )
    return finite
