"""The month's rows: what was made, from what, and how good it is."""

from collections.abc import Mapping

from geoalchemy2.shape import from_shape
from prefect.logging import get_run_logger
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, func, select, text
from upath import UPath

from landcover.classes import KnownClasses
from landcover.errors import LandcoverError
from landcover.files import absolute, publish_all, scratch
from landcover.geometry import LONLAT, LONLAT_SRID
from landcover.imagery.survey import Survey
from landcover.maps.assembly import FinishedMap
from landcover.maps.stac import COLLECTION_NAME
from landcover.model.forest import Model
from landcover.model.metrics import Metrics
from landcover.notices import Notice
from landcover.period import Period
from tasks.access.lock import hold
from tasks.access.tables import (
    DETAILS,
    RADIOMETRY,
    is_before,
    ml_models,
    raster_predictions,
    replace_row,
)
from tasks.catalogue import build_collection
from tasks.retries import io_task
from tasks.run import Run
from tasks.training import Training

# Different months may end at once, and the collection of one must hold the other.
ONE_COLLECTION = text("SELECT pg_advisory_xact_lock(hashtext('chocoforest collection'))")


@io_task("load classes", "load classes {run}")
def load_classes(run: Run) -> KnownClasses:
    """Return the names and codes of all classes given so far, so that labels keep their codes.

    Args:
        run: that needs them.

    Raises:
        TransientError: if the database cannot be reached.
    """
    with run.tables() as connection:
        return KnownClasses(_classes(connection), _classes(connection, before=run.period))


@io_task("record model", "record model {run}")
def record_model(run: Run, training: Training, made_by: Mapping[str, object]) -> int:
    """Publish and record a trained model, in place of an earlier one of the same file name.

    The files are published while the row is written but not yet committed: what the database does
    not take is not published. Where the commit itself fails, the next try writes both again.

    Args:
        run: that it is for.
        training: the model, its settings and metrics.
        made_by: command, code version, flow run.

    Returns:
        The `model_id`.

    Raises:
        LandcoverError: if another month gave one of its class codes to another label meanwhile, or
            if another run of the month has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    model = training.model
    classes = {name: code for code, name in model.names.items()}
    hold(run.period)
    with run.tables() as connection:
        _check_codes(classes, _classes(connection, but=model.path.name))
        model_id = replace_row(
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
                    "polygons_sha256": training.polygons_sha256,
                    "notices": [notice.to_json() for notice in training.notices],
                    **made_by,
                },
                "metrics": training.metrics.to_json() if training.metrics else None,
                "year": run.period.year,
                "month": run.period.month,
            },
        )
        with run.storage(model.path):
            publish_all(training.waiting)
    get_run_logger().info("Recorded the model as ml_models.model_id %d", model_id)
    return model_id


@io_task("find model", "find model {run}")
def find_model(run: Run) -> tuple[int, Training]:
    """Look up the month's model, and how it came about.

    Args:
        run: whose model.

    Returns:
        Its `model_id`, and what was recorded of it.

    Raises:
        LandcoverError: if none is recorded, or if its row does not say what the file is.
        TransientError: if the database cannot be reached.
    """
    name = run.files.model.name
    with run.tables() as connection:
        row = connection.execute(
            select(ml_models).where(ml_models.c.model_filename == name)
        ).one_or_none()
    if row is None:
        raise LandcoverError(
            f"No model of {run} is recorded in ml_models ({name}): train it first, "
            f"with python flows/monthly.py or flows/train_model.py --year "
            f"{run.period.year} --month {run.period.month}."
        )
    missing = {"classes", "bands", "sha256"} - set(row.parameters or {})
    if missing:
        raise LandcoverError(
            f"The row of {name} in ml_models does not say its {', '.join(sorted(missing))} in "
            "parameters: train the month's model again."
        )
    names = {code: label for label, code in row.parameters["classes"].items()}
    bands = tuple(row.parameters["bands"])
    model = Model(run.files.model, row.parameters["sha256"], bands, names)
    settings = {name: row.parameters.get(name) for name in ("forest", "sampling")}
    return row.model_id, Training(
        model,
        row.training_data_source or "",
        settings,
        Metrics.from_json(row.metrics) if row.metrics else None,
        row.parameters.get("polygons_sha256"),
        tuple(map(Notice.from_json, row.parameters.get("notices", ()))),
    )


@io_task("record prediction", "record prediction {run}")
def record_prediction(
    run: Run,
    survey: Survey,
    training: Training,
    finished: FinishedMap,
    report: UPath,
    model_id: int,
    made_by: Mapping[str, object],
) -> int:
    """Publish and record a map, in place of an earlier one of the same file name.

    The files are published while the row is written but not yet committed: what the database does
    not take is not published. Where the commit itself fails, the next try writes both again.

    Args:
        run: that made it.
        survey: the imagery, and what was found about it.
        training: the model, and what was found about it.
        finished: the map.
        report: the page about it, where it waits.
        model_id: of the model that made it.
        made_by: command, code version, flow run.

    Returns:
        The `prediction_id`.

    Raises:
        LandcoverError: if another run of the month has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    hold(run.period)
    with run.tables() as connection:
        prediction_id = replace_row(
            connection,
            raster_predictions,
            "prediction_filename",
            {
                "prediction_filename": finished.path.name,
                "prediction_path": absolute(finished.path),
                "generated_at": func.now(),
                "model_id": model_id,
                "source_mosaic": finished.source_mosaic,
                "year": run.period.year,
                "month": run.period.month,
                "aoi_definition": _area_value(connection, run.area(LONLAT)),
                DETAILS: {**_details(survey, training, finished), **made_by},
            },
        )
        if connection.dialect.name == "postgresql":
            # SQLite lets one write at a time anyway.
            connection.execute(ONE_COLLECTION)
        _publish_map(run, finished, report)
    get_run_logger().info("Map written to %s", finished.path)
    get_run_logger().info("Recorded the map as raster_predictions.prediction_id %d", prediction_id)
    return prediction_id


