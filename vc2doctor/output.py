"""Where a rendered report goes: to the terminal, or whole into a file."""

from pathlib import Path

import click

from vc2doctor import files


def write(text: str, output: Path | None) -> None:
    """Print ``text``, or write it to what the user named with ``--output``.

    Raises:
        OutputError: the file cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
    else:
        files.write_output(output, text)
