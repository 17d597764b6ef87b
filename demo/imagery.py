"""Image files as the mosaic that the pipeline makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from upath import UPath

from landcover.mosaic import Mosaic, describe_mosaic
from landcover.quads import find_quads, read_quad, write_index


def mosaic_of(files: Sequence[Path], bands: Mapping[str, int], index: Path) -> Mosaic:
    """Make a mosaic of image files.

    Args:
        files: on one grid.
        bands: names and numbers of the bands that the model reads.
        index: the parquet file to write of their headers.
    """
    images = [image for file in files for image in find_quads(str(file), str(file))]
    quads = [read_quad(image) for image in images]
    mosaic = describe_mosaic(quads, str(files[0].parent), bands, UPath(index))
    write_index(quads, index)
    return mosaic
