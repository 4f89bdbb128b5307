"""Merge evidence from other machines: drop duplicates, report contradictions, and refuse invalid lines."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES, version
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines


class Contradiction(Data):
    """Two measurements of one cell that ended differently."""

    description: str
    """The cell, the differing outcomes, and the places of both lines."""


class MergeResult(NamedTuple):
    """The outcome of a merge."""

    added: list[EvidenceLine]
    duplicates: int
    contradictions: list[Contradiction]


class LocatedLine(NamedTuple):
    """A line of evidence and its place."""

    place: str
    """``FILE:LINE``."""
    line: EvidenceLine


def located_lines(paths: Iterable[Path]) -> list[LocatedLine]:
    """Return the lines of evidence files, each with its place.

    Raises:
        MatrixError: a line is not a measured cell; the message gives file and line.
    """
    return [
        LocatedLine(f"{path}:{number}", line)
        for path in paths
        for number, line in enumerate(evidence_lines(path), start=1)
    ]


def merge(ours: Sequence[LocatedLine], theirs: Sequence[LocatedLine]) -> MergeResult:
    """Return which lines of ``theirs`` are new, and which contradict a line that exists."""
    known = {_measurement(entry.line): entry for entry in ours}
    added, duplicates, contradictions = [], 0, []
    for entry in theirs:
        existing = known.get(_measurement(entry.line))
        if existing is None:
            known[_measurement(entry.line)] = entry
            added.append(entry.line)
        elif _outcomes(existing.line) == _outcomes(entry.line):
            duplicates += 1
        else:
            contradictions.append(_contradiction(existing, entry))
    return MergeResult(added, duplicates, contradictions)


def _measurement(line: EvidenceLine) -> tuple[object, ...]:
    """Return the circumstances of a measurement: lines that agree in them must have the same outcomes."""
    stack = tuple(version(getattr(line.cell, axis)) for axis in STACK_PACKAGES)
    return (
        line.cell.python,
        *stack,
        line.worker,
        line.platform,
        line.device,
        tuple(sorted(line.installed.items())),
        line.install,
    )


def _outcomes(line: EvidenceLine) -> dict[str, str]:
    return {
        **{recipe: str(outcome) for recipe, outcome in line.recipes.items()},
        "import": "fails" if line.import_failure else "works",
        "adapter": line.adapter,
    }


def _contradiction(existing: LocatedLine, new: LocatedLine) -> Contradiction:
    before, after = _outcomes(existing.line), _outcomes(new.line)
    differences = ", ".join(
        f"{name} {before.get(name, 'unsupported')} or {after.get(name, 'unsupported')}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    )
    return Contradiction(
        description=f"cell {new.line.name} has two different outcomes ({differences}); "
        f"compare {existing.place} with {new.place}, and measure the cell again"
    )
