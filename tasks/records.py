"""The month's rows: what was made, from what, and how good it is."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from geoalchemy2.shape import from_shape
from prefect.logging import get_run_logger
from pydantic import BaseModel, Field, ValidationError
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, Table, func, select, update
from upath import UPath

from landcover.classes import NODATA, KnownClasses, reserve_codes
from landcover.errors import LandcoverError
from landcover.files import absolute
from landcover.geometry import LONLAT, LONLAT_SRID
from landcover.imagery.survey import Survey
from landcover.imagery.unseen import share_outside
from landcover.maps.assembly import FinishedMap
from landcover.model.forest import Model
from landcover.model.metrics import Metrics
from landcover.notices import Notice
from landcover.period import Period
from landcover.publishing import brought
from tasks.access.lock import Alone, hold
from tasks.access.tables import (
    DETAILS,
    MODEL_TYPE,
    RADIOMETRY,
    is_before,
    ml_models,
    raster_predictions,
    recorded,
    replace_row,
    row_of,
)
from tasks.retries import io_task
from tasks.run import Run
from tasks.training import Training

# The key under which the details of a map say that its model is not there any more.
REPLACED = "model_replaced"

# That under which a row has the flow run that wrote it.
RUN_ID = "flow_run_id"


_Codes = dict[str, Annotated[int, Field(strict=True, ge=0, lt=NODATA)]]


class _Classes(BaseModel):
    """What this package reads of each row of `ml_models`."""

    classes: _Codes
    reserved_classes: _Codes = {}


class _Parameters(_Classes):
    """What it reads of the row of the month's model."""

    bands: list[str]
    sha256: str
    ranges: dict[str, tuple[float, float]] = {}


@io_task("load classes", "load classes {run}")
def load_classes(run: Run, other_labels: Collection[str] = ()) -> KnownClasses:
    """Return the names and codes of all classes given so far, so that labels keep their codes.

    Args:
        run: that needs them.
        other_labels: of months that are run in a row with this one: they are given codes now, and
            keep them, whether their month comes before or after.

    Raises:
        TransientError: if the database cannot be reached.
    """
    with run.tables() as connection:
        known = KnownClasses(
            _classes(connection, with_reserved=True), _classes(connection, before=run.period)
        )
    return reserve_codes(other_labels, known)


@io_task("record model", "record model {run}")
def record_model(run: Run, training: Training, made_by: Mapping[str, object]) -> int:
    """Publish and record a trained model, in place of an earlier one of the same file name.

    The row of a map that the earlier model made says that it was replaced.

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
    files = {final: run.files.training / final.name for final in run.files.of_model}
    with recording(run, run.period, ml_models, files, made_by) as connection:
        model_id = _write_model(connection, run.period, training, made_by)
        _mark_maps(connection, model_id, model.sha256)
    get_run_logger().info("Recorded the model as ml_models.model_id %d", model_id)
    return model_id


def _write_model(
    connection: Connection, period: Period, training: Training, made_by: Mapping[str, object]
) -> int:
    model = training.model
    classes = {name: code for code, name in model.names.items()}
    theirs = _classes(connection, but=model.path.name, with_reserved=True)
    _check_codes({**training.reserved, **classes}, theirs)
    model_id: int = replace_row(
        connection,
        ml_models,
        {
            "model_filename": model.path.name,
            "model_type": MODEL_TYPE,
            "trained_at": func.now(),
            "training_data_source": training.source,
            "parameters": {
                **training.settings,
                "bands": list(model.bands),
                "classes": classes,
                **({"reserved_classes": dict(training.reserved)} if training.reserved else {}),
                "sha256": model.sha256,
                "polygons_sha256": training.polygons_sha256,
                "taught_by": dict(training.taught_by),
                "ranges": {band: list(found) for band, found in model.ranges.items()},
                "notices": [notice.to_json() for notice in training.notices],
                **made_by,
            },
            "metrics": training.metrics.to_json() if training.metrics else None,
            "year": period.year,
            "month": period.month,
        },
    )
    return model_id


def _mark_maps(connection: Connection, model_id: int, digest: str) -> None:
    """Let the rows of maps say whether the model that they name is still the one that made them."""
    rows = raster_predictions.c
    query = select(rows.prediction_id, rows[DETAILS]).where(rows.model_id == model_id)
    for prediction_id, details in connection.execute(query).all():
        if not isinstance(details, dict) or "model_sha256" not in details:
            continue
        told = {name: value for name, value in details.items() if name != REPLACED}
        if details["model_sha256"] != digest:
            told[REPLACED] = "The model that made this map was replaced: map the month again."
        connection.execute(
            update(raster_predictions)
            .where(rows.prediction_id == prediction_id)
            .values({DETAILS: told})
        )


@contextmanager
def recording(
    run: Run,
    alone: Alone,
    table: Table,
    files: Mapping[UPath, Path | UPath],
    made_by: Mapping[str, object],
    row: str | None = None,
) -> Iterator[Connection]:
    """Publish finished files while a row that describes them is written.

    The files are brought first, then published while the row is written but not yet committed: what
    the database does not take is not published, and what it does not commit is taken back.

    Args:
        run: that made them.
        alone: what it is at work on, and no other run is.
        table: of the row.
        files: the finished file of each final path; the row describes the last of them.
        made_by: see `flows.provenance.describe_run`; the row is to have it.
        row: what is unique of the row; the name of the last file if left out.

    Yields:
        A transaction that is to write the row.

    Raises:
        LandcoverError: if another such run has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    *_, last = files
    with (
        run.storage(last),
        brought(files, lambda: _is_recorded(run, table, row or last.name, made_by)) as publish,
    ):
        hold(alone)
        with run.tables() as connection:
            yield connection
            publish()


