"""``vc2doctor headroom``."""

from pathlib import Path

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import echo
from vc2doctor.cli.program import started_by
from vc2doctor.core import shell


@click.command()
@click.argument("model", nargs=-1)
@shared.matrix
def headroom(model: tuple[str, ...], matrix: Path | None) -> None:
    """Say whether float16 holds a MODEL, from published values: `vc2doctor headroom gemma 3 27b`. Default: all models.

    Nothing is run or downloaded.
    """
    from vc2doctor.matrix import headroom as published  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.matrix import load  # noqa: PLC0415

    loaded_matrix = load.load(matrix or load.shipped())
    maxima = published.find(loaded_matrix, " ".join(model)) if model else published.known(loaded_matrix)
    if not maxima:
        command = shell.join([*started_by(), "probe", "--model", "PATH"])
        message = f"no published value is known for {' '.join(model)!r}. Measure it: {command}"
        raise click.UsageError(message)
    for maximum in maxima:
        echo(f"{published.describe(maximum)} {maximum.source}")
