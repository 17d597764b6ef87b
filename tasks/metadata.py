"""The tables `ml_models` and `raster_predictions`: what was made, from what, and how good it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from geoalchemy2 import Geometry
from geoalchemy2.shape import from_shape
from prefect.logging import get_run_logger
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

from landcover.aoi import LONLAT, LONLAT_SRID, load_aoi
from landcover.errors import LandcoverError, SettingsError
from landcover.files import model_name
from landcover.mosaic import Mosaic
from landcover.training import Model
from tasks.database import database
from tasks.prediction import Prediction
from tasks.retries import io_task
from tasks.training import Training

metadata = MetaData()

DETAILS = "details"  # beyond the columns that other software knows

ml_models = Table(
    "ml_models",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("model_filename", String, unique=True),
    Column("model_type", String),
    Column("trained_at", DateTime(timezone=True), server_default=func.now()),
    Column("training_data_source", String),
    Column("parameters", JSON().with_variant(postgresql.JSONB(), "postgresql")),
    Column("metrics", JSON().with_variant(postgresql.JSONB(), "postgresql")),
    Column("year", Integer),
    Column("month", Integer),
)

raster_predictions = Table(
    "raster_predictions",
    metadata,
    Column("prediction_id", Integer, primary_key=True),
    Column("prediction_filename", String, unique=True),
    Column("prediction_path", String),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("model_id", Integer, ForeignKey("ml_models.model_id")),
    Column("source_mosaic", String),
    Column("year", Integer),
    Column("month", Integer),
    Column(
        "aoi_definition",
        Text().with_variant(Geometry("MULTIPOLYGON", srid=4326, spatial_index=False), "postgresql"),
    ),
    Column(DETAILS, JSON().with_variant(postgresql.JSONB(), "postgresql")),
)


@io_task("load classes")
def load_classes() -> dict[str, int]:
    """Return the names and codes of all classes given so far, so that labels keep their codes.

    Raises:
        TransientError: if the database cannot be reached.
    """
    with _tables() as connection:
        return _classes(connection)


@io_task("record model", "record model {year}-{month:02d}")
def record_model(year: int, month: int, training: Training, run: Mapping[str, object]) -> int:
    """Record a trained model, in place of an earlier one of the same file name.

    Args:
        year: of the month.
        month: 1 to 12.
        training: the model, its settings and metrics.
        run: what made it: command, code version, flow run.

    Returns:
        The `model_id`.

    Raises:
        LandcoverError: if another month gave one of its class codes to another label meanwhile.
        TransientError: if the database cannot be reached.
    """
    model = training.model
    classes = {name: code for code, name in model.names.items()}
    with _tables() as connection:
        _check_codes(classes, _classes(connection, but=model.path.name))
        model_id = _replace(
            connection,
            ml_models,
            "model_filename",
            {
                "model_filename": model.path.name,
                "model_type": "RandomForestClassifier",
                "trained_at": func.now(),
                "training_data_source": training.source,
                "parameters": {
                    **training.settings,
                    "bands": list(model.bands),
                    "classes": classes,
                    "sha256": model.sha256,
                    **run,
                },
                "metrics": training.metrics,
                "year": year,
                "month": month,
            },
        )
    get_run_logger().info("Recorded the model as ml_models.model_id %d", model_id)
    return model_id


@io_task("find model", "find model {year}-{month:02d}")
def find_model(year: int, month: int, folder: Path) -> tuple[int, Model]:
    """Look up the month's model.

    Returns:
        Its `model_id`, and the model.

    Raises:
        LandcoverError: if none is recorded, or if its row does not say what the file is.
        TransientError: if the database cannot be reached.
    """
    name = model_name(year, month)
    with _tables() as connection:
        row = connection.execute(
            select(ml_models.c.model_id, ml_models.c.parameters).where(
                ml_models.c.model_filename == name
            )
        ).one_or_none()
    if row is None:
        raise LandcoverError(
            f"No model of {year}-{month:02d} is recorded in ml_models ({name}): train it first, "
            f"with python flows/monthly.py or flows/train_model.py --year {year} --month {month}."
        )
    missing = {"classes", "bands", "sha256"} - set(row.parameters or {})
    if missing:
        raise LandcoverError(
            f"The row of {name} in ml_models does not say its {', '.join(sorted(missing))} in "
            "parameters: train the month's model again."
        )
    names = {code: label for label, code in row.parameters["classes"].items()}
    bands = tuple(row.parameters["bands"])
    return row.model_id, Model(folder / name, row.parameters["sha256"], bands, names)


@io_task("record prediction", "record prediction {year}-{month:02d}")
def record_prediction(
    year: int,
    month: int,
    prediction: Prediction,
    model_id: int,
    mosaic: Mosaic,
    aoi_definition: str,
    run: Mapping[str, object],
) -> int:
    """Record a map, in place of an earlier one of the same file name.

    Args:
        year: of the month.
        month: 1 to 12.
        prediction: the map.
        model_id: of the model that made it.
        mosaic: the imagery that it was made from.
        aoi_definition: the area of interest (see `landcover.aoi.load_aoi`).
        run: what made it: command, code version, flow run.

    Returns:
        The `prediction_id`.

    Raises:
        TransientError: if the database cannot be reached.
    """
    area = load_aoi(aoi_definition).to_crs(LONLAT).iloc[0]
    with _tables() as connection:
        prediction_id = _replace(
            connection,
            raster_predictions,
            "prediction_filename",
            {
                "prediction_filename": prediction.path.name,
                "prediction_path": str(prediction.path.absolute()),
                "generated_at": func.now(),
                "model_id": model_id,
                "source_mosaic": mosaic.origin,
                "year": year,
                "month": month,
                "aoi_definition": _area_value(connection, area),
                DETAILS: {"hectares": prediction.hectares, "sha256": prediction.sha256, **run},
            },
        )
    get_run_logger().info("Recorded the map as raster_predictions.prediction_id %d", prediction_id)
    return prediction_id


@contextmanager
def _tables() -> Iterator[Connection]:
    """Connect to a database in which both tables are as they should be.

    Raises:
        SettingsError: if a table of the same name is of another kind, or PostGIS is missing.
    """
    with database() as connection:
        inspector = inspect(connection)
        there = [table for table in metadata.sorted_tables if inspector.has_table(table.name)]
        for table in there:
            _check_table(connection, table)
        if len(there) < len(metadata.sorted_tables):
            _check_postgis(connection)
            metadata.create_all(connection)
        yield connection


def _check_table(connection: Connection, table: Table) -> None:
    """Make sure that a table that is there already takes the rows; add the column `details`."""
    inspector = inspect(connection)
    there = {str(column["name"]): column for column in inspector.get_columns(table.name)}
    missing = sorted(set(table.columns.keys()) - there.keys() - {DETAILS})
    if missing:
        raise SettingsError(
            f"The database has a table {table.name} of another kind, without "
            f"{', '.join(missing)}: add the columns, or use another database."
        )
    (unique,) = (column.name for column in table.columns if column.unique)
    if unique not in _unique_columns(connection, table):
        raise SettingsError(
            f"The database has a table {table.name} of another kind, whose column {unique} is not "
            "unique: add a unique constraint, or use another database."
        )
    for name in there.keys() - table.columns.keys():
        if not there[name]["nullable"] and there[name]["default"] is None:
            raise SettingsError(
                f"The database has a table {table.name} of another kind, whose column {name} may "
                "not be null: give it a default, or use another database."
            )
    if DETAILS in table.columns and DETAILS not in there:
        kind = table.columns[DETAILS].type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {DETAILS} {kind}"))


def _unique_columns(connection: Connection, table: Table) -> set[str | None]:
    """Return the columns that are unique by themselves."""
    inspector = inspect(connection)
    groups: list[list[str | None]] = [
        list(found["column_names"]) for found in inspector.get_unique_constraints(table.name)
    ]
    groups += [
        found["column_names"] for found in inspector.get_indexes(table.name) if found["unique"]
    ]
    return {group[0] for group in groups if len(group) == 1}


def _check_postgis(connection: Connection) -> None:
    if connection.dialect.name == "postgresql" and not connection.scalar(
        text("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'")
    ):
        raise SettingsError(
            f"The database {connection.engine.url.database} has no PostGIS: "
            "let its owner run CREATE EXTENSION postgis."
        )


def _classes(connection: Connection, but: str | None = None) -> dict[str, int]:
    query = select(ml_models.c.parameters).where(ml_models.c.model_filename.is_distinct_from(but))
    rows = connection.scalars(query.order_by(ml_models.c.model_id)).all()
    return {name: code for row in rows for name, code in (row or {}).get("classes", {}).items()}


def _check_codes(ours: Mapping[str, int], theirs: Mapping[str, int]) -> None:
    """Make sure that code and name of each class are those of the other months."""
    names = {code: name for name, code in theirs.items()}
    for name, code in ours.items():
        their_name, their_code = names.get(code, name), theirs.get(name, code)
        if (their_name, their_code) != (name, code):
            taken = f"{their_name} {code}" if their_name != name else f"{name} {their_code}"
            raise LandcoverError(
                f"This month gave {name} the class code {code}, but another month meanwhile gave "
                f"{taken}: run the month again."
            )


def _replace(
    connection: Connection, table: Table, unique: str, values: Mapping[str, object]
) -> int:
    """Insert a row, or put it in place of the one with the same unique value; return its key."""
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
    statement = insert(table).values(**values)
    key = next(iter(table.primary_key))
    number = connection.scalar(
        statement.on_conflict_do_update(index_elements=[unique], set_=dict(values)).returning(key)
    )
    assert isinstance(number, int)
    return number


def _area_value(connection: Connection, area: BaseGeometry) -> object:
    if connection.dialect.name == "sqlite":
        return area.wkt
    parts = [area] if area.geom_type == "Polygon" else area.geoms
    return from_shape(MultiPolygon(parts), srid=LONLAT_SRID)
