"""Bands in several files a place, and bands that do not change."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window
from upath import UPath

from demo.world import World
from flows import monthly
from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.imagery.alignment import join_files
from landcover.imagery.bands import (
    FileBand,
    by_file,
    check_endings,
    parse_bands,
    parse_static_bands,
    sort_files,
)
from landcover.imagery.coverage import Coverage, advise_on_gaps, describe_gaps, find_gaps, is_empty
from landcover.imagery.doubts import Inspection
from landcover.imagery.mosaic import (
    Mosaic,
    MosaicReader,
    Nodata,
    Raster,
    check_unchanged,
    describe_mosaic,
)
from landcover.imagery.pixels import Pixels
from landcover.imagery.quads import ImageFile, Quad, find_quads, read_header, write_index
from landcover.imagery.radiometry import compare_imagery, draw_pixels, lone_value
from landcover.imagery.thumbnails import Thumbnail
from landcover.maps.lookup import fastest
from landcover.maps.prediction import predict_window
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.report.cartography import frame_around
from landcover.report.true_colour import true_colour
from tests.rasters import ORIGIN, RESOLUTION, moved, pixel_box, random_values, write_raster

SIDE = 64
FOUR = {"blue": 1, "green": 2, "red": 3, "nir": 4}
NUMBERED = "blue=1,green=2,red=3,nir=4"
FILES = "blue=B02.tif,green=B03.tif:1,red=B04.tif,nir=B08.tif:1"
ENDINGS = ("B02.tif", "B03.tif", "B04.tif", "B08.tif")

# --- settings -------------------------------------------------------------------------------------


def test_bands_of_files_are_read_with_their_files() -> None:
    assert parse_bands("blue = B02.tif , red=_B04_10m.jp2:1,nir=all.tif:4") == {
        "blue": FileBand("B02.tif"),
        "red": FileBand("_B04_10m.jp2", 1),
        "nir": FileBand("all.tif", 4),
    }
    assert str(FileBand("B04.tif")) == "B04.tif:1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("blue=B02.tif,green=2", "by number alone and others by file: name a file for each"),
        ("blue=B02.tif,green=B02.tif:1", "not a list of distinct"),
        ("blue=B02.tif:0", "not a list of distinct"),
        ("blue=:1", "not a list of distinct"),
        ("blue=B02:1", "not a list of distinct"),
    ],
)
def test_files_that_make_no_sense_are_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_bands(text)


def test_static_bands_have_paths() -> None:
    assert parse_static_bands("elevation=/data/dem.tif,slope=s3://maps/dem/*.tif:2") == {
        "elevation": FileBand("/data/dem.tif"),
        "slope": FileBand("s3://maps/dem/*.tif", 2),
    }
    with pytest.raises(ValueError, match="names bands without a file"):
        parse_static_bands("elevation=1")


def test_a_file_counts_for_the_longest_of_the_endings_that_it_has() -> None:
    names = ["S_B2.tif", "S_AB2.tif", "S_B3.tif", "B2.tif"]
    found, others = sort_files([ImageFile(f"/june/{n}", "") for n in names], ["B2.tif", "AB2.tif"])
    assert {ending: [Path(i.path).name for i in images] for ending, images in found.items()} == {
        "B2.tif": ["S_B2.tif", "B2.tif"],
        "AB2.tif": ["S_AB2.tif"],
    }
    assert [Path(image.path).name for image in others] == ["S_B3.tif"]


# --- one file a band ------------------------------------------------------------------------------


def month_of(
    folder: Path,
    bands: str = FILES,
    static: str | None = None,
    pattern: str = "*.tif",
    nodata: Nodata = None,
) -> Mosaic:
    """Return files as the mosaic that the pipeline makes of them."""
    named = parse_bands(bands)
    where = f"{folder}/{pattern}"
    found, others = sort_files(find_quads(where, "it"), by_file(named))
    check_endings(found, others, where)
    quads = join_files(
        {ending: [read_header(image) for image in images] for ending, images in found.items()}
    )
    rasters = [
        Raster(
            path, tuple(Quad((read_header(image),)) for image in find_quads(path, "it")), numbers
        )
        for path, numbers in by_file(parse_static_bands(static) if static else {}).items()
    ]
    index = folder / "index.parquet"
    mosaic = describe_mosaic(quads, where, named, UPath(index), None, nodata, rasters)
    write_index([quads, *(raster.quads for raster in rasters)], index)
    return mosaic


def write_files(
    folder: Path,
    values: NDArray[np.generic],
    transform: Affine = ORIGIN,
    name: str = "T17MPU",
    **said: object,
) -> None:
    """Write a place's bands, (bands, rows, columns), a file each."""
    for ending, band in zip(ENDINGS, values, strict=True):
        write_raster(
            folder / f"{name}_{ending}", band[np.newaxis], transform=transform, **said, block=16
        )


