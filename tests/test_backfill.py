"""Months in a row: which are left to be mapped, and what comes of them."""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
from prefect.client.orchestration import SyncPrefectClient
from shapely import MultiPolygon

from flows import backfill, monthly
from flows.command import parser_of, read_arguments
from landcover.change.rule import ChangeSettings
from landcover.errors import LandcoverError
from landcover.geometry import LONLAT
from landcover.model.polygons import digest
from landcover.period import Period
from landcover.version import code_version
from tasks import records, review
from tasks.access.settings import AoiSettings, PolygonSettings
from tasks.access.tables import check_tables, ml_models, raster_predictions, replace_row
from tasks.mosaic import look_at_imagery
from tasks.polygons import read_polygons
from tasks.records import REPLACED
from tasks.review import Review
from tests.months import run_of
from tests.rasters import pixel_box, write_raster
from tests.rows import AOI, record, record_map, record_training, training

SIZE = 128
LABELS = {4: "Cacao", 5: "Palm", 6: "Banana"}
ROW = ["--from", "2025-04", "--to", "2025-06", "--trees", "5", "--folds", "2"]
DATABASE, MAPS = Path("data/chocoforest.db"), Path("data/predictions")

api = pytest.mark.usefixtures("prefect_api")


def write_month(folder: Path, month: int, seed: int = 0) -> None:
    """Write a month's imagery: forest in the west, something bright in the east."""
    values = np.random.default_rng(seed).integers(1, 300, (4, SIZE, SIZE)).astype("uint16")
    values[:, :, SIZE // 2 :] += 2000
    write_raster(folder / f"2025-{month:02d}.tif", values, block=64)


def write_polygons(path: Path, labels: Mapping[int, str]) -> None:
    """Write four polygons of forest and four of another class for each month."""
    west = [pixel_box(8, top, 24, top + 8) for top in (8, 40, 72, 104)]
    east = [pixel_box(88, top, 104, top + 8) for top in (8, 40, 72, 104)]
    drawn = [
        {"class": name, "month": f"2025-{month:02d}", "geometry": shape}
        for month, label in labels.items()
        for name, shapes in (("Forest", west), (label, east))
        for shape in shapes
    ]
    path.unlink(missing_ok=True)
    geopandas.GeoDataFrame(drawn, crs=3857).to_file(path, layer="polygons")


@pytest.fixture
def months(tmp_path: Path, settings: Callable[..., None], small_pictures: None) -> Path:
    """Imagery of May and June, and polygons of April, too; each month has a class of its own."""
    folder = tmp_path / "imagery"
    for month in (5, 6):
        write_month(folder, month)
    write_polygons(tmp_path / "polygons.gpkg", LABELS)
    area = pixel_box(0, 0, SIZE, SIZE)
    settings(
        PLANET_MOSAIC_DIR=folder,
        MOSAIC_PATTERN="{year}-{month:02d}.tif",
        AOI_DEFINITION=f"SRID=3857;{area.wkt}",
        TRAINING_POLYGON_TABLE=tmp_path / "polygons.gpkg",
        TRAINING_POLYGON_CLASS_COL="class",
        TRAINING_POLYGON_MONTH_COL="month",
    )
    return folder


def became(said: str) -> dict[str, str]:
    """Return what the last table printed says of each month."""
    return dict(re.findall(r"^(\d{4}-\d{2})  +(\S+(?: \S+)*)", said, re.MULTILINE))


@api
def test_months_in_a_row_are_mapped_but_for_those_that_fail_and_then_only_what_is_left(
    months: Path, client: SyncPrefectClient, shown: Callable[[], str]
):
    assert backfill.main(ROW) == 1
    said = shown()
    assert became(said) == {"2025-04": "failed", "2025-05": "not run", "2025-06": "not run"}
    assert "1 of 3 months failed (2025-04), and 2 after it were not run. 2025-04: Cannot" in said
    assert not DATABASE.exists()

    assert backfill.main([*ROW, "--keep_going"]) == 1
    said = shown()
    maps = {f"2025-{month:02d}": f"prediction_2025{month:02d}.tif" for month in (5, 6)}
    assert became(said) == {"2025-04": "failed", **maps}
    assert re.search(r"^2025-05 .*\.tif +1\.000 +0 +0 +\d+", said, re.MULTILINE)
    assert "1 of 3 months failed (2025-04). 2025-04: Cannot find the mosaic of 2025-04" in said
    assert "Traceback" not in said

    # All labels were given their codes at once, those of the month that failed too.
    with closing(sqlite3.connect(DATABASE)) as database:
        query = "SELECT month, parameters FROM ml_models ORDER BY month"
        models = {month: json.loads(parameters) for month, parameters in database.execute(query)}
    assert {month: model["classes"] for month, model in models.items()} == {
        5: {"Forest": 0, "Palm": 9},
        6: {"Forest": 0, "Banana": 7},
    }

    # Each month is a run of its own, beneath that of the row.
    runs = [client.read_flow_run(model["flow_run_id"]) for model in models.values()]
    assert [run.name for run in runs] == ["2025-05", "2025-06"]
    assert all(run.state.is_completed() and run.parent_task_run_id for run in runs)

    # What is up to date stays as it is.
    before = {path: path.stat().st_mtime_ns for path in MAPS.iterdir()}
    assert backfill.main(["--from=2025-05", "--to=2025-06"]) == 0
    assert "2025-05 to 2025-06: 0 mapped now, 2 were up to date." in shown()
    assert {path: path.stat().st_mtime_ns for path in MAPS.iterdir()} == before


@api
@pytest.mark.usefixtures("months")
def test_a_dry_run_lists_what_is_to_be_done_and_writes_nothing(capfd):
    assert backfill.main([*ROW, "--dry_run"]) == 0
    assert became(capfd.readouterr().out) == {
        "2025-04": "cannot be mapped",
        "2025-05": "to be mapped",
        "2025-06": "to be mapped",
    }
    assert not any(Path().iterdir())


@api
@pytest.mark.usefixtures("months")
def test_what_all_months_lack_is_told_as_what_it_is(settings, shown):
    settings(PLANET_MOSAIC_DIR=None)
    assert backfill.main([*ROW, "--keep_going"]) == 2
    assert "3 of 3 months failed" in (said := shown())
    assert "PLANET_MOSAIC_DIR is not set" in said


def test_months_that_are_none_are_told_with_exit_status_2(capsys):
    for options, told in {
        ("--from=2024-12", "--to=2024-01"): "the first month, 2024-12, is after the last, 2024-01",
        ("--from=2024-13", "--to=2025-01"): "argument --from: 2024-13: write year and month, such",
        ("--from=2024-01", "--to=1900-01"): "argument --to: 1900-01: the year should be from 1972",
        ("--from=2024-01",): "the following arguments are required: --to",
    }.items():
        with pytest.raises(SystemExit) as stopped:
            backfill.main(options)
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


def test_months_are_given_to_a_deployment_as_to_the_command():
    months = read_arguments(backfill.backfill, ROW)["months"]
    assert months.model_dump(by_alias=True) == {"from": "2025-04", "to": "2025-06"}
    assert str(months) == "2025-04 to 2025-06"
    assert months.periods() == [Period(2025, month) for month in (4, 5, 6)]


def test_months_in_a_row_take_the_options_of_one():
    of_row, of_month = (
        set(re.findall(r"^  --(\w+)", parser_of(flow).format_help(), re.MULTILINE))
        for flow in (backfill.backfill, monthly.monthly_pipeline)
    )
    assert of_month - of_row == {
        *("year", "month", "mosaic_path", "other_labels", "month_before", "dask_scheduler"),
    }
    of_record = {"without_record", "since", *ChangeSettings.model_fields}
    of_deployment = {"deployment", "at_once"}
    own = {"from", "to", "keep_going", "dry_run", "other_code", *of_record, *of_deployment}
    assert of_row - of_month == own


def test_several_labels_are_given_in_one_option():
    options = ["--year=2025", "--month=6", "--other-labels", "Oil palm", "Banana", "--trees=5"]
    assert read_arguments(monthly.monthly_pipeline, options)["other_labels"] == (
        "Oil palm",
        "Banana",
    )


# --- which months are left ------------------------------------------------------------------------


def look_at(month: int, other_code: bool = False) -> Review:
    return review.review_month.fn(
        run_of(2025, month, AoiSettings, PolygonSettings), other_code=other_code
    )


def update(column: str, value: str) -> None:
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute(f"UPDATE raster_predictions SET {column} = {value}")


def set_detail(name: str, value: str) -> None:
    update("details", f"json_set(details, '$.{name}', '{value}')")


@pytest.fixture
def may(months: Path) -> Path:
    """The row and the file of a map of May; the file of its imagery."""
    check_tables(None)
    run = run_of(2025, 5, AoiSettings, PolygonSettings)
    image = months / "2025-05.tif"
    run.files.maps.mkdir(parents=True)
    run.files.map.touch()
    with run.tables() as connection:
        model_id = replace_row(
            connection,
            ml_models,
            {
                "model_filename": run.files.model.name,
                "parameters": {"sha256": "of the model"},
                "metrics": {"accuracy": 0.9},
            },
        )
        details = {
            "code_version": code_version(),
            "model_sha256": "of the model",
            "mosaic_fingerprint": look_at_imagery(run, str(image)),
            "polygons_sha256": digest(read_polygons(run)[0]),
            "warnings": ["one", "two"],
        }
        row = {
            "prediction_filename": run.files.map.name,
            "prediction_path": str(run.files.map.absolute()),
            "model_id": model_id,
            "source_mosaic": str(image),
            "aoi_definition": run.area(LONLAT).wkt,
            "details": details,
        }
        replace_row(connection, raster_predictions, row)
    return image


def test_a_month_whose_map_rests_on_what_is_there_now_is_up_to_date(may: Path):
    found = look_at(5)
    assert (found.reasons, found.obstacle, found.by_other_code) == ((), None, False)
    assert found.labels == ("Forest", "Palm")
    found = review.find_map.fn(run_of(2025, 5))
    assert (found.accuracy, found.warnings) == (0.9, 2)
    may.unlink()
    assert look_at(5).reasons == ()


def test_a_month_without_a_map_is_left_and_says_what_it_lacks(may: Path):
    april, june, july = look_at(4), look_at(6), look_at(7)
    assert april.reasons == june.reasons == july.reasons == ("it is not mapped yet",)
    assert june.obstacle is None
    assert "Cannot find the mosaic of 2025-04" in str(april.obstacle)
    assert april.labels == ("Cacao", "Forest")
    write_month(may.parent, 7)
    assert "has no training polygons of 2025-07" in str(look_at(7).obstacle)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: Path("data/predictions/prediction_202505.tif").unlink(), "the file of its map"),
        (lambda _: set_detail(REPLACED, "yes"), "its model was replaced"),
        (lambda image: write_month(image.parent, 5, seed=99), "its imagery has changed"),
        (
            lambda image: write_polygons(image.parents[1] / "polygons.gpkg", {5: "Oil palm"}),
            "its training polygons have changed",
        ),
    ],
)
def test_a_month_is_left_again_where_what_its_map_rests_on_is_another(
    may: Path, change: Callable[[Path], None], reason: str
):
    change(may)
    (found,) = look_at(5).reasons
    assert found.startswith(reason)


