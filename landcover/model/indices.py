"""Spectral indices: what two bands together say, whatever the light."""

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def with_normalized_differences(values: ArrayLike) -> NDArray[np.float64]:
    """Append (b - a) / (b + a) of every two bands, a before b; 0 where their sum is 0.

    For red and near infrared this is the NDVI (Rouse et al. 1974, Monitoring vegetation systems in
    the Great Plains with ERTS); for green and near infrared it is the NDWI (McFeeters 1996,
    doi:10.1080/01431169608948714) with the opposite sign.

    Args:
        values: band values, (samples, bands).

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
