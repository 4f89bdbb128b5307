"""The map of an environment: transformers by peft for its torch, and where in it the environment is."""

from collections.abc import Mapping

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES, version
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.table import Table, table


class StackMap(Data):
    """The verdicts of the matrix on every transformers and peft with one torch, and the place of an environment."""

    table: Table
    """The verdicts on the stack alone: other installed packages, known issues of one model and doors are left out."""
    transformers: str
    """The installed version."""
    peft: str
    """The installed version."""
    row: int | None
    """Index of the row that holds the installed transformers; ``None``: the matrix does not know this release."""
    column: int | None
    """Index of the column that holds the installed peft; ``None``: the matrix does not know this release."""


def stack_map(matrix: Matrix, versions: Mapping[str, str], recipe: str) -> StackMap | None:
    """Return the map around the installed ``versions``; ``None``: a package of the stack is missing.

    It takes seconds, because every pair of releases is judged.
    """
    if any(name not in versions for name in STACK_PACKAGES):
        return None
    verdicts = table(matrix, str(version(versions["torch"])), recipe)
    known = matrix.verdicts.releases
    return StackMap(
        table=verdicts,
        transformers=versions["transformers"],
        peft=versions["peft"],
        row=_position(versions["transformers"], known.get("transformers", ()), _ranges_of_rows(verdicts)),
        column=_position(versions["peft"], known.get("peft", ()), verdicts.columns),
    )


def _ranges_of_rows(verdicts: Table) -> tuple[tuple[str, str], ...]:
    return tuple((row.first, row.last) for row in verdicts.rows)


def _position(text: str, known: tuple[str, ...], ranges: tuple[tuple[str, str], ...]) -> int | None:
    """Return the index of the range that holds a release; a local version such as ``+cpu`` makes no difference."""
    release = version(text)
    if release not in map(version, known):
        # Between two known releases there can be one that was withdrawn, so no range speaks for it.
        return None
    return next(index for index, (first, last) in enumerate(ranges) if version(first) <= release <= version(last))
