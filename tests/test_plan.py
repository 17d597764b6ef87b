"""The plan of a month's windows: where there is imagery, and as large as the model is fast."""

from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import shapely
from affine import Affine
from prefect.logging import disable_run_logger
from upath import UPath

from landcover import windows
from landcover.files import sha256
from landcover.imagery.mosaic import describe_mosaic
from landcover.maps.lookup import open_predictor
from landcover.maps.pieces import Plan
from landcover.model.forest import ForestSettings, Model, new_pipeline
from tasks import windows as tasks_windows
from tests.months import run_of
from tests.rasters import mosaic_of, random_values, write_raster

BANDS = {"nir": 1}
PIXEL = 30


def model_of(folder: Path, bins: int | None) -> Model:
    random = np.random.default_rng(0)
    values, codes = random.integers(1, 5000, (60, 1)), random.integers(0, 3, 60)
    fitted = new_pipeline(ForestSettings(trees=3, bins=bins), jobs=1).fit(values, codes)
    path = folder / "model.joblib"
    joblib.dump(fitted, path)
    return Model(UPath(path), sha256(path), ("nir",), {0: "Forest", 1: "Water", 2: "Cloud"})


@pytest.fixture
def plan(tmp_path: Path, settings: Callable[..., None]) -> Callable[[int | None], Plan]:
    """Plans a month whose area is 100 times as wide as its three quads."""
    settings()

    def make(bins: int | None) -> Plan:
        quads = [
            write_raster(
                tmp_path / f"{column}.tif",
                random_values((1, 3000, 3000)),
                transform=Affine(PIXEL, 0, column * 3000 * PIXEL, 0, -PIXEL, 0),
                crs="EPSG:3857",
            )
            for column in (0, 1, 50)
        ]
        found = mosaic_of(quads, tmp_path, BANDS)
        # A thousandth of a pixel wide, the area reaches into the next row of windows.
        area = shapely.box(10, -3000 * PIXEL - 0.02, 300_000 * PIXEL, -10)
        mosaic = describe_mosaic(found.quads(), "here", BANDS, found.index, area)
        run = run_of(aoi=f"SRID=3857;{area.wkt}")
        with disable_run_logger():
            return tasks_windows.plan_windows.fn(run, mosaic, model_of(tmp_path, bins))

    return make


def test_windows_are_planned_where_there_is_imagery(plan: Callable[..., Plan]) -> None:
    planned = plan(64)
    assert planned.grid.width == 300_000
    assert {window.row_off // 3000 for window in planned.windows} == {0}
    columns = {window.col_off // 3000 for window in planned.windows}
    assert columns <= {0, 1, 2, 49, 50, 51}
    mapped = sum(window.width * window.height for window in planned.windows)
    assert mapped < 2 * 3 * 3000 * 3000


@pytest.mark.parametrize(("bins", "speed"), [(64, 10e6), (None, 0.2e6)])
def test_windows_of_a_model_without_a_table_take_a_core_a_few_seconds(
    plan: Callable[..., Plan], tmp_path: Path, bins: int | None, speed: float
) -> None:
    planned = plan(bins)
    model = tmp_path / "model.joblib"
    assert open_predictor(UPath(model), sha256(model)).pixels_a_second == speed
    largest = max(window.width * window.height for window in planned.windows)
    assert largest / speed < 12


def test_what_the_table_may_take_is_not_left_to_windows(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 100 MB a third is the table's, and what is left after all answers is less than the windows
    # of 1024 pixels take that two workers would have otherwise.
    monkeypatch.setattr(windows, "MEMORY", 100e6)
    assert max(window.width for window in plan(64).windows) == windows.BLOCK
