"""The nearest measured set that trains: a pure function over what is known."""

from collections.abc import Mapping

from packaging.requirements import Requirement
from packaging.version import Version

from vc2doctor.data import Data
from vc2doctor.matrix.judge import AXES, spoils, strikes
from vc2doctor.matrix.model import EvidenceLine, KnownIssue, Matrix


class Prescription(Data):
    """Requirements that make a combination one that was measured to train."""

    requirements: tuple[str, ...]
    """Exact versions, of what has to change only."""
    ground: str


def prescribe(python: str, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> Prescription | None:
    """Return the fewest changes to ``versions`` that end in a measured set under ``python``, or ``None``.

    Of equally few changes, those that leave torch alone come first (it is the largest, and tied to the driver), then
    the newest versions.
    """
    cells = [line for line in matrix.evidence if line.cell.python == python and line.trains(recipe)]
    candidates = [(line, _changes(line, versions, matrix, recipe)) for line in cells]
    wanted = [(line, changes) for line, changes in candidates if changes]
    if not wanted:
        return None
    line, changes = min(wanted, key=lambda pair: (*_cost(pair[1]), *_age(pair[0])))
    return Prescription(
        requirements=tuple(f"{name}=={version}" for name, version in changes.items()),
        ground=f"cell {line.name}, measured on {line.date} on {line.device}: it trains under {recipe}",
    )


def mends(issue: KnownIssue, python: str, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> list[str]:
    """Return the first of the issue's fixes that runs into no other known issue, as requirements."""
    for fix in issue.fix:
        after = {**versions, **_lowest(fix)}
        others = [other for other in matrix.issues if other.id != issue.id and spoils(other, recipe)]
        if not any(strikes(other, after) and not strikes(other, versions) for other in others):
            return list(fix)
    return list(issue.fix[0])


def _lowest(fix: tuple[str, ...]) -> dict[str, str]:
    """Return one version for each requirement of a fix: its lower bound stands for what will be installed."""
    found = {}
    for text in fix:
        requirement = Requirement(text)
        bounds = [spec.version for spec in requirement.specifier if spec.operator in (">=", "==", "~=")]
        if bounds:
            found[requirement.name] = max(bounds, key=Version).rstrip(".*")
    return found


def _changes(line: EvidenceLine, versions: Mapping[str, str], matrix: Matrix, recipe: str) -> dict[str, str]:
    changes = {}
    for axis in AXES:
        wanted = getattr(line.cell, axis)
        if axis not in versions or Version(Version(versions[axis]).public) != Version(Version(wanted).public):
            changes[axis] = str(Version(wanted).public)
    # pip leaves the rest as it is where that is allowed; what is then in the way is changed as well.
    for name, version in line.resolved.items():
        after = {**versions, **changes}
        if name in after and any(
            spoils(issue, recipe) and name in alternative and strikes(issue, after)
            for issue in matrix.issues
            for alternative in issue.when
        ):
            changes[name] = version
    return changes


def _cost(changes: Mapping[str, str]) -> tuple[bool, int]:
    return "torch" in changes, len(changes)


def _age(line: EvidenceLine) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (
        tuple(-part for part in Version(line.cell.transformers).release),
        tuple(-part for part in Version(line.cell.peft).release),
    )

