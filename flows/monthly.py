"""The whole month: from training polygons and imagery to a recorded map."""

import sys

from prefect import flow

from flows.command import command
from flows.parallel import window_runner
from flows.parameters import Month, Year
from flows.provenance import describe_run, describe_sources
from flows.summary import Steps, Summary, finish
from flows.windows import predict_windows
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.sampling import SamplingSettings
from tasks.access.blocks import Blocks
from tasks.access.settings import (
    AoiSettings,
    FolderSettings,
    MosaicSettings,
    PolygonSettings,
    ReportSettings,
    read_settings,
)
from tasks.assembly import assemble_map
from tasks.coverage import check_coverage
from tasks.mosaic import find_mosaic
from tasks.polygons import fetch_polygons
from tasks.radiometry import check_radiometry
from tasks.records import load_classes, record_model, record_prediction
from tasks.report import write_report
from tasks.run import open_month, remove_work
from tasks.sampling import sample_mosaic
from tasks.training import train_model
from tasks.windows import plan_windows

NEEDS = (FolderSettings, MosaicSettings, PolygonSettings, AoiSettings, ReportSettings)


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
    prediction: PredictionSettings = PredictionSettings(),
    blocks: Blocks = Blocks(),
) -> Summary:
    """Map the land cover of one month.

    Fetch the training polygons, sample the mosaic under them, train a random forest, predict, and
    record model and map in the database.

    Args:
        year: The year of the imagery and of the training polygons, such as 2025.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob; on the disk of the machine that runs this, or in a bucket as s3://...
        sampling: How pixels are taken from under the training polygons.
        forest: The random forest and its validation.
        prediction: How the map is made.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    steps = Steps()
    with open_month(year, month, blocks) as run:
        imagery = read_settings(MosaicSettings)
        labels = read_settings(PolygonSettings)
        aoi = read_settings(AoiSettings).aoi_definition
        made_by = describe_run(imagery, labels, prediction)

        classes = load_classes(run)
        mosaic = find_mosaic(run, mosaic_path, imagery, aoi)
        coverage = check_coverage(run, mosaic, aoi, prediction.allow_gaps)
        polygons = fetch_polygons(run, aoi, labels)
        samples = sample_mosaic(run, mosaic, polygons, sampling)
        radiometry = check_radiometry(run, mosaic, aoi, samples)
        steps.done("samples")

        training = train_model(run, samples, forest, classes)
        model_id = record_model(run, training, made_by)
        steps.done("model")

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
                "samples": samples,
            },
            training.metrics,
            made,
            coverage,
            radiometry.sentences,
        )


main = command(monthly_pipeline, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
