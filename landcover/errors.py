"""The failures that users can mend, each told in one sentence: what, where, what to do."""


class LandcoverError(Exception):
    """A failure that was foreseen; its text is the whole message that a user needs.

    Attributes:
        exit_status: 1 where the run failed, 2 where the command or the settings are wrong.
    """

    exit_status = 1


class SettingsError(LandcoverError):
    """The command or the settings are wrong."""

    exit_status = 2


class TransientError(LandcoverError):
    """A failure that may heal by itself (network, database restart), so worth another try."""


class NothingThereError(LandcoverError):
    """Where something was looked for there is nothing, or nothing of that name."""


class NoPolygonsError(LandcoverError):
    """There are no training polygons of a month, which others may stand in for."""
