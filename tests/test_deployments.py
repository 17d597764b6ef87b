"""Deployments as the documentation sets them up: months from the shell and from the browser."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from re import Pattern
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import geopandas
import httpx
import pytest
from annotated_types import Ge, Le
from playwright.sync_api import (
    BrowserContext,
    Locator,
    Page,
    expect,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as NotInTime
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES
from pydantic.fields import FieldInfo
from sqlalchemy import URL, create_engine

from demo.world import World
from flows.command import OF_SERVER
from landcover.maps.prediction import PredictionSettings
from landcover.model.forest import ForestSettings
from landcover.model.sampling import SamplingSettings
from tasks.access.blocks import Blocks
from tests.rows import query
from tests.servers.environment import of_bucket, of_database
from tests.servers.postgis import new_database
from tests.servers.prefect import (
    ROOT,
    Shell,
    copy_repository,
    documented_commands,
    prefect_server,
    wait_for_server,
)
from tests.servers.swift import Bucket, S3Server, new_bucket
from tests.servers.waiting import PATIENCE, Found, tail, wait_for

pytestmark = pytest.mark.xdist_group("deployments")

CHROMIUM = "/usr/bin/chromium"
# Without a graphics card, to imitate one takes most of the browser's time.
BROWSER = ["--no-sandbox", "--disable-gpu"]
SCREENSHOTS = ROOT / "test-output"

OUTPUTS = ("PREPARED_DATA_DIR", "MODEL_OUTPUT_DIR", "PREDICTION_OUTPUT_DIR", "WORK_DIR")
FEW = ("-p", 'forest={"trees": 5, "folds": 2}')
MANY = ("-p", 'forest={"trees": 5000, "folds": 2}')  # to be cancelled long before its end

WAITING = "Late"
# Those that go through the months in their order.
ALONE = {"backfill", "deforestation"}
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

# Seconds after which a page is opened again.
LOADING = 60

# What the server answers while its SQLite file is locked by another writer. Prefect's own clients
# then ask again by themselves; in the browser a person does.
BUSY = 503

Json = dict[str, Any]


@dataclass(frozen=True)
class Team:
    """A team's server, worker, bucket and database.

    Attributes:
        shell: where the documented commands are given.
        api: the server's.
        bucket: imagery and results.
        database: polygons and rows.
        said: what the commands that set this up have printed.
        run_june: the documented command that runs a month.
    """

    shell: Shell
    api: httpx.Client
    bucket: Bucket
    database: URL
    said: str
    run_june: str

    def ask(self, what: str, **filters: Any) -> list[Json]:
        """Return what the API's filter finds, up to its 200."""
        answer = self.api.post(f"/{what}/filter", json=filters)
        assert answer.is_success, answer.text
        found: list[Json] = answer.json()
        return found

    def of_run(self, what: str, run: str) -> list[Json]:
        """Return what belongs to a flow run."""
        return self.ask(what, flow_runs={"id": {"any_": [run]}})

    def state(self, run: str) -> Json:
        """Return the state in which a flow run is."""
        state: Json = self.api.get(f"/flow_runs/{run}").json()["state"]
        return state


# --- the team's machine ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory,
    s3_server: S3Server,
    postgis: URL,
    prefect_database: Path,
    landscape: World,
) -> Iterator[Team]:
    """A server and a worker, set up and started by the documented commands in their order."""
    folder = tmp_path_factory.mktemp("team")
    with ExitStack() as stack:
        serve, *set_up, work, run_june = documented_commands("docs/deployments.md", "## Set up")
        shell = stack.enter_context(prefect_server(folder, serve, prefect_database))
        bucket = stack.enter_context(new_bucket(s3_server, f"team-{uuid4().hex}"))
        database = stack.enter_context(new_database(postgis, f"team_{uuid4().hex}"))
        copy_repository(shell.folder, put_months(landscape, bucket, database))
        wait_for_server(shell)

        said = "".join(shell.must_run(command) for command in set_up)
        stack.enter_context(shell.background("worker", work))
        api = stack.enter_context(httpx.Client(base_url=f"{shell.address}/api", timeout=PATIENCE))
        yield Team(shell, api, bucket, database, said, run_june)


