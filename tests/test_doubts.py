"""What looks like no data although nothing says so, and nodata among data."""

from collections.abc import Sequence
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from upath import UPath

from landcover.areas import pixel_areas
from landcover.errors import LandcoverError
from landcover.grid import Grid
from landcover.imagery.doubts import Doubts, Flat, Inspection, check_flat
from landcover.imagery.mosaic import Mosaic, describe_mosaic
from landcover.imagery.pixels import Pixels
from landcover.imagery.quads import Quad, find_quads, read_header, write_index
from landcover.imagery.radiometry import draw_pixels
from landcover.maps.assembly import find_notices
from landcover.maps.pieces import measure_piece, read_again, read_doubts, write_piece
from landcover.model.sampling import SamplingSettings, sample_polygons
from landcover.windows import split, within
from tests.rasters import ORIGIN, class_layer, mosaic_of, pixel_box, random_values, write_raster
from tests.scenes import CHIAPAS, COSTA_RICA

SCENES = [
    CHIAPAS / "LE70220491999322EDC01_stack.gtif",
    CHIAPAS / "LE70220492002106EDC00_stack.gtif",
    COSTA_RICA / "L5TSR_1986.tif",
    COSTA_RICA / "L5TSR_1986_fixed.tif",
    COSTA_RICA / "L5TSR_2001.tif",
]
SIDE = 1024
GRID = Grid("EPSG:3857", ORIGIN, SIDE, SIDE)
PIXEL = pixel_areas(GRID)(GRID.whole) / 10_000  # hectares

Values = NDArray[np.generic]


def doubts_of(values: Values, valid: NDArray[np.bool_] | None = None, rows: int = SIDE) -> Doubts:
    """Return the doubts about pixels that are all in the area, looked at in strips."""
    shape = values.shape[1:]
    valid = np.ones(shape, bool) if valid is None else valid
    whole = Window(0, 0, shape[1], shape[0])
    inspection = Inspection(GRID)
    for strip in split(whole, rows):
        place = within(strip, whole)
        part = Pixels(values[:, *place], valid[place], np.zeros_like(valid[place]))
        inspection.add(strip, part, np.ones_like(valid[place]))
    return inspection.found


def hectares(values: Values, **more: object) -> dict[float, float]:
    """Return what looks like no data, by the value."""
    flat = doubts_of(values, **more).flat
    return {value: areas.doubtful for value, areas in flat.items() if areas.doubtful}


def land(bands: int = 4, dtype: str = "uint16") -> Values:
    return random_values((bands, SIDE, SIDE), dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("uint16", 0), ("uint16", 65535), ("int16", -9999), ("float32", -9999.0), ("float32", 1e20)],
)
@pytest.mark.parametrize("place", [np.s_[:, :300], np.s_[512:], np.s_[700:900, 40:950]])
def test_a_part_that_holds_one_value_in_all_bands_looks_like_no_data(dtype, fill, place) -> None:
    values = land(dtype=dtype)
    values[:, *place if isinstance(place, tuple) else (place,)] = fill
    count = int((values == np.array(fill, dtype)).all(axis=0).sum())
    ((value, area),) = hectares(values).items()
    assert value == pytest.approx(fill)
    assert area == pytest.approx(count * PIXEL, rel=2e-3)
    for rows in (512, 1024):
        assert doubts_of(values, rows=rows).flat.keys() == {value}
        assert hectares(values, rows=rows) == pytest.approx({value: area})


def test_an_empty_part_beside_dark_pixels_is_known_all_the_same() -> None:
    values = land(dtype="uint8")
    values[:, :512] = 0  # whole blocks, beside which nothing is
    values[3, 600:700, 600:900] = 0
    values[:, 650:660, 650:660] = 0
    assert hectares(values)[0.0] == pytest.approx(512 * SIDE * PIXEL, rel=0.01)


def test_nothing_is_doubtful_about_what_is_masked_or_holds_other_values_in_other_bands() -> None:
    values = land()
    values[:, :200] = 0
    valid = np.ones((SIDE, SIDE), bool)
    valid[:200] = False
    assert doubts_of(values, valid).flat == {}
    values = land()
    values[:3, :200] = 0
    assert doubts_of(values).flat == {}


def test_of_one_band_only_zero_and_the_ends_of_its_type_are_looked_at() -> None:
    values = land(1)
    values[:, :200] = 77
    assert hectares(values) == {}
    for fill in (0, 65535):
        values[:, :200] = fill
        assert list(hectares(values)) == [fill]


