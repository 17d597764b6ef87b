"""Reflectance: what makes the values of bands shares of the light, from 0 to 1."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from landcover.errors import LandcoverError
from landcover.imagery.mosaic import Mosaic

# What is usual where files do not say it: whole numbers are reflectances x 10 000.
USUAL = 1e-4

# Nine in ten samples are not brighter in the near infrared than this; of true reflectances it is
# 0.2 to 0.6, over snow or under clouds 1. Of Landsat's stored numbers, taken x 10 000, it is 2; of
# pictures in bytes 0.02.
PERCENTILE = 90
PLAUSIBLE = (0.05, 1.5)


class Reflectance(NamedTuple):
    """What makes a band's values reflectances."""

    scale: float
    """What they are multiplied by."""
    offset: float = 0.0
    """What is then added."""


# Of each band of the imagery, by name; of a band that does not change, None.
Reflectances = Mapping[str, Reflectance | None]


def reflectances_of(mosaic: Mosaic) -> dict[str, Reflectance | None]:
    """Return what makes the values of a mosaic reflectances: what its files say, or what is usual.

    Args:
        mosaic: the imagery, and what does not change.

    Raises:
        LandcoverError: if another run has found other imagery for the month since.
    """
    first = mosaic.quads()[0]
    found: dict[str, Reflectance | None] = dict.fromkeys(mosaic.bands)
    for name, number in mosaic.imagery.items():
        ((header, (own,), _),) = first.by_file([number])
        said = Reflectance(header.scales[own - 1], header.offsets[own - 1])
        found[name] = _usual(header.dtypes[own - 1]) if said == Reflectance(1.0) else said
    return found


def usual_reflectances(samples: pd.DataFrame, bands: Sequence[str]) -> Reflectances:
    """Return what usually makes the values of samples reflectances, where nothing says it.

    Args:
        samples: with a column for each band.
        bands: their names, all of imagery.
    """
    return {name: _usual(samples[name].dtype.name) for name in bands}


def _usual(dtype: str) -> Reflectance:
    return Reflectance(USUAL if np.issubdtype(dtype, np.integer) else 1.0)


def check_reflectances(samples: pd.DataFrame, reflectances: Reflectances) -> None:
    """Make sure that what makes the samples' near infrared reflectance is plausible.

    Args:
        samples: with a column for each band.
        reflectances: of the bands.

    Raises:
        LandcoverError: if it is not, so that an index that needs reflectances would be wrong.
    """
    nir = reflectances["nir"]
    assert nir is not None
    value = float(np.percentile(samples["nir"].to_numpy(np.float64), PERCENTILE))
    bright = nir.scale * value + nir.offset
    if not PLAUSIBLE[0] <= bright <= PLAUSIBLE[1]:
        raise LandcoverError(
            f"EVI needs reflectances from 0 to 1, but a bright sample's near infrared of {value:g} "
            f"would be {bright:.3g} (scale {nir.scale:g}, offset {nir.offset:g}): say scale and "
            "offset in the image files with `gdal_edit.py -scale S -offset O FILE` and sample "
            "again, or leave EVI out of --indices."
        )