def put_months(landscape: World, bucket: Bucket, database: URL) -> dict[str, object]:
    """Put quads of two months into the bucket and polygons into the database; return settings."""
    for quad in landscape.mosaic_dir.rglob("*.tif"):
        key = quad.relative_to(landscape.mosaic_dir)
        bucket.filesystem.put_file(str(quad), f"{bucket.name}/imagery/{key}")
    engine = create_engine(database)
    polygons = geopandas.read_file(landscape.polygons).rename_geometry("geom")
    polygons.to_postgis("training_polygons", engine)
    engine.dispose()
    return {
        "PLANET_MOSAIC_DIR": f"{bucket.url}/imagery",
        "MOSAIC_PATTERN": landscape.mosaic_pattern,
        "AOI_DEFINITION": landscape.aoi,
        "TRAINING_POLYGON_TABLE": "training_polygons",
        "TRAINING_POLYGON_GEOM_COL": "geom",
        "TRAINING_POLYGON_CLASS_COL": "class_label",
        "TRAINING_POLYGON_ID_COL": "id",
        "TRAINING_POLYGON_MONTH_COL": "month",
        **of_database(database),
        **of_bucket(bucket.server),
        **{name: f"{bucket.url}/{name.lower()}" for name in OUTPUTS},
    }


# --- the browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(team: Team) -> Iterator[BrowserContext]:
    """A browser that reaches nothing but the team's own machine."""
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER)
        browser = chromium.new_context(
            viewport={"width": 1280, "height": 1000}, reduced_motion="reduce"
        )
        browser.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        elsewhere = re.compile(rf"^(?!{re.escape(team.shell.address)}/|data:|blob:)")
        browser.route(elsewhere, lambda route: route.abort())
        yield browser
        chromium.close()


@pytest.fixture(scope="module")
def form(team: Team, browser: BrowserContext) -> Iterator[Locator]:
    """The run form, for looking at it."""
    with opened(browser) as page:
        yield open_form(team, page)


@contextmanager
def opened(browser: BrowserContext) -> Iterator[Page]:
    """Open a page; where the block fails, a picture shows what the page showed."""
    with browser.new_page() as page:
        try:
            yield page
        except BaseException:
            picture(page, "failure")
            raise


def open_form(team: Team, page: Page) -> Locator:
    """Open the form that Deployments, monthly, Run, Custom run lead to."""
    (deployment,) = team.ask("deployments", deployments={"name": {"any_": ["monthly"]}})
    # Prefect's pages show links and menus before a click on them does anything.
    page.goto(f"{team.shell.address}/v2/deployments/deployment/{deployment['id']}/run")
    expect(page.get_by_role("spinbutton", name="year")).to_be_visible()
    return page.locator("main")


def open_run(team: Team, page: Page, run: str, text: str | Pattern[str], tab: str = "Logs") -> None:
    """Open a run's page until it shows a text: what a busy server refuses, it asks no more."""

    def shown() -> Locator | None:
        page.goto(f"{team.shell.address}/v2/runs/flow-run/{run}?tab={tab}")
        found = page.get_by_text(text, exact=True).first
        try:
            found.wait_for(timeout=LOADING * 1000)
        except NotInTime:
            return None
        return found

    wait_for(f"the page of {run} shows {text}", shown, log=team.shell.log("server"))


def fill(form: Locator, **values: int) -> None:
    for name, value in values.items():
        box = form.get_by_role("spinbutton", name=name.replace("_", " "))
        box.fill(str(value))
        expect(box).to_have_value(str(value))


def submit(team: Team, form: Locator) -> str:
    """Submit the form; return the run's id."""

    def submitted() -> str | None:
        with form.page.expect_response("**/create_flow_run") as answer:
            form.get_by_role("button", name="Submit").click()
        if answer.value.status == BUSY:
            return None
        assert answer.value.ok, f"{answer.value.status}: {answer.value.text()}"
        run: str = answer.value.json()["id"]
        return run

    return wait_for("the run is created", submitted, log=team.shell.log("server"))


