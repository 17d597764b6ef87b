"""The command lines: options, help, settings, what is printed, and that the steps make a month."""

import os
import pty
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

import geopandas
import numpy as np
import pytest
import rasterio
from prefect import flow, task
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel, Field, model_validator

from flows import clean_work, monthly, prepare_data, run_predictions, train_model
from flows.command import command, parser_of, read_arguments
from flows.parallel import map_windows
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.sampling import SamplingSettings
from tasks.access.blocks import Blocks
from tasks.access.settings import AoiSettings
from tests.servers.waiting import PATIENCE

FLOWS = Path(__file__).parents[1] / "flows"
MONTH = ["--year", "1999", "--month", "11"]
FEW = ["--trees", "5", "--folds", "2"]
PREPARED = Path("data/prepared/prepared_data_199911.parquet")
MAP = Path("data/predictions/prediction_199911.tif")

api = pytest.mark.usefixtures("prefect_api")


# --- options and help -----------------------------------------------------------------------------


@api
def test_options_are_taken_with_hyphens_and_with_underscores(chiapas):
    image = str(next(chiapas.glob("LE70220492002*")))
    spellings = [
        ["--mosaic-path", image, "--max-pixels", "3", "--all-touched"],
        ["--mosaic_path", image, "--max_pixels", "3", "--all_touched"],
        [f"--mosaic-path={image}", "--max_pixels=3", "--all-touched"],
    ]
    samples = []
    for options in spellings:
        assert prepare_data.main([*MONTH, *options]) == 0
        samples.append(geopandas.read_parquet(PREPARED))
    assert samples[0].attrs["mosaic"] == image
    assert samples[0].attrs["sampling"]["all_touched"] is True
    assert samples[0].groupby("polygon_id").size().max() == 3
    assert all(one.equals(samples[0]) for one in samples)


SAMPLING = SamplingSettings.model_fields
FOREST = ForestSettings.model_fields
PREDICTION = PredictionSettings.model_fields
BLOCKS = Blocks.model_fields


def told_by_help(main, capsys) -> tuple[str, dict[str, str]]:
    """Return what --help says, and of it what each option says; white space made single."""
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    listed = re.split(r" (?=--\w)", said.split("options:")[1])
    return said, {
        name: text for name, _, text in (entry[2:].partition(" ") for entry in listed[1:])
    }


@pytest.mark.parametrize(
    ("main", "options", "fields"),
    [
        (
            monthly.main,
            ["mosaic_path", "other_labels", "dask_scheduler", "month_before", "train_on"],
            {**SAMPLING, **FOREST, **PREDICTION, **BLOCKS},
        ),
        (prepare_data.main, ["mosaic_path"], {**SAMPLING, **BLOCKS}),
        (train_model.main, ["input_data"], {**FOREST, **BLOCKS}),
        (run_predictions.main, ["mosaic_path", "dask_scheduler"], {**PREDICTION, **BLOCKS}),
        (clean_work.main, [], BLOCKS),
    ],
)
def test_help_tells_every_option_with_its_default(main, options, fields, capsys):
    said, told = told_by_help(main, capsys)
    assert set(told) == {"help", "year", "month", *options, *fields}
    for name, field in fields.items():
        assert str(field.description) in told[name]
        default = "none" if field.default is None else field.default
        assert f"Default: {default}." in told[name]
    assert "such as 2025" in told["year"]
    assert "1 to 12" in told["month"]
    assert "Settings come from the environment and from .env in the working folder" in said
    assert "with - or with _" in said


class Leaves(BaseModel):
    """Leaves."""

    count: int | None = Field(default=4, ge=1, description="How many, of 100%.")
    shape: Literal["round", "long"] | None = Field(default="round", description="Of each leaf.")
    seed: int = Field(default=1, description="Draws the leaves.")
    dry: bool = Field(default=False, description="Whether they are dry.")

    @model_validator(mode="after")
    def _dry_leaves_are_few(self) -> Self:
        if self.dry and self.count is not None and self.count > 50:
            raise ValueError("at most 50 leaves are dry")
        return self


class Roots(BaseModel):
    """Roots."""

    seed: int = Field(default=1, le=9, description="Draws the roots.")
    depth: float = Field(default=0.5, description="In metres.")
    alive: bool = Field(default=True, description="Whether they live.")


