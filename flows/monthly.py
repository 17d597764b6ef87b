"""The whole month: from training polygons and imagery to a recorded map."""

import sys
from collections.abc import Sequence

from prefect import flow, unmapped

from flows.command import (
    MOSAIC_PATH_HELP,
    add_settings,
    month_parser,
    parse,
    run,
    settings_from,
)
from flows.parallel import gather, window_runner
from flows.parameters import Month, Year
from flows.provenance import describe_run
from flows.summary import Steps, Summary
from landcover.sampling import SamplingSettings
from landcover.training import ForestSettings
from tasks.metadata import load_classes, record_model, record_prediction
from tasks.mosaic import find_mosaic
from tasks.polygons import fetch_polygons
from tasks.prediction import assemble_map, plan_windows, predict_window
from tasks.sampling import sample_mosaic
from tasks.settings import (
    AoiSettings,
    FolderSettings,
    MosaicSettings,
    PolygonSettings,
    read_settings,
    ready_folders,
)
from tasks.training import train_model


@flow(
    name="monthly-pipeline",
    flow_run_name="{year}-{month:02d}",
    task_runner=window_runner,
)
def monthly_pipeline(
    year: Year,
    month: Month,
    mosaic_path: str | None = None,
    sampling: SamplingSettings = SamplingSettings(),
    forest: ForestSettings = ForestSettings(),
) -> Summary:
    """Map the land cover of one month.

    Args:
        year: The year of the imagery and of the training polygons.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob.
        sampling: How pixels are taken from under the training polygons.
        forest: The random forest and its validation.
    """
    steps = Steps()
    folders = ready_folders()
    imagery = read_settings(MosaicSettings)
    labels = read_settings(PolygonSettings)
    aoi = read_settings(AoiSettings).aoi_definition
    made_by = describe_run(imagery, labels)

    classes = load_classes()
    mosaic = find_mosaic(year, month, mosaic_path, imagery, aoi, folders.work_dir)
    polygons = fetch_polygons(year, month, aoi, labels, folders.work_dir)
    samples = sample_mosaic(
        year, month, mosaic, polygons, sampling, folders.prepared_data_dir, folders.work_dir
    )
    steps.done("samples")

    training = train_model(
        year, month, samples, forest, classes, folders.model_output_dir, folders.work_dir
    )
    model_id = record_model(year, month, training, made_by)
    steps.done("model")

    plan = plan_windows(year, month, mosaic, aoi, training.model, folders.work_dir)
    pieces = gather(
        predict_window.map(
            plan.windows, unmapped(plan), unmapped(mosaic), unmapped(training.model)
        ),
        "Predicting",
    )
    steps.done("prediction")

    prediction = assemble_map(
        year, month, plan, pieces, mosaic, training.model, folders.prediction_output_dir
    )
    record_prediction(year, month, prediction, model_id, mosaic, aoi, made_by)
    steps.done("map")

    return Summary(
        title=f"{year}-{month:02d} is mapped.",
        seconds=steps.seconds,
        model=training.model.path,
        metrics=training.metrics,
        prediction=prediction.path,
        hectares=prediction.hectares,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = month_parser(
        "Map the land cover of one month: fetch the training polygons, sample the mosaic under "
        "them, train a random forest, predict, and record model and map in the database."
    )
    parser.add_argument("--mosaic_path", help=MOSAIC_PATH_HELP)
    add_settings(parser, SamplingSettings)
    add_settings(parser, ForestSettings)
    options = parse(parser, argv)
    sampling = settings_from(parser, options, SamplingSettings)
    forest = settings_from(parser, options, ForestSettings)
    return run(
        lambda: monthly_pipeline(
            options.year, options.month, options.mosaic_path, sampling, forest
        ),
        needs=[FolderSettings, MosaicSettings, PolygonSettings, AoiSettings],
    )


if __name__ == "__main__":
    sys.exit(main())
