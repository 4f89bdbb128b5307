"""``python -m vc2doctor.curate.wheels``: what ``nox -s wheels`` runs."""

import tempfile
from pathlib import Path

import click

from vc2doctor.core import writing
from vc2doctor.curate.wheels.table import read_all


@click.command()
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="releases.json")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps the wheels.")
def main(into: Path, cache: Path | None) -> None:
    """Read the released wheels (about 2 GB are fetched) and write what they import and have to --into."""
    with tempfile.TemporaryDirectory() as folder:
        kept = cache or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        found = read_all(kept, lambda text: click.echo(text, err=True))
    writing.replace(into, found.model_dump_json(by_alias=True, exclude_defaults=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
