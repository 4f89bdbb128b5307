"""Options that several verbs share, and how the options of a verb and the settings become a request."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from vc2doctor.report import formats
from vc2doctor.target.shared.recipes import ALIASES, RECIPES, recipe_named

if TYPE_CHECKING:
    from vc2doctor.commands.settings import SettingsSource

PATH = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
SEVERITIES = ("note", "warning", "error")

Command = TypeVar("Command", bound=Callable[..., None])


def device(value: str) -> str:
    """Return the device that an option names.

    Raises:
        BadParameter: it is none that torch knows.
    """
    text = "cuda:0" if value == "cuda" else value
    if text in ("auto", "cpu") or (text.startswith("cuda:") and text[5:].isdecimal()):
        return text
    message = f"{value!r} is not one of auto, cpu, cuda:0, cuda:1, …"
    raise click.BadParameter(message)


def names(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of an option that may be repeated and may hold several, parted by commas."""
    return tuple(part.strip() for each in value for part in each.split(",") if part.strip())


def _precision(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return None if value is None else recipe_named(value)


matrix = click.option("--matrix", type=click.Path(path_type=Path), help="Folder of another known-good matrix.")
recipe = click.option(
    "--precision",
    type=click.Choice([*RECIPES, *ALIASES]),
    callback=_precision,
    default="bf16",
    show_default=True,
    help="Recipe to train in.",
)


def timeout(default: float) -> Callable[[Command], Command]:
    """Return the option for the seconds that a probe may take."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="S",
        help="Seconds that the probe may take.",
    )


where = click.option(
    "--device",
    type=device,
    metavar="auto|cpu|cuda:N",
    default="auto",
    show_default=True,
    help="Where the probe trains.",
)


def output(kind: "formats.ReportKind") -> Callable[[Command], Command]:
    """Return the options that say how a report of ``kind`` is written, and where."""

    def add(command: Command) -> Command:
        choice = click.Choice(formats.names(kind))
        command = click.option("--output", type=OUTPUT, help="File to write the report to.")(command)
        return click.option("--format", "form", type=choice, default="text", show_default=True)(command)

    return add


def examination(command: Command) -> Command:
    """Add the options that every examination has."""
    options = (
        click.option(
            "--python", metavar="PATH", help="Interpreter (or venv folder) to examine; default: the doctor's."
        ),
        click.option("--profile", metavar="NAME", help="Project whose settings decide; default: videochat2-mistral."),
        click.option(
            "--precision",
            type=click.Choice([*RECIPES, *ALIASES]),
            callback=_precision,
            help="Recipe you mean to train in; it decides, the rest is information. Default: the profile's.",
        ),
        where,
        timeout(300.0),
        click.option(
            "--require",
            "require_gpu",
            type=click.Choice(["gpu"]),
            callback=lambda _, __, value: value == "gpu",
            help="Make the lack of it an error, for gates.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice(SEVERITIES),
            default="error",
            show_default=True,
            help="Lowest severity that ends 1.",
        ),
        matrix,
        output("check"),
        settings,
    )
    for option in reversed(options):
        command = option(command)
    return command


def settings(command: Command) -> Command:
    """Add the options that choose the file of settings."""
    for option in (
        click.option("--isolated", is_flag=True, help="Read no settings file."),
        click.option(
            "--trust-settings", "trust", is_flag=True, help="Let every key of the nearest pyproject.toml count."
        ),
        click.option(
            "--config",
            type=FILE,
            metavar="FILE",
            help="TOML file with [tool.vc2doctor], of which every key counts. Default: the nearest pyproject.toml; "
            "its keys that choose what is run, written or believed do not count.",
        ),
    ):
        command = option(command)
    return command


def take_source(options: dict[str, Any]) -> "SettingsSource":
    """Take the options of ``settings`` out of ``options``.

    Raises:
        UsageError: they exclude each other.
    """
    from vc2doctor.commands.settings import SettingsSource  # noqa: PLC0415 - `--help` needs none of it

    source = SettingsSource(config=options.pop("config"), trust=options.pop("trust"), isolated=options.pop("isolated"))
    if source.isolated and source.is_trusted:
        message = "--isolated reads no settings file; leave out --config and --trust-settings"
        raise click.UsageError(message)
    return source


def given() -> frozenset[str]:
    """Return the names of the running verb's options that stand on the command line."""
    context = click.get_current_context()
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    )
