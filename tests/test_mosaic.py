"""The mosaic: finding quads, checking that they make one raster, and reading them as one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.windows import Window
from shapely import Polygon
from upath import UPath

from landcover.errors import LandcoverError
from landcover.grid import Grid, same_crs
from landcover.imagery.bands import parse_bands
from landcover.imagery.mosaic import Mosaic, describe_mosaic, parse_nodata
from landcover.imagery.quads import Quad, find_quads, read_header, read_index, write_index
from tests.rasters import (
    ORIGIN,
    RESOLUTION,
    mosaic_of,
    moved,
    pixel_box,
    random_values,
    write_raster,
)

ROOT = Path(__file__).parents[1]

SIDE = 32
BANDS = {"blue": 1, "green": 2}

# --- MOSAIC_BANDS ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("blue=1,green=2,red=3,nir=4", {"blue": 1, "green": 2, "red": 3, "nir": 4}),
        (" nir = 8 , red=4", {"nir": 8, "red": 4}),
        ("swir1=5", {"swir1": 5}),
        ({"blue": 1}, {"blue": 1}),
    ],
)
def test_bands_are_read_in_their_order(text: object, bands: dict[str, int]) -> None:
    assert list(parse_bands(text).items()) == list(bands.items())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "blue",
        "blue=",
        "=1",
        "blue=0",
        "blue=-1",
        "blue=1.5",
        "blue=one",
        "blue=1,blue=2",
        "blue=1,green=1",
        "blue=1,",
        "blue=1;green=2",
        "near infrared=4",
    ],
)
def test_bands_that_make_no_sense_are_refused_with_what_was_given(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of distinct name=number pairs") as caught:
        parse_bands(text)
    assert repr(text) in str(caught.value)


# --- finding quads --------------------------------------------------------------------------------


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A folder as a month's: quads, what QGIS left beside them, and a note."""
    folder = tmp_path / "2025" / "06"
    folder.mkdir(parents=True)
    for name in ("570-1026.tif", "569-1026.tif", "570-1025.tiff"):
        (folder / name).touch()
    for name in ("570-1026.tif.aux.xml", "570-1026.tif.ovr", "570-1026.tif.msk", "notes.txt"):
        (folder / name).touch()
    return folder


def found(where: str) -> list[str]:
    return [image.path for image in find_quads(where, "it")]


def test_a_path_stands_for_its_file(month: Path) -> None:
    assert found(str(month / "570-1026.tif")) == [str(month / "570-1026.tif")]


@pytest.mark.parametrize("pattern", ["2025/06", "2025/06/*.tif*", "**/*.tif*", "2025/06/[0-9]*"])
def test_a_folder_or_a_glob_stands_for_its_images_in_order_and_not_for_what_lies_beside_them(
    month: Path, pattern: str
) -> None:
    names = ["569-1026.tif", "570-1025.tiff", "570-1026.tif"]
    assert found(str(month.parents[1] / pattern)) == [str(month / name) for name in names]


def test_a_folder_s_name_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "mosaics [2025]"
    folder.mkdir()
    (folder / "a.tif").touch()
    assert found(str(folder)) == [str(folder / "a.tif")]


def test_a_folder_that_a_glob_matches_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.tif").mkdir()
    (tmp_path / "b.tif").touch()
    assert found(str(tmp_path / "*.tif")) == [str(tmp_path / "b.tif")]


def test_nothing_found_is_told_with_the_pattern_and_what_is_there(month: Path) -> None:
    pattern = month / "*_analytic.tif"
    with pytest.raises(LandcoverError) as caught:
        find_quads(str(pattern), "the mosaic of 2025-06")
    message = str(caught.value)
    for part in (
        "the mosaic of 2025-06",
        str(pattern),
        f"{month} holds 569-1026.tif",
        "and 2 more",
        "MOSAIC_PATTERN",
        "--mosaic_path",
    ):
        assert part in message


def test_a_month_that_is_missing_is_told_with_the_months_that_are_there(month: Path) -> None:
    with pytest.raises(LandcoverError, match=f"{month.parent} holds 06") as caught:
        find_quads(str(month.parent / "07" / "*.tif*"), "the mosaic of 2025-07")
    assert caught.value.exit_status == 1


def test_an_empty_folder_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(LandcoverError, match=f"nothing matches.*{tmp_path} is empty"):
        find_quads(str(tmp_path), "it")


SIDECARS = (
    ".tif.xml", ".tif.aux.xml", ".tif.OVR", ".tif.ovr.tmp", ".tif.msk", ".tif.vat.dbf", ".tif.lock",
    ".tif.vat.cpg", ".tfw", ".tifw", ".prj", ".tif.json", ".tif.md5", ".tif.txt", ".qml", ".lyr",
    ".tif.aria2", ".tif.crdownload", ".tif.part", ".tif.partial", ".tif.tmp", ".tif.download",
    ".tif.5f0c2a91.partial", ".tif.6eF3a2B1", ".tif~", ".tif.1", ".TIF.PART",
)  # fmt: skip


