"""What made a result: kept with its row."""

import shlex
import sys

from prefect.runtime import deployment, flow_run
from pydantic import BaseModel

from landcover.files import code_version


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