def look_away(page: Page) -> None:
    """Leave a run's page while waiting: to draw its graph takes more than a core."""
    page.goto("about:blank")


def picture(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"ui-{name}.png", full_page=True)


# --- runs of a month ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """What is kept of a month."""

    files: dict[str, object]
    """When each file in the folder of the maps was made."""
    rows: list[Any]
    """Path, model, run, command and trees of each map that is recorded."""


@dataclass(frozen=True)
class Months:
    """Three runs of June, one after the other, by their ids."""

    shell: str
    """From the shell."""
    cancelled: str
    """From the shell again, and cancelled in the browser."""
    browser: str
    """From the browser, while the one before was on its way."""
    made: Results
    """What the first made."""
    left: Results
    """What the cancelled one left."""


@pytest.fixture(scope="module")
def months(team: Team, browser: BrowserContext) -> Months:
    shell = start_june(team, *FEW)
    watch(team, shell, "COMPLETED")
    made = results(team)
    with opened(browser) as page:
        form = open_form(team, page)
        with held_up(team.database):
            cancelled = start_june(team, *MANY)
            until(team, "it runs", lambda: team.state(cancelled)["type"] == "RUNNING" or None)
            fill(form, year=2025, month=6, Trees=6, Validation_folds=2)
            picture(page, "1-form")
            last = submit(team, form)
            until(team, "the next waits", lambda: WAITING in states_of(team, last) or None)
            cancel(team, page, cancelled)
        watch(team, cancelled, "CANCELLED")
        left = results(team)

        until(team, "it has an artifact", lambda: team.of_run("artifacts", last) or None)
        open_run(team, page, last, re.compile("Predicting:"), tab="Artifacts")
        picture(page, "3-running")
    watch(team, last, "COMPLETED")
    return Months(shell, cancelled, last, made, left)


def start_june(team: Team, *options: str) -> str:
    """Give the documented command; return the run's id."""
    found: list[str] = re.findall(r"UUID: (\S+)", team.shell.must_run(team.run_june, *options))
    return found[0]


def cancel(team: Team, page: Page, run: str) -> None:
    """Cancel a run on its page."""
    open_run(team, page, run, "Running")
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name="Cancel").click()
    picture(page, "2-cancel")
    with page.expect_response("**/set_state") as answer:
        page.get_by_role("button", name="Cancel Flow Run").click()
    assert answer.value.ok, answer.value.text()
    look_away(page)


def results(team: Team) -> Results:
    files = team.bucket.filesystem
    files.invalidate_cache()
    found = files.find(f"{team.bucket.name}/prediction_output_dir", detail=True)
    engine = create_engine(team.database)
    rows = query(
        engine,
        "SELECT prediction_path, model_filename, parameters ->> 'flow_run_id', "
        "parameters ->> 'command', parameters -> 'forest' ->> 'trees' "
        "FROM raster_predictions JOIN ml_models USING (model_id)",
    )
    engine.dispose()
    return Results({name: about["LastModified"] for name, about in found.items()}, rows)


@contextmanager
def held_up(database: URL) -> Iterator[None]:
    """Let runs wait for their training polygons until the block ends."""
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE training_polygons IN ACCESS EXCLUSIVE MODE")
        yield
    engine.dispose()


def states_of(team: Team, run: str) -> list[str]:
    """Return the names of all states that a run has had."""
    states = team.api.get("/flow_run_states/", params={"flow_run_id": run}).json()
    return [state["name"] for state in states]


def until(team: Team, what: str, ask: Callable[[], Found | None]) -> Found:
    """Wait for what the worker does; to answer each question takes the server time."""
    return wait_for(what, ask, log=team.shell.log("worker"), pause=1)


def watch(team: Team, run: str, end: str) -> None:
    """Wait until a run has ended, and in which state."""

    def ended() -> Json | None:
        state = team.state(run)
        return state if state["type"] in ENDED else None

    state = until(team, "the run has ended", ended)
    assert state["type"] == end, f"{state['message']}\n{tail(team.shell.log('worker'))}"


