"""Options that several commands share, and what becomes of them before they are part of a request."""

import functools
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from vc2doctor.cli.output import REDACT, Output, OutputFile, output_file
from vc2doctor.core import limits
from vc2doctor.report import formats
from vc2doctor.target.doors import DOORS, LOOP
from vc2doctor.target.shared.recipes import ALIASES, RECIPES, recipe_named

if TYPE_CHECKING:
    from vc2doctor.commands.settings import SettingsSource

PATH = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
SEVERITIES = ("note", "warning", "error")

_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
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


class _RecipeChoice(click.Choice[str]):
    """The name of a recipe. A mistake is answered with the nearest names, and not only with all of them."""

    def __init__(self) -> None:
        super().__init__([*RECIPES, *ALIASES])

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:  # noqa: ARG002 - as click has it
        """Return that there is no such recipe, and which ones are near."""
        from vc2doctor.commands.recipe_names import unknown  # noqa: PLC0415 - only a mistake needs it

        return unknown(str(value))


def _recipe_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return None if value is None else recipe_named(value)


matrix = click.option(
    "--matrix",
    type=click.Path(path_type=Path),
    help="Folder or bundle of another known-good matrix; default: the shipped one.",
)
matrix_folder = click.option(
    "--matrix",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of another known-good matrix; default: the shipped one.",
)
recipe = click.option(
    "--precision",
    type=_RecipeChoice(),
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


_job_summary = click.option(
    "--job-summary",
    is_flag=True,
    help="Add the report as Markdown to the summary of this GitHub Actions job (GITHUB_STEP_SUMMARY).",
)


_baseline = click.option(
    "--baseline",
    type=OUTPUT,
    metavar="FILE",
    help="File with findings that were there before: they do not count. Default: none.",
)
update_baseline = click.option(
    "--update-baseline", is_flag=True, help="Write the findings of this run to the file of --baseline."
)
_accept = click.option(
    "--accept",
    type=click.Choice(["versions", "inferred"]),
    help="With --no-probe: call an environment fit if its versions were measured to train elsewhere, or also if that is"
    " inferred from measured ones. Default: unproven.",
)


def baseline(command: Command) -> Command:
    """Add the options about findings that were there before."""
    return _baseline(update_baseline(command))


def acceptance(command: Command) -> Command:
    """Add the options with which a gate lets more pass: findings that were there before, and versions alone."""
    return _accept(_baseline(command))


fresh = click.option(
    "--fresh",
    is_flag=True,
    help="Examine again, although the answer of an earlier run is kept and nothing that it depends on has changed.",
)


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Return a number of an option.

    Raises:
        BadParameter: it is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        message = f"{value} is not a finite number."
        raise click.BadParameter(message)
    return value


def timeout(default: float | None) -> Callable[[Command], Command]:
    """Return the option for the time limit of each phase, in seconds; ``None``: every phase has its own default."""
    phases = (
        f" Default: {limits.DESCRIPTION_SECONDS:.0f} for reading what is installed, {limits.PROBE_SECONDS:.0f} for the"
        f" probe, {limits.BUILD_SECONDS:.0f} for building with --verify-remedy; a probe that has more to do gets more."
    )
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
    """Return the options for the format of a report of ``kind`` and for the files that it is written to.

    The command gets them as one ``Output``.
    """

    def add_options(command: Command) -> Command:
        @functools.wraps(command)
        def with_output(
            *,
            form: str,
            files: tuple[OutputFile, ...],
            job_summary: bool = False,
            **others: Any,  # noqa: ANN401
        ) -> None:
            summary = _summary_file() if job_summary else None
            command(output=Output(format=form, files=files, job_summary=summary), **others)

        wrapped = cast("Command", with_output)
        for option in reversed(_output_options(kind)):
            wrapped = option(wrapped)
        return wrapped

    return add_options


def _output_options(kind: "formats.ReportKind") -> list[Callable[[Command], Command]]:
    names = formats.names(kind)
    options = [
        click.option(
            "--format",
            "form",
            type=click.Choice(names),
            default="text",
            show_default=True,
            help="Format of the report on standard output.",
        ),
        click.option(
            "--output",
            "files",
            metavar="[FORMAT:]FILE",
            multiple=True,
            callback=lambda _, __, values: tuple(output_file(kind, value) for value in values),
            help="File to write the report to as well; may be repeated. The suffix says the format, as in report.json,"
            " or a word before a colon, as in sarif:report.json.",
        ),
        redact,
    ]
    return [*options, _job_summary] if "markdown" in names else options


def _summary_file() -> Path:
    """Return the file of the summary of a job.

    Raises:
        UsageError: this is no job of GitHub Actions.
    """
    name = os.environ.get(_SUMMARY_VARIABLE)
    if not name:
        message = (
            f"--job-summary: {_SUMMARY_VARIABLE} names no file; only GitHub Actions sets it. Elsewhere, use"
            " --output markdown:FILE."
        )
        raise click.UsageError(message)
    return Path(name)


probe = click.option("--probe/--no-probe", default=True, help="Train a few steps, or judge by versions only.")
code = click.option(
    "--code",
    type=PATH,
    help="Training code to lint as well. Its faults become findings. Without --precision, its precision is checked.",
)


_ACTIVE = "the active virtual or conda environment, else the doctor's own"
_profile = click.option(
    "--profile",
    metavar="NAME",
    help="Project whose settings are used; default: what the code or the checkpoint is, else a plain language model.",
)
_deciding_precision = click.option(
    "--precision",
    type=_RecipeChoice(),
    callback=_recipe_name,
    help="Precision recipe that you want to train in. It decides the verdict; the other recipes are for information."
    " Default: the recipe of the code, else of the profile.",
)
_learning_rate = click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    callback=_finite,
    metavar="RATE",
    help="Learning rate of the real training: it decides whether weights in half precision move. Default: that of the"
    " code, else of the profile.",
)
_require = click.option(
    "--require",
    "require_gpu",
    type=click.Choice(["gpu"]),
    callback=lambda _, __, value: value == "gpu",
    help="Make a missing GPU an error.",
)


def examination(
    command: Command, *, time_limit: Callable[[Command], Command] | None = None, default_python: str = _ACTIVE
) -> Command:
    """Add the options that ``check``, ``probe`` and ``gate`` share.

    ``time_limit`` replaces the option for the limit of each phase. ``default_python`` says in words what is examined if
    the user names nothing.
    """
    python = click.option(
        "--python",
        metavar="PATH",
        help=f"Interpreter, or folder of a venv, to examine; default: {default_python}.",
    )
    limits = (doors, device, time_limit or timeout(None), _require, fail_on, matrix)
    # click shows the option that was added last first.
    plan = (_profile, _deciding_precision, _learning_rate)
    for option in reversed((python, *plan, *limits, output("check"), verbose, settings)):
        command = option(command)
    return command


def total_time(command: Command) -> Command:
    """Add the option for the time limit of everything that the doctor does."""
    return click.option(
        "--timeout",
        "time_limit",
        type=click.FloatRange(min=0, min_open=True),
        callback=_finite,
        metavar="S",
        help="Time limit for all that the doctor does, in seconds; when it passes, the command is refused."
        " Default: none besides those of the phases.",
    )(command)


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
