"""The report: what a reader sees of it in a browser and on paper, and that its numbers are true."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.windows import Window
from shapely.geometry import MultiPolygon

from landcover.classes import NODATA
from landcover.imagery import thumbnails
from landcover.imagery.coverage import Coverage, Gap
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import Difference, ImageryWarning, Radiometry
from landcover.imagery.survey import Survey
from landcover.imagery.thumbnails import Thumbnail, thumbnail_factor
from landcover.maps.assembly import FinishedMap
from landcover.maps.cog import write_cog
from landcover.maps.layers import prediction_layers
from landcover.maps.measure import measure_classes
from landcover.maps.pieces import write_piece
from landcover.model.forest import Model
from landcover.model.held_out import HeldOut
from landcover.model.metrics import Estimate, Holdout, Metrics, Overall, Suspect
from landcover.model.validation import score
from landcover.notices import Notice
from landcover.period import Period
from landcover.report.cartography import BORDER, EDGE, frame_around, round_down
from landcover.report.page import Report, draw_pictures, render
from landcover.report.pictures import Picture
from landcover.report.tables import gap_rows
from landcover.report.true_colour import true_colour
from landcover.report.wording import NONE, TEXTS, Language, Wording
from landcover.windows import split
from tasks.report import write_report
from tasks.training import Training
from tests.months import run_of
from tests.rasters import (
    NUMBERS,
    ORIGIN,
    RESOLUTION,
    class_layer,
    mosaic_of,
    moved,
    pixel_box,
    write_raster,
)

# One browser and one set of pictures.
pytestmark = pytest.mark.xdist_group("report")

SHOWN = Path(__file__).parents[1] / "test-output"
CHROMIUM = "/usr/bin/chromium"
LANGUAGES: tuple[Language, ...] = ("en", "es")

SIZE = 600
PATCH = 60
HOSTILE = '<script>alert("x")</script> & <b>páramo</b>'
LONG = "Bosque siempreverde estacional piemontano de la cordillera occidental de los Andes " * 2
UNBROKEN = "Vegetaciónherbáceayarbustivasecundariadelascolinascosterasdelnoroccidente" * 2
NAMES = {0: "Forest", 1: "Non-Forest", 4: "Water", 7: HOSTILE, 8: LONG, 9: UNBROKEN}
MISSING = 4
COLOURS = {0: (27, 120, 55), 1: (229, 196, 110), 7: (152, 78, 163)}


# --- a small month --------------------------------------------------------------------------------


def patches(codes: list[int]) -> NDArray[np.uint8]:
    """Return square patches of classes; the last column of patches has none."""
    few = np.random.default_rng(5).choice(codes, (SIZE // PATCH, SIZE // PATCH)).astype(np.uint8)
    few[:, -1] = NODATA
    return np.kron(few, np.ones((PATCH, PATCH), dtype=np.uint8))


def write_map(codes: NDArray[np.uint8], mosaic: Mosaic, path: Path, *, numbers: bool) -> Path:
    piece = path.with_suffix(".piece.tif")
    layer = NUMBERS if numbers else class_layer(NAMES)
    write_piece(layer, codes, mosaic.grid, [2], piece)
    windows = {piece: Window(0, 0, SIZE, SIZE)}
    write_cog(layer, windows, mosaic.grid, [2], {}, path)
    return path


SHIFTED = Difference(-1000.0, {"nir": 1.0}, {"nir": (1500.0, 2500.0)})

# Of each warning of the report.
SAID = {
    "en": (
        "2025-05 (s3://may/<em>all</em>) by more than season or haze explains: blue is about 11 ",
        "all bands are about 1000 lower (nir, median 1500 against 2500); either",
        "nothing to go by: 31% in nir; draw polygons",
    ),
    "es": (
        "blue es unas 11 veces más brillante (mediana 2820 frente a 253), red es unas 8 veces más",
        "todas las bandas son unos 1000 más bajas (nir, mediana 1500 frente a 2500); o bien",
        "no tiene en qué apoyarse: 31\u202f% en nir; dibuje",
    ),
}


def imagery(folder: Path, codes: NDArray[np.uint8]) -> Mosaic:
    """Write four quads of what the classes look like; where there is no class, they are empty."""
    look = np.full((256, 4), 600, dtype=np.uint16)
    look[:2] = (300, 500, 350, 3000), (700, 1000, 1400, 2500)
    values, half = look[codes].transpose(2, 0, 1), SIZE // 2
    quads = []
    for row, column in np.ndindex(2, 2):
        part = np.s_[row * half : (row + 1) * half, column * half : (column + 1) * half]
        quads.append(
            write_raster(
                folder / f"{570 + column}-{1026 - row}.tif",
                values[:, *part],
                transform=moved(column * half, row * half),
                alpha=(codes != NODATA)[part],
                block=64,
            )
        )
    return mosaic_of(quads, folder)


def measured() -> Metrics:
    """Return metrics in which a class has a single polygon, and one is mostly mistaken."""
    random = np.random.default_rng(1)
    every = np.repeat(np.array(sorted(NAMES), dtype=np.uint8), 300)
    codes, true = pd.Series(every), every[:1500]
    wrong = random.random(1500) < np.where(true == 7, 0.7, 0.06)
    held_out = HeldOut(
        np.arange(1500),
        true,
        np.where(wrong, random.choice(sorted(NAMES), 1500), true).astype(np.uint8),
        random.integers(1, 6, 1500),
        np.ones(1500),
        np.ones(1500),
    )
    suspect = Suspect("<i>17</i>", HOSTILE, 1234, 1, "Water", 0.83, 0.17, 0.6, 0.1)
    return Metrics(
        **vars(score(held_out, pd.Series(np.arange(1800) // 20), codes, NAMES)),
        holdout=Holdout("blocks", 10_000),
        random_pixels=Overall(Estimate(0.9876, 0.0012), Estimate(0.98), folds=2),
        optimism=0.0987,
        oob_accuracy=0.9912,
        suspected_mislabels=(suspect,),
    )


def drawn(mosaic: Mosaic) -> geopandas.GeoDataFrame:
    """Return polygons: large and tiny, of a class and of a label that is none."""
    shapes = [
        pixel_box(70, 70, 110, 110),
        MultiPolygon([pixel_box(200, 300, 260, 360), pixel_box(280, 300, 300, 320)]),
        pixel_box(400, 200, 402, 202),
    ]
    labels = ["forest", HOSTILE, "no such class"]
    frame = geopandas.GeoDataFrame({"class_label": labels}, geometry=shapes, crs=mosaic.grid.crs)
    return frame.to_crs(4326)


@dataclass(frozen=True)
class Reported:
    report: Report
    codes: NDArray[np.uint8]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("report")
    codes = patches([code for code in NAMES if code != MISSING])
    mosaic = imagery(folder, codes)
    confidence = np.where(codes == NODATA, NODATA, 40 + codes * 6).astype(np.uint8)
    path = write_map(codes, mosaic, folder / "prediction_202506.tif", numbers=False)
    confidence_path = write_map(confidence, mosaic, folder / "confidence_202506.tif", numbers=True)
    area = pixel_box(10, 10, 590, 560).difference(pixel_box(10, 10, 120, 60))
    hectares = {NAMES[code]: area for code, area in measure_classes(str(path))[1].items()}
    report = Report(
        period=Period(2025, 6),
        map=str(path),
        confidence=str(confidence_path),
        mosaic=mosaic,
        area=area,
        coverage=Coverage(
            12_345.67,
            pixels=5_000_000,
            pixel_hectares=12_345.67,
            uncovered=1246.9,
            missing=(Gap("570-1026", 12.34),),
            empty=(Gap("571-<b>1026.tif", 1234.56),),
        ),
        polygons=drawn(mosaic),
        names=NAMES,
        hectares={**hectares, NAMES[0]: 5678.94},
        pixels=int((codes != NODATA).sum()),
        low_confidence=0.0234,
        metrics=measured(),
        warnings=[
            ImageryWarning(
                "month",
                "x" * 400,
                ("2025-05", "s3://may/<em>all</em>"),
                Difference(
                    None, {"blue": 11.2, "red": 0.125}, {"blue": (2820, 253), "red": (8, 64.4)}
                ),
            ),
            ImageryWarning("samples", "june", difference=SHIFTED),
            ImageryWarning("range", "june", outside_range={"nir": 0.314}),
        ],
        provenance={
            "command": "python flows/monthly.py --year 2025 --month 6",
            "files": {"map": {"path": "/data/" + "p" * 150, "sha256": "0123456789abcdef" * 4}},
            "settings": {"bands": ["blue", "green"], "max_depth": None, "nothing": {}},
        },
    )
    return Reported(report, codes)


@pytest.fixture(scope="module")
def pictures(reported: Reported) -> dict[Language, dict[str, Picture]]:
    return {language: draw_pictures(reported.report, language) for language in LANGUAGES}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Opened:
    page: Page
    requests: list[str]
    console: list[str]


def open_report(browser: Browser, html: str, path: Path) -> Opened:
    """Open a report as its reader does: as a file."""
    path.write_text(html, "utf-8")
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    requests: list[str] = []
    console: list[str] = []

    def told(message: ConsoleMessage) -> None:
        console.append(message.text)

    page.on("request", lambda request: requests.append(request.url))
    page.on("console", told)
    page.goto(path.absolute().as_uri())
    return Opened(page, requests, console)


@pytest.fixture(scope="module", params=LANGUAGES)
def opened(
    request: pytest.FixtureRequest,
    reported: Reported,
    pictures: dict[Language, dict[str, Picture]],
    browser: Browser,
) -> Opened:
    SHOWN.mkdir(exist_ok=True)
    language: Language = request.param
    html = render(reported.report, language, pictures[language])
    return open_report(browser, html, SHOWN / f"report-{language}.html")


def language_of(opened: Opened) -> Language:
    return opened.page.evaluate("document.documentElement.lang")  # type: ignore[no-any-return]


def table(page: Page, heading: str) -> list[list[str]]:
    """Return the cells of the tables' bodies beneath a heading."""
    section = page.locator("section", has=page.get_by_role("heading", name=heading, exact=True))
    rows = section.locator("table > tbody > tr, table > tfoot > tr")
    return [
        [text.strip() for text in row.locator("th, td").all_inner_texts()] for row in rows.all()
    ]


