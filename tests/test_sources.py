"""What an image is made of: a VRT's sources are looked at, and lead nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
from rasterio.errors import RasterioIOError
from upath import UPath

from landcover.errors import LandcoverError
from landcover.imagery.mosaic import Mosaic, check_unchanged
from landcover.imagery.quads import Quad, find_quads, read_header, read_index, write_index
from landcover.imagery.sources import find_sources, outside
from tasks.access.settings import MosaicSettings
from tasks.access.storage import storage
from tasks.mosaic import _folder_of, _still_so
from tests.rasters import ORIGIN, mosaic_of, random_values, write_raster
from tests.servers.swift import Bucket, S3Server

SIDE = 16


def vrt(*sources: str, relative: bool = True, more: str = "", tag: str = "SourceFilename") -> str:
    """Describe an image whose bands are those of files."""
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{number}"><SimpleSource>'
        f'<{tag} relativeToVRT="{int(relative)}">{source}</{tag}>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for number, source in enumerate(sources, 1)
    )
    return (
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>EPSG:3857</SRS>'
        f"<GeoTransform>{','.join(map(repr, ORIGIN.to_gdal()))}</GeoTransform>{more}{bands}"
        "</VRTDataset>"
    )


def of_mask(source: str) -> str:
    return (
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename relativeToVRT="1">'
        f"{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        "</MaskBand>"
    )


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A folder of a VRT named as a GeoTIFF is, made of a VRT of a quad, and of a mask."""
    for name in ("quads/a.tif", "mask.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_raster(tmp_path / name, random_values((1, SIDE, SIDE)).clip(1))
    (tmp_path / "inner.vrt").write_text(vrt("quads/a.tif"))
    (tmp_path / "month.tif").write_text(vrt("inner.vrt", more=of_mask("mask.tif")))
    return tmp_path


def test_a_vrt_is_made_of_all_that_it_and_those_within_it_name(month: Path) -> None:
    found = find_sources(str(month / "month.tif"))
    assert sorted(found) == [str(month / name) for name in ("inner.vrt", "mask.tif", "quads/a.tif")]
    assert find_sources(str(month / "mask.tif")) == []


def test_gdal_minds_no_capitals_and_nor_do_we(month: Path) -> None:
    (month / "loud.vrt").write_text(vrt("mask.tif", tag="SOURCEFILENAME"))
    assert find_sources(str(month / "loud.vrt")) == [str(month / "mask.tif")]


def mosaic_at(path: Path, folder: Path) -> Mosaic:
    return replace(mosaic_of([path], folder, {"blue": 1}), origin=str(path))


@pytest.mark.parametrize("name", ["quads/a.tif", "mask.tif", "quads/a.tif.msk"])
def test_what_is_replaced_behind_a_vrt_is_noticed(month: Path, name: str) -> None:
    image = month / "month.tif"
    before = mosaic_at(image, month)
    check_unchanged(before)
    ((quad,),) = read_index(before.index)
    (known,) = quad.headers
    found = find_quads(str(image), "it")
    assert list(_still_so([known], found).values()) == [known]

    write_raster(month / name, random_values((1, SIDE, SIDE), seed=9))
    changed = name.removesuffix(".msk")
    with pytest.raises(LandcoverError, match=f"was changed while .*{changed}"):
        check_unchanged(before)
    assert _still_so([known], found) == {}
    assert mosaic_at(image, month).fingerprint != before.fingerprint


def test_what_gdal_reads_beside_an_image_is_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bil"
    values = write_raster(tmp_path / "a.tif", random_values((1, SIDE, SIDE)))
    rasterio.shutil.copy(values, path, driver="EHdr")
    (image,) = find_quads(str(path), "it")
    beside = {Path(source.path).name for source in read_header(image).sources}
    assert beside == {"a.hdr", "a.prj"}


@pytest.mark.parametrize(
    "source",
    [
        "/vsicurl/https://ana:secret@example.org/a.tif?signature=secret",
        "https://ana:secret@example.org/a.tif",
        "/vsis3/maps/a.tif",
        "/vsizip/a.zip/a.tif",
        'NETCDF:"a.nc":red',
        "vrt://mask.tif?bands=1",
        "&lt;VRTDataset&gt;",
    ],
)
def test_a_vrt_on_this_machine_reads_files_of_this_machine_only(month: Path, source: str) -> None:
    path = month / "away.tif"
    path.write_text(vrt(source, relative=False))
    with pytest.raises(LandcoverError, match="is not a file on this machine, where") as told:
        read_header(*find_quads(str(path), "it"))
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<GDAL_WMS><Service name='TMS'/></GDAL_WMS>", "holds no pixels but text"),
        ('{"type": "FeatureCollection"}', "holds no pixels but text"),
        ("<html>Not found</html>", "holds no pixels but text"),
        ("<!doctype html><p>Not found<br>", "holds no pixels but text"),
        ("<VRTDataset><SRS>", "not well-formed XML"),
        (vrt("gone.tif"), "reads .*gone.tif, and there is no such file"),
        # GDAL looks from the working folder, whichever that is.
        (vrt("mask.tif", relative=False), "reads .*mask.tif, and there is no such file"),
        (vrt("quads"), "reads .*quads, and there is no such file"),
    ],
)
def test_text_that_is_not_a_sound_vrt_is_told_as_what_it_is(month: Path, text: str, words: str):
    (month / "text.tif").write_text(text)
    with pytest.raises(LandcoverError, match=words):
        read_header(*find_quads(str(month / "text.tif"), "it"))
    (month / "outer.vrt").write_text(vrt("text.tif"))
    with pytest.raises(LandcoverError, match=words):
        read_header(*find_quads(str(month / "outer.vrt"), "it"))


