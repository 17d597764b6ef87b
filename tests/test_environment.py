"""What is in the environment: made harmless, or told before Prefect starts."""

from flows.environment import check_env_file, check_system, reach_this_machine_directly

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from flows import environment
from landcover.errors import LandcoverError, SettingsError
from tests.servers.environment import without_settings
from tests.servers.waiting import PATIENCE

FLOWS = Path(__file__).parents[1] / "flows"


def run_python(code: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    return run_in(Path.cwd(), [sys.executable, "-c", code], variables)


def run_in(
    folder: Path, command: list[object], variables: Mapping[str, str | None] = {}
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a variable of None is left out."""
    wanted = without_settings() | variables
    return subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in wanted.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def clean_work(folder: Path, *options: str, **variables: str | None):
    """Run the smallest command in a folder: without a month it ends before its flow starts."""
    return run_in(folder, [sys.executable, FLOWS / "clean_work.py", *options], variables)


# --- other installations --------------------------------------------------------------------------


TRANSFORM = """
import flows.environment
import rasterio, pyogrio, os
from rasterio.warp import transform
print([round(value) for (value,) in transform("EPSG:4326", "EPSG:3857", [-79], [1])])
print(sorted({"PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GDAL_DRIVER_PATH"} & set(os.environ)))
"""


@pytest.mark.parametrize("name", ["PROJ_LIB", "PROJ_DATA"])
def test_another_installations_projections_are_not_used(name: str, tmp_path: Path):
    (tmp_path / "proj.db").write_bytes(b"of another version")
    others = {"GDAL_DATA": str(tmp_path), "GDAL_DRIVER_PATH": str(tmp_path)}
    done = run_python(TRANSFORM, **{name: str(tmp_path)}, **others)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[-8794240, 111325]", "[]"]


def test_an_option_of_gdal_that_hides_a_mask_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    monkeypatch.setenv("GDAL_NUM_THREADS", "2")
    environment.forget_other_installations()
    assert "GDAL_DISABLE_READDIR_ON_OPEN" not in os.environ
    assert os.environ["GDAL_NUM_THREADS"] == "2"


# --- proxies --------------------------------------------------------------------------------------


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that is put back, without proxies."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    # What is set beside monkeypatch is removed with what it has set.
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        (
            {"http_proxy": "http://proxy:3128"},
            {
                "http_proxy": "http://proxy:3128",
                "no_proxy": "localhost,127.0.0.1,::1",
                "NO_PROXY": "localhost,127.0.0.1,::1",
            },
        ),
        (
            {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": "minio, localhost"},
            {
                "HTTPS_PROXY": "proxy:3128",
                "no_proxy": "minio,localhost,127.0.0.1,::1",
                "NO_PROXY": "minio,localhost,127.0.0.1,::1",
            },
        ),
        # As GNOME writes it.
        ({"all_proxy": "socks://127.0.0.1:1080/"}, {}),
    ],
)
def test_what_is_on_this_machine_is_reached_past_proxies(own_environment, given, wanted):
    os.environ.update(given)
    reach_this_machine_directly()
    assert {n: v for n, v in os.environ.items() if n.lower().endswith("_proxy")} == wanted


# --- folders --------------------------------------------------------------------------------------


HOMELESS = """
import flows.environment
import os
import flows.monthly, matplotlib.pyplot
from prefect.settings import PREFECT_HOME
for place in (PREFECT_HOME.value(), os.environ["HOME"], os.environ["NUMBA_CACHE_DIR"]):
    print(place)
"""


def test_without_a_home_everything_is_kept_in_a_private_temporary_folder(tmp_path: Path):
    done = run_python(HOMELESS, HOME="/proc/none", NUMBA_CACHE_DIR="/proc/x", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    (private,) = tmp_path.glob("chocoforest-*")
    assert private.stat().st_mode & 0o777 == 0o700
    assert all(Path(line).is_relative_to(private) for line in done.stdout.splitlines())


def test_an_installation_that_cannot_be_written_keeps_what_is_compiled_elsewhere(
    own_environment: pytest.MonkeyPatch, tmp_path: Path
):
    own_environment.setattr(environment, "_KERNELS", Path("/proc/none"))
    os.environ |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": "/proc/none"}
    os.environ.pop("NUMBA_CACHE_DIR", None)
    environment.place_caches()
    assert environment.can_write(Path(os.environ["NUMBA_CACHE_DIR"]))
    assert environment.can_write(Path(os.environ["XDG_CACHE_HOME"]))
    assert os.environ["HOME"] == str(tmp_path)


def test_a_temporary_folder_that_others_may_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken = tmp_path / f"chocoforest-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    environment.private_folder.cache_clear()
    try:
        private = environment.private_folder()
    finally:
        environment.private_folder.cache_clear()
    assert private != taken
    assert private.parent == tmp_path
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PREFECT_HOME": "/proc/none"}, "in /proc/none, where this user cannot write: set PREFEC"),
        ({"TMPDIR": "/proc/none"}, "TMPDIR is /proc/none, where this user cannot write: create"),
        ({"PREFECT_LOGGING_LEVEL": "loud"}, "(PREFECT_LOGGING_LEVEL: Input should be 'DEBUG', "),
    ],
)
def test_a_place_or_a_setting_of_prefect_that_will_not_do_is_told(variables, words, tmp_path: Path):
    done = clean_work(tmp_path, **variables)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_help_needs_no_folder_to_write(tmp_path: Path):
    done = clean_work(
        tmp_path, "--help", HOME="/proc/none", PREFECT_HOME="/proc/none", TMPDIR="/proc/none"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: clean_work.py")


def test_prefects_profiles_that_cannot_be_read_are_told(tmp_path: Path):
    (tmp_path / "profiles.toml").write_text('active = "mine')
    done = clean_work(tmp_path, PREFECT_HOME=str(tmp_path))
    assert done.returncode == 2
    assert f"or the file profiles.toml in {tmp_path} or" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_working_folder_that_was_removed_is_told(tmp_path: Path):
    command = f'rmdir {tmp_path} && exec "$0" {FLOWS / "clean_work.py"}'
    done = run_in(tmp_path, ["sh", "-c", command, sys.executable])
    assert done.returncode == 1
    assert done.stderr == (
        "Error: The folder in which this was started is not there any more: change to one that "
        "is.\n"
    )


def test_windows_is_told_what_is_supported():
    check_system("posix")
    with pytest.raises(LandcoverError, match="Windows is not supported: run this under WSL 2"):
        check_system("nt")


# --- the file of settings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("A=1\nAOI_DEFINITION=páramo.shp\n".encode("cp1252"), r"line 2 \(AOI_DEFINITION\) is not"),
        ("A=páramo\n".encode("cp1252"), r"byte 0xe1 at column 4\); save the file as UTF-8"),
        ("A=1\n".encode("utf-16"), "in UTF-16, which Notepad calls Unicode"),
        ("A=1\n".encode("utf-16-le"), "in UTF-16"),
        (b"A=1\n\nexport B=2\nthe secret word\n", "line 4 is not NAME=value"),
        (b'A=1\n\n\nDB_PASSWORD="not closed\nB=1\n', r"line 4 \(DB_PASSWORD\) is not NAME=value"),
    ],
)
def test_a_line_that_is_not_a_setting_is_told_with_its_number(content, words, tmp_path: Path):
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=words) as told:
        check_env_file(path)
    assert str(path) in str(told.value)
    assert "secret" not in str(told.value)
    assert "not closed\n" not in str(told.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# a comment\n\nA=1\nexport B='two\nlines'\nC=\nD = \"x\" # y\n",
        "\ufeffA=páramo\r\n".encode(),
        b"ALONE\n",
    ],
)
def test_what_is_well_is_left_alone(content, tmp_path: Path):
    path = tmp_path / ".env"
    path.write_bytes(content)
    check_env_file(path)
    check_env_file(tmp_path / "none")


@pytest.mark.parametrize("options", [(), ("--help",)])
def test_settings_in_another_encoding_end_a_command_in_a_sentence(options, tmp_path: Path):
    (tmp_path / ".env").write_bytes("AOI_DEFINITION=páramo.shp\n".encode("cp1252"))
    done = clean_work(tmp_path, *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: The settings {tmp_path / '.env'} cannot be read: line 1")
    assert len(done.stderr.splitlines()) == 1