# --- the page -------------------------------------------------------------------------------------


def test_the_page_needs_nothing_but_itself(opened: Opened) -> None:
    assert [url[:8] for url in opened.requests if not url.startswith("data:")] == ["file:///"]
    assert opened.console == []
    assert opened.page.locator("script, link, iframe, object").count() == 0


def test_every_picture_is_shown_and_described(opened: Opened) -> None:
    found = opened.page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt.length])")
    assert len(found) == 5
    assert min(width for width, _ in found) > 100
    assert min(letters for _, letters in found) > 20


@pytest.mark.parametrize("width", [1100, 700, 390])
def test_nothing_sticks_out_of_the_page(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 900})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    wider = "[...document.querySelectorAll('p, li, caption, h1, .legend, .figures > div, .facts')]"
    stick_out = f"{wider}.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.className)"
    assert opened.page.evaluate(stick_out) == []
    opened.page.set_viewport_size({"width": 1100, "height": 900})


def test_it_can_be_looked_at_and_printed(opened: Opened) -> None:
    path = SHOWN / f"report-{language_of(opened)}"
    opened.page.screenshot(path=path.with_suffix(".png"), full_page=True)
    pdf = opened.page.pdf(path=path.with_suffix(".pdf"), prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert 3 <= len(boxes) <= 12
    # A4 in points.
    assert {(round(float(width)), round(float(height))) for width, height in boxes} <= {
        (595, 842),
        (596, 842),
        (595, 843),
        (596, 843),
    }


def test_on_paper_nothing_sticks_out_either(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    # A4 less its margins, at 96 pixels an inch.
    opened.page.set_viewport_size({"width": 680, "height": 1000})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 680
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert opened.page.evaluate(f"{cut}.length") == 0
    opened.page.emulate_media(media="screen")
    opened.page.set_viewport_size({"width": 1100, "height": 900})


def test_names_are_text_never_markup(opened: Opened) -> None:
    assert opened.page.locator("main b, main em, main i").count() == 0
    text = opened.page.inner_text("main")
    for written in (HOSTILE, "<em>all</em>", "<i>17</i>", "571-<b>1026.tif"):
        assert written in text


# --- the numbers ----------------------------------------------------------------------------------


def test_hectares_are_those_given_the_largest_first(opened: Opened, reported: Reported) -> None:
    wording = Wording(language_of(opened))
    rows = table(opened.page, wording.say("areas"))
    given = {NAMES[MISSING]: 0.0, **reported.report.hectares}
    total = sum(given.values())
    expected = [
        [
            " ".join(wording.class_name(name).split()),
            wording.hectares(area),
            wording.percent(area / total),
        ]
        for name, area in sorted(given.items(), key=lambda item: -item[1])
    ]
    assert rows[:-1] == expected
    assert rows[-1][1:] == [wording.hectares(total), wording.percent(1)]
    assert rows[0][1] == {"en": "5,678.9", "es": "5.678,9"}[wording.language]
    assert rows[-2][1:] == {"en": ["0.0", "0.0%"], "es": ["0,0", "0,0\u202f%"]}[wording.language]


def test_accuracies_are_those_given(opened: Opened, reported: Reported) -> None:
    wording = Wording(language_of(opened))
    metrics = reported.report.metrics
    rows = table(opened.page, wording.say("quality"))
    forest = metrics.classes["Forest"]
    assert [float(cell.replace(",", ".").split(" ± ")[0]) for cell in rows[0][1:4]] == [
        pytest.approx(100 * found.value, abs=0.051) for found in forest.measures.values()
    ]
    assert rows[0][4:] == ["300", "15"]
    assert [row[1:4] for row in rows if row[0].startswith("Vegetación")] == [[NONE] * 3]
    text = opened.page.inner_text("main")
    accuracy = 100 * metrics.accuracy.value
    shown = opened.page.locator(".figures .value").first.inner_text()
    assert float(re.sub("[^0-9.]", "", shown.replace(",", "."))) == pytest.approx(accuracy, abs=0.1)
    for number in {"en": ("9.9", "98.8%"), "es": ("9,9", "98,8\u202f%")}[wording.language]:
        assert number in text
    assert wording.say("accuracy_whose") in text
    held_out = {"en": "whole blocks of 10000 held out", "es": "bloques enteros de 10000 reservados"}
    assert held_out[wording.language] in text


def test_the_confusion_matrix_is_the_one_given(opened: Opened, reported: Reported) -> None:
    rows = table(opened.page, Wording(language_of(opened)).say("confusion"))
    counts = [[int(re.sub("[.,]", "", cell)) for cell in row[1:]] for row in rows]
    matrix = reported.report.metrics.confusion_matrix
    assert counts == [list(line.values()) for line in matrix.values()]


def test_gaps_warnings_and_doubts_are_told(opened: Opened) -> None:
    wording = Wording(language_of(opened))
    assert (
        table(opened.page, wording.say("warnings_title"))
        == {
            "en": [["571-<b>1026.tif", "1,234.6"], ["570-1026", "12.3"]],
            "es": [["571-<b>1026.tif", "1.234,6"], ["570-1026", "12,3"]],
        }[wording.language]
    )
    values = opened.page.locator(".figures .value").all_inner_texts()
    assert values[2:] == {"en": ["10.1%", "3"], "es": ["10,1\u202f%", "3"]}[wording.language]
    told = opened.page.locator(".warnings li").all_inner_texts()
    assert len(told) == 3
    for sentence, said in zip(told, SAID[wording.language], strict=True):
        assert said in sentence
    text = opened.page.inner_text("main")
    assert {"en": "On 2.3% of the map", "es": "En el 2,3\u202f% del mapa"}[wording.language] in text
    assert {"en": "49.4% of the area", "es": "El 49,4\u202f% del área"}[wording.language] in text


def test_what_made_it_is_told(opened: Opened) -> None:
    text = opened.page.inner_text("main")
    for fact in ("0123456789abcdef" * 4, "--year 2025 --month 6", "blue, green", "max_depth"):
        assert fact in text


def test_a_month_without_metrics_polygons_or_warnings_has_a_report_too(
    reported: Reported, browser: Browser, tmp_path: Path
) -> None:
    bare = replace(
        reported.report,
        metrics=None,
        polygons=reported.report.polygons.iloc[:0],
        warnings=(),
        coverage=Coverage(12_345.67, reported.report.pixels, 12_345.67),
        provenance={},
    )
    drawn = draw_pictures(bare, "en")
    assert sorted(drawn) == ["confidence", "hectares", "image", "map"]
    opened = open_report(browser, render(bare, "en", drawn), tmp_path / "bare.html")
    assert opened.page.locator(".alert").count() == 0
    assert "not estimated" in opened.page.inner_text("main")
    assert "All of the area of interest has a class." in opened.page.inner_text("main")
    assert opened.console == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_month_in_which_nothing_could_be_validated_says_so_on_its_page(
    reported: Reported, browser: Browser, tmp_path: Path, language: Language
) -> None:
    nothing = HeldOut(*np.zeros((6, 0), np.intp))
    polygons, codes = pd.Series(list("abcdef")), pd.Series(sorted(NAMES))
    metrics = replace(
        measured(),
        **vars(score(nothing, polygons, codes, NAMES)),
        random_pixels=Overall(Estimate(None), Estimate(None), folds=0),
        optimism=None,
        suspected_mislabels=(),
    )
    unknown = replace(
        reported.report, metrics=metrics, warnings=(Notice("not_validated_at_all"),), sieved=0.012
    )
    drawn = draw_pictures(unknown, language)
    assert "accuracy" not in drawn
    page = render(unknown, language, drawn)
    opened = open_report(browser, page, tmp_path / f"unknown-{language}.html")
    text, wording = opened.page.inner_text("main"), Wording(language)
    for key in ("not_estimated", "accuracy_missing", "not_validated_at_all"):
        assert wording.say(key) in text
    assert wording.say("quality_caption_none") in text
    assert wording.say("sieved", share=wording.percent(0.012)) in text
    assert wording.say("mislabels") not in text
    assert opened.console == []


def test_accuracy_that_is_not_recorded_is_not_put_down_to_the_polygons(
    reported: Reported, pictures: dict[Language, dict[str, Picture]]
) -> None:
    page = render(replace(reported.report, metrics=None), "en", pictures["en"])
    assert "none is recorded with its model" in page
    assert "two places" not in page


@pytest.mark.parametrize(
    ("optimism", "said"),
    [
        (0.0987, "a difference of 9.9 percentage points. That difference is optimism"),
        (-0.013, "the accuracy is 98.8% ± 0.1: no better, so that"),
        (0.0, "the accuracy is 98.8% ± 0.1: no better, so that"),
    ],
)
def test_optimism_is_told_where_there_is_any(
    reported: Reported,
    pictures: dict[Language, dict[str, Picture]],
    optimism: float,
    said: str,
) -> None:
    metrics = replace(measured(), optimism=optimism)
    page = render(replace(reported.report, metrics=metrics), "en", pictures["en"])
    assert said in page
    assert ("optimism" in page) == (optimism > 0)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", [("570-1026", "20.0"), ("outside a.tif", "3.5"), ("and 1,234 more", "1,000.5")]),
        ("es", [("570-1026", "20,0"), ("fuera de a.tif", "3,5"), ("y 1.234 más", "1.000,5")]),
    ],
)
def test_gaps_that_are_not_named_are_counted(language, expected) -> None:
    gaps = (Gap("a.tif", 3.5, outside=True), Gap("570-1026", 20.0))
    coverage = Coverage(9000.0, 10, 9000.0, uncovered=1024.0, missing=gaps, more_missing=1234)
    assert gap_rows(coverage, Wording(language)) == expected


