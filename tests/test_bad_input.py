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
from shapely import Point
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, create_engine, inspect, text

from flows import monthly, prepare_data, run_predictions, train_model
from tests.conftest import REAL
from tests.rasters import random_values, write_raster

pytestmark = pytest.mark.usefixtures("prefect_api")

REPOSITORY = Path(__file__).parents[1]
MONTH = ("--year", "1999", "--month", "11")
FEW = ("--trees", "2", "--folds", "2")

DONE, FAILED, WRONG = 0, 1, 2


# So that no model is one that this process has opened before.
SEEDS = count()


@dataclass
class World:
    """Chiapas in November 1999, whole and sound, for a row to break one thing of."""

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
class Row:
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
    breaks: Callable[[World], object] | None = None
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


def sampled(words: Sequence[str], breaks: Callable[[World], object]) -> Row:
    """Return a row of what is mended or left out before the first model is trained."""
    return Row(words, DONE, breaks, options=(), command=prepare_data, leaves=[PREPARED])


NOWHERE = "POLYGON((10 50, 10.1 50, 10.1 50.1, 10 50))"

# On the imagery, away from all polygons.
BARE = "SRID=32615;POLYGON((462405 1734315, 463005 1734315, 463005 1734915, 462405 1734315))"


def two_bands(world: World) -> None:
    write_raster(Path("imagery/a.tif"), random_values((2, 64, 64)))
    world.settings(PLANET_MOSAIC_DIR="imagery", MOSAIC_PATTERN="*.tif")


def labelled(labels: Sequence[str | None]) -> Callable[[World], None]:
    """Give the first polygons these labels; of fewer labels than polygons, leave the rest out."""
    return lambda world: world.put_polygons(
        world.polygons.head(len(labels)).assign(**{"class": labels})
    )


def dated(world: World) -> None:
    rows = world.polygons
    world.put_polygons(rows.assign(month=["1999-10"] * 20 + ["2002-04-16"] * (len(rows) - 20)))


def aoi_of_points(world: World) -> None:
    geopandas.GeoSeries([Point(0, 0)], crs=4326).to_file("area.geojson")
    world.settings(AOI_DEFINITION="area.geojson")


def polygons_far_away(world: World) -> None:
    far = world.polygons.translate(-100_000, 0)
    world.put_polygons(world.polygons.set_geometry(far))
    both = world.polygons.union_all() | far.union_all()
    world.settings(AOI_DEFINITION=f"SRID=32615;{both.convex_hull.wkt}")


def polygons_without_crs(world: World) -> None:
    world.put_polygons(world.polygons.set_crs(None, allow_override=True))


def a_file_for_a_folder(_: World) -> None:
    Path("file").write_text("no folder")


def truncated(world: World) -> None:
    path = world.put_mosaic()
    path.write_bytes(path.read_bytes()[:200_000])


def no_image(world: World) -> None:
    world.put_mosaic().write_text("<html>502 Bad Gateway</html>")


FINER = 5


def corrupt(first: int, last: int) -> Callable[[World], None]:
    """Spoil pixels without touching the header, which says where blocks lie."""

    def spoil_pixels(world: World) -> None:
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


def another_model(world: World) -> None:
    world.train()
    with Path("data/models", MODEL).open("ab") as file:
        file.write(b"!")


def model_gone(world: World) -> None:
    world.train()
    Path("data/models", MODEL).unlink()


def spoiled_after_training(world: World) -> None:
    world.train()
    truncated(world)


def shaped(*shapes: BaseGeometry | None) -> Callable[[World], None]:
    """Give the first polygons other shapes."""

    def reshape(world: World) -> None:
        rows = world.polygons.copy()
        shapes_of_all = [*shapes, *rows.geometry[len(shapes) :]]
        world.put_polygons(rows.set_geometry(geopandas.GeoSeries(shapes_of_all, crs=rows.crs)))

    return reshape


def in_space(world: World) -> None:
    world.put_polygons(world.polygons.set_geometry(shapely.force_3d(world.polygons.geometry, 7)))


