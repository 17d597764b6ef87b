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
        dataset: an open mosaic.
        bands: the numbers of the bands, counted from 1.
        window: the part to read, in pixels, inside the dataset.

    Returns:
        The values, (bands, rows, columns) in the dataset's dtype, and the mask, (rows, columns),
        True where the pixel is valid.
    """
    values = dataset.read(list(bands), window=window)
    valid = np.ones(values.shape[1:], dtype=bool)
    for mask in _masks(dataset, bands, window):
        valid &= mask != 0
    if np.issubdtype(values.dtype, np.floating):
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def _masks(
    dataset: DatasetReader, bands: Sequence[int], window: Window
) -> list[NDArray[np.generic]]:
    """Read each mask that counts, once.

    The alpha band is read as such because a mosaic of quads (GDAL's GTI driver) does not offer
    it as the other bands' mask.
    """
    masks = []
    alpha = [
        number
        for number, interp in enumerate(dataset.colorinterp, start=1)
        if interp == ColorInterp.alpha
    ]
    if alpha:
        masks.append(dataset.read(alpha[0], window=window))
    flags = {band: dataset.mask_flag_enums[band - 1] for band in bands}
    shared = [band for band in bands if MaskFlags.per_dataset in flags[band]]
    if shared and MaskFlags.alpha not in flags[shared[0]]:
        masks.append(dataset.read_masks(shared[0], window=window))
    own = [band for band in bands if MaskFlags.nodata in flags[band]]
    masks.extend(dataset.read_masks(band, window=window) for band in own)
    return masks
