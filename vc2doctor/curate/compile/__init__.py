"""Turns evidence, released wheels and known issues into what the doctor judges by."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from vc2doctor.core.errors import DoctorError
from vc2doctor.core.versions import STACK_PACKAGES, holds, specifier, version
from vc2doctor.curate.compile import boundaries, declared
from vc2doctor.curate.compile.segments import segments, spans
from vc2doctor.matrix import releases as wheels_of
from vc2doctor.matrix.compiled import CellOutcome, Constraint, MeasuredCell, Verdicts
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.load import digest
from vc2doctor.matrix.releases import Wheels
from vc2doctor.target.shared.recipes import RECIPES


class CompileError(DoctorError):
    """What is known contradicts itself."""


def compile_matrix(
    evidence: Sequence[EvidenceLine], issues: Sequence[KnownIssue], wheels: Wheels, sources: str = ""
) -> Verdicts:
    """Return what to judge by.

    Raises:
        CompileError: a constraint or a known issue says that something fails which was measured to train.
    """
    lines = newest(evidence)
    said = [_cited(constraint, lines) for constraint in declared.constraints(wheels)]
    single = [*said, *boundaries.constraints(lines, said)]
    found = _told_apart([*single, *boundaries.together(lines, single)])
    contradictions = [*_contradictions(found, lines), *_refuted(issues, lines)]
    if contradictions:
        message = "what is known contradicts what was measured:\n" + "\n".join(contradictions)
        raise CompileError(message)
    releases = {axis: _known(axis, wheels, lines) for axis in STACK_PACKAGES}
    parts = segments([*found, *_parting(issues)], lines, releases)
    companions, outcomes, cells = _cells(lines)
    return Verdicts(
        sources=sources,
        releases=releases,
        constraints=tuple(found),
        companions=companions,
        outcomes=outcomes,
        cells=cells,
        segments=parts,
        spans=spans(lines, parts),
    )


def newest(evidence: Sequence[EvidenceLine]) -> list[EvidenceLine]:
    """Return the lines that stand: where a cell was measured again in the same way, its last measurement.

    The same way means that the newer line resolved to all that the older one tells, and perhaps tells more.
    """
    groups: dict[tuple[object, ...], list[EvidenceLine]] = defaultdict(list)
    for line in sorted(evidence, key=_age, reverse=True):
        stack = tuple(version(getattr(line.cell, axis)) for axis in STACK_PACKAGES)
        group = groups[line.cell.python, stack, line.device, line.asked]
        if not any(line.resolved.items() <= newer.resolved.items() for newer in group):
            group.append(line)
    return sorted(itertools.chain(*groups.values()), key=lambda line: (_age(line), line.name))


def _age(line: EvidenceLine) -> tuple[int, str]:
    return int(line.worker) if line.worker.isdecimal() else 0, line.date


def compile_folder(folder: Path, evidence: Sequence[EvidenceLine], issues: Sequence[KnownIssue]) -> Verdicts:
    """Return what to judge by, from the files of a matrix folder.

    Raises:
        CompileError: what is known contradicts itself.
        MatrixError: a file cannot be used.
    """
    return compile_matrix(evidence, issues, wheels_of.read(folder / "releases.json"), digest(folder))


def _told_apart(found: Iterable[Constraint]) -> list[Constraint]:
    """Return constraints with an identifier for each: failures that differ may begin with the same words."""
    counts: Counter[str] = Counter()
    unique = []
    for one in found:
        counts[one.id] += 1
        count = counts[one.id]
        unique.append(one if count == 1 else one.model_copy(update={"id": f"{one.id}.{count}"}))
    return unique


def _known(axis: str, wheels: Wheels, lines: Iterable[EvidenceLine]) -> tuple[str, ...]:
    measured = {str(version(getattr(line.cell, axis))) for line in lines}
    return tuple(sorted({*wheels.releases.get(axis, {}), *measured}, key=version))


def _cited(constraint: Constraint, lines: Sequence[EvidenceLine]) -> Constraint:
    """Return a constraint of the wheels with the cells that were measured to fail by it, and beyond it to work."""
    failed = [line.name for line in lines if line.import_failure and holds(constraint.when, line.versions)]
    works = [name for axis in constraint.when for name in _beyond(constraint, axis, lines)]
    return constraint.model_copy(
        update={
            "failed": tuple(dict.fromkeys([*failed[:1], *failed[-1:]])),
            "works": tuple(dict.fromkeys(works)),
        }
    )


def _beyond(constraint: Constraint, axis: str, lines: Sequence[EvidenceLine]) -> list[str]:
    """Return the nearest measured cells that work on either side of a constraint along one axis."""
    rest = {name: text for name, text in constraint.when.items() if name != axis}
    good = [line for line in lines if line.trains("fp32") and axis in line.versions and holds(rest, line.versions)]
    row = sorted((version(line.versions[axis]), line.name) for line in good)
    sides = [one for one in specifier(constraint.when[axis]) if one.operator != "!="]
    low = min((version(one.version) for one in sides if one.operator in (">=", ">", "==")), default=None)
    high = max((version(one.version) for one in sides if one.operator in ("<=", "<", "==")), default=None)
    below = [name for found, name in row if low is not None and found < low]
    above = [name for found, name in row if high is not None and found > high]
    return [*below[-1:], *above[:1]]


def _contradictions(found: Iterable[Constraint], lines: Sequence[EvidenceLine]) -> list[str]:
    told = []
    for constraint in found:
        for line in lines:
            if constraint.kind == "install" and line.trains("fp32") and holds(constraint.when, line.versions):
                told.append(f"{constraint.id}: {constraint.reason}; yet {line.name} was installed")
            elif constraint.kind != "install" and holds(constraint.when, line.versions):
                told += [
                    f"{constraint.id}: {constraint.reason}; yet {line.name} trains under {recipe}"
                    for recipe in (constraint.recipes or ("fp32",))
                    if _worked(line, recipe)
                ][:1]
    return told


def _worked(line: EvidenceLine, recipe: str) -> bool:
    return line.trains("fp32") is True and line.recipes.get(recipe) == "finite"


def _refuted(issues: Iterable[KnownIssue], lines: Sequence[EvidenceLine]) -> list[str]:
    return [
        f"known issue {issue.id}: {issue.title}; yet {line.name} trains under {recipe}"
        for issue in issues
        if issue.severity == "error" and issue.probe_sees
        for line in lines
        if issue.applies_to(line.versions)
        for recipe in (issue.recipes or ("fp32",))
        if _worked(line, recipe)
    ]


def _parting(issues: Iterable[KnownIssue]) -> list[Constraint]:
    """Return the known issues that decide, as far as they part releases."""
    return [
        Constraint(id=issue.id, kind="behaviour", reason=issue.title, when=dict(alternative))
        for issue in issues
        if issue.severity == "error"
        for alternative in issue.when
    ]


def _cells(
    lines: Sequence[EvidenceLine],
) -> tuple[tuple[dict[str, str], ...], tuple[CellOutcome, ...], tuple[MeasuredCell, ...]]:
    companions: dict[str, tuple[int, dict[str, str]]] = {}
    outcomes: dict[str, tuple[int, CellOutcome]] = {}
    cells = []
    for line in lines:
        resolved = dict(sorted(line.resolved.items()))
        how = _how(line)
        cells.append(
            MeasuredCell(
                name=line.name,
                date=line.date,
                device=line.device,
                **line.cell.model_dump(),
                companions=companions.setdefault(str(resolved), (len(companions), resolved))[0],
                how=outcomes.setdefault(how.model_dump_json(), (len(outcomes), how))[0],
            )
        )
    return (
        tuple(found for _, found in companions.values()),
        tuple(found for _, found in outcomes.values()),
        tuple(cells),
    )


def _how(line: EvidenceLine) -> CellOutcome:
    verdicts = {recipe: line.trains(recipe) for recipe in RECIPES}
    return CellOutcome(
        trains=tuple(recipe for recipe, good in verdicts.items() if good),
        fails={recipe: _failure(line, recipe) for recipe, good in verdicts.items() if good is False},
    )


def _failure(line: EvidenceLine, recipe: str) -> str:
    if line.install != "installed":
        return f"nothing can be installed ({line.install})"
    if line.import_failure is not None:
        return f"import fails: {line.import_failure.message}"
    for name in ("fp32", recipe):
        outcome = line.recipes.get(name)
        if outcome not in ("finite", "unsupported", None):
            message = f" ({line.failures[name].message})" if name in line.failures else ""
            return f"{name} ends {outcome}{message}"
    failure = f" ({line.adapter_failure.message})" if line.adapter_failure else ""
    return f"save, reload and generate end {line.adapter}{failure}"
