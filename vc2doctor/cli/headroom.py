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
    """Say what is known of a MODEL in float16: its largest values, and whether its family trains. Default: all models.

    Values of a forward pass do not show that training works: its backward pass can overflow where they do not. Nothing
    is run or downloaded.
    """
    from vc2doctor.matrix import headroom as published  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.matrix import load, model_families  # noqa: PLC0415

    loaded_matrix = load.load(matrix or load.shipped())
    maxima = published.find(loaded_matrix, " ".join(model)) if model else published.known(loaded_matrix)
    named = model_families.any_family_of("-".join(model))
    families = (named,) if named is not None else () if model else model_families.families()
    if not maxima and not families:
        command = shell.join([*started_by(), "probe", "--model", "PATH"])
        message = f"no published value is known for {' '.join(model)!r}. Measure it: {command}"
        raise click.UsageError(message)
    for maximum in maxima:
        echo(f"{published.describe(maximum)} {maximum.source}")
    for family in families:
        echo(f"{model_families.describe(family)} {family.source}")