# --- tests ----------------------------------------------------------------------------------------


def test_the_documented_commands_make_the_deployments_and_their_blocks(team):
    assert "Saved sqlalchemy-connector/chocoforest" in team.said
    assert "Saved aws-credentials/chocoforest" in team.said
    found = {deployment["name"]: deployment for deployment in team.ask("deployments")}
    assert set(found) == {
        *("monthly", "backfill", "deforestation", "draw-sample", "estimate-areas"),
        *("regions", "annual"),
        *("prepare", "train", "predict"),
        "compare-maps",
    }
    for name, deployment in found.items():
        assert "land-cover" in deployment["tags"]
        assert deployment["schedules"] == [], name
        assert deployment["enforce_parameter_schema"], name
        patience = {PREFECT_CLIENT_MAX_RETRIES.name: f"{OF_SERVER[PREFECT_CLIENT_MAX_RETRIES]}"}
        assert deployment["job_variables"]["env"] == patience, name
        limit = deployment["global_concurrency_limit"]
        assert (limit and limit["limit"]) == (1 if name in ALONE else None), name
        if limit:
            assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE", name


def test_months_from_shell_and_browser_lie_in_the_bucket_and_in_postgis_and_nowhere_else(
    team, months
):
    made = {
        path.removeprefix(f"{team.bucket.name}/")
        for path in team.bucket.filesystem.find(team.bucket.name)
    }
    assert {
        "prepared_data_dir/prepared_data_202506.parquet",
        "model_output_dir/rf_model_202506.joblib",
        "prediction_output_dir/prediction_202506.tif",
        "prediction_output_dir/report_202506.html",
    } <= made
    of_map = (
        f"{team.bucket.url}/prediction_output_dir/prediction_202506.tif",
        "rf_model_202506.joblib",
    )
    for found, run, trees in (
        (months.made, months.shell, "5"),
        (results(team), months.browser, "6"),
    ):
        assert found.rows == [(*of_map, run, "deployment monthly", trees)]
    here = {path.name for path in team.shell.folder.iterdir()}
    assert here == {"flows", "tasks", "landcover", "prefect.yaml", ".env"}


def test_a_runs_name_is_its_month_and_its_tasks_names_hold_month_or_window(team, months):
    for run in (months.shell, months.browser):
        answer = team.api.get(f"/flow_runs/{run}").json()
        assert answer["name"] == "2025-06"
        assert set(answer["tags"]) == {"land-cover", "month"}
        names = {task["name"] for task in team.of_run("task_runs", run)}
        assert {
            f"{step} 2025-06" for step in ("find mosaic", "train model", "assemble map")
        } < names
        windows = {"predict 0-0", "predict 512-0", "predict 0-512", "predict 512-512"}
        assert {name for name in names if name.startswith("predict ")} == windows


def test_progress_moves_while_a_month_runs(team, months):
    (progress,) = (
        artifact
        for artifact in team.of_run("artifacts", months.shell)
        if artifact["type"] == "progress"
    )
    assert progress["data"] == 100
    made, moved = (datetime.fromisoformat(progress[when]) for when in ("created", "updated"))
    assert made < moved


def artifacts_of(team: Team, run: str) -> dict[tuple[str, str], Json]:
    """Return a run's artifacts by type and key."""
    found = team.of_run("artifacts", run)
    return {(artifact["type"], artifact["key"]): artifact for artifact in found}


def test_at_its_end_a_run_has_a_summary_and_tables_of_accuracy_and_hectares(team, months):
    found = artifacts_of(team, months.shell)
    summary = found["markdown", "summary-2025-06"]["data"]
    assert "accuracy 0." in summary
    assert f"{team.bucket.url}/prediction_output_dir/prediction_202506.tif" in summary

    tables = {
        name: json.loads(found["table", f"{name}-2025-06"]["data"])
        for name in ("accuracy", "hectares")
    }
    classes = {"Forest", "Non-Forest", "Cloud", "Shadow", "Water", "Haze"}
    for rows in tables.values():
        assert {row["class"] for row in rows} == classes
    assert {"precision", "recall", "pixels", "polygons"} < set(tables["accuracy"][0])
    assert {"hectares", "share"} < set(tables["hectares"][0])