def read_all(mosaic: Mosaic, bands: Mapping[str, int] | None = None) -> Pixels:
    with mosaic.open() as reader:
        return reader.read(list((bands or mosaic.bands).values()), mosaic.grid.whole)


def same(ours: Pixels, theirs: Pixels) -> bool:
    return all(
        (
            np.array_equal(ours.values[:, ours.valid], theirs.values[:, theirs.valid]),
            np.array_equal(ours.valid, theirs.valid),
            np.array_equal(ours.partial, theirs.partial),
        )
    )


@trying(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), overlap=st.integers(0, SIDE), empty=st.floats(0, 0.6))
def test_one_file_a_band_is_read_as_one_file_of_all_is(
    tmp_path_factory: pytest.TempPathFactory, seed: int, overlap: int, empty: float
) -> None:
    folder = tmp_path_factory.mktemp("month")
    random = np.random.default_rng(seed)
    for number in range(2):
        values = random_values((4, SIDE, SIDE), seed + number)
        values[random.random(values.shape) < empty / 4] = 0
        values[:, random.random((SIDE, SIDE)) < empty / 2] = 0
        place = moved(number * (SIDE - overlap), number)
        write_files(folder / "files", values, place, str(number), nodata=0)
        write_raster(folder / "one" / f"{number}.tif", values, transform=place, nodata=0)
    ours, theirs = (
        month_of(folder / "files"),
        month_of(folder / "one", NUMBERED),
    )
    assert ours.grid == theirs.grid
    assert ours.files == 8
    assert same(read_all(ours), read_all(theirs))
    order = {"nir": 4, "blue": 1}
    assert same(read_all(ours, order), read_all(theirs, order))


def test_a_map_of_one_file_a_band_is_that_of_one_file_of_all(tmp_path: Path) -> None:
    values = random_values((4, 300, 300))
    values[2, 10:20] = 0
    write_files(tmp_path / "files", values, nodata=0)
    write_raster(tmp_path / "one" / "a.tif", values, nodata=0)
    codes = np.random.default_rng(0).integers(0, 3, 300)
    model = new_pipeline(ForestSettings(trees=5), jobs=1).fit(values[:, :, 0].T, codes)
    area = pixel_box(5, 5, 290, 250)
    mosaics = month_of(tmp_path / "files"), month_of(tmp_path / "one", NUMBERED)
    maps = [
        predict_window(mosaic, fastest(model), list(FOUR), area, mosaic.grid.whole)
        for mosaic in mosaics
    ]
    assert np.array_equal(maps[0], maps[1])
    assert (maps[0][0][10:20] == NODATA).all()
    frame = frame_around(area, "EPSG:3857")
    assert np.array_equal(*(true_colour(mosaic, area, frame) for mosaic in mosaics))


def test_a_file_with_more_bands_and_unlike_types_is_read_by_its_numbers(tmp_path: Path) -> None:
    dark, bright = random_values((3, SIDE, SIDE)), random_values((2, SIDE, SIDE), dtype="float32")
    write_raster(tmp_path / "x_a.tif", dark)
    write_raster(tmp_path / "x_b.tif", bright)
    mosaic = month_of(tmp_path, "red=a.tif:3,swir=b.tif:2,blue=a.tif:1")
    assert list(mosaic.bands) == ["red", "swir", "blue"]
    found = read_all(mosaic)
    assert np.array_equal(found.values, np.stack([dark[2], bright[1], dark[0]]))
    assert found.values.dtype == np.float32


def test_files_that_no_band_names_are_left_out(tmp_path: Path) -> None:
    write_files(tmp_path, random_values((4, SIDE, SIDE)))
    write_raster(tmp_path / "T17MPU_SCL.tif", random_values((1, 8, 8)), transform=moved(0.5, 0))
    mosaic = month_of(tmp_path)
    assert mosaic.files == 4
    check_unchanged(mosaic)
    write_raster(tmp_path / "T17MPU_TCI.tif", random_values((3, 8, 8)))
    check_unchanged(mosaic)
    write_raster(tmp_path / "T17MPU_B08.tif", random_values((1, SIDE, SIDE), seed=5))
    with pytest.raises(LandcoverError, match=r"was changed while .*T17MPU_B08.tif\)"):
        check_unchanged(mosaic)
    assert month_of(tmp_path).fingerprint != mosaic.fingerprint


