"""The map: a valid Cloud-Optimized GeoTIFF that holds the pieces, their overviews and the names."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_info, cog_validate

from landcover.classes import colour
from landcover.grid import Grid
from landcover.maps.cog import write_cog
from landcover.maps.measure import count_map
from landcover.maps.pieces import (
    overview_factors,
    piece_factors,
    write_piece,
)
from landcover.windows import split
from tests.rasters import ORIGIN, class_layer, moved

NODATA = 255
SIZE = 1024
WIDTH, HEIGHT = 2 * SIZE + 300, SIZE + 701
NAMES = {0: "Forest", 4: "Water", 7: 'Bosque húmedo <2> & "ñ"', 254: "Last"}
TAGS = {"source_mosaic": "/data/2025/06/*.tif & more", "model": "rf_model_202506.joblib"}
MERCATOR = rasterio.CRS.from_epsg(3857).to_wkt()
GRID = Grid(MERCATOR, ORIGIN, WIDTH, HEIGHT)
LAYER = class_layer(NAMES)


def patchy(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return patches of classes and of nodata, with single pixels of others in them."""
    random = np.random.default_rng(seed)
    coarse = random.choice([*NAMES, NODATA], (height // 37 + 1, width // 37 + 1))
    codes = coarse.repeat(37, axis=0).repeat(37, axis=1)[:height, :width].astype(np.uint8)
    noisy = random.random(codes.shape) < 0.2
    codes[noisy] = random.choice([*NAMES, NODATA], int(noisy.sum()))
    return codes


class Assembled:
    """A map of pieces, two of which are not there, and what it should hold."""

    def __init__(self, folder: Path, grid: Grid = GRID, tags: dict[str, str] | None = None) -> None:
        self.factors = piece_factors(grid, SIZE)
        self.codes = np.full((grid.height, grid.width), NODATA, dtype=np.uint8)
        self.pieces: dict[Path, Window] = {}
        whole = Window(0, 0, grid.width, grid.height)
        for number, window in enumerate(split(whole, SIZE, SIZE)):
            if number in (1, 3):
                continue
            piece = folder / f"piece {number} é.tif"
            part = patchy(window.height, window.width, seed=number)
            write_piece(LAYER, part, grid.part(window), self.factors, piece)
            self.codes[window.toslices()] = part
            self.pieces[piece] = window
        self.path = folder / "prediction_202506.tif"
        self.before = set(folder.iterdir())
        write_cog(LAYER, self.pieces, grid, self.factors, tags or TAGS, self.path)


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Assembled:
    return Assembled(tmp_path_factory.mktemp("cog & more"))


def test_the_map_is_a_valid_cloud_optimized_geotiff_without_warnings(assembled: Assembled) -> None:
    valid, errors, warnings = cog_validate(assembled.path, strict=True)
    assert (valid, errors, warnings) == (True, [], [])


def test_the_map_is_laid_out_as_promised(assembled: Assembled) -> None:
    with rasterio.open(assembled.path) as dataset:
        assert dataset.driver == "GTiff"
        assert dataset.dtypes == ("uint8",)
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "deflate"
        assert dataset.nodata == NODATA
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    for level in cog_info(assembled.path).IFD:
        assert level.Blocksize == (512, 512)


def test_the_map_has_the_mosaic_s_grid_and_crs(assembled: Assembled) -> None:
    with rasterio.open(assembled.path) as dataset:
        assert (dataset.width, dataset.height) == (WIDTH, HEIGHT)
        assert dataset.transform == ORIGIN
        assert dataset.crs == rasterio.CRS.from_epsg(3857)


def test_the_map_holds_the_pieces_and_nodata_where_there_is_none(assembled: Assembled) -> None:
    with rasterio.open(assembled.path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), assembled.codes)
    assert (assembled.codes[:SIZE, SIZE : 2 * SIZE] == NODATA).all()


def test_class_names_and_what_the_map_was_made_of_are_in_the_file(assembled: Assembled) -> None:
    with rasterio.open(assembled.path) as dataset:
        named = {key: name for key, name in dataset.tags(1).items() if key.startswith("class_")}
        assert named == {f"class_{code}": name for code, name in NAMES.items()}
        tags = dataset.tags()
    assert {key: tags[key] for key in TAGS} == TAGS


def test_the_palette_shows_each_class_in_its_colour(assembled: Assembled) -> None:
    with rasterio.open(assembled.path) as dataset:
        assert dataset.colorinterp[0].name == "palette"
        palette = dataset.colormap(1)
    assert {code: palette[code][:3] for code in NAMES} == {code: colour(code) for code in NAMES}
    assert all(palette[code][3] == 255 for code in NAMES)
    assert palette[NODATA][3] == 0


def test_a_map_of_the_whole_world_of_codes_keeps_every_colour(tmp_path: Path) -> None:
    names = {code: f"class {code}" for code in range(NODATA)}
    grid = Grid(MERCATOR, ORIGIN, 512, 512)
    piece = tmp_path / "piece.tif"
    codes = (np.arange(512 * 512).reshape(512, 512) % 256).astype(np.uint8)
    write_piece(LAYER, codes, grid, [], piece)
    write_cog(
        class_layer(names), {piece: Window(0, 0, 512, 512)}, grid, [], {}, tmp_path / "map.tif"
    )
    with rasterio.open(tmp_path / "map.tif") as dataset:
        palette = dataset.colormap(1)
        assert {code: palette[code][:3] for code in names} == {c: colour(c) for c in names}
        assert len(dataset.tags(1)) >= NODATA
        np.testing.assert_array_equal(dataset.read(1), codes)


# --- overviews ------------------------------------------------------------------------------------


def blocks_of(codes: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return (rows, columns, size x size) of the squares of a map, nodata beyond its edges."""
    rows, columns = (-(-side // size) for side in codes.shape)
    whole = np.full((rows * size, columns * size), NODATA, dtype=np.uint8)
    whole[: codes.shape[0], : codes.shape[1]] = codes
    squares = whole.reshape(rows, size, columns, size).swapaxes(1, 2)
    return squares.reshape(rows, columns, size * size)


def votes_of(squares: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels of each square have each code, (codes, rows, columns)."""
    return np.stack([(squares == code).sum(axis=2) for code in NAMES])


def overviews_of(path: Path) -> list[tuple[int, NDArray[np.uint8]]]:
    found = []
    with rasterio.open(path) as dataset:
        factors = dataset.overviews(1)
    for level, factor in enumerate(factors):
        with rasterio.open(path, overview_level=level) as overview:
            found.append((factor, overview.read(1)))
    return found


def test_the_tiles_of_pieces_are_copied_as_they_are_and_nodata_takes_no_room(
    assembled: Assembled,
) -> None:
    """What is decoded and compressed again takes most of the time of an assembly."""
    content = assembled.path.read_bytes()
    copied = 0
    with rasterio.open(assembled.path) as built:
        for piece, window in assembled.pieces.items():
            with rasterio.open(piece) as part:
                for (row, column), block in part.block_windows(1):
                    start, size = place_of(part, row, column)
                    tile = piece.read_bytes()[start : start + size]
                    codes = part.read(1, window=block)
                    at = row + window.row_off // 512, column + window.col_off // 512
                    if (codes == NODATA).all():
                        assert place_of(built, *at) is None
                        continue
                    start, size = place_of(built, *at)
                    assert content[start : start + size] == tile
                    assert content[start - 4 : start] == size.to_bytes(4, "little")
                    assert content[start + size : start + size + 4] == tile[-4:]
                    copied += 1
        assert copied > 8
        assert place_of(built, 0, SIZE // 512) is None


def place_of(dataset: rasterio.DatasetReader, row: int, column: int) -> tuple[int, int] | None:
    """Return the first byte of a block, and how many it has; None where there is none."""
    found = [
        dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1)
        for what in ("OFFSET", "SIZE")
    ]
    return None if None in found else tuple(map(int, found))


def test_there_are_overviews_down_to_one_block(assembled: Assembled) -> None:
    overviews = overviews_of(assembled.path)
    assert [factor for factor, _ in overviews] == [2, 4, 8]
    assert max(overviews[-1][1].shape) <= 512 < max(overviews[-2][1].shape)
    for factor, codes in overviews:
        assert codes.shape == (-(-HEIGHT // factor), -(-WIDTH // factor))


def test_an_overview_pixel_is_the_mode_of_the_four_below_it(assembled: Assembled) -> None:
    below = assembled.codes
    for _, codes in overviews_of(assembled.path):
        votes = votes_of(blocks_of(below, 2))
        most = votes.max(axis=0)
        assert ((codes == NODATA) == (most == 0)).all()
        of_code = np.stack([codes == code for code in NAMES])
        chosen = (votes * of_code).sum(axis=0)
        np.testing.assert_array_equal(chosen, most)
        unambiguous = (votes == most).sum(axis=0) == 1
        modes = np.array(list(NAMES), dtype=np.uint8)[votes.argmax(axis=0)]
        np.testing.assert_array_equal(codes[unambiguous], modes[unambiguous])
        below = codes


def test_no_overview_shows_a_class_that_is_not_below_it(assembled: Assembled) -> None:
    for factor, codes in overviews_of(assembled.path):
        votes = votes_of(blocks_of(assembled.codes, factor))
        of_code = np.stack([codes == code for code in NAMES])
        assert (votes[of_code] > 0).all()
        assert (votes.sum(axis=0)[codes == NODATA] == 0).all()
        assert set(np.unique(codes)) <= {*NAMES, NODATA}


def test_where_all_is_one_class_every_overview_shows_it(tmp_path: Path) -> None:
    grid = Grid(MERCATOR, ORIGIN, SIZE, SIZE)
    codes = np.full((SIZE, SIZE), 4, dtype=np.uint8)
    codes[:, : SIZE // 2] = 0
    piece = tmp_path / "piece.tif"
    write_piece(LAYER, codes, grid, [2], piece)
    write_cog(LAYER, {piece: Window(0, 0, SIZE, SIZE)}, grid, [2], {}, tmp_path / "map.tif")
    ((_, overview),) = overviews_of(tmp_path / "map.tif")
    assert (overview[:, :256] == 0).all()
    assert (overview[:, 256:] == 4).all()


# --- what is left beside it -----------------------------------------------------------------------


def test_nothing_is_left_beside_the_map(assembled: Assembled) -> None:
    assert set(assembled.path.parent.iterdir()) == {*assembled.before, assembled.path}


def test_opening_the_map_writes_nothing_beside_it(assembled: Assembled) -> None:
    with rasterio.open(assembled.path) as dataset:
        dataset.read(1)
        dataset.colormap(1)
    assert not list(assembled.path.parent.glob("*.aux.xml"))


def test_what_an_earlier_run_left_half_written_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "prediction_202506.tif").write_bytes(b"half a map")
    assembled = Assembled(tmp_path)
    with rasterio.open(assembled.path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), assembled.codes)


def swap_for_a_sparse_one(piece: Path) -> None:
    """Put a file in a piece's place that lacks one of its blocks."""
    with rasterio.open(piece) as dataset:
        profile, codes = dataset.profile, dataset.read(1)
    codes[:512, :512] = NODATA
    with rasterio.open(piece, "w", **profile, sparse_ok=True) as dataset:
        dataset.write(codes, 1)


def move(piece: Path) -> None:
    with rasterio.open(piece, "r+", ignore_cog_layout_break=True) as dataset:
        dataset.transform = dataset.transform @ Affine.translation(0.4, 0)


SPOILED = {
    "gone": Path.unlink,
    "garbled": lambda piece: piece.write_bytes(b"no image" * 9),
    "cut short": lambda piece: os.truncate(piece, piece.stat().st_size - 9000),
    "without a block": swap_for_a_sparse_one,
    "moved": move,
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_piece_that_cannot_be_read_is_an_error_and_no_hole(tmp_path: Path, how: str) -> None:
    assembled = Assembled(tmp_path)
    piece = list(assembled.pieces)[2]
    SPOILED[how](piece)
    with pytest.raises(RasterioIOError, match=piece.name):
        write_cog(LAYER, assembled.pieces, GRID, assembled.factors, TAGS, tmp_path / "again.tif")
    assert {path.suffix for path in tmp_path.iterdir()} == {".tif"}


# --- other grids ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epsg", "transform"),
    [
        (32617, Affine(10, 0, 600_000, 0, -10, 10_000_000)),
        (4326, Affine(1 / 3600, 0, -79.5, 0, -1 / 3600, 0.25)),
        (3857, moved(4096 * 3, 4096 * 7)),
        (3857, Affine(4.77, 0, -9018430.498, 0, -4.77, 161048.394)),
    ],
)
def test_the_map_lies_on_any_grid_to_the_pixel(
    tmp_path: Path, epsg: int, transform: Affine
) -> None:
    """Pieces abut by rounded coordinates: no block may go missing between them."""
    grid = Grid(rasterio.CRS.from_epsg(epsg).to_wkt(), transform, WIDTH, HEIGHT)
    assembled = Assembled(tmp_path, grid)
    assert cog_validate(assembled.path, strict=True) == (True, [], [])
    with rasterio.open(assembled.path) as dataset:
        assert dataset.transform.almost_equals(transform, precision=1e-9)
        assert (dataset.width, dataset.height) == (WIDTH, HEIGHT)
        assert dataset.crs.to_epsg() == epsg
        np.testing.assert_array_equal(dataset.read(1), assembled.codes)
    for factor, codes in overviews_of(assembled.path):
        blank = (blocks_of(assembled.codes, factor) == NODATA).all(axis=2)
        np.testing.assert_array_equal(codes == NODATA, blank)


def test_a_map_far_larger_than_its_imagery_is_small_and_counted_where_it_is(tmp_path: Path) -> None:
    """A country of 200,000 x 200,000 pixels, of which one window has imagery."""
    grid = Grid(MERCATOR, ORIGIN, 200_000, 200_000)
    window = Window(20 * SIZE, 30 * SIZE, SIZE, SIZE)
    factors, codes = piece_factors(grid, SIZE), patchy(SIZE, SIZE, seed=1)
    piece, path = tmp_path / "piece.tif", tmp_path / "map.tif"
    write_piece(LAYER, codes, grid.part(window), factors, piece)
    write_cog(LAYER, {piece: window}, grid, factors, TAGS, path)
    assert path.stat().st_size < 5_000_000
    counted = count_map(str(path))
    assert counted == {code: (codes == code).sum() for code in NAMES}
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1, window=window), codes)


def test_a_map_smaller_than_a_block_is_valid(tmp_path: Path) -> None:
    grid = Grid(MERCATOR, ORIGIN, 100, 60)
    codes = patchy(60, 100, seed=3)
    assert overview_factors(grid) == []
    piece = tmp_path / "piece.tif"
    write_piece(LAYER, codes, grid, [], piece)
    write_cog(LAYER, {piece: Window(0, 0, 100, 60)}, grid, [], TAGS, tmp_path / "map.tif")
    assert cog_validate(tmp_path / "map.tif", strict=True)[:2] == (True, [])
    with rasterio.open(tmp_path / "map.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), codes)


def test_tags_of_any_characters_are_kept(tmp_path: Path) -> None:
    tags = {"source_mosaic": "<a href='x'>&amp;</a> \"ñ\""}
    with rasterio.open(Assembled(tmp_path, tags=tags).path) as dataset:
        assert dataset.tags()["source_mosaic"] == tags["source_mosaic"]