def test_a_source_that_cannot_be_read_is_told_with_the_disk_s_reason(month: Path) -> None:
    (month / "round.tif").symlink_to("round.tif")
    (month / "outer.vrt").write_text(vrt("round.tif"))
    with pytest.raises(LandcoverError, match=r"because .*round.tif cannot \(Too many levels"):
        find_sources(str(month / "outer.vrt"))


def test_code_in_a_vrt_is_not_run(month: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    code = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        "</PixelFunctionLanguage><PixelFunctionCode>def f(inputs, out, *rest, **more): "
        f"open('{month / 'run'}', 'w')</PixelFunctionCode><SimpleSource>"
    )
    text = vrt("mask.tif").replace("<SimpleSource>", code)
    text = text.replace('band="1"', 'band="1" subClass="VRTDerivedRasterBand"')
    (month / "code.vrt").write_text(text)
    mosaic = mosaic_at(month / "code.vrt", month)
    with pytest.raises(RasterioIOError, match=r"code\.vrt"), mosaic.open() as reader:
        reader.read([1], reader.extent)
    assert not (month / "run").exists()


@pytest.mark.parametrize(
    ("folder", "told"),
    [("/data", False), ("/data/", False), ("/data/2025", True), ("/dat", True)],
)
def test_sources_that_lie_elsewhere_are_told(folder: str, told: bool) -> None:
    notices = outside(["/data/2025/a.tif", "/data/quads/b.tif"], folder, "/data/2025/*.vrt")
    assert [notice.values["folder"] for notice in notices] == [folder] * told


@pytest.mark.parametrize(
    ("path", "folder"), [(None, "."), ("quads", "quads"), ("quads/*.vrt", "quads"), ("m/*/*", ".")]
)
def test_the_folder_of_the_imagery_is_where_no_pattern_begins(
    month: Path, path: str | None, folder: str
) -> None:
    settings = MosaicSettings(planet_mosaic_dir=str(month))
    given = path and str(month / path)
    assert Path(_folder_of(given, settings)) == month / folder


# --- in a bucket ----------------------------------------------------------------------------------


def test_a_vrt_in_a_bucket_is_made_of_what_the_bucket_holds(
    month: Path, bucket: Bucket, s3_server: S3Server, settings: Callable[..., None]
) -> None:
    settings(
        S3_ENDPOINT_URL=s3_server.endpoint,
        S3_REGION=s3_server.region,
        S3_ACCESS_KEY_ID=s3_server.key,
        S3_SECRET_ACCESS_KEY=s3_server.secret,
    )

    def put(name: str) -> None:
        bucket.filesystem.put_file(str(month / name), f"{bucket.name}/{name}")

    write_raster(month / "plain.tif", np.ones((1, SIDE, SIDE), np.uint16))
    (month / "away.tif").write_text(vrt("/etc/passwd", relative=False))
    for name in ("quads/a.tif", "mask.tif", "inner.vrt", "month.tif", "plain.tif", "away.tif"):
        put(name)
    with storage(None, bucket.url):
        (image,) = find_quads(f"{bucket.url}/month.tif", "it")
        quad = Quad((read_header(image),))
        within = [source.path.removeprefix(f"{bucket.url}/") for source in quad.sources]
        assert sorted(within) == ["inner.vrt", "mask.tif", "quads/a.tif"]
        assert not read_header(*find_quads(f"{bucket.url}/plain.tif", "it")).sources

        write_index([[quad]], month / "index")
        assert read_index(UPath(month / "index")) == [(quad,)]
        assert _still_so(quad.headers, [image])
        write_raster(month / "quads/a.tif", random_values((1, SIDE, SIDE), seed=9))
        put("quads/a.tif")
        assert not _still_so(quad.headers, [image])
        with pytest.raises(LandcoverError, match="is not a file in a bucket, where the VRT is"):
            read_header(*find_quads(f"{bucket.url}/away.tif", "it"))