def told_of(folder: Path, bands: str = FILES, static: str | None = None) -> str:
    with pytest.raises(LandcoverError) as caught:
        month_of(folder, bands, static)
    return str(caught.value)


def test_files_that_make_no_quad_are_told(tmp_path: Path) -> None:
    values = random_values((4, SIDE, SIDE))

    def fresh(name: str) -> Path:
        write_files(tmp_path / name, values)
        return tmp_path / name

    folder = fresh("no such ending")
    told = told_of(folder, FILES.replace("B08.tif", "B8A.tif"))
    assert "a name that ends in B8A.tif" in told
    assert "there are T17MPU_B08.tif, T17MPU_B02.tif" in told

    folder = fresh("coarser")
    wide = ORIGIN @ Affine.scale(2)
    write_raster(folder / "T17MPU_B08.tif", values[:1, ::2, ::2], transform=wide)
    told = told_of(folder)
    assert f"{folder}/T17MPU_B08.tif does not have the pixels of {folder}/T17MPU_B02.tif" in told
    assert "differs in its resolution" in told
    assert f"-ts {SIDE} {SIDE} -r near FILE NEW.tif" in told

    folder = fresh("another place")
    write_raster(folder / "T17MPU_B03.tif", values[:1, 1:], transform=moved(0, 1))
    assert "does not cover the same pixels as" in told_of(folder)

    folder = fresh("twice")
    write_raster(folder / "T17MPU_later_B03.tif", values[:1])
    told = told_of(folder)
    assert "both end in B03.tif and have the same place" in told

    folder = fresh("one is missing")
    write_files(folder, values, moved(SIDE, 0), "second")
    (folder / "second_B04.tif").unlink()
    told = told_of(folder)
    assert f"no file that ends in B04.tif where {folder}/second_B02.tif lies" in told

    folder = fresh("too few bands")
    assert f"{folder}/T17MPU_B08.tif has 1 band, but MOSAIC_BANDS asks for nir=2" in told_of(
        folder, FILES.replace("B08.tif:1", "B08.tif:2")
    )

    folder = fresh("unlike numbers of bands")
    write_files(folder, values, moved(SIDE, 0), "second")
    write_raster(folder / "second_B03.tif", values[:2], transform=moved(SIDE, 0))
    assert "in the number of bands in its files" in told_of(folder)

    folder = fresh("unlike types")
    write_files(folder, values, moved(SIDE, 0), "second")
    write_raster(folder / "second_B08.tif", values[:1].astype("i2"), transform=moved(SIDE, 0))
    assert "in its data type" in told_of(folder)


def test_a_month_of_one_file_a_band_that_is_read_by_numbers_is_told_how_to_name_them(
    tmp_path: Path,
) -> None:
    write_files(tmp_path, random_values((4, SIDE, SIDE)))
    assert "to how their names end, such as red=B04.tif" in told_of(tmp_path, "blue=1,green=2")


def test_no_more_than_a_few_files_are_open_and_each_is_opened_once(tmp_path: Path) -> None:
    for number in range(3):
        write_files(tmp_path, random_values((4, 16, 16)), moved(16 * number, 0), str(number))
    mosaic = month_of(tmp_path)
    with mosaic.open() as reader:
        for _ in range(2):
            reader.read(list(mosaic.bands.values()), mosaic.grid.whole)
        files = list(reader._open)
    assert len(files) == len(set(files)) == 12


# --- bands that do not change ---------------------------------------------------------------------


def write_terrain(path: Path, values: NDArray[np.generic], place: Affine = ORIGIN, **said) -> Path:
    return write_raster(path, values, transform=place, **said)


