"""The documentation names every command, option, setting and promise, and nothing else.

It is the README, CONTRIBUTING and the pages in docs/. That each page can be reached, and is well
formed, Sphinx proves in `make check`.
"""

import re
from inspect import signature
from pathlib import Path

import pytest

from flows.compare_maps import compare_maps
from flows.estimate_areas import estimate_areas
from flows.parameters import OtherRaster
from landcover.accuracy.draw import SampleSettings
from landcover.change.annual import AnnualSettings
from landcover.change.rule import ChangeSettings
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.sampling import SamplingSettings
from tasks.access.blocks import Blocks
from tasks.access.settings import SETTINGS_GROUPS

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in sorted([*ROOT.glob("[RC]*.md"), *ROOT.glob("docs/*.md")])
    if path.name != "CHANGELOG.md"
}
TEXT = "\n".join(PAGES.values())
CODE = "\n".join(
    [*re.findall(r"`([^`\n]+)`", TEXT), *re.findall(r"^ *```sh\n(.*?)```", TEXT, re.M | re.S)]
)
SETTINGS = {
    name.upper(): field for group in SETTINGS_GROUPS for name, field in group.model_fields.items()
}
OPTIONS = {
    name: field
    for model in (SamplingSettings, ForestSettings, PredictionSettings, Blocks)
    for name, field in model.model_fields.items()
}
# Those of flows/deforestation.py, and of flows/draw_sample.py.
CHANGE = ChangeSettings.model_fields
SAMPLE = SampleSettings.model_fields
ANNUAL = AnnualSettings.model_fields  # of flows/annual.py
# Of other programs, or of the tests.
# What belongs to others, but is looked at.
LOOKED_AT = {
    name
    for path in ("flows/environment.py", "flows/server.py", "tasks/access/storage.py")
    for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*", (ROOT / path).read_text())
}
OTHER_VARIABLES = LOOKED_AT | {
    *("TEST_DATABASE_URL", "PREFECT_SERVER_ENCRYPTION_KEY", "AWS_PROFILE", "AWS_S3_ENDPOINT"),
    *("RUN_AS", "POSTGIS_PORT", "PREFECT_SERVER_API_AUTH_STRING"),
    *("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"),
}
OF_MONTHLY = {
    *("year", "month", "mosaic_path", "other_labels", "dask_scheduler", "month_before"),
    "train_on",
}
OTHER_OPTIONS = OF_MONTHLY | {
    *("from", "to", "keep_going", "dry_run", "other_code", "without_record", "since"),
    *("deployment", "at_once", "input_data", "help", "of"),
    *("labels", "label_column", "other_map"),
    *("with", "forest", "band", "no_data", "name", "sample"),
}


