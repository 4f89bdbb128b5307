"""Options that several commands share, and what becomes of them before they are part of a request."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from vc2doctor.cli.output import REDACT
from vc2doctor.report import formats
from vc2doctor.target.doors import DOORS, LOOP
from vc2doctor.target.shared.recipes import ALIASES, RECIPES, recipe_named

if TYPE_CHECKING:
    from vc2doctor.commands.settings import SettingsSource

PATH = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
SEVERITIES = ("note", "warning", "error")

_CUDA = re.compile(r"cuda:[0-9]{1,3}")
Command = TypeVar("Command", bound=Callable[..., None])


def _device_name(value: str) -> str:
    """Return the device as torch names it: ``cuda:0`` for ``cuda``.

    Raises:
        BadParameter: torch has no such device.
    """
    name = "cuda:0" if value == "cuda" else value
    if name in ("auto", "cpu") or _CUDA.fullmatch(name):
        return name
    message = f"{value!r} is not one of auto, cpu, cuda:0, cuda:1, …"
    raise click.BadParameter(message)


def split_names(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in an option that may be repeated, and that may hold several names with commas between."""
    return tuple(name.strip() for text in value for name in text.split(",") if name.strip())


def _recipe_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return None if value is None else recipe_named(value)


matrix = click.option(
    "--matrix", type=click.Path(path_type=Path), help="Folder of another known-good matrix; default: the shipped one."
)
recipe = click.option(
    "--precision",
    type=click.Choice([*RECIPES, *ALIASES]),
    callback=_recipe_name,
    default="bf16",
    show_default=True,
    help="Precision recipe to train in.",
)
fail_on = click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="error",
    show_default=True,
    help="Lowest severity that ends with exit code 1.",
)
device = click.option(
    "--device",
    type=_device_name,
    metavar="auto|cpu|cuda:N",
    default="auto",
    show_default=True,
    help="Device that the probe trains on.",
)

doors = click.option(
    "--door",
    "doors",
    type=click.Choice([LOOP, *DOORS]),
    multiple=True,
    callback=lambda _, __, value: value or None,
    help="Way into the stack that you train through, such as trainer or dpo; may be repeated. It decides the"
    " verdict, beside the plain loop. Default: those of the code, else transformers.Trainer.",
)
verbose = click.option(
    "-v", "--verbose", is_flag=True, help="Show all recipes, findings, evidence and links in the text report."
)


def _note_redaction(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own call
    if value:
        context.find_root().meta[REDACT] = True


redact = click.option(
    "--redact",
    is_flag=True,
    expose_value=False,
    callback=_note_redaction,
    help="Replace home folders, user names, host names, tokens and passwords, so that the report can be pasted in"
    " public.",
)


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Return a number of seconds.

    Raises:
        BadParameter: it is no number, or has no end.
    """
    if value is not None and not math.isfinite(value):
        message = f"{value} is not a number of seconds."
        raise click.BadParameter(message)
    return value


def timeout(default: float | None) -> Callable[[Command], Command]:
    """Return the option for the time limit of each phase, in seconds; ``None``: every phase has its own default."""
    phases = " Default: 60 for reading what is installed, 300 for the probe, 1800 for building with --verify-remedy."
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        callback=_finite,
        default=default,
        show_default=default is not None,
        metavar="S",
        help=f"Time limit of each phase, in seconds.{phases if default is None else ''}",
    )


def output(kind: "formats.ReportKind") -> Callable[[Command], Command]:
    """Return the options for the format of a report of ``kind`` and for the file that it is written to."""

    def add_options(command: Command) -> Command:
        choice = click.Choice(formats.names(kind))
        command = redact(command)
        command = click.option("--output", type=OUTPUT, help="File to write the report to; default: standard output.")(
            command
        )
        return click.option("--format", "form", type=choice, default="text", show_default=True)(command)

    return add_options


def examination(command: Command) -> Command:
    """Add the options that ``check`` and ``probe`` share."""
    options = (
        click.option(
            "--python",
            metavar="PATH",
            help="Interpreter, or folder of a venv, to examine; default: the active virtual or conda"
            " environment, else the doctor's own.",
        ),
        click.option(
            "--profile",
            metavar="NAME",
            help="Project whose settings are used; default: what the code or"
            " the checkpoint is, else a plain language model.",
        ),
        click.option(
            "--precision",
            type=click.Choice([*RECIPES, *ALIASES]),
            callback=_recipe_name,
            help="Precision recipe that you want to train in. It decides the verdict; the other recipes are for"
            " information. Default: the recipe of the code, else of the profile.",
        ),
        doors,
        device,
        timeout(None),
        click.option(
            "--require",
            "require_gpu",
            type=click.Choice(["gpu"]),
            callback=lambda _, __, value: value == "gpu",
            help="Make a missing GPU an error.",
        ),
        fail_on,
        matrix,
        output("check"),
        verbose,
        settings,
    )
    # click shows the option that was added last first.
    for option in reversed(options):
        command = option(command)
    return command


def settings(command: Command) -> Command:
    """Add the options that choose the settings file."""
    for option in (
        click.option("--isolated", is_flag=True, help="Read no settings file."),
        click.option("--trust-settings", "trust", is_flag=True, help="Apply every key of the nearest pyproject.toml."),
        click.option(
            "--config",
            type=FILE,
            metavar="FILE",
            help="TOML file with [tool.vc2doctor]; every key of it is applied. Default: the nearest pyproject.toml,"
            " without the keys that choose what is run, written, or used as the matrix.",
        ),
    ):
        command = option(command)
    return command


def pop_settings_source(options: dict[str, Any]) -> "SettingsSource":
    """Remove the options of ``settings`` from ``options`` and return them.

    Raises:
        UsageError: they exclude each other.
    """
    from vc2doctor.commands.settings import SettingsSource  # noqa: PLC0415 - `--help` needs none of it

    source = SettingsSource(config=options.pop("config"), trust=options.pop("trust"), isolated=options.pop("isolated"))
    if source.isolated and source.is_trusted:
        message = "--isolated reads no settings file. Leave out --config and --trust-settings, or leave out --isolated."
        raise click.UsageError(message)
    return source


def names_on_command_line() -> frozenset[str]:
    """Return the names of the options that the user passed to the running command."""
    context = click.get_current_context()
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    )