# --- words ----------------------------------------------------------------------------------------


def test_both_languages_say_the_same_things() -> None:
    placeholders = {
        language: {key: sorted(re.findall(r"{(\w+)}", text)) for key, text in texts.texts.items()}
        for language, texts in TEXTS.items()
    }
    assert placeholders["en"] == placeholders["es"]
    assert TEXTS["en"].terms.keys() == TEXTS["es"].terms.keys()
    assert len(TEXTS["en"].months) == len(TEXTS["es"].months) == 12
    assert TEXTS["es"].class_names.keys() == {
        "Forest", "Non-Forest", "Cloud", "Shadow", "Water", "Haze", "Sensor Error",
    }  # fmt: skip


def test_the_english_report_words_warnings_as_the_log_does(reported: Reported) -> None:
    for warning in reported.report.warnings:
        assert Wording("en").warning(warning) == str(warning) != Wording("es").warning(warning)


def test_what_was_held_out_is_worded_from_the_data() -> None:
    for holdout, english, spanish in (
        (Holdout("polygons"), "whole polygons held out", "polígonos enteros reservados"),
        (
            Holdout("blocks", 0.5),
            "whole blocks of 0.5 held out",
            "bloques enteros de 0.5 reservados",
        ),
        (None, NONE, NONE),
    ):
        assert (Wording("en").held_out(holdout), Wording("es").held_out(holdout)) == (
            english,
            spanish,
        )