@flow
def grow_tree(
    height: Annotated[int, Field(ge=1, le=99)],
    name: str | None = None,
    leaves: Leaves = Leaves(),  # noqa: B008
    roots: Roots = Roots(),  # noqa: B008
) -> str:
    """Grow a tree.

    It is green.

    Args:
        height: In metres, at most
            99%.
        name: Of the tree.
        leaves: What is at the top.
        roots: What is below.
    """
    return f"{name} of {height} m"


def test_a_parser_is_made_of_a_flows_signature_and_docstring():
    said = " ".join(parser_of(grow_tree).format_help().split())
    assert said.partition(" show this help message and exit ")[2] == (
        "--height HEIGHT In metres, at most 99%. "
        "--name NAME Of the tree. Default: none. "
        "What is at the top: "
        "--count N How many, of 100%. Default: 4. "
        "--shape {round,long,none} Of each leaf. Default: round. "
        "--seed N Draws the roots. Draws the leaves. Default: 1. "
        "--dry Whether they are dry. Default: False. "
        "What is below: "
        "--depth N In metres. Default: 0.5. "
        "--alive ALIVE Whether they live. Default: True. "
        "Settings come from the environment and from .env in the working folder; docs/settings.md "
        "lists them. Options may be written with - or with _."
    )
    assert " Grow a tree. It is green. options: " in said
    assert "[-h] --height HEIGHT [--name NAME] [--count N] [--shape {round,long,none}]" in said


