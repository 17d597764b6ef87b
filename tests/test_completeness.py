"""Nothing lost: gaps are told, work is taken up, results stay whole, one run at a time."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import geopandas
import joblib
import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from rio_cogeo.cogeo import cog_validate
from sqlalchemy import URL, Engine, text

from demo.compare import read_codes
from demo.world import World
from flows import clean_work, mapping, monthly, prepare_data
from landcover.areas import polygon_hectares
from landcover.classes import NODATA
from landcover.errors import LandcoverError
from landcover.files import sha256
from landcover.maps.sieve import margin, sieve
from landcover.period import Period
from tasks.access.database import access
from tasks.access.lock import _lock_session, hold, only_run
from tasks.access.tables import check_tables
from tests.servers.shared import made_once
from tests.test_sieve import sieved_slowly

pytestmark = pytest.mark.usefixtures("prefect_api", "small_pictures")

JUNE = Period(2025, 6)
MONTH = ["--year", "2025", "--month", "6"]
FEW = ["--trees", "5", "--folds", "2"]
SIEVED = ["--smallest_patch", "4"]
POLYGONS = 8  # of each class
MAP = Path("data/predictions/prediction_202506.tif")
CONFIDENCE = Path("data/predictions/confidence_202506.tif")

DONE, FAILED, WRONG = 0, 1, 2


@pytest.fixture
def world(landscape: World, settings: Callable[..., None]) -> World:
    """The month's settings; its quads are all tests', and only read."""
    shutil.copy(landscape.aoi, "aoi.geojson")
    polygons = geopandas.read_file(landscape.polygons)
    few = polygons.groupby(["month", "class_label"]).head(POLYGONS)
    few.to_file("polygons.gpkg", layer="training_polygons")
    settings(
        PLANET_MOSAIC_DIR=landscape.mosaic_dir / "2025" / "06",
        MOSAIC_PATTERN="*.tif",
        AOI_DEFINITION="aoi.geojson",
        TRAINING_POLYGON_TABLE="polygons.gpkg",
        TRAINING_POLYGON_CLASS_COL="class_label",
        TRAINING_POLYGON_ID_COL="id",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    return landscape


@pytest.fixture
def own_quads(world: World, settings: Callable[..., None]) -> None:
    """The month's quads in a folder of the test's own, to be spoiled."""
    shutil.copytree(world.mosaic_dir / "2025" / "06", "quads")
    settings(PLANET_MOSAIC_DIR="quads")


@pytest.fixture
def mapped_month(world: World, session_folder: Path) -> Path:
    """The results of an undisturbed month, as the first test to ask for them has made them."""

    def make(path: Path) -> None:
        assert run() == DONE
        Path("data").rename(path)

    return made_once(session_folder / "a mapped month", make)


@pytest.fixture
def mapped(mapped_month: Path) -> None:
    """An undisturbed month in the working folder."""
    shutil.copytree(mapped_month, "data")


@pytest.fixture
def predicted(mapped_month: Path, session_folder: Path) -> None:
    """A month in the working folder that was stopped once its windows were predicted and sieved."""

    def make(path: Path) -> None:
        with pytest.MonkeyPatch.context() as stopped:
            after_prediction(stopped, stop)
            assert run(*SIEVED) == FAILED
        Path("data").rename(path)

    shutil.copytree(made_once(session_folder / "a predicted month", make), "data")


Codes = dict[Path, NDArray[np.uint8]]


@pytest.fixture
def mapped_codes(mapped_month: Path) -> Codes:
    """The map and the confidence of an undisturbed month."""
    return {path: read_codes(mapped_month / path.relative_to("data")) for path in (MAP, CONFIDENCE)}


def run(*options: str) -> int:
    return monthly.main([*MONTH, *FEW, *options])


def error(capfd: pytest.CaptureFixture[str]) -> str:
    (told,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Error: ")]
    return told


def rows() -> list[dict[str, Any]]:
    """Return the details of all maps that are recorded."""
    with closing(sqlite3.connect("data/chocoforest.db")) as database:
        found = database.execute("SELECT details FROM raster_predictions").fetchall()
    return [json.loads(details) for (details,) in found]


def details() -> dict[str, Any]:
    (found,) = rows()
    return found


def quads() -> list[Path]:
    return sorted(Path("quads").glob("*.tif"))


def area_in(quad: Path) -> float:
    """Return the true hectares of the area of interest in a quad."""
    area = geopandas.read_file("aoi.geojson").to_crs(3857).union_all()
    with rasterio.open(quad) as image:
        return polygon_hectares(area & shapely.box(*image.bounds), image.crs.to_wkt())


def blank(quad: Path, rows: slice = slice(None)) -> None:
    """Make rows of a quad transparent."""
    with rasterio.open(quad, "r+") as image:
        alpha = image.count
        mask = image.read(alpha)
        mask[rows] = 0
        image.write(mask, alpha)


# --- gaps -----------------------------------------------------------------------------------------


def test_a_missing_and_an_empty_quad_end_the_run_by_name_and_allowed_gaps_are_counted(
    own_quads: None, capfd, caplog
):
    whole = quads()
    missing, empty, half = whole[1], whole[4], whole[5]
    hectares = {quad: area_in(quad) for quad in (missing, empty)}
    total = sum(area_in(quad) for quad in whole)
    missing.unlink()
    blank(empty)
    blank(half, slice(0, 128))

    assert run() == FAILED
    told = error(capfd)
    share = sum(hectares.values()) / total
    assert f"leaves {share:.2%} of the area of interest uncovered" in told
    assert f"1 quad missing ({missing.stem}: {hectares[missing]:,.1f} ha)" in told
    assert f"1 quad without a valid pixel ({empty.name}: {hectares[empty]:,.1f} ha)" in told
    assert half.name not in told
    assert "--allow_gaps" in told
    assert not MAP.exists()

    assert run("--allow_gaps") == DONE
    assert f"{share:.1%} no imagery" in capfd.readouterr().out
    assert f"leaves {share:.2%} of the area of interest uncovered" in caplog.text
    row = details()
    assert row["without_imagery"] == pytest.approx(share, abs=1e-5)
    assert row["gaps"] == [missing.stem, empty.name]
    assert row["without_data"] > share + 0.5 * area_in(half) / total * 0.9
    codes = read_codes(MAP)
    assert (codes[256:512, :256] == NODATA).all()
    assert (codes[256:512, 256:512] == NODATA).all()


def test_a_quad_that_the_area_does_not_need_may_be_missing_or_empty(own_quads: None, settings):
    north_west, middle, north_east = (quads()[number] for number in (2, 4, 8))
    with rasterio.open(middle) as image:
        west, south, east, north = image.bounds
    area = shapely.box(west - 90, south - 90, east + 90, north - 90)
    settings(AOI_DEFINITION=f"SRID=3857;{area.wkt}")
    north_west.unlink()
    blank(north_east)
    assert run() == DONE
    assert details()["gaps"] == []


# --- the map is what its pieces are ---------------------------------------------------------------


def after_prediction(monkeypatch: pytest.MonkeyPatch, act: Callable[[Any], None]) -> None:
    """Do something to the plan's files once all windows are predicted."""
    assemble = mapping.assemble_map

    def act_then_assemble(run: Any, plan: Any, *others: Any) -> Any:
        act(plan)
        return assemble(run, plan, *others)

    monkeypatch.setattr(mapping, "assemble_map", act_then_assemble)


