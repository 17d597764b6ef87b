"""A run is a value: it pickles without secrets, and knows what it was opened with."""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cloudpickle
import geopandas
import numpy as np
import pytest
import rasterio
from prefect import Task
from rasterio.features import geometry_mask
from sqlalchemy import Engine

from demo.world import World
from flows import mapping, monthly
from landcover.files import scratch
from landcover.model.forest import ForestSettings
from landcover.period import Period
from tasks import run as tasks_run
from tasks.access.settings import (
    AoiSettings,
    FolderSettings,
    MosaicSettings,
    PolygonSettings,
    ReportSettings,
)
from tasks.area_estimates import open_estimates
from tasks.record import open_record
from tasks.run import Run, open_run
from tests.months import NO_BLOCKS, run_of
from tests.servers.environment import of_bucket, of_folders
from tests.servers.swift import Bucket

MAY, JUNE = Period(2025, 5), Period(2025, 6)

MONTH = {"year": 2025, "month": 6, "forest": ForestSettings(trees=5, folds=2), "blocks": NO_BLOCKS}


def settings_of(landscape: World) -> dict[str, object]:
    return {
        "PLANET_MOSAIC_DIR": landscape.mosaic_dir,
        "MOSAIC_PATTERN": landscape.mosaic_pattern,
        "AOI_DEFINITION": landscape.aoi,
        "TRAINING_POLYGON_TABLE": landscape.polygons,
        "TRAINING_POLYGON_CLASS_COL": "class_label",
        "TRAINING_POLYGON_ID_COL": "id",
        "TRAINING_POLYGON_MONTH_COL": "month",
    }


def tasks_of_the_month() -> dict[str, list[tuple[Any, str]]]:
    """Return where each task of the month is looked up, by its name."""
    found: dict[str, list[tuple[Any, str]]] = {}
    for module in (monthly, mapping, tasks_run):
        for name, value in vars(module).items():
            if isinstance(value, Task):
                found.setdefault(value.name, []).append((module, name))
    return found