def _is_recorded(run: Run, table: Table, filename: str, made_by: Mapping[str, object]) -> bool:
    """Tell whether the row of a file was committed by a run."""
    try:
        with run.tables() as connection:
            row = recorded(connection, table, filename)
    except LandcoverError:
        # A database that is away now was most likely so before the commit.
        return False
    return bool(row) and row.get(RUN_ID) == made_by[RUN_ID]


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
        row = row_of(connection, ml_models, name)
    if row is None:
        raise LandcoverError(
            f"No model of {run} is recorded in ml_models ({name}): train it first, "
            f"with python flows/monthly.py or flows/train_model.py --year "
            f"{run.period.year} --month {run.period.month}."
        )
    parameters = row["parameters"]
    try:
        told = _Parameters.model_validate(parameters or {})
    except ValidationError as error:
        missing = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
        raise LandcoverError(
            f"The row of {name} in ml_models does not say its "
            f"{', '.join(sorted(missing or _Parameters.model_fields))} in parameters: train the "
            "month's model again."
        ) from error
    names = {code: label for label, code in told.classes.items()}
    model = Model(run.files.model, told.sha256, tuple(told.bands), names, told.ranges)
    settings = {name: parameters.get(name) for name in ("forest", "sampling")}
    metrics = row["metrics"]
    return row["model_id"], Training(
        model,
        row["training_data_source"] or "",
        settings,
        Metrics.from_json(metrics) if metrics and isinstance(metrics, dict) else None,
        parameters.get("polygons_sha256"),
        tuple(map(Notice.from_json, parameters.get("notices", ()))),
        taught_by=parameters.get("taught_by") or {f"{run}": None},
    )


def path_of_map(run: Run) -> UPath | None:
    """Return where the recorded map of a month is; None where none is recorded.

    Args:
        run: of the month.

    Raises:
        TransientError: if the database cannot be reached.
    """
    with run.tables(reading=True) as connection:
        row = row_of(connection, raster_predictions, run.files.map.name)
    return UPath(row["prediction_path"]) if row and row["prediction_path"] else None


@io_task("record prediction", "record prediction {run}")
def record_prediction(
    run: Run,
    survey: Survey,
    training: Training,
    finished: FinishedMap,
    model_id: int,
    made_by: Mapping[str, object],
) -> int:
    """Publish and record a map, in place of an earlier one of the same file name.

    Args:
        run: that made it.
        survey: the imagery, and what was found about it.
        training: the model, and what was found about it.
        finished: the map.
        model_id: of the model that made it.
        made_by: command, code version, flow run.

    Returns:
        The `prediction_id`.

    Raises:
        LandcoverError: if another run of the month has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    files = {final: finished.folder / final.name for final in run.files.of_map}
    with recording(run, run.period, raster_predictions, files, made_by) as connection:
        prediction_id: int = replace_row(
            connection,
            raster_predictions,
            {
                "prediction_filename": finished.path.name,
                "prediction_path": absolute(finished.path),
                "generated_at": func.now(),
                "model_id": model_id,
                "source_mosaic": finished.source_mosaic,
                "year": run.period.year,
                "month": run.period.month,
                "aoi_definition": area_value(connection, run.area(LONLAT)),
                DETAILS: {**_details(survey, training, finished), **made_by},
            },
        )
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
        "mosaic_fingerprint": survey.mosaic.fingerprint,
        "polygons_sha256": training.polygons_sha256,
        "taught_by": dict(training.taught_by),
        "outside_samples": round(share_outside(finished.places), 4) if finished.places else None,
        RADIOMETRY: survey.radiometry.measured,
        "warnings": [
            str(notice) for notice in (*training.notices, *survey.notices, *finished.notices)
        ],
    }


def _classes(
    connection: Connection,
    but: str | None = None,
    before: Period | None = None,
    with_reserved: bool = False,
) -> dict[str, int]:
    """Return names and codes of classes: of all models, of all but one, or of earlier months.

    With those that a model's row keeps for other months, if so wanted.
    """
    query = select(ml_models.c.parameters).where(ml_models.c.model_filename.is_distinct_from(but))
    if before:
        query = query.where(is_before(ml_models, before))
    # In this order, because of two rows that give a name unlike codes the later one counts.
    rows = connection.scalars(query.order_by(ml_models.c.model_id)).all()
    return {name: code for row in rows for name, code in _classes_in(row, with_reserved).items()}


def _classes_in(parameters: object, with_reserved: bool) -> dict[str, int]:
    """Return the classes of a model; none where other software wrote its row."""
    try:
        found = _Classes.model_validate(parameters)
    except ValidationError:
        return {}
    return {**found.reserved_classes, **found.classes} if with_reserved else found.classes


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


def area_value(connection: Connection, area: BaseGeometry) -> object:
    """Return an area in longitude and latitude as a database keeps it.

    Args:
        connection: to the tables.
        area: a polygon or multipolygon.
    """
    if connection.dialect.name == "sqlite":
        return area.wkt
    parts = [area] if area.geom_type == "Polygon" else area.geoms
    return from_shape(MultiPolygon(parts), srid=LONLAT_SRID)
