"""Samples from recorded maps: files, row and page, from the command line."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright
from sqlalchemy import Engine, text
from upath import UPath

from flows import draw_sample
from landcover.accuracy.sample_files import Sample, read_key
from landcover.files import file_name, sha256
from landcover.geometry import reproject
from landcover.period import Period
from tasks.access.tables import tables
from tests.rasters import pixel_box, random_values, write_raster
from tests.servers.environment import of_bucket
from tests.test_deforestation import (
    CLOUD,
    FIELD,
    FOREST,
    HEIGHT,
    MAPS,
    PIXEL,
    WIDTH,
    bring_up_to,
    landscape,
    map_month,
    rows,
    six_months,
)
from tests.test_report import CHROMIUM

pytestmark = pytest.mark.usefixtures("prefect_api")

JUNE = Period(2025, 6)
POLYGONS = {"Forest": pixel_box(20, 20, 60, 50), "Non-Forest": pixel_box(320, 200, 350, 260)}
LEFT_OUT = (40 * 30 + 30 * 60) * PIXEL


def land() -> NDArray[np.uint8]:
    """Forest, a field and a cloud."""
    codes = landscape()
    codes[:60, 100:200] = CLOUD
    return codes


@pytest.fixture
def at_work(settings: Callable[..., None], tmp_path: Path) -> Callable[..., None]:
    """Settings of an area, with polygons of two classes and imagery of May and June."""
    polygons = geopandas.GeoDataFrame(
        {"class_label": list(POLYGONS)}, geometry=list(POLYGONS.values()), crs=3857
    )
    polygons.to_file(tmp_path / "polygons.gpkg")
    for month in (5, 6):
        values = random_values((4, HEIGHT, WIDTH), month)
        write_raster(tmp_path / "imagery" / f"2025-{month:02d}.tif", values)
    settings(
        AOI_DEFINITION=f"SRID=3857;{pixel_box(0, 0, WIDTH, HEIGHT).wkt}",
        TRAINING_POLYGON_TABLE=tmp_path / "polygons.gpkg",
        TRAINING_POLYGON_CLASS_COL="class_label",
        PLANET_MOSAIC_DIR=tmp_path / "imagery",
        MOSAIC_PATTERN="{year}-{month:02d}.tif",
    )
    return settings


@pytest.fixture
def june(at_work) -> Path:
    """The map of June."""
    return map_month(JUNE, land())


@pytest.fixture
def record(at_work, small_pictures: None) -> dict[Period, NDArray[np.uint8]]:
    """A record of five months: a clearing from March on, an odd month at the end."""
    months = {month: codes for month, codes in six_months().items() if month.month < 4}
    months[Period(2025, 5)] = months[Period(2025, 3)]
    months[JUNE] = months[Period(2025, 3)].copy()
    months[JUNE][200:240, 20:60] = FIELD
    for period, codes in months.items():
        map_month(period, codes)
    assert bring_up_to(6) == 0
    return months


def draw(*more: str) -> int:
    return draw_sample.main(["--year", "2025", "--month", "6", *more])


def drawn(what: str = "sample") -> Sample:
    return read_key(UPath(MAPS / file_name(f"{what}_key", JUNE)))


def refused(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err.partition("Error: ")[2]


# --- of a month's map -----------------------------------------------------------------------------


@pytest.mark.usefixtures("june")
def test_a_sample_of_a_map_is_drawn_written_and_recorded(capfd):
    assert draw("--size", "120") == 0
    said = capfd.readouterr().out
    assert "120 points are drawn from the map of 2025-06." in said
    assert "the page shows 2025-05 and 2025-06" in said
    made = {path.name for path in MAPS.glob("*sample*")}
    assert made == {
        *("sample_202506.gpkg", "sample_202506_ceo.csv"),
        *("sample_202506_key.parquet", "sample_202506.html"),
    }
    assert not list(Path("data/work").iterdir())

    sample = drawn()
    assert sample.design["classes"] == ["Forest", "Non-Forest", "Water"]
    strata = {stratum["name"]: stratum for stratum in sample.design["strata"]}
    assert set(strata) == {"Forest", "Non-Forest"}
    assert sum(stratum["points"] for stratum in strata.values()) == 120
    outside = sample.design["outside_ha"]
    assert outside["Cloud"] == pytest.approx(60 * 100 * PIXEL, rel=1e-3)
    # And the pixels that the edges of the polygons touch.
    assert LEFT_OUT * 0.99 < outside["training polygons"] < LEFT_OUT * 1.1
    whole = sum(outside.values()) + sum(stratum["hectares"] for stratum in strata.values())
    assert whole == pytest.approx(HEIGHT * WIDTH * PIXEL, rel=1e-3)
    codes = land()[sample.points["row"], sample.points["column"]]
    assert np.array_equal(codes == FOREST, sample.points["mapped"] == "Forest")

    places = geopandas.read_file(MAPS / "sample_202506.gpkg")
    polygons = [reproject(polygon, 3857, 4326) for polygon in POLYGONS.values()]
    assert not places.intersects(shapely.union_all(polygons)).any()
    with (MAPS / "sample_202506_ceo.csv").open() as file:
        plots = list(csv.DictReader(file))
    assert [int(plot["PLOTID"]) for plot in plots] == places["id"].tolist()
    assert [float(plot["LON"]) for plot in plots] == places.geometry.x.tolist()

    ((name, points, told),) = rows("SELECT sample_filename, points, details FROM reference_samples")
    details = json.loads(str(told))
    assert (name, points) == ("sample_202506.gpkg", 120)
    assert details["sha256"] == sha256(UPath(MAPS / "sample_202506.gpkg"))
    assert details["map"]["sha256"] == sha256(UPath(MAPS / "prediction_202506.tif"))
    assert details["strata"] == sample.design["strata"]


@pytest.mark.usefixtures("june")
def test_interpreters_see_neither_stratum_nor_map_class():
    assert draw("--size", "100", "--allocation", "equal") == 0
    page = (MAPS / "sample_202506.html").read_text()
    sections = re.findall(r'<section class="point".*?</section>', page, re.DOTALL)
    assert len(sections) == 100
    # But for id, place and pictures all points are alike.
    alike = {
        re.sub(r"data:[^\"]+|\N{MINUS SIGN}?\d+\.\d+°|(?<=oint[- ])\d+", "", section)
        for section in sections
    }
    assert len(alike) == 1
    for path in (MAPS / "sample_202506.gpkg", MAPS / "sample_202506_ceo.csv"):
        assert b"orest" not in path.read_bytes()
    assert not re.search(r"strat|key\.parquet|mapped", page, re.IGNORECASE)


def test_labels_are_chosen_and_saved_in_a_browser_without_any_network(june: Path, at_work):
    at_work(REPORT_LANGUAGE="es")
    assert draw("--size", "100") == 0
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        asked, console = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: console.append(message.text))
        address = (MAPS / "sample_202506.html").absolute().as_uri()
        page.goto(address)
        for point, label in ((12, "Agua"), (2, "Bosque"), (5, "Bosque"), (5, "Sin etiqueta")):
            page.locator(f"#point-{point}").get_by_label(label, exact=True).check()
        assert page.locator("#labelled").inner_text() == "2"
        # The browser keeps them.
        page.reload()
        with page.expect_download() as download:
            page.get_by_role("button", name="Guardar las etiquetas").click()
        assert download.value.suggested_filename == "sample_202506_labels.csv"
        assert Path(download.value.path()).read_text() == "id,label\n2,Forest\n12,Water\n"
        widths = page.locator("#point-1 img").evaluate_all(
            "images => images.map(image => image.naturalWidth)"
        )
        chromium.close()
    assert widths == [81, 81]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert not console


@pytest.mark.usefixtures("june")
def test_a_sample_is_not_replaced_by_another_once_labels_were_taken_in(capfd):
    assert draw("--size", "100") == 0
    files = {path: path.read_bytes() for path in MAPS.glob("sample_*")}
    (MAPS / "labels_202506.parquet").write_bytes(b"")
    capfd.readouterr()
    assert draw("--size", "100", "--seed", "43") == 1
    assert "has labels of another sample of 2025-06" in refused(capfd)
    assert draw("--size", "100") == 0
    assert {path: path.read_bytes() for path in MAPS.glob("sample_*")} == files
    assert rows("SELECT count(*) FROM reference_samples") == [(1,)]


def test_a_sample_needs_a_map_that_is_there_and_as_it_was_recorded(at_work, capfd):
    assert draw() == 1
    assert "No map of 2025-06 is recorded in raster_predictions" in refused(capfd)
    assert draw("--of", "deforestation") == 1
    assert "No record of deforestation up to 2025-06 is in deforestation_records" in refused(capfd)
    path = map_month(JUNE, np.full((HEIGHT, WIDTH), FOREST, np.uint8))
    assert draw() == 1
    assert "has only Forest to draw points from" in refused(capfd)
    write_raster(path, land()[np.newaxis], nodata=255)
    assert draw() == 1
    assert "is not the file that its row describes" in refused(capfd)
    path.unlink()
    assert draw() == 1
    assert "prediction_202506.tif is not there, and the sample is drawn from it" in refused(capfd)
    assert not list(MAPS.glob("sample*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "2025-01"], "--from and --to are for loss over a period"),
        (["--of", "deforestation", "--from", "2025-07"], "--from 2025-07 is after 2025-06"),
        (["--of", "deforestation", "--to", "2025-05"], "--to 2025-05 is not the month"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said, at_work, capfd):
    assert draw(*options) == 2
    assert said in refused(capfd)


def test_without_imagery_or_polygons_a_sample_is_drawn_and_says_so(june: Path, at_work, shown):
    at_work(PLANET_MOSAIC_DIR="nowhere")
    # Today's polygons are all of another month.
    polygons = geopandas.GeoDataFrame(
        {"class_label": ["Forest"], "month": ["2024-01"]}, geometry=[POLYGONS["Forest"]], crs=3857
    )
    polygons.to_file("of_another.gpkg")
    at_work(TRAINING_POLYGON_TABLE="of_another.gpkg", TRAINING_POLYGON_MONTH_COL="month")
    assert draw("--size", "100") == 0
    said = shown()
    assert "The training polygons of 2025-06 are not there any more" in said
    assert "the page shows no month" in said
    assert drawn().design["polygons_unknown"] == ["2025-06"]
    page = (MAPS / "sample_202506.html").read_text()
    assert "Imagery of these months is not there any more" in page
    assert "data:image" not in page


# --- of loss over a period ------------------------------------------------------------------------


def test_loss_of_a_period_is_sampled_with_a_buffer_around_it(
    record: Mapping[Period, NDArray[np.uint8]], capfd
):
    capfd.readouterr()
    more = ("--of", "deforestation", "--buffer", "10", "--size", "200")
    assert draw(*more, "--from", "2025-02", "--to", "2025-06") == 0
    assert "250 points are drawn from loss from 2025-02 to 2025-06." in capfd.readouterr().out
    sample = drawn("deforestation_sample")
    assert (sample.design["from"], sample.design["to"]) == ("2025-02", "2025-06")
    assert sample.design["classes"] == ["loss", "forest", "non-forest"]
    strata = {stratum["name"]: stratum for stratum in sample.design["strata"]}
    # The clearing and what lies around it, and the odd month's warning.
    assert strata["loss"]["pixels"] == 50 * 60
    assert strata["warning"]["pixels"] == 40 * 40
    assert strata["warning"]["mapped"] == "loss"
    assert strata["buffer"]["mapped"] == "forest"
    assert strata["buffer"]["pixels"] == 70 * 80 - 50 * 60
    lost = sample.points[sample.points["stratum"] == "loss"]
    assert (record[JUNE][lost["row"], lost["column"]] == FIELD).sum() > 0
    page = (MAPS / "deforestation_sample_202506.html").read_text()
    assert "Where did forest fall? February 2025 to June 2025" in page
    assert 'value="loss"' in page

    # What had fallen before the period is not forest; the odd month's warning is left.
    assert draw(*more, "--from", "2025-04") == 0
    later = {row["name"]: row for row in drawn("deforestation_sample").design["strata"]}
    assert "loss" not in later
    assert later["warning"]["pixels"] == 40 * 40
    assert later["non-forest"]["pixels"] == strata["non-forest"]["pixels"] + 50 * 60
    assert draw(*more, "--from", "2024-12") == 1
    assert "begins with 2025-01, and --from 2024-12 is before" in refused(capfd)
    (MAPS / "alerts_202506.tif").write_bytes(b"")
    assert draw(*more) == 1
    assert "alerts_202506.tif is not the file that its row describes" in refused(capfd)


# --- PostGIS and S3 -------------------------------------------------------------------------------


def test_a_sample_lies_in_the_bucket_and_in_postgis(
    in_database, bucket, engine: Engine, june: Path, at_work
):
    at_work(
        PREDICTION_OUTPUT_DIR=f"{bucket.url}/maps",
        WORK_DIR=f"{bucket.url}/work",
        **of_bucket(bucket.server),
    )
    bucket.filesystem.put_file(str(june), f"{bucket.name}/maps/{june.name}")
    with tables(None) as connection:
        connection.execute(
            text("UPDATE raster_predictions SET prediction_path = :place"),
            {"place": f"{bucket.url}/maps/{june.name}"},
        )
    assert draw("--size", "100") == 0
    made = {path.rpartition("/")[2] for path in bucket.filesystem.find(bucket.name)}
    assert made == {
        *(june.name, "sample_202506.gpkg", "sample_202506_ceo.csv"),
        *("sample_202506_key.parquet", "sample_202506.html"),
    }
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM reference_samples")).mappings().one()
    assert row["sample_path"] == f"{bucket.url}/maps/sample_202506.gpkg"
    assert row["details"]["of"] == "prediction"
    assert row["generated_at"].tzinfo is not None
