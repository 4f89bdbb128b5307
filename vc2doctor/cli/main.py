"""The command line: parse options, call one command, render its report, exit. There is no logic here."""

import signal
import sys
import traceback

import click

from vc2doctor import __version__
from vc2doctor.cli.check import check
from vc2doctor.cli.explain import explain, rule
from vc2doctor.cli.headroom import headroom
from vc2doctor.cli.lint import lint
from vc2doctor.cli.matrix import matrix
from vc2doctor.cli.measure import measure
from vc2doctor.cli.needs import needs
from vc2doctor.cli.probe import probe
from vc2doctor.cli.schema import schema
from vc2doctor.core.errors import DoctorError

_UNFINISHED = 3
"""An exit code of ``checks/verdict.py``, repeated here because importing that module makes `--help` slow."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vc2doctor")
def cli() -> None:
    """Say whether this environment will fine-tune with a finite, falling loss; if not, why, and what fixes it."""


for command in (check, probe, headroom, measure, explain, schema, lint, needs, rule, matrix):
    cli.add_command(command)


def main() -> None:
    """Run the command. Wrong input ends with one message and exit code 2, a bug of the doctor with exit code 3."""
    # SIGTERM must end the probe, too, if a batch system cancels the job.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(cli(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DoctorError as error:
        click.echo(f"vc2doctor: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("vc2doctor: interrupted", err=True)
        sys.exit(_UNFINISHED)
    except Exception:  # noqa: BLE001 - Python's own exit code 1 would mean that the environment is not fit
        traceback.print_exc()
        click.echo(
            "vc2doctor: this is a bug of the doctor, not a fault of your environment. Please report it.", err=True
        )
        sys.exit(_UNFINISHED)
