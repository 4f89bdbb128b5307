"""Takes evidence from other machines: duplicates collapse, contradictions are shown, invalid lines are refused."""

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
    """The cell, what differs, and where both lines stand."""


class MergeResult(NamedTuple):
    """What came out."""

    added: list[EvidenceLine]
    duplicates: int
    contradictions: list[Contradiction]


Sourced = tuple[str, EvidenceLine]
"""``FILE:LINE`` and what stands there."""


def sourced(paths: Iterable[Path]) -> list[Sourced]:
    """Return the lines of evidence files, each with its place.

    Raises:
        MatrixError: a line is not a measured cell; the message names file and line.
    """
    return [(f"{path}:{number}", line) for path in paths for number, line in enumerate(evidence_lines(path), start=1)]


def merge(ours: Sequence[Sourced], theirs: Sequence[Sourced]) -> MergeResult:
    """Return which of ``theirs`` are new, and which contradict a line that stands."""
    known = {_key(line): (place, line) for place, line in ours}
    added, duplicates, contradictions = [], 0, []
    for place, line in theirs:
        before = known.get(_key(line))
        if before is None:
            known[_key(line)] = (place, line)
            added.append(line)
        elif _outcome(before[1]) == _outcome(line):
            duplicates += 1
        else:
            differs = _differs(before[1], line)
            contradictions.append(Contradiction(description=f"{line.name}: {differs}: {before[0]} against {place}"))
    return MergeResult(added, duplicates, contradictions)


def _key(line: EvidenceLine) -> tuple[object, ...]:
    stack = tuple(version(getattr(line.cell, axis)) for axis in STACK_PACKAGES)
    return (
        line.cell.python,
        *stack,
        line.worker,
        line.platform,
        line.device,
        tuple(sorted(line.resolved.items())),
        line.install,
    )


def _outcome(line: EvidenceLine) -> dict[str, str]:
    imported = "fails" if line.import_failure else "works"
    return {
        **{recipe: str(outcome) for recipe, outcome in line.recipes.items()},
        "import": imported,
        "adapter": line.adapter,
    }


def _differs(one: EvidenceLine, other: EvidenceLine) -> str:
    before, after = _outcome(one), _outcome(other)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name, 'unsupported')} or {after.get(name, 'unsupported')}" for name in names)