@pytest.mark.parametrize("of", ["piece", "confidence"])
def test_a_map_that_lost_a_pixel_of_a_piece_is_not_published(
    predicted: None, of: str, monkeypatch, capfd
):
    def lose_a_pixel(plan: Any) -> None:
        path = plan.pieces(plan.windows[0])[of]
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as piece:
            codes = piece.read(1)
            codes[tuple(np.argwhere(codes != NODATA)[0])] = NODATA
            piece.write(codes, 1)

    after_prediction(monkeypatch, lose_a_pixel)
    assert run() == FAILED
    told = error(capfd)
    assert "pixels where its windows hold" in told
    assert "not published" in told
    assert not list(MAP.parent.iterdir())
    assert rows() == []


@pytest.mark.parametrize("how", ["replaced", "added", "removed"])
def test_imagery_that_changes_while_the_month_is_run_makes_no_map(
    own_quads: None, how: str, monkeypatch, capfd
):
    *_, last = quads()

    def change(_: Any) -> None:
        if how == "replaced":
            blank(last, slice(100, 120))
        elif how == "added":
            shutil.copy(last, "quads/late.tif")
        else:
            last.unlink()

    after_prediction(monkeypatch, change)
    assert run() == FAILED
    told = error(capfd)
    assert f"changed while the month was run ({Path.cwd()}/quads/" in told
    assert ("late.tif" if how == "added" else last.name) in told
    assert not MAP.exists()
    assert rows() == []


