"""The one way that pixels are read: for training, for prediction and for pictures."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

Values = NDArray[np.generic]
Mask = NDArray[np.bool_]

# Of single precision, how far a value may be from a nodata value that was written as rounded text,
# in parts of it: twice as far as neighbouring numbers are from each other, as GDAL has it
# (ARE_REAL_EQUAL in gdal_priv.h).
ROUNDED = 2 * float(np.finfo(np.float32).eps)


class Pixels(NamedTuple):
    """The pixels of a window."""

    values: Values
    """Of the bands: (bands, rows, columns)."""
    valid: Mask
    """True where a pixel holds data in every band, (rows, columns)."""
    partial: Mask
    """True where a pixel holds nodata in some of the bands but not in all, and neither a mask nor
    alpha says that it is invalid, (rows, columns)."""


def read_pixels(
    dataset: DatasetReader,
    bands: Sequence[int],
    window: Window,
    out_shape: tuple[int, int] | None = None,
    resampling: Resampling = Resampling.nearest,
    nodata: float | None = None,
) -> Pixels:
    """Read bands of a window, and which of its pixels are valid.

    A pixel is valid where all masks of the bands read say that it holds data (whether in the file,
    beside it, of all bands or of one), where its alpha band, if there is one, is not 0, and where
    no band read holds its nodata value or, in data of a floating type, NaN or infinity. Nodata
    values are compared here, because GDAL leaves them out where there is a mask.

    Args:
        dataset: an open image.
        bands: the numbers of the bands, counted from 1.
        window: the part to read, in pixels, inside the dataset.
        out_shape: rows and columns to read it as, from overviews if there are any; None for as many
            as it has.
        resampling: of the values; masks, nodata and the alpha band are those of the nearest pixel.
        nodata: a value that stands for no data in every band, beside what the dataset says.

    Returns:
        The values, in the type that holds those of all bands read (see `common_type`), and which
        of them are valid.

    Raises:
        RasterioIOError: if the image cannot be read.
    """
    alpha = alpha_bands(dataset)
    exact = out_shape is None or resampling == Resampling.nearest
    if exact:
        values, layers = _read(dataset, bands, alpha, window, out_shape)
    else:
        values, _ = _read(dataset, bands, (), window, out_shape, resampling)
        # What was averaged with nodata is not nodata any more.
        _, layers = _read(dataset, bands, alpha, window, out_shape)
    unmasked: Mask = np.ones(values.shape[1:], dtype=bool)
    if not exact and np.issubdtype(values.dtype, np.floating):
        unmasked &= np.isfinite(values).all(axis=0)
    for number in alpha:
        unmasked &= layers[number] != 0
    for number in _masked(dataset, bands):
        unmasked &= dataset.read_masks(number, window=window, out_shape=out_shape) != 0
    empty = [
        _dataless(layers[band], dataset.dtypes[band - 1], (_declared(dataset, band), nodata))
        for band in bands
    ]
    found = [layer for layer in empty if layer is not None and layer.any()]
    if not found:
        return Pixels(values, unmasked, np.zeros_like(unmasked))
    some = reduce(np.logical_or, found)
    partial = unmasked & some
    if len(found) == len(empty):
        partial &= ~reduce(np.logical_and, found)
    return Pixels(values, unmasked & ~some, partial)


def stack_pixels(parts: Sequence[tuple[Sequence[int], Pixels]]) -> Pixels:
    """Put bands of one window together that were read from several files.

    Args:
        parts: of each file, where its bands stand among all of them, and its pixels.

    Returns:
        The values, in the type that holds those of all; valid where all files say so, and partial
        where a file's bands hold data but not all bands do.
    """
    if len(parts) == 1:
        return parts[0][1]
    found = [pixels for _, pixels in parts]
    count = sum(len(places) for places, _ in parts)
    dtype = np.result_type(*(pixels.values.dtype for pixels in found))
    values = np.empty((count, *found[0].valid.shape), dtype)
    for places, pixels in parts:
        values[list(places)] = pixels.values
    valid = reduce(np.logical_and, (pixels.valid for pixels in found))
    some = reduce(np.logical_or, (pixels.valid | pixels.partial for pixels in found))
    return Pixels(values, valid, some & ~valid)


def alpha_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """Return the numbers of the bands marked as alpha, usually none or one.

    Args:
        dataset: an open image.
    """
    return tuple(
        number
        for number, interp in enumerate(dataset.colorinterp, start=1)
        if interp == ColorInterp.alpha
    )


def common_type(types: Sequence[str]) -> np.dtype[np.generic]:
    """Return the type that holds the values of bands of these types: uint16 and float32, float32.

    >>> common_type(["uint16", "uint16"]), common_type(["uint16", "float32"])
    (dtype('uint16'), dtype('float32'))
    """
    return np.result_type(*types)


def _read(
    dataset: DatasetReader,
    bands: Sequence[int],
    others: Sequence[int],
    window: Window,
    out_shape: tuple[int, int] | None,
    resampling: Resampling = Resampling.nearest,
) -> tuple[Values, dict[int, Values]]:
    """Return the values of bands in their common type, and these and other bands by number.

    What is of one type is read at once, because a file with its bands interleaved is then decoded
    once; rasterio reads no unlike types together. The alpha band is read like any other because a
    file of five bands does not offer it as the others' mask.
    """
    of_type: dict[str, list[int]] = {}
    for number in dict.fromkeys([*bands, *others]):
        of_type.setdefault(dataset.dtypes[number - 1], []).append(number)
    read: dict[str, Values] = {}
    layers: dict[int, Values] = {}
    for dtype, numbers in of_type.items():
        shape = out_shape and (len(numbers), *out_shape)
        read[dtype] = dataset.read(numbers, window=window, out_shape=shape, resampling=resampling)
        layers.update(zip(numbers, read[dtype], strict=True))
    types = [dataset.dtypes[band - 1] for band in bands]
    if len(set(types)) == 1:
        return read[types[0]][: len(bands)], layers
    return np.stack([layers[band] for band in bands], dtype=common_type(types)), layers


def _masked(dataset: DatasetReader, bands: Sequence[int]) -> list[int]:
    """Return the bands whose masks are read: one of those that share a mask, all with their own.

    Bands without flags have a mask of their own, as those of a VRT may. Where the nodata value is
    one that rasterio does not know (it does not fit the type), GDAL's mask tells.
    """
    flags = {band: set(dataset.mask_flag_enums[band - 1]) for band in bands}
    shared = [
        band
        for band in bands
        if MaskFlags.per_dataset in flags[band] and MaskFlags.alpha not in flags[band]
    ]
    own = [band for band in bands if not flags[band]]
    unknown = [
        band
        for band in bands
        if flags[band] == {MaskFlags.nodata} and dataset.nodatavals[band - 1] is None
    ]
    return shared[:1] + own + unknown


def _declared(dataset: DatasetReader, band: int) -> float | None:
    """Return the nodata value of a band.

    None where the dataset's NODATA_VALUES stand for it, of which all bands hold theirs where there
    is no data: GDAL's mask says where.
    """
    flags = dataset.mask_flag_enums[band - 1]
    if MaskFlags.per_dataset in flags and MaskFlags.nodata in flags:
        return None
    value: float | None = dataset.nodatavals[band - 1]
    return value


def _dataless(values: Values, dtype: str, nodata: Sequence[float | None]) -> Mask | None:
    """Return where a band holds no data; None where its type holds none of the nodata values.

    Args:
        values: (rows, columns), in a type that holds those of the band.
        dtype: of the band in its file.
        nodata: its nodata values.
    """
    known = [value for value in nodata if value is not None]
    found: list[Mask]
    if np.issubdtype(dtype, np.floating):
        found = [~np.isfinite(values)]
        found += [_around(values, value, dtype) for value in known if np.isfinite(value)]
    else:
        fitting = {int(value) for value in known if can_hold(dtype, value)}
        found = [np.equal(values, value) for value in fitting]
    return reduce(np.logical_or, found) if found else None


def can_hold(dtype: str, value: float) -> bool:
    """Tell whether a type holds a value: -9999 is not among those of uint16.

    >>> can_hold("uint16", -9999), can_hold("int16", -9999), can_hold("uint8", 0.5)
    (False, True, False)
    """
    if np.issubdtype(dtype, np.floating):
        return bool(abs(value) <= np.finfo(dtype).max) or not np.isfinite(value)
    limits = np.iinfo(dtype)
    return bool(np.isfinite(value)) and value == int(value) and limits.min <= value <= limits.max


def _around(values: Values, nodata: float, dtype: str) -> Mask:
    """Return where values of a floating type are nodata, give or take its rounding."""
    limits = np.finfo(dtype)
    margin = 0.0 if limits.bits > 32 else abs(nodata) * ROUNDED
    low = max(nodata - margin, float(limits.min))
    high = min(nodata + margin, float(limits.max))
    return np.greater_equal(values, low) & np.less_equal(values, high)
