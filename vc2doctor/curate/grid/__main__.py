"""``python -m vc2doctor.curate.grid``: what ``nox -s grid`` and ``nox -s matrix-accuracy`` run."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from packaging.version import Version
from rich.console import Console

from vc2doctor.curate import evidence
from vc2doctor.curate.grid import accuracy, build, measure
from vc2doctor.curate.grid import cells as asked
from vc2doctor.matrix import load, releases
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines

_CONSOLE = Console(stderr=True, highlight=False)


@click.group()
def main() -> None:
    """Measure cells in fresh environments."""


@main.command("measure")
@click.argument("cells", nargs=-1)
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Cells, one a line.")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Evidence file to add to.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Cells measured side by side.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--interpreters", default="{}", help="JSON object: minor version to interpreter.")
@click.option("--again", is_flag=True, help="Measure what is in the evidence already, too.")
def measure_(
    cells: tuple[str, ...], file: Path | None, into: Path, jobs: int, device: str, interpreters: str, *, again: bool
) -> None:
    """Measure CELLS (``"python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0 numpy<2"``) and add them to --into."""
    wanted = [asked.parse(text) for text in cells] + (asked.read(file) if file else [])
    known = [] if again else [line for path in _files(into) for line in evidence_lines(path)]
    todo = measure.outstanding(wanted, known)
    _CONSOLE.print(f"{len(todo)} cells to measure; {len(wanted) - len(todo)} asked for twice or measured before")
    with _settings(jobs, device, interpreters) as settings:
        measure.measure_all(todo, settings, _tell, lambda line: evidence.append(into, line))


@main.command("accuracy")
@click.option("--cells", type=click.IntRange(min=1), default=30, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--torch", "torches", multiple=True, help="Releases to draw on; default: three, drawn.")
@click.option("--matrix", "folder", type=click.Path(path_type=Path), help="Default: the one that was shipped.")
@click.option("--precision", default="bf16", show_default=True)
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="Where the measurements are kept.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--interpreters", default="{}", help="JSON object: minor version to interpreter.")
def accuracy_(
    cells: int,
    seed: int,
    torches: tuple[str, ...],
    folder: Path | None,
    precision: str,
    into: Path | None,
    jobs: int,
    interpreters: str,
) -> None:
    """Draw cells that nobody measured, predict, measure, and print a confusion table; ends 1 where one was wrong."""
    where = folder or load.shipped()
    wheels, known = releases.read(where / "releases.json"), load.load(where)
    newest = max(known.verdicts.cells, key=lambda cell: Version(cell.torch)).torch
    chosen = torches or accuracy.choose_torches(wheels, Version(newest).public, 3, seed)
    sample = accuracy.Sample(cells=cells, seed=seed)
    drawn = accuracy.draw(wheels, load.evidence(where), chosen, list(json.loads(interpreters)), sample)
    with _settings(jobs, "cpu", interpreters) as settings:
        predicted = {one.key: accuracy.predict(one, _resolved(one, settings), known, precision) for one in drawn}
    _CONSOLE.print(f"{len(drawn)} cells on torch {', '.join(chosen)}", *_count(predicted))
    results = []

    def keep(line: EvidenceLine) -> None:
        if into is not None:
            evidence.append(into, line)
        trains, one = line.trains(precision), predicted[asked.key_of(line)]
        if trains is not None:
            results.append(accuracy.Result(**dict(one), trains=trains, description=_outcome(line)))

    with _settings(jobs, "cpu", interpreters) as settings:
        measure.measure_all(measure.outstanding(drawn, ()), settings, _tell, keep)
    click.echo("\n".join(accuracy.table(results)))
    sys.exit(any(result.decided and not result.right for result in results))


def _resolved(one: asked.CellSpec, settings: measure.Settings) -> dict[str, str] | None:
    interpreter = settings.interpreters.get(one.cell.python, one.cell.python)
    found = build.resolve(one, interpreter, settings.folder / "resolved", settings.environment)
    return None if isinstance(found, build.InstallFailure) else found


def _count(predicted: dict[tuple[str, ...], accuracy.Prediction]) -> list[str]:
    found = [one.judgement.verdict.value for one in predicted.values()]
    return [f"{verdict} {found.count(verdict)}" for verdict in sorted(set(found))]


@contextmanager
def _settings(jobs: int, device: str, interpreters: str) -> Iterator[measure.Settings]:
    if jobs > 1:
        # Side by side, every probe would start a thread for every core.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    with tempfile.TemporaryDirectory(prefix="vc2doctor-grid-") as folder:
        yield measure.Settings(
            interpreters=json.loads(interpreters), environment={}, device=device, jobs=jobs, folder=Path(folder)
        )


def _files(into: Path) -> list[Path]:
    return sorted({into, *into.parent.glob("*.jsonl")}) if into.exists() else sorted(into.parent.glob("*.jsonl"))


def _tell(progress: measure.Progress) -> None:
    line = progress.line
    told = f"not measured: {progress.trouble}" if line is None else _outcome(line)
    _CONSOLE.print(
        f"{progress.done}/{progress.of} {progress.asked.name}: {told} (about {progress.remaining / 60:.0f} min remain)",
        soft_wrap=True,
        markup=False,
    )


def _outcome(line: EvidenceLine) -> str:
    if line.install != "installed":
        return f"{line.install}: {(line.install_message or '')[:160]}"
    if line.import_failure is not None:
        return f"import fails: {line.import_failure.message[:160]}"
    return "trains" if line.trains("bf16") else f"fails: {dict(line.recipes)}, adapter {line.adapter}"


if __name__ == "__main__":
    main()
