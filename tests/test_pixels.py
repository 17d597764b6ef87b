"""The valid pixel: one definition, for every way in which a file says that it holds no data."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window
from upath import UPath

from landcover.imagery.images import open_image
from landcover.imagery.pixels import Pixels, read_pixels
from tests.conftest import REAL
from tests.rasters import ORIGIN, mosaic_of, moved, random_values, write_raster

Values = NDArray[np.generic]
Mask = NDArray[np.bool_]

SIDE = 16
LANDSAT = REAL / "chiapas_landsat" / "LE70220491999322EDC01_stack.gtif"


def read_whole(path: Path, bands: list[int]) -> tuple[Values, Mask]:
    values, valid, _ = pixels_of(path, bands)
    return values, valid


def pixels_of(path: Path, bands: list[int], nodata: float | None = None) -> Pixels:
    with open_image(UPath(path)) as dataset:
        whole = Window(0, 0, dataset.width, dataset.height)
        return read_pixels(dataset, bands, whole, nodata=nodata)


def dataless(values: Values, nodata: float | None) -> Mask:
    """Tell where any band holds no data, pixel by pixel, by what the format's fields mean."""
    nothing = np.zeros(values.shape[1:], dtype=bool)
    for band in values.astype(float):
        nothing |= ~np.isfinite(band)
        if nodata is not None:
            nothing |= band == nodata
    return nothing


def test_every_pixel_is_valid_where_a_file_says_nothing_of_nodata(tmp_path: Path) -> None:
    values = random_values((4, SIDE, SIDE))
    values[:, 3, 5] = 0
    found, valid = read_whole(write_raster(tmp_path / "a.tif", values), [1, 2, 3, 4])
    np.testing.assert_array_equal(found, values)
    assert valid.all()


def test_scale_and_offset_of_a_file_change_no_value(tmp_path: Path) -> None:
    values = random_values((2, SIDE, SIDE))
    path = write_raster(tmp_path / "a.tif", values)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [0.0001] * 2, [-0.1] * 2
    found, _ = read_whole(path, [1, 2])
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 0), ("uint16", 0), ("uint16", 65535), ("int16", -9999), ("float32", -9999.0)],
)
def test_nodata_in_any_band_makes_a_pixel_invalid(
    tmp_path: Path, dtype: str, nodata: float
) -> None:
    values = random_values((4, SIDE, SIDE)).clip(1, 200).astype(dtype)
    values[0, 1, 2] = values[3, 5, 6] = nodata
    values[:, 9, 9] = nodata
    path = write_raster(tmp_path / "a.tif", values, nodata=nodata)
    _, valid = read_whole(path, [1, 2, 3, 4])
    assert set(zip(*np.nonzero(~valid), strict=True)) == {(1, 2), (5, 6), (9, 9)}


def test_nodata_in_a_band_that_is_not_read_does_not_count(tmp_path: Path) -> None:
    values = random_values((4, SIDE, SIDE))
    values[0, 1, 2] = values[3, 5, 6] = 0
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    _, valid = read_whole(path, [2, 4])
    assert set(zip(*np.nonzero(~valid), strict=True)) == {(5, 6)}


def test_bands_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    values = random_values((4, SIDE, SIDE))
    found, _ = read_whole(write_raster(tmp_path / "a.tif", values), [4, 1])
    np.testing.assert_array_equal(found, values[[3, 0]])


def test_values_keep_the_type_of_the_file(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((2, SIDE, SIDE), dtype="int16"))
    assert read_whole(path, [1, 2])[0].dtype == np.int16


def test_a_window_has_the_pixels_and_the_mask_of_its_place(tmp_path: Path) -> None:
    values = random_values((2, 40, 30))
    values[1, 20:22, 11] = 0
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    with rasterio.open(path) as dataset:
        found, valid, _ = read_pixels(dataset, [1, 2], Window(10, 18, 7, 9))
    np.testing.assert_array_equal(found, values[:, 18:27, 10:17])
    np.testing.assert_array_equal(valid, values[1, 18:27, 10:17] != 0)


def test_a_pixel_is_invalid_where_alpha_is_0_and_valid_where_it_is_faint(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", random_values((4, SIDE, SIDE)), alpha=np.ones((SIDE, SIDE), bool)
    )
    with rasterio.open(path, "r+") as dataset:
        alpha = dataset.read(5)
        alpha[2], alpha[3] = 0, 1
        dataset.write(alpha, 5)
    _, valid = read_whole(path, [1, 2, 3, 4])
    assert not valid[2].any()
    assert np.delete(valid, 2, axis=0).all()