def _details(survey: Survey, training: Training, finished: FinishedMap) -> dict[str, object]:
    coverage = survey.coverage
    return {
        "hectares": {name: round(area, 2) for name, area in finished.hectares.items()},
        "low_confidence": round(finished.low_confidence, 4),
        "sieved": round(finished.sieved, 6),
        "aoi_hectares": round(coverage.hectares, 2),
        "without_imagery": round(coverage.without_imagery, 6),
        "gaps": [str(gap) for gap in coverage.gaps],
        "more_gaps": coverage.more_missing,
        "under_clouds": round(coverage.under_clouds(finished.hectares), 6),
        "without_data": round(coverage.without_class(finished.hectares, finished.pixels), 6),
        "sha256": finished.sha256,
        "model_sha256": finished.model.sha256,
        RADIOMETRY: survey.radiometry.measured,
        "warnings": [
            str(notice) for notice in (*training.notices, *survey.notices, *finished.notices)
        ],
    }


def _publish_map(run: Run, finished: FinishedMap, report: UPath) -> None:
    """Publish a map and what belongs to it; the map last, so that what describes it is there."""
    waiting = [finished.folder / name for name in finished.companions]
    with run.storage(finished.path), scratch(run.files.work) as local:
        collection = local / COLLECTION_NAME
        build_collection(finished.final, waiting, collection)
        publish_all(
            {
                collection: finished.final / collection.name,
                report: run.files.report,
                **{finished.folder / name: finished.final / name for name in finished.names},
            }
        )


def _classes(
    connection: Connection, but: str | None = None, before: Period | None = None
) -> dict[str, int]:
    """Return names and codes of classes: of all models, of all but one, or of earlier months."""
    query = select(ml_models.c.parameters).where(ml_models.c.model_filename.is_distinct_from(but))
    if before:
        query = query.where(is_before(ml_models, before))
    # In this order, because of two rows that give a name unlike codes the later one counts.
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


def _area_value(connection: Connection, area: BaseGeometry) -> object:
    if connection.dialect.name == "sqlite":
        return area.wkt
    parts = [area] if area.geom_type == "Polygon" else area.geoms
    return from_shape(MultiPolygon(parts), srid=LONLAT_SRID)
