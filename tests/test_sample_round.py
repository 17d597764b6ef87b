"""From a finished map to its areas: drawn, labelled in each tool, taken back, without an edit."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

from flows import draw_sample, estimate_areas
from landcover.period import Period
from tests.rasters import ORIGIN, pixel_box
from tests.test_deforestation import (
    HEIGHT,
    MAPS,
    WIDTH,
    bring_up_to,
    landscape,
    map_month,
    six_months,
)

pytestmark = pytest.mark.usefixtures("prefect_api")

JUNE = ("--year", "2025", "--month", "6")
QUESTION = "Land cover, in June?"


@pytest.fixture(autouse=True)
def polygons(tmp_path: Path, settings: Callable[..., None]) -> None:
    """Settings of the landscape, with a small training polygon of each class."""
    places = [pixel_box(10, 10, 20, 20), pixel_box(380, 10, 390, 20)]
    rows = geopandas.GeoDataFrame(
        {"class_label": ["Forest", "Non-Forest"]}, geometry=places, crs=3857
    )
    rows.to_file(tmp_path / "polygons.gpkg")
    settings(
        AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT).wkt}",
        TRAINING_POLYGON_TABLE=tmp_path / "polygons.gpkg",
        TRAINING_POLYGON_CLASS_COL="class_label",
    )


def say(lon: pd.Series, lat: pd.Series, words: Callable[[np.ndarray, np.ndarray], np.ndarray]):
    """Return what people say of places, by their rows and columns of the map."""
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    columns, rows = ~ORIGIN @ (np.asarray(x), np.asarray(y))
    return words(np.floor(rows), np.floor(columns))


def cover(_: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.where(columns < 290, "Forest", "Non-Forest")


def in_collect_earth_online(what: Callable) -> Path:
    """Label the plots, and download them as samples."""
    plots = pd.read_csv(MAPS / "sample_202506_ceo.csv")
    answers = pd.DataFrame(
        {
            "plotid": plots["PLOTID"],
            "sampleid": 1,
            "lon": plots["LON"],
            "lat": plots["LAT"],
            "email": "ana@example.org",
            "flagged": "false",
            "collection_time": "2025-07-01 10:00",
            "analysis_duration": "12.0 secs",
            "imagery_title": "Planet, June",
            "imagery_attributions": "",
            "sample_geom": "",
            "pl_plotid": plots["PLOTID"],
            QUESTION: say(plots["LON"], plots["LAT"], what),
        }
    )
    answers.to_csv("ceo-june-sample-data-2025-07-01.csv", index=False, encoding="utf-8-sig")
    return Path("ceo-june-sample-data-2025-07-01.csv")


def in_acatama(what: Callable) -> Path:
    """Label the points in QGIS's plugin AcATaMa, which writes a layer of its own."""
    points = geopandas.read_file(MAPS / "sample_202506.gpkg")
    labels = say(points.geometry.x, points.geometry.y, what)
    rows = geopandas.GeoDataFrame(
        {"ID": points["id"], "Label": labels, "Label ID": 1}, geometry=points.geometry
    )
    rows.to_file("acatama.gpkg")
    return Path("acatama.gpkg")


def in_a_spreadsheet(what: Callable) -> Path:
    """Label the points on the page, and save them as a spreadsheet set to Spanish does."""
    plots = pd.read_csv(MAPS / "sample_202506_ceo.csv")
    labels = say(plots["LON"], plots["LAT"], what)
    table = pd.DataFrame({"id": plots["PLOTID"], "label": labels})
    table.to_csv("labels.csv", index=False, sep=";", encoding="latin-1")
    return Path("labels.csv")


def test_draw_label_estimate_goes_round_through_each_tool(shown):
    map_month(Period(2025, 6), landscape())
    assert draw_sample.main([*JUNE, "--size", "100", "--at_least", "20"]) == 0
    tables = []
    for label in (in_collect_earth_online, in_acatama, in_a_spreadsheet):
        assert estimate_areas.main([*JUNE, "--labels", str(label(cover))]) == 0, shown()
        tables.append((MAPS / "areas_202506.csv").read_bytes())
        (MAPS / "labels_202506.parquet").unlink()
    assert tables[0] == tables[1] == tables[2]
    table = pd.read_csv(MAPS / "areas_202506.csv").set_index("class")
    truth = table.loc["all", "area_ha"] * 290 / WIDTH
    assert abs(table.loc["Forest", "area_ha"] - truth) < table.loc["Forest", "ci95_ha"]


@pytest.mark.usefixtures("small_pictures")
def test_loss_over_a_period_is_estimated_and_on_the_page(shown):
    for period, codes in list(six_months().items())[:3]:
        map_month(period, codes)
    assert bring_up_to(3) == 0
    loss = ["--year", "2025", "--month", "3", "--of", "deforestation"]
    drawing = ["--from", "2025-01", "--size", "120", "--at_least", "20", "--buffer", "3"]
    assert draw_sample.main([*loss, *drawing]) == 0, shown()
    points = geopandas.read_file(MAPS / "deforestation_sample_202503.gpkg")

    def fallen(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        # What fell is a little wider than the map has it.
        lost = (rows >= 100) & (rows < 150) & (columns >= 100) & (columns < 161)
        return np.where(lost, "Loss", np.where(columns < 300, "forest", "Non-Forest"))

    points["label"] = say(points.geometry.x, points.geometry.y, fallen)
    points.to_file("labelled.gpkg")
    assert estimate_areas.main([*loss, "--labels", "labelled.gpkg", "--from", "2024-01"]) == 2
    assert "--from is 2024-01, but the sample that was drawn up to 2025-03 begins with" in shown()
    assert estimate_areas.main([*loss, "--labels", "labelled.gpkg"]) == 0, shown()
    page = (MAPS / "deforestation_202503.html").read_text()
    assert "From January 2025 to March 2025, " in page
    assert (MAPS / "deforestation_areas_202503.csv").exists()
