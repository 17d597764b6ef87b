"""The notebook runs to its end on what runs leave behind.

Its cells are run as the Python that they are, without Jupyter, of which CI then installs nothing.
"""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import joblib
import matplotlib as mpl
import numpy as np
import pytest
import rasterio

from landcover.classes import colour
from landcover.model.forest import ForestSettings, fit
from landcover.model.sampling import Origin, write_samples
from landcover.period import Period
from tests.rasters import centres, pixel_box, random_values, write_raster
from tests.test_deforestation import (
    HEIGHT,
    MAPS,
    NAMES,
    WIDTH,
    bring_up_to,
    felled,
    landscape,
    map_month,
)

pytestmark = pytest.mark.usefixtures("prefect_api")

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "explore.ipynb"
MARCH = Period(2025, 3)
BANDS = ("blue", "green", "red", "nir")


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run(cell: dict[str, Any], names: dict[str, Any]) -> None:
    """Run a cell as Jupyter does: what its last line is, is shown."""
    *body, last = ast.parse("".join(cell["source"])).body
    if not isinstance(last, ast.Expr):
        body.append(last)
    exec(compile(ast.Module(body, []), NOTEBOOK.name, "exec"), names)
    if isinstance(last, ast.Expr):
        shown = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
        getattr(shown, "_repr_html_", shown.__repr__)()


def write_model() -> None:
    """Write the samples of March, and a small forest that was trained on them."""
    rows = geopandas.GeoDataFrame(
        random_values((200, 4), 3), columns=list(BANDS), geometry=centres(10, 20).ravel(), crs=3857
    )
    rows.insert(0, "polygon_id", np.arange(200).astype(str))
    rows.insert(1, "class_label", np.where(rows["red"] > 2500, "Non-Forest", "Forest"))
    codes = (rows["class_label"] != "Forest").astype(np.uint8)
    for folder in ("prepared", "models"):
        Path("data", folder).mkdir(parents=True, exist_ok=True)
    write_samples(rows, Origin(BANDS), Path("data/prepared/prepared_data_202503.parquet"))
    model = fit(rows, BANDS, codes, ForestSettings(trees=3))
    joblib.dump(model, "data/models/rf_model_202503.joblib")


@pytest.mark.usefixtures("small_pictures")
def test_the_notebook_runs_to_its_end(settings: Callable[..., None]):
    forest = np.ones((1, HEIGHT, WIDTH), np.uint8)
    settings(
        AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT).wkt}",
        FOREST_BASELINE=write_raster(Path("baseline.tif").absolute(), forest),
    )
    path = map_month(MARCH, felled(landscape()))
    assert bring_up_to(MARCH.month) == 0
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {code: colour(code) for code in NAMES})
    write_model()
    write_raster(MAPS / "forest_2025.tif", forest, nodata=255)

    parameters, *cells = code_cells()
    assert parameters["metadata"]["tags"] == ["parameters"]
    names: dict[str, Any] = {}
    run(parameters, names)
    names |= {"data": Path("data"), "month": MARCH.month}
    with mpl.rc_context({"backend": "agg"}):
        for cell in cells:
            run(cell, names)
        figures = names["plt"].get_fignums()
        names["plt"].close("all")
    assert len(figures) == 5
    assert len(names["alerts"]) > 0
    assert names["key"] == MARCH.key


def test_what_cells_have_shown_is_not_kept():
    for cell in code_cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
