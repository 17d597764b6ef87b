"""The record: rasters that keep the whole state, as GDAL and other programs read them."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rio_cogeo.cogeo import cog_validate
from rio_tiler.io import Reader

from landcover.change.record import check_same_grid, record_layers
from landcover.change.rule import CONFIRMED, NOT_KNOWN, OUTSIDE, WARNING, new_state, update
from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.grid import Grid
from landcover.period import Period
from tests.rasters import ORIGIN, RESOLUTION, write_raster
from tests.records import (
    CLOUD,
    FOREST,
    MERCATOR,
    NON_FOREST,
    SAYS,
    Record,
    follow,
    grid_of_maps,
    write_map,
)

MONTHS = [Period(2024, month) for month in range(1, 7)]
HEIGHT, WIDTH = 700, 1100
GRID = grid_of_maps(HEIGHT, WIDTH)


def noisy_codes(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    codes = random.choice([FOREST, FOREST, NON_FOREST, CLOUD, NODATA], (HEIGHT, WIDTH))
    return codes.astype(np.uint8)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("record")
    codes = [noisy_codes(number) for number in range(len(MONTHS))]
    for number, month in enumerate(codes):
        month[100:160, 200:260] = FOREST if number < 2 else NON_FOREST
        month[400:460, 200:260] = FOREST if number < 4 else NON_FOREST
    maps = [write_map(folder, *month) for month in zip(MONTHS, codes, strict=True)]
    area = shapely.box(*GRID.bounds).difference(shapely.box(*GRID.part(_corner()).bounds))
    return follow(Record(folder / "record", GRID, area=area), maps)


def _corner() -> rasterio.windows.Window:
    return rasterio.windows.Window(1000, 0, 100, 90)


def test_the_record_keeps_the_very_state_that_the_rule_computed(record: Record) -> None:
    inside = np.ones((HEIGHT, WIDTH), bool)
    inside[:90, 1000:] = False
    state = new_state(inside)
    for month in MONTHS:
        codes, confidence = (
            rasterio.open(record.folder.parent / f"{what}_{month.key}.tif").read(1)
            for what in ("prediction", "confidence")
        )
        state = update(state, codes, confidence, SAYS, month, record.settings)
    for ours, computed in zip(record.state(), state, strict=True):
        np.testing.assert_array_equal(ours, computed)
    assert set(np.unique(state.status)) == {0, 1, WARNING, CONFIRMED, NOT_KNOWN, OUTSIDE}


def test_the_rasters_are_cogs_with_their_legend(record: Record) -> None:
    for layer in record_layers(MONTHS[-1]):
        assert cog_validate(record.folder / layer.file, strict=True) == (True, [], [])
    with rasterio.open(record.folder / "deforestation_202406.tif") as dataset:
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata == OUTSIDE
        assert dataset.tags(1)["class_3"] == "Confirmed loss"
        assert dataset.colormap(1)[CONFIRMED][:3] == (215, 25, 28)
        assert dataset.overviews(1) == [2, 4]
    with rasterio.open(record.folder / "last_seen_202406.tif") as dataset:
        assert (dataset.dtypes, dataset.nodata) == (("int16",), -1)
        seen = dataset.read(1)
    assert set(np.unique(seen)) <= {-1, *(_days(month) for month in MONTHS)}


def _days(month: Period) -> int:
    return (month.start - date(2014, 12, 31)).days


def test_global_forest_watch_reads_the_alerts(record: Record) -> None:
    """Their raster is decoded by division, their tiles by the colours that it makes of it."""
    with rasterio.open(record.folder / "alerts_202406.tif") as dataset:
        assert (dataset.count, dataset.dtypes, dataset.nodata) == (2, ("uint16",) * 2, 0)
        assert dataset.descriptions == ("date_conf", "intensity")
        encoded, intensity = dataset.read()
    for row, month, confidence in ((130, Period(2024, 3), "high"), (430, Period(2024, 5), "low")):
        value = int(encoded[row, 230])
        assert date(2014, 12, 31) + timedelta(days=value % 10_000) == month.start
        assert {2: "low", 3: "high", 4: "highest"}[value // 10_000] == confidence
        red, green = value % 10_000 // 255, value % 10_000 % 255
        blue = (value // 10_000 // 3 + 1) * 100 + int(intensity[row, 230])
        assert max(red, green, blue) < 256
        assert date(2014, 12, 31) + timedelta(days=red * 255 + green) == month.start
        assert {0: "low", 1: "high"}[blue // 100 - 1] == confidence
        assert min(blue % 100 * 50, 255) == 255
    status = record.state().status
    alerted = np.isin(status, (WARNING, CONFIRMED))
    np.testing.assert_array_equal(encoded > 0, alerted)
    np.testing.assert_array_equal(intensity, np.where(alerted, 55, 0))
    np.testing.assert_array_equal(encoded[alerted] // 10_000, status[alerted])


def test_what_is_single_fades_in_overviews(tmp_path: Path) -> None:
    codes = np.full((2048, 2048), FOREST, np.uint8)
    felled = codes.copy()
    felled[:512, :512], felled[1024, 1024] = NON_FOREST, NON_FOREST
    maps = [
        write_map(tmp_path, *month) for month in zip(MONTHS, (codes, codes, felled), strict=False)
    ]
    follow(Record(tmp_path / "record", grid_of_maps(2048, 2048), 1024), maps)
    with Reader(str(tmp_path / "record" / "alerts_202403.tif")) as image:
        encoded, intensity = image.preview(max_size=256).data
    assert encoded[10, 10] == 20_000 + _days(Period(2024, 3))
    assert intensity[10, 10] == 55
    assert intensity[128, 128] <= 1


def test_a_baseline_is_read_from_any_grid_and_must_cover_the_area(tmp_path: Path) -> None:
    grid = grid_of_maps(64, 64)
    maps = [write_map(tmp_path, MONTHS[0], np.full((64, 64), NON_FOREST, np.uint8))]
    baseline = np.ones((1, 40, 40), np.uint8)
    baseline[:, :, 20:] = 0
    coarse = ORIGIN @ rasterio.Affine.translation(-8, -8) @ rasterio.Affine.scale(2)
    path = write_raster(tmp_path / "baseline.tif", baseline, transform=coarse)
    record = follow(Record(tmp_path / "record", grid, baseline=str(path)), maps)
    np.testing.assert_array_equal(record.state().status[0], [WARNING] * 32 + [0] * 32)
    # As where the raster says that what is not forest is no data.
    path = write_raster(tmp_path / "forest.tif", baseline, transform=coarse, nodata=0)
    again = follow(Record(tmp_path / "again", grid, baseline=str(path)), maps)
    np.testing.assert_array_equal(again.state().status, record.state().status)
    baseline[0, 30, 10] = 9
    path = write_raster(tmp_path / "hole.tif", baseline, transform=coarse)
    with pytest.raises(LandcoverError, match=r"does not say whether there was forest everywhere"):
        follow(Record(tmp_path / "hole", grid, baseline=str(path)), maps)
    small = write_raster(tmp_path / "small.tif", np.ones((1, 60, 64), np.uint8))
    with pytest.raises(LandcoverError, match=r"must hold 1 \(forest\) or 0 there"):
        follow(Record(tmp_path / "small", grid, baseline=str(small)), maps)


def test_maps_of_other_grids_are_refused(tmp_path: Path) -> None:
    path = str(write_raster(tmp_path / "map.tif", np.zeros((1, 20, 30), np.uint8)))
    ours = Grid(rasterio.CRS.from_string(MERCATOR).to_wkt(), ORIGIN, 30, 20)
    check_same_grid(path, ours, "the record")
    moved = Grid(ours.crs, ORIGIN @ rasterio.Affine.translation(1, 0), 30, 20)
    larger = Grid(ours.crs, ORIGIN, 31, 20)
    elsewhere = Grid(rasterio.CRS.from_epsg(32617).to_wkt(), ORIGIN, 30, 20)
    for other in (moved, larger, elsewhere):
        with pytest.raises(LandcoverError, match="lies on another grid than the record"):
            check_same_grid(path, other, "the record")
    assert ours.transform.a == RESOLUTION
