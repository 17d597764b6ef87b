"""The second step of a month: samples to a recorded model."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows.command import add_settings, month_parser, parse, run, settings_from
from flows.parameters import Month, Year
from flows.provenance import describe_run
from flows.summary import Steps, Summary
from landcover.training import ForestSettings
from tasks.metadata import load_classes, record_model
from tasks.settings import FolderSettings, ready_folders
from tasks.training import train_model as train


@flow(name="train-model", flow_run_name="{year}-{month:02d}")
def train_model(
    input_data: Path, year: Year, month: Month, forest: ForestSettings = ForestSettings()
) -> Summary:
    """Train and record the month's random forest.

    Args:
        input_data: The parquet file of samples that prepare-data wrote.
        year: The year that the model is for.
        month: The month that the model is for, 1 to 12.
        forest: The random forest and its validation.
    """
    steps = Steps()
    folders = ready_folders()

    training = train(
        year, month, input_data, forest, load_classes(), folders.model_output_dir, folders.work_dir
    )
    record_model(year, month, training, describe_run())
    steps.done("model")

    return Summary(
        title=f"The model of {year}-{month:02d} is trained.",
        seconds=steps.seconds,
        model=training.model.path,
        metrics=training.metrics,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = month_parser("Train the month's random forest on samples, and record it.")
    parser.add_argument(
        "--input_data", required=True, type=Path, help="the parquet file of prepare_data.py"
    )
    add_settings(parser, ForestSettings)
    options = parse(parser, argv)
    forest = settings_from(parser, options, ForestSettings)
    return run(
        lambda: train_model(options.input_data, options.year, options.month, forest),
        needs=[FolderSettings],
    )


if __name__ == "__main__":
    sys.exit(main())
