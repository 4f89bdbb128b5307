"""``python -m vc2doctor.curate.wheels``: the command behind ``nox -s wheels``."""

import tempfile
from pathlib import Path

import click

from vc2doctor.core import writing
from vc2doctor.curate.wheels.table import read_all


@click.command()
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps the wheels.")
def main(into: Path, cache: Path | None) -> None:
    """Download the released wheels (about 2 GB), and write what they import and provide to --into."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = cache or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wheels = read_all(folder, lambda message: click.echo(message, err=True))
    writing.replace(into, wheels.model_dump_json(by_alias=True, exclude_defaults=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
