"""What a run shows on the console: what tasks and flows say, and no engine chatter."""

import logging


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
    if by_engine and record.exc_info:
        return False  # its sentence comes last, and the server has the traceback
    return not by_engine or record.levelno > logging.INFO or "Retry" in str(record.msg)
