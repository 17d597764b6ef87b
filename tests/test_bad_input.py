"""Bad input, through the commands: one clear sentence, the right exit status, nothing half done."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from prefect.settings import get_current_settings
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, create_engine, inspect, text

from flows import monthly, prepare_data, run_predictions, train_model
from tests.conftest import REAL
from tests.servers.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("prefect_api", "small_pictures")

REPOSITORY = Path(__file__).parents[1]
MONTH = ("--year", "1999", "--month", "11")
FEW = ("--trees", "2", "--folds", "2")

DONE, FAILED, WRONG = 0, 1, 2


# So that no model is one that this process has opened before.
SEEDS = count()


@dataclass
class Chiapas:
    """Chiapas in November 1999, whole and sound, for a fault to break one thing of."""

    settings: Callable[..., None]
    folder: Path
    polygons: geopandas.GeoDataFrame
    request: pytest.FixtureRequest
    engine: Engine | None = None

    def put_polygons(self, rows: geopandas.GeoDataFrame) -> None:
        rows.to_file("polygons.gpkg")
        self.settings(TRAINING_POLYGON_TABLE="polygons.gpkg")

    def put_mosaic(self, name: str = "imagery/a.tif") -> Path:
        """Copy the month's image, so that it can be spoiled."""
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        shutil.copy(next(self.folder.glob("LE70220491999*")), path)
        self.settings(PLANET_MOSAIC_DIR=path.parent, MOSAIC_PATTERN="*.tif")
        return path

    def use_database(self, **others: object) -> Engine:
        """Put the polygons into PostGIS, and use it."""
        self.request.getfixturevalue("in_database")
        self.engine = engine = self.request.getfixturevalue("engine")
        with engine.begin() as connection:
            self.polygons.rename_geometry("geom").to_postgis("polygons", connection)
        self.settings(TRAINING_POLYGON_TABLE="polygons", TRAINING_POLYGON_GEOM_COL="geom", **others)
        return engine

    def train(self) -> None:
        """Make and record the month's model."""
        assert prepare_data.main(MONTH) == DONE
        samples = f"data/prepared/{PREPARED}"
        seed = str(next(SEEDS))
        assert train_model.main([*MONTH, *FEW, "--seed", seed, "--input_data", samples]) == DONE


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what is to be said of it.

    Attributes:
        words: what the message must hold.
        status: the exit status.
        breaks: spoils the world.
        settings: to change.
        options: of the command.
        command: the module of the command.
        leaves: what finished files may be there: those of steps that were done before.
    """

    words: Sequence[str]
    status: int = FAILED
    breaks: Callable[[Chiapas], object] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    options: Sequence[str] = FEW
    command: ModuleType = monthly
    leaves: Sequence[str] = ()


PREPARED = "prepared_data_199911.parquet"
MODEL = "rf_model_199911.joblib"
TRAINED = (PREPARED, MODEL, "held_out_199911.parquet")
MAPPED = (
    *TRAINED,
    "prediction_199911.tif",
    "prediction_199911.tif.aux.xml",
    "prediction_199911.json",
    "confidence_199911.tif",
    "collection.json",
    "report_199911.html",
)


def sampled(words: Sequence[str], breaks: Callable[[Chiapas], object]) -> Fault:
    """Return a fault that is mended or left out before the first model is trained."""
    return Fault(words, DONE, breaks, options=(), command=prepare_data, leaves=[PREPARED])


NOWHERE = "POLYGON((10 50, 10.1 50, 10.1 50.1, 10 50))"

# On the imagery, away from all polygons.
BARE = "SRID=32615;POLYGON((462405 1734315, 463005 1734315, 463005 1734915, 462405 1734315))"


def labelled(labels: Sequence[str | None]) -> Callable[[Chiapas], None]:
    """Give the first polygons these labels; of fewer labels than polygons, leave the rest out."""
    return lambda world: world.put_polygons(
        world.polygons.head(len(labels)).assign(**{"class": labels})
    )


def polygons_far_away(world: Chiapas) -> None:
    far = world.polygons.translate(-100_000, 0)
    world.put_polygons(world.polygons.set_geometry(far))
    both = world.polygons.union_all() | far.union_all()
    world.settings(AOI_DEFINITION=f"SRID=32615;{both.convex_hull.wkt}")


def a_file_for_a_folder(_: Chiapas) -> None:
    Path("file").write_text("no folder")


def truncated(world: Chiapas) -> None:
    path = world.put_mosaic()
    path.write_bytes(path.read_bytes()[:200_000])


def no_image(world: Chiapas) -> None:
    world.put_mosaic().write_text("<html>502 Bad Gateway</html>")


def half_empty(world: Chiapas) -> None:
    with rasterio.open(world.put_mosaic(), "r+") as image:
        values = image.read()
        values[:, :, 125:] = 0
        image.write(values)


FINER = 5


def corrupt(first: int, last: int) -> Callable[[Chiapas], None]:
    """Spoil pixels without touching the header, which says where blocks lie."""

    def spoil_pixels(world: Chiapas) -> None:
        path = world.put_mosaic()
        with rasterio.open(path) as image:
            values, profile = image.read(), image.profile
        # As large as several blocks, of which the coverage check reads the middle one.
        values = values.repeat(FINER, axis=1).repeat(FINER, axis=2)
        finer = {
            "height": values.shape[1],
            "width": values.shape[2],
            "transform": profile["transform"] @ Affine.scale(1 / FINER),
            "compress": "deflate",
            "tiled": True,
            "blockxsize": 256,
            "blockysize": 256,
            "interleave": "pixel",
        }
        with rasterio.open(path, "w", **{**profile, **finer}) as image:
            image.write(values)
        data = bytearray(path.read_bytes())
        data[first:last] = bytes(len(data[first:last]))
        path.write_bytes(data)

    return spoil_pixels


def another_model(world: Chiapas) -> None:
    world.train()
    with Path("data/models", MODEL).open("ab") as file:
        file.write(b"!")


def spoiled_after_training(world: Chiapas) -> None:
    world.train()
    truncated(world)


def shaped(*shapes: BaseGeometry | None) -> Callable[[Chiapas], None]:
    """Give the first polygons other shapes."""

    def reshape(world: Chiapas) -> None:
        rows = world.polygons.copy()
        shapes_of_all = [*shapes, *rows.geometry[len(shapes) :]]
        world.put_polygons(rows.set_geometry(geopandas.GeoSeries(shapes_of_all, crs=rows.crs)))

    return reshape


def overlapping(world: Chiapas) -> None:
    rows = world.polygons
    again = rows.assign(**{"class": rows["class"].map(lambda label: f"not {label}")})
    world.put_polygons(geopandas.GeoDataFrame(pd.concat([rows, again]), crs=rows.crs))


def confetti(world: Chiapas) -> None:
    """Cut the polygons into three hundred specks, none of which holds a pixel's centre."""
    rows = world.polygons
    corners = np.random.default_rng(0).integers(0, 200, (300, 2)) * 30.0
    west, north = 462405, 1741815
    x, y = west + corners[:, 0] + 1, north - corners[:, 1] - 1
    specks = shapely.box(x, y - 3, x + 3, y)
    labels = np.resize(["a", "b"], len(specks))
    many = geopandas.GeoDataFrame({"class": labels}, geometry=specks, crs=rows.crs)
    world.put_polygons(geopandas.GeoDataFrame(pd.concat([rows, many]), crs=rows.crs))


