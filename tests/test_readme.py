"""The README and .env.example name every command and every setting, and none that is not there."""

import re
from pathlib import Path

import pytest

from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.sampling import SamplingSettings
from tasks.access.blocks import Blocks
from tasks.access.settings import SETTINGS_GROUPS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SETTINGS = {
    name.upper(): field for group in SETTINGS_GROUPS for name, field in group.model_fields.items()
}
OPTIONS = {
    name: field
    for model in (SamplingSettings, ForestSettings, PredictionSettings, Blocks)
    for name, field in model.model_fields.items()
}


def table_rows(*, below: str) -> dict[str, list[str]]:
    """Return the cells of the README's table below a heading line, by their first."""
    part = README.split(f"{below}\n| --- |", 1)[1]
    lines = part.split("\n\n", 1)[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_setting_stands_in_the_readme_with_its_default_and_no_other_does():
    rows = table_rows(below="| setting | default | what it is |")
    assert list(rows) == list(SETTINGS)
    for name, field in SETTINGS.items():
        default, text = rows[name]
        assert text == field.description
        if field.is_required():
            assert default == "required"
        elif isinstance(field.default, dict):
            assert (
                default == f"`{','.join(f'{key}={band}' for key, band in field.default.items())}`"
            )
        elif field.default is not None:
            assert default == f"`{field.default}`"
        else:
            assert default == ""


def test_every_setting_stands_in_the_example_of_env_and_no_other_does():
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(names) == sorted(SETTINGS)


def test_every_option_stands_in_the_readme_with_its_default_and_no_other_does():
    rows = table_rows(below="| option | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    assert named == {"year", "month", "mosaic_path", *OPTIONS}
    for name in OPTIONS:
        default = "none" if OPTIONS[name].default is None else OPTIONS[name].default
        assert rows[f"--{name}"][0].endswith(f"Default: {default}.")


def test_every_command_in_the_readme_is_there_and_none_is_missing():
    commands = {
        path.name
        for path in (ROOT / "flows").glob("*.py")
        if re.search(r"^(def main\(|main = )", path.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"flows/(\w+\.py)", README)) == commands
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE))
    assert {"demo", "test", "bench", "check", "lock", "soak", "audit"} <= named <= targets


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", README))))
def test_every_path_in_the_readme_is_there(path):
    assert path.startswith("data/") or (ROOT / path).exists()


def test_every_promise_in_the_readme_is_kept_by_tests_that_are_there():
    rows = table_rows(below="| promise | kept by |")
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert len(rows) > 10
    for promise, (kept_by,) in rows.items():
        named = re.findall(r"`(test_\w+)`", kept_by)
        assert named, promise
        assert not [name for name in named if f"def {name}(" not in tests]