def test_both_alpha_and_nodata_count(tmp_path: Path) -> None:
    values = random_values((2, SIDE, SIDE))
    values[1, 4] = 0
    alpha = np.ones((SIDE, SIDE), bool)
    alpha[7] = False
    _, valid = read_whole(write_raster(tmp_path / "a.tif", values, alpha=alpha, nodata=0), [1, 2])
    assert np.nonzero(~valid.all(axis=1))[0].tolist() == [4, 7]


def test_a_mask_band_counts(tmp_path: Path) -> None:
    mask = random_values((SIDE, SIDE)) % 3 > 0
    path = write_raster(tmp_path / "a.tif", random_values((4, SIDE, SIDE)), mask=mask)
    np.testing.assert_array_equal(read_whole(path, [1, 3])[1], mask)


def test_a_mask_in_a_file_beside_counts(tmp_path: Path) -> None:
    mask = random_values((SIDE, SIDE)) % 3 > 0
    path = write_raster(tmp_path / "a.tif", random_values((4, SIDE, SIDE)))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists()
    np.testing.assert_array_equal(read_whole(path, [1, 3])[1], mask)


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_in_any_band_is_invalid(tmp_path: Path, nothing: float) -> None:
    values = random_values((3, SIDE, SIDE), dtype="float32")
    values[2, 5, 1] = nothing
    values[0, 5, 2] = nothing
    path = write_raster(tmp_path / "a.tif", values)
    _, valid = read_whole(path, [1, 2, 3])
    assert set(zip(*np.nonzero(~valid), strict=True)) == {(5, 1), (5, 2)}
    assert read_whole(path, [2])[1].all()


def test_nan_as_nodata_makes_a_pixel_invalid(tmp_path: Path) -> None:
    values = random_values((2, SIDE, SIDE), dtype="float64")
    values[1, 8] = np.nan
    _, valid = read_whole(write_raster(tmp_path / "a.tif", values, nodata=np.nan), [1, 2])
    assert np.nonzero(~valid.all(axis=1))[0].tolist() == [8]


def test_a_real_scene_without_a_nodata_pixel_is_valid_throughout() -> None:
    values, valid = read_whole(LANDSAT, [1, 2, 3, 4, 5, 6, 7])
    with rasterio.open(LANDSAT) as dataset:
        assert dataset.nodata == -9999
        np.testing.assert_array_equal(values, dataset.read([1, 2, 3, 4, 5, 6, 7]))
    assert valid.all()


def test_gaps_put_into_a_real_scene_are_found_in_whatever_band_they_are(tmp_path: Path) -> None:
    path = Path(shutil.copy(LANDSAT, tmp_path))
    rows, columns = np.indices((250, 250))
    gaps = {band: (rows + band * columns) % 23 == 0 for band in (1, 4, 7)}
    with rasterio.open(path, "r+") as dataset:
        for band, gap in gaps.items():
            dataset.write(np.where(gap, -9999, dataset.read(band)), band)
    for bands in ([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4], [7, 4], [2, 5]):
        expected = ~np.any([gaps[band] for band in bands if band in gaps] or [rows < 0], axis=0)
        np.testing.assert_array_equal(read_whole(path, bands)[1], expected)


# --- any file -------------------------------------------------------------------------------------

KINDS = st.sampled_from(
    ["plain", "nodata", "alpha", "mask", "alpha and nodata", "alpha and mask", "float", "nan"]
)


@st.composite
def rasters(draw: st.DrawFn) -> dict[str, object]:
    """Draw a small raster's values and what it says of them: see `write_raster`."""
    kind = draw(KINDS)
    floating = kind in ("float", "nan")
    dtype = "float32" if floating else draw(st.sampled_from(["uint16", "int16"]))
    few = [0, 7, 9, 4000] + ([np.nan, np.inf, -np.inf, -9999.0] if floating else [])
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    masks = arrays(bool, shape[1:])
    return {
        "values": draw(arrays(dtype, shape, elements=st.sampled_from(few))),
        "nodata": {"nodata": 0, "alpha and nodata": 7, "float": -9999.0, "nan": np.nan}.get(kind),
        "alpha": draw(masks) if "alpha" in kind else None,
        "mask": draw(masks) if "mask" in kind else None,
    }


