"""Spectral indices: what bands together say, whatever the light."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landcover.errors import SettingsError
from landcover.model.reflectance import Reflectances

Values = NDArray[np.float64]

# What --indices may name: the normalised differences of every two bands, and single indices.
IndexName = Literal["differences", "NDVI", "EVI", "NDWI", "brightness"]
INDEX_NAMES: tuple[IndexName, ...] = get_args(IndexName)


def with_normalized_differences(values: ArrayLike) -> Values:
    """Append (b - a) / (b + a) of every two bands, a before b; 0 where their sum is 0.

    For red and near infrared this is the NDVI; for green and near infrared it is the NDWI with the
    opposite sign (see `ndvi` and `ndwi`).

    Args:
        values: band values, (samples, bands).

    Returns:
        (samples, bands + bands * (bands - 1) / 2)
    """
    bands = np.asarray(values, dtype=np.float64).T
    ratios = [normalized_difference(a, b) for a, b in combinations(bands, 2)]
    return _finite([*bands, *ratios])


def with_indices(
    values: ArrayLike, names: Sequence[IndexName], reflectances: Reflectances
) -> Values:
    """Append indices, in the order of their names.

    Normalised differences are those of every two bands of the imagery, as they are stored; the
    single indices are of reflectances.

    Args:
        values: band values, (samples, bands).
        names: of the indices.
        reflectances: of the bands, in their order.

    Returns:
        (samples, bands + indices)
    """
    bands = np.asarray(values, dtype=np.float64).T
    stored = [band for band, of in zip(bands, reflectances.values(), strict=True) if of]
    light = {
        name: of.scale * band + of.offset
        for (name, of), band in zip(reflectances.items(), bands, strict=True)
        if of
    }
    found: list[Values] = []
    for name in names:
        if name == "differences":
            found += [normalized_difference(a, b) for a, b in combinations(stored, 2)]
        else:
            index, needed = SINGLE[name]
            found.append(index(*(light[band] for band in needed)))
    return _finite([*bands, *found])


def _finite(columns: Sequence[Values]) -> Values:
    finite: Values = np.nan_to_num(np.column_stack(columns), posinf=0.0, neginf=0.0)
    return finite


def _ratio(over: Values, under: Values) -> Values:
    """Divide; what is divided by 0 is not finite, and becomes 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Values = over / under
    return ratio


def normalized_difference(a: Values, b: Values) -> Values:
    """Return (b - a) / (b + a) of two bands."""
    return _ratio(b - a, b + a)


def ndvi(red: Values, nir: Values) -> Values:
    """Return the Normalized Difference Vegetation Index, (nir - red) / (nir + red).

    Rouse et al. 1974, Monitoring vegetation systems in the Great Plains with ERTS.
    """
    return normalized_difference(red, nir)


def evi(blue: Values, red: Values, nir: Values) -> Values:
    """Return the Enhanced Vegetation Index, 2.5 (nir - red) / (nir + 6 red - 7.5 blue + 1).

    Huete et al. 2002, doi:10.1016/S0034-4257(02)00096-2. Unlike the others it changes with the unit
    of the bands: they are reflectances from 0 to 1.
    """
    return _ratio(2.5 * (nir - red), nir + 6.0 * red - 7.5 * blue + 1.0)


def ndwi(green: Values, nir: Values) -> Values:
    """Return the Normalized Difference Water Index, (green - nir) / (green + nir).

    McFeeters 1996, doi:10.1080/01431169608948714.
    """
    return normalized_difference(nir, green)


def brightness(green: Values, red: Values, nir: Values) -> Values:
    """Return the second brightness index, the root mean square of green, red and near infrared.

    Escadafal 1989, Remote sensing of arid soil surface color with Landsat thematic mapper,
    doi:10.1016/0273-1177(89)90481-X; BI2 of ESA's SNAP.
    """
    root: Values = np.sqrt((green * green + red * red + nir * nir) / 3.0)
    return root


SINGLE: Mapping[IndexName, tuple[Callable[..., Values], tuple[str, ...]]] = {
    "NDVI": (ndvi, ("red", "nir")),
    "EVI": (evi, ("blue", "red", "nir")),
    "NDWI": (ndwi, ("green", "nir")),
    "brightness": (brightness, ("green", "red", "nir")),
}


def parse_indices(value: object) -> object:
    """Read what --indices says: whether normalised differences are wanted, or names of indices.

    >>> parse_indices("NDVI, evi"), parse_indices("true")
    (('NDVI', 'EVI'), True)

    Raises:
        ValueError: if a name is not that of an index, or stands twice.
    """
    if isinstance(value, str):
        if value.casefold() in {"true", "false"}:
            return value.casefold() == "true"
        value = value.split(",")
    if not isinstance(value, list | tuple):
        return value
    known = {name.casefold(): name for name in INDEX_NAMES}
    words = [str(word).strip() for word in value]
    unknown = [word for word in words if word.casefold() not in known]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown) or 'nothing'!r} is not an index; there are "
            f"{', '.join(INDEX_NAMES)}, several with commas between them"
        )
    names = tuple(known[word.casefold()] for word in words)
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)} names an index twice")
    return names


def names_of(indices: bool | Sequence[IndexName]) -> tuple[IndexName, ...]:
    """Return the names of the indices that a setting asks for.

    Args:
        indices: true for the normalised differences; or names.
    """
    if isinstance(indices, bool):
        return ("differences",) if indices else ()
    return tuple(indices)


def check_bands_of(indices: bool | Sequence[IndexName], bands: Collection[str]) -> None:
    """Make sure that the bands are there that indices are computed from.

    Args:
        indices: what is asked for.
        bands: the names of the imagery's bands.

    Raises:
        SettingsError: if a band is missing.
    """
    for name in names_of(indices):
        _, needed = SINGLE.get(name, (None, ()))
        missing = [band for band in needed if band not in bands]
        if missing:
            raise SettingsError(
                f"--indices {name} needs the bands {', '.join(needed)}, but MOSAIC_BANDS has no "
                f"{', '.join(missing)}: give the bands these names there, or leave {name} out."
            )
