"""``vc2doctor needs``."""

import sys
from pathlib import Path

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import Output, check_usable, write_report


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@shared.output("needs")
def needs(paths: tuple[Path, ...], output: Output) -> None:
    """Print the releases of transformers, peft, trl, accelerate and bitsandbytes that the programs below PATHS need.

    Every name that is imported and every argument that is passed exists in these releases. The code is not run and not
    imported. Exit codes: 0 every program has such releases; 1 a program has none; 2 wrong usage; 3 nothing is known.
    """
    from vc2doctor.commands.needs import NeedsRequest  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands.needs import needs as run_needs  # noqa: PLC0415

    check_usable(output)
    report = run_needs(NeedsRequest(paths=paths or (Path(),)))
    write_report("needs", report, output)
    sys.exit(report.exit_code)
