"""The third step of a month: a recorded model and imagery to a recorded map."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.mapping import files_of_map, map_survey
from flows.parameters import Month, Scheduler, Year
from flows.provenance import describe_run
from flows.summary import Steps, Summary, finish
from landcover.imagery.survey import Survey
from landcover.maps.prediction import PredictionSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.access.settings import (
    AoiSettings,
    ClusterSettings,
    DeforestationSettings,
    RegionSettings,
)
from tasks.cluster import find_cluster
from tasks.coverage import measure_coverage
from tasks.mosaic import find_mosaic
from tasks.polygons import find_polygons
from tasks.radiometry import measure_radiometry
from tasks.records import find_model
from tasks.regions import fetch_regions
from tasks.run import open_run

NEEDS = (AoiSettings, ClusterSettings, DeforestationSettings, RegionSettings)


@flow(name="run-predictions", flow_run_name="{year}-{month:02d}")
def run_predictions(
    year: Year,
    month: Month,
    mosaic_path: str | None = None,
    prediction: PredictionSettings = PredictionSettings(),
    dask_scheduler: Scheduler | None = None,
    blocks: Blocks = Blocks(),
) -> Summary:
    """Map the land cover of one month with the model that was trained for it.

    Args:
        year: The year of the model and of the imagery, such as 2025.
        month: The month, 1 to 12.
        mosaic_path: The imagery, where it is not at its usual place: a file, a folder of quads, or
            a glob; on the disk of the machine that runs this, or in a bucket as s3://...
        prediction: How the map is made.
        dask_scheduler: The scheduler of a Dask cluster whose workers predict the windows, such as
            tls://host:8786; if left out, that of the settings, and without one this machine.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    steps = Steps()
    with open_run(Period(year, month), blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run, prediction)

        regions = fetch_regions(run, run.files.work)
        model_id, training = find_model(run)
        polygons = find_polygons(run, training.polygons_sha256)
        mosaic = find_mosaic(run, mosaic_path)
        cluster = find_cluster(run, dask_scheduler, mosaic)
        coverage = measure_coverage(run, mosaic, prediction.allow_gaps)
        radiometry = measure_radiometry(run, mosaic, ())
        survey = Survey(mosaic, coverage, radiometry)
        finished = map_survey(
            run, survey, training, model_id, polygons, prediction, made_by, steps, cluster, regions
        )
        return finish(
            run,
            f"{run} is mapped.",
            steps,
            files_of_map(run, finished),
            training=training,
            survey=survey,
            finished=finished,
        )


main = command(run_predictions, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
