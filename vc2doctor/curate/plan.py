"""Plan which cells to measure next: those that settle the most combinations.

Every unverified combination has an uncertainty, and one measurement settles all combinations with the same one.
Between a failure and a success, the plan measures the middle, so that the number of measurements grows with the
logarithm of the releases in between. Beyond the last measurement, it measures the far end. It never measures what is
inferred already.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES, contains, holds, version
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.evidence import Cell
from vc2doctor.matrix.judge import Combination, Verdict, beyond, judge
from vc2doctor.matrix.matrix import Matrix

NUMPY_1_TORCHES = "<2.3"
"""Releases of torch that were built for NumPy 1: https://github.com/pytorch/pytorch/issues/107302."""
PYTHONS = ("3.11", "3.10", "3.12", "3.9", "3.13", "3.8")
"""Pythons to try after the measured ones; the one that most releases support comes first."""

Stack = tuple[str, str, str]
"""Versions of torch, transformers and peft."""


class PlannedCell(Data):
    """A cell that is worth measuring."""

    cell: Cell
    extras: tuple[str, ...]
    settles: int
    """Number of combinations of known releases with the same uncertainty."""
    uncertainty: str

    @property
    def line(self) -> str:
        """The cell as ``nox -s grid`` reads it."""
        axes = " ".join(f"{axis}={getattr(self.cell, axis)}" for axis in ("python", *STACK_PACKAGES))
        return " ".join([axes, *self.extras])


def plan(matrix: Matrix, recipe: str, torches: Sequence[str], limit: int) -> list[PlannedCell]:
    """Return up to ``limit`` cells on the given releases of torch; those that settle the most come first."""
    stacks_by_uncertainty: dict[str, list[Stack]] = defaultdict(list)
    for torch in torches:
        for stack, uncertainty in unverified(matrix, recipe, torch):
            # An uncertainty about two packages is the same on every torch, so one torch settles it for all.
            stacks_by_uncertainty[uncertainty].append(stack)
    most_first = sorted(stacks_by_uncertainty.items(), key=lambda item: -len(item[1]))
    planned = []
    for uncertainty, stacks in most_first[:limit]:
        stack = _stack_to_measure(stacks, uncertainty)
        torch, transformers, peft = stack
        python = _python(stack, matrix.verdicts)
        cell = Cell(python=python, torch=torch, transformers=transformers, peft=peft)
        planned.append(PlannedCell(cell=cell, extras=extras_of(torch), settles=len(stacks), uncertainty=uncertainty))
    return planned


def extras_of(torch: str) -> tuple[str, ...]:
    """Return the requirements that a release of torch needs and does not declare."""
    return ("numpy<2",) if contains(NUMPY_1_TORCHES, torch) else ()


def unverified(matrix: Matrix, recipe: str, torch: str) -> Iterator[tuple[Stack, str]]:
    """Yield the unverified stacks of known releases on one torch, each with its uncertainty."""
    releases = matrix.verdicts.releases
    for transformers, peft in itertools.product(releases["transformers"], releases["peft"]):
        versions = {"torch": torch, "transformers": transformers, "peft": peft}
        judgement = judge(Combination(python=None, versions=versions, installed=False), matrix, recipe)
        if judgement.verdict is Verdict.UNVERIFIED:
            yield (torch, transformers, peft), judgement.uncertainty


def _stack_to_measure(stacks: Sequence[Stack], uncertainty: str) -> Stack:
    """Return the stack in the middle of a gap, or at the far end beyond the last measurement."""
    torches = sorted({stack[0] for stack in stacks}, key=version)
    torch = torches[0] if beyond("torch", "older") in uncertainty else torches[-1]
    on_torch = [stack for stack in stacks if stack[0] == torch]
    transformers = _release_to_measure("transformers", {stack[1] for stack in on_torch}, uncertainty)
    pefts = {stack[2] for stack in on_torch if stack[1] == transformers}
    return torch, transformers, _release_to_measure("peft", pefts, uncertainty)


def _release_to_measure(package: str, releases: set[str], uncertainty: str) -> str:
    ordered = sorted(releases, key=version)
    if uncertainty == "nothing" or beyond(package, "newer") in uncertainty:
        return ordered[-1]
    if beyond(package, "older") in uncertainty:
        return ordered[0]
    return ordered[len(ordered) // 2]


def _python(stack: Stack, verdicts: Verdicts) -> str:
    """Return a Python under which no constraint keeps the stack from being installed.

    The Pythons that were measured most often with the same torch come first, the newest of them before the others.
    """
    versions = dict(zip(STACK_PACKAGES, stack, strict=True))
    measured = [cell.python for cell in verdicts.cells if version(cell.torch) == version(stack[0])]
    preferred = sorted(set(measured), key=lambda text: (-measured.count(text), -version(text).release[1]))
    constraints = [constraint for constraint in verdicts.constraints if constraint.kind == "install"]
    for python in dict.fromkeys([*preferred, *PYTHONS]):
        if not any(holds(constraint.when, {**versions, "python": python}) for constraint in constraints):
            return python
    return preferred[0] if preferred else PYTHONS[0]