# --- work is taken up -----------------------------------------------------------------------------


def stop(_: Any) -> None:
    raise LandcoverError("Stopped on purpose.")


def pieces() -> dict[str, tuple[int, int]]:
    """Return file number and time of each piece by its path in the work folder."""
    found = Path("data/work").rglob("piece_*.tif")
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def another_forest() -> list[str]:
    return ["--trees", "6"]


def a_replaced_quad() -> list[str]:
    blank(quads()[0], slice(100, 120))
    return []


def an_edited_polygon() -> list[str]:
    rows = geopandas.read_file("polygons.gpkg")
    first = rows.index[rows["month"] == "2025-06"][0]
    rows.loc[first, "geometry"] = rows.geometry[first].buffer(8)
    rows.to_file("polygons.gpkg", layer="training_polygons")
    return []


def another_area() -> list[str]:
    rows = geopandas.read_file("aoi.geojson")
    rows.set_geometry(rows.to_crs(3857).buffer(-20).to_crs(rows.crs)).to_file("aoi.geojson")
    return []


def test_only_the_same_work_is_taken_up(own_quads: None, monkeypatch, capfd):
    after_prediction(monkeypatch, stop)
    assert run() == FAILED
    for change in (another_forest, a_replaced_quad, an_edited_polygon, another_area):
        earlier = pieces()
        assert earlier
        assert run(*change()) == FAILED
        found = pieces()
        new = set(found) - set(earlier)
        assert new, change.__name__
        assert len({Path(path).parent for path in new}) == 1
        assert {path: found[path] for path in earlier} == earlier


def test_what_was_predicted_is_not_predicted_again(
    predicted: None, mapped_codes: Codes, monkeypatch, capfd
):
    first = pieces()
    assert first
    taken_up = []
    after_prediction(monkeypatch, lambda _: taken_up.append(pieces()))
    assert run() == DONE
    assert taken_up == [first]
    assert pieces() == {}
    assert np.array_equal(read_codes(MAP), mapped_codes[MAP])


def test_a_month_is_drawn_from_thumbnails_made_while_it_is_predicted(predicted: None, capfd):
    made = {path.name.split("_", 1)[0] for path in Path("data/work").rglob("*_*_*.tif")}
    assert made == {"piece", "confidence", "thumbnail", "sieved4", "sieved4confidence"}
    assert run(*SIEVED) == DONE
    assert not list(Path("data/work").rglob("*.tif"))
    page = (MAP.parent / "report_202506.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2


def test_a_failed_rerun_leaves_files_and_row_as_they_were(
    mapped: None, own_quads: None, monkeypatch, capfd
):
    before = {path: sha256(path) for path in MAP.parent.iterdir()}
    row = details()
    assert row["sha256"] == before[MAP]

    a_replaced_quad()
    after_prediction(monkeypatch, stop)
    assert run() == FAILED
    assert {path: sha256(path) for path in MAP.parent.iterdir()} == before
    assert details() == row


@pytest.mark.parametrize("table", ["ml_models", "raster_predictions"])
def test_what_the_database_does_not_take_is_not_published(
    mapped: None, own_quads: None, table: str, capfd
):
    folder = {"ml_models": Path("data/models"), "raster_predictions": MAP.parent}[table]
    before = {path: sha256(path) for path in folder.iterdir()}
    row = details()
    with closing(sqlite3.connect("data/chocoforest.db")) as database:
        refusing = "WHEN NEW.month = 6 BEGIN SELECT RAISE(ABORT, 'not today'); END"
        database.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} {refusing}")
    assert run() == WRONG
    assert "does not take a run's rows (not today)" in capfd.readouterr().err
    assert {path: sha256(path) for path in folder.iterdir()} == before
    assert details() == row


def make_hole(path: Path) -> None:
    """Lose the pixels of a map, but not the file."""
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.write(np.full(dataset.shape, NODATA, np.uint8), 1)


