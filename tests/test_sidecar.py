"""The names of classes beside a map: GDAL reads them, and the map is as good as without them."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate
from rio_tiler.io import Reader

from landcover.classes import NODATA, assign_codes, class_names, colour, legend_of
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.pieces import overview_factors, write_piece
from landcover.maps.sidecar import SUFFIX, sidecar_text
from tests.rasters import class_layer

NAMES = {0: "Forest", 4: "Water", 7: 'Bosque <húmedo> & "ñ"', 9: "森林 лес", 12: "it's"}
TILE, ZOOM, COLUMN, ROW = 256, 15, 9164, 16340
EDGE = 20037508.342789244
RESOLUTION = 2 * EDGE / (TILE << ZOOM)
SIZE = 4 * TILE


@dataclass(frozen=True)
class NamedMap:
    path: Path
    codes: NDArray[np.uint8]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> NamedMap:
    """A map on the tiles of the web, as NICFI's quads are, with the names beside it."""
    folder = tmp_path_factory.mktemp("sidecar")
    origin = Affine.translation(COLUMN * TILE * RESOLUTION - EDGE, EDGE - ROW * TILE * RESOLUTION)
    crs = rasterio.CRS.from_epsg(3857).to_wkt()
    grid = Grid(crs, origin @ Affine.scale(RESOLUTION, -RESOLUTION), SIZE, SIZE)
    random = np.random.default_rng(5)
    codes = random.choice([*NAMES, NODATA], (SIZE, SIZE)).astype(np.uint8)
    piece, path = folder / "piece.tif", folder / "prediction_202506.tif"
    factors = overview_factors(grid)
    write_piece(class_layer(NAMES), codes, grid, factors, piece)
    write_cog(class_layer(NAMES), {piece: Window(0, 0, SIZE, SIZE)}, grid, factors, {}, path)
    path.with_name(path.name + SUFFIX).write_text(sidecar_text(legend_of(NAMES)), encoding="utf-8")
    return NamedMap(path, codes)


@pytest.fixture
def read_by_gdal(named: NamedMap, tmp_path: Path) -> ElementTree.Element:
    """The map's band as GDAL describes it: rasterio does not tell of names, a VRT does."""
    rasterio.shutil.copy(named.path, tmp_path / "map.vrt", driver="VRT")
    band = ElementTree.parse(tmp_path / "map.vrt").find("VRTRasterBand")
    assert band is not None
    return band


def test_gdal_reads_the_name_of_each_code(read_by_gdal: ElementTree.Element) -> None:
    found = [category.text for category in read_by_gdal.findall("CategoryNames/Category")]
    assert found == [NAMES.get(code) for code in range(13)]


def test_gdal_reads_a_table_of_just_the_classes_and_their_colours(
    read_by_gdal: ElementTree.Element,
) -> None:
    (table,) = read_by_gdal.findall("GDALRasterAttributeTable")
    assert table.get("tableType") == "thematic"
    rows = [tuple(cell.text for cell in row.findall("F")) for row in table.findall("Row")]
    assert rows == [
        (str(code), name, *(str(part) for part in colour(code))) for code, name in NAMES.items()
    ]
    usages = [
        (field.findtext("Name"), field.findtext("Usage")) for field in table.iter("FieldDefn")
    ]
    # GFU_MinMax, GFU_Name, GFU_Red, GFU_Green, GFU_Blue.
    assert usages == [("Value", "5"), ("Class", "2"), ("Red", "6"), ("Green", "7"), ("Blue", "8")]


def test_without_it_gdal_knows_no_names(named: NamedMap, tmp_path: Path) -> None:
    alone = tmp_path / named.path.name
    alone.write_bytes(named.path.read_bytes())
    rasterio.shutil.copy(alone, tmp_path / "map.vrt", driver="VRT")
    assert "Category" not in (tmp_path / "map.vrt").read_text()


def test_the_order_in_which_names_are_given_does_not_matter() -> None:
    assert sidecar_text(legend_of(dict(reversed(NAMES.items())))) == sidecar_text(legend_of(NAMES))


def test_a_map_may_have_every_code() -> None:
    names = {code: f"class {code}" for code in range(NODATA)}
    root = ElementTree.fromstring(sidecar_text(legend_of(names)))
    assert [category.text for category in root.iter("Category")] == list(names.values())
    assert len(list(root.iter("Row"))) == NODATA


def test_the_map_beside_it_stays_a_valid_cog_without_warnings(named: NamedMap) -> None:
    with rasterio.open(named.path) as dataset:
        assert named.path.name + SUFFIX in {Path(name).name for name in dataset.files}
    assert cog_validate(named.path, strict=True) == (True, [], [])


def test_a_tile_server_serves_the_map_s_codes_and_colours(named: NamedMap) -> None:
    part = named.codes[TILE : 2 * TILE, 2 * TILE : 3 * TILE]
    with Reader(str(named.path)) as reader:
        tile = reader.tile(COLUMN + 2, ROW + 1, ZOOM, tilesize=TILE)
        palette = reader.colormap
    np.testing.assert_array_equal(tile.array.data[0], part)
    np.testing.assert_array_equal(np.ma.getmaskarray(tile.array)[0], part == NODATA)
    assert {code: palette[code] for code in NAMES} == {code: (*colour(code), 255) for code in NAMES}
    shown = tile.apply_colormap(palette).array
    for code in NAMES:
        assert np.unique(shown.data[:, part == code], axis=1).ravel().tolist() == [*colour(code)]
    assert np.ma.getmaskarray(shown)[:, part == NODATA].all()
    assert not np.ma.getmaskarray(shown)[:, part != NODATA].any()


def test_names_that_no_xml_can_hold_are_written_without_what_it_cannot() -> None:
    # As a row of the database has them that another program wrote.
    names = {0: "Bosque\x07", 1: "Agua\x0bdulce\ufffe", 2: "Nube\ud800"}
    root = ElementTree.fromstring(sidecar_text(legend_of(names)))
    assert [category.text for category in root.iter("Category")] == ["Bosque", "Agua dulce", "Nube"]
    given = {"Bosque\x07seco": 7}
    assert class_names(assign_codes(["bosque seco"], given), given) == {7: "Bosque seco"}
