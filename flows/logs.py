"""What a run's log shows: one sentence for a foreseen failure, and no engine chatter."""

import logging

from landcover.errors import LandcoverError


def tell_expected_failures_in_one_line() -> None:
    """Let Prefect log the sentence of a foreseen failure, without the traceback."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, LandcoverError):
        record.exc_info = None
        record.msg, record.args = "%s", (str(error),)
        # The task has said it already.
        return record.name != "prefect.flow_runs"
    return True


def quiet_the_console() -> None:
    """Show on the console what tasks and flows have to say, not each state they pass through.

    The Prefect server still gets every line.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(_worth_showing)


def _worth_showing(record: logging.LogRecord) -> bool:
    if getattr(record, "printed", False):
        return False
    by_engine = record.module in {"task_engine", "flow_engine", "task_runners"}
    return not by_engine or record.levelno > logging.INFO or "Retry" in str(record.msg)
