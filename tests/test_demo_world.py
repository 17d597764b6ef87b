"""The demo's world: mosaics, polygons and truth that fit together."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.features import geometry_mask, rasterize

from demo.compare import compare_loss, compare_year, ground_at_the_end, read_codes
from demo.world import HALF_MERCATOR, RESOLUTION, What, World, build_world, power_law_noise
from landcover.change import rule
from landcover.classes import FIXED_CODES, NODATA
from landcover.grid import grid_of
from landcover.period import Period, months_between
from tests.records import CLOUD, FOREST, NON_FOREST, Alerts

# They all look at one world.
pytestmark = pytest.mark.xdist_group("demo world")

SIZE, QUAD_SIZE = 768, 256
CLASSES = {"Forest", "Non-Forest", "Cloud", "Shadow", "Water", "Haze"}
UNCLEAR = [FIXED_CODES[name] for name in ("Cloud", "Shadow", "Haze")]
Array = npt.NDArray[np.generic]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Generate one small world for all tests here."""
    return build_world(tmp_path_factory.mktemp("world"), size=SIZE, quad_size=QUAD_SIZE, seed=7)


@pytest.fixture(scope="module")
def half_year(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Generate half a year, as the demo does."""
    months = months_between(Period(2025, 1), Period(2025, 6))
    folder = tmp_path_factory.mktemp("half a year")
    return build_world(folder, size=SIZE, quad_size=QUAD_SIZE, months=months)


def quads(world: World, month: Period) -> list[Path]:
    """Return a month's quads, found as the pipeline finds them."""
    pattern = world.mosaic_pattern.format(year=month.year, month=month.month)
    return sorted(world.mosaic_dir.glob(pattern))


def read_truth(world: World, month: Period) -> Array:
    """Return the class codes of a month over the whole extent."""
    with rasterio.open(world.truth[month]) as truth:
        return truth.read(1)


def read_mosaic(world: World, month: Period) -> tuple[Array, Array]:
    """Return the bands and the alpha of a month, each quad placed by its own georeference."""
    with rasterio.open(world.truth[month]) as truth:
        to_pixel = ~truth.transform
    bands = np.zeros((4, SIZE, SIZE), dtype=np.uint16)
    alpha = np.zeros((SIZE, SIZE), dtype=np.uint16)
    for path in quads(world, month):
        with rasterio.open(path) as quad:
            column, row = (round(value) for value in to_pixel @ quad.transform @ (0, 0))
            place = (slice(row, row + QUAD_SIZE), slice(column, column + QUAD_SIZE))
            bands[:, *place] = quad.read([1, 2, 3, 4])
            alpha[place] = quad.read(quad.colorinterp.index(ColorInterp.alpha) + 1)
    return bands, alpha


def read_events(world: World) -> dict[str, Array]:
    """Return the pixels of each event, by what happens and when."""
    events = gpd.read_file(world.events)
    with rasterio.open(world.truth[world.months[0]]) as truth:
        shape, transform = truth.shape, truth.transform
    return {
        f"{event.what} {event.month}": geometry_mask(
            [event.geometry], shape, transform, invert=True
        )
        for event in events.to_crs(3857).itertuples()
    }


def read_polygons(world: World) -> gpd.GeoDataFrame:
    """Return the training polygons of both months."""
    return gpd.read_file(world.polygons, layer="training_polygons")


def read_aoi(world: World) -> gpd.GeoDataFrame:
    """Return the area of interest."""
    return gpd.read_file(world.aoi)


def test_quads_abut_on_the_grid_that_their_names_tell(world: World) -> None:
    width = QUAD_SIZE * RESOLUTION
    for month in world.months:
        cells = set()
        for path in quads(world, month):
            column, row = (int(part) for part in path.stem.split("-"))
            cells.add((column, row))
            with rasterio.open(path) as quad:
                assert quad.crs.to_epsg() == 3857
                assert quad.res == (RESOLUTION, RESOLUTION)
                assert quad.shape == (QUAD_SIZE, QUAD_SIZE)
                west, south = quad.bounds.left + HALF_MERCATOR, quad.bounds.bottom + HALF_MERCATOR
            assert west == pytest.approx(column * width, abs=1e-6)
            assert south == pytest.approx(row * width, abs=1e-6)
        west, south = (min(axis) for axis in zip(*cells, strict=True))
        assert cells == {(west + right, south + up) for right in range(3) for up in range(3)}


def test_quads_are_stored_as_planet_does(world: World) -> None:
    with rasterio.open(quads(world, world.months[0])[0]) as quad:
        assert quad.dtypes == ("uint16",) * 5
        assert quad.descriptions == ("blue", "green", "red", "nir", "alpha")
        assert quad.colorinterp[-1].name == "alpha"
        assert quad.block_shapes[0] == (256, 256)
        assert quad.compression.name == "deflate"
        assert quad.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        longitude, latitude = quad.lnglat()
    assert longitude == pytest.approx(-79.3, abs=0.1)
    assert latitude == pytest.approx(0.3, abs=0.1)


def test_truth_is_nodata_where_the_alpha_band_hides_the_imagery(world: World) -> None:
    for month in world.months:
        bands, alpha = read_mosaic(world, month)
        truth = read_truth(world, month)
        assert set(np.unique(alpha)) == {0, 65_535}
        np.testing.assert_array_equal(truth == NODATA, alpha == 0)
        assert not bands[:, alpha == 0].any()
        assert bands[:, alpha > 0].all()
        assert 0.01 < np.mean(alpha == 0) < 0.1


def test_every_class_covers_a_believable_share(world: World) -> None:
    codes = {FIXED_CODES[name] for name in CLASSES}
    for month in world.months:
        truth = read_truth(world, month)
        seen = truth[truth != NODATA]
        assert set(np.unique(seen)) == codes
        assert 0.3 < np.mean(seen == FIXED_CODES["Forest"]) < 0.6
        assert 0.05 < np.mean(seen == FIXED_CODES["Cloud"]) < 0.11
        assert 0.01 < np.mean(seen == FIXED_CODES["Water"]) < 0.08


def test_classes_look_as_they_do_from_space(world: World) -> None:
    bands, _ = read_mosaic(world, world.months[0])
    truth = read_truth(world, world.months[0])
    blue, green, red, nir = (
        {name: np.median(band[truth == FIXED_CODES[name]]) for name in CLASSES} for band in bands
    )
    assert nir["Forest"] > 8 * red["Forest"]
    assert red["Non-Forest"] > 2 * red["Forest"]
    assert nir["Water"] < green["Water"]
    assert blue["Cloud"] > 3 * blue["Non-Forest"]
    assert nir["Shadow"] < 0.6 * nir["Forest"]
    assert blue["Non-Forest"] < blue["Haze"] < blue["Cloud"]


def test_no_seam_shows_where_quads_meet(world: World) -> None:
    bands, alpha = read_mosaic(world, world.months[0])
    step = np.abs(np.diff(bands[3].astype(float), axis=1))
    step[(alpha[:, 1:] == 0) | (alpha[:, :-1] == 0)] = np.nan
    by_column = np.nanmean(step, axis=0)
    seams = by_column[[QUAD_SIZE - 1, 2 * QUAD_SIZE - 1]]
    assert np.all(np.abs(seams - by_column.mean()) < 4 * by_column.std())


def test_aoi_has_two_parts_and_leaves_a_quad_outside(world: World) -> None:
    aoi = read_aoi(world)
    assert aoi.crs.to_epsg() == 4326
    (area,) = aoi.to_crs(3857).geometry
    assert area.is_valid
    assert len(area.geoms) == 2
    with rasterio.open(world.truth[world.months[0]]) as truth:
        inside = geometry_mask([area], truth.shape, truth.transform, invert=True)
        assert area.area == pytest.approx(inside.sum() * RESOLUTION**2, rel=0.01)
    quad_shares = inside.reshape(3, QUAD_SIZE, 3, QUAD_SIZE).mean(axis=(1, 3))
    assert (quad_shares == 0).sum() == 1
    assert (quad_shares > 0.1).sum() >= 6


def test_two_parishes_share_the_aoi_and_one_goes_on_beyond_the_imagery(world: World) -> None:
    parishes, (area,) = gpd.read_file(world.regions), read_aoi(world).geometry
    assert parishes["nombre"].tolist() == ["Caña Brava", "Estero Hondo"]
    assert parishes.union_all().covers(area)
    one, other = parishes.geometry
    assert one.intersection(other).area == pytest.approx(0)
    assert 0.5 < one.intersection(area).area / area.area < 0.8
    with rasterio.open(world.truth[world.months[0]]) as truth:
        east = truth.bounds.right
    assert parishes.to_crs(3857).total_bounds[2] > east


def test_polygons_are_drawn_inside_the_aoi_and_almost_pure(world: World) -> None:
    polygons = read_polygons(world)
    assert polygons.crs.to_epsg() == 4326
    assert polygons["id"].is_unique
    assert polygons.geometry.is_valid.all()
    assert polygons.within(read_aoi(world).union_all()).all()
    for month in world.months:
        with rasterio.open(world.truth[month]) as truth:
            codes, transform = truth.read(1), truth.transform
        drawn = polygons[polygons["month"] == str(month)].to_crs(3857)
        for polygon, name in zip(drawn.geometry, drawn["class_label"], strict=True):
            under = codes[geometry_mask([polygon], codes.shape, transform, invert=True)]
            assert np.mean(under == FIXED_CODES[name]) >= 0.95


def test_polygons_are_as_many_and_as_large_as_a_person_draws(world: World) -> None:
    polygons = read_polygons(world)
    counts = polygons.groupby(["month", "class_label"]).size().unstack()
    assert set(counts.index) == {"2025-05", "2025-06"}
    assert set(counts.columns) == CLASSES
    assert counts.min().min() >= 2
    hectares = polygons.to_crs(3857).area / 10_000
    assert hectares.between(0.1, 2).all()
    corners = polygons.count_coordinates() - 1
    assert corners.between(5, 12).all()


def test_polygons_spread_over_the_aoi_and_are_drawn_anew_each_month(world: World) -> None:
    polygons = read_polygons(world).to_crs(3857)
    may, june = (polygons[polygons["month"] == month] for month in ("2025-05", "2025-06"))
    assert not set(may.geometry.to_wkb()) & set(june.geometry.to_wkb())
    for drawn in (may, june):
        quads_of = (drawn.centroid.get_coordinates() // (QUAD_SIZE * RESOLUTION)).assign(
            class_label=drawn["class_label"]
        )
        spread = quads_of.drop_duplicates().groupby("class_label").size()
        assert (spread >= 3).all()
        assert (spread[["Forest", "Non-Forest"]] >= 6).all()


def test_forest_is_cleared_in_june_inside_the_aoi(world: World) -> None:
    may, june = (read_truth(world, month) for month in world.months)
    cleared = (may == FIXED_CODES["Forest"]) & (june == FIXED_CODES["Non-Forest"])
    assert 25 < cleared.sum() * RESOLUTION**2 / 10_000 < 40
    with rasterio.open(world.truth[world.months[0]]) as truth:
        areas = read_aoi(world).to_crs(3857).geometry
        inside = rasterize(areas, truth.shape, transform=truth.transform).astype(bool)
    assert inside[cleared].all()

    before, after = (
        read_mosaic(world, month)[0][:, cleared].mean(axis=1) for month in world.months
    )
    assert after[2] > 2 * before[2]
    assert after[3] < 0.8 * before[3]


def test_only_the_clearing_changes_under_clear_skies(world: World) -> None:
    may, june = (read_truth(world, month) for month in world.months)
    ground = [FIXED_CODES[name] for name in ("Forest", "Non-Forest", "Water")]
    clear = np.isin(may, ground) & np.isin(june, ground)
    changed = clear & (may != june)
    assert set(may[changed]) == {FIXED_CODES["Forest"]}
    assert set(june[changed]) == {FIXED_CODES["Non-Forest"]}


def test_clouds_are_elsewhere_in_the_other_month(world: World) -> None:
    may, june = (read_truth(world, month) == FIXED_CODES["Cloud"] for month in world.months)
    assert (may & june).sum() < 0.3 * min(may.sum(), june.sum())


def test_forest_falls_where_it_is_seen_clear_often_enough_to_be_sure(half_year: World) -> None:
    events = read_events(half_year)
    months = [read_truth(half_year, month) for month in half_year.months]
    for number, hectares in ((2, 20), (3, 12)):
        felled = events[f"{What.CLEARING} {half_year.months[number]}"]
        assert felled.sum() * RESOLUTION**2 / 10_000 == pytest.approx(hectares, rel=0.01)
        before, after = (
            np.stack([codes[felled] for codes in part]) for part in np.split(months, [number])
        )
        assert set(before[~np.isin(before, UNCLEAR)]) == {FOREST}
        assert set(after[~np.isin(after, UNCLEAR)]) == {NON_FOREST}
        assert ((before == FOREST).sum(axis=0) >= 2).all()
        assert ((after == NON_FOREST).sum(axis=0) >= 3).all()


def test_a_shadow_lies_on_forest_like_a_burn_in_one_month(half_year: World) -> None:
    burnt = read_events(half_year)[f"{What.SHADOW} 2025-04"]
    shaded = half_year.months[3]
    for month in half_year.months:
        if month != shaded:
            assert (read_truth(half_year, month)[burnt] == FOREST).all()
    assert np.mean(read_truth(half_year, shaded)[burnt] == FIXED_CODES["Shadow"]) > 0.8
    before, during = (
        np.median(read_mosaic(half_year, month)[0][3][burnt]) for month in half_year.months[2:4]
    )
    assert during < 0.6 * before


def test_a_field_goes_from_green_to_bare_and_back(half_year: World) -> None:
    field = read_events(half_year)[f"{What.FIELD} 2025-03"]
    greenness = []
    for month in half_year.months:
        codes = read_truth(half_year, month)[field]
        assert set(codes[~np.isin(codes, UNCLEAR)]) <= {NON_FOREST}
        red, nir = (read_mosaic(half_year, month)[0][band][field] for band in (2, 3))
        clear = codes == NON_FOREST
        greenness.append(np.median((nir[clear] - red[clear]) / (nir[clear] + red[clear])))
    green, bare = [greenness[month] for month in (0, 1, 5)], greenness[2:5]
    assert min(green) > max(bare) + 0.2


def test_of_half_a_year_what_was_felled_is_confirmed_and_nothing_else(half_year: World) -> None:
    random = np.random.default_rng(1)
    events = read_events(half_year)
    with rasterio.open(half_year.truth[half_year.months[0]]) as truth:
        alerts = Alerts(grid_of(truth))
    for month in half_year.months:
        codes = read_codes(half_year.truth[month])
        if month == half_year.months[3]:
            codes[events[f"{What.SHADOW} {month}"]] = NON_FOREST
        # A fortieth of each map is wrong, in patches.
        wrong = power_law_noise(random, SIZE, longest=40) > 1.96
        ground = np.where(codes == FOREST, NON_FOREST, FOREST)
        codes = np.where(wrong & np.isin(codes, (FOREST, NON_FOREST)), ground, codes)
        alerts.update(month, np.where(np.isin(codes, UNCLEAR), CLOUD, codes).astype(np.uint8))
    loss = compare_loss(alerts.found, gpd.read_file(half_year.events))
    assert [place.what for place in loss.places if place.confirmed] == [What.CLEARING] * 2
    assert loss.is_right


def test_the_ground_of_a_year_is_what_was_last_seen_of_it(half_year: World, tmp_path: Path) -> None:
    months = [read_codes(half_year.truth[month]) for month in half_year.months]
    ground = ground_at_the_end(months)
    happened = read_events(half_year).items()
    felled = np.any([place for name, place in happened if What.CLEARING in name], axis=0)
    assert set(np.unique(ground)) == {FOREST, NON_FOREST, NODATA}
    assert (ground[felled] == NON_FOREST).all()
    assert (ground[months[0] == FIXED_CODES["Water"]] == NON_FOREST).all()
    # A map that is the truth, but for clearings that it still takes for forest.
    mapped = np.full_like(ground, NODATA)
    mapped[ground == FOREST], mapped[ground == NON_FOREST] = rule.FOREST, rule.NON_FOREST
    mapped[felled] = rule.FOREST
    with rasterio.open(half_year.truth[half_year.months[0]]) as truth:
        profile = truth.profile
    with rasterio.open(tmp_path / "forest.tif", "w", **profile) as dataset:
        dataset.write(mapped, 1)
    truths, events = list(half_year.truth.values()), gpd.read_file(half_year.events)
    found = compare_year(tmp_path / "forest.tif", truths, half_year.aoi, events)
    known = (ground != NODATA).sum()
    assert found.agreement.accuracy == pytest.approx(1 - felled.sum() / known)
    assert found.agreement.recall["Forest"] == 1
    assert (found.unknown, found.fell) == (0, 0)


def test_same_seed_same_world_other_seed_another(world: World, tmp_path: Path) -> None:
    same = build_world(tmp_path / "same", size=SIZE, quad_size=QUAD_SIZE, seed=7)
    other = build_world(tmp_path / "other", size=SIZE, quad_size=QUAD_SIZE, seed=8)
    for month in world.months:
        bands, _ = read_mosaic(world, month)
        np.testing.assert_array_equal(read_mosaic(same, month)[0], bands)
        np.testing.assert_array_equal(read_truth(same, month), read_truth(world, month))
        assert not np.array_equal(read_mosaic(other, month)[0], bands)
        assert not np.array_equal(read_truth(other, month), read_truth(world, month))
    assert read_polygons(same).equals(read_polygons(world))
    assert [path.name for path in quads(same, world.months[0])] == [
        path.name for path in quads(world, world.months[0])
    ]


@pytest.mark.parametrize(("size", "quad_size"), [(800, 256), (768, 384), (512, 256)])
def test_an_extent_that_is_no_grid_of_quads_is_refused(
    tmp_path: Path, size: int, quad_size: int
) -> None:
    with pytest.raises(ValueError, match=f"{size}.*{quad_size}"):
        build_world(tmp_path, size=size, quad_size=quad_size)