def test_a_second_run_waits_for_the_first(team, months):
    assert WAITING in states_of(team, months.browser)
    first, second = (
        team.api.get(f"/flow_runs/{run}").json() for run in (months.cancelled, months.browser)
    )
    assert second["start_time"] > first["end_time"]


@pytest.mark.usefixtures("months")
def test_months_in_a_row_that_lie_in_bucket_and_postgis_are_up_to_date(team):
    (command,) = documented_commands("docs/deployments.md", "## Months in a row")
    command = command.replace("2024-01", "2025-06").replace("2024-12", "2025-06")
    (run,) = re.findall(r"UUID: (\S+)", team.shell.must_run(command))
    watch(team, run, "COMPLETED")
    shown = artifacts_of(team, run)["table", "months-2025-06-to-2025-06"]
    (row,) = json.loads(shown["data"])
    assert (row["month"], row["map"], row["alerts"]) == ("2025-06", "prediction_202506.tif", "0")

    # It has brought the record of deforestation up to that month too.
    (command,) = documented_commands("docs/deployments.md", "## Where forest fell")
    (run,) = re.findall(r"UUID: (\S+)", team.shell.must_run(command))
    watch(team, run, "COMPLETED")
    shown = artifacts_of(team, run)["markdown", "summary-deforestation-2025-06"]
    assert "The record up to 2025-06 is up to date: 0 alerts." in shown["data"]
    assert f"{team.bucket.url}/prediction_output_dir/deforestation_202506.html" in shown["data"]


def test_a_run_with_a_wrong_parameter_is_refused_in_a_sentence(team):
    before = team.api.post("/flow_runs/count", json={}).json()
    command = team.run_june.removesuffix("month=6")
    wrong = {
        ("month=13",): "field 'month'. Failure reason: 13 is greater than the maximum of 12",
        ("month=6", "-p", "moth=7"): "not found on the deployment: 'moth'",
    }
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda more: team.shell.run(command, *more), wrong))
    for answer, told in zip(answers, wrong.values(), strict=True):
        said = " ".join(f"{answer.stdout} {answer.stderr}".split())
        assert answer.returncode == 1, said
        assert told in said
        assert "Traceback" not in said
    assert team.api.post("/flow_runs/count", json={}).json() == before


OPTIONS = [
    field
    for model in (SamplingSettings, ForestSettings, PredictionSettings, Blocks)
    for field in model.model_fields.values()
]


def test_the_form_shows_each_parameter_with_its_description_default_and_bounds(team, form):
    (deployment,) = team.ask("deployments", deployments={"name": {"any_": ["monthly"]}})
    text = form.inner_text()
    schema = deployment["parameter_openapi_schema"]
    for name, parameter in schema["properties"].items():
        (model,) = re.findall(r"#/definitions/(\w+)", json.dumps(parameter)) or [None]
        told = parameter.get("description") or schema["definitions"][model]["description"]
        assert name in text
        assert " ".join(told.split()) in text

    # Each field begins with its title.
    shown = form.aria_snapshot()
    for field in OPTIONS:
        _before, found, shown = shown.partition(f"text: {field.title} (Optional)")
        assert found, field.title
        here = shown.partition("- text: ")[0]
        assert str(field.description) in here.replace('\\"', '"')
        assert shows_default(here, field), f"{field.title}: {here}"

    numbers = [field for field in OPTIONS if type(field.default) in (int, float)]
    inputs = form.get_by_role("spinbutton").all()
    bounds = [(box.get_attribute("min"), box.get_attribute("max")) for box in inputs]
    assert bounds == [("1972", "2100"), ("1", "12"), *(bounds_of(field) for field in numbers)]


def shows_default(shown: str, field: FieldInfo) -> bool:
    if field.default is None:
        return 'tab "None" [selected]' in shown
    if isinstance(field.default, bool):
        # What may be something else too has a tab for each.
        alone = field.annotation is bool
        shows = f'switch "{field.title} (Optional)"' if alone else 'tab "bool" [selected]'
        return shows in shown and not field.default
    return re.search(rf': "?{re.escape(str(field.default))}"?$', shown, re.MULTILINE) is not None