@pytest.mark.parametrize(
    ("options", "height", "name", "leaves", "roots"),
    [
        (["--height", "3"], 3, None, {}, {}),
        (["--height=3", "--name=a=b-c_d"], 3, "a=b-c_d", {}, {}),
        (["--height=3", "--name=none", "--count=none"], 3, None, {"count": None}, {}),
        (["--height=3", "--shape", "none"], 3, None, {"shape": None}, {}),
        (["--height=3", "--shape", "long", "--dry"], 3, None, {"shape": "long", "dry": True}, {}),
        (["--height=3", "--seed", "9"], 3, None, {"seed": 9}, {"seed": 9}),
        (["--height=3", "--depth", "1e-3", "--alive=no"], 3, None, {}, {"depth": 1e-3, "alive": 0}),
    ],
)
def test_options_become_the_flows_arguments(options, height, name, leaves, roots):
    assert read_arguments(grow_tree, options) == {
        "height": height,
        "name": name,
        "leaves": Leaves(**leaves),
        "roots": Roots(**roots),
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "the following arguments are required: --height"),
        (["--height", "0"], "argument --height: 0: Input should be greater than or equal to 1"),
        (["--height", "tall"], "argument --height: tall: Input should be a valid integer, unable"),
        (["--height", "none"], "argument --height: none: Input should be a valid integer, unable"),
        (["--height=3", "--count=0"], "argument --count: 0: Input should be greater than or equal"),
        (["--height=3", "--shape=odd"], "argument --shape: invalid choice: 'odd' (choose from"),
        (["--height=3", "--seed=10"], "argument --seed: 10: Input should be less than or equal"),
        (["--height=3", "--dry", "--count=51"], "error: at most 50 leaves are dry"),
        (["--height=3", "--wide-open=5"], "unrecognized arguments: --wide_open=5"),
    ],
)
def test_a_wrong_option_is_told_in_one_sentence_with_exit_status_2(options, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        command(grow_tree, needs=[])(options)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert sentence in said.err.splitlines()[-1]
    assert said.out == ""


@api
def test_a_command_runs_its_flow_and_prints_its_result(capfd):
    assert command(grow_tree, needs=[])(["--height", "3", "--name", "Ceiba"]) == 0
    assert capfd.readouterr().out == "Ceiba of 3 m\n"


def test_a_setting_that_is_missing_ends_a_command_before_its_flow_starts(settings, capsys):
    settings(AOI_DEFINITION=None)
    assert command(grow_tree, needs=[AoiSettings])(["--height", "3"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("Error: AOI_DEFINITION is not set; it should be WKT")
    assert said.out == ""


def test_help_works_from_another_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, FLOWS / "monthly.py", "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: monthly.py [-h] --year YEAR --month MONTH")
    assert list(tmp_path.iterdir()) == []


# --- settings -------------------------------------------------------------------------------------


@api
def test_settings_come_from_the_env_file_and_the_environment_wins(chiapas, settings):
    lines = {
        "AOI_DEFINITION": f'"{os.environ["AOI_DEFINITION"]}"',
        "TRAINING_POLYGON_CLASS_COL": "class  # a comment",
        "TRAINING_POLYGON_TABLE": "nowhere.gpkg",
        "MOSAIC_BANDS": "blue=1,swir=5",
        "MOSAIC_PATTERN": "",
        "SOMETHING_ELSE": "that others read",
    }
    settings(AOI_DEFINITION=None, TRAINING_POLYGON_CLASS_COL=None)
    Path(".env").write_text("\n".join(f"{name}={value}" for name, value in lines.items()))
    assert prepare_data.main(MONTH) == 0
    samples = geopandas.read_parquet(PREPARED)
    assert list(samples.columns[4:]) == ["blue", "swir", "geometry"]
    assert samples.attrs["polygons"] == str(chiapas / "training_data.shp")


# --- what a run prints and makes ------------------------------------------------------------------


@api
@pytest.mark.usefixtures("chiapas")
def test_the_steps_make_the_same_map_as_the_month(capfd, monkeypatch):
    assert prepare_data.main(MONTH) == 0
    assert capfd.readouterr().out == f"{PREPARED}\n"
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert train_model.main([*MONTH, *FEW, "--input_data", f"~/{PREPARED}"]) == 0
    trained = capfd.readouterr().out
    assert trained.startswith("The model of 1999-11 is trained.\n")
    assert "model: data/models/rf_model_199911.joblib" in trained
    assert "accuracy 0." in trained
    assert run_predictions.main(MONTH) == 0
    predicted = capfd.readouterr().out
    assert predicted.startswith("1999-11 is mapped.\n")
    for what, path in {
        "map": MAP,
        "confidence": "data/predictions/confidence_199911.tif",
        "model": "data/models/rf_model_199911.joblib",
    }.items():
        assert f"\n{what}: {path}\n" in predicted
    with rasterio.open(MAP) as made:
        by_steps = made.read(1)
    MAP.unlink()

    assert monthly.main([*MONTH, *FEW]) == 0
    whole = capfd.readouterr().out
    with rasterio.open(MAP) as made:
        assert np.array_equal(made.read(1), by_steps)
    assert np.unique(by_steps).size > 4

    def hectares(text: str) -> list[str]:
        return [line for line in text.splitlines() if " ha " in line]

    assert hectares(whole) == hectares(predicted)
    assert re.search(r"^seconds: samples [\d.]+, model [\d.]+, prediction [\d.]+, map", whole, re.M)
    assert list(Path("data/work").rglob("*.tif")) == []


@task
def double(windows: tuple[int, ...], times: int) -> list[int]:
    if 13 in windows:
        raise ValueError("unlucky")
    return [times * number for number in windows]


@api
def test_progress_is_ten_plain_lines_in_a_log(caplog):
    @flow
    def doubled(numbers: list[int]) -> list[int]:
        return map_windows(double, numbers, "Doubling", "doubling", times=2)

    assert doubled(list(range(100, 125))) == list(range(200, 250, 2))
    lines = [line for line in caplog.messages if line.startswith("Doubling")]
    assert len(lines) == 10
    assert lines[0] == "Doubling: 3 of 25 windows"
    assert lines[-1] == "Doubling: 25 of 25 windows"

    caplog.clear()
    assert doubled([1, 2]) == [2, 4]
    assert [line for line in caplog.messages if line.startswith("Doubling")] == [
        "Doubling: 1 of 2 windows",
        "Doubling: 2 of 2 windows",
    ]
    with pytest.raises(ValueError, match="unlucky"):
        doubled([12, 13, 14])

    # Many are handed out several at once, and counted all the same.
    caplog.clear()
    assert doubled(list(range(100, 277))) == list(range(200, 554, 2))
    lines = [line for line in caplog.messages if line.startswith("Doubling")]
    assert len(lines) == 10
    assert lines[-1] == "Doubling: 177 of 177 windows"


@api
def test_on_a_terminal_a_bar_shows_the_progress_and_the_run_ends_well(chiapas, tmp_path):
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, FLOWS / "monthly.py", *MONTH, *FEW],
        stdout=slave,
        stderr=slave,
        env=os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value(), "TERM": "xterm"},
    ) as process:
        os.close(slave)
        shown = b"".join(iter(partial(_read_terminal, master), b"")).decode()
    os.close(master)
    assert process.returncode == 0, shown
    assert "Predicting ━" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "100%" in shown
    assert "Task run 'find mosaic 1999-11'" in shown
    assert "Warning" not in shown
    assert "1999-11 is mapped." in shown


def _read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says so where the other side of a terminal is closed
        return b""
