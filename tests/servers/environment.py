"""The environment of processes that are to see no settings but their own."""

import os

from tasks.access.settings import SETTINGS_GROUPS

SETTINGS = frozenset(name.upper() for group in SETTINGS_GROUPS for name in group.model_fields)


def without_settings() -> dict[str, str]:
    """Return the environment without what belongs to whoever runs this: settings and Prefect's."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith("PREFECT_")
    }