def valid_by_definition(raster: dict[str, object], bands: list[int]) -> Mask:
    values = np.asarray(raster["values"])[[band - 1 for band in bands]]
    valid = ~dataless(values, raster["nodata"])
    for mask in (raster["alpha"], raster["mask"]):
        valid &= mask if mask is not None else True
    return valid


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as path:
        yield Path(path)


@settings(max_examples=150, deadline=None)
@given(raster=rasters(), data=st.data())
def test_valid_pixels_of_any_file_are_those_of_the_definition(
    folder: Path, raster: dict[str, object], data: st.DataObject
) -> None:
    path = write_raster(folder / "a.tif", **raster, block=16)
    count = len(raster["values"])
    bands = data.draw(st.lists(st.integers(1, count), min_size=1, unique=True))
    values, valid = read_whole(path, bands)
    np.testing.assert_array_equal(valid, valid_by_definition(raster, bands))
    chosen = np.asarray(raster["values"])[[band - 1 for band in bands]]
    np.testing.assert_array_equal(values[:, valid], chosen[:, valid])


@settings(max_examples=50, deadline=None)
@given(
    raster=rasters(),
    places=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=2),
    data=st.data(),
)
def test_valid_pixels_of_any_mosaic_are_those_of_its_quads_and_none_between_them(
    folder: Path, raster: dict[str, object], places: set[tuple[int, int]], data: st.DataObject
) -> None:
    count, height, width = np.asarray(raster["values"]).shape
    west, north = (min(axis) for axis in zip(*places, strict=True))
    columns, rows = (max(axis) + 1 for axis in zip(*places, strict=True))
    expected = np.zeros((rows * height, columns * width), dtype=bool)
    values = np.zeros((count, *expected.shape), dtype=np.asarray(raster["values"]).dtype)
    quads = []
    for number, (column, row) in enumerate(sorted(places)):
        # The same pixels in another order in every quad.
        quad = {
            name: np.roll(part, number, axis=-1) if isinstance(part, np.ndarray) else part
            for name, part in raster.items()
        }
        place = moved(column * width, row * height)
        path = folder / f"{column}-{row}.tif"
        quads.append(write_raster(path, **quad, transform=place, block=16))
        at = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
        expected[at] = valid_by_definition(quad, list(range(1, count + 1)))
        values[:, *at] = quad["values"]
    expected = expected[north * height :, west * width :]
    values = values[:, north * height :, west * width :]
    mosaic = mosaic_of(quads, folder, {f"b{band}": band for band in range(1, count + 1)})
    with mosaic.open() as reader:
        assert (mosaic.grid.height, mosaic.grid.width) == expected.shape
        top, left = (data.draw(st.integers(0, size - 1)) for size in expected.shape)
        part = Window(left, top, mosaic.grid.width - left, mosaic.grid.height - top)
        found, valid, _ = reader.read(list(mosaic.bands.values()), part)
    np.testing.assert_array_equal(valid, expected[top:, left:])
    np.testing.assert_array_equal(found[:, valid], values[:, top:, left:][:, valid])


# --- a mosaic whose files cannot be read any more -------------------------------------------------