def test_a_month_of_another_area_is_left_and_one_of_the_same_written_otherwise_is_not(
    may: Path, settings
):
    area = pixel_box(0, 0, SIZE, SIZE)
    settings(AOI_DEFINITION=f"SRID=3857;{MultiPolygon([area.reverse()]).wkt}")
    assert look_at(5).reasons == ()
    settings(AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, SIZE, SIZE - 1).wkt}")
    assert look_at(5).reasons == ("the area of interest has changed",)


@pytest.mark.usefixtures("may")
def test_a_map_of_another_version_of_the_code_is_made_again_only_if_so_wanted():
    set_detail("code_version", "0.1.0+another")
    assert (look_at(5).reasons, look_at(5).by_other_code) == ((), True)
    assert look_at(5, other_code=True).reasons == ("another version of the code has made its map",)


def test_what_a_row_does_not_say_is_not_compared(may: Path):
    write_month(may.parent, 5, seed=99)
    update("source_mosaic", "'elsewhere.tif'")
    assert look_at(5).reasons == ()
    write_polygons(may.parents[1] / "polygons.gpkg", {5: "Oil palm"})
    update("details", "NULL")
    assert look_at(5).reasons == ()
    assert review.find_map.fn(run_of(2025, 5)).accuracy is None


@api
@pytest.mark.usefixtures("in_database", "months")
def test_rows_in_postgis_are_read_too_and_may_be_missing(settings):
    settings(AOI_DEFINITION=AOI)
    assert look_at(5).reasons == ("it is not mapped yet",)
    record_map(record(2025, 5), 2025, 5)
    assert look_at(5).reasons == ()
    assert review.find_map.fn(run_of(2025, 5)).accuracy == 0.9
    settings(AOI_DEFINITION=AOI.replace("0.2", "0.3"))
    assert look_at(5).reasons == ("the area of interest has changed",)


# --- codes ----------------------------------------------------------------------------------------


@api
@pytest.mark.usefixtures("settings")
def test_codes_that_were_kept_for_other_months_outlast_a_run_that_is_cut_short():
    check_tables(None)
    labels = ("Banana", "Cacao", "Forest", "Palm")
    first = records.load_classes.fn(run_of(2025, 5), labels)
    assert first.codes == {"Forest": 0, "Banana": 7, "Cacao": 8, "Palm": 9}
    assert first.earlier == {}
    made = training(2025, 5, first.codes, "Forest Palm")
    record_training(replace(made, reserved=first.reserved), 2025, 5)

    again = records.load_classes.fn(run_of(2025, 6), (*labels, "Avocado"))
    assert again.codes == {**first.codes, "Avocado": 10}
    # A label that is only kept a code for is new where its month comes.
    assert again.earlier == {"Forest": 0, "Palm": 9}
    clash = training(2025, 6, {}, "Cacao")
    with pytest.raises(LandcoverError, match=r"gave Cacao the class code 7, but .* gave Banana 7"):
        record_training(clash, 2025, 6)