def test_numbers_are_written_as_the_language_writes_them() -> None:
    english, spanish = Wording("en"), Wording("es")
    assert (english.hectares(1234567.89), spanish.hectares(1234567.89)) == (
        "1,234,567.9",
        "1.234.567,9",
    )
    assert (english.percent(0.12345), spanish.percent(0.12345)) == ("12.3%", "12,3\u202f%")
    assert english.percent(0.0001) == "<\u00a00.1%"
    assert spanish.percent(0.0001) == "<\u00a00,1\u202f%"
    assert (english.number(-3.5, 1), english.percent(0)) == ("\u22123.5", "0.0%")
    assert (english.month(Period(2025, 6)), spanish.month(Period(2025, 6))) == (
        "June 2025",
        "junio de 2025",
    )


# --- the pictures ---------------------------------------------------------------------------------


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture's red, green and blue, (rows, columns, 3)."""
    data = base64.b64decode(picture.uri.partition(",")[2])
    with MemoryFile(data) as file, file.open() as image:
        pixels: NDArray[np.uint8] = image.read([1, 2, 3])
    return pixels.transpose(1, 2, 0)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_map_has_the_classes_own_colours(
    reported: Reported, pictures: dict[Language, dict[str, Picture]]
) -> None:
    pixels = pixels_of(pictures["en"]["map"])
    frame = frame_around(reported.report.area, reported.report.mosaic.grid.crs)
    west, north = frame.bounds[0], frame.bounds[3]
    seen = set()
    for row, column in np.ndindex(SIZE // PATCH - 2, SIZE // PATCH - 2):
        # Off the middle, where the lines of the graticule could be by chance.
        x, y = ORIGIN @ (column * PATCH + 95, row * PATCH + 83)
        code = int(reported.codes[row * PATCH + 83, column * PATCH + 95])
        colour = pixels[int(EDGE + (north - y) / frame.unit), int(BORDER + (x - west) / frame.unit)]
        if code in COLOURS:
            seen.add((code, tuple(map(int, colour)) == COLOURS[code]))
    assert {code for code, right in seen if right} == COLOURS.keys()


def test_small_pictures_are_small(pictures: dict[Language, dict[str, Picture]]) -> None:
    for picture in pictures["es"].values():
        assert len(picture.small) < 300_000


@pytest.mark.parametrize("length", [9.99, 10, 0.3, 49_999])
def test_a_scale_bar_is_round_and_not_longer(length: float) -> None:
    found = round_down(length)
    assert length / 2.5 < found <= length
    assert f"{found:.0e}"[0] in "125"


def test_where_there_is_no_imagery_the_true_colour_picture_is_transparent(
    reported: Reported,
) -> None:
    mosaic, area = reported.report.mosaic, reported.report.area
    frame = frame_around(area, mosaic.grid.crs)
    picture = true_colour(mosaic, area, frame)
    assert picture.shape[2] == 4
    west, north = frame.bounds[0], frame.bounds[3]
    unit = max(frame.unit, RESOLUTION)
    for column, row, opaque in ((90, 90, True), (300, 450, True), (585, 300, False)):
        x, y = ORIGIN @ (column, row)
        alpha = picture[int((north - y) / unit), int((x - west) / unit), 3]
        assert bool(alpha) is opaque


@pytest.mark.parametrize(("sharpness", "factor"), [(SIZE, 1), (SIZE // 2, 2), (SIZE // 20, 16)])
def test_thumbnails_stand_in_for_a_mosaic_without_overviews(
    reported: Reported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sharpness: int,
    factor: int,
) -> None:
    mosaic = imagery(tmp_path, reported.codes)
    area = shapely.box(*mosaic.grid.bounds)
    frame = frame_around(area, mosaic.grid.crs)
    monkeypatch.setattr(thumbnails, "PICTURE", sharpness)
    assert thumbnail_factor(mosaic, area) == factor

    small = []
    (tmp_path / "small").mkdir()
    with mosaic.open() as reader:
        for window in split(Window(0, 0, SIZE, SIZE), 512, 512):
            thumbnail = Thumbnail(window, list(mosaic.bands), factor)
            for strip in split(window, 128):
                read = reader.read(list(mosaic.bands.values()), strip)
                thumbnail.add(strip, read.values, read.valid)
            small.append(tmp_path / f"small_{window.col_off}_{window.row_off}.tif")
            thumbnail.write(mosaic.grid, small[-1])
    numbers = {"red": 1, "green": 2, "blue": 3}
    of_thumbnails = true_colour(mosaic_of(small, tmp_path / "small", numbers), area, frame)
    whole = true_colour(mosaic, area, frame)
    rows, columns = (length // factor for length in whole.shape[:2])
    coarse = whole[: rows * factor, : columns * factor]
    coarse = coarse.reshape(rows, factor, columns, factor, 4).mean((1, 3))
    there = (coarse[..., 3] == 255) & (of_thumbnails[:rows, :columns, 3] == 255)
    assert there.mean() > 0.3
    apart = np.abs(coarse - of_thumbnails[:rows, :columns])[there][:, :3]
    assert np.median(apart) < 12
    for picture in (whole, of_thumbnails):
        assert 60 < picture[picture[..., 3] > 0][:, :3].mean() < 200

    for quad in mosaic.quads():
        with rasterio.open(quad.path, "r+") as file:
            file.build_overviews([2, 4], Resampling.average)
    assert thumbnail_factor(mosaic, area) is None


# --- the task -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("prefect_api")
def test_the_task_writes_the_page_and_shows_its_pictures(
    reported: Reported, settings: Callable[..., None]
) -> None:
    settings(REPORT_LANGUAGE="es")
    report = reported.report
    lonlat = geopandas.GeoSeries([report.area], crs=report.mosaic.grid.crs).to_crs(4326).iloc[0]
    run = run_of(aoi=lonlat.wkt)
    model = Model(run.files.model, "0" * 64, (), NAMES)
    training = Training(model, "samples", {}, None, notices=(Notice("not_validated_at_all"),))
    finished = FinishedMap(
        layers=prediction_layers(run.period, NAMES),
        final=run.files.maps,
        folder=run.files.work,
        sha256="0" * 64,
        model=model,
        source_mosaic=report.mosaic.origin,
        hectares=report.hectares,
        pixels=report.pixels,
        low_confidence=report.low_confidence,
    )
    finished.folder.mkdir(parents=True)
    for made, layer in zip((report.map, report.confidence), finished.layers, strict=True):
        (finished.folder / layer.file).write_bytes(Path(made).read_bytes())
    survey = Survey(report.mosaic, report.coverage, Radiometry({}, ()))

    @flow
    def reporting() -> tuple[str, UUID]:
        path = write_report(run, survey, finished, None, training, {"command": "x"})
        return str(path), UUID(str(flow_run.id))

    waiting = finished.folder / run.files.report.name
    path, run_id = reporting()
    assert path == str(waiting)
    assert "Cobertura del suelo en junio de 2025" in waiting.read_text("utf-8")
    assert "Nada se pudo validar" in waiting.read_text("utf-8")
    assert not run.files.report.exists()
    assert sorted(path.name for path in finished.folder.iterdir()) == [
        "confidence_202506.tif",
        "prediction_202506.tif",
        "report_202506.html",
    ]
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        artifacts = client.read_artifacts(artifact_filter=wanted)
    found = {artifact.key: artifact.data for artifact in artifacts}
    shown = {f"picture-{name}-2025-06" for name in ("map", "image", "confidence", "hectares")}
    assert shown <= found.keys()
    assert str(found["picture-map-2025-06"]).startswith("![map](data:image/jpeg;base64,")
