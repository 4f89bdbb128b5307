"""``vc2doctor measure``."""

from pathlib import Path

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import echo


@click.command()
@click.option("--python", metavar="PATH", required=True, help="Interpreter, or folder of a venv, to measure.")
@click.option("--name", required=True, help="Name of the cell in the evidence.")
@shared.device
@shared.timeout(600.0)
@click.option("--append", "file", type=shared.OUTPUT, help="Evidence file to add the line to.")
def measure(python: str, name: str, device: str, timeout: float, file: Path | None) -> None:
    """Probe an environment and print the result as one line of evidence."""
    from vc2doctor.curate import evidence  # noqa: PLC0415 - `--help` needs none of it

    line = evidence.measure(python, name, device, timeout)
    echo(line.text)
    if file is not None and not evidence.append(file, line):
        echo(f"{file} already holds the same measurement", err=True)
