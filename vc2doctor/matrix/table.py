"""The matrix as a table: transformers by peft on one torch, compressed to ranges that behave alike."""

import itertools
from collections.abc import Callable, Sequence

from vc2doctor.core.data import Data
from vc2doctor.core.versions import version
from vc2doctor.matrix.judge import Combination, Verdict, judge
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
    """One range of transformers with one range of peft."""

    kind: Kind
    measured: int
    """Cells that were measured in it."""


class Row(Data):
    """One range of transformers."""

    first: str
    last: str
    entries: tuple[TableCell, ...]


class Table(Data):
    """What is known of one torch, under one recipe."""

    torch: str
    recipe: str
    columns: tuple[tuple[str, str], ...]
    """First and last release of each range of peft."""
    rows: tuple[Row, ...]
    """Newest first."""


def table(matrix: Matrix, torch: str, recipe: str) -> Table:
    """Return the verdicts on every known transformers and peft with ``torch``."""
    releases = matrix.verdicts.releases
    vertical, horizontal = releases.get("transformers", ()), releases.get("peft", ())
    kinds = {(one, other): _kind(matrix, torch, one, other, recipe) for one in vertical for other in horizontal}
    columns = _alike(horizontal, lambda peft: tuple(kinds[one, peft] for one in vertical))
    rows = _alike(vertical, lambda one: tuple(kinds[one, column[0]] for column in columns))
    measured = {
        (version(cell.transformers), version(cell.peft))
        for cell in matrix.verdicts.cells
        if version(cell.torch) == version(torch)
    }
    return Table(
        torch=torch,
        recipe=recipe,
        columns=tuple((members[0], members[-1]) for members in columns),
        rows=tuple(
            Row(
                first=row[0],
                last=row[-1],
                entries=tuple(
                    TableCell(
                        kind=kinds[row[0], column[0]],
                        measured=sum((version(one), version(other)) in measured for one in row for other in column),
                    )
                    for column in columns
                ),
            )
            for row in reversed(rows)
        ),
    )


def _kind(matrix: Matrix, torch: str, transformers: str, peft: str, recipe: str) -> Kind:
    versions = {"torch": torch, "transformers": transformers, "peft": peft}
    found = judge(Combination(python=None, versions=versions, installed=False), matrix, recipe)
    return _KINDS[found.verdict]


def _alike(ordered: Sequence[str], signature: Callable[[str], tuple[Kind, ...]]) -> list[list[str]]:
    return [list(group) for _, group in itertools.groupby(ordered, key=signature)]
