"""The third step of a month: a recorded model and imagery to a recorded map."""

import sys
from collections.abc import Sequence

from prefect import flow, unmapped

from flows.command import MOSAIC_PATH_HELP, month_parser, parse, run
from flows.parallel import gather, window_runner
from flows.parameters import Month, Year
from flows.provenance import describe_run
from flows.summary import Steps, Summary
from tasks.metadata import find_model, record_prediction
from tasks.mosaic import find_mosaic
from tasks.prediction import assemble_map, plan_windows, predict_window
from tasks.settings import (
    AoiSettings,
    FolderSettings,
    MosaicSettings,
    read_settings,
    ready_folders,
)


@flow(
    name="run-predictions",
    flow_run_name="{year}-{month:02d}",
    task_runner=window_runner,
)
def run_predictions(year: Year, month: Month, mosaic_path: str | None = None) -> Summary:
    """Map the land cover of one month with the model that was trained for it.

    Args:
        year: The year of the model and of the imagery.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob.
    """
    steps = Steps()
    folders = ready_folders()
    imagery = read_settings(MosaicSettings)
    aoi = read_settings(AoiSettings).aoi_definition

    model_id, model = find_model(year, month, folders.model_output_dir)
    mosaic = find_mosaic(year, month, mosaic_path, imagery, aoi, folders.work_dir)
    plan = plan_windows(year, month, mosaic, aoi, model, folders.work_dir)
    pieces = gather(
        predict_window.map(plan.windows, unmapped(plan), unmapped(mosaic), unmapped(model)),
        "Predicting",
    )
    steps.done("prediction")

    prediction = assemble_map(
        year, month, plan, pieces, mosaic, model, folders.prediction_output_dir
    )
    record_prediction(year, month, prediction, model_id, mosaic, aoi, describe_run(imagery))
    steps.done("map")

    return Summary(
        title=f"{year}-{month:02d} is mapped.",
        seconds=steps.seconds,
        model=model.path,
        prediction=prediction.path,
        hectares=prediction.hectares,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = month_parser("Map the land cover of one month with the model trained for it.")
    parser.add_argument("--mosaic_path", help=MOSAIC_PATH_HELP)
    options = parse(parser, argv)
    return run(
        lambda: run_predictions(options.year, options.month, options.mosaic_path),
        needs=[FolderSettings, MosaicSettings, AoiSettings],
    )


if __name__ == "__main__":
    sys.exit(main())
