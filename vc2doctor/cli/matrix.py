"""The commands of ``vc2doctor matrix``."""

import sys
from pathlib import Path

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.first_screen import Group
from vc2doctor.cli.output import Output, echo, write_report, write_text
from vc2doctor.cli.progress import progress
from vc2doctor.core import writing
from vc2doctor.report import formats

_torches = click.option(
    "--torch", "torches", multiple=True, metavar="VERSION", help="May be repeated; default: every measured torch."
)


@click.group(cls=Group)
def matrix() -> None:
    """Ask the known-good matrix: which versions train together, why, and what to measure next."""


@matrix.command()
@click.argument("words", nargs=-1, metavar="PACKAGE…")
@click.option(
    "--batch",
    type=shared.FILE,
    help="JSON Lines file, or a pipe such as <(command); each line is an object of versions by name. The answers are"
    " JSON Lines.",
)
@click.option("--format", "form", type=click.Choice(formats.names("versions")), default="text", show_default=True)
@click.option(
    "--model-type",
    "model_types",
    multiple=True,
    metavar="TYPE",
    help="model_type in the config.json of the trained model, such as gemma4; may be repeated. Some known issues are"
    " those of single models.",
)
@shared.doors
@shared.recipe
@shared.matrix
@shared.redact
def explain(  # noqa: PLR0913, PLR0917 - click passes one keyword an option
    words: tuple[str, ...],
    batch: Path | None,
    form: str,
    model_types: tuple[str, ...],
    doors: tuple[str, ...] | None,
    precision: str,
    matrix: Path | None,
) -> None:
    """Judge versions: `vc2doctor matrix explain torch==2.5.1 'transformers>=4.44,<4.50' peft`.

    A PACKAGE is a name with one version, with a range of versions, or alone: then its newest release is judged.
    The output starts with the verdict: verified, compatible, incompatible or unverified.

    Exit codes: 0 verified or compatible, 1 incompatible, 2 input that cannot be used, 3 unverified. For a range or a
    file, the worst verdict decides.
    """
    from vc2doctor.commands import versions  # noqa: PLC0415 - `--help` needs none of it

    goal = versions.goal_of(precision, doors)
    if (batch is None) == (not words):
        message = "pass versions, such as torch==2.5.1, or a file with --batch, and not both"
        raise click.UsageError(message)
    if batch is not None:
        answers = versions.judge_batch(batch, goal, matrix, model_types)
        for line in answers.lines:
            echo(line)
        sys.exit(answers.exit_code)
    answer = versions.judge(versions.parse_words(words), goal, matrix, model_types)
    write_report("versions", answer, Output(format=form))
    sys.exit(answer.exit_code)


@matrix.command()
@click.option("--torch", required=True, metavar="VERSION")
@shared.recipe
@shared.matrix
def show(torch: str, precision: str, matrix: Path | None) -> None:
    """Print a table of transformers by peft for one torch, with releases that behave alike in one range."""
    from vc2doctor.commands import versions  # noqa: PLC0415 - `--help` needs none of it

    write_report("tables", versions.tables((torch,), precision, matrix), Output())


@matrix.command()
@click.option("--format", "form", type=click.Choice(formats.names("tables")), default="html", show_default=True)
@_torches
@click.option("--output", type=shared.OUTPUT, help="Default: standard output.")
@click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a site to this folder instead: every verdict with its evidence, a search, and a link for each verdict."
    " It works from a disk without network. For all torches, this takes minutes.",
)
@shared.recipe
@shared.matrix
def export(  # noqa: PLR0913, PLR0917 - click passes one keyword an option
    form: str, torches: tuple[str, ...], output: Path | None, site: Path | None, precision: str, matrix: Path | None
) -> None:
    """Write the tables of `show` as a page or as data, or with --site a site of all verdicts."""
    from vc2doctor.commands import versions  # noqa: PLC0415 - `--help` needs none of it

    if site is not None:
        if output is not None:
            message = "--site and --output exclude each other: pass one of them."
            raise click.UsageError(message)
        _write_site(site, torches, precision, matrix)
        return
    formats.check_ready(form)
    write_text(formats.render("tables", versions.tables(torches, precision, matrix), form), output)


def _write_site(folder: Path, torches: tuple[str, ...], precision: str, matrix: Path | None) -> None:
    from vc2doctor.commands.site import site  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.report.site import files  # noqa: PLC0415

    with progress() as on_progress:
        content = files(site(torches, precision, matrix, on_progress))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    writing.write_outputs((folder / name, text) for name, text in content.items())
    echo(f"{folder / 'index.html'}: written, with {len(content)} files")


@matrix.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; end with 1 if the file is not current.")
@shared.matrix_folder
def compile_(matrix: Path | None, *, check: bool) -> None:
    """Compile evidence, known issues and the data of wheels into verdicts.json; end with 2 on a contradiction."""
    from vc2doctor.curate import run  # noqa: PLC0415 - `--help` needs none of it

    is_current, path = run.compile_verdicts(matrix, write=not check)
    outdated = "not current" if check else "written"
    echo(f"{path}: {'current' if is_current else outdated}")
    sys.exit(1 if check and not is_current else 0)


@matrix.command()
@click.argument("file", type=shared.OUTPUT)
@shared.matrix_folder
def bundle(file: Path, matrix: Path | None) -> None:
    """Write a matrix to one FILE with digests, for `--matrix FILE` on a machine without network.

    The digest in the output names the release: it is equal for equal matrices. A bundle whose content does not have the
    digests that it names is refused (exit code 2).
    """
    from vc2doctor.matrix import bundle as bundles  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.matrix import load  # noqa: PLC0415

    folder = matrix or load.shipped()
    # A matrix that cannot be used must not be bundled.
    manifest = bundles.write(folder, file, load.load(folder).verdicts.measured)
    echo(f"{file}: {len(manifest.files)} files, measured up to {manifest.measured}, digest {manifest.digest}")


@matrix.command()
@click.option("--cells", type=click.IntRange(min=1), default=20, show_default=True, help="Number of cells.")
@_torches
@shared.recipe
@shared.matrix
def plan(cells: int, torches: tuple[str, ...], precision: str, matrix: Path | None) -> None:
    """Print the cells whose measurement would settle most, one per line, for `nox -s grid -- --file`."""
    from vc2doctor.curate import run  # noqa: PLC0415 - `--help` needs none of it

    for line in run.planned_lines(matrix, precision, torches, cells):
        echo(line)


@matrix.command()
@click.argument("files", nargs=-1, required=True, type=shared.FILE)
@click.option("--into", type=shared.OUTPUT, required=True, help="Evidence file to add to.")
def merge(files: tuple[Path, ...], into: Path) -> None:
    """Add evidence from other machines. Duplicates are dropped. Contradictions are shown, not added, and end with 1."""
    from vc2doctor.curate import run  # noqa: PLC0415 - `--help` needs none of it

    result = run.merge_files(files, into)
    echo(f"{len(result.added)} added, {result.duplicates} already known")
    for contradiction in result.contradictions:
        echo(f"contradiction: {contradiction.description}")
    sys.exit(1 if result.contradictions else 0)


@matrix.command()
@click.option(
    "--index", is_flag=True, required=True, help="Allow requests to the package index (PIP_INDEX_URL, else PyPI)."
)
@shared.matrix
def update(matrix: Path | None, *, index: bool) -> None:  # noqa: ARG001 - click demands that the network be asked for
    """List releases that are newer than the evidence, and the cells that would settle them."""
    from vc2doctor.curate import run  # noqa: PLC0415 - `--help` needs none of it

    for line in run.newer_releases(matrix):
        echo(line)
