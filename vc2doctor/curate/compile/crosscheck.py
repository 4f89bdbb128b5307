"""Compare constraints and known issues with the evidence: name the measured cells, and find contradictions."""

from collections.abc import Iterable, Sequence

from vc2doctor.core.versions import ABSENT, holds, specifier, version
from vc2doctor.curate.evidence import DOOR_PACKAGES
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.door_table import FAILED, PASSED
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.target.doors import LOOP


def with_measured_cells(constraint: Constraint, lines: Sequence[EvidenceLine]) -> Constraint:
    """Return a constraint of the wheels with the cells that were measured to fail in its region and to work outside."""
    if constraint.door != LOOP:
        lines = [line for line in lines if constraint.door in line.door_outcomes]
    failed = [line.name for line in lines if _fails(line, constraint.door) and holds(constraint.when, line.versions)]
    axes = [axis for axis, text in constraint.when.items() if text != ABSENT]
    works = [name for axis in axes for name in _nearest_successes(constraint, axis, lines)]
    first_and_last = [*failed[:1], *failed[-1:]]
    return constraint.model_copy(
        update={"failed": tuple(dict.fromkeys(first_and_last)), "works": tuple(dict.fromkeys(works))}
    )


def _fails(line: EvidenceLine, door: str) -> bool:
    return line.import_failure is not None if door == LOOP else line.door_outcomes.get(door) == FAILED


def _nearest_successes(constraint: Constraint, axis: str, lines: Sequence[EvidenceLine]) -> list[str]:
    """Return the names of the nearest cells below and above a region along one axis that train in float32."""
    others = {name: text for name, text in constraint.when.items() if name != axis}
    training = [
        line
        for line in lines
        if line.trains("fp32")
        and _passes(line, constraint.door)
        and axis in line.versions
        and holds(others, line.versions)
    ]
    row = sorted((version(line.versions[axis]), line.name) for line in training)
    bounds = [bound for bound in specifier(constraint.when[axis]) if bound.operator != "!="]
    low = min((version(bound.version) for bound in bounds if bound.operator in (">=", ">", "==")), default=None)
    high = max((version(bound.version) for bound in bounds if bound.operator in ("<=", "<", "==")), default=None)
    below = [name for release, name in row if low is not None and release < low]
    above = [name for release, name in row if high is not None and release > high]
    return [*below[-1:], *above[:1]]


def _passes(line: EvidenceLine, door: str) -> bool:
    return door == LOOP or line.door_outcomes.get(door) == PASSED


def contradicted_constraints(constraints: Iterable[Constraint], lines: Sequence[EvidenceLine]) -> list[str]:
    """Return a description of every constraint and cell that contradict each other: it should fail, and it works."""
    contradictions = []
    for constraint in constraints:
        for line in lines:
            if not _passes(line, constraint.door) or not holds(constraint.when, line.versions):
                continue
            if not _records_absence(line, constraint):
                continue
            if constraint.kind == "install":
                if line.trains("fp32"):
                    contradictions.append(f"{constraint.id}: {constraint.reason}; but cell {line.name} was installed")
                continue
            recipes = [recipe for recipe in constraint.recipes or ("fp32",) if _succeeds(line, recipe)]
            contradictions += [
                f"{constraint.id}: {constraint.reason}; but cell {line.name} trains under {recipe}"
                for recipe in recipes[:1]
            ]
    return contradictions


def _records_absence(line: EvidenceLine, constraint: Constraint) -> bool:
    """Return whether a line would name the packages that must be absent: it names few of what was installed."""
    named = {*COMPANION_PACKAGES, *(DOOR_PACKAGES if line.doors is not None else ())}
    return all(name in named for name, text in constraint.when.items() if text == ABSENT)


def contradicted_issues(issues: Iterable[KnownIssue], lines: Sequence[EvidenceLine]) -> list[str]:
    """Return a description of every known issue that the probe should run into, with each cell that trains anyway."""
    return [
        f"known issue {issue.id}: {issue.title}; but cell {line.name} trains under {recipe}"
        for issue in issues
        if issue.severity == "error" and issue.probe_sees and not issue.doors
        for line in lines
        if issue.applies_to(line.versions)
        for recipe in (issue.recipes or ("fp32",))
        if _succeeds(line, recipe)
    ]


def _succeeds(line: EvidenceLine, recipe: str) -> bool:
    return line.trains("fp32") is True and line.recipes.get(recipe) == "finite"