def test_a_window_whose_map_the_disk_lost_is_made_again(
    predicted: None, mapped_codes: Codes, caplog, capfd
):
    # Of each window another file.
    kinds = ("piece", "confidence", "sieved4", "sieved4confidence")
    lost = [
        sorted(Path("data/work").rglob(f"{kind}_*.tif"))[window]
        for window, kind in enumerate(kinds)
    ]
    for path in lost[1:]:
        path.write_bytes(b"")
    make_hole(lost[0])
    assert run(*SIEVED) == DONE
    for path in lost:
        (told,) = [line for line in caplog.messages if path.name in line]
        assert "cannot be read" in told
        assert "so it is made anew" in told
    assert "does not hold what was written" in caplog.text
    assert np.array_equal(read_codes(MAP), sieve(mapped_codes[MAP], 4))
    kept = np.where(mapped_codes[MAP] == read_codes(MAP), mapped_codes[CONFIDENCE], NODATA)
    assert np.array_equal(read_codes(CONFIDENCE), kept)


def test_a_window_that_is_lost_before_it_is_sieved_ends_the_run_by_its_file(
    world: World, hasty: None, monkeypatch, capfd
):
    map_windows = mapping.map_windows

    def lose_the_first(*arguments: Any, **shared: Any) -> list[Any]:
        first, *others = map_windows(*arguments, **shared)
        first.files["piece"].write_bytes(b"")
        return [first, *others]

    monkeypatch.setattr(mapping, "map_windows", lose_the_first)
    assert run(*SIEVED) == FAILED
    told = error(capfd)
    assert "piece_0_0.tif" in told
    assert "cannot be read" in told
    assert not MAP.exists()


def test_the_work_of_a_run_that_was_cut_short_can_be_removed(predicted: None, capfd):
    assert pieces()
    capfd.readouterr()
    assert clean_work.main(MONTH) == DONE
    assert "2025-06: 3 work files or folders removed" in capfd.readouterr().out
    assert not [path for path in Path("data/work").rglob("*") if path.is_file()]
    assert Path("data/models/rf_model_202506.joblib").exists()
    assert clean_work.main(MONTH) == DONE
    assert "2025-06: 0 work files or folders removed" in capfd.readouterr().out


def test_what_a_run_that_was_killed_while_it_published_has_left_is_brought_in_order(
    mapped: None, caplog
):
    before = {path: sha256(path) for path in MAP.parent.iterdir()}
    for path in (MAP, CONFIDENCE):
        path.rename(path.with_name(f".{path.name}.earlier"))
        path.write_bytes(b"a map without its row")
    index = Path("data/work/mosaic_202506.parquet")
    for half in (MAP, Path("data/models/rf_model_202506.joblib"), index):
        half.with_name(f".{half.name}.unfinished").write_bytes(b"half")
    left = Path("data/work/202506/unfinished-1/piece.tif")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    # Another month's run may be at it.
    listing = MAP.with_name(".collection.json.unfinished")
    listing.write_bytes(b"half")
    assert clean_work.main(MONTH) == DONE
    assert f"{MAP.name} is the earlier file again" in caplog.text
    listing.unlink()
    assert {path: sha256(path) for path in MAP.parent.iterdir()} == before
    assert details()["sha256"] == before[MAP]
    assert not list(Path("data").rglob("*unfinished*"))


# --- one at a time --------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgis"])
def database(request: pytest.FixtureRequest, world: World) -> None:
    if request.param == "postgis":
        request.getfixturevalue("in_database")
    else:
        Path("data").mkdir()


@pytest.mark.usefixtures("database")
def test_the_second_run_of_a_month_stops_with_a_sentence_and_another_month_runs(capfd):
    check_tables(None, JUNE)
    with only_run(JUNE, None):
        assert run() == FAILED
        assert (
            "Another run of 2025-06 is at work on the same database: wait for its end, or cancel it"
            in error(capfd)
        )
        assert not MAP.exists()
        assert prepare_data.main(["--year", "2025", "--month", "5"]) == DONE


def cut_locks(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 300000) FROM pg_locks WHERE locktype = 'advisory'"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )


def test_a_lock_whose_connection_was_cut_is_taken_again(world: World, in_database, engine: Engine):
    with only_run(JUNE, None):
        cut_locks(engine)
        hold(JUNE)
        with pytest.raises(LandcoverError, match="Another run of 2025-06"), only_run(JUNE, None):
            pass
        hold(JUNE)


