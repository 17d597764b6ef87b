"""The image and what `docker compose up` starts, checked as far as it can be without Docker.

The Dockerfile's steps are taken on a layer over this machine's own file system, which is thrown
away; docs/container.md says what is not tried.
"""

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import dask.config
import distributed  # noqa: F401 - its settings are known once it is imported
import pytest
import yaml
from docker.utils import exclude_paths
from packaging.specifiers import SpecifierSet
from prefect import settings
from prefect.cli._app import _app as prefect

from landcover.version import code_version
from tests.servers.environment import SETTINGS
from tests.servers.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
Service = dict[str, Any]

SERVICES: dict[str, Service] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "chocoforest"}


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the Dockerfile's instructions with their values, in their order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", "").splitlines():
        if line:
            name, value = line.split(maxsplit=1)
            yield name, " ".join(value.split())


IMAGE = dict(instructions())  # the last of each kind, so not RUN and COPY
ENVIRONMENT = dict(pair.split("=", 1) for pair in shlex.split(IMAGE["ENV"]))


# --- compose.yaml ---------------------------------------------------------------------------------


def test_the_compose_file_is_valid_by_the_specification():
    check = ("check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    done = subprocess.run(
        [sys.executable, "-m", *check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_read_only_without_rights_and_writes_to_tmp_alone(name: str):
    service = OURS[name]
    assert service["read_only"]
    assert service["user"] == "${RUN_AS:-1000:1000}"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    volumes = [volume.split(":")[1] for volume in service.get("volumes", [])]
    assert ("/tmp" in volumes) != bool(service["tmpfs"])


def test_one_service_builds_the_image_and_all_of_ours_run_it():
    assert [name for name, service in SERVICES.items() if "build" in service] == ["server"]
    assert len(OURS) == len(SERVICES) - 1


def test_ports_are_published_to_this_machine_and_none_of_dask():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"postgis", "server"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_no_secret_stands_in_the_compose_file_and_who_maps_windows_is_handed_none():
    secret = re.compile("PASSWORD|SECRET|AUTH|ENCRYPTION_KEY|ACCESS_KEY")
    values = [
        value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if secret.search(name)
    ]
    assert len(values) > 5
    # Filled in from .env, without another value where there is none.
    assert set(values) == {None, "${DB_PASSWORD:?set it in .env}"}
    assert {name for name in OURS if "env_file" in OURS[name]} == {"set-up", "worker"}


def test_a_service_waits_for_what_can_come_true():
    waits = [
        wait for service in SERVICES.values() for wait in service.get("depends_on", {}).items()
    ]
    assert waits
    for name, wait in waits:
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[name]
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert SERVICES[name]["restart"] == "no"


def test_every_variable_that_a_service_is_given_is_one_that_is_read():
    # Prefect reads its key past its settings.
    known = SETTINGS | {"PREFECT_SERVER_ENCRYPTION_KEY"}
    for variables in [ENVIRONMENT, *(service.get("environment", {}) for service in OURS.values())]:
        for name in variables:
            if name.startswith("DASK_"):
                dask.config.get(name.removeprefix("DASK_").lower().replace("__", "."))
            elif name.startswith(("PREFECT_", "DB_")):
                assert name in known or hasattr(settings, name)


def commands(service: Service) -> Iterator[list[str]]:
    """Yield the commands that a service runs, word by word."""
    command = service["command"]
    script = command if isinstance(command, str) else command[-1]
    for line in re.sub(r"\\\n|\S*>/dev/null", "", script).splitlines():
        yield from (shlex.split(part) for part in line.split("||"))


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_its_program_takes(name: str):
    for program, *arguments in commands(OURS[name]):
        match program:
            case "prefect":
                take_prefect(*arguments)
            case "dask":
                take_dask(*arguments)
            case "python":
                assert {*arguments} <= sent()
            case _:
                assert name == "certificate"


def take_prefect(*arguments: str) -> None:
    quietly = {"exit_on_error": False, "print_error": False}
    _callback, rest, _unused = prefect.meta.parse_args(arguments, **quietly)
    prefect.parse_args(rest.args, **quietly)


def take_dask(program: str, *arguments: str) -> None:
    cli = import_module(f"distributed.cli.dask_{program}")
    context = cli.main.make_context(program, list(arguments))
    assert not context.params["preload_argv"]  # to which it puts what it does not know


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_the_certificate_of_dask_is_made_once_and_is_one(tmp_path: Path):
    script = SERVICES["certificate"]["command"][-1].replace("/certificates", str(tmp_path))
    made = tmp_path / "dask.pem"
    for _ in range(2):
        subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
        before = made.read_bytes()
    assert made.read_bytes() == before
    assert made.stat().st_mode & 0o077 == 0
    context = ssl.create_default_context(cafile=made)
    context.load_cert_chain(made)
    assert len(context.get_ca_certs()) == 1


# --- the image ------------------------------------------------------------------------------------


def sent() -> set[str]:
    """Return the paths that go into the image."""
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    return exclude_paths(str(ROOT), [line for line in patterns if not line.startswith("#")])


def test_only_what_a_run_needs_goes_into_the_image():
    tops = {path.partition("/")[0] for path in sent()}
    ignored_in_any_case = {"Dockerfile", ".dockerignore"}
    assert tops - ignored_in_any_case == {
        *("flows", "landcover", "tasks", "prefect.yaml", "pyproject.toml"),
        *("requirements-dask.txt", "LICENSE", "README.md"),
    }
    assert not [path for path in sent() if path.endswith((".pyc", ".env"))]


def test_hadolint_finds_nothing_in_the_dockerfile():
    # Versions of Debian's packages that are pinned are gone from its archive with the next mending.
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "--ignore=DL3008", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_image_has_a_python_that_the_package_takes():
    version = IMAGE["FROM"].removeprefix("python:").removesuffix("-slim")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"{version}.0" in SpecifierSet(project["requires-python"])


def test_what_the_image_installs_is_locked_with_hashes():
    (install,) = (value for _, value in instructions() if "--requirement" in value)
    assert "--require-hashes" in install
    requirements = (ROOT / install.split()[-1]).read_text()
    names = re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE)
    assert {"prefect", "prefect-dask", "distributed", "rasterio"} <= set(names)


# A layer over this machine's own file system takes the steps, and is thrown away.
BASE = """
set -eu
cd "$SCRATCH"
mount -t tmpfs tmpfs .
cd "$SCRATCH"
mkdir upper work image
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work image
for place in /proc /dev $PYTHON; do
  mkdir -p "image$place"
  mount --rbind "$place" "image$place"
done
# Python may lie where only root may go.
for place in $ABOVE_PYTHON; do chmod a+rx "image$place"; done
"""

# As `docker run --read-only --tmpfs /tmp --cap-drop ALL --user 12345` would, without even a HOME.
RUN = """
mount -o remount,ro image
mount -t tmpfs -o mode=1777,noexec tmpfs image/tmp
exec chroot image setpriv --reuid=12345 --regid=12345 --clear-groups --no-new-privs \
  --inh-caps=-all --bounding-set=-all \
  env --ignore-environment PATH="$PATH" $VARIABLES sh -ec "$COMMANDS"
"""

# What numba compiles has no place then, as for a worker of Dask outside this image.
NOWHERE = ("env", "--unset=NUMBA_CACHE_DIR", "HOME=/nonexistent")

PROBE = """
from pathlib import Path
import numpy as np
from matplotlib import pyplot
from landcover.maps.kernels import count_codes
from landcover.version import ROOT, code_version
assert count_codes(np.zeros((2, 2), np.uint8))[0] == 4
pyplot.savefig('/tmp/picture.png')
kept = {path.parts[2] for path in Path('/tmp').rglob('*') if path.is_file()}
print(ROOT, code_version(), *sorted(kept))
Path('written').touch()
"""


def steps(context: Path) -> Iterator[str]:
    """Yield the Dockerfile's steps as shell commands, without those that install packages."""
    folder = IMAGE["WORKDIR"]
    yield f"mkdir -p image{folder}"
    for name, value in instructions():
        if name == "COPY":
            source, _target = value.split()
            yield f"cp -a {context}/{source} image{folder}/"
        elif name == "RUN":
            taken = [
                part for part in value.split(" && ") if not part.startswith(("apt-get", "pip"))
            ]
            step = " && ".join([f"cd {folder}", *taken])
            yield f"chroot image sh -ec {shlex.quote(step)}"


def in_namespace(script: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount what it likes."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script],
        env={name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_the_image_draws_and_compiles_on_a_read_only_file_system_for_a_user_without_a_home(
    tmp_path: Path,
):
    scratch, context = tmp_path / "scratch", tmp_path / "context"
    for path in map(Path, sent()):
        if (ROOT / path).is_file():
            (context / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, context / path)
    # As of a clone under a umask of 077.
    (context / "flows").chmod(0o700)
    scratch.mkdir()
    pythons = [Path(place) for place in {sys.prefix, sys.base_prefix}]
    variables = {
        "SCRATCH": scratch,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHON": " ".join(map(str, pythons)),
        "ABOVE_PYTHON": " ".join(
            str(place) for python in pythons for place in [python, *python.parents]
        ),
        # In place of the editable installation.
        "VARIABLES": f"PYTHONPATH={IMAGE['WORKDIR']} {IMAGE['ENV']}",
        "COMMANDS": "\n".join(
            [
                f"cd {IMAGE['WORKDIR']}",
                shlex.join(json.loads(IMAGE["CMD"])),
                shlex.join([*NOWHERE, "python", "-c", "import tasks.windows"]),
                shlex.join(["python", "-c", PROBE]),
            ]
        ),
    }
    if in_namespace(BASE, **variables).returncode:
        pytest.skip("layers over the file system are not permitted here")
    done = in_namespace("\n".join([BASE, *steps(context), RUN]), **variables)
    assert done.stdout.startswith("usage: monthly.py"), done.stderr
    printed = done.stdout.splitlines()[-1].split()
    assert printed == [IMAGE["WORKDIR"], code_version(), "matplotlib", "numba", "picture.png"]
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno 30] Read-only file system")
