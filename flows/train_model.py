"""The second step of a month: samples to a recorded model."""

import flows.environment  # noqa: F401

import sys

from prefect import flow
from upath import UPath

from flows.command import command
from flows.parameters import InputData, Month, Year
from flows.provenance import describe_run
from flows.summary import Steps, Summary, finish
from flows.teaching import Lessons
from landcover.addresses import check_place
from landcover.files import expanded
from landcover.model.forest import ForestSettings
from landcover.period import Period
from tasks.access.blocks import Blocks
from tasks.records import load_classes, record_model
from tasks.run import open_run, remove_work
from tasks.training import train_model as train


@flow(name="train-model", flow_run_name="{year}-{month:02d}")
def train_model(
    input_data: InputData,
    year: Year,
    month: Month,
    forest: ForestSettings = ForestSettings(),
    blocks: Blocks = Blocks(),
) -> Summary:
    """Train and record the month's random forest.

    Args:
        input_data: The parquet files of samples that prepare-data wrote, one for each month that
            teaches the model.
        year: The year that the model is for, such as 2025.
        month: The month that the model is for, 1 to 12.
        forest: The random forest and its validation.
        blocks: The Prefect blocks that hold the credentials of database and bucket.
    """
    for path in input_data:
        check_place(path, "the samples")
    steps = Steps()
    with open_run(Period(year, month), blocks) as run:
        # At once, because the Prefect server that is asked may be away later.
        made_by = describe_run(run)

        lessons = Lessons(tuple(UPath(expanded(path)) for path in input_data), None)
        training = train(run, lessons.samples, forest, load_classes(run))
        record_model(run, training, made_by)
        remove_work(run, [run.files.training])
        steps.done("model")

        return finish(
            run,
            f"The model of {run} is trained.",
            steps,
            {"model": training.model.path, **lessons.files()},
            training,
        )


main = command(train_model)


if __name__ == "__main__":
    sys.exit(main())
