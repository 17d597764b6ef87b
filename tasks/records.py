"""The month's rows: what was made, from what, and how good it is."""

from collections.abc import Mapping

from geoalchemy2.shape import from_shape
from prefect.logging import get_run_logger
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from upath import UPath

from landcover.aoi import LONLAT, LONLAT_SRID
from landcover.errors import LandcoverError
from landcover.files import absolute, publish_all, scratch
from landcover.maps.stac import COLLECTION_NAME
from landcover.model.forest import Model
from landcover.model.metrics import Metrics
from tasks.access.storage import storage
from tasks.access.tables import (
    DETAILS,
    ml_models,
    raster_predictions,
    tables,
)
from tasks.assembly import FinishedMap
from tasks.catalogue import build_collection
from tasks.coverage import Coverage
from tasks.radiometry import RADIOMETRY, Radiometry
from tasks.retries import io_task
from tasks.run import Month
from tasks.training import Training

# Different months may end at once, and the collection of one must hold the other.
ONE_COLLECTION = text("SELECT pg_advisory_xact_lock(hashtext('chocoforest collection'))")


@io_task("load classes", "load classes {month}")
def load_classes(month: Month) -> dict[str, int]:
    """Return the names and codes of all classes given so far, so that labels keep their codes.

    Args:
        month: that is run.

    Raises:
        TransientError: if the database cannot be reached.
    """
    with tables(month.blocks.database_block) as connection:
        return _classes(connection)


@io_task("record model", "record model {month}")
def record_model(month: Month, training: Training, run: Mapping[str, object]) -> int:
    """Publish and record a trained model, in place of an earlier one of the same file name.

    The row is written first and committed last, so that a failure leaves both as they were.

    Args:
        month: that it is for.
        training: the model, its settings and metrics.
        run: what made it: command, code version, flow run.

    Returns:
        The `model_id`.

    Raises:
        LandcoverError: if another month gave one of its class codes to another label meanwhile, or
            if another run of the month has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    model = training.model
    classes = {name: code for code, name in model.names.items()}
    month.check_alone()
    with tables(month.blocks.database_block) as connection:
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
                "metrics": training.metrics.to_json() if training.metrics else None,
                "year": month.year,
                "month": month.month,
            },
        )
        with storage(month.blocks.storage_block, absolute(model.path)):
            publish_all(training.waiting)
    get_run_logger().info("Recorded the model as ml_models.model_id %d", model_id)
    return model_id


@io_task("find model", "find model {month}")
def find_model(month: Month) -> tuple[int, Training]:
    """Look up the month's model, and how it came about.

    Args:
        month: whose model.

    Returns:
        Its `model_id`, and what was recorded of it.

    Raises:
        LandcoverError: if none is recorded, or if its row does not say what the file is.
        TransientError: if the database cannot be reached.
    """
    name = month.model.name
    with tables(month.blocks.database_block) as connection:
        row = connection.execute(
            select(ml_models).where(ml_models.c.model_filename == name)
        ).one_or_none()
    if row is None:
        raise LandcoverError(
            f"No model of {month} is recorded in ml_models ({name}): train it first, "
            f"with python flows/monthly.py or flows/train_model.py --year {month.year} "
            f"--month {month.month}."
        )
    missing = {"classes", "bands", "sha256"} - set(row.parameters or {})
    if missing:
        raise LandcoverError(
            f"The row of {name} in ml_models does not say its {', '.join(sorted(missing))} in "
            "parameters: train the month's model again."
        )
    names = {code: label for label, code in row.parameters["classes"].items()}
    bands = tuple(row.parameters["bands"])
    model = Model(month.model, row.parameters["sha256"], bands, names)
    settings = {name: row.parameters.get(name) for name in ("forest", "sampling")}
    metrics = Metrics.from_json(row.metrics) if row.metrics else None
    return row.model_id, Training(model, row.training_data_source or "", settings, metrics)


@io_task("record prediction", "record prediction {month}")
def record_prediction(
    month: Month,
    prediction: FinishedMap,
    report: UPath,
    coverage: Coverage,
    radiometry: Radiometry,
    model_id: int,
    run: Mapping[str, object],
) -> int:
    """Publish and record a map, in place of an earlier one of the same file name.

    The row is written first and committed last, so that a failure leaves both as they were.

    Args:
        month: that it shows.
        prediction: the map.
        report: the page about it, where it waits.
        coverage: the area of interest, and how much of it has imagery.
        radiometry: how bright the imagery is.
        model_id: of the model that made it.
        run: what made it: command, code version, flow run.

    Returns:
        The `prediction_id`.

    Raises:
        LandcoverError: if another run of the month has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    month.check_alone()
    area = coverage.aoi.to_crs(LONLAT).iloc[0]
    with tables(month.blocks.database_block) as connection:
        prediction_id = _replace(
            connection,
            raster_predictions,
            "prediction_filename",
            {
                "prediction_filename": prediction.path.name,
                "prediction_path": absolute(prediction.path),
                "generated_at": func.now(),
                "model_id": model_id,
                "source_mosaic": prediction.source_mosaic,
                "year": month.year,
                "month": month.month,
                "aoi_definition": _area_value(connection, area),
                DETAILS: {
                    "hectares": prediction.hectares,
                    "low_confidence": round(prediction.doubtful, 4),
                    "aoi_hectares": round(coverage.hectares, 2),
                    "without_imagery": round(coverage.missing, 6),
                    "gaps": [gap.name for gap in coverage.gaps],
                    "under_clouds": round(coverage.under_clouds(prediction.hectares), 6),
                    "without_data": round(coverage.without_data(prediction.hectares), 6),
                    "sha256": prediction.sha256,
                    "model_sha256": prediction.model.sha256,
                    RADIOMETRY: radiometry.measured,
                    **run,
                },
            },
        )
        if connection.dialect.name == "postgresql":
            # SQLite lets one write at a time anyway.
            connection.execute(ONE_COLLECTION)
        _publish_map(month, prediction, report)
    get_run_logger().info("Map written to %s", prediction.path)
    get_run_logger().info("Recorded the map as raster_predictions.prediction_id %d", prediction_id)
    return prediction_id


def _publish_map(month: Month, prediction: FinishedMap, report: UPath) -> None:
    """Publish a map and what belongs to it; the map last, so that what describes it is there."""
    folder = month.folders.prediction_output_dir
    waiting = [prediction.waiting(final) for final in prediction.companions]
    with (
        storage(month.blocks.storage_block, absolute(prediction.path)),
        scratch(month.work) as local,
    ):
        collection = local / COLLECTION_NAME
        build_collection(folder, waiting, collection)
        publish_all(
            {
                collection: folder / collection.name,
                report: month.report,
                **{prediction.waiting(final): final for final in prediction.companions},
                prediction.waiting(prediction.confidence): prediction.confidence,
                prediction.waiting(prediction.path): prediction.path,
            }
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