def test_grey_imagery_is_not_empty_but_where_it_is_0() -> None:
    grey = np.repeat(random_values((1, SIDE, SIDE), dtype="uint8"), 3, axis=0)
    assert hectares(np.maximum(grey, 1)) == {}
    grey[:, :100] = 0
    assert list(hectares(grey)) == [0.0]


def test_zero_is_doubted_however_it_was_reached(tmp_path: Path) -> None:
    values = 255 - saturating(4)
    doubts = doubts_of(values)
    assert doubts.flat[0.0].doubtful == 0 < doubts.flat[0.0].gradual
    with pytest.raises(LandcoverError, match="holds 0, and nothing declares"):
        check_flat(doubts, mosaic_with(None, tmp_path))


def saturating(bands: int) -> Values:
    """Return land in 8 bits with a cloud that is white in the middle, band after band."""
    rows, columns = np.indices((SIDE, SIDE))
    distance = np.hypot(rows - 500, columns - 480)
    cloud = 700 - distance[None] * np.linspace(0.9, 1.1, bands)[:, None, None]
    return np.clip(np.maximum(cloud, random_values((SIDE, SIDE)) % 200), 0, 255).astype("uint8")


def test_a_cloud_that_saturates_wider_than_blocks_is_none() -> None:
    values = saturating(4)
    flat = doubts_of(values).flat[255.0]
    assert flat.gradual > 100 * PIXEL
    assert hectares(values) == {}


def in_eight_bits(values: Values) -> dict[str, Values]:
    """Return a scene as viewers stretch it: by a number, and each band between percentiles."""
    stretched = {str(by): np.clip(values / by, 0, 255).astype("uint8") for by in (8, 12, 40)}
    for cut in (1, 2, 5):
        low, high = np.percentile(values, [cut, 100 - cut], axis=(1, 2))[:, :, None, None]
        stretched[f"{cut} %"] = np.clip((values - low) / (high - low) * 255, 0, 255).astype("uint8")
    return stretched


@pytest.mark.parametrize("scene", SCENES, ids=[scene.stem for scene in SCENES])
@pytest.mark.parametrize("bands", [[1, 2, 3, 4], [1, 2, 3], [3, 4]])
def test_real_scenes_are_never_taken_for_empty(scene: Path, bands: Sequence[int]) -> None:
    with rasterio.open(scene) as image:
        values = image.read(bands)
    for kind, pixels in {"as it is": values, **in_eight_bits(values)}.items():
        if (pixels == 255).all(axis=0).mean() > 0.8:
            continue  # white as a whole: the defective scene, which has nothing beside
        found = doubts_of(pixels)
        # Stretching makes 0 of what is darkest; elsewhere hardly a pixel is 0 in all bands.
        zero = found.flat.get(0.0, Flat()).hectares if kind == "as it is" else 0
        others = [flat.doubtful for value, flat in found.flat.items() if value]
        assert max([zero, *others]) <= 0.001 * found.seen, kind


@pytest.mark.parametrize("scene", SCENES, ids=[scene.stem for scene in SCENES])
def test_an_empty_part_of_a_real_scene_is_found_in_8_bits_too(scene: Path) -> None:
    with rasterio.open(scene) as image:
        values = image.read([1, 2, 3])
    pixels = in_eight_bits(values)["12"]
    pixels[:, :, 150:] = 0
    assert hectares(pixels)[0.0] == pytest.approx((pixels == 0).all(axis=0).sum() * PIXEL, rel=0.01)


# --- adding up and telling ------------------------------------------------------------------------


def test_doubts_add_up_and_survive_being_written() -> None:
    ours = Doubts(10, {0.0: Flat(1, 2, 3), 7.0: Flat(sharp=1)}, 0.5)
    theirs = Doubts(5, {0.0: Flat(1, 0, 0)}, 0.25)
    both = ours + theirs
    assert both == Doubts(15, {0.0: Flat(2, 2, 3), 7.0: Flat(1)}, 0.75)
    assert Doubts.from_json(both.to_json()) == both


def mosaic_with(nodata: object, folder: Path, values: Values | None = None) -> Mosaic:
    path = write_raster(folder / "a.tif", land()[:, :64, :64] if values is None else values)
    quads = [Quad((read_header(image),)) for image in find_quads(str(path), "it")]
    write_index([quads], folder / "index.parquet")
    bands = {"blue": 1, "green": 2, "red": 3, "nir": 4}
    index = UPath(folder / "index.parquet")
    return describe_mosaic(quads, "here.tif", bands, index, nodata=nodata)


