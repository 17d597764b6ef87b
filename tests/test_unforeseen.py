"""An error that nobody foresaw ends a command in one sentence, with a report for its makers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from flows.command import run_command
from flows.unforeseen import MASK, mask
from tests.servers.waiting import PATIENCE


def fail(text: str) -> None:
    raise ZeroDivisionError(text)


@pytest.fixture
def reports(settings) -> Path:
    settings(
        WORK_DIR="work",
        DB_PASSWORD="of the database",
        S3_SECRET_ACCESS_KEY="of the bucket",
        PREFECT_API_KEY="of the cloud",
    )
    return Path("work")


def test_the_report_says_all_and_the_sentence_where_it_is(reports: Path, capfd):
    said = "at s3://x with of the database, of the bucket,\nof the cloud, http://me:too@host/"
    assert run_command(lambda: fail(said), needs=[]) == 1
    out, err = capfd.readouterr()
    (report,) = reports.glob("error-*.txt")
    assert out == ""
    hidden = f"at s3://x with {MASK}, {MASK}, {MASK}, http://host/"
    assert err == (
        f"Error: An error that was not foreseen, ZeroDivisionError ({hidden}): its report is "
        f"{report.absolute()}; send it to who maintains this.\n"
    )
    text = report.read_text()
    assert "command: " in text
    assert re.search(r"^versions: .*rasterio.*prefect 3", text, re.M)
    assert "Traceback (most recent call last)" in text
    assert "raise ZeroDivisionError(text)" in text
    for secret in ("of the database", "of the bucket", "of the cloud", "me:too"):
        assert secret not in text
    assert report.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("work", ["s3://bucket/work", "/proc/work", "ftp://wrong"])
def test_where_the_work_folder_will_not_do_the_report_is_a_temporary_file(
    reports: Path, settings, work: str, capfd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings(WORK_DIR=work)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_command(lambda: fail(""), needs=[]) == 1
    (report,) = tmp_path.glob("error-*.txt")
    assert f"not foreseen, ZeroDivisionError: its report is {report}" in capfd.readouterr().err


def test_a_secret_that_holds_another_is_masked_whole(settings):
    settings(DB_PASSWORD="secret", S3_SECRET_ACCESS_KEY="secret and more")
    assert mask("a secret and more, a secret") == f"a {MASK}, a {MASK}"


FLOW = """
import flows.environment
import sys
from prefect import flow, task
from flows.command import run_command

@task
def divide(): return 1 / 0

@flow
def failing(): divide()

sys.exit(run_command(failing, []))
"""


@pytest.mark.usefixtures("prefect_api")
def test_a_task_that_fails_unforeseen_shows_no_traceback(reports: Path):
    done = subprocess.run(
        [sys.executable, "-c", FLOW],
        env=os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value()},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "not foreseen, ZeroDivisionError (division by zero)" in done.stderr.splitlines()[-1]
    (report,) = reports.glob("error-*.txt")
    assert ", in divide\n" in report.read_text()