@pytest.fixture
def terrain(tmp_path: Path) -> NDArray[np.float32]:
    """Two quads of imagery in `month`, and one elevation of both, some of it below the sea."""
    for number in range(2):
        values = random_values((4, SIDE, SIDE), number)
        write_raster(tmp_path / f"month/{number}.tif", values, transform=moved(number * SIDE, 0))
    heights = np.linspace(-60, 900, 3 * SIDE * SIDE, dtype=np.float32).reshape(SIDE, -1)
    write_terrain(tmp_path / "dem.tif", heights[np.newaxis], moved(-SIDE // 2, 0), nodata=-9999)
    return heights[:, SIDE // 2 : SIDE // 2 + 2 * SIDE]


def test_static_bands_are_read_beside_the_imagery(tmp_path: Path, terrain) -> None:
    mosaic = month_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif")
    assert dict(mosaic.bands) == {**FOUR, "elevation": 5}
    assert dict(mosaic.imagery) == FOUR
    found = read_all(mosaic)
    imagery = read_all(month_of(tmp_path / "month", NUMBERED))
    assert np.array_equal(found.values[:4], imagery.values)
    assert np.array_equal(found.values[4], terrain)
    assert found.valid.all()
    only = read_all(mosaic, {"elevation": 5, "nir": 4})
    assert np.array_equal(only.values, np.stack([terrain, imagery.values[3]]))


def test_where_a_static_band_has_no_data_a_pixel_is_not_valid_but_not_partial(
    tmp_path: Path, terrain
) -> None:
    sea = np.full((1, SIDE, SIDE), -9999, np.int16)
    sea[0, :, 8:] = 0
    write_terrain(tmp_path / "slope.tif", sea, nodata=-9999)
    static = f"elevation={tmp_path}/dem.tif,slope={tmp_path}/slope.tif"
    mosaic = month_of(tmp_path / "month", NUMBERED, static, nodata=0.0)
    found = read_all(mosaic)
    # MOSAIC_NODATA is the imagery's: level ground is ground.
    expected = np.zeros((SIDE, 2 * SIDE), bool)
    expected[:, 8:SIDE] = True
    assert np.array_equal(found.valid, expected)
    assert not found.partial.any()


def coverage_of(mosaic: Mosaic, area: shapely.Geometry) -> Coverage:
    places = [(raster, quad) for raster in mosaic.rasters() for quad in raster.quads]
    return find_gaps(mosaic, area, [at[1] for at in places if is_empty(mosaic, area, *at)])


def test_an_area_that_static_bands_do_not_cover_is_told_before(tmp_path: Path, terrain) -> None:
    dem = f"elevation={tmp_path}/dem.tif"
    area = pixel_box(0, 0, 2 * SIDE, SIDE)
    covered = coverage_of(month_of(tmp_path / "month", NUMBERED, dem), area)
    assert covered.gaps == ()
    write_terrain(tmp_path / "slope/a.tif", np.zeros((1, SIDE, SIDE), np.float32))
    hollow = np.full((1, SIDE, SIDE), np.nan, np.float32)
    write_terrain(tmp_path / "slope/b.tif", hollow, moved(SIDE, 0))
    mosaic = month_of(tmp_path / "month", NUMBERED, f"{dem},slope={tmp_path}/slope/*.tif")
    coverage = coverage_of(mosaic, area)
    assert coverage.without_imagery == pytest.approx(0.5)
    assert describe_gaps(coverage, "2025-06") == (
        "The imagery with its static bands of 2025-06 leaves 50.00% of the area of interest "
        f"uncovered, {coverage.uncovered:,.1f} ha: 1 static band without data (slope of "
        f"{tmp_path}/slope/*.tif: {coverage.uncovered:,.1f} ha)."
    )
    assert "STATIC_BANDS" in advise_on_gaps(coverage)
    assert coverage_of(mosaic, pixel_box(0, 0, SIDE, SIDE)).gaps == ()


def test_static_bands_on_other_pixels_are_refused_with_what_to_do(tmp_path: Path, terrain) -> None:
    coarse = ORIGIN @ Affine.scale(6)
    write_terrain(tmp_path / "coarse.tif", np.zeros((1, 40, 40), np.float32), coarse)
    told = told_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/coarse.tif")
    assert f"{tmp_path}/coarse.tif, which STATIC_BANDS reads as elevation, does not have" in told
    assert "its resolution" in told
    assert f"-ts {2 * SIDE} {SIDE} -r bilinear" in told
    write_raster(tmp_path / "utm.tif", np.zeros((1, 9, 9), np.float32), crs="EPSG:32617")
    told = told_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/utm.tif")
    assert "gdalwarp -t_srs EPSG:3857 -te" in told
    told = told_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif:2")
    assert "has 1 band, but STATIC_BANDS asks for elevation=2" in told


def test_static_bands_are_part_of_what_must_not_change(tmp_path: Path, terrain) -> None:
    static = f"elevation={tmp_path}/dem.tif"
    mosaic = month_of(tmp_path / "month", NUMBERED, static)
    check_unchanged(mosaic)
    assert mosaic.fingerprint != month_of(tmp_path / "month", NUMBERED).fingerprint
    mosaic = month_of(tmp_path / "month", NUMBERED, static)
    write_terrain(tmp_path / "dem.tif", np.ones((1, SIDE, 3 * SIDE), np.float32), moved(-32, 0))
    with pytest.raises(LandcoverError, match=r"dem.tif\), so that a map would show both"):
        check_unchanged(mosaic)


def test_static_bands_hide_no_empty_imagery_and_are_not_brightness(tmp_path: Path) -> None:
    empty = random_values((4, SIDE, SIDE))
    empty[:, :, :32] = 7
    write_raster(tmp_path / "month/a.tif", empty)
    heights = random_values((1, SIDE, SIDE), dtype="float32")
    write_terrain(tmp_path / "dem.tif", heights)
    mosaic = month_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif")
    inspection = Inspection.of(mosaic)
    inspection.add(mosaic.grid.whole, read_all(mosaic), np.ones((SIDE, SIDE), bool))
    assert inspection.found.flat[7.0].hectares > 0
    with pytest.raises(LandcoverError, match=r"every band of the mosaic .* holds 7"):
        draw_pixels(mosaic, pixel_box(0, 0, SIDE, SIDE))
    pixels = draw_pixels(replace(mosaic, nodata=None), pixel_box(33, 0, SIDE, SIDE))
    assert list(pixels) == [*FOUR, "elevation"]
    measured = compare_imagery(mosaic, pixels, None, pixels)
    assert list(measured.measured["bands"]) == list(FOUR)
    assert measured.warnings == ()


@pytest.mark.parametrize(("dtype", "fill"), [("uint8", 255), ("uint16", 65535), ("int16", -32768)])
def test_a_static_band_hides_not_what_the_only_band_of_imagery_is_filled_with(
    tmp_path: Path, dtype: str, fill: int
) -> None:
    values = random_values((1, SIDE, SIDE), dtype=dtype)
    values[:, :, :32] = fill
    write_raster(tmp_path / "month/a.tif", values)
    write_terrain(tmp_path / "dem.tif", random_values((1, SIDE, SIDE), dtype="float32"))
    mosaic = month_of(tmp_path / "month", "red=1", f"elevation={tmp_path}/dem.tif")
    for bands in (["red", "elevation"], ["elevation", "red"], ["red"]):
        inspection = Inspection.of(mosaic, bands)
        pixels = read_all(mosaic, {name: mosaic.bands[name] for name in bands})
        inspection.add(mosaic.grid.whole, pixels, np.ones((SIDE, SIDE), bool))
        assert inspection.found.flat[fill].hectares > 0


@pytest.mark.parametrize(("value", "told"), [(-32768, True), (-100, False), (0, False)])
def test_what_stands_for_no_data_in_a_static_band_though_nothing_says_so_is_told(
    tmp_path: Path, value: int, told: bool
) -> None:
    write_raster(tmp_path / "month/a.tif", random_values((4, SIDE, SIDE)))
    heights = np.linspace(3, 900, SIDE * SIDE).reshape(1, SIDE, SIDE).astype("int16")
    heights[:, :, : SIDE // 4] = value
    write_terrain(tmp_path / "dem.tif", heights)
    mosaic = month_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif")
    pixels = draw_pixels(mosaic, pixel_box(0, 0, SIDE, SIDE))
    warnings = list(map(str, compare_imagery(mosaic, pixels, None, None).warnings))
    share = f"elevation of {tmp_path}/dem.tif holds -32768 in 25%"
    assert [share in warning for warning in warnings] == [True] * told


def test_a_value_is_alone_only_where_it_is_no_class_and_no_accident() -> None:
    assert lone_value(np.repeat([1, 2, 9999], 50)) is None
    assert lone_value(np.array([-9999, *range(500)])) is None
    assert lone_value(np.repeat([0.0, 0.1, 0.2, 3.4e38], 20)) == 3.4e38


def test_the_bytes_of_a_value_are_those_of_its_type_and_of_putting_files_together(
    tmp_path: Path, terrain
) -> None:
    alone = month_of(tmp_path / "month", NUMBERED)
    assert alone.itemsize(list(FOUR)) == 2
    mosaic = month_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif")
    assert mosaic.itemsize([*FOUR, "elevation"]) == 2 * read_all(mosaic).values.itemsize


def test_pictures_are_of_the_imagery_whatever_a_model_reads_first(tmp_path: Path) -> None:
    window = Window(0, 0, 2, 2)
    thumbnail = Thumbnail(window, ["elevation", "vv", "vh"], 1, {"vv": 1, "vh": 2})
    values = np.arange(12.0).reshape(3, 2, 2)
    thumbnail.add(window, values, np.ones((2, 2), bool))
    assert np.array_equal(thumbnail.values, values[[1, 2, 2]])


@pytest.mark.parametrize("bins", [16, 64, None])
def test_a_map_with_ground_below_the_sea_is_the_model_s_own(
    tmp_path: Path, terrain, bins: int | None
) -> None:
    mosaic = month_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif")
    values = read_all(mosaic).values.reshape(5, -1)
    codes = (values[4] > 0).astype(np.uint8) + (values[3] > 2500)
    model = new_pipeline(ForestSettings(trees=5, bins=bins), jobs=1)
    model.fit(values[:, ::7].T, codes[::7])
    area = pixel_box(0, 0, 2 * SIDE, SIDE)
    found, _ = predict_window(mosaic, fastest(model), list(mosaic.bands), area, mosaic.grid.whole)
    assert np.array_equal(found.ravel(), model.predict(values.T))
    assert (found.ravel() == codes).mean() > 0.9


def test_a_reader_of_one_quad_reads_its_raster_alone(tmp_path: Path, terrain) -> None:
    mosaic = month_of(tmp_path / "month", NUMBERED, f"elevation={tmp_path}/dem.tif")
    _, elevation = mosaic.rasters()
    with MosaicReader(mosaic.grid, [elevation]) as reader:
        found = reader.read([1], mosaic.grid.whole)
    assert np.array_equal(found.values[0], terrain)


# --- a month --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("prefect_api")
def test_a_month_of_one_file_a_band_with_an_elevation(
    landscape: World, settings: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as opened:
        quads = [
            opened.enter_context(rasterio.open(path))
            for path in sorted((landscape.mosaic_dir / "2025" / "06").glob("*.tif"))
        ]
        for quad in quads:
            values = quad.read([1, 2, 3, 4], masked=True).filled(0)
            write_files(Path("month"), values, quad.transform, Path(quad.name).stem, nodata=0)
        west, north = min(q.bounds.left for q in quads), max(q.bounds.top for q in quads)
        corner = Affine(RESOLUTION, 0, west, 0, -RESOLUTION, north)
    side = round(len(quads) ** 0.5) * values.shape[1]
    heights = np.linspace(-100, 100, side, dtype=np.float32)[:, np.newaxis].repeat(side, axis=1)
    write_terrain(Path("dem.tif"), heights[np.newaxis], corner, nodata=-9999)
    settings(
        PLANET_MOSAIC_DIR="month",
        MOSAIC_PATTERN="*.tif",
        MOSAIC_BANDS=FILES,
        STATIC_BANDS="elevation=dem.tif",
        AOI_DEFINITION=landscape.aoi,
        TRAINING_POLYGON_TABLE=landscape.polygons,
        TRAINING_POLYGON_CLASS_COL="class_label",
        TRAINING_POLYGON_ID_COL="id",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    few = ["--trees", "5", "--folds", "2", "--indices", "EVI,differences"]
    assert monthly.main(["--year", "2025", "--month", "6", *few]) == 0, capfd.readouterr().err
    samples = pd.read_parquet("data/prepared/prepared_data_202506.parquet")
    assert samples["elevation"].between(-100, 100).all()
    assert samples["elevation"].nunique() > 20
    with closing(sqlite3.connect("data/chocoforest.db")) as database:
        (row,) = database.execute("SELECT details FROM raster_predictions").fetchall()
    details = json.loads(row[0])
    assert details["settings"]["static_bands"] == {"elevation": "dem.tif:1"}
    assert details["settings"]["mosaic_bands"]["red"] == "B04.tif:1"
    assert list(details["radiometry"]["bands"]) == list(FOUR)
    assert details["without_imagery"] == 0
