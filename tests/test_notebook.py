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

from landcover.model.forest import ForestSettings, fit
from landcover.model.sampling import Origin, write_samples
from landcover.period import Period
from landcover.report import cartography
from tests.rasters import centres, pixel_box, random_values, write_raster
from tests.test_deforestation import (
    FIELD,
    HEIGHT,
    MAPS,
    WIDTH,
    bring_up_to,
    map_month,
    six_months,
)

pytestmark = pytest.mark.usefixtures("prefect_api")

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "explore.ipynb"
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
        Path("data", folder).mkdir(parents=True)
    write_samples(rows, Origin(BANDS), Path("data/prepared/prepared_data_202503.parquet"))
    model = fit(rows, BANDS, codes, ForestSettings(trees=3))
    joblib.dump(model, "data/models/rf_model_202503.joblib")


def test_the_notebook_runs_to_its_end(
    settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cartography, "LONGEST", 300)
    monkeypatch.setattr(cartography, "COLUMN", 200)
    settings(AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT).wkt}")
    months = list(six_months().items())[:3]
    for period, codes in months:
        map_month(period, codes)
    assert bring_up_to(3) == 0
    write_model()
    forest = (months[-1][1] != FIELD).astype(np.uint8)
    write_raster(MAPS / "forest_2025.tif", forest[np.newaxis], nodata=255)

    parameters, *cells = code_cells()
    assert parameters["metadata"]["tags"] == ["parameters"]
    names: dict[str, Any] = {}
    run(parameters, names)
    names |= {"data": Path("data"), "month": 3}
    with mpl.rc_context({"backend": "agg"}):
        for cell in cells:
            run(cell, names)
        figures = names["plt"].get_fignums()
        names["plt"].close("all")
    assert len(figures) == 5
    assert len(names["alerts"]) == 1
    assert names["key"] == Period(2025, 3).key


def test_what_cells_have_shown_is_not_kept():
    for cell in code_cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
