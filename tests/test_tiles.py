"""The GeoTIFFs that we compress ourselves: GDAL reads from them what was written."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

from landcover.change.record import record_layers
from landcover.grid import Grid
from landcover.maps.layers import Layer, prediction_layers
from landcover.maps.pieces import write_piece
from landcover.maps.tiff import read_places
from landcover.maps.tiles import compress, compress_tiles, decompress
from landcover.period import Period
from tests.rasters import NUMBERS, ORIGIN, class_layer

JUNE = Period(2025, 6)
LAYERS = [*prediction_layers(JUNE, {0: "Forest"}), *record_layers(JUNE)]
WIDE = Layer("wide", "wide_202506.tif", None, "mean", "int32", -7)


def grid_of(height: int, width: int) -> Grid:
    return Grid(rasterio.CRS.from_epsg(3857).to_wkt(), ORIGIN, width, height)


def patches(layer: Layer, height: int, width: int) -> NDArray[np.integer]:
    """Return patches of the least and the largest values, and of nodata, with single pixels."""
    random = np.random.default_rng(5)
    limits = np.iinfo(layer.dtype)
    bands = max(len(layer.bands), 1)
    some = [limits.min, 1, 2, limits.max, layer.nodata]
    coarse = random.choice(some, (bands, height // 40 + 1, width // 40 + 1))
    values = coarse.repeat(40, axis=1).repeat(40, axis=2)[:, :height, :width]
    noisy = random.random(values.shape) < 0.1
    values[noisy] = random.choice(some, int(noisy.sum()))
    shape = (bands, height, width) if layer.bands else (height, width)
    return values.astype(layer.dtype).reshape(shape)


def read(path: Path, level: int | None = None) -> tuple[NDArray[np.integer], Sequence[int]]:
    """Return what GDAL reads, (bands, rows, columns), and its own checksums."""
    with rasterio.open(path, overview_level=level) as dataset:
        return dataset.read(), [dataset.checksum(band) for band in dataset.indexes]


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (513, 700), (1200, 31)])
@pytest.mark.parametrize("layer", [*LAYERS, WIDE], ids=lambda layer: layer.key)
def test_gdal_reads_a_layer_and_its_overviews_as_they_were_written(
    tmp_path: Path, layer: Layer, shape: tuple[int, int]
) -> None:
    values, ours, gdals = patches(layer, *shape), tmp_path / "ours.tif", tmp_path / "gdals.tif"
    write_piece(layer, values, grid_of(*shape), [2, 4], ours)
    halved = values
    for level in (None, 0, 1):
        shown = layer.shown(halved).reshape(-1, *halved.shape[-2:])
        with rasterio.open(ours) as dataset:
            profile = dataset.profile | {"height": shown.shape[1], "width": shown.shape[2]}
        with rasterio.open(gdals, "w", **profile) as dataset:
            dataset.write(shown)
        found, checksums = read(ours, level)
        np.testing.assert_array_equal(found, shown)
        assert checksums == read(gdals)[1]
        halved = layer.halve(halved)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.key)
def test_a_layer_is_stored_in_deflate_by_pixel_with_its_nodata(
    tmp_path: Path, layer: Layer
) -> None:
    path = tmp_path / "piece.tif"
    write_piece(layer, patches(layer, 600, 600), grid_of(600, 600), [], path)
    with rasterio.open(path) as dataset:
        assert dataset.compression.name == "deflate"
        assert (dataset.nodata, set(dataset.dtypes)) == (layer.nodata, {layer.dtype})
        assert dataset.block_shapes[0] == (512, 512)
        assert dataset.profile["interleave"] == ("pixel" if layer.bands else "band")


@pytest.mark.parametrize("layer", [*LAYERS, NUMBERS.totals, WIDE.totals], ids=lambda of: of.dtype)
def test_a_tile_holds_its_values_and_nodata_beyond_the_edge(layer: Layer) -> None:
    values = patches(layer, 100, 300)
    whole = layer.empty(512, 512)
    whole[..., :100, :300] = values
    tile = compress(values, layer)
    np.testing.assert_array_equal(decompress(tile, layer), whole)
    assert tile == compress(whole, layer)
    # Any other program's DEFLATE does: its checksum too is that of the format.
    assert len(zlib.decompress(tile)) == whole.nbytes


def test_tiles_without_data_are_left_out_and_read_as_nodata(tmp_path: Path) -> None:
    layer, path = replace(class_layer(), nodata=3), tmp_path / "piece.tif"
    values = np.full((600, 1100), 3, np.uint8)
    values[599, 520] = 0
    assert list(compress_tiles(values, layer)) == [(1, 1)]
    write_piece(layer, values, grid_of(600, 1100), [2], path)
    assert [list(places) for places in read_places(path)] == [[(1, 1)], [(0, 0)]]
    np.testing.assert_array_equal(read(path)[0][0], values)


def test_a_file_that_is_cut_in_its_directories_is_named(tmp_path: Path) -> None:
    path = tmp_path / "piece.tif"
    write_piece(class_layer(), np.zeros((600, 600), np.uint8), grid_of(600, 600), [2], path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(RasterioIOError, match=r"piece\.tif ends too early"):
        read_places(path)
