"""The one way pixels are read, for training and for prediction alike."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window


def read_pixels(
    dataset: DatasetReader, bands: Sequence[int], window: Window
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Read bands of a window and tell which of its pixels are valid.

    A pixel is valid where the dataset's own mask (mask band, nodata) says in *every* band read
    that it holds data, where its alpha band, if there is one, is not 0, and, in data of a
    floating type, where no band is NaN or infinite.

    Args:
        dataset: an open image.
        bands: the numbers of the bands, counted from 1.
        window: the part to read, in pixels, inside the dataset.

    Returns:
        The values, (bands, rows, columns) in the dataset's dtype, and the mask, (rows, columns),
        True where the pixel is valid.

    Raises:
        RasterioIOError: if the image cannot be read.
    """
    alpha = _alpha(dataset, bands)
    # One call, because a file with its bands interleaved is then decoded once.
    read = dataset.read([*bands, *alpha], window=window)
    values, opaque = read[: len(bands)], read[len(bands) :]
    valid: NDArray[np.bool_] = (opaque != 0).all(axis=0)
    for band in _masked(dataset, bands):
        valid &= dataset.read_masks(band, window=window) != 0
    if np.issubdtype(values.dtype, np.floating):
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def _alpha(dataset: DatasetReader, bands: Sequence[int]) -> list[int]:
    """Return the number of the alpha band, in a list, which is empty where there is none.

    It is read as such because a file of five bands does not offer it as the other bands' mask. A
    band that the model reads is no alpha band, whatever the file says: GDAL marks the fourth of
    four 8-bit bands so, unasked.
    """
    return [
        number
        for number, interp in enumerate(dataset.colorinterp, start=1)
        if interp == ColorInterp.alpha and number not in bands
    ]


def _masked(dataset: DatasetReader, bands: Sequence[int]) -> list[int]:
    """Return the bands whose masks count: one where they share it, each that has its own nodata."""
    flags = {band: dataset.mask_flag_enums[band - 1] for band in bands}
    shared = [
        band
        for band in bands
        if MaskFlags.per_dataset in flags[band] and MaskFlags.alpha not in flags[band]
    ]
    return shared[:1] + [band for band in bands if MaskFlags.nodata in flags[band]]