@pytest.mark.parametrize("pattern", ["*", "*.tif*", "570*", "", "**"])
def test_what_lies_beside_an_image_is_none(tmp_path: Path, pattern: str) -> None:
    quad = tmp_path / "570-1026.tif"
    for suffix in (".tif", *SIDECARS):
        quad.with_suffix("").with_name(f"570-1026{suffix}").touch()
    for name in ("._570-1026.tif", "Thumbs.db", "README", "quads.json", "a.gpkg"):
        (tmp_path / name).touch()
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir/570-1026.tif").touch()
    assert found(f"{tmp_path}/{pattern}") == [str(quad)]


def test_a_quad_of_which_only_a_part_has_come_is_missing(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif.part"):
        (tmp_path / name).touch()
    assert found(f"{tmp_path}/*.tif*") == [str(tmp_path / "a.tif")]
    (tmp_path / "a.tif").unlink()
    with pytest.raises(LandcoverError, match=r"\*.tif\* is not an image \(b.tif.part\)"):
        found(f"{tmp_path}/*.tif*")


@pytest.mark.parametrize(
    ("names", "pattern", "expected"),
    [
        (["a.tif", "b.tif", "all.vrt"], "*", ["a.tif", "b.tif"]),
        (["a.vrt", "b.vrt"], "*", ["a.vrt", "b.vrt"]),
        (["a.tif", "all.vrt"], "*.vrt", ["all.vrt"]),
        (["570-1026", "571-1026"], "57*", ["570-1026", "571-1026"]),
        (["v1.2", "v1.3"], "v1*", ["v1.2", "v1.3"]),
        (["a.tif", "README"], "*", ["a.tif"]),
        (["a.png", "a.tif"], "*.png", ["a.png"]),
        (["a.TIF", "b.JP2"], "*", ["a.TIF", "b.JP2"]),
    ],
)
def test_names_without_suffix_and_indexes_are_images_where_nothing_better_is(
    tmp_path: Path, names: list[str], pattern: str, expected: list[str]
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert found(f"{tmp_path}/{pattern}") == [str(tmp_path / name) for name in expected]


def test_a_file_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mosaic.dat.part").touch()
    assert found(f"{tmp_path}/mosaic.dat.part") == [f"{tmp_path}/mosaic.dat.part"]


@pytest.mark.parametrize("name", ["mosaics [2025]", "a*b", "[x]", "what?", "[!a]"])
@pytest.mark.parametrize("pattern", ["*.tif", "0[1-9]/*.tif", "**/*.tif"])
def test_brackets_of_a_folder_are_taken_as_they_are(tmp_path: Path, name: str, pattern: str):
    folder = tmp_path / name / "06" if "/" in pattern else tmp_path / name
    folder.mkdir(parents=True)
    (folder / "a.tif").touch()
    for other in ("2", "x", "ab", "aab"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "wrong.tif").touch()
    assert found(f"{tmp_path}/{name}/{pattern}") == [str(folder / "a.tif")]


def test_links_to_quads_are_quads(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/a.tif").touch()
    (tmp_path / "month").mkdir()
    (tmp_path / "month/a.tif").symlink_to("../store/a.tif")
    (tmp_path / "month/b.tif").touch()
    for pattern in ("month", "month/*.tif", "**/month/*", "[m]onth/a.tif"):
        assert found(f"{tmp_path}/{pattern}")[0] == f"{tmp_path}/month/a.tif"
    (tmp_path / "store/a.tif").unlink()
    with pytest.raises(LandcoverError, match=r"month/a.tif cannot be read \(No such file"):
        found(f"{tmp_path}/month/*.tif")


def test_what_cannot_be_looked_at_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    with pytest.raises(LandcoverError, match=r"loop.tif cannot be read .Too many levels"):
        found(f"{tmp_path}/*.tif")
    with pytest.raises(LandcoverError, match=r"cannot be read .File name too long"):
        found(f"{tmp_path}/{'x' * 300}/*.tif")
    (tmp_path / "loop.tif").unlink()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xe1ramo.tif")).touch()
    with pytest.raises(LandcoverError, match=r"p\\xe1ramo.tif is not in UTF-8: rename it"):
        found(f"{tmp_path}/*.tif")


# Root without the right to read everything.
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
LOOK = """
import sys
from landcover.errors import LandcoverError
from landcover.imagery.quads import find_quads, read_header
try:
    print([read_header(image) for image in find_quads(sys.argv[1], "it")])
except LandcoverError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, setpriv")
@pytest.mark.parametrize("pattern", ["*.tif", "a.tif", "", "../*/*.tif", "../in*/06/x/*.tif"])
def test_imagery_in_a_folder_of_another_user_is_told_as_that(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "inner"
    path = write_raster(folder / "a.tif", random_values((2, SIDE, SIDE)))
    os.chown(folder, 65534, 65534)
    folder.chmod(0o700)

    def told() -> str:
        command = [*ORDINARY, sys.executable, "-c", LOOK, f"{folder}/{pattern}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        return done.stdout

    sentence = f"{folder} cannot be read (Permission denied); give this user permission to read it"
    assert sentence in told()
    folder.chmod(0o755)
    if pattern in ("*.tif", "a.tif"):
        os.chown(path, 65534, 65534)
        path.chmod(0o600)
        assert f"Cannot read the image {path}: give this user permission" in told()


# --- quads that make no mosaic --------------------------------------------------------------------


def refused(paths: list[Path], folder: Path, bands: dict[str, int] | None = None) -> str:
    with pytest.raises(LandcoverError) as caught:
        mosaic_of(paths, folder, bands or BANDS)
    return str(caught.value)


DIFFERENT: dict[str, tuple[str, dict[str, object]]] = {
    "another CRS": ("coordinate reference system", {"crs": "EPSG:32617"}),
    "another resolution": ("resolution", {"transform": moved(SIDE, 0) @ Affine.scale(1.01)}),
    "another height of pixels": ("resolution", {"transform": moved(SIDE, 0) @ Affine.scale(1, 2)}),
    "half a pixel across": ("pixel grid", {"transform": moved(SIDE, 0.5)}),
    "a tenth of a pixel": ("pixel grid", {"transform": moved(SIDE + 0.1, 0)}),
    "another type": ("data type", {"values": random_values((2, SIDE, SIDE)).astype("u1")}),
    "another nodata": ("nodata value", {"nodata": 9}),
    "no nodata": ("nodata value", {"nodata": None}),
    "an alpha band": ("alpha band", {"alpha": np.ones((SIDE, SIDE), bool)}),
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_a_quad_that_does_not_fit_is_named_with_how_it_differs(
    tmp_path: Path, difference: str
) -> None:
    what, change = DIFFERENT[difference]
    first = {"values": random_values((2, SIDE, SIDE)), "nodata": 0}
    ours = write_raster(tmp_path / "ours.tif", **first)
    other = write_raster(tmp_path / "other.tif", **{**first, "transform": moved(SIDE, 0), **change})
    message = refused([ours, other], tmp_path)
    assert f"{other} differs from {ours} in" in message
    assert what in message
    assert not (tmp_path / "mosaic.parquet").exists()


def test_nodata_of_nan_is_the_same_in_every_quad(tmp_path: Path) -> None:
    quads = [
        write_raster(
            tmp_path / f"{number}.tif",
            random_values((2, SIDE, SIDE), dtype="float32"),
            transform=moved(number * SIDE, 0),
            nodata=np.nan,
        )
        for number in range(2)
    ]
    assert mosaic_of(quads, tmp_path, BANDS).files == 2


@pytest.mark.parametrize("quads", [1, 3])
def test_too_few_bands_are_told_with_the_file_and_the_bands_asked_for(
    tmp_path: Path, quads: int
) -> None:
    paths = [
        write_raster(
            tmp_path / f"{number}.tif", random_values((1, SIDE, SIDE)), transform=moved(number, 0)
        )
        for number in range(quads)
    ]
    message = refused(paths, tmp_path, {"blue": 1, "green": 2, "nir": 4})
    assert f"{paths[0]} has 1 band, but MOSAIC_BANDS asks for green=2, nir=4" in message


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((2, SIDE, SIDE)).astype("complex64"))
    assert f"{path} holds complex numbers" in refused([path], tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(write_raster(tmp_path / "b.tif", random_values((2, 64, 64))).read_bytes()[:90])
    assert f"Cannot read the image {path}" in refused([path], tmp_path)
    for content in (b"", b"<html>404 Not Found</html>"):
        path.write_bytes(content)
        assert f"Cannot read the image {path}" in refused([path], tmp_path)


def test_an_image_without_crs_is_named(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((2, SIDE, SIDE)), crs=None)
    message = refused([path], tmp_path)
    assert str(path) in message
    assert "does not say its coordinate reference system" in message


@pytest.mark.parametrize(
    "transform",
    [
        ORIGIN @ Affine.rotation(10),
        ORIGIN @ Affine.rotation(90),
        ORIGIN @ Affine.scale(1, -1),
        ORIGIN @ Affine.scale(-1, 1),
        ORIGIN @ Affine.shear(5),
    ],
    ids=["rotated", "by a right angle", "south-up", "mirrored", "sheared"],
)
def test_an_image_that_is_not_north_up_is_refused(tmp_path: Path, transform: Affine) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((2, SIDE, SIDE)), transform=transform)
    assert f"{path} is rotated or not north-up" in refused([path], tmp_path)


def quad_with(path: Path, **said: object) -> Path:
    """Write a quad and say something more of it."""
    write_raster(path, random_values((2, SIDE, SIDE)), transform=said.pop("transform", ORIGIN))
    with rasterio.open(path, "r+") as dataset:
        for name, value in said.items():
            setattr(dataset, name, value)
    return path


@pytest.mark.parametrize("said", [{"scales": (0.0001, 0.0001)}, {"offsets": (-0.1, 0.0)}])
def test_quads_of_unlike_scale_or_offset_are_refused_by_name(tmp_path: Path, said) -> None:
    ours = quad_with(tmp_path / "a.tif")
    other = quad_with(tmp_path / "b.tif", transform=moved(SIDE, 0), **said)
    assert f"{other} differs from {ours} in its scale or offset" in refused([ours, other], tmp_path)
    alike = quad_with(tmp_path / "c.tif", transform=moved(2 * SIDE, 0), **said)
    assert mosaic_of([other, alike], tmp_path, BANDS).files == 2


def test_bands_that_are_not_read_may_differ(tmp_path: Path) -> None:
    ours = quad_with(tmp_path / "a.tif")
    more = write_raster(
        tmp_path / "b.tif", random_values((3, SIDE, SIDE)), transform=moved(SIDE, 0)
    )
    with rasterio.open(more, "r+") as dataset:
        dataset.scales = (1, 1, 5)
    assert mosaic_of([ours, more], tmp_path, BANDS).files == 2


DIALECTS = {
    "WKT1": CRS(3857).to_wkt("WKT1_GDAL"),
    "ESRI's WKT": CRS(3857).to_wkt("WKT1_ESRI"),
    "WKT2": CRS(3857).to_wkt("WKT2_2019"),
    "ESRI's number": CRS("ESRI:102100").to_wkt(),
    "PROJ": "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m "
    "+nadgrids=@null +wktext +no_defs",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_crs_in_other_words_is_the_same(tmp_path: Path, dialect: str) -> None:
    values = random_values((2, SIDE, SIDE))
    ours = write_raster(tmp_path / "a.tif", values)
    other = write_raster(tmp_path / "b.tif", values, transform=moved(SIDE, 0), crs=None)
    sidecar = other.with_name("b.tif.aux.xml")
    wkt = CRS(DIALECTS[dialect]).to_wkt() if dialect == "PROJ" else DIALECTS[dialect]
    sidecar.write_text(f"<PAMDataset><SRS>{escape(wkt)}</SRS></PAMDataset>")
    mosaic = mosaic_of([ours, other], tmp_path, BANDS)
    assert (mosaic.files, mosaic.grid.width) == (2, 2 * SIDE)


def test_the_order_of_axes_and_the_version_of_wkt_make_no_other_crs() -> None:
    lonlat = CRS("OGC:CRS84").to_wkt()
    assert same_crs(CRS(4326).to_wkt(), lonlat)
    assert not same_crs(CRS(32617).to_wkt(), CRS(32618).to_wkt())
    assert not same_crs(CRS(32617).to_wkt(), CRS(31977).to_wkt())


@pytest.mark.parametrize(
    ("wkt", "told"),
    [
        ('LOCAL_CS["site plan",UNIT["metre",1]]', "site plan, which cannot be brought to"),
        (CRS("IAU_2015:30100").to_wkt(), "same celestial body"),
    ],
)
def test_a_crs_that_is_nowhere_on_the_earth_is_told_as_that(
    tmp_path: Path, wkt: str, told: str
) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((2, SIDE, SIDE)), crs=wkt)
    message = refused([path], tmp_path)
    assert f"The image {path} lies in the coordinate reference system" in message
    assert told in message
    assert "Traceback" not in message


def test_corners_outside_the_crs_are_told(tmp_path: Path) -> None:
    far = Affine(10, 0, 1e12, 0, -10, 1e12)
    values = random_values((2, SIDE, SIDE))
    path = write_raster(tmp_path / "a.tif", values, transform=far, crs="EPSG:32617")
    assert f"The image {path} lies nowhere on the earth" in refused([path], tmp_path)


DEGREES = Affine(4.3e-5, 0, -79.4, 0, -4.3e-5, 0.3)


def test_a_rotated_image_in_degrees_is_refused_and_rounding_is_not_rotation(tmp_path: Path) -> None:
    values = random_values((2, SIDE, SIDE))
    rotated = write_raster(
        tmp_path / "a.tif", values, transform=DEGREES @ Affine.rotation(10), crs="EPSG:4326"
    )
    assert "is rotated or not north-up" in refused([rotated], tmp_path)
    for step in (DEGREES, ORIGIN):
        leaning = Affine(step.a, step.a * 1e-6, step.c, -step.a * 1e-6, step.e, step.f)
        crs = "EPSG:4326" if step is DEGREES else "EPSG:3857"
        path = write_raster(tmp_path / "b.tif", values, transform=leaning, crs=crs)
        mosaic = mosaic_of([path], tmp_path, BANDS)
        assert (mosaic.grid.transform.b, mosaic.grid.transform.d) == (0, 0)
        with mosaic.open() as reader:
            assert reader.read([1], mosaic.grid.whole).valid.all()


def test_an_image_with_ground_control_points_only_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    places = ((0, 0), (9, 0), (0, 9))
    points = [GroundControlPoint(row, column, column / 9, -row / 9) for row, column in places]
    profile = {"driver": "GTiff", "width": 9, "height": 9, "count": 2, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as image:
        image.gcps = points, rasterio.CRS.from_epsg(4326)
    assert "has ground control points but no grid" in refused([path], tmp_path)


def test_a_band_that_the_model_reads_must_not_be_alpha(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", random_values((3, SIDE, SIDE)), alpha=np.ones((SIDE, SIDE), bool)
    )
    bands = {"red": 1, "green": 2, "blue": 3, "nir": 4}
    message = refused([path], tmp_path, bands)
    for part in (
        f"Band 4 of the image {path} is marked as alpha",
        "reads it as nir",
        "MOSAIC_BANDS",
    ):
        assert part in message
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:3], ColorInterp.undefined]
    assert mosaic_of([path], tmp_path, bands).files == 1


def test_an_index_of_an_earlier_version_is_read_anew(tmp_path: Path) -> None:
    mosaic = mosaic_of([quad_with(tmp_path / "a.tif")], tmp_path, BANDS)
    rows = pd.read_parquet(mosaic.index)
    rows.drop(columns="raster").to_parquet(mosaic.index)
    assert read_index(mosaic.index) == []


# --- MOSAIC_NODATA --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nodata"), [("0", 0.0), (" -9999 ", -9999.0), ("None", "none"), (None, None)]
)
def test_nodata_is_a_number_or_none_or_not_set(text: object, nodata: object) -> None:
    assert parse_nodata(text) == nodata


@pytest.mark.parametrize("text", ["nothing", "nan", "inf", "0,1", ""])
def test_nodata_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a number nor none"):
        parse_nodata(text)


def with_nodata(paths: Sequence[Path], folder: Path, nodata: object) -> Mosaic:
    quads = [Quad((read_header(image),)) for path in paths for image in find_quads(str(path), "it")]
    return describe_mosaic(quads, "here", BANDS, UPath(folder / "index"), nodata=nodata)


def test_what_stands_for_no_data_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = quad_with(tmp_path / "a.tif")
    prints = {with_nodata([path], tmp_path, nodata).fingerprint for nodata in (None, "none", 0.0)}
    assert len(prints) == 3


def test_a_value_that_no_band_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LandcoverError, match=r"MOSAIC_NODATA is -9999, which no band .* uint16"):
        with_nodata([quad_with(tmp_path / "a.tif")], tmp_path, -9999.0)


def test_quads_that_are_silent_go_with_those_that_say_the_same_value(tmp_path: Path) -> None:
    said = quad_with(tmp_path / "a.tif", nodata=0)
    silent = quad_with(tmp_path / "b.tif", transform=moved(SIDE, 0))
    with pytest.raises(LandcoverError, match="its nodata value"):
        with_nodata([said, silent], tmp_path, None)
    assert with_nodata([said, silent], tmp_path, 0.0).files == 2


# --- one raster -----------------------------------------------------------------------------------


def test_one_file_is_its_own_mosaic(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", random_values((4, 20, 30)))
    mosaic = mosaic_of([path], tmp_path)
    assert [quad.path for quad in mosaic.quads()] == [str(path)]
    assert mosaic.files == 1
    assert (mosaic.grid.width, mosaic.grid.height, mosaic.grid.transform) == (30, 20, ORIGIN)
    assert rasterio.CRS.from_wkt(mosaic.grid.crs).to_epsg() == 3857


def test_the_bounds_of_a_grid_are_those_of_its_corners() -> None:
    grid = Grid("", Affine(2, 0, 100, 0, -3, 50), width=10, height=5)
    assert grid.bounds == (100, 35, 120, 50)


GAPPY = [(0, 0), (1, 0), (3, 0), (1, 2), (2, 2), (3, 2)]
MASKED: dict[str, dict[str, object]] = {
    "unmasked": {},
    "nodata": {"nodata": 0},
    "alpha": {"alpha": np.ones((SIDE, SIDE), bool)},
    "mask": {"mask": np.ones((SIDE, SIDE), bool)},
    "nodata and alpha": {"nodata": 0, "alpha": np.ones((SIDE, SIDE), bool)},
}


def gappy_mosaic(folder: Path, **said: object) -> tuple[Mosaic, np.ndarray, np.ndarray]:
    """Write quads with gaps between them; return them with the values and mask they should give."""
    values = np.zeros((4, 3 * SIDE, 4 * SIDE), dtype=np.uint16)
    covered = np.zeros(values.shape[1:], dtype=bool)
    quads = []
    for number, (column, row) in enumerate(GAPPY):
        at = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        values[:, *at] = random_values((4, SIDE, SIDE), seed=number)
        covered[at] = True
        path = folder / f"{column}-{row}.tif"
        place = moved(column * SIDE, row * SIDE)
        quads.append(write_raster(path, values[:, *at], transform=place, **said))
    return mosaic_of(quads, folder), values, covered


@pytest.mark.parametrize("kind", MASKED)
def test_quads_are_one_raster_pixel_for_pixel_and_gaps_between_them_are_invalid(
    tmp_path: Path, kind: str
) -> None:
    mosaic, values, covered = gappy_mosaic(tmp_path, **MASKED[kind])
    assert mosaic.files == len(GAPPY)
    with mosaic.open() as reader:
        assert mosaic.grid.transform == ORIGIN
        assert (mosaic.grid.height, mosaic.grid.width) == covered.shape
        assert rasterio.CRS.from_wkt(mosaic.grid.crs).to_epsg() == 3857
        found, valid, _ = reader.read([1, 2, 3, 4], Window(0, 0, 4 * SIDE, 3 * SIDE))
    np.testing.assert_array_equal(valid, covered)
    np.testing.assert_array_equal(found[:, covered], values[:, covered])


@pytest.mark.parametrize("kind", MASKED)
def test_any_windows_read_one_after_another_hold_the_pixels_of_their_place(
    tmp_path: Path, kind: str
) -> None:
    # GDAL 3.10 leaves a window empty where rounding makes a neighbour reach into it.
    mosaic, values, covered = gappy_mosaic(tmp_path, **MASKED[kind])
    edges = [0, 1, SIDE // 2, SIDE - 1, SIDE, SIDE + 1, 2 * SIDE, 3 * SIDE - 1, 3 * SIDE]
    with mosaic.open() as reader:
        for top in edges[:-2]:
            for left in edges:
                for size in (1, SIDE // 2, SIDE, SIDE + 1):
                    at = np.s_[top : top + size, left : left + size]
                    height, width = covered[at].shape
                    found, valid, _ = reader.read([1, 4], Window(left, top, width, height))
                    np.testing.assert_array_equal(valid, covered[at])
                    np.testing.assert_array_equal(found[:, valid], values[[0, 3]][:, *at][:, valid])


def test_quads_of_different_sizes_make_one_raster(tmp_path: Path) -> None:
    values = random_values((2, 20, 50))
    left = write_raster(tmp_path / "left.tif", values[:, :, :30])
    right = write_raster(tmp_path / "right.tif", values[:, :7, 30:], transform=moved(30, 0))
    with mosaic_of([left, right], tmp_path, BANDS).open() as reader:
        found, valid, _ = reader.read([1, 2], Window(0, 0, 50, 20))
    expected = np.ones((20, 50), bool)
    expected[7:, 30:] = False
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_array_equal(found[:, expected], values[:, expected])


@pytest.mark.parametrize("off", [0.009, -0.009])
def test_a_quad_whose_header_is_rounded_moves_no_pixel(tmp_path: Path, off: float) -> None:
    values = random_values((2, SIDE, 3 * SIDE))
    quads = [
        write_raster(
            tmp_path / f"{number}.tif",
            values[:, :, number * SIDE : (number + 1) * SIDE],
            transform=moved(number * SIDE + (off if number == 1 else 0), off if number else 0),
            nodata=0,
        )
        for number in range(3)
    ]
    mosaic = mosaic_of(quads, tmp_path, BANDS)
    assert (mosaic.grid.height, mosaic.grid.width) == (SIDE, 3 * SIDE)
    with mosaic.open() as reader:
        parts = [
            reader.read([1, 2], Window(column, 0, SIDE // 2, SIDE))
            for column in range(0, 3 * SIDE, SIDE // 2)
        ]
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts], axis=2), values)
    assert all(part.valid.all() for part in parts)


@pytest.mark.parametrize("name", ["a b", "a&b", "ä'b", 'a"b', "50%"])
def test_quads_are_read_from_folders_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    mosaic, values, covered = gappy_mosaic(folder, nodata=0)
    with mosaic.open() as reader:
        found, valid, _ = reader.read([2], Window(0, 0, 4 * SIDE, 3 * SIDE))
    np.testing.assert_array_equal(valid, covered)
    np.testing.assert_array_equal(found[0, covered], values[1, covered])


def test_quads_given_by_a_relative_path_are_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mosaic, _, covered = gappy_mosaic(Path())
    mosaic = replace(mosaic, index=UPath(tmp_path) / mosaic.index)
    monkeypatch.chdir("/")
    with mosaic.open() as reader:
        _, valid, _ = reader.read([1], Window(0, 0, 4 * SIDE, 3 * SIDE))
    np.testing.assert_array_equal(valid, covered)


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 1), (4, 3), (57, 5), (18, 34)])
@pytest.mark.parametrize("corner", [(0, 0), (570, 1026), (575, 1019), (2047, 2047)])
def test_quads_of_the_nicfi_grid_make_a_raster_of_exactly_their_size(
    tmp_path: Path, columns: int, rows: int, corner: tuple[int, int]
) -> None:
    """The mosaic is as wide as its 4096-pixel quads: not 16 385 pixels where they are 16 384."""
    half, quad = 20037508.342789244, 4096 * RESOLUTION
    first, last = (
        Affine(RESOLUTION, 0, column * quad - half, 0, -RESOLUTION, (row + 1) * quad - half)
        for column, row in (corner, (corner[0] + columns - 1, corner[1] - rows + 1))
    )
    # Of each quad one pixel: the first one's upper left, the last one's lower right.
    last_pixel = last @ Affine.translation(4095, 4095)
    files = [
        write_raster(tmp_path / f"{number}.tif", random_values((1, 1, 1), number), transform=place)
        for number, place in enumerate((first, last_pixel))
    ]
    mosaic = mosaic_of(files, tmp_path, {"b": 1})
    assert (mosaic.grid.width, mosaic.grid.height) == (columns * 4096, rows * 4096)
    assert mosaic.grid.transform == first
    with mosaic.open() as reader:
        at = Window(columns * 4096 - 1, rows * 4096 - 1, 1, 1)
        assert reader.read([1], at)[0] == random_values((1, 1, 1), 1)


# --- the fingerprint ------------------------------------------------------------------------------


def rewrite(path: Path) -> None:
    write_raster(path, random_values((4, SIDE, SIDE), seed=99), transform=ORIGIN)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 2))


def mask(path: Path) -> None:
    """Lay a mask beside an image, which itself stays as it was."""
    before = path.stat()
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(np.zeros((SIDE, SIDE), dtype=bool))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.with_name(f"{path.name}.msk").exists()


@pytest.mark.parametrize("change", [rewrite, touch, mask])
@pytest.mark.parametrize("quads", [1, 2])
def test_the_fingerprint_changes_when_a_file_is_replaced(
    tmp_path: Path, change: Callable[[Path], None], quads: int
) -> None:
    paths = [
        write_raster(
            tmp_path / f"{number}.tif",
            random_values((4, SIDE, SIDE), seed=number),
            transform=moved(number * SIDE, 0),
        )
        for number in range(quads)
    ]
    before = mosaic_of(paths, tmp_path).fingerprint
    assert mosaic_of(paths, tmp_path).fingerprint == before
    change(paths[0])
    assert mosaic_of(paths, tmp_path).fingerprint != before


def test_the_fingerprint_changes_with_the_files_and_with_the_bands(tmp_path: Path) -> None:
    paths = [
        write_raster(
            tmp_path / f"{number}.tif",
            random_values((4, SIDE, SIDE)),
            transform=moved(number * SIDE, 0),
        )
        for number in range(3)
    ]
    prints = {
        mosaic_of(paths, tmp_path).fingerprint,
        mosaic_of(paths[:2], tmp_path).fingerprint,
        mosaic_of(paths, tmp_path, BANDS).fingerprint,
        mosaic_of(paths, tmp_path, {"blue": 2, "green": 1}).fingerprint,
    }
    assert len(prints) == 4


# --- one grid for all months ----------------------------------------------------------------------


def lattice(folder: Path, cells: Sequence[tuple[int, int]], area: Polygon) -> Mosaic:
    """Return the mosaic of quads at columns and rows of a lattice."""
    quads = [
        write_raster(
            folder / f"{column}-{row}.tif",
            random_values((4, SIDE, SIDE)),
            transform=moved(column * SIDE, row * SIDE),
        )
        for column, row in cells
    ]
    images = [image for quad in quads for image in find_quads(str(quad), "it")]
    headers, index = [Quad((read_header(image),)) for image in images], folder / "index.parquet"
    write_index([headers], index)
    return describe_mosaic(headers, "here", {"blue": 1}, UPath(index), area)


EVERY = [(column, row) for column in range(4) for row in range(3)]


@pytest.mark.parametrize("gone", [(0, 0), (3, 2), (0, 2), (2, 1)])
def test_a_month_with_a_quad_less_lies_on_the_same_grid(tmp_path: Path, gone) -> None:
    area = pixel_box(10, 20, 3.5 * SIDE, 2.5 * SIDE)
    whole = lattice(tmp_path / "whole", EVERY, area)
    less = lattice(tmp_path / "less", [cell for cell in EVERY if cell != gone], area)
    assert less.grid == whole.grid
    assert (whole.grid.width, whole.grid.height) == (4 * SIDE, 3 * SIDE)
    assert tuple(whole.grid.transform) == pytest.approx(tuple(ORIGIN), abs=1e-5)


def test_the_grid_is_those_whole_cells_that_the_area_touches(tmp_path: Path) -> None:
    area = pixel_box(SIDE + 1, SIDE + 1, 2 * SIDE, 2 * SIDE - 1)
    mosaic = lattice(tmp_path, EVERY, area)
    assert (mosaic.grid.width, mosaic.grid.height) == (SIDE, SIDE)
    west, north = mosaic.grid.transform @ (0, 0)
    assert (west, north) == pytest.approx(ORIGIN @ (SIDE, SIDE), abs=1e-5)
    with mosaic.open() as reader:
        assert reader.extent == Window(-SIDE, -SIDE, 4 * SIDE, 3 * SIDE)


def test_cells_without_a_quad_are_in_the_grid_where_the_area_touches_them(tmp_path: Path) -> None:
    area = pixel_box(-1.5 * SIDE, 1, 10, 10)
    mosaic = lattice(tmp_path, [(0, 0), (1, 0)], area)
    assert (mosaic.grid.width, mosaic.grid.height) == (3 * SIDE, SIDE)
    assert mosaic.grid.transform @ (2 * SIDE, 0) == pytest.approx(ORIGIN @ (0, 0), abs=1e-5)


def test_quads_of_unlike_sizes_make_a_grid_of_the_area_s_pixels(tmp_path: Path) -> None:
    for name, width, start in (("a", 50, 0), ("b", 70, 50)):
        write_raster(
            tmp_path / f"{name}.tif", random_values((4, 40, width)), transform=moved(start, 0)
        )
    quads = [Quad((read_header(image),)) for image in find_quads(str(tmp_path / "*.tif"), "it")]
    area = pixel_box(3.5, 2, 100, 30.2)
    mosaic = describe_mosaic(quads, "here", {"blue": 1}, UPath(tmp_path / "index"), area)
    assert (mosaic.grid.width, mosaic.grid.height) == (97, 29)


def test_a_single_image_keeps_its_own_grid(tmp_path: Path) -> None:
    mosaic = lattice(tmp_path, [(0, 0)], pixel_box(-100, -100, 20, 20))
    assert mosaic.grid == mosaic_of([tmp_path / "0-0.tif"], tmp_path, {"blue": 1}).grid
    assert mosaic.grid.transform == ORIGIN


def test_an_area_beside_the_quads_is_told_with_both_extents(tmp_path: Path) -> None:
    with pytest.raises(LandcoverError, match=r"does not touch the mosaic here, which covers .*the"):
        lattice(tmp_path, EVERY, pixel_box(9 * SIDE, 0, 10 * SIDE, 10))


@pytest.mark.parametrize("gone", [0, 3, 5])
def test_tiles_that_overlap_and_are_in_degrees_lie_on_the_same_grid_too(tmp_path: Path, gone: int):
    """As elevation tiles of one degree do, whose headers round the side of a pixel."""
    side, step = 40, 1 / 3600
    tiles = []
    for number, (column, row) in enumerate([(c, r) for c in range(3) for r in range(2)]):
        west, north = -79 + (36 * column - 2) * step, 1 - (36 * row - 2) * step
        rounded = Affine(round(step, 15), 0, round(west, 15), 0, -round(step, 15), round(north, 15))
        tiles.append(
            write_raster(
                tmp_path / f"{number}.tif",
                random_values((4, side, side), seed=number),
                transform=rounded,
                crs="EPSG:4326",
            )
        )
    area = shapely.box(-78.997, 0.985, -78.975, 0.998)

    def grid_of_tiles(paths: Sequence[Path]) -> Grid:
        images = [image for path in paths for image in find_quads(str(path), "it")]
        headers = [Quad((read_header(image),)) for image in images]
        index = UPath(tmp_path / "index.parquet")
        return describe_mosaic(headers, "here", {"blue": 1}, index, area).grid

    whole = grid_of_tiles(tiles)
    assert grid_of_tiles([*tiles[:gone], *tiles[gone + 1 :]]) == whole
    assert shapely.box(*whole.bounds).buffer(1e-9).covers(area)
    assert (whole.width, whole.height) == (80, 47)