def test_what_is_too_much_is_told_with_share_value_and_what_to_do(tmp_path: Path) -> None:
    found = Doubts(1000, {0.0: Flat(sharp=1.1), 65535.0: Flat(whole=200)})
    with pytest.raises(LandcoverError) as caught:
        check_flat(found, mosaic_with(None, tmp_path))
    for part in ("20.0% of the area", "200.0 ha", "here.tif", "holds 65535", "MOSAIC_NODATA=65535"):
        assert part in str(caught.value)
    assert "MOSAIC_NODATA=none" in str(caught.value)
    with pytest.raises(LandcoverError, match="MOSAIC_NODATA is 0 already, so declare 65535 as"):
        check_flat(found, mosaic_with(0.0, tmp_path))
    check_flat(Doubts(1000, {0.0: Flat(sharp=1.0)}), mosaic_with(None, tmp_path))
    check_flat(Doubts(), mosaic_with(None, tmp_path))


def half_empty() -> Values:
    values = random_values((4, 600, 600))
    values[:, :, 300:] = 0
    return values


def test_an_empty_half_is_told_when_pixels_are_drawn_unless_it_is_declared_or_accepted(
    tmp_path: Path,
) -> None:
    area = pixel_box(0, 0, 600, 600)
    with pytest.raises(LandcoverError, match=r"In 50.0% of the area of interest .* holds 0"):
        draw_pixels(mosaic_with(None, tmp_path, half_empty()), area)
    assert len(draw_pixels(mosaic_with(0.0, tmp_path, half_empty()), area)) == 600 * 300
    assert len(draw_pixels(mosaic_with("none", tmp_path, half_empty()), area)) == 600 * 600


def test_an_empty_part_under_polygons_is_found_among_the_samples(tmp_path: Path) -> None:
    polygons = geopandas.GeoDataFrame(
        {"polygon_id": ["a", "b"], "class_label": ["x", "y"]},
        geometry=[pixel_box(250, 10, 350, 60), pixel_box(10, 10, 60, 60)],
        crs=3857,
    )
    found = sample_polygons(
        mosaic_with(None, tmp_path, half_empty()), polygons, SamplingSettings()
    ).doubts
    assert found.seen == pytest.approx(7500 * PIXEL, rel=2e-3)
    assert found.flat[0.0].sharp == pytest.approx(2500 * PIXEL, rel=2e-3)
    accepted = mosaic_with("none", tmp_path, half_empty())
    assert sample_polygons(accepted, polygons, SamplingSettings()).doubts.flat == {}


def test_nodata_in_some_bands_is_told_with_its_hectares(tmp_path: Path) -> None:
    values = random_values((4, 600, 600))
    values[3, 100:150, 500:560] = 0
    values[:, :100] = 0
    mosaic = mosaic_of([write_raster(tmp_path / "a.tif", values, nodata=0)], tmp_path)
    inspection = Inspection.of(mosaic)
    inside = np.ones((600, 600), bool)
    inside[:, :530] = False
    with mosaic.open() as reader:
        inspection.add(mosaic.grid.whole, reader.read([1, 2, 3, 4], mosaic.grid.whole), inside)
    assert inspection.found.partial == pytest.approx(1500 * PIXEL, rel=2e-3)
    (notice,) = find_notices(inspection.found, "a.tif", mosaic.grid)
    assert str(notice).startswith("3.4 hectares of the mosaic a.tif hold no data in some of the")
    assert find_notices(Doubts(), "a.tif", mosaic.grid) == ()


def test_a_piece_keeps_doubts_for_the_map_that_is_made_of_it(tmp_path: Path) -> None:
    doubts = Doubts(100, {0.0: Flat(sharp=30)}, 1.5)
    codes = np.zeros((SIDE, SIDE), dtype=np.uint8)
    path, window = tmp_path / "piece.tif", GRID.whole
    files = {"piece": UPath(path)}
    piece = measure_piece(window, files, codes, GRID, doubts)
    write_piece(class_layer(), codes, GRID, [2], path, piece.tags)
    assert read_again(window, files, str(path)) == piece
    assert read_doubts(str(path)) == doubts
    with pytest.raises(LandcoverError, match=r"In 30.0% of the area of interest"):
        check_flat(piece.doubts, mosaic_with(None, tmp_path))
    write_piece(class_layer(), codes, GRID, [2], path)
    assert read_doubts(str(path)) == Doubts()
