"""``python -m vc2doctor.curate.wheels``: the command behind ``nox -s wheels``."""

import re
import tempfile
from pathlib import Path

import click

from vc2doctor.core import writing
from vc2doctor.curate.wheels import api
from vc2doctor.curate.wheels.table import read_all
from vc2doctor.matrix.releases import Wheels


@click.command()
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write.")
@click.option(
    "--names-into", type=click.Path(dir_okay=False, path_type=Path), help="File to write the table of names to."
)
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps the wheels.")
def main(into: Path, names_into: Path | None, cache: Path | None) -> None:
    """Download the released wheels (about 3 GB), and write what they import and provide to --into."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = cache or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wheels = read_all(folder, lambda message: click.echo(message, err=True))
        writing.write_output(into, text_of(wheels))
        if names_into is not None:
            names = api.read_api(folder, lambda message: click.echo(message, err=True))
            writing.replace_all({names_into: api.text_of(names)})


def text_of(wheels: Wheels) -> str:
    """Return the text of ``releases.json``: one release, and one symbol, a line, so that people can read a diff."""
    text = wheels.model_dump_json(by_alias=True, exclude_defaults=True)
    # Only the values at these places are objects.
    return re.sub(r'(?<=[\]}{])(,?)(?="[^"]+":\{"date"|\{"package")', r"\1\n", text) + "\n"


if __name__ == "__main__":
    main()
