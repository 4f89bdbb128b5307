"""The verbs of ``vc2doctor matrix``: parse, call one function, print."""

import sys
from pathlib import Path

import click

from vc2doctor.output import write
from vc2doctor.probe.worker.recipes import ALIASES, RECIPES

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_matrix = click.option("--matrix", type=click.Path(path_type=Path), help="Folder of another known-good matrix.")
_precision = click.option(
    "--precision",
    type=click.Choice([*RECIPES, *ALIASES]),
    default="bf16",
    show_default=True,
    help="Recipe to train in.",
)


@click.group()
def matrix() -> None:
    """Ask the known-good matrix: what trains with what, on which ground, and what to measure next."""


@matrix.command()
@click.argument("words", nargs=-1, metavar="NAME=VERSION…")
@click.option("--batch", type=_FILE, help="JSON Lines, each an object of versions by name; answers are JSON Lines.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_precision
@_matrix
def explain(words: tuple[str, ...], batch: Path | None, form: str, precision: str, matrix: Path | None) -> None:
    """Judge a combination: `vc2doctor matrix explain torch=2.5.1 transformers=4.57.3 peft=0.11.1`.

    The first word printed is the verdict: verified, compatible, incompatible or unverified.
    """
    from vc2doctor import explain as explaining  # noqa: PLC0415 - `--help` needs none of it

    if (batch is None) == (not words):
        message = "name versions, such as torch=2.5.1, or a --batch file"
        raise click.UsageError(message)
    recipe = ALIASES.get(precision, precision)
    if batch is not None:
        for line in explaining.batch(batch, matrix, recipe):
            click.echo(line)
        return
    click.echo(explaining.told(words, matrix, recipe, form))


@matrix.command()
@click.option("--torch", required=True, metavar="VERSION")
@_precision
@_matrix
def show(torch: str, precision: str, matrix: Path | None) -> None:
    """Print transformers by peft on one torch, compressed to ranges that behave alike."""
    from vc2doctor import explain as explaining  # noqa: PLC0415
    from vc2doctor.report.matrix import shown  # noqa: PLC0415

    found = explaining.tables((torch,), matrix, ALIASES.get(precision, precision))[0]
    click.echo(shown(found, color=sys.stdout.isatty()), nl=False)


@matrix.command()
@click.option("--format", "form", type=click.Choice(["html", "json"]), default="html", show_default=True)
@click.option(
    "--torch", "torches", multiple=True, metavar="VERSION", help="May be repeated; default: every measured one."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
@_precision
@_matrix
def export(form: str, torches: tuple[str, ...], output: Path | None, precision: str, matrix: Path | None) -> None:
    """Write the tables of `show` as a page, or as data."""
    from vc2doctor import explain as explaining  # noqa: PLC0415

    write(explaining.exported(torches, matrix, ALIASES.get(precision, precision), form), output)


@matrix.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; end 1 where the file is not what would be written.")
@_matrix
def compile_(matrix: Path | None, *, check: bool) -> None:
    """Compile evidence, known issues and what the wheels say into verdicts.json; contradictions end 2."""
    from vc2doctor import upkeep  # noqa: PLC0415

    current, path = upkeep.compiled(matrix, write=not check)
    click.echo(f"{path}: {'current' if current else 'not current' if check else 'written'}")
    sys.exit(1 if check and not current else 0)


@matrix.command()
@click.option("--cells", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@click.option(
    "--torch", "torches", multiple=True, metavar="VERSION", help="May be repeated; default: every measured one."
)
@_precision
@_matrix
def plan(cells: int, torches: tuple[str, ...], precision: str, matrix: Path | None) -> None:
    """Print the cells whose measurement settles most, one a line, as `nox -s grid -- --file` reads them."""
    from vc2doctor import upkeep  # noqa: PLC0415

    for line in upkeep.planned(matrix, ALIASES.get(precision, precision), torches, cells):
        click.echo(line)


@matrix.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Evidence file to add to.")
def merge(files: tuple[Path, ...], into: Path) -> None:
    """Add evidence from other machines: duplicates collapse, contradictions are shown (and end 1) and are not added."""
    from vc2doctor import upkeep  # noqa: PLC0415

    found = upkeep.merged(files, into)
    click.echo(f"{len(found.added)} added, {found.duplicates} known already")
    for contradiction in found.contradictions:
        click.echo(f"contradiction: {contradiction.told}")
    sys.exit(1 if found.contradictions else 0)


@matrix.command()
@click.option("--index", is_flag=True, required=True, help="Ask the package index (pip's PIP_INDEX_URL, or PyPI).")
@_matrix
def update(matrix: Path | None, *, index: bool) -> None:  # noqa: ARG001 - click demands that the network be asked for
    """List releases that are newer than the evidence, and the cells that would settle them."""
    from vc2doctor import upkeep  # noqa: PLC0415

    for line in upkeep.newer(matrix):
        click.echo(line)
