"""``vc2doctor headroom``."""

from pathlib import Path

import click

from vc2doctor.cli import options as shared


@click.command()
@click.argument("model", nargs=-1)
@shared.matrix
def headroom(model: tuple[str, ...], matrix: Path | None) -> None:
    """Say from what is known whether float16 holds a MODEL: `vc2doctor headroom gemma 3 27b`; default: all of them."""
    from vc2doctor.matrix import headroom as known_ranges  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.matrix import load  # noqa: PLC0415

    known = load.load(matrix or load.shipped())
    found = known_ranges.find(known, " ".join(model)) if model else known_ranges.known(known)
    if not found:
        message = f"nothing is known of {' '.join(model)!r}; measure it: vc2doctor probe --model PATH"
        raise click.UsageError(message)
    for maximum in found:
        click.echo(f"{known_ranges.describe(maximum)} {maximum.source}")
