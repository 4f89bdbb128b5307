"""The matrix as a table for one torch: ranges of transformers by ranges of peft that behave alike."""

import itertools
from collections.abc import Callable, Sequence

from vc2doctor.core.data import Data
from vc2doctor.core.versions import version
from vc2doctor.matrix.judge import Combination, Verdict, judge_loop
from vc2doctor.matrix.matrix import Matrix

Kind = str
"""``trains``, ``fails`` or ``unknown``."""
_KINDS = {
    Verdict.VERIFIED: "trains",
    Verdict.COMPATIBLE: "trains",
    Verdict.INCOMPATIBLE: "fails",
    Verdict.UNVERIFIED: "unknown",
}


class TableCell(Data):
    """A range of transformers with a range of peft."""

    kind: Kind
    measured: int
    """Number of combinations in it that were measured."""


class Row(Data):
    """A range of transformers."""

    first: str
    last: str
    entries: tuple[TableCell, ...]


class Table(Data):
    """The verdicts on one torch under one recipe."""

    torch: str
    recipe: str
    columns: tuple[tuple[str, str], ...]
    """First and last release of each range of peft."""
    rows: tuple[Row, ...]
    """The newest first."""


def table(matrix: Matrix, torch: str, recipe: str) -> Table:
    """Return the verdicts on every known transformers and peft with ``torch``."""
    transformers = matrix.verdicts.releases.get("transformers", ())
    pefts = matrix.verdicts.releases.get("peft", ())
    kinds = {stack: _kind(matrix, torch, *stack, recipe) for stack in itertools.product(transformers, pefts)}
    columns = _alike(pefts, lambda peft: tuple(kinds[release, peft] for release in transformers))
    rows = _alike(transformers, lambda release: tuple(kinds[release, column[0]] for column in columns))
    measured = {
        (version(cell.transformers), version(cell.peft))
        for cell in matrix.verdicts.cells
        if version(cell.torch) == version(torch)
    }

    def entry(row: Sequence[str], column: Sequence[str]) -> TableCell:
        stacks = [(version(release), version(peft)) for release in row for peft in column]
        return TableCell(kind=kinds[row[0], column[0]], measured=sum(stack in measured for stack in stacks))

    return Table(
        torch=torch,
        recipe=recipe,
        columns=tuple((column[0], column[-1]) for column in columns),
        rows=tuple(
            Row(first=row[0], last=row[-1], entries=tuple(entry(row, column) for column in columns))
            for row in reversed(rows)
        ),
    )


def _kind(matrix: Matrix, torch: str, transformers: str, peft: str, recipe: str) -> Kind:
    versions = {"torch": torch, "transformers": transformers, "peft": peft}
    judgement = judge_loop(Combination(python=None, versions=versions, installed=False), matrix, recipe)
    return _KINDS[judgement.verdict]


def _alike(releases: Sequence[str], signature: Callable[[str], tuple[Kind, ...]]) -> list[list[str]]:
    """Return the runs of consecutive releases that have the same signature."""
    return [list(group) for _, group in itertools.groupby(releases, key=signature)]
