"""Which cells to measure next: those whose measurement settles the most combinations.

Every unverified combination of the known releases carries a doubt; combinations with the same doubt are settled
together. Between what fails and what works the middle is measured, so that a boundary is found in a logarithm of the
releases between; where nothing is known beyond the last measurement, the far end is. What is implied is never measured.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES, contains, holds, version
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.evidence import Cell
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.matrix import Matrix

_OLD_NUMPY = "<2.3"
"""Releases of torch that were built for NumPy 1: https://github.com/pytorch/pytorch/issues/107302."""
_PYTHONS = ("3.11", "3.10", "3.12", "3.9", "3.13", "3.8")
"""Those to try, where none was measured: the most widely supported first."""


class PlannedCell(Data):
    """A cell that is worth measuring."""

    cell: Cell
    extras: tuple[str, ...]
    settles: int
    """Combinations of known releases that share its doubt."""
    uncertainty: str

    @property
    def line(self) -> str:
        """As ``nox -s grid`` reads it."""
        axes = " ".join(f"{axis}={getattr(self.cell, axis)}" for axis in ("python", "torch", "transformers", "peft"))
        return " ".join([axes, *self.extras])


def plan(matrix: Matrix, recipe: str, torches: Sequence[str], most: int) -> list[PlannedCell]:
    """Return up to ``most`` cells on the given releases of torch, those that settle most first."""
    groups: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for torch in torches:
        for stack, uncertainty in unverified(matrix, recipe, torch):
            # A doubt about one pair of packages is the same on every torch; it is settled on the first.
            groups[uncertainty].append(stack)
    found = []
    for uncertainty, stacks in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        torch, transformers, peft = _middle(stacks, uncertainty)
        cell = Cell(
            python=_python((torch, transformers, peft), matrix.verdicts),
            torch=torch,
            transformers=transformers,
            peft=peft,
        )
        found.append(PlannedCell(cell=cell, extras=extras_of(torch), settles=len(stacks), uncertainty=uncertainty))
    return found[:most]


def extras_of(torch: str) -> tuple[str, ...]:
    """Return what a user has to ask for beside a release of torch."""
    return ("numpy<2",) if contains(_OLD_NUMPY, torch) else ()


def unverified(matrix: Matrix, recipe: str, torch: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield the unverified stacks of known releases on one torch, each with its doubt."""
    releases = matrix.verdicts.releases
    for transformers, peft in itertools.product(releases["transformers"], releases["peft"]):
        versions = {"torch": torch, "transformers": transformers, "peft": peft}
        found = judge(Combination(python=None, versions=versions, installed=False), matrix, recipe)
        if found.verdict is Verdict.UNVERIFIED:
            yield (torch, transformers, peft), found.uncertainty


def _middle(stacks: list[tuple[str, str, str]], uncertainty: str) -> tuple[str, str, str]:
    """Return the stack to measure: the middle of a gap, or the far end of what lies outside."""
    torches = sorted({stack[0] for stack in stacks}, key=version)
    torch = torches[0] if "torch older" in uncertainty else torches[-1]
    on_torch = [stack for stack in stacks if stack[0] == torch]
    transformers = sorted({stack[1] for stack in on_torch}, key=version)
    chosen = _one_of(transformers, uncertainty, "transformers")
    pefts = sorted({stack[2] for stack in on_torch if stack[1] == chosen}, key=version)
    return torch, chosen, _one_of(pefts, uncertainty, "peft")


def _one_of(found: list[str], uncertainty: str, axis: str) -> str:
    if uncertainty == "nothing" or f"{axis} newer" in uncertainty:
        return found[-1]
    if f"{axis} older" in uncertainty:
        return found[0]
    return found[len(found) // 2]


def _python(stack: tuple[str, str, str], verdicts: Verdicts) -> str:
    """Return a Python in which nothing is known to keep the stack from being installed: the most measured one first."""
    versions = dict(zip(STACK_PACKAGES, stack, strict=True))
    measured = [cell.python for cell in verdicts.cells if version(cell.torch) == version(stack[0])]
    often = sorted(set(measured), key=lambda text: (-measured.count(text), -version(text).release[1]))
    for python in dict.fromkeys([*often, *_PYTHONS]):
        if not any(
            one.kind == "install" and holds(one.when, {**versions, "python": python}) for one in verdicts.constraints
        ):
            return python
    return often[0] if often else _PYTHONS[0]
