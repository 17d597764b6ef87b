"""Areas from labels, from the command line: files, rows, pages, and what a refused file loses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from prefect.logging import disable_run_logger
from rasterio.windows import Window
from sqlalchemy import update
from upath import UPath

from flows import estimate_areas
from landcover.accuracy.draw import SampleSettings, choose, draw_window, share_out
from landcover.accuracy.sample_files import Sample, write_key, write_points
from landcover.accuracy.strata import strata_of_classes
from landcover.areas import SQUARE_METRES_A_HECTARE
from landcover.classes import FIXED_CODES
from landcover.files import sample_file_name, sha256
from landcover.grid import grid_of
from landcover.period import Period
from landcover.report.areas import BEGIN, END
from tasks.access.tables import area_estimates, tables
from tasks.area_estimates import with_areas
from tests.months import run_of
from tests.test_deforestation import MAPS, map_month, rows

pytestmark = pytest.mark.usefixtures("prefect_api")

JUNE, MAY = Period(2025, 6), Period(2025, 5)
FOREST, FIELD = (FIXED_CODES[name] for name in ("Forest", "Non-Forest"))
NAMES = {FOREST: "Forest", FIELD: "Non-Forest"}
PAGE = f"<main>{BEGIN}{END}</main>"


def landscape() -> np.ndarray:
    codes = np.full((300, 400), FOREST, np.uint8)
    codes[:, 300:] = FIELD
    return codes


def draw(path: Path, size: int = 80) -> Sample:
    """Draw a sample of a map, and write its key and its points."""
    with rasterio.open(path) as dataset:
        grid, codes = grid_of(dataset), dataset.read(1)
    strata = strata_of_classes(NAMES, ["Forest"], [])
    drawn = draw_window(codes, Window(0, 0, 400, 300), grid, strata, 42)
    shares = share_out(drawn, strata, SampleSettings(size=size, at_least=20), "prediction")
    design = {
        "of": "prediction",
        "period": "2025-06",
        "from": None,
        "to": None,
        "map": {"path": str(path), "sha256": sha256(UPath(path))},
        "classes": list(strata.classes),
        "strata": [
            {
                "name": share.stratum.name,
                "mapped": share.stratum.mapped,
                "hectares": share.hectares,
                "pixels": share.pixels,
                "points": share.points,
            }
            for share in shares
        ],
        "outside_ha": {"Cloud": 0.0},
    }
    sample = Sample(choose(drawn, shares, grid, 42), design)
    write_key(sample, MAPS / sample_file_name("sample_key", "prediction", JUNE))
    write_points(sample.points, MAPS / sample_file_name("sample", "prediction", JUNE))
    return sample


@pytest.fixture
def sample(settings: Callable[..., None]) -> Sample:
    """A sample of the map of June, whose page has a place for what is estimated."""
    settings()
    made = draw(map_month(JUNE, landscape()))
    (MAPS / "report_202506.html").write_text(PAGE)
    return made


def truth(sample: Sample) -> pd.DataFrame:
    """What people say: the forest ends a little before where the map has its end."""
    columns = sample.points["column"]
    label = np.where(columns < 280, "Forest", "Non-Forest")
    return pd.DataFrame({"id": sample.points["id"], "label": label})


def estimate(labels: pd.DataFrame, *more: str) -> int:
    labels.to_csv("labels.csv", index=False)
    return estimate_areas.main(["--year", "2025", "--month", "6", "--labels", "labels.csv", *more])


def page() -> str:
    return (MAPS / "report_202506.html").read_text()


def test_labels_become_areas_in_table_rows_and_page(sample, shown):
    assert estimate(truth(sample)) == 0
    table = pd.read_csv(MAPS / "areas_202506.csv").set_index("class")
    assert list(table.columns) == [
        *("mapped_ha", "area_ha", "ci95_ha", "users", "users_ci95"),
        *("producers", "producers_ci95"),
    ]
    pixel = 4.777314267823516**2 * (1 - 0.0067) / SQUARE_METRES_A_HECTARE
    assert table.loc["Forest", "mapped_ha"] == pytest.approx(300 * 300 * pixel, rel=1e-3)
    for name, columns in {"Forest": 280, "Non-Forest": 120}.items():
        error = table.loc[name, "area_ha"] - 300 * columns * pixel
        assert abs(error) < table.loc[name, "ci95_ha"]
    recorded = rows("SELECT estimate_name, class, area_ha, users FROM area_estimates ORDER BY 1")
    assert [row[:2] for row in recorded] == [
        (f"areas_202506.csv: {name}", name) for name in ("Forest", "Non-Forest", "all")
    ]
    assert recorded[0][2] == table.loc["Forest", "area_ha"]
    assert recorded[2][3] == table.loc["all", "users"]
    assert "In June 2025, Forest covered" in page()
    said = shown()
    assert "Labels of 80 points are taken from the column label of labels.csv: 80 are new" in said
    assert "overall accuracy" in said


def test_a_refused_file_loses_nothing_and_a_second_good_one_adds(sample, shown):
    every = truth(sample)
    assert estimate(every.iloc[:60]) == 0
    kept = {path.name: path.read_bytes() for path in MAPS.iterdir()}
    assert estimate(every.assign(label="bosque")) == 1
    assert "name no class (bosque): the classes are Forest (0), Non-Forest (1)" in shown()
    assert {path.name: path.read_bytes() for path in MAPS.iterdir()} == kept
    assert estimate(every.iloc[50:].replace("Non-Forest", "Water")) == 0
    said = shown()
    assert "20 are new" in said
    assert "80 points are labelled now" in said
    # A class that the map does not have, found by people.
    assert "Water" in pd.read_csv(MAPS / "areas_202506.csv")["class"].tolist()
    assert estimate(every) == 0
    assert rows("SELECT area_ha FROM area_estimates WHERE class = 'Water'") == [(None,)]


def test_a_stratum_without_labels_is_told_and_the_labels_are_kept(sample, shown):
    in_forest = sample.points["stratum"] == "Forest"
    assert estimate(truth(sample)[in_forest]) == 1
    assert "None of the labelled points lies in the stratum Non-Forest" in shown()
    assert estimate(truth(sample)[~in_forest]) == 0


def test_without_a_sample_or_with_labels_of_another_one_it_says_so(sample, settings, shown):
    assert estimate(truth(sample)) == 0
    other = estimate_areas.main(["--year", "2025", "--month", "5", "--labels", "labels.csv"])
    assert other == 1
    assert "No sample of the prediction of 2025-05 was drawn" in shown()
    draw(MAPS / "prediction_202506.tif", size=90)
    assert estimate(truth(sample)) == 1
    assert "labels_202506.parquet holds labels of another sample" in shown()


def test_a_map_that_was_made_again_is_another_map(sample, shown):
    assert estimate(truth(sample)) == 0
    codes = landscape()
    codes[:9] = FIELD
    map_month(JUNE, codes)
    assert estimate(truth(sample)) == 1
    assert "The map of 2025-06 was made again since the sample" in shown()


def test_a_page_that_is_made_again_shows_what_was_estimated_of_its_map(sample):
    assert estimate(truth(sample)) == 0
    digest = sample.design["map"]["sha256"]
    assert with_areas(run_of(), "prediction", PAGE, digest) == page()
    stale = with_areas(run_of(), "prediction", PAGE, "another")
    assert "the map was made again" in stale
    assert with_areas(run_of(2025, 5), "prediction", PAGE, digest) == PAGE
    with tables(None) as connection:
        connection.execute(update(area_estimates).values(details={"of": "other software"}))
    with disable_run_logger():
        assert with_areas(run_of(), "prediction", PAGE, digest) == PAGE


def test_the_map_of_another_month_is_judged_with_the_same_labels(sample, shown):
    codes = np.full((300, 400), FOREST, np.uint8)
    codes[:, 280:] = FIELD
    assert estimate(truth(sample), "--other_map", "2025-05") == 1
    assert "No map of 2025-05 is recorded" in shown()
    map_month(MAY, codes)
    assert estimate(truth(sample), "--other_map", "2025-05") == 0
    table = pd.read_csv(MAPS / "areas_202506_map_202505.csv").set_index("class")
    assert table.loc["all", "users"] == 1.0
    assert "All 80 points are what the map says" in shown()
    assert page() == PAGE


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--to", "2025-06"], "--from and --to are for loss over a period"),
        (["--of", "deforestation", "--other_map", "2025-05"], "--other_map judges the map of a"),
        (["--labels", "none.csv"], "--labels names a file that is not there: none.csv"),
    ],
)
def test_options_that_are_wrong_are_named(sample, shown, more, said):
    assert estimate(truth(sample), *more) == 2
    assert said in shown()
