"""The command lines: options from the flows' own parameters, one sentence for a failure."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from signal import SIGINT, Signals
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from prefect import Flow
from prefect.exceptions import TerminationSignal
from prefect.settings import (
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from prefect.utilities.callables import parameter_docstrings
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from flows.logs import quiet_the_console
from flows.server import check_server, explain, own_server
from flows.stopping import ending_in_time, say_stopped
from flows.unforeseen import report
from landcover.errors import LandcoverError
from tasks.access.process import configure
from tasks.access.settings import EVERY_RUN, read_settings

EPILOG = (
    "Settings come from the environment and from .env in the working folder; docs/settings.md "
    "lists them. Options may be written with - or with _."
)

# Without an API the run starts a server of its own, which takes 25 s and more on a cold machine. A
# server that does not answer is asked again for two minutes, in doubling pauses.
OF_SERVER = {
    PREFECT_CLIENT_MAX_RETRIES: 6,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120,
    PREFECT_SERVER_ANALYTICS_ENABLED: False,
}

AnyFlow = Flow[..., Any]


def command(flow: AnyFlow, needs: Sequence[type[BaseSettings]] = ()) -> Callable[..., int]:
    """Return the `main` of a flow: what runs its command line and returns the exit status.

    Args:
        flow: what to run; see `parser_of` for what its signature and docstring become.
        needs: the groups of settings that it reads beside those that every run reads; all are
            checked before Prefect starts.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        arguments = read_arguments(flow, argv)
        return run_command(lambda: flow(**arguments), [*EVERY_RUN, *needs])

    return main


def parser_of(flow: AnyFlow) -> argparse.ArgumentParser:
    """Return the parser of a flow's command line.

    A parameter becomes an option, described by its entry under `Args:` in the flow's docstring. A
    parameter that is a pydantic model becomes a group of options, one for each of its fields; what
    an earlier model has too is one option for both.
    """
    description, texts = _read_docstring(flow)
    parser = argparse.ArgumentParser(description=description, epilog=EPILOG)
    added: dict[str, argparse.Action] = {}
    for parameter, model in _models(flow).items():
        alone = issubclass(model, _Alone)
        group = None if alone else parser.add_argument_group(texts[parameter].rstrip("."))
        for name, field in _fields(model).items():
            if name in added:
                added[name].help = f"{_escaped(field.description)} {added[name].help}"
            else:
                added[name] = (group or parser).add_argument(f"--{name}", **_option(field))
    return parser


def read_arguments(flow: AnyFlow, argv: Sequence[str] | None) -> dict[str, object]:
    """Return a flow's arguments from its command line.

    Raises:
        SystemExit: with status 2 and a sentence on stderr, if an option is unknown, missing or
            out of bounds; with status 0 after --help.
    """
    parser = parser_of(flow)
    options = vars(parse(parser, argv))
    arguments: dict[str, object] = {}
    for parameter, model in _models(flow).items():
        fields = _fields(model)
        given = {name: _value(options[name], fields[name]) for name in fields if name in options}
        try:
            made = model(**given)
        except ValidationError as error:
            parser.error(_describe(error.errors()[0]))
        arguments[parameter] = getattr(made, parameter) if isinstance(made, _Alone) else made
    return arguments


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; within an option's name, - and _ are the same."""
    return parser.parse_args(
        [_underscored(word) for word in (sys.argv[1:] if argv is None else argv)]
    )


class _Alone(BaseModel):
    """A parameter that is an option by itself: the only field, of the same name."""


def _models(flow: AnyFlow) -> dict[str, type[BaseModel]]:
    """Return the model that each parameter is, or is the only field of."""
    kinds = get_type_hints(flow.fn, include_extras=True)
    _, texts = _read_docstring(flow)
    models: dict[str, type[BaseModel]] = {}
    for name, parameter in inspect.signature(flow.fn).parameters.items():
        kind = kinds[name]
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            default = ... if parameter.default is parameter.empty else parameter.default
            field: Any = (kind, Field(default, description=texts[name]))
            kind = create_model(name, __base__=_Alone, **{name: field})
        models[name] = kind
    return models


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the names of their options; `from` is no name in Python."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _read_docstring(flow: AnyFlow) -> tuple[str, dict[str, str]]:
    """Return what a flow does, and what each of its parameters is."""
    text = inspect.getdoc(flow.fn) or ""
    return text.partition("\n\nArgs:")[0], parameter_docstrings(text)


def _option(field: FieldInfo) -> dict[str, Any]:
    """Return how argparse is told of a field."""
    required = field.is_required()
    default = "none" if field.default in (None, ()) else field.default
    text = f"{field.description}" if required else f"{field.description} Default: {default}."
    option = {"help": _escaped(text), "required": required, "default": argparse.SUPPRESS}
    kinds = [field.annotation, *get_args(field.annotation)]
    if field.annotation is bool and default is False:
        return option | {"action": "store_true"}
    if bool in get_args(field.annotation):
        return option | {"nargs": "?", "const": True, "metavar": "NAMES"}
    if words := [word for kind in kinds for word in get_args(kind) if isinstance(word, str)]:
        return option | {"choices": [*words, *(["none"] if NoneType in kinds else [])]}
    if get_origin(field.annotation) is tuple:
        # Several may follow the option, and it may be given again.
        return option | {"nargs": "+" if required else "*", "action": "extend"}
    if not required and (int in kinds or float in kinds):
        return option | {"metavar": "N"}
    return option


def _escaped(text: str | None) -> str:
    """Keep argparse from filling in what looks like a place for it."""
    return str(text).replace("%", "%%")


def _underscored(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _value(text: object, field: FieldInfo) -> object:
    """Read "none" where a field may be left empty."""
    return None if text == "none" and NoneType in get_args(field.annotation) else text


def _describe(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message  # raised by the model, about options that do not go together
    return f"argument --{error['loc'][0]}: {error['input']}: {message}"


def run_command(job: Callable[[], object], needs: Sequence[type[BaseSettings]]) -> int:
    """Run a flow for a person at a terminal, print its result, and return the exit status.

    Args:
        job: runs the flow.
        needs: the groups of settings that it will read; they are checked before Prefect starts.

    Returns:
        0 done, 1 the run failed, 2 the command or the settings are wrong; 128 and the signal's
        number where one ended it.
    """
    configure()
    quiet_the_console()
    # Opt out of Prefect's telemetry.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        with ending_in_time(), temporary_settings({**OF_SERVER, **own_server()}):
            for group in needs:
                read_settings(group)
            check_server()
            print(job())
    except LandcoverError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return say_stopped(SIGINT)
    except TerminationSignal as error:
        return say_stopped(Signals(error.signal))
    # The only place that catches all: whatever nobody foresaw ends here, in one sentence and a
    # report that those who look after the package can read.
    except Exception as error:  # noqa: BLE001
        return _failed(explain(error) or LandcoverError(report(error)))
    return 0


def _failed(error: LandcoverError) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return error.exit_status
