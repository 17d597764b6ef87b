"""The third step of a month: a recorded model and imagery to a recorded map."""

import sys

from prefect import flow

from flows.command import command
from flows.parallel import window_runner
from flows.parameters import Month, Year
from flows.provenance import describe_run, describe_sources
from flows.summary import Steps, Summary, finish
from flows.windows import predict_windows
from landcover.maps.prediction import PredictionSettings
from tasks.access.blocks import Blocks
from tasks.access.settings import (
    AoiSettings,
    FolderSettings,
    MosaicSettings,
    ReportSettings,
    read_settings,
)
from tasks.assembly import assemble_map
from tasks.coverage import check_coverage
from tasks.mosaic import find_mosaic
from tasks.radiometry import check_radiometry
from tasks.records import find_model, record_prediction
from tasks.report import write_report
from tasks.run import open_month, remove_work
from tasks.windows import plan_windows

NEEDS = (FolderSettings, MosaicSettings, AoiSettings, ReportSettings)


@flow(
    name="run-predictions",
    flow_run_name="{year}-{month:02d}",
    task_runner=window_runner,
)
def run_predictions(
    year: Year,
    month: Month,
    mosaic_path: str | None = None,
    prediction: PredictionSettings = PredictionSettings(),
    blocks: Blocks = Blocks(),
) -> Summary:
    """Map the land cover of one month with the model that was trained for it.

    Args:
        year: The year of the model and of the imagery, such as 2025.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob; on the disk of the machine that runs this, or in a bucket as s3://...
        prediction: How the map is made.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    steps = Steps()
    with open_month(year, month, blocks) as run:
        imagery = read_settings(MosaicSettings)
        aoi = read_settings(AoiSettings).aoi_definition
        made_by = describe_run(imagery, prediction)

        model_id, training = find_model(run)
        mosaic = find_mosaic(run, mosaic_path, imagery, aoi)
        coverage = check_coverage(run, mosaic, aoi, prediction.allow_gaps)
        radiometry = check_radiometry(run, mosaic, aoi, None)
        plan = plan_windows(run, mosaic, aoi, training.model)
        pieces = predict_windows(run, plan, mosaic, training.model, prediction.smallest_patch)
        steps.done("prediction")

        made = assemble_map(run, plan, pieces, mosaic, training.model)
        steps.done("map")

        report = write_report(
            run,
            mosaic,
            coverage,
            made,
            training.metrics,
            radiometry.warnings,
            describe_sources(made, training, made_by),
        )
        steps.done("report")

        record_prediction(run, made, report, coverage, radiometry, model_id, made_by)
        remove_work(run, [run.work])
        steps.done("record")

        return finish(
            run,
            f"{run} is mapped.",
            steps,
            {
                "report": run.report,
                "map": made.path,
                "confidence": made.confidence,
                "model": training.model.path,
            },
            prediction=made,
            coverage=coverage,
            warnings=radiometry.sentences,
        )


main = command(run_predictions, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
