"""The command lines: options from the flows' own parameters, one sentence for a failure."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from signal import SIGINT, SIGTERM, Signals
from types import NoneType
from typing import Any, TypeVar, get_args

from prefect.exceptions import TerminationSignal
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from flows.logs import quiet_the_console
from flows.parameters import Month, Year
from landcover.errors import LandcoverError
from tasks.access.process import configure
from tasks.access.settings import read_settings

Settings = TypeVar("Settings", bound=BaseModel)

MOSAIC_PATH_HELP = (
    "the imagery, where it is not at its usual place: a file, a folder, or a glob, on disk or in a "
    "bucket (s3://...)"
)

EPILOG = (
    "Settings come from the environment and from .env in the working folder; README.md lists "
    "them. Options may be written with - or with _."
)


def month_parser(description: str) -> argparse.ArgumentParser:
    """Return a command line with --year and --month."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=EPILOG,
    )
    parser.add_argument("--year", required=True, type=_checked(Year), help="such as 2025")
    parser.add_argument("--month", required=True, type=_checked(Month), help="1 to 12")
    return parser


def _checked(kind: Any) -> Callable[[str], int]:  # noqa: ANN401
    """Return what reads an option's text and says why when it is out of bounds."""
    adapter: TypeAdapter[int] = TypeAdapter(kind)

    def read(text: str) -> int:
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error.errors()[0]['msg']}") from None

    return read


def add_settings(parser: argparse.ArgumentParser, model: type[BaseModel]) -> None:
    """Add an option for each field of a model; a field that another model has too is added once.

    Args:
        parser: the command line.
        model: a pydantic model whose fields have descriptions.
    """
    group = parser.add_argument_group((model.__doc__ or model.__name__).rstrip("."))
    there = {action.dest: action for action in parser._actions}
    for name, field in model.model_fields.items():
        if name in there:
            told = str(field.description).replace("%", "%%")
            there[name].help = f"{told} {there[name].help}"
            continue
        default = "none" if field.default is None else field.default
        text = f"{field.description} Default: {default}."
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
        if field.annotation is bool:
            options["action"] = "store_true"
        elif choices := [value for value in get_args(field.annotation) if isinstance(value, str)]:
            options["choices"] = choices
        else:
            options["metavar"] = "N"
        group.add_argument(f"--{name}", **options)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line, taking - and _ within an option's name for the same."""
    return parser.parse_args(
        [_underscored(word) for word in (sys.argv[1:] if argv is None else argv)]
    )


def _underscored(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def settings_from(
    parser: argparse.ArgumentParser, options: argparse.Namespace, model: type[Settings]
) -> Settings:
    """Return a model of the options given; ends the command where one is out of bounds."""
    given = {
        name: _none_or_text(value, model.model_fields[name])
        for name, value in vars(options).items()
        if name in model.model_fields
    }
    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors()[0]
        parser.error(f"argument --{first['loc'][0]}: {first['msg']}")


def _none_or_text(value: object, field: FieldInfo) -> object:
    """Read "none" where a field may be left empty."""
    return None if value == "none" and NoneType in get_args(field.annotation) else value


def run_command(job: Callable[[], object], needs: Sequence[type[BaseSettings]]) -> int:
    """Run a flow for a person at a terminal, print its result, and return the exit status.

    Args:
        job: runs the flow.
        needs: the groups of settings that it will read; they are checked before Prefect starts.

    Returns:
        0 done, 1 the run failed, 2 the command or the settings are wrong.
    """
    configure()
    quiet_the_console()
    # Prefect's makers are not told of the team's runs.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Without an API the run starts a server of its own, on a cold machine in 25 s and more. One
    # that is away is asked again for two minutes: each pause is twice as long as the one before.
    of_server = {
        PREFECT_CLIENT_MAX_RETRIES: 6,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
    }
    try:
        for group in needs:
            read_settings(group)
        with temporary_settings(of_server):
            print(job())
    except LandcoverError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_status
    except RuntimeError as error:
        # Prefect has no type of its own for this.
        if "Failed to reach API" not in str(error):
            raise
        print(
            f"Error: The Prefect server {PREFECT_API_URL.value()} does not answer: start it with "
            "prefect server start, or unset PREFECT_API_URL to run without one.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return _stopped(SIGINT)
    except TerminationSignal:
        return _stopped(SIGTERM)
    return 0


def _stopped(by: Signals) -> int:
    print("Stopped: run the same command to go on.", file=sys.stderr)
    return 128 + by