@contextmanager
def another_run_at_work() -> Iterator[None]:
    """Hold June's lock as a run of another process does."""
    check_tables(None, JUNE)
    with _lock_session(*access(None), JUNE):
        yield


def test_a_run_that_lost_its_lock_to_another_publishes_nothing(
    world: World, in_database, engine: Engine, monkeypatch, capfd
):
    with ExitStack() as others:

        def lose_the_lock(_: Any) -> None:
            cut_locks(engine)
            others.enter_context(another_run_at_work())

        after_prediction(monkeypatch, lose_the_lock)
        assert run() == FAILED
        assert "Another run of 2025-06 is at work" in error(capfd)
    assert not MAP.exists()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM raster_predictions")) == 0


def test_a_lock_is_of_a_database(world: World, in_database: URL, settings):
    with another_run_at_work():
        with pytest.raises(LandcoverError, match="Another run of 2025-06"), only_run(JUNE, None):
            pass
        settings(DB_HOST=None)
        Path("data").mkdir()
        with only_run(JUNE, None):
            assert Path("data/chocoforest.db.202506.lock").exists()


# --- confidence and smallest patches --------------------------------------------------------------


def test_the_confidence_is_the_probability_that_the_model_gives_the_class_of_the_map(
    own_quads: None, capfd
):
    assert run() == DONE
    codes, sure = read_codes(MAP), read_codes(CONFIDENCE)
    assert cog_validate(CONFIDENCE, strict=True) == (True, [], [])
    with rasterio.open(MAP) as one, rasterio.open(CONFIDENCE) as other:
        assert (one.transform, one.crs, one.shape) == (other.transform, other.crs, other.shape)
        assert other.nodata == NODATA
    assert np.array_equal(sure == NODATA, codes == NODATA)

    model = joblib.load("data/models/rf_model_202506.joblib")
    tried = 0
    for quad in quads()[3:5]:
        with rasterio.open(quad) as image, rasterio.open(MAP) as mapped:
            values = image.read([1, 2, 3, 4]).reshape(4, -1).T
            column, row = ~mapped.transform @ image.transform @ (0, 0)
        at = np.s_[round(row) : round(row) + 256, round(column) : round(column) + 256]
        inside = (codes[at] != NODATA).ravel()
        votes = model.predict_proba(values[inside]).max(axis=1)
        assert np.abs(sure[at].ravel()[inside] - 100 * votes).max() <= 0.5 + 1e-9
        tried += inside.sum()
    assert tried > 50_000

    low = (sure < 50).sum() / (codes != NODATA).sum()
    assert 0 < low < 0.5
    assert details()["low_confidence"] == pytest.approx(low, abs=1e-4)
    assert f"on {low:.1%} of the map the confidence is below 50%" in capfd.readouterr().out


def test_small_patches_take_the_class_of_what_surrounds_them_and_no_confidence(mapped: None, capfd):
    plain, confidence = read_codes(MAP), read_codes(CONFIDENCE)
    assert run(*SIEVED) == DONE
    sieved = read_codes(MAP)
    # That of the class which a pixel lost says nothing about the class that it took.
    kept = np.where(plain == sieved, confidence, NODATA)
    assert np.array_equal(read_codes(CONFIDENCE), kept)
    share = (plain != sieved).sum() / (plain != NODATA).sum()
    assert details()["sieved"] == pytest.approx(share, abs=1e-6)
    low = (kept < 50).sum() / (plain != NODATA).sum()
    assert details()["low_confidence"] == pytest.approx(low, abs=1e-4)
    assert f"{share:.1%} of the map took the class of what surrounds" in capfd.readouterr().out
    assert (plain != sieved).sum() > 100
    # Across the border of windows at 512; what lies within the margin is not known from the part.
    for part in (np.s_[400:600, 400:600], np.s_[100:300, 420:620]):
        inner = np.s_[margin(4) : -margin(4), margin(4) : -margin(4)]
        assert (plain[part] != sieved[part]).sum() > 10
        assert np.array_equal(sieved[part][inner], sieved_slowly(plain[part], 4)[inner])
    assert np.array_equal(sieved, sieve(plain, 4))
    pixels = sum(details()["hectares"].values())
    assert pixels == pytest.approx((plain != NODATA).sum() * 4.777314267823516**2 / 1e4, rel=0.01)
