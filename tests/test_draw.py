"""Points drawn from strata: at random in true area, and the same ones by the same seed."""

from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from rasterio.transform import xy
from upath import UPath

from landcover.accuracy.draw import (
    SampleSettings,
    choose,
    draw_window,
    join_drawn,
    share_out,
)
from landcover.accuracy.sample_files import Sample, read_key, write_key, write_plots, write_points
from landcover.accuracy.strata import Strata, strata_of_classes
from landcover.areas import areas_of, interpolated_areas
from landcover.errors import LandcoverError
from landcover.geometry import to_lonlat
from landcover.grid import Grid
from landcover.maps.measure import measure_codes
from landcover.windows import split
from tests.records import MERCATOR, grid_of_maps

STRATA = strata_of_classes({0: "Forest", 1: "Pasture", 2: "Cloud"}, ["Forest"], ["Cloud"])
SIDE = 700


@pytest.fixture(scope="module")
def codes():
    found = (np.random.default_rng(1).random((SIDE, SIDE)) < 0.1).astype(np.uint8)
    found[:20], found[-9:] = 255, 2
    found[300, 300:303] = 1
    return found


def drawn_in(codes, size: int, seed: int = 42, strata: Strata = STRATA, grid: Grid | None = None):
    grid = grid or grid_of_maps(*codes.shape)
    drawn = join_drawn([])
    for window in split(grid.whole, size, size):
        found = draw_window(codes[window.toslices()], window, grid, strata, seed, drawn)
        drawn = join_drawn([drawn, found])
    return drawn


def sample_of(codes, size: int = 1024, seed: int = 42, **settings: object) -> pd.DataFrame:
    drawn = drawn_in(codes, size, seed)
    shares = share_out(drawn, STRATA, SampleSettings(size=300, **settings))
    return choose(drawn, shares, grid_of_maps(*codes.shape), seed)


def test_the_same_seed_draws_the_same_points_however_the_map_is_read(codes):
    once = sample_of(codes, 1024)
    assert once.equals(sample_of(codes, 512))
    assert not once.equals(sample_of(codes, seed=43))


def test_points_lie_in_their_strata_and_none_twice(codes):
    points = sample_of(codes, allocation="equal")
    assert points["id"].tolist() == list(range(1, 301))
    assert not points.duplicated(["row", "column"]).any()
    found = codes[points["row"], points["column"]]
    assert np.array_equal(found, points["stratum"].map({"Forest": 0, "Pasture": 1}))
    assert points["stratum"].value_counts().to_dict() == {"Forest": 150, "Pasture": 150}
    grid = grid_of_maps(SIDE, SIDE)
    lons, lats = to_lonlat(grid.crs).transform(*xy(grid.transform, points["row"], points["column"]))
    assert np.allclose(points[["lon", "lat"]], np.transpose([lons, lats]), atol=1e-7)


def test_ids_tell_nothing_of_strata(codes):
    points = sample_of(codes, allocation="equal")
    # As many of the one in the first half as chance would have it (standard deviation 4.3).
    assert abs(int((points["stratum"][:150] == "Forest").sum()) - 75) < 15
    # Nor is one stratum's order that of the map.
    forest = points[points["stratum"] == "Forest"]
    assert abs(np.corrcoef(forest["id"], forest["row"])[0, 1]) < 0.25


