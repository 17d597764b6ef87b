"""A map held against another, from the command line: raster, tables, page, accuracy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from sqlalchemy import text
from upath import UPath

from flows import compare_maps, estimate_areas
from landcover.accuracy.comparison import (
    BOTH,
    NEITHER,
    ONLY_OURS,
    ONLY_THEIRS,
    Comparison,
)
from landcover.classes import NODATA
from landcover.files import sha256
from landcover.period import CalendarYear, Period
from tasks.access.lock import RECORD, only_run
from tasks.access.tables import ANNUAL, annual_maps, check_tables, replace_row, tables
from tests.rasters import pixel_box, write_raster
from tests.servers.environment import of_bucket
from tests.test_deforestation import (
    CLOUD,
    FIELD,
    HEIGHT,
    MAPS,
    PIXEL,
    WIDTH,
    landscape,
    map_month,
)
from tests.test_estimate_areas import draw, truth

pytestmark = pytest.mark.usefixtures("prefect_api")

JUNE = Period(2025, 6)
TREES, CROPS = 10, 40


@pytest.fixture
def maps(settings: Callable[..., None], small_pictures: None) -> Path:
    """The map of June with a cloud, and another map whose forest ends 20 columns earlier."""
    settings(AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT - 50).wkt}")
    codes = landscape()
    codes[:50, :100] = CLOUD
    map_month(JUNE, codes)
    theirs = np.full((HEIGHT, WIDTH), TREES, np.uint8)
    theirs[:, 280:] = CROPS
    theirs[100:130, :] = 0
    return write_raster(Path("worldcover.tif"), theirs[np.newaxis], nodata=0)


def run(*more: str, month: bool = True) -> int:
    when = ["--year", "2025", *(["--month", "6"] if month else [])]
    return compare_maps.main([*when, "--with", "worldcover.tif", "--forest", "10,95", *more])


def hectares(name: str = "comparison_202506.csv") -> dict[tuple[str, str], float]:
    table = pd.read_csv(MAPS / name)
    return {(row.this_map, row.other_map): row.hectares for row in table.itertuples()}


def test_agreement_is_told_in_raster_tables_and_page(maps, shown):
    assert run() == 0
    with rasterio.open(MAPS / "comparison_202506.tif") as dataset:
        codes, tags = dataset.read(1), dataset.tags(1)
        assert dataset.colormap(1)[ONLY_OURS][:3] == (230, 97, 1)
    assert tags[f"class_{ONLY_THEIRS}"] == "forest only on the other map"
    wanted = np.full((HEIGHT, WIDTH), BOTH, np.uint8)
    wanted[:, 280:300], wanted[:, 300:] = ONLY_OURS, NEITHER
    wanted[:50, :100] = wanted[100:130] = wanted[250:] = NODATA
    assert np.array_equal(codes, wanted)
    found = hectares()
    pixels = {code: int((wanted == code).sum()) for code in (BOTH, ONLY_OURS, NEITHER)}
    assert found["forest", "forest"] == pytest.approx(pixels[BOTH] * PIXEL, rel=1e-3)
    assert found["forest", "non-forest"] == pytest.approx(pixels[ONLY_OURS] * PIXEL, rel=1e-3)
    assert found["non-forest", "non-forest"] == pytest.approx(pixels[NEITHER] * PIXEL, rel=1e-3)
    assert found["non-forest", "forest"] == 0
    assert found["no data", "forest"] == pytest.approx(50 * 100 * PIXEL, rel=1e-3)
    assert found["forest", "no data"] == pytest.approx(30 * 300 * PIXEL, rel=1e-3)
    assert sum(found.values()) == pytest.approx(250 * WIDTH * PIXEL, rel=1e-3)
    said = shown()
    share = 1 - pixels[ONLY_OURS] / sum(pixels.values())
    assert f"the two agree on {share:.1%} of the" in said
    assert "codes of forest do not occur on worldcover.tif in the area of interest: 95" in said
    page = (MAPS / "comparison_202506.html").read_text()
    assert "Forest in June 2025, held against worldcover.tif" in page
    assert "Agreement does not tell which map is right." in page
    assert pd.read_csv(MAPS / "comparison_accuracy_202506.csv").empty
    assert not list(Path("data/work").iterdir())


def test_both_maps_are_judged_by_the_same_points(maps, settings, shown):
    sample = draw(MAPS / "prediction_202506.tif")
    labels = truth(sample)
    labels.loc[labels["label"] == "Non-Forest", "label"] = "Water"
    labels.to_csv("labels.csv", index=False)
    given = ["--year", "2025", "--month", "6", "--labels", "labels.csv"]
    assert estimate_areas.main(given) == 0
    settings(REPORT_LANGUAGE="es")
    assert run("--name", "worldcover") == 0
    table = pd.read_csv(MAPS / "comparison_accuracy_202506_worldcover.csv")
    overall = table[table["class"] == "all"].set_index("map")["users"]
    # Their forest ends where people see its end.
    assert overall["other_map"] == 1 > overall["this_map"]
    rows = sample.points["row"]
    known = (rows < 250) & ~rows.between(100, 129)
    page = (MAPS / "comparison_202506_worldcover.html").read_text()
    assert f"De los 80 puntos de la muestra de junio de 2025, {known.sum()} tienen" in page
    assert "Exactitud global" in page
    assert "overall accuracy of other map" in shown()


def record_year() -> Path:
    """Write a map of 2025, and record it as a run does."""
    codes = np.where(landscape() == FIELD, 0, 1).astype(np.uint8)
    path = write_raster(MAPS / "forest_2025.tif", codes[np.newaxis], nodata=NODATA)
    check_tables(None, JUNE, ANNUAL)
    row = {
        "annual_filename": path.name,
        "annual_path": str(path.absolute()),
        "year": 2025,
        "details": {"sha256": sha256(UPath(path))},
    }
    with tables(None) as connection:
        replace_row(connection, annual_maps, row)
    return path


def test_the_map_of_a_year_is_compared_with_a_named_sample(maps, shown):
    assert run(month=False) == 1
    assert "No map of 2025 is recorded in annual_maps, so there is nothing to hold" in shown()
    path = record_year()
    assert run(month=False) == 0
    assert sha256(UPath(path)) in (MAPS / "comparison_2025.html").read_text()
    assert hectares("comparison_2025.csv")["no data", "forest"] == 0
    assert run("--sample", "2025-06", month=False) == 2
    assert "--sample names 2025-06, but no labels" in shown()


@pytest.mark.parametrize("month", [True, False])
def test_a_map_that_is_not_the_one_of_its_row_is_not_compared(maps, shown, month):
    record_year()
    path = MAPS / ("prediction_202506.tif" if month else "forest_2025.tif")
    table = "raster_predictions" if month else "annual_maps"
    with path.open("ab") as file:
        file.write(b"\0")
    assert run(month=month) == 1
    assert f"{path.name} is not the map that its row in {table} describes" in shown()
    path.unlink()
    assert run(month=month) == 1
    assert f"{path.name} is not there, so there is nothing to hold against another" in shown()
    assert not list(MAPS.glob("comparison*"))


def test_while_a_year_is_compared_its_map_is_not_made_anew_and_the_record_may_be(maps, shown):
    record_year()
    with only_run(RECORD, None):
        assert run(month=False) == 0
    with only_run(CalendarYear(2025), None):
        assert run(month=False) == 1
    assert "Another run of 2025 is at work on the same database" in shown()


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--forest", "tree"], 2, "write the codes of forest with commas between them"),
        (["--no_data", "x"], 2, "write declared, none, or values"),
        (["--name", "A b"], 2, "write a short name of small letters"),
        (["--with", "none.tif"], 2, "--with names a raster that is not there: "),
        (["--band", "2"], 2, "--band names band 2, but"),
        (["--forest", "7"], 1, "is forest by --forest 7: its values there are 10, 40"),
        (["--no_data", "10,40,0"], 1, "holds no data in the area of interest"),
        (["--with", "broken.tif"], 1, "cannot be read as a raster"),
        (["--month", "5"], 1, "No map of 2025-05 is recorded in raster_predictions"),
    ],
)
def test_what_cannot_be_compared_ends_in_a_sentence(maps, shown, more, status, said):
    Path("broken.tif").write_text("no raster")
    try:
        ended = run(*more)
    except SystemExit as error:
        ended = error.code
    assert ended == status
    assert said in shown()
    assert not list(MAPS.glob("comparison*"))


def test_a_map_that_declares_non_forest_as_no_data_is_told(maps, shown):
    theirs = np.full((1, HEIGHT, WIDTH), 1, np.uint8)
    theirs[:, :, 280:] = 0
    write_raster(Path("gfc.tif"), theirs, nodata=0)
    assert run("--with", "gfc.tif", "--forest", "1") == 0
    said = shown()
    assert "All that gfc.tif says of the area of interest is forest." in said
    assert "gfc.tif says nothing of 32% of the area" in said
    assert run("--with", "gfc.tif", "--forest", "1", "--no_data", "none") == 0
    assert "Warning" not in shown()


def test_no_hectares_is_no_agreement():
    assert Comparison({}).agreement == 0
    assert Comparison({0: 6.0, 4: 3.0, 1: 1.0, 2: 90.0}).agreement == 0.9


def test_maps_in_the_bucket_are_compared_there(in_database, bucket, maps, settings):
    settings(
        PREDICTION_OUTPUT_DIR=f"{bucket.url}/maps",
        WORK_DIR=f"{bucket.url}/work",
        **of_bucket(bucket.server),
    )
    path = map_month(JUNE, landscape())
    bucket.filesystem.put_file(str(path), f"{bucket.name}/maps/{path.name}")
    bucket.filesystem.put_file(str(maps), f"{bucket.name}/other/{maps.name}")
    with tables(None) as connection:
        connection.execute(
            text("UPDATE raster_predictions SET prediction_path = :place"),
            {"place": f"{bucket.url}/maps/{path.name}"},
        )
    assert run("--with", f"{bucket.url}/other/{maps.name}") == 0
    made = {place.rpartition("/")[2] for place in bucket.filesystem.find(f"{bucket.name}/maps")}
    assert made == {
        *(path.name, "comparison_202506.tif", "comparison_202506.tif.aux.xml"),
        *("comparison_202506.csv", "comparison_accuracy_202506.csv", "comparison_202506.html"),
    }
    table = pd.read_csv(UPath(f"{bucket.url}/maps/comparison_202506.csv").open())
    assert table["hectares"].sum() == pytest.approx(250 * WIDTH * PIXEL, rel=1e-3)
