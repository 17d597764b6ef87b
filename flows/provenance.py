"""What made a result: kept with its row."""

import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version

from prefect.runtime import deployment, flow_run
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from landcover.files import absolute
from landcover.maps.assembly import FinishedMap
from landcover.version import code_version, library_versions
from tasks.access.settings import MosaicSettings, PolygonSettings
from tasks.run import Run
from tasks.training import Training

# The groups of settings that can change a map.
TOLD: tuple[type[BaseSettings], ...] = (MosaicSettings, PolygonSettings)


def describe_run(run: Run, *settings: BaseModel) -> dict[str, object]:
    """Return what makes a result: the command, the code's version, the flow run and the settings.

    Args:
        run: whose settings of imagery and polygons are told.
        settings: further groups of settings that hold no secret.
    """
    command = f"deployment {deployment.name}" if deployment.name else shlex.join(sys.argv)
    of_run = [run.settings[group] for group in TOLD if group in run.settings]
    values = [group.model_dump(mode="json") for group in (*of_run, *settings)]
    return {
        "command": command,
        "code_version": code_version(),
        "flow_run_id": flow_run.id,
        "settings": {name: value for group in values for name, value in group.items()},
    }


def describe_sources(
    finished: FinishedMap, training: Training, made_by: Mapping[str, object]
) -> dict[str, object]:
    """Return what a map was made of and by, for people.

    Args:
        finished: the map.
        training: the model, and how it came about.
        made_by: see `describe_run`.
    """
    return {
        "map": {"path": absolute(finished.path), "sha256": finished.sha256},
        "model": {"path": absolute(training.model.path), "sha256": training.model.sha256},
        "samples": training.source,
        "taught_by": list(training.taught_by),
        "mosaic": finished.source_mosaic,
        **training.settings,
        **made_by,
        "versions": {**library_versions(), "prefect": version("prefect")},
    }
