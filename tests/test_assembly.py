"""The finished map: found to be what its pieces are."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from rasterio import CRS
from rasterio.windows import Window
from upath import UPath

from landcover.errors import LandcoverError
from landcover.grid import Grid
from landcover.maps.assembly import (
    assemble_counted,
    check_complete,
    share_of_low_confidence,
    share_of_sieved,
)
from landcover.maps.pieces import Piece, Plan, write_piece
from tests.rasters import NUMBERS, ORIGIN, class_layer

WINDOWS = (Window(0, 0, 512, 512), Window(512, 0, 512, 512))
PLAN = Plan(
    UPath("work"),
    Grid("EPSG:3857", ORIGIN, 1024, 512),
    WINDOWS,
    (),
    (class_layer(), NUMBERS),
    thumbnails=None,
    code="",
)


def pieces(*sieved: int) -> list[Piece]:
    """Return pieces of 100 pixels each."""
    return [
        Piece(window, {}, {}, Counter({0: 60, 4: 40}), number)
        for window, number in zip(WINDOWS, sieved, strict=True)
    ]


CLASSES = Counter({0: 120, 4: 80})


def test_pixels_that_were_sieved_have_no_confidence_and_all_others_have_one() -> None:
    check_complete(PLAN, pieces(0, 0), [CLASSES, Counter({90: 150, 40: 50})])
    check_complete(PLAN, pieces(3, 2), [CLASSES, Counter({90: 150, 40: 45})])


@pytest.mark.parametrize("known", [194, 196, 200])
def test_a_confidence_of_more_or_fewer_pixels_is_not_published(known: int) -> None:
    with pytest.raises(LandcoverError, match=f"hold 200 and {known} pixels"):
        check_complete(PLAN, pieces(3, 2), [CLASSES, Counter({90: known})])


def test_a_window_without_its_piece_is_not_published() -> None:
    with pytest.raises(LandcoverError, match="not published"):
        check_complete(PLAN, pieces(0, 0)[:1], [Counter({0: 60, 4: 40}), Counter({90: 100})])


@pytest.mark.parametrize(("expected", "held"), [(512 * 512, True), (512 * 512 + 1, False)])
def test_a_layer_that_does_not_hold_what_its_pieces_do_is_not_published(
    tmp_path: Path, expected: int, held: bool
) -> None:
    layer, grid = class_layer(), Grid(CRS.from_epsg(3857).to_wkt(), ORIGIN, 1024, 512)
    piece, window = tmp_path / "piece.tif", WINDOWS[1]
    write_piece(layer, np.ones((512, 512), np.uint8), grid.part(window), (), piece)
    told = pytest.raises(LandcoverError, match="262,144 pixels where its windows hold 262,145")
    with nullcontext() if held else told:
        path = assemble_counted(layer, {piece: window}, grid, (), {}, expected, tmp_path)
        assert path.is_file()


def test_shares_are_of_the_whole_map_also_where_a_part_has_no_confidence() -> None:
    assert share_of_low_confidence(Counter({49: 5, 50: 95}), CLASSES) == 0.025
    assert share_of_sieved(pieces(30, 10)) == 0.2
    assert share_of_low_confidence(Counter(), Counter()) == share_of_sieved([]) == 0
