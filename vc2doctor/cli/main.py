"""The command line: parse options, call one command, render its report, exit. There is no logic here."""

import importlib
import io
import signal
import sys
import traceback
from pathlib import Path

import click

from vc2doctor import __version__
from vc2doctor.cli.first_screen import FirstScreen
from vc2doctor.cli.output import echo, print_text
from vc2doctor.core import streams
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.redaction import redact

_USAGE, _UNFINISHED = 2, 3
"""Exit codes, see ``checks/verdict.py``. They are repeated here because importing that module makes `--help` slow."""

_DEBUG = "--debug"

_MODULES = {
    "check": "check",
    "gate": "gate",
    "probe": "probe",
    "headroom": "headroom",
    "init": "init",
    "measure": "measure",
    "explain": "explain",
    "schema": "schema",
    "lint": "lint",
    "needs": "needs",
    "rule": "explain",
    "matrix": "matrix",
}
"""The module of each verb. Only that of the verb in use is imported."""


class _Verbs(FirstScreen):
    """The group of all verbs. It imports a verb when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Return the names of all verbs."""
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb of this name; ``None``: there is none."""
        if cmd_name in _MODULES and cmd_name not in self.commands:
            module = importlib.import_module(f"vc2doctor.cli.{_MODULES[cmd_name]}")
            command: click.Command = getattr(module, cmd_name)
            _add_debug(command)
            self.add_command(command)
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    no_args_is_help=True,
)
@click.option("--version", "shows_version", is_flag=True, help="Show the version and exit.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="With --version: show the date of the matrix, the version of the worker, Python, and the installed extras.",
)
@click.pass_context
def cli(context: click.Context, *, shows_version: bool, verbose: bool) -> None:
    """Find out why a fine-tune will end in NaN, or not start, before it spends a week of GPUs.

    vc2doctor examines your PyTorch, transformers and peft, your training code and your weights. It says whether they
    will train with a finite, falling loss; if not, why, with evidence, and the exact change that fixes it.
    """
    if shows_version:
        for line in version_lines(verbose=verbose):
            echo(line)
        context.exit()
    if verbose:
        message = "--verbose before the verb belongs to --version. Write it after the verb: vc2doctor check --verbose"
        raise click.UsageError(message)


def version_lines(*, verbose: bool) -> list[str]:
    """Return the lines of ``--version``."""
    if not verbose:
        return [f"vc2doctor, version {__version__}"]
    from vc2doctor.commands import about  # noqa: PLC0415 - `--version` needs none of it

    return about.lines(about.about())


def _add_debug(command: click.Command) -> None:
    """Add ``--debug`` to a command and to those below it. It is looked for before click parses the options."""
    command.params.append(
        click.Option([_DEBUG], is_flag=True, expose_value=False, help="Show the traceback of an error, too.")
    )
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _add_debug(each)


_add_debug(cli)


_received: list[int] = []
"""The signals that asked the doctor to end."""


def _interrupt(number: int, _: object) -> None:
    """Remember the signal and raise ``KeyboardInterrupt``.

    Compiled code can turn the exception into one of its own: pydantic's does while it builds a validator.
    """
    _received.append(number)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command. Wrong input ends with one message and exit code 2, a bug of the doctor with exit code 3."""
    streams.prepare()
    # SIGTERM must end the probe, too, if a batch system cancels the job.
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # Until here __main__.py ended the process at once. From here on there may be a child to end.
        signal.signal(signal.SIGINT, _interrupt)
    code = _exit_code()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(_end(code))


def _end(code: int) -> int:
    """Write what is still in the buffers; return the exit code, which is 2 if the report could not be written."""
    failure = streams.failure(sys.stdout)
    if failure is not None:
        _print(f"standard output cannot be written: {failure}")
        code = _USAGE
    streams.failure(sys.stderr)
    return code


def _exit_code() -> int:
    """Run the command and return its exit code; an exception becomes one message."""
    try:
        return _as_code(cli(standalone_mode=False))
    except SystemExit as end:
        return _as_code(end.code)
    except (KeyboardInterrupt, click.Abort):
        _print("interrupted")
        return _UNFINISHED
    except Exception as error:  # noqa: BLE001 - Python's own exit code 1 would mean that the environment is not fit
        if _received:
            _print("interrupted")
            return _UNFINISHED
        if _DEBUG in sys.argv:
            print_text(traceback.format_exc(), err=True)
        return _report(error)


def _as_code(value: object) -> int:
    return value if isinstance(value, int) else 0


def _report(error: Exception) -> int:
    """Print an exception as one message, and return the exit code that it means."""
    if isinstance(error, click.ClickException):
        text = io.StringIO()
        error.show(file=text)
        _print_text(text.getvalue())
        return error.exit_code
    if isinstance(error, DoctorError):
        _print(str(error))
        return error.exit_code
    if isinstance(error, OSError):
        _print(_reason(error))
        return _USAGE
    if isinstance(error, MemoryError):
        _print("the doctor needs more memory than it may use. Raise the limit (`ulimit -v`), or free some memory.")
        return _UNFINISHED
    if isinstance(error, ImportError):
        _print(f"the doctor is not installed completely: {error}. Install vc2doctor again.")
        return _UNFINISHED
    place = traceback.extract_tb(error.__traceback__)[-1]
    _print(
        f"this is a bug of the doctor, not a fault of your environment: {type(error).__name__}: {error} (at"
        f" {Path(place.filename).name}:{place.lineno}). Run it again with {_DEBUG}, and report what it prints."
    )
    return _UNFINISHED


def _reason(error: OSError) -> str:
    """Return in words what the system refused: a folder or a device is missing, full, or not to be written."""
    try:
        Path.cwd()
    except OSError:
        return "the working directory does not exist any more. Change to another one."
    name = f"{error.filename}: " if error.filename is not None else ""
    return f"{name}{error.strerror or error}"


def _print(message: str) -> None:
    _print_text(f"vc2doctor: {message}\n")


def _print_text(text: str) -> None:
    # The context that knows the options is gone here.
    print_text(redact(text) if "--redact" in sys.argv else text, err=True)