def odd_labels(world: Chiapas) -> None:
    odd = {"forest": "Bosque 'húmedo' \"tropical\"", "urban": "城市; DROP TABLE polygons; --"}
    odd["water"] = "Watter"
    rows = world.polygons
    labels = rows["class"].map(lambda label: odd.get(label.lower(), label))
    world.put_polygons(rows.assign(**{"class": labels}))


def as_image(**changes: Any) -> Callable[[Chiapas], None]:
    """Write the month's image again with something else about it."""

    def change(world: Chiapas) -> None:
        path = world.put_mosaic()
        with rasterio.open(path) as image:
            values, profile = image.read(), image.profile
        with rasterio.open(path, "w", **{**profile, **changes}) as image:
            image.write(values[: image.count].astype(image.dtypes[0]))

    return change


def second_quad(**changes: Any) -> Callable[[Chiapas], None]:
    """Put another quad beside the month's image, which does not go with it."""

    def put(world: Chiapas) -> None:
        path = world.put_mosaic()
        with rasterio.open(path) as image:
            values, profile = image.read(), image.profile
        beside = profile["transform"] @ Affine.translation(values.shape[2], 0)
        with rasterio.open(
            path.with_name("b.tif"), "w", **{**profile, "transform": beside, **changes}
        ) as image:
            image.write(values[: image.count].astype(image.dtypes[0]))

    return put


