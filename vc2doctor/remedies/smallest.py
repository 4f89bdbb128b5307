"""The smallest change of versions that ends in a set that was measured to train: pure functions of the matrix."""

from collections.abc import Iterator, Mapping

from packaging.requirements import Requirement
from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES, holds
from vc2doctor.matrix.compiled import MeasuredCell
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.target.doors import DEFAULT_DOORS

MAX_REMEDIES = 2
"""Usually one remedy raises a package and the other lowers another; more would be a list to choose from."""


class Remedy(Data):
    """The requirements that turn a combination into one that was measured to train."""

    requirements: tuple[str, ...]
    """Exact versions of the packages that have to change; the others are not listed."""
    reason: str


def smallest_remedies(
    python: str, versions: Mapping[str, str], matrix: Matrix, recipe: str, limit: int = MAX_REMEDIES
) -> tuple[Remedy, ...]:
    """Return up to ``limit`` ways to change ``versions`` into a set that was measured to train under ``recipe``.

    Sets measured under the same Python come first, then those that keep torch (it is the largest package, and it
    depends on the driver), then those with the fewest changes, then the newest. Each remedy changes other packages,
    and none changes all packages of another remedy and more.
    """
    remedies: dict[tuple[str, ...], Remedy] = {}
    for cell, changes in sorted(_candidates(versions, matrix, recipe), key=lambda pair: _cost(python, *pair)):
        changed_packages = tuple(changes)
        if changed_packages in remedies or _is_incompatible(python, {**versions, **changes}, matrix, recipe):
            continue
        reason = f"cell {cell.name}, measured on {cell.date} on {cell.device} under Python {cell.python}"
        requirements = tuple(f"{name}=={version}" for name, version in changes.items())
        remedies[changed_packages] = Remedy(requirements=requirements, reason=reason)
    smallest = [
        remedy
        for packages, remedy in remedies.items()
        if not any(set(other_packages) < set(packages) for other_packages in remedies)
    ]
    return tuple(smallest[:limit])


def best_fix(issue: KnownIssue, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> tuple[str, ...]:
    """Return the first fix of ``issue`` that leads to no other known issue.

    If every fix leads to one, return the first that leads to no issue that does not apply already.
    """
    others = [other for other in matrix.issues if other.id != issue.id and other.blocks(recipe)]
    already_there = tuple(other for other in others if other.applies_to(versions))
    for tolerated in ((), already_there):
        for fix in issue.fix:
            versions_after = {**versions, **_lowest_versions(fix)}
            if not any(other.applies_to(versions_after) and other not in tolerated for other in others):
                return fix
    return issue.fix[0]


def _candidates(
    versions: Mapping[str, str], matrix: Matrix, recipe: str
) -> Iterator[tuple[MeasuredCell, dict[str, str]]]:
    """Yield each cell that trains under ``recipe``, with the changes that lead to it."""
    for cell in matrix.verdicts.cells:
        if recipe in matrix.verdicts.outcomes[cell.how].trains:
            changes = _changes_to(cell, versions, matrix, recipe)
            if changes:
                yield cell, changes


def _lowest_versions(fix: tuple[str, ...]) -> dict[str, str]:
    """Return the lower bound of each requirement of a fix; it stands for the version that pip will choose."""
    lowest = {}
    for text in fix:
        requirement = Requirement(text)
        bounds = [clause.version for clause in requirement.specifier if clause.operator in (">=", "==", "~=")]
        if bounds:
            lowest[requirement.name] = max(bounds, key=Version).rstrip(".*")
    return lowest


def _changes_to(cell: MeasuredCell, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> dict[str, str]:
    """Return the version of every package that has to change, so that ``versions`` become those of ``cell``."""
    changes: dict[str, str] = {}
    for package in STACK_PACKAGES:
        wanted = Version(getattr(cell, package)).public
        if package not in versions or Version(Version(versions[package]).public) != Version(wanted):
            changes[package] = wanted
    # pip keeps the other packages as they are. Where a known issue or a constraint forbids their version with the new
    # stack, they take the version of the cell, one after the other: each change may resolve or cause a conflict.
    companions = matrix.verdicts.companions[cell.companions]
    replaceable = versions.keys() & companions.keys()
    while conflicting := _blocking_packages({**versions, **changes}, matrix, recipe) & replaceable - changes.keys():
        name = min(conflicting)
        changes[name] = companions[name]
    return changes


def _blocking_packages(versions: Mapping[str, str], matrix: Matrix, recipe: str) -> set[str]:
    """Return the packages that the known issues and constraints against ``versions`` name."""
    issues = [issue for issue in matrix.issues if issue.blocks(recipe) and issue.applies_to(versions)]
    constraints = matrix.verdicts.constraints_for(recipe, installed=True)
    conditions = [condition for issue in issues for condition in issue.when]
    conditions += [constraint.when for constraint in constraints if holds(constraint.when, versions)]
    return {name for condition in conditions for name in condition}


def _is_incompatible(python: str, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> bool:
    combination = Combination(python=python or None, versions=dict(versions), installed=bool(python))
    return judge(combination, matrix, recipe, DEFAULT_DOORS).verdict is Verdict.INCOMPATIBLE


def _cost(python: str, cell: MeasuredCell, changes: Mapping[str, str]) -> tuple[bool, bool, int, list[int], list[int]]:
    """Return the sorting key of a candidate; releases are negated, so that the newest comes first."""
    transformers, peft = ([-part for part in Version(text).release] for text in (cell.transformers, cell.peft))
    return cell.python != python, "torch" in changes, len(changes), transformers, peft