def test_the_chance_of_a_pixel_is_in_proportion_to_its_true_area():
    # From 72 degrees north to 60: a pixel of the lowest row is 2.6 times as large as the highest.
    grid = Grid(MERCATOR, Affine(4000, 0, 0, 0, -4000, 11_700_000), 100, 800)
    codes = np.zeros((800, 100), np.uint8)
    areas = interpolated_areas(grid, grid.whole)
    columns, rows = np.meshgrid(np.arange(100) + 0.5, np.arange(800) + 0.5)
    assert np.allclose(areas, areas_of(grid, columns, rows), rtol=2e-3)
    assert areas[-1, 0] > 2.5 * areas[0, 0]

    rows = np.concatenate(
        [drawn_in(codes, 512, seed, grid=grid).candidates["row"][:500] for seed in range(20)]
    )
    # 10 000 points in eight strips of equal height: with equal chances each would have 1250.
    found = np.bincount(rows // 100, minlength=8)
    expected = 10_000 * areas.reshape(8, -1).sum(axis=1) / areas.sum()
    assert expected.min() < 900
    assert expected.max() > 1700
    assert (((found - expected) ** 2) / expected).sum() < 24.3  # chi-squared, p = 0.001


def test_strata_are_measured_in_true_hectares(codes):
    drawn = drawn_in(codes, 512)
    pixels, hectares = measure_codes(codes, grid_of_maps(SIDE, SIDE))
    assert drawn.pixels == {0: pixels[0], 1: pixels[1], 2: pixels[2]}
    assert drawn.hectares == pytest.approx(hectares)


def test_a_stratum_of_few_pixels_is_taken_whole(codes):
    rare = np.where(codes == 1, 0, codes)
    rare[300, 300:303] = 1
    drawn = drawn_in(rare, 512)
    shares = share_out(drawn, STRATA, SampleSettings(size=100))
    assert [(share.points, share.wanted) for share in shares] == [(50, 50), (3, 50)]
    points = choose(drawn, shares, grid_of_maps(SIDE, SIDE), 42)
    assert sorted(points[points["stratum"] == "Pasture"]["column"]) == [300, 301, 302]


def test_more_points_than_people_can_look_at_are_refused(codes):
    drawn = drawn_in(codes, 1024)
    with pytest.raises(LandcoverError, match="takes 90,000 points, and at most 3,000"):
        share_out(drawn, STRATA, SampleSettings(standard_error=0.001))
    with pytest.raises(LandcoverError, match="4,000 points, and at most 3,000"):
        share_out(drawn, STRATA, SampleSettings(size=10, at_least=2000))
    # Of the conjectured accuracies, 0.9 in each stratum.
    assert sum(share.points for share in share_out(drawn, STRATA, SampleSettings())) == 900


def test_what_interpreters_get_holds_places_and_nothing_of_the_map(codes, tmp_path: Path):
    points = sample_of(codes)
    write_points(points, tmp_path / "sample_202506.gpkg")
    write_plots(points, tmp_path / "sample_202506_ceo.csv")
    read = geopandas.read_file(tmp_path / "sample_202506.gpkg")
    assert list(read.columns) == ["id", "geometry"]
    assert read.crs.to_epsg() == 4326
    assert pd.api.types.is_integer_dtype(read["id"])
    assert set(read.geometry.geom_type) == {"Point"}
    plots = (tmp_path / "sample_202506_ceo.csv").read_text()
    assert plots.splitlines()[0] == "LON,LAT,PLOTID"
    assert '"' not in plots
    first = points.iloc[0]
    assert plots.splitlines()[1] == f"{first['lon']:.7f},{first['lat']:.7f},1"
    for path in tmp_path.iterdir():
        content = path.read_bytes().lower()
        assert not any(word in content for word in (b"forest", b"pasture", b"strat", b"mapped"))


def test_the_same_points_are_the_same_files(codes, tmp_path: Path):
    points = sample_of(codes)
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        write_points(points, folder / "sample.gpkg")
        write_key(Sample(points, {"seed": 42}), folder / "key.parquet")
    for name in ("sample.gpkg", "key.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_key_is_read_as_it_was_written_and_another_file_is_refused(codes, tmp_path: Path):
    sample = Sample(sample_of(codes), {"of": "prediction", "classes": ["Bosque húmedo"]})
    path = UPath(tmp_path / "sample_202506_key.parquet")
    write_key(sample, tmp_path / path.name)
    found = read_key(path)
    assert found.points.equals(sample.points)
    assert found.design == replace(sample).design
    sample.points.to_parquet(path)
    with pytest.raises(LandcoverError, match="is not the key of a sample"):
        read_key(path)
    path.write_bytes(b"PAR1, but damaged")
    with pytest.raises(LandcoverError, match="is not the key of a sample"):
        read_key(path)
