"""The whole month: from training polygons and imagery to a recorded map."""

import flows.environment  # noqa: F401

import sys

from prefect import flow

from flows.command import command
from flows.mapping import files_of_map, map_survey
from flows.parameters import Month, MonthLabel, Scheduler, Teachers, Year
from flows.provenance import describe_run
from flows.summary import Steps, Summary, finish
from flows.teaching import gather_samples, learn
from landcover.imagery.survey import Survey
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.indices import check_bands_of
from landcover.model.pooling import TrainOn
from landcover.model.sampling import SamplingSettings
from landcover.period import Period, read_month
from tasks.access.blocks import Blocks
from tasks.access.settings import (
    AoiSettings,
    ClusterSettings,
    DeforestationSettings,
    MosaicSettings,
    PolygonSettings,
    RegionSettings,
)
from tasks.cluster import find_cluster
from tasks.coverage import measure_coverage
from tasks.mosaic import find_mosaic
from tasks.radiometry import measure_radiometry
from tasks.records import load_classes
from tasks.regions import fetch_regions
from tasks.run import open_run

NEEDS = (PolygonSettings, AoiSettings, ClusterSettings, DeforestationSettings, RegionSettings)


@flow(name="monthly-pipeline", flow_run_name="{year}-{month:02d}")
def monthly_pipeline(
    year: Year,
    month: Month,
    mosaic_path: str | None = None,
    other_labels: tuple[str, ...] = (),
    month_before: MonthLabel | None = None,
    train_on: Teachers = "own",
    sampling: SamplingSettings = SamplingSettings(),
    forest: ForestSettings = ForestSettings(),
    prediction: PredictionSettings = PredictionSettings(),
    dask_scheduler: Scheduler | None = None,
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
        other_labels: Class labels of other months that are given their codes together with this
            month's own, so that codes do not depend on which month is run first.
        month_before: The month, such as 2025-05, with whose imagery this month's is compared; for
            months that are run side by side. If left out, it is the latest of the earlier months
            whose map is recorded.
        train_on: Which months' polygons teach the model, each on its own imagery: own, the month's
            alone; pool:2, those of the months within 2 of it (or another number); all, those of all
            months that have polygons and imagery; or model:2025-03, no new model but that of an
            earlier month. A month without polygons needs one of the last three.
        sampling: How pixels are taken from under the training polygons.
        forest: The random forest and its validation.
        prediction: How the map is made.
        dask_scheduler: The scheduler of a Dask cluster whose workers predict the windows, such as
            tls://host:8786; if left out, that of the settings, and without one this machine.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    steps = Steps()
    with open_run(Period(year, month), blocks, NEEDS) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = {**describe_run(run, prediction), "train_on": train_on}
        teachers = TrainOn.read(train_on)
        check_bands_of(forest.indices, run.settings[MosaicSettings].mosaic_bands)

        regions = fetch_regions(run, run.files.work)
        classes = load_classes(run, other_labels)
        mosaic = find_mosaic(run, mosaic_path)
        cluster = find_cluster(run, dask_scheduler, mosaic)
        coverage = measure_coverage(run, mosaic, prediction.allow_gaps)
        lessons = gather_samples(run, mosaic, teachers, sampling)
        before = None if month_before is None else read_month(month_before)
        radiometry = measure_radiometry(run, mosaic, lessons.samples, before)
        steps.done("samples")

        model_id, training = learn(run, lessons, teachers, forest, classes, made_by)
        steps.done("model")

        survey = Survey(mosaic, coverage, radiometry)
        finished = map_survey(
            run,
            survey,
            training,
            model_id,
            lessons.polygons,
            prediction,
            made_by,
            steps,
            cluster,
            regions,
        )
        return finish(
            run,
            f"{run} is mapped.",
            steps,
            {**files_of_map(run, finished), **lessons.files()},
            training,
            survey,
            finished,
        )


main = command(monthly_pipeline, NEEDS)


if __name__ == "__main__":
    sys.exit(main())
