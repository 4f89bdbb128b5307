"""The command line: parse, call one function, render, exit code. No logic."""

import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vc2doctor import __version__, settings
from vc2doctor.cli_lint import lint, rule, settings_options, settings_source
from vc2doctor.cli_matrix import matrix
from vc2doctor.errors import DoctorError
from vc2doctor.output import write
from vc2doctor.probe.worker.recipes import ALIASES, RECIPES

_UNFINISHED = 3
_PATH = click.Path(exists=True, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _device(value: str) -> str:
    text = "cuda:0" if value == "cuda" else value
    if text in ("auto", "cpu") or (text.startswith("cuda:") and text[5:].isdecimal()):
        return text
    message = f"{value!r} is not one of auto, cpu, cuda:0, cuda:1, …"
    raise click.BadParameter(message)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vc2doctor")
def cli() -> None:
    """Say whether this environment will fine-tune with a finite, falling loss; if not, why, and what mends it."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every examination has."""
    told = (
        click.option(
            "--python", metavar="PATH", help="Interpreter (or venv folder) to examine; default: the doctor's."
        ),
        click.option("--profile", metavar="NAME", help="Project whose settings decide; default: videochat2-mistral."),
        click.option(
            "--precision",
            type=click.Choice([*RECIPES, *ALIASES]),
            help="Recipe you mean to train in; it decides, the rest is information. Default: the profile's.",
        ),
        click.option(
            "--device",
            type=_device,
            metavar="auto|cpu|cuda:N",
            default="auto",
            show_default=True,
            help="Where the probe trains.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=300.0,
            show_default=True,
            metavar="S",
            help="Seconds that the probe may take.",
        ),
        click.option("--require", type=click.Choice(["gpu"]), help="Make the lack of it an error, for gates."),
        click.option(
            "--fail-on",
            type=click.Choice(["note", "warning", "error"]),
            default="error",
            show_default=True,
            help="Lowest severity that ends 1.",
        ),
        click.option("--matrix", type=click.Path(path_type=Path), help="Folder of another known-good matrix."),
        click.option("--format", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write the report to."),
    )
    for option in reversed(told):
        command = option(command)
    return settings_options(command)


@cli.command()
@click.option("--probe/--no-probe", default=True, help="Train a few steps, or judge by versions alone.")
@click.option("--code", type=_PATH, help="Training code to read as well: its precision decides, its faults count.")
@_options
def check(**options: Any) -> None:  # noqa: ANN401 - click passes one keyword an option
    """Examine an environment, train a few real steps in it, and say whether it is fit.

    Exit codes: 0 fit; 1 findings at or above --fail-on; 2 wrong usage; 3 the examination could not be finished, or
    nothing shows that it trains.
    """
    _examine(_with_settings(options))


@cli.command()
@click.option("--entry", metavar="MODULE:FUNCTION", help="Your own function that gives (model, batch[, optimizer]).")
@click.option("--model", "checkpoint", type=_PATH, help="A checkpoint: folder with safetensors, or .gguf file.")
@click.option("--text", "texts", metavar="TEXT", multiple=True, help="What the checkpoint reads; may be repeated.")
@click.option("--data", type=_FILE, help="File of texts: JSON Lines with a key `text`, or one text a line.")
@click.option("--train", is_flag=True, help="Run the recipes on the checkpoint, too; default: measure its range.")
@click.option("--stress", is_flag=True, help="Plant outliers of documented size into the miniature: a margin table.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the miniature's weights and batches.")
@click.option("--attention", type=click.Choice(["eager", "sdpa"]), help="Default: what transformers chooses.")
@click.option(
    "--recipes",
    metavar="NAME,…",
    default=",".join(RECIPES),
    help="Which to run beside the control and the one that decides; default: all.",
)
@_options
def probe(recipes: str, data: Path | None, **options: Any) -> None:  # noqa: ANN401
    """Train under each precision, and say what goes wrong, where and why.

    What is trained is the profile's model in miniature; with --entry, what your own function gives; with --model, real
    weights, whose range is measured first. The function is imported in the target interpreter with the current
    directory on its path, and called once a recipe. It may take the recipe's base dtype; if it takes nothing, frozen
    parameters are cast to it. The batch is a dict (passed by keyword), a tensor, or a list of such; the model returns a
    loss, or something with a loss.
    """
    from vc2doctor import asked  # noqa: PLC0415 - only this verb needs it

    try:
        request = asked.probe(recipes, data, _with_settings(options))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _examine(request)


@cli.command()
@click.argument("model", nargs=-1)
@click.option("--matrix", type=click.Path(path_type=Path), help="Folder of another known-good matrix.")
def headroom(model: tuple[str, ...], matrix: Path | None) -> None:
    """Say from what is known whether float16 holds a MODEL: `vc2doctor headroom gemma 3 27b`; default: all of them."""
    from vc2doctor.matrix import load, maxima  # noqa: PLC0415

    known = load.load(matrix or load.shipped())
    found = maxima.find(known, " ".join(model)) if model else maxima.known(known)
    if not found:
        message = f"nothing is known of {' '.join(model)!r}; measure it: vc2doctor probe --model PATH"
        raise click.UsageError(message)
    for maximum in found:
        click.echo(f"{maxima.told(maximum)} {maximum.source}")


def _with_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the running command, completed by the settings that count."""
    source = settings_source(options)
    loaded = settings.load(Path.cwd(), source)
    context = click.get_current_context()
    for name, value in loaded.options.items():
        parameter = next((each for each in context.command.params if each.name == name), None)
        if parameter is not None and context.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = parameter.type_cast_value(context, value)
    return {**options, "source": source, "settings": loaded.applied}


def _examine(options: dict[str, Any]) -> None:
    from vc2doctor.examine import Request, examine  # noqa: PLC0415 - `--help` needs none of it

    form, output = options.pop("format"), options.pop("output")
    precision = options.pop("precision")
    request = Request(
        precision=ALIASES.get(precision, precision),
        require_gpu=options.pop("require") == "gpu",
        **options,
    )
    with _progress() as on_progress:
        report = examine(request, Path.cwd(), on_progress)
    _tell(report, form, output)
    sys.exit(report.exit_code)


@cli.command()
@click.option("--python", metavar="PATH", required=True, help="Interpreter (or venv folder) to measure.")
@click.option("--name", required=True, help="Of the cell, as the evidence tells it.")
@click.option("--device", type=_device, metavar="auto|cpu|cuda:N", default="auto", show_default=True)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=600.0, show_default=True, metavar="S")
@click.option("--append", "file", type=click.Path(dir_okay=False, path_type=Path), help="Evidence file to add it to.")
def measure(python: str, name: str, device: str, timeout: float, file: Path | None) -> None:
    """Probe an environment and print what came out as one line of evidence."""
    from vc2doctor import evidence  # noqa: PLC0415

    line = evidence.measure(python, name, device, timeout)
    click.echo(line.text)
    if file is not None and not evidence.append(file, line):
        click.echo(f"{file} holds the same measurement already", err=True)


@cli.command()
@click.argument("check_id", metavar="ID")
def explain(check_id: str) -> None:
    """Print the page of a check, a rule or a cause: `vc2doctor explain VC005`, `explain forward-overflow`."""
    from vc2doctor import checks  # noqa: PLC0415
    from vc2doctor.lint import rules  # noqa: PLC0415
    from vc2doctor.probe import causes  # noqa: PLC0415

    pages = {**checks.pages(), **rules.pages(), **causes.pages()}
    page = pages.get(check_id.upper()) or pages.get(check_id.lower())
    if page is None:
        message = f"there is no check or cause {check_id!r}; there are {', '.join(pages)}"
        raise click.BadParameter(message)
    click.echo(page)


@cli.command()
@click.argument("kind", type=click.Choice(["profile", "known_issue", "evidence", "report", "lint"]))
def schema(kind: str) -> None:
    """Print the JSON Schema of a file of the matrix, or of the JSON report."""
    import json  # noqa: PLC0415

    from vc2doctor.matrix.schema import schema as schema_of  # noqa: PLC0415

    click.echo(json.dumps(schema_of(kind), indent=2, ensure_ascii=False))


cli.add_command(lint)
cli.add_command(rule)
cli.add_command(matrix)


def main() -> None:
    """Run the command; bad input ends 2 with one message, a fault of the doctor's own ends 3."""
    # A job that is cancelled takes its probe with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(cli(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DoctorError as error:
        click.echo(f"vc2doctor: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("vc2doctor: interrupted", err=True)
        sys.exit(_UNFINISHED)
    except Exception:  # noqa: BLE001 - exit code 1 would accuse the environment
        traceback.print_exc()
        click.echo("vc2doctor: this is a fault of the doctor, not of your environment; please report it", err=True)
        sys.exit(_UNFINISHED)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True).status(Text("starting")) as status:
        # What a target reports is never markup.
        yield lambda message: status.update(Text(message))


def _tell(report: Any, format: str, output: Path | None) -> None:  # noqa: A002, ANN401 - imported lazily
    from vc2doctor.report import json, text  # noqa: PLC0415

    if format == "json":
        rendered = json.render(report)
    elif output is None:
        from rich.console import Console  # noqa: PLC0415

        text.show(report, Console())
        return
    else:
        rendered = "".join(f"{line.text.plain}\n" for line in text.render(report))
    write(rendered, output)