def curved(world: World) -> None:
    """Make a polygon of PostGIS of arcs, which is a type of its own."""
    engine = world.use_database()
    spoil(
        engine,
        "ALTER TABLE polygons ALTER geom TYPE geometry(Geometry, 32615);"
        " UPDATE polygons SET geom = ST_ForceCurve(ST_Buffer(ST_Centroid(geom), 100))"
        " WHERE id = (SELECT min(id) FROM polygons)",
    )


def without_srid(world: World) -> None:
    engine = world.use_database()
    spoil(engine, "ALTER TABLE polygons ALTER geom TYPE geometry USING ST_SetSRID(geom, 0)")


def overlapping(world: World) -> None:
    rows = world.polygons
    again = rows.assign(**{"class": rows["class"].map(lambda label: f"not {label}")})
    world.put_polygons(geopandas.GeoDataFrame(pd.concat([rows, again]), crs=rows.crs))


def same_ids(world: World) -> None:
    world.put_polygons(world.polygons.assign(key=7))
    world.settings(TRAINING_POLYGON_ID_COL="key")


def confetti(world: World) -> None:
    """Cut the polygons into three hundred specks, none of which holds a pixel's centre."""
    rows = world.polygons
    corners = np.random.default_rng(0).integers(0, 200, (300, 2)) * 30.0
    west, north = 462405, 1741815
    x, y = west + corners[:, 0] + 1, north - corners[:, 1] - 1
    specks = shapely.box(x, y - 3, x + 3, y)
    labels = np.resize(["a", "b"], len(specks))
    many = geopandas.GeoDataFrame({"class": labels}, geometry=specks, crs=rows.crs)
    world.put_polygons(geopandas.GeoDataFrame(pd.concat([rows, many]), crs=rows.crs))


def odd_labels(world: World) -> None:
    odd = {"forest": "Bosque 'húmedo' \"tropical\"", "urban": "城市; DROP TABLE polygons; --"}
    rows = world.polygons
    labels = rows["class"].map(lambda label: odd.get(label.lower(), label))
    world.put_polygons(rows.assign(**{"class": labels}))


def as_image(**changes: Any) -> Callable[[World], None]:
    """Write the month's image again with something else about it."""

    def change(world: World) -> None:
        path = world.put_mosaic()
        with rasterio.open(path) as image:
            values, profile = image.read(), image.profile
        with rasterio.open(path, "w", **{**profile, **changes}) as image:
            image.write(values[: image.count].astype(image.dtypes[0]))

    return change


def scaled(world: World) -> None:
    """Say in the file that its values are to be multiplied and shifted."""
    with rasterio.open(world.put_mosaic(), "r+") as image:
        image.scales, image.offsets = [0.0001] * image.count, [-0.1] * image.count


def rotated(world: World) -> None:
    with rasterio.open(world.put_mosaic(), "r+") as image:
        image.transform @= Affine.rotation(3)


def of_zero_bytes(world: World) -> None:
    world.put_mosaic().write_bytes(b"")


def folder_like_an_image(world: World) -> None:
    path = world.put_mosaic()
    path.unlink()
    path.mkdir()


def second_quad(**changes: Any) -> Callable[[World], None]:
    """Put another quad beside the month's image, which does not go with it."""

    def put(world: World) -> None:
        path = world.put_mosaic()
        with rasterio.open(path) as image:
            values, profile = image.read(), image.profile
        beside = profile["transform"] @ Affine.translation(values.shape[2], 0)
        with rasterio.open(
            path.with_name("b.tif"), "w", **{**profile, "transform": beside, **changes}
        ) as image:
            image.write(values[: image.count].astype(image.dtypes[0]))

    return put


def area_of(text_or_bytes: bytes) -> Callable[[World], None]:
    def write(world: World) -> None:
        Path("area.geojson").write_bytes(text_or_bytes)
        world.settings(AOI_DEFINITION="area.geojson")

    return write


IN_DATABASE = {"breaks": lambda world: world.use_database()}
DROP = "'; DROP TABLE polygons; --"

