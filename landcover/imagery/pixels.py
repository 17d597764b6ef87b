"""The one way that pixels are read: for training, for prediction and for pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window


def read_pixels(
    dataset: DatasetReader,
    bands: Sequence[int],
    window: Window,
    out_shape: tuple[int, int] | None = None,
    resampling: Resampling = Resampling.nearest,
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Read bands of a window, and which of its pixels are valid.

    A pixel is valid where the dataset's own mask (mask band, nodata) says in *every* band read
    that it holds data, where its alpha band, if there is one, is not 0, and, in data of a
    floating type, where no band is NaN or infinite.

    Args:
        dataset: an open image.
        bands: the numbers of the bands, counted from 1.
        window: the part to read, in pixels, inside the dataset.
        out_shape: rows and columns to read it as, from overviews if there are any; None for as many
            as it has.
        resampling: of the values; masks and the alpha band are those of the nearest pixel.

    Returns:
        The values, (bands, rows, columns) in the dataset's dtype, and the mask, (rows, columns),
        True where the pixel is valid.

    Raises:
        RasterioIOError: if the image cannot be read.
    """
    alpha = _alpha(dataset, bands)
    if out_shape is None:
        # One call, because a file with its bands interleaved is then decoded once.
        read = dataset.read([*bands, *alpha], window=window)
        values, opaque = read[: len(bands)], read[len(bands) :]
    else:
        shape = len(bands), *out_shape
        values = dataset.read(list(bands), window=window, out_shape=shape, resampling=resampling)
        layers = [dataset.read(number, window=window, out_shape=out_shape) for number in alpha]
        opaque = np.reshape(layers, (len(alpha), *out_shape))
    valid: NDArray[np.bool_] = (opaque != 0).all(axis=0)
    for band in _masked(dataset, bands):
        valid &= dataset.read_masks(band, window=window, out_shape=out_shape) != 0
    if np.issubdtype(values.dtype, np.floating):
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def _alpha(dataset: DatasetReader, bands: Sequence[int]) -> list[int]:
    """Return the number of the alpha band, in a list, which is empty where there is none.

    It is read like a band because a file of five bands does not offer it as the other bands' mask.
    A band that the model reads is not an alpha band, whatever the file says: GDAL marks the fourth
    of four 8-bit bands as alpha by default.
    """
    return [
        number
        for number, interp in enumerate(dataset.colorinterp, start=1)
        if interp == ColorInterp.alpha and number not in bands
    ]


def _masked(dataset: DatasetReader, bands: Sequence[int]) -> list[int]:
    """Return the bands whose masks count: one of those that share a mask, all that have nodata."""
    flags = {band: dataset.mask_flag_enums[band - 1] for band in bands}
    shared = [
        band
        for band in bands
        if MaskFlags.per_dataset in flags[band] and MaskFlags.alpha not in flags[band]
    ]
    return shared[:1] + [band for band in bands if MaskFlags.nodata in flags[band]]