def bounds_of(field: FieldInfo) -> tuple[str | None, str | None]:
    low = next((str(limit.ge) for limit in field.metadata if isinstance(limit, Ge)), None)
    high = next((str(limit.le) for limit in field.metadata if isinstance(limit, Le)), None)
    return low, high


def test_the_form_refuses_a_thirteenth_month(team, form):
    runs = team.api.post("/flow_runs/count", json={}).json()
    fill(form, year=2025, month=13)
    form.get_by_role("button", name="Submit").click()
    told = form.get_by_role("spinbutton", name="month").evaluate("box => box.validationMessage")
    assert told == "Value must be less than or equal to 12."
    assert form.page.url.partition("?")[0].endswith("/run")
    assert team.api.post("/flow_runs/count", json={}).json() == runs


def test_the_runs_page_shows_its_summary_and_its_tables(team, browser, months):
    with opened(browser) as page:
        open_run(team, page, months.browser, "Completed")
        expect(page.get_by_text("submitting flow run").first).to_be_visible()
        picture(page, "4-run")
        open_run(team, page, months.browser, "Predicting: 4 of 4", tab="Artifacts")
        picture(page, "5-artifacts")

        artifacts = artifacts_of(team, months.browser)
        for kind, name, texts in (
            ("markdown", "summary", ["accuracy 0.", "prediction_202506.tif"]),
            ("table", "accuracy", ["precision", "Non-Forest"]),
            ("table", "hectares", ["share", "Non-Forest"]),
        ):
            key = f"{name}-2025-06"
            card = page.get_by_role("link", name=f"{kind} {key}")
            expect(card).to_be_visible()
            with opened(browser) as tab:
                number = artifacts[kind, key]["id"]
                tab.goto(f"{team.shell.address}/v2/artifacts/artifact/{number}")
                for text in texts:
                    expect(tab.get_by_role("tabpanel").get_by_text(text).first).to_be_visible()
                picture(tab, f"6-{name}")


def test_a_month_cancelled_in_the_browser_leaves_what_was_there_and_can_be_run_again(
    team, browser, months
):
    with opened(browser) as page:
        open_run(team, page, months.cancelled, "Cancelled")
    assert months.left == months.made
    # The record of deforestation came later.
    of_record = r"/(deforestation|alerts|last_seen|state)_"
    left = {name for name in results(team).files if not re.search(of_record, name)}
    assert left == set(months.made.files)
    assert results(team) != months.made


def test_no_secret_is_in_what_the_server_answers_in_logs_in_rows_or_in_files(team, months):
    blocks = team.ask("block_documents")
    assert len(blocks) == 2
    assert "********" in json.dumps(blocks)
    asked = ("flows", "deployments", "flow_runs", "task_runs", "artifacts", "logs", "work_pools")
    answers = {what: team.ask(what) for what in asked}
    assert all(answers.values())
    assert "Map written to" in json.dumps(answers["logs"])
    answers |= {"block_documents": blocks, "events": ask_events(team)}

    home, folder, files = team.shell.home, team.shell.folder, team.bucket.filesystem
    seen: dict[str, bytes] = {"commands": team.said.encode()}
    seen |= {
        what: json.dumps(found, ensure_ascii=False).encode() for what, found in answers.items()
    }
    seen |= files.cat(files.find(team.bucket.name))
    for path in (*home.rglob("*"), *folder.rglob("*")):
        if path.is_file() and path.name != ".env":
            seen[str(path)] = path.read_bytes()
    assert str(home / "prefect.db") in seen

    password = str(team.database.password)
    forms = {password, quote(password), json.dumps(password)[1:-1], team.bucket.server.secret}
    for name, content in seen.items():
        for secret in forms:
            assert secret.encode() not in content, name


def ask_events(team: Team) -> Json:
    answer = team.api.post("/events/filter", json={"limit": 50})
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found