# Around a hundred metres each, on the imagery of Chiapas.
BOW = shapely.from_wkt(
    "POLYGON((465000 1738000, 465300 1738300, 465300 1738000, 465000 1738300, 465000 1738000))"
)
MIXED = shapely.from_wkt(
    "GEOMETRYCOLLECTION(POINT(465000 1738000), POLYGON((465000 1738000, 465300 1738000, "
    "465300 1738300, 465000 1738300, 465000 1738000)))"
)


def tidy_frame(**columns: Any) -> Callable[[World], None]:
    return lambda _: pd.DataFrame(columns).to_parquet("samples.parquet")


ROWS = {
    # the imagery
    "mosaic-missing": Row(
        [
            "Cannot find the mosaic of 2001-11",
            "LE70220492001*_stack.gtif",
            "chiapas_landsat holds ",
        ],
        options=["--year", "2001", *FEW],
    ),
    "mosaic-folder-empty": Row(
        ["nothing matches imagery/nicfi_mosaic_1999-11_analytic.tif", "imagery is empty"],
        breaks=lambda _: Path("imagery").mkdir(),
        settings={"PLANET_MOSAIC_DIR": "imagery", "MOSAIC_PATTERN": None},
    ),
    "mosaic-folder-missing": Row(
        ["nothing matches nowhere/at/all/LE7", "--mosaic_path"],
        settings={"PLANET_MOSAIC_DIR": "nowhere/at/all"},
    ),
    "mosaic-path-missing": Row(
        ["Cannot find the mosaic of 1999-11: nothing matches x.tif"],
        options=["--mosaic_path", "x.tif"],
    ),
    "mosaic-of-two-bands": Row(
        ["imagery/a.tif has 2 bands, but MOSAIC_BANDS asks for red=3, nir=4"], breaks=two_bands
    ),
    "mosaic-no-image": Row(["Cannot read the image ", "imagery/a.tif", "again"], breaks=no_image),
    "mosaic-truncated": Row(["Cannot read the ", "imagery", "again"], breaks=truncated),
    "mosaic-corrupt-block": Row(
        ["Cannot read the mosaic imagery/*.tif to see what it covers", "a.tif", "again"],
        breaks=corrupt(20_000, -20_000),
    ),
    "mosaic-corrupt-block-without-polygons": Row(
        ["Cannot read the mosaic imagery/*.tif to measure its brightness (", "a.tif", "again"],
        breaks=corrupt(-40_000, -20_000),
        leaves=[PREPARED],
    ),
    "mosaic-on-s3": Row(
        ["There are no credentials for the mosaic s3://nicfi/monthly"],
        WRONG,
        settings={"PLANET_MOSAIC_DIR": "s3://nicfi/monthly"},
    ),
    "mosaic-path-on-s3": Row(
        ["There are no credentials for the mosaic s3://nicfi/a.tif", "set S3_ACCESS_KEY_ID"],
        WRONG,
        options=["--mosaic-path", "s3://nicfi/a.tif"],
    ),
    # the polygons
    "no-polygons-in-the-area": Row(
        ["No training polygon of ", "training_data.shp touches the area of interest"],
        settings={"AOI_DEFINITION": BARE},
    ),
    "month-off-the-mosaic": Row(
        ["The area of interest does not touch the mosaic", "check AOI_DEFINITION"],
        settings={"AOI_DEFINITION": NOWHERE},
    ),
    "no-polygons-of-the-month": Row(
        ["no training polygons of 1999-11 in its column month", "1999-10, 2002-04."],
        breaks=dated,
        settings={"TRAINING_POLYGON_MONTH_COL": "month"},
    ),
    "table-unknown": Row(
        ["no table field.poligons, which TRAINING_POLYGON_TABLE names", "schema field has none"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"TRAINING_POLYGON_TABLE": "field.poligons"},
    ),
    "table-misspelled": Row(
        ["no table poligons, which TRAINING_POLYGON_TABLE names; it has ", "polygons"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"TRAINING_POLYGON_TABLE": "poligons"},
    ),
    "table-without-database": Row(
        ["TRAINING_POLYGON_TABLE is polygons, a table, but there is no DB_HOST"],
        WRONG,
        settings={"TRAINING_POLYGON_TABLE": "polygons", "TRAINING_POLYGON_GEOM_COL": "geom"},
    ),
    "geometry-column-unknown": Row(
        ["polygons has no column 'outline'", "GEOM_COL names; its columns are id, class, geom."],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"TRAINING_POLYGON_GEOM_COL": "outline"},
    ),
    "geometry-column-not-set": Row(
        ["TRAINING_POLYGON_GEOM_COL is not set; it should be the geometry column of polygons"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"TRAINING_POLYGON_GEOM_COL": None},
    ),
    "class-column-unknown-in-table": Row(
        ["polygons has no column 'kind'", "CLASS_COL names; its columns are id, class, geom."],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"TRAINING_POLYGON_CLASS_COL": "kind"},
    ),
    "class-column-unknown": Row(
        ["has no column 'kind'", "TRAINING_POLYGON_CLASS_COL names; its columns are id, class,"],
        WRONG,
        settings={"TRAINING_POLYGON_CLASS_COL": "kind"},
    ),
    "id-column-unknown": Row(
        ["has no column 'key', which TRAINING_POLYGON_ID_COL names"],
        WRONG,
        settings={"TRAINING_POLYGON_ID_COL": "key"},
    ),
    "month-column-unknown": Row(
        ["has no column 'when', which TRAINING_POLYGON_MONTH_COL names"],
        WRONG,
        settings={"TRAINING_POLYGON_MONTH_COL": "when"},
    ),
    "file-unknown": Row(
        ["TRAINING_POLYGON_TABLE is a file that does not exist: polygons.gpkg"],
        WRONG,
        settings={"TRAINING_POLYGON_TABLE": "polygons.gpkg"},
    ),
    "file-no-vector": Row(
        ["TRAINING_POLYGON_TABLE cannot be read: polygons.geojson"],
        WRONG,
        breaks=lambda _: Path("polygons.geojson").write_text("{}"),
        settings={"TRAINING_POLYGON_TABLE": "polygons.geojson"},
    ),
    "file-without-crs": Row(
        ["polygons.gpkg does not say its coordinate reference system"],
        WRONG,
        breaks=polygons_without_crs,
    ),
    "class-null": Row(
        ["1 of 4 polygons (id 2) of polygons.gpkg have no class label"],
        breaks=labelled(["a", None, "b", "b"]),
    ),
    "class-empty": Row(
        ["2 of 4 polygons (id 1, 3) of polygons.gpkg have no class label"],
        breaks=labelled([" ", "a", "", "b"]),
    ),
    "class-null-in-table": Row(
        ["of polygons have no class label"],
        breaks=lambda world: spoil(world.use_database(), "UPDATE polygons SET class = NULL"),
    ),
    "class-single": Row(
        ["4 training polygons of polygons.gpkg are of one class (a)", "at least two"],
        breaks=labelled(["a", "a", "a", "a"]),
    ),
    "class-with-one-polygon": Row(
        ["Class lonely has a single polygon: it is trained on, but cannot be validated."],
        DONE,
        breaks=labelled(["a", "b", "lonely", "a", "b", "a", "b"]),
        leaves=MAPPED,
    ),
    "polygons-outside-the-imagery": Row(
        ["gave samples of fewer than two classes", "30 polygons gave none: outside the mosaic"],
        breaks=polygons_far_away,
        options=["--allow_gaps", *FEW],
    ),
    "imagery-missing": Row(
        ["The imagery of 1999-11 leaves 93.90% of the area of interest", "--allow_gaps"],
        breaks=polygons_far_away,
    ),
    "polygons-crossing-themselves": sampled(
        ["1 of 30 polygons (id 1) of polygons.gpkg cross themselves and were mended."],
        breaks=shaped(BOW),
    ),
    "polygons-empty-and-null": sampled(
        ["2 of 30 polygons (id 1, 2) of polygons.gpkg have no area and are left out."],
        breaks=shaped(shapely.Polygon(), None),
    ),
    "polygons-of-mixed-types": sampled(
        ["1 of 30 polygons (id 2) of polygons.gpkg have no area and are left out."],
        breaks=shaped(MIXED, Point(465000, 1738000)),
    ),
    "polygons-in-three-dimensions": sampled(
        ["30 training polygons from polygons.gpkg"], breaks=in_space
    ),
    "polygons-of-arcs": sampled(["30 training polygons from polygons"], breaks=curved),
    "polygons-of-srid-0": Row(["SRID"], WRONG, breaks=without_srid),
    "polygons-over-each-other": sampled(
        ["pixels lie under polygons of different classes; each went to the first."],
        breaks=overlapping,
    ),
    "polygons-of-one-id": sampled(
        ["several polygons of id 7; they are told apart as 7#2 and so on"], breaks=same_ids
    ),
    "polygons-too-small-to-hold-a-pixel": sampled(
        ["300 polygons gave no sample (id ", " and 280 more): smaller than a pixel."],
        breaks=confetti,
    ),
    "labels-with-quotes-and-other-letters": Row(
        ["城市; DROP TABLE polygons; --"], DONE, breaks=odd_labels, leaves=MAPPED
    ),
    # more imagery
    "image-of-zero-bytes": Row(
        ["Cannot read the image ", "imagery/a.tif", "again"], breaks=of_zero_bytes
    ),
    "image-is-a-folder": Row(
        ["Cannot find the mosaic of 1999-11", "imagery"], breaks=folder_like_an_image
    ),
    "image-rotated": Row(["is rotated or not north-up: warp it"], breaks=rotated),
    "image-complex": Row(
        ["holds complex numbers, which are no reflectance"], breaks=as_image(dtype="complex64")
    ),
    "image-of-one-band": Row(
        ["imagery/a.tif has 1 band, but MOSAIC_BANDS asks for green=2"], breaks=as_image(count=1)
    ),
    "image-without-crs": Row(
        ["does not say its coordinate reference system", "rio edit-info"], breaks=as_image(crs=None)
    ),
    "image-float": Row(["Map written"], DONE, breaks=as_image(dtype="float32"), leaves=MAPPED),
    "image-signed": Row(["Map written"], DONE, breaks=as_image(dtype="int16"), leaves=MAPPED),
    "image-with-scale-and-offset": Row(["Map written"], DONE, breaks=scaled, leaves=MAPPED),
    "quads-of-two-crs": Row(
        ["The quads do not make one mosaic", "b.tif differs from", "Bring them to one grid"],
        breaks=second_quad(crs="EPSG:32616"),
    ),
    "quads-of-two-resolutions": Row(
        ["The quads do not make one mosaic", "b.tif differs from"],
        breaks=second_quad(transform=Affine(15, 0, 469905, 0, -15, 1741815)),
    ),
    "quads-of-two-types": Row(
        ["The quads do not make one mosaic", "b.tif differs from"],
        breaks=second_quad(dtype="float32"),
    ),
    "quads-of-unlike-bands": Row(
        ["imagery/b.tif has 2 bands, but MOSAIC_BANDS asks for"], breaks=second_quad(count=2)
    ),
    # injections
    **{
        f"drop-table-in-{setting.lower()}": Row(words, WRONG, settings={setting: DROP}, **others)
        for setting, words, others in [
            ("TRAINING_POLYGON_TABLE", ["no table '; DROP TABLE polygons; --"], IN_DATABASE),
            ("TRAINING_POLYGON_GEOM_COL", ["has no column"], IN_DATABASE),
            ("TRAINING_POLYGON_CLASS_COL", ["has no column"], IN_DATABASE),
            ("TRAINING_POLYGON_ID_COL", ["has no column"], IN_DATABASE),
            ("TRAINING_POLYGON_MONTH_COL", ["has no column"], IN_DATABASE),
            ("DB_SCHEMA", ["The database has no schema", "which DB_SCHEMA names"], IN_DATABASE),
            ("DB_NAME", ["DROP TABLE"], IN_DATABASE),
            ("DB_USER", ["DROP TABLE"], IN_DATABASE),
            ("DB_PASSWORD", ["refuses the connection"], IN_DATABASE),
            ("MOSAIC_BANDS", ["MOSAIC_BANDS is wrong"], {}),
            ("AOI_DEFINITION", ["AOI_DEFINITION is neither WKT nor a file"], {}),
            ("S3_ENDPOINT_URL", ["S3_ENDPOINT_URL is wrong"], {}),
            ("REPORT_LANGUAGE", ["REPORT_LANGUAGE is wrong"], {}),
        ]
    },
    # the area of interest
    "area-crossing-itself": Row(
        ["Map written"],
        DONE,
        settings={
            "AOI_DEFINITION": "SRID=32615;POLYGON((462405 1734315, 469905 1741815, 469905 1734315, "
            "462405 1741815, 462405 1734315))"
        },
        leaves=MAPPED,
    ),
    "area-of-zero-bytes": Row(["AOI_DEFINITION cannot be read"], WRONG, breaks=area_of(b"")),
    "area-empty": Row(
        ["holds no polygon"], WRONG, settings={"AOI_DEFINITION": "MULTIPOLYGON EMPTY"}
    ),
    "area-in-metres-called-degrees": Row(
        ["coordinates that are not longitudes and latitudes"],
        WRONG,
        settings={"AOI_DEFINITION": BOW.wkt},
    ),
    "area-invalid-text": Row(
        ["AOI_DEFINITION is not valid WKT: POLYGON((1 2, 3", "It should be like POLYGON(("],
        WRONG,
        settings={"AOI_DEFINITION": "POLYGON((1 2, 3"},
    ),
    "area-file-missing": Row(
        ["AOI_DEFINITION is neither WKT nor a file that exists: area.geojson"],
        WRONG,
        settings={"AOI_DEFINITION": "area.geojson"},
    ),
    "area-file-with-a-name-like-wkt-missing": Row(
        ["AOI_DEFINITION is neither WKT nor a file that exists: polygon.geojson"],
        WRONG,
        settings={"AOI_DEFINITION": "polygon.geojson"},
    ),
    "area-of-points": Row(["area.geojson holds no polygon"], WRONG, breaks=aoi_of_points),
    "area-off-the-mosaic": Row(
        ["The area of interest does not touch the mosaic", "462405", "check AOI_DEFINITION"],
        breaks=lambda world: world.train(),
        settings={"AOI_DEFINITION": NOWHERE},
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    # the options
    "month-13": Row(["--month: 13: Input should be less than or"], WRONG, options=["--month=13"]),
    "month-0": Row(["--month: 0: Input should be greater than"], WRONG, options=["--month", "0"]),
    "year-text": Row(
        ["--year: MMXXV: Input should be a valid integer"], WRONG, options=["--year", "MMXXV"]
    ),
    "option-unknown": Row(["unrecognized arguments: --forest"], WRONG, options=["--forest=5"]),
    "trees-0": Row(["--trees: 0: Input should be greater than"], WRONG, options=["--trees", "0"]),
    "folds-1": Row(["--folds: 1: Input should be greater than"], WRONG, options=["--folds", "1"]),
    "class-weight-odd": Row(
        ["--class_weight: invalid choice: 'odd' (choose from", "balanced"],
        WRONG,
        options=["--class-weight", "odd"],
    ),
    "max-pixels-0": Row(["--max_pixels: 0: Input should"], WRONG, options=["--max-pixels", "0"]),
    # the settings
    "no-area": Row(
        ["AOI_DEFINITION is not set; it should be WKT in longitude and latitude"],
        WRONG,
        settings={"AOI_DEFINITION": None},
    ),
    "no-table": Row(
        ["TRAINING_POLYGON_TABLE is not set; it should be table, schema.table, or the path"],
        WRONG,
        settings={"TRAINING_POLYGON_TABLE": None},
    ),
    "no-class-column": Row(
        ["TRAINING_POLYGON_CLASS_COL is not set; it should be the column that holds"],
        WRONG,
        settings={"TRAINING_POLYGON_CLASS_COL": ""},
    ),
    "no-table-nor-class-column": Row(
        ["TRAINING_POLYGON_TABLE is not set", "TRAINING_POLYGON_CLASS_COL is not set"],
        WRONG,
        settings={"TRAINING_POLYGON_TABLE": None, "TRAINING_POLYGON_CLASS_COL": None},
    ),
    "no-mosaic-folder": Row(
        ["PLANET_MOSAIC_DIR is not set; it should be the folder that holds the monthly mosaics"],
        WRONG,
        settings={"PLANET_MOSAIC_DIR": None},
    ),
    "bands-malformed": Row(
        ["MOSAIC_BANDS is wrong ('blue,green' is not a list", "such as blue=1,green=2"],
        WRONG,
        settings={"MOSAIC_BANDS": "blue,green"},
    ),
    "bands-twice": Row(
        ["MOSAIC_BANDS is wrong", "distinct name=number pairs"],
        WRONG,
        settings={"MOSAIC_BANDS": "blue=1,green=1"},
    ),
    "pattern-malformed": Row(
        ["MOSAIC_PATTERN is wrong (only {year} and {month} may stand in braces", "glob"],
        WRONG,
        settings={"MOSAIC_PATTERN": "{yaer}.tif"},
    ),
    "pattern-odd": Row(
        ["MOSAIC_PATTERN is wrong (only {year} and {month} may stand in braces", "glob"],
        WRONG,
        settings={"MOSAIC_PATTERN": "{year[0]}-{month.name}.tif"},
    ),
    "output-on-s3": Row(
        ["There are no credentials for MODEL_OUTPUT_DIR s3://bucket/models", "S3_ACCESS_KEY_ID"],
        WRONG,
        settings={"MODEL_OUTPUT_DIR": "s3://bucket/models"},
    ),
    "output-not-writable": Row(
        ["PREDICTION_OUTPUT_DIR cannot be written: file/maps", "set another folder"],
        breaks=a_file_for_a_folder,
        settings={"PREDICTION_OUTPUT_DIR": "file/maps"},
    ),
    "work-not-writable": Row(
        ["WORK_DIR cannot be written: file/work", "set another folder"],
        breaks=a_file_for_a_folder,
        settings={"WORK_DIR": "file/work"},
    ),
    # the database
    "database-port-malformed": Row(
        ["DB_PORT is wrong", "a port number, such as 5432"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"DB_PORT": "none"},
    ),
    "database-name-missing": Row(
        ["DB_HOST is set, but DB_NAME is not"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"DB_NAME": None},
    ),
    "database-not-reachable": Row(
        ["@127.0.0.1:1/", "cannot be reached", "check that it runs, and DB_HOST and DB_PORT"],
        breaks=lambda world: world.use_database(),
        settings={"DB_PORT": 1},
    ),
    "database-wrong-password": Row(
        ["refuses the connection (password authentication failed", "DB_PASSWORD"],
        WRONG,
        breaks=lambda world: world.use_database(),
        settings={"DB_PASSWORD": "abracadabra"},
    ),
    # the steps
    "no-model-yet": Row(
        ["No model of 1999-11 is recorded in ml_models", "flows/train_model.py --year 1999"],
        command=run_predictions,
        options=[],
    ),
    "model-changed": Row(
        [f"data/models/{MODEL} is not the one that was recorded", "train the month's model again"],
        breaks=another_model,
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    "model-gone": Row(
        [f"data/models/{MODEL} is gone: train the month's model again"],
        breaks=model_gone,
        command=run_predictions,
        options=[],
        leaves=[name for name in TRAINED if name != MODEL],
    ),
    "model-band-missing": Row(
        [f"The model {MODEL} reads the bands blue, green, red, nir, but MOSAIC_BANDS has no nir"],
        breaks=lambda world: world.train(),
        settings={"MOSAIC_BANDS": "blue=1,green=2,red=3"},
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    "mosaic-truncated-at-prediction": Row(
        ["Cannot read the ", "imagery", "again"],
        breaks=spoiled_after_training,
        command=run_predictions,
        options=[],
        leaves=TRAINED,
    ),
    "samples-missing": Row(
        ["There are no samples at samples.parquet", "flows/prepare_data.py"],
        command=train_model,
        options=["--input-data", "samples.parquet"],
    ),
    "samples-no-parquet": Row(
        ["samples.parquet is no parquet file", "flows/prepare_data.py"],
        breaks=lambda _: Path("samples.parquet").write_text("a,b"),
        command=train_model,
        options=["--input-data", "samples.parquet"],
    ),
    "samples-without-columns": Row(
        ["samples.parquet has no column polygon_id, x, y", "flows/prepare_data.py"],
        breaks=tidy_frame(class_label=["a", "b"], blue=[1, 2]),
        command=train_model,
        options=["--input-data", "samples.parquet"],
    ),
    "samples-without-bands": Row(
        ["samples.parquet has no", "band", "flows/prepare_data.py"],
        breaks=tidy_frame(polygon_id=["1", "2"], class_label=["a", "b"], x=[1, 2], y=[1, 2]),
        command=train_model,
        options=["--input-data", "samples.parquet"],
    ),
    "samples-none": Row(
        ["samples.parquet", "flows/prepare_data.py"],
        breaks=tidy_frame(
            polygon_id=np.array([], dtype=str),
            class_label=np.array([], dtype=str),
            x=np.array([]),
            y=np.array([]),
            blue=np.array([], dtype="uint16"),
        ),
        command=train_model,
        options=["--input-data", "samples.parquet"],
    ),
    "no-input-data": Row(
        ["the following arguments are required: --input_data"], WRONG, command=train_model
    ),
}


def spoil(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


@pytest.fixture
def world(chiapas: Path, settings, request: pytest.FixtureRequest, hasty: None) -> World:
    """Chiapas, with tries that follow each other at once."""
    polygons = geopandas.read_file(REAL / "chiapas_landsat" / "training_data.shp")
    return World(settings, chiapas, polygons, request)


def run(row: Row) -> int:
    try:
        return int(row.command.main([*MONTH, *row.options]))
    except SystemExit as stopped:  # argparse
        return int(stopped.code or 0)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=name,
        )
        for name, row in ROWS.items()
    ],
)
def test_bad_input_is_told_in_one_sentence(row: Row, world: World, capfd, caplog):
    if row.breaks:
        row.breaks(world)
    world.settings(**row.settings)
    capfd.readouterr()
    status = run(row)
    out, err = capfd.readouterr()

    assert status == row.status
    told = [line for line in err.splitlines() if line.startswith("Error: ")]
    by_argparse = "usage: " in err
    if row.status == DONE:
        assert told == []
        message = caplog.text
    elif by_argparse:
        assert row.status == WRONG
        assert told == []
        message = err
    else:
        (message,) = told
    for words in row.words:
        assert words in message
    for leak in ("Traceback", "abracadabra"):
        assert leak not in out + err + caplog.text
    assert out == "" or row.status == DONE

    finished = {path.name for path in Path("data").glob("[!w]*/*")} | {
        path.name for path in Path("data").glob("[!w]*/.*")
    }
    assert finished == set(row.leaves)
    assert rows_left(world) == (MODEL in finished or row.breaks is model_gone) + (
        "prediction_199911.tif" in finished
    )


