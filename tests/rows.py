"""Rows of the tables of models and predictions, as a run records them."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from affine import Affine
from sqlalchemy import Engine, text
from upath import UPath

from landcover.classes import assign_codes, class_names
from landcover.grid import Grid
from landcover.imagery.coverage import Coverage
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.radiometry import Radiometry
from landcover.imagery.survey import Survey
from landcover.maps.assembly import FinishedMap
from landcover.maps.layers import prediction_layers
from landcover.model.forest import Model
from landcover.model.metrics import Metrics
from tasks import records
from tasks.access.lock import only_run
from tasks.access.tables import check_tables
from tasks.catalogue import list_maps
from tasks.records import record_model, record_prediction
from tasks.run import Run
from tasks.training import Training
from tests.months import run_of

# Without Prefect, which takes ten times as long: how tasks are tried again is not the subject.
find_model = records.find_model.fn


def load_classes(run: Run) -> Mapping[str, int]:
    """Names and codes of all classes given so far."""
    return records.load_classes.fn(run).codes


AOI = "POLYGON((-79.5 0.1, -79.4 0.1, -79.4 0.2, -79.5 0.1))"

MOSAIC = Mosaic(
    UPath("index.parquet"), "a.tif", 1, {"nir": 4}, Grid("", Affine.identity(), 1, 1), "x"
)

# The tables as other software might have made them, from the contract alone.
CONTRACT = """
    CREATE TABLE ml_models (
        model_id serial PRIMARY KEY, model_filename varchar UNIQUE, model_type varchar,
        trained_at timestamptz DEFAULT now(), training_data_source varchar, parameters jsonb,
        metrics jsonb, year integer, month integer);
    CREATE TABLE raster_predictions (
        prediction_id serial PRIMARY KEY, prediction_filename varchar UNIQUE,
        prediction_path varchar, generated_at timestamptz DEFAULT now(),
        model_id integer REFERENCES ml_models, source_mosaic varchar, year integer, month integer,
        aoi_definition geometry);
"""


def training(
    year: int = 2025,
    month: int = 6,
    given: Mapping[str, int] | None = None,
    labels: str = "Forest",
    sha256: str = "ab" * 32,
) -> Training:
    """A training of so many labels, with the codes that a month's run would give them."""
    codes = assign_codes(labels.split(), given or {})
    model = Model(
        path=UPath(f"data/models/rf_model_{year}{month:02d}.joblib"),
        sha256=sha256,
        bands=("blue", "nir"),
        names=class_names(codes, given or {}),
    )
    return Training(
        model, "samples", {"forest": {"trees": 5}}, Metrics.from_json({"accuracy": 0.9})
    )


def made_by_a_run() -> dict[str, object]:
    return {"command": "test", "flow_run_id": str(uuid4())}


def record(year: int = 2025, month: int = 6, labels: str = "Forest", accuracy: float = 0.9) -> int:
    check_tables(None)
    made = training(year, month, load_classes(run_of()), labels)
    made = Training(
        made.model, made.source, made.settings, Metrics.from_json({"accuracy": accuracy})
    )
    return record_training(made, year, month)


def record_training(made: Training, year: int = 2025, month: int = 6) -> int:
    """Record a model as the run of its month does."""
    run = run_of(year, month)
    run.files.training.mkdir(parents=True, exist_ok=True)
    for final in run.files.of_model:
        (run.files.training / final.name).write_text(f"{year}-{month}")
    with only_run(run.period, run.blocks.database_block):
        return record_model(run, made, made_by_a_run())


def record_map(
    model_id: int,
    year: int = 2025,
    month: int = 6,
    hectares: float = 1.5,
    item: str | None = None,
) -> int:
    check_tables(None)
    run = run_of(year, month, aoi=AOI)
    made_by = training(year, month)
    model = made_by.model
    made = FinishedMap(
        layers=prediction_layers(run.period, model.names),
        final=run.files.maps,
        folder=UPath("waiting"),
        sha256="cd" * 32,
        model=model,
        source_mosaic="a.tif",
        hectares={"Forest": hectares},
        pixels=0,
        low_confidence=0.1,
    )
    for folder in (made.final, made.folder):
        folder.mkdir(parents=True, exist_ok=True)
    for final in run.files.of_map:
        (made.folder / final.name).write_text(f"{year}-{month} {hectares}")
    if item:
        (made.folder / run.files.item.name).write_text(item)
    with only_run(run.period, run.blocks.database_block):
        number = record_prediction(
            run,
            Survey(MOSAIC, Coverage(10.0, 100, 10.0), Radiometry({"pixels": 0}, ())),
            made_by,
            made,
            model_id,
            made_by_a_run(),
        )
        list_maps(run)
        return number


def classes_of(month: int) -> dict[str, int]:
    _, found = find_model(run_of(2025, month))
    return {name: code for code, name in found.model.names.items()}


def query(engine: Engine, statement: str) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]
