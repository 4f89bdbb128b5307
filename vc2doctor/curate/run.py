"""Maintain a matrix folder: compile it, plan measurements, merge evidence, and look for new releases."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import Version

from vc2doctor.core import reading, writing
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.curate import compile as compiler
from vc2doctor.curate import evidence, merge
from vc2doctor.curate.plan import plan
from vc2doctor.matrix import load
from vc2doctor.matrix.compiled import Verdicts


def verdicts_text(verdicts: Verdicts) -> str:
    """Return the text of ``verdicts.json``: one constraint and one cell a line, so that people can read a diff."""
    text = verdicts.model_dump_json(by_alias=True, exclude_defaults=True)
    return text.replace('},{"name":', '},\n{"name":').replace('},{"id":', '},\n{"id":') + "\n"


def compile_verdicts(folder: Path | None, *, write: bool) -> tuple[bool, Path]:
    """Compile the matrix in ``folder``; return whether its ``verdicts.json`` was current, and the path of that file.

    Raises:
        CompileError: a constraint or a known issue contradicts a measurement.
        MatrixError: a file cannot be used.
        OutputError: the file cannot be written.
    """
    folder = folder or load.shipped()
    path = folder / "verdicts.json"
    text = verdicts_text(compiler.compile_folder(folder, load.evidence(folder), load.known_issues(folder)))
    is_current = reading.text_or_empty(path) == text
    if write and not is_current:
        writing.write_output(path, text)
    return is_current, path


def planned_lines(folder: Path | None, recipe: str, torches: Sequence[str], limit: int) -> Iterator[str]:
    """Yield up to ``limit`` cells to measure next, each with the number of combinations that it settles.

    Raises:
        MatrixError: the matrix cannot be used.
    """
    matrix = load.load(folder or load.shipped())
    for cell in plan(matrix, recipe, torches or matrix.verdicts.torches, limit):
        yield f"{cell.line}  # settles {cell.settles} combinations: {cell.uncertainty}"


def merge_files(paths: Sequence[Path], into: Path) -> merge.MergeResult:
    """Add the new lines of ``paths`` to ``into``; lines in the other files of its folder are not new.

    Raises:
        MatrixError: a line is not a measured cell; nothing is written.
        OutputError: the file cannot be written.
    """
    ours = merge.located_lines(sorted(into.parent.glob("*.jsonl")))
    result = merge.merge(ours, merge.located_lines(paths))
    if result.added:
        evidence.append_lines(into, result.added)
    return result


def newer_releases(folder: Path | None) -> Iterator[str]:
    """Yield the releases on the package index that are newer than the evidence, as cells to measure.

    Raises:
        MatrixError: the matrix cannot be used.
        ReleasesError: the index cannot be read.
    """
    from vc2doctor.curate.wheels.index import wheels  # noqa: PLC0415 - only this command uses the network

    cells = load.load(folder or load.shipped()).verdicts.cells
    newest = {axis: max(Version(Version(getattr(cell, axis)).public) for cell in cells) for axis in STACK_PACKAGES}
    python = max(cells, key=lambda cell: Version(cell.torch)).python
    for axis in STACK_PACKAGES:
        for text in dict.fromkeys(wheel.version for wheel in wheels(axis)):
            if Version(text) > newest[axis]:
                stack = {**{name: str(release) for name, release in newest.items()}, axis: text}
                cell = " ".join(f"{name}={release}" for name, release in stack.items())
                yield f"python={python} {cell}  # {axis} {text} is newer than the evidence"
