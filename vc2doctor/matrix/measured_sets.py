"""Measured sets of versions: what each holds, and which of two is the better advice. All verbs choose by this order."""

from collections.abc import Mapping

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.matrix.compiled import MeasuredCell
from vc2doctor.matrix.matrix import Matrix


def versions_of(cell: MeasuredCell, matrix: Matrix) -> dict[str, str]:
    """Return the versions of a cell by distribution: the stack, and what was installed beside it."""
    stack = {name: Version(getattr(cell, name)).public for name in STACK_PACKAGES}
    companions = matrix.verdicts.companions[cell.companions]
    return {**stack, **{name: text for name, text in companions.items() if name not in stack}}


def requirements_met(versions: Mapping[str, str], wanted: Mapping[str, str]) -> int:
    """Return how many of the ``wanted`` specifiers the versions meet; a package that is not there meets none."""
    return sum(
        name in versions and SpecifierSet(specifier).contains(versions[name], prereleases=True)
        for name, specifier in wanted.items()
    )


def preference(cell: MeasuredCell, matrix: Matrix) -> tuple[int, list[tuple[int, ...]], str]:
    """Return the sorting key of a cell, the best one last: most recipes that train, then the newest releases."""
    trains = len(matrix.verdicts.outcomes[cell.how].trains)
    newness = [Version(getattr(cell, name)).release for name in ("transformers", "peft", "torch")]
    return trains, newness, cell.name