def rows_left(world: World) -> int:
    """Count what is recorded."""
    if world.engine is None and not Path("data/chocoforest.db").exists():
        return 0
    engine = world.engine or create_engine("sqlite:///data/chocoforest.db")
    there = set(inspect(engine).get_table_names()) & {"ml_models", "raster_predictions"}
    with engine.connect() as connection:
        return sum(connection.scalars(text(f"SELECT count(*) FROM {name}")).one() for name in there)


@pytest.mark.parametrize(
    ("changed", "options", "status", "words"),
    [
        ({}, ["--year", "2001"], FAILED, "Error: Cannot find the mosaic of 2001-11"),
        ({"AOI_DEFINITION": None}, [], WRONG, "Error: AOI_DEFINITION is not set"),
        (
            {"PREFECT_API_URL": "http://127.0.0.1:1/api"},
            [],
            FAILED,
            "Error: The Prefect server http://127.0.0.1:1/api does not answer: start it",
        ),
    ],
)
def test_a_command_ends_with_its_status_and_without_traceback(
    world: World, changed, options, status, words
):
    world.settings(**{"PREFECT_API_URL": get_current_settings().api.url, **changed})
    done = subprocess.run(
        [sys.executable, REPOSITORY / "flows" / "monthly.py", *MONTH, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout == ""
