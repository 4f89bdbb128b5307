"""``python -m vc2doctor.curate.grid``: the command behind ``nox -s grid`` and ``nox -s matrix-accuracy``."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from packaging.version import Version
from rich.console import Console

from vc2doctor.core import parsing
from vc2doctor.curate import evidence
from vc2doctor.curate.grid import accuracy, build, cells, measure
from vc2doctor.curate.grid import draw as drawing
from vc2doctor.matrix import load, releases
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.target.doors import LOOP

MAX_MESSAGE_LENGTH = 160
"""Characters of a failure on the line of a cell."""
DRAWN_TORCHES = 3
"""Releases of torch that ``accuracy`` draws: each costs a download of up to 3 GB."""

_CONSOLE = Console(stderr=True, highlight=False, markup=False, emoji=False)


@click.group()
def main() -> None:
    """Measure cells in fresh environments."""


@main.command("measure")
@click.argument("texts", nargs=-1, metavar="[CELL]...")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Cells, one a line.")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Evidence file to add to.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Cells to measure at a time.")
@click.option("--device", default="cpu", show_default=True, help="Device of the probe, such as cuda:0.")
@click.option("--interpreters", default="{}", help="JSON object: minor version of Python to interpreter.")
@click.option("--again", is_flag=True, help="Also measure cells that are in the evidence.")
def measure_(
    texts: tuple[str, ...], file: Path | None, into: Path, jobs: int, device: str, interpreters: str, *, again: bool
) -> None:
    """Measure cells (``"python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0 numpy<2"``) and add them to --into."""
    specs = [cells.parse(text) for text in texts] + (cells.read(file) if file else [])
    known = [] if again else [line for path in _evidence_files(into) for line in evidence_lines(path)]
    todo = measure.outstanding(specs, known)
    skipped = len(specs) - len(todo)
    _CONSOLE.print(f"{len(todo)} cells to measure; {skipped} skipped, measured before or named twice")
    with _grid_settings(jobs, device, interpreters) as settings:
        measure.measure_all(todo, settings, _print_progress, lambda line: evidence.append(into, line))


@main.command("accuracy")
@click.option("--cells", "count", type=click.IntRange(min=1), default=30, show_default=True, help="Cells to draw.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the drawing.")
@click.option("--torch", "torches", multiple=True, help="Releases of torch to draw on; default: three random ones.")
@click.option("--matrix", "folder", type=click.Path(path_type=Path), help="Default: the matrix of the doctor.")
@click.option("--precision", default="bf16", show_default=True, help="Recipe to predict.")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="Evidence file to add to.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Cells to measure at a time.")
@click.option("--interpreters", default="{}", help="JSON object: minor version of Python to interpreter.")
def accuracy_(
    count: int,
    seed: int,
    torches: tuple[str, ...],
    folder: Path | None,
    precision: str,
    into: Path | None,
    jobs: int,
    interpreters: str,
) -> None:
    """Predict and measure random unmeasured cells; print a confusion table. Exit code 1: a prediction was wrong.

    A cell of --into with the same seed is counted and not measured again, so that an interrupted run can be repeated,
    and a changed matrix can be counted over the same cells. That file must not be one of the matrix.
    """
    folder = folder or load.shipped()
    wheels, matrix = releases.read(folder / "releases.json"), load.load(folder)
    newest = max(matrix.verdicts.cells, key=lambda cell: Version(cell.torch)).torch
    torches = torches or tuple(drawing.draw_torches(wheels, Version(newest).public, DRAWN_TORCHES, seed))
    sample, axes = drawing.Sample(cells=count, seed=seed), (torches, list(parsing.parse_json(interpreters)))
    specs = drawing.draw(wheels, load.evidence(folder), matrix.verdicts.constraints, axes, sample)
    known = list(evidence_lines(into)) if into is not None and into.exists() else []
    with _grid_settings(jobs, "cpu", interpreters) as settings:
        predictions = {spec.key: _predictions(spec, settings, matrix, precision) for spec in specs}
        loops = [by_door[0] for by_door in predictions.values()]
        _CONSOLE.print(f"{len(specs)} cells on torch {', '.join(torches)}", *_verdict_counts(loops))
        lines = [line for line in known if cells.key_of(line) in predictions]

        def on_line(line: EvidenceLine) -> None:
            lines.append(line)
            if into is not None:
                evidence.append(into, line)

        measure.measure_all(measure.outstanding(specs, known), settings, _print_progress, on_line)
    results = [result for line in lines for result in _results(line, predictions[cells.key_of(line)], precision)]
    click.echo("\n".join(accuracy.table(results)))
    sys.exit(any(result.decided and not result.right for result in results))


def _predictions(
    spec: cells.CellSpec, settings: measure.GridSettings, matrix: Matrix, precision: str
) -> list[accuracy.Prediction]:
    resolved = _resolved(spec, settings)
    return [accuracy.predict(spec, resolved, matrix, precision, door) for door in accuracy.COUNTED_DOORS]


def _results(
    line: EvidenceLine, predictions: Iterable[accuracy.Prediction], precision: str
) -> Iterator[accuracy.Result]:
    for prediction in predictions:
        trains = accuracy.measured(line, precision, prediction.door)
        if trains is not None:
            description = _outcome(line, prediction.door)
            yield accuracy.Result(**dict(prediction), trains=trains, description=description)


def _resolved(spec: cells.CellSpec, settings: measure.GridSettings) -> dict[str, str] | None:
    interpreter = settings.interpreters.get(spec.cell.python, spec.cell.python)
    resolved = build.resolve(spec, interpreter, settings.folder / "resolved", settings.environment)
    return None if isinstance(resolved, build.InstallFailure) else resolved


def _verdict_counts(predictions: Iterable[accuracy.Prediction]) -> list[str]:
    verdicts = [prediction.judgement.verdict.value for prediction in predictions]
    return [f"{verdict} {verdicts.count(verdict)}" for verdict in sorted(set(verdicts))]


@contextmanager
def _grid_settings(jobs: int, device: str, interpreters: str) -> Iterator[measure.GridSettings]:
    if jobs > 1:
        # Otherwise each of the probes would start a thread for every core.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    with tempfile.TemporaryDirectory(prefix="vc2doctor-grid-") as folder:
        # Without it, every probe would compile the stack again: half of the time of a cell.
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(folder, "bytecode")))
        yield measure.GridSettings(
            interpreters=parsing.parse_json(interpreters), environment={}, device=device, jobs=jobs, folder=Path(folder)
        )


def _evidence_files(into: Path) -> list[Path]:
    return sorted({into, *into.parent.glob("*.jsonl")}) if into.exists() else sorted(into.parent.glob("*.jsonl"))


def _print_progress(progress: measure.Progress) -> None:
    description = f"not measured: {progress.error}" if progress.line is None else _outcome(progress.line)
    minutes = f"{progress.remaining_seconds / 60:.0f} min"
    _CONSOLE.print(
        f"{progress.done}/{progress.total} {progress.spec.name}: {description} (about {minutes} left)",
        soft_wrap=True,
        markup=False,
    )


def _outcome(line: EvidenceLine, door: str = LOOP) -> str:
    if line.install != "installed":
        return f"cannot be installed ({line.install}): {(line.install_message or '')[:MAX_MESSAGE_LENGTH]}"
    if line.import_failure is not None:
        return f"the import fails: {line.import_failure.message[:MAX_MESSAGE_LENGTH]}"
    failed = line.door_failures.get(door)
    if failed is not None:
        return f"{door} fails: {failed.message[:MAX_MESSAGE_LENGTH]}"
    return "trains" if line.trains("bf16") else f"does not train: {dict(line.recipes)}, adapter {line.adapter}"


if __name__ == "__main__":
    main()