DROP = "'; DROP TABLE polygons; --"

# Around a hundred metres each, on the imagery of Chiapas.
BOW = shapely.from_wkt(
    "POLYGON((465000 1738000, 465300 1738300, 465300 1738000, 465000 1738300, 465000 1738000))"
)


FAULTS = {
    # the imagery
    "mosaic-missing": Fault(
        [
            "Cannot find the mosaic of 2001-11",
            "LE70220492001*_stack.gtif",
            "chiapas_landsat holds ",
        ],
        options=["--year", "2001", *FEW],
    ),
    "mosaic-no-image": Fault(["Cannot read the image ", "imagery/a.tif", "again"], breaks=no_image),
    "mosaic-corrupt-block": Fault(
        ["Cannot read the mosaic imagery/*.tif to see what it covers", "a.tif", "again"],
        breaks=corrupt(20_000, -20_000),
    ),
    "mosaic-corrupt-block-without-polygons": Fault(
        ["Cannot read the mosaic imagery/*.tif to measure its brightness (", "a.tif", "again"],
        breaks=corrupt(-40_000, -20_000),
        leaves=[PREPARED],
    ),
    "mosaic-half-empty": Fault(
        [
            "% of the area of interest (",
            "MOSAIC_NODATA=0",
            "MOSAIC_NODATA=none",
        ],
        breaks=half_empty,
    ),
    "mosaic-dir-of-stars": Fault(
        ["PLANET_MOSAIC_DIR is /data/nicfi*, and there is no such folder"],
        WRONG,
        settings={"PLANET_MOSAIC_DIR": "/data/nicfi*"},
    ),
    "mosaic-nodata-of-another-type": Fault(
        ["MOSAIC_NODATA is 65535, which no band that the model reads can hold", "int16"],
        WRONG,
        settings={"MOSAIC_NODATA": "65535"},
    ),
    "mosaic-nodata-no-number": Fault(
        ["MOSAIC_NODATA is wrong ('zero' is neither a number nor none)"],
        WRONG,
        settings={"MOSAIC_NODATA": "zero"},
    ),
    "mosaic-on-s3": Fault(
        ["There are no credentials for the mosaic s3://nicfi/monthly"],
        WRONG,
        settings={"PLANET_MOSAIC_DIR": "s3://nicfi/monthly"},
    ),
    # the polygons
    "no-polygons-in-the-area": Fault(
        ["No training polygon of ", "training_data.shp touches the area of interest"],
        settings={"AOI_DEFINITION": BARE},
    ),
    "month-off-the-mosaic": Fault(
        ["The area of interest does not touch the mosaic", "check AOI_DEFINITION"],
        settings={"AOI_DEFINITION": NOWHERE},
    ),
    "table-misspelled": Fault(
        ["no table poligons, which TRAINING_POLYGON_TABLE names; it has ", "polygons"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"TRAINING_POLYGON_TABLE": "poligons"},
    ),
    "table-without-database": Fault(
        ["TRAINING_POLYGON_TABLE is polygons, a table, but there is no DB_HOST"],
        WRONG,
        settings={"TRAINING_POLYGON_TABLE": "polygons", "TRAINING_POLYGON_GEOM_COL": "geom"},
    ),
    "class-column-unknown": Fault(
        ["has no column 'kind'", "TRAINING_POLYGON_CLASS_COL names; its columns are id, class."],
        WRONG,
        settings={"TRAINING_POLYGON_CLASS_COL": "kind"},
    ),
    "file-no-vector": Fault(
        ["TRAINING_POLYGON_TABLE cannot be read: polygons.geojson"],
        WRONG,
        breaks=lambda _: Path("polygons.geojson").write_text("{}"),
        settings={"TRAINING_POLYGON_TABLE": "polygons.geojson"},
    ),
    "class-null": Fault(
        ["1 of 4 polygons (id 2) of polygons.gpkg have no class label"],
        breaks=labelled(["a", None, "b", "b"]),
    ),
    "class-with-one-polygon": Fault(
        ["Class lonely has a single polygon: it is trained on, but cannot be validated."],
        DONE,
        breaks=labelled(["a", "b", "lonely", "a", "b", "a", "b"]),
        leaves=MAPPED,
    ),
    "polygons-outside-the-imagery": Fault(
        ["gave samples of fewer than two classes", "30 polygons gave none: outside the mosaic"],
        breaks=polygons_far_away,
        options=["--allow_gaps", *FEW],
    ),
    "imagery-missing": Fault(
        ["covers 6.09% of the area of interest: 70,533.2 ha of it lie outside", "--allow_gaps"],
        breaks=polygons_far_away,
    ),
    "polygons-crossing-themselves": sampled(
        ["1 of 30 polygons (id 1) of polygons.gpkg cross themselves and were mended."],
        breaks=shaped(BOW),
    ),
    "polygons-over-each-other": sampled(
        ["pixels lie under polygons of different classes; each went to the first."],
        breaks=overlapping,
    ),
    "polygons-too-small-to-hold-a-pixel": sampled(
        ["300 polygons gave no sample (id ", " and 280 more): smaller than a pixel."],
        breaks=confetti,
    ),
    "labels-with-quotes-and-other-letters-and-misspelled": Fault(
        ["城市; DROP TABLE polygons; --", "The class Watter is new", "is much like Water,"],
        DONE,
        breaks=odd_labels,
        leaves=MAPPED,
    ),
    # more imagery
    "image-float": Fault(["Map written"], DONE, breaks=as_image(dtype="float32"), leaves=MAPPED),
    "quads-of-two-crs": Fault(
        ["The quads do not make one mosaic", "b.tif differs from", "Bring them to one grid"],
        breaks=second_quad(crs="EPSG:32616"),
    ),
    # injections
    **{
        f"drop-table-in-{setting.lower()}": Fault(
            words, WRONG, breaks=lambda world: world.use_database(), settings={setting: DROP}
        )
        for setting, words in [
            ("TRAINING_POLYGON_TABLE", ["no table '; DROP TABLE polygons; --"]),
            ("DB_SCHEMA", ["The database has no schema", "which DB_SCHEMA names"]),
            ("DB_PASSWORD", ["refuses the connection"]),
        ]
    },
    # the area of interest
    "area-invalid-text": Fault(
        ["AOI_DEFINITION is not valid WKT: POLYGON((1 2, 3", "It should be like POLYGON(("],
        WRONG,
        settings={"AOI_DEFINITION": "POLYGON((1 2, 3"},
    ),
    # the options
    "month-13": Fault(["--month: 13: Input should be less than or"], WRONG, options=["--month=13"]),
    "year-text": Fault(
        ["--year: MMXXV: Input should be a valid integer"], WRONG, options=["--year", "MMXXV"]
    ),
    "option-unknown": Fault(["unrecognized arguments: --forest"], WRONG, options=["--forest=5"]),
    "trees-0": Fault(["--trees: 0: Input should be greater than"], WRONG, options=["--trees", "0"]),
    "class-weight-odd": Fault(
        ["--class_weight: invalid choice: 'odd' (choose from", "balanced"],
        WRONG,
        options=["--class-weight", "odd"],
    ),
    # the settings
    "no-area": Fault(
        ["AOI_DEFINITION is not set; it should be WKT in longitude and latitude"],
        WRONG,
        settings={"AOI_DEFINITION": None},
    ),
    "no-table-nor-class-column": Fault(
        ["TRAINING_POLYGON_TABLE is not set", "TRAINING_POLYGON_CLASS_COL is not set"],
        WRONG,
        settings={"TRAINING_POLYGON_TABLE": None, "TRAINING_POLYGON_CLASS_COL": None},
    ),
    "no-mosaic-folder": Fault(
        ["PLANET_MOSAIC_DIR is not set; it should be the folder that holds the monthly mosaics"],
        WRONG,
        settings={"PLANET_MOSAIC_DIR": None},
    ),
    "output-on-s3": Fault(
        ["There are no credentials for MODEL_OUTPUT_DIR s3://bucket/models", "S3_ACCESS_KEY_ID"],
        WRONG,
        settings={"MODEL_OUTPUT_DIR": "s3://bucket/models"},
    ),
    "output-not-writable": Fault(
        ["PREDICTION_OUTPUT_DIR cannot be written: file/maps", "set another folder"],
        breaks=a_file_for_a_folder,
        settings={"PREDICTION_OUTPUT_DIR": "file/maps"},
    ),
    # the database
    "database-not-reachable": Fault(
        ["@127.0.0.1:1/", "cannot be reached", "check that it runs, and DB_HOST and DB_PORT"],
        breaks=lambda world: world.use_database(),
        settings={"DB_PORT": 1},
    ),
    "database-wrong-password": Fault(
        ["refuses the connection (password authentication failed", "DB_PASSWORD"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"DB_PASSWORD": "abracadabra"},
    ),
    # the steps
    "no-model-yet": Fault(
        ["No model of 1999-11 is recorded in ml_models", "flows/train_model.py --year 1999"],
        command=run_predictions,
        options=[],
    ),
    "model-changed": Fault(
        [f"data/models/{MODEL} is not the one that was recorded", "train the month's model again"],
        breaks=another_model,
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    "model-band-missing": Fault(
        [
            f"The model {MODEL} reads the bands blue, green, red, nir, but neither MOSAIC_BANDS",
            "nor STATIC_BANDS has nir",
        ],
        breaks=lambda world: world.train(),
        settings={"MOSAIC_BANDS": "blue=1,green=2,red=3"},
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    "mosaic-truncated-at-prediction": Fault(
        ["Cannot read the ", "imagery", "again"],
        breaks=spoiled_after_training,
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    "samples-missing": Fault(
        ["There are no samples at samples.parquet", "flows/prepare_data.py"],
        command=train_model,
        options=["--input-data", "samples.parquet"],
    ),
    "no-input-data": Fault(
        ["the following arguments are required: --input_data"], WRONG, command=train_model
    ),
}


def spoil(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


@pytest.fixture
def world(chiapas: Path, settings, request: pytest.FixtureRequest, hasty: None) -> Chiapas:
    """Chiapas, with tries that follow each other at once."""
    polygons = geopandas.read_file(REAL / "chiapas_landsat" / "training_data.shp")
    return Chiapas(settings, chiapas, polygons, request)


def run(fault: Fault) -> int:
    try:
        return int(fault.command.main([*MONTH, *fault.options]))
    except SystemExit as stopped:  # argparse
        return int(stopped.code or 0)


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS.items()])
def test_bad_input_is_told_in_one_sentence(fault: Fault, world: Chiapas, capfd, caplog):
    if fault.breaks:
        fault.breaks(world)
    world.settings(**fault.settings)
    capfd.readouterr()
    status = run(fault)
    out, err = capfd.readouterr()

    assert status == fault.status
    told = [line for line in err.splitlines() if line.startswith("Error: ")]
    by_argparse = "usage: " in err
    if fault.status == DONE:
        assert told == []
        message = caplog.text
    elif by_argparse:
        assert fault.status == WRONG
        assert told == []
        message = err
    else:
        # What was read is not shown otherwise, and without it nobody knows why there is none.
        assert len(told) == 1, f"{err}\n{caplog.text}"
        message = told[0]
    for words in fault.words:
        assert words in message
    for leak in ("Traceback", "abracadabra"):
        assert leak not in out + err + caplog.text
    assert out == "" or fault.status == DONE

    finished = {path.name for path in Path("data").glob("[!w]*/*")} | {
        path.name for path in Path("data").glob("[!w]*/.*")
    }
    assert finished == set(fault.leaves)
    assert rows_left(world) == (MODEL in finished) + ("prediction_199911.tif" in finished)


def rows_left(world: Chiapas) -> int:
    """Count what is recorded."""
    if world.engine is None and not Path("data/chocoforest.db").exists():
        return 0
    engine = world.engine or create_engine("sqlite:///data/chocoforest.db")
    there = set(inspect(engine).get_table_names()) & {"ml_models", "raster_predictions"}
    with engine.connect() as connection:
        return sum(connection.scalars(text(f"SELECT count(*) FROM {name}")).one() for name in there)


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"AOI_DEFINITION": None}, WRONG, "Error: AOI_DEFINITION is not set"),
        (
            {"PREFECT_API_URL": "http://127.0.0.1:1/api"},
            FAILED,
            "Error: The Prefect server http://127.0.0.1:1/api does not answer: start it",
        ),
    ],
)
def test_a_command_ends_with_its_status_and_without_traceback(
    world: Chiapas, changed, status, words
):
    world.settings(**{"PREFECT_API_URL": get_current_settings().api.url, **changed})
    done = subprocess.run(
        [sys.executable, REPOSITORY / "flows" / "monthly.py", *MONTH],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout == ""