def remove(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_bytes(b"no image" * 100)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shrink(path: Path) -> None:
    write_raster(path, random_values((4, SIDE // 2, SIDE)), transform=moved(SIDE, 0))


@pytest.mark.parametrize("break_", [remove, garble, cut_short, shrink])
@pytest.mark.parametrize("opened_before", [True, False])
def test_a_quad_that_cannot_be_read_is_an_error_and_no_hole(
    tmp_path: Path, break_: Callable[[Path], object], opened_before: bool
) -> None:
    quads = [
        write_raster(
            tmp_path / f"{number}.tif",
            random_values((4, SIDE, SIDE), seed=number),
            transform=moved(number * SIDE, 0),
        )
        for number in range(3)
    ]
    mosaic = mosaic_of(quads, tmp_path)
    if not opened_before:
        break_(quads[1])
    with mosaic.open() as reader:
        if opened_before:
            break_(quads[1])
        with pytest.raises(rasterio.errors.RasterioIOError):
            reader.read([1, 2, 3, 4], Window(0, 0, 3 * SIDE, SIDE))
        # The rest of the mosaic can be read nevertheless.
        for number in (0, 2):
            _, valid, _ = reader.read([1], Window(number * SIDE, 0, SIDE, SIDE))
            assert valid.all()


@pytest.mark.parametrize("kept_in", ["alpha", "mask", "nodata"])
def test_at_a_smaller_size_values_are_resampled_and_validity_is_that_of_the_nearest_pixel(
    tmp_path: Path, kept_in: str
) -> None:
    values = random_values((3, SIDE, SIDE)).clip(1)
    valid = np.ones((SIDE, SIDE), dtype=bool)
    valid[: SIDE // 2, : SIDE // 2] = False
    if kept_in == "nodata":
        path = write_raster(tmp_path / "a.tif", np.where(valid, values, 0), nodata=0)
    else:
        path = write_raster(tmp_path / "a.tif", values, **{kept_in: valid})
    window = Window(0, 4, SIDE, 8)
    with rasterio.open(path) as dataset:
        found, good, _ = read_pixels(dataset, [3, 1], window, (4, 8), Resampling.average)
    assert found.shape == (2, 4, 8)
    np.testing.assert_array_equal(good, valid[4:12:2, ::2])
    means = values[[2, 0], 4:12].reshape(2, 4, 2, 8, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(found[:, good], means[:, good], atol=0.51)


# --- what GDAL does not say, or says otherwise ----------------------------------------------------


@pytest.mark.parametrize("internal", [True, False])
def test_both_a_mask_and_nodata_count(tmp_path: Path, internal: bool) -> None:
    values = random_values((4, SIDE, SIDE))
    values[2, 4] = 0
    values[:, 5] = 0
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    mask = np.ones((SIDE, SIDE), bool)
    mask[5:8] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    _, valid, partial = pixels_of(path, [1, 2, 3, 4])
    assert np.nonzero(~valid.all(axis=1))[0].tolist() == [4, 5, 6, 7]
    assert np.nonzero(partial.any(axis=1))[0].tolist() == [4]
    assert read_whole(path, [1, 4])[1][4].all()


@pytest.mark.parametrize("hidden", ["alpha", "mask"])
def test_what_a_mask_hides_is_not_partial(tmp_path: Path, hidden: str) -> None:
    values = random_values((3, SIDE, SIDE))
    values[1, 2:6] = 0
    shown = np.ones((SIDE, SIDE), bool)
    shown[:4] = False
    path = write_raster(tmp_path / "a.tif", values, nodata=0, **{hidden: shown})
    partial = pixels_of(path, [1, 2, 3]).partial
    assert np.nonzero(partial.any(axis=1))[0].tolist() == [4, 5]


def test_nodata_in_all_bands_or_in_none_is_not_partial(tmp_path: Path) -> None:
    values = random_values((3, SIDE, SIDE), dtype="float32")
    values[:, 3] = -9999
    values[0, 4] = -9999
    values[1, 5] = np.nan
    path = write_raster(tmp_path / "a.tif", values, nodata=-9999)
    assert np.nonzero(pixels_of(path, [1, 2, 3]).partial.any(axis=1))[0].tolist() == [4, 5]
    assert not pixels_of(path, [1]).partial.any()


def test_a_value_that_is_given_counts_beside_what_the_file_says(tmp_path: Path) -> None:
    values = random_values((2, SIDE, SIDE))
    values[:, 3] = 65535
    values[0, 4] = 0
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    _, valid, partial = pixels_of(path, [1, 2], nodata=65535)
    assert np.nonzero(~valid.all(axis=1))[0].tolist() == [3, 4]
    assert np.nonzero(partial.any(axis=1))[0].tolist() == [4]
    assert pixels_of(path, [1, 2], nodata=-1).valid[3].all()


@pytest.mark.parametrize(
    "written", ["-3.40282346638529e+38", "-3.4028235e+38", "-3.40282346639e+38"]
)
def test_nodata_that_was_written_as_rounded_text_is_nodata(tmp_path: Path, written: str) -> None:
    values = random_values((1, SIDE, SIDE), dtype="float32")
    values[0, 3] = np.finfo("float32").min
    write_raster(tmp_path / "a.tif", values)
    path = write_vrt(tmp_path / "a.vrt", ["Float32"], nodata=written)
    assert np.nonzero(~read_whole(path, [1])[1].all(axis=1))[0].tolist() == [3]


def write_vrt(
    path: Path,
    types: list[str],
    nodata: str | None = None,
    interps: dict[int, str] | None = None,
    more: str = "",
    of_band: str = "",
    source: str = "a.tif",
) -> Path:
    """Write a VRT of a file's bands, as GDAL's tools write them."""
    side = f'xOff="0" yOff="0" xSize="{SIDE}" ySize="{SIDE}"'
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}">'
        + (f"<NoDataValue>{nodata}</NoDataValue>" if nodata else "")
        + f"<ColorInterp>{(interps or {}).get(band, 'Undefined')}</ColorInterp><SimpleSource>"
        f'<SourceFilename relativeToVRT="1">{source}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand><SrcRect {side}/><DstRect {side}/></SimpleSource>"
        f"{of_band.format(band=band)}</VRTRasterBand>"
        for band, kind in enumerate(types, start=1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>EPSG:3857</SRS>'
        f"<GeoTransform>{','.join(map(repr, ORIGIN.to_gdal()))}</GeoTransform>{more}{bands}"
        "</VRTDataset>"
    )
    return path


ALPHA_OF_BYTES = {"types": ["UInt16"] * 4 + ["Byte"], "interps": {5: "Alpha"}}


def test_a_vrt_of_unlike_types_is_read_as_what_it_is(tmp_path: Path) -> None:
    values = random_values((4, SIDE, SIDE))
    alpha = np.ones((SIDE, SIDE), bool)
    alpha[7] = False
    path = write_raster(tmp_path / "a.tif", values, alpha=alpha)
    inner = write_vrt(tmp_path / "inner.vrt", **ALPHA_OF_BYTES)
    outer = write_vrt(tmp_path / "outer.vrt", ["UInt16"] * 4, source="inner.vrt")
    for file in (path, inner):
        found, valid = read_whole(file, [1, 2, 3, 4])
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(valid, alpha)
    np.testing.assert_array_equal(read_whole(outer, [4, 1])[0], values[[3, 0]])


def test_bands_of_unlike_types_have_the_type_that_holds_both(tmp_path: Path) -> None:
    values = random_values((3, SIDE, SIDE), dtype="float32")
    values[2] -= 0.25
    values[2, 6] = -32768
    values[0, 3] = 65535
    write_raster(tmp_path / "a.tif", values)
    path = write_vrt(tmp_path / "a.vrt", ["UInt16", "UInt16", "Float32"], nodata="-32768")
    found, valid, _ = pixels_of(path, [1, 3, 2])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values[[0, 2, 1]])
    assert np.nonzero(~valid.all(axis=1))[0].tolist() == [6]


def test_bands_of_a_vrt_may_have_masks_of_their_own(tmp_path: Path) -> None:
    values = random_values((3, SIDE, SIDE))
    values[2, 2:4] = 0
    write_raster(tmp_path / "a.tif", values)
    mask = (
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename relativeToVRT="1">'
        "a.tif</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        "</MaskBand>"
    )
    for types in (["UInt16"] * 3, ["UInt16", "UInt16", "Float32"]):
        path = write_vrt(tmp_path / "a.vrt", types, of_band=mask)
        assert np.nonzero(~read_whole(path, [1, 3])[1].all(axis=1))[0].tolist() == [2, 3]
        assert read_whole(path, [1, 2])[1].all()


def test_nodata_values_of_a_dataset_count_where_all_bands_hold_theirs(tmp_path: Path) -> None:
    values = random_values((3, SIDE, SIDE)).clip(1)
    values[:, 2] = 0
    values[1, 3] = 0
    write_raster(tmp_path / "a.tif", values)
    more = '<Metadata><MDI key="NODATA_VALUES">0 0 0</MDI></Metadata>'
    path = write_vrt(tmp_path / "a.vrt", ["UInt16"] * 3, more=more)
    _, valid, partial = pixels_of(path, [1, 2, 3])
    assert np.nonzero(~valid.all(axis=1))[0].tolist() == [2]
    assert not partial.any()


@pytest.mark.parametrize("setting", ["TRUE", "EMPTY_DIR"])
def test_a_mask_beside_counts_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    mask = random_values((SIDE, SIDE)) % 3 > 0
    path = write_raster(tmp_path / "a.tif", random_values((4, SIDE, SIDE)))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN=setting, GDAL_PAM_ENABLED="NO"):
        np.testing.assert_array_equal(read_whole(path, [1, 3])[1], mask)


def test_a_damaged_block_is_an_error_whatever_the_environment_says(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((4, 256, 256)))
    mosaic = mosaic_of([path], tmp_path)
    cut_short(path)
    with (
        rasterio.Env(GTIFF_IGNORE_READ_ERRORS="YES"),
        mosaic.open() as reader,
        pytest.raises(rasterio.errors.RasterioIOError),
    ):
        reader.read([1, 2, 3, 4], mosaic.grid.whole)
