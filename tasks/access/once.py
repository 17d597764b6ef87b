"""Settings as a flow run has first read them: an edit in the middle of it changes nothing."""

from functools import lru_cache

from prefect.runtime import flow_run

from tasks.access.settings import Group, read_settings


def settings_of_run(group: type[Group]) -> Group:
    """Read a group of settings, once a flow run and process; outside a flow run, each time.

    It is for the groups that hold secrets, which must not travel with a run's arguments.

    Raises:
        SettingsError: if a setting is missing or malformed.
    """
    return read_settings(group) if flow_run.id is None else _read_once(group, flow_run.id)


@lru_cache(maxsize=32)
def _read_once(group: type[Group], run: str) -> Group:  # noqa: ARG001
    return read_settings(group)
