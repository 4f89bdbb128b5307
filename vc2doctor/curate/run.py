"""Keeps the matrix: compiles it, plans what to measure, takes evidence in, looks for new releases."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import Version

from vc2doctor.core import writing
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.curate import compile as compiler
from vc2doctor.curate import merge
from vc2doctor.curate.plan import plan
from vc2doctor.matrix import load
from vc2doctor.matrix.compiled import Verdicts


def text_of(found: Verdicts) -> str:
    """Return verdicts as they are written: one constraint and one cell a line, so that a change can be read."""
    told = found.model_dump_json(by_alias=True, exclude_defaults=True)
    return told.replace('},{"name":', '},\n{"name":').replace('},{"id":', '},\n{"id":') + "\n"


def compiled(folder: Path | None, *, write: bool) -> tuple[bool, Path]:
    """Compile the matrix in ``folder``; return whether its ``verdicts.json`` was what came out, and its path.

    Raises:
        CompileError: what is known contradicts itself.
        MatrixError: a file cannot be used.
        OutputError: the file cannot be written.
    """
    where = folder or load.shipped()
    path = where / "verdicts.json"
    text = text_of(compiler.compile_folder(where, load.evidence(where), load.known_issues(where)))
    current = path.exists() and path.read_text(encoding="utf-8") == text
    if write and not current:
        writing.replace(path, text)
    return current, path


def planned(folder: Path | None, recipe: str, torches: Sequence[str], most: int) -> Iterator[str]:
    """Yield the cells to measure next, with what each settles.

    Raises:
        MatrixError: the matrix cannot be used.
    """
    known = load.load(folder or load.shipped())
    for wanted in plan(known, recipe, torches or known.verdicts.torches, most):
        yield f"{wanted.line}  # {wanted.settles} combinations: {wanted.uncertainty}"


def merged(paths: Sequence[Path], into: Path) -> merge.MergeResult:
    """Add what is new in ``paths`` to ``into``.

    Raises:
        MatrixError: a line is not a measured cell; nothing is written.
        OutputError: the file cannot be written.
    """
    ours = merge.sourced(sorted({*into.parent.glob("*.jsonl")}))
    found = merge.merge(ours, merge.sourced(paths))
    if found.added:
        before = into.read_text(encoding="utf-8") if into.exists() else ""
        writing.replace(into, before + "".join(f"{line.text}\n" for line in found.added))
    return found


def newer(folder: Path | None) -> Iterator[str]:
    """Yield what the package index has that is newer than the evidence, as cells to measure.

    Raises:
        MatrixError: the matrix cannot be used.
        ReleasesError: the index cannot be read.
    """
    from vc2doctor.curate.wheels.index import wheels  # noqa: PLC0415 - the only verb that asks the network

    known = load.load(folder or load.shipped()).verdicts
    last = {axis: max(Version(Version(getattr(cell, axis)).public) for cell in known.cells) for axis in STACK_PACKAGES}
    python = max(known.cells, key=lambda cell: Version(cell.torch)).python
    for axis in STACK_PACKAGES:
        for text in dict.fromkeys(wheel.version for wheel in wheels(axis)):
            if Version(text) > last[axis]:
                stack = {**{other: str(found) for other, found in last.items()}, axis: text}
                cell = " ".join(f"{name}={version}" for name, version in stack.items())
                yield f"python={python} {cell}  # {axis} {text} is newer than the evidence"
