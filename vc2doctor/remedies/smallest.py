"""The nearest measured set that trains: a pure function over what is known."""

from collections.abc import Iterator, Mapping

from packaging.requirements import Requirement
from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES, holds
from vc2doctor.matrix.compiled import MeasuredCell
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix


class Remedy(Data):
    """Requirements that make a combination one that was measured to train."""

    requirements: tuple[str, ...]
    """Exact versions, of what has to change only."""
    reason: str


def smallest_remedies(
    python: str, versions: Mapping[str, str], matrix: Matrix, recipe: str, most: int = 2
) -> tuple[Remedy, ...]:
    """Return up to ``most`` ways to change ``versions`` into a measured set, the fewest changes first.

    Sets measured under the same Python come first, then those that leave torch alone (it is the largest, and tied to
    the driver), then the newest. The ways differ in the packages that they change: raise one, or lower the other.
    """
    found: dict[tuple[str, ...], Remedy] = {}
    for line, changes in sorted(_candidates(versions, matrix, recipe), key=lambda pair: _cost(python, *pair)):
        if tuple(changes) in found or _fails(python, {**versions, **changes}, matrix, recipe):
            continue
        reason = f"cell {line.name}, measured on {line.date} on {line.device} under Python {line.python}"
        requirements = tuple(f"{name}=={version}" for name, version in changes.items())
        found[tuple(changes)] = Remedy(requirements=requirements, reason=reason)
    ways = [way for packages, way in found.items() if not any(set(other) < set(packages) for other in found)]
    return tuple(ways[:most])


def best_fix(issue: KnownIssue, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> tuple[str, ...]:
    """Return the first of the issue's fixes that ends in no known issue; failing that, in no new one."""
    others = [other for other in matrix.issues if other.id != issue.id and other.blocks(recipe)]
    for known in ((), tuple(other for other in others if other.applies_to(versions))):
        for fix in issue.fix:
            after = {**versions, **_lowest(fix)}
            if not any(other.applies_to(after) and other not in known for other in others):
                return fix
    return issue.fix[0]


def _candidates(
    versions: Mapping[str, str], matrix: Matrix, recipe: str
) -> Iterator[tuple[MeasuredCell, dict[str, str]]]:
    known = matrix.verdicts
    for line in known.cells:
        if recipe in known.outcomes[line.how].trains:
            changes = _changes(line, versions, matrix, recipe)
            if changes:
                yield line, changes


def _lowest(fix: tuple[str, ...]) -> dict[str, str]:
    """Return one version for each requirement of a fix: its lower bound stands for what will be installed."""
    found = {}
    for text in fix:
        requirement = Requirement(text)
        bounds = [spec.version for spec in requirement.specifier if spec.operator in (">=", "==", "~=")]
        if bounds:
            found[requirement.name] = max(bounds, key=Version).rstrip(".*")
    return found


def _changes(line: MeasuredCell, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> dict[str, str]:
    changes: dict[str, str] = {}
    for axis in STACK_PACKAGES:
        wanted = Version(getattr(line, axis)).public
        if axis not in versions or Version(Version(versions[axis]).public) != Version(wanted):
            changes[axis] = wanted
    # pip leaves the rest as it is where that is allowed; what is then in the way has to change as well.
    there = matrix.verdicts.companions[line.companions]
    while (
        stuck := _in_the_way({**versions, **changes}, matrix, recipe) & versions.keys() & there.keys() - changes.keys()
    ):
        name = min(stuck)
        changes[name] = there[name]
    return changes


def _in_the_way(versions: Mapping[str, str], matrix: Matrix, recipe: str) -> set[str]:
    """Return what the known issues and constraints that strike are about."""
    issues = [issue for issue in matrix.issues if issue.blocks(recipe) and issue.applies_to(versions)]
    constraints = [one for one in matrix.verdicts.constraints_for(recipe, installed=True) if holds(one.when, versions)]
    whens = [when for issue in issues for when in issue.when] + [one.when for one in constraints]
    return {name for when in whens for name in when}


def _fails(python: str, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> bool:
    combination = Combination(python=python or None, versions=dict(versions), installed=bool(python))
    return judge(combination, matrix, recipe).verdict is Verdict.INCOMPATIBLE


def _cost(python: str, line: MeasuredCell, changes: Mapping[str, str]) -> tuple[bool, bool, int, list[int], list[int]]:
    newest = [[-part for part in Version(version).release] for version in (line.transformers, line.peft)]
    return line.python != python, "torch" in changes, len(changes), newest[0], newest[1]