class Traveller:
    """Lets tasks run on what their arguments are after a journey to another machine."""

    def __init__(self, secrets: list[str]) -> None:
        self.seen: set[str] = set()
        self.secrets = [secret.encode() for secret in secrets]

    def send(self, task: Task[..., Any]) -> Task[..., Any]:
        """Return a task whose arguments and result are pickled, sent, and unpickled."""

        @functools.wraps(task.fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            self.seen.add(task.name)
            args, kwargs = self.travel((args, kwargs))
            return self.travel(task.fn(*args, **kwargs))

        run.__signature__ = inspect.signature(task.fn)  # type: ignore[attr-defined]
        return Task(run, name=task.name, task_run_name=task.task_run_name)

    def travel(self, value: Any) -> Any:
        packed = cloudpickle.dumps(value)
        assert not any(secret in packed for secret in self.secrets)
        return cloudpickle.loads(packed)


@pytest.mark.usefixtures("prefect_api")
def test_every_argument_and_result_of_a_month_on_postgis_and_s3_can_travel(
    landscape: World,
    bucket: Bucket,
    in_database: Any,
    engine: Engine,
    settings: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    geopandas.read_file(landscape.polygons).rename_geometry("geom").to_postgis("polygons", engine)
    for quad in (landscape.mosaic_dir / "2025" / "06").glob("*.tif"):
        bucket.filesystem.put_file(str(quad), f"{bucket.name}/nicfi/2025/06/{quad.name}")
    settings(
        **settings_of(landscape)
        | {
            "PLANET_MOSAIC_DIR": f"{bucket.url}/nicfi",
            "TRAINING_POLYGON_TABLE": "polygons",
            "TRAINING_POLYGON_GEOM_COL": "geom",
            **of_folders(bucket.url),
            **of_bucket(bucket.server),
        }
    )
    traveller = Traveller([bucket.server.secret, in_database.password])
    tasks = tasks_of_the_month()
    for places in tasks.values():
        for module, name in places:
            monkeypatch.setattr(module, name, traveller.send(getattr(module, name)))

    monthly.monthly_pipeline(**MONTH)

    assert traveller.seen == tasks.keys() - {"sieve windows"}
    assert len(traveller.seen) > 12
    predictions = {Path(name).name for name in bucket.filesystem.ls(f"{bucket.name}/predictions")}
    assert predictions >= {"prediction_202506.tif", "confidence_202506.tif", "report_202506.html"}


@pytest.mark.usefixtures("prefect_api")
def test_settings_and_area_that_are_edited_during_a_run_change_nothing_in_it(
    landscape: World, settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    area = Path("area.geojson")
    area.write_bytes(landscape.aoi.read_bytes())
    settings(**settings_of(landscape) | {"AOI_DEFINITION": area})
    find = monthly.find_mosaic

    def find_then_edit(*args: Any) -> Any:
        found = find(*args)
        west, south, _, _ = geopandas.read_file(landscape.aoi).total_bounds
        area.write_text(geopandas.GeoSeries.from_xy([west], [south]).buffer(1e-4).to_json())
        settings(
            AOI_DEFINITION="POLYGON((0 0, 1 0, 1 1, 0 0))",
            MOSAIC_BANDS="blue=9",
            TRAINING_POLYGON_CLASS_COL="no_such_column",
            PREDICTION_OUTPUT_DIR="elsewhere",
            REPORT_LANGUAGE="es",
            DB_HOST="nowhere.invalid",
            DB_NAME="none",
            DB_USER="nobody",
        )
        return found

    monkeypatch.setattr(monthly, "find_mosaic", find_then_edit)
    summary = monthly.monthly_pipeline(**MONTH)

    with rasterio.open("data/predictions/prediction_202506.tif") as image:
        codes = image.read(1)
        aoi = geopandas.read_file(landscape.aoi).to_crs(image.crs).union_all()
        inside = geometry_mask([aoi], codes.shape, image.transform, invert=True)
    assert (codes[inside] != image.nodata).mean() > 0.9
    assert (codes[~inside] == image.nodata).all()
    assert summary.survey is not None
    assert "Land cover" in Path("data/predictions/report_202506.html").read_text("utf-8")
    assert not Path("elsewhere").exists()


def loss_is_brought_up_to_date() -> AbstractContextManager[Run]:
    return open_record(JUNE, NO_BLOCKS)


def loss_is_estimated() -> AbstractContextManager[Run]:
    return open_estimates(JUNE, "deforestation", None, NO_BLOCKS)


@pytest.mark.usefixtures("prefect_api", "settings")
@pytest.mark.parametrize("opened", [loss_is_brought_up_to_date, loss_is_estimated])
def test_a_month_that_begins_leaves_the_work_of_other_runs(
    opened: Callable[[], AbstractContextManager[Run]],
) -> None:
    with (
        opened() as run,
        scratch(run.files.work) as ours,
        scratch(run.of(MAY).files.work) as theirs,
    ):
        for month in (MAY, JUNE):
            with open_run(month, NO_BLOCKS):
                pass
        assert ours.exists()
        assert theirs.exists()


def test_a_run_holds_the_groups_of_settings_that_it_needs_and_no_others(
    settings: Callable[..., None],
) -> None:
    settings(AOI_DEFINITION="POLYGON((0 0, 1 0, 1 1, 0 0))")
    plain, mapped = run_of(2025, 6), run_of(2025, 6, AoiSettings)
    assert all(
        group in plain.settings for group in (FolderSettings, MosaicSettings, ReportSettings)
    )
    assert AoiSettings not in plain.settings
    assert PolygonSettings not in mapped.settings
    assert plain.aoi is None
    assert mapped.area("EPSG:4326").area == pytest.approx(0.5)


def test_a_run_is_its_period_as_text_and_travels_as_it_is(settings: Callable[..., None]) -> None:
    settings(AOI_DEFINITION="POLYGON((0 0, 1 0, 1 1, 0 0))", WORK_DIR="s3://bucket/work")
    run = run_of(2025, 6, AoiSettings)
    again = cloudpickle.loads(cloudpickle.dumps(run))
    assert str(run) == str(again) == "2025-06"
    assert again == run
    assert again.period == Period(2025, 6)
    assert again.files.model.name == "rf_model_202506.joblib"
    assert str(again.files.work) == "s3://bucket/work/202506"
    np.testing.assert_array_equal(again.area("EPSG:3857").bounds, run.area("EPSG:3857").bounds)