def table_rows(*, below: str) -> dict[str, list[str]]:
    """Return the cells of the table below a heading line, by their first."""
    _before, part = TEXT.split(f"{below}\n| --- |")
    lines = part.split("\n\n", 1)[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 150


# --- settings -------------------------------------------------------------------------------------


def test_every_setting_has_its_row_with_its_default_and_no_other_does():
    rows = table_rows(below="| setting | default | what it is |")
    assert list(rows) == list(SETTINGS)
    for name, field in SETTINGS.items():
        default, text = rows[name]
        assert text.replace("`", "") == field.description
        if field.is_required():
            assert default == "required"
        elif isinstance(field.default, dict) and field.default:
            assert (
                default == f"`{','.join(f'{key}={band}' for key, band in field.default.items())}`"
            )
        elif isinstance(field.default, tuple):
            assert default == f"`{','.join(field.default)}`"
        elif field.default:
            assert default == f"`{field.default}`"
        else:
            assert default == ""


def test_every_setting_stands_in_the_example_of_env_and_no_other_does():
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(names) == sorted(SETTINGS)


def test_every_setting_that_a_page_names_is_there():
    # Not what a file's name is made of: SR_B4.TIF, B04_10m.jp2.
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*\b(?!\.\w)", CODE))
    groups = {name for name in named if name.endswith("_")}  # DB_...
    assert named - groups <= {*SETTINGS, *OTHER_VARIABLES}
    assert all(any(name.startswith(group) for name in SETTINGS) for group in groups)


# --- options and commands -------------------------------------------------------------------------


def test_every_option_has_its_row_with_its_default_and_no_other_does():
    rows = table_rows(below="| option | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    assert named == {*OF_MONTHLY, *OPTIONS}
    for name in OPTIONS:
        default = "none" if OPTIONS[name].default is None else OPTIONS[name].default
        assert rows[f"--{name}"][0].endswith(f"Default: {default}.")


def test_every_option_of_the_record_has_its_row_with_its_default_and_no_other_does():
    rows = table_rows(below="| option of `flows/deforestation.py` | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    assert named == {"year", "month", "since", *CHANGE}
    for name, field in CHANGE.items():
        assert rows[f"--{name}"][0] == f"{field.description} Default: {field.default}."


def test_every_option_of_a_sample_has_its_row_with_its_default_and_no_other_does():
    rows = table_rows(below="| option of `flows/draw_sample.py` | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    assert named == {"year", "month", "of", "from", "to", *SAMPLE}
    for name, field in SAMPLE.items():
        default = "none" if field.default is None else field.default
        assert rows[f"--{name}"][0] == f"{field.description} Default: {default}."


def test_every_option_of_an_annual_map_has_its_row_with_its_default_and_no_other_does():
    rows = table_rows(below="| option of `flows/annual.py` | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    assert named == {"year", *ANNUAL}
    for name, field in ANNUAL.items():
        assert rows[f"--{name}"][0] == f"{field.description} Default: {field.default}."


def test_every_option_of_an_estimate_has_its_row_and_no_other_does():
    rows = table_rows(below="| option of `flows/estimate_areas.py` | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    parameters = set(signature(estimate_areas.fn).parameters)
    assert named == parameters - {"between", "blocks"} | {"from", "to"}


def test_every_option_of_a_comparison_has_its_row_with_its_default_and_no_other_does():
    rows = table_rows(below="| option of `flows/compare_maps.py` | what it does |")
    named = {name for first in rows for name in re.findall(r"--(\w+)", first)}
    fields = {field.alias or name: field for name, field in OtherRaster.model_fields.items()}
    parameters = set(signature(compare_maps.fn).parameters)
    assert named == parameters - {"other", "blocks"} | set(fields)
    for name, field in fields.items():
        default = "none" if field.default is None else field.default
        told = "" if field.is_required() else f" Default: {default}."
        assert rows[f"--{name}"][0] == f"{field.description}{told}"


def test_every_option_that_a_page_names_is_there():
    ours = [line for line in CODE.splitlines() if line.startswith("--") or "flows/" in line]
    named = set(re.findall(r"--(\w+)", "\n".join(ours)))
    assert (
        {"year", "input_data", "allow_gaps"}
        <= named
        <= {*OPTIONS, *CHANGE, *SAMPLE, *ANNUAL, *OTHER_OPTIONS}
    )


def test_every_command_is_named_and_none_that_is_not_there():
    commands = {
        path.name
        for path in (ROOT / "flows").glob("*.py")
        if re.search(r"^(def main\(|main = )", path.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"python flows/(\w+\.py)", CODE)) == commands
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", CODE, re.MULTILINE))
    assert {"demo", "test", "bench", "check", "docs", "lock", "soak", "audit"} <= named <= targets


# --- paths and links ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", TEXT))))
def test_every_path_that_a_page_names_is_there(path):
    made_by_a_run_or_a_build = path.startswith(("data/", "docs/_build/", "shared/"))
    assert made_by_a_run_or_a_build or (ROOT / path).exists()


def anchors(text: str) -> set[str]:
    """Return what links to a page's headings end with."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = [
    (page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^)\s]+)\)", text)
]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_leads_somewhere(page, link):
    assert "://" not in link
    path, _, anchor = link.partition("#")
    target = ROOT / page if not path else (ROOT / page).parent / path
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text())


# --- promises -------------------------------------------------------------------------------------


def test_every_promise_is_kept_by_tests_that_are_there():
    rows = table_rows(below="| promise | kept by |")
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert len(rows) > 10
    for promise, (kept_by,) in rows.items():
        named = re.findall(r"`(test_\w+)`", kept_by)
        assert named, promise
        assert not [name for name in named if f"def {name}(" not in tests]
