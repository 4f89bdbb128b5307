"""The command line: parse options, call one command, render its report, exit. There is no logic here."""

import io
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from vc2doctor import __version__
from vc2doctor.cli.check import check
from vc2doctor.cli.explain import explain, rule
from vc2doctor.cli.headroom import headroom
from vc2doctor.cli.lint import lint
from vc2doctor.cli.matrix import matrix
from vc2doctor.cli.measure import measure
from vc2doctor.cli.needs import needs
from vc2doctor.cli.output import print_text
from vc2doctor.cli.probe import probe
from vc2doctor.cli.schema import schema
from vc2doctor.core import streams
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.redaction import redact

_USAGE, _UNFINISHED = 2, 3
"""Exit codes, see ``checks/verdict.py``. They are repeated here because importing that module makes `--help` slow."""

_DEBUG = "--debug"


class _Group(click.Group):
    """A group that raises ``Abort`` for Ctrl-C by itself: click prints an empty line first."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run the command.

        Raises:
            Abort: the user interrupted it.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vc2doctor")
def cli() -> None:
    """Say whether this environment will fine-tune with a finite, falling loss; if not, why, and what fixes it."""


for command in (check, probe, headroom, measure, explain, schema, lint, needs, rule, matrix):
    cli.add_command(command)


def _add_debug(command: click.Command) -> None:
    """Add ``--debug`` to a command and to those below it. It is looked for before click parses the options."""
    command.params.append(
        click.Option([_DEBUG], is_flag=True, expose_value=False, help="Show the traceback of an error, too.")
    )
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _add_debug(each)


_add_debug(cli)


def main() -> None:
    """Run the command. Wrong input ends with one message and exit code 2, a bug of the doctor with exit code 3."""
    streams.prepare()
    # SIGTERM must end the probe, too, if a batch system cancels the job.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # Until here __main__.py ended the process at once. From here on there may be a child to end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
