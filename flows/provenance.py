"""What made a result: kept with its row."""

import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version

from prefect.runtime import deployment, flow_run
from pydantic import BaseModel

from landcover.files import absolute
from landcover.version import code_version
from tasks.assembly import FinishedMap
from tasks.training import Training

# Whose versions can change a map.
LIBRARIES = ("scikit-learn", "numpy", "rasterio", "prefect")


def describe_run(*settings: BaseModel) -> dict[str, object]:
    """Return the command, the code's version, the flow run and the settings.

    Args:
        settings: groups of settings that hold no secret.
    """
    command = f"deployment {deployment.name}" if deployment.name else shlex.join(sys.argv)
    values = [group.model_dump(mode="json") for group in settings]
    return {
        "command": command,
        "code_version": code_version(),
        "flow_run_id": flow_run.id,
        "settings": {name: value for group in values for name, value in group.items()},
    }


def describe_sources(
    prediction: FinishedMap, training: Training, run: Mapping[str, object]
) -> dict[str, object]:
    """Return what a map was made of and by, for people.

    Args:
        prediction: the map.
        training: the model, and how it came about.
        run: see `describe_run`.
    """
    return {
        "map": {"path": absolute(prediction.path), "sha256": prediction.sha256},
        "model": {"path": absolute(training.model.path), "sha256": training.model.sha256},
        "samples": training.source,
        "mosaic": prediction.source_mosaic,
        **training.settings,
        **run,
        "versions": {name: version(name) for name in LIBRARIES},
    }
