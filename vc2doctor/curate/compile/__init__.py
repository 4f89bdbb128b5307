"""Compile evidence, released wheels and known issues into the verdicts that the doctor judges by."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vc2doctor.core.errors import DoctorError
from vc2doctor.core.versions import STACK_PACKAGES, version
from vc2doctor.curate.compile import boundaries, crosscheck, declared
from vc2doctor.curate.compile.cells import measured_cells
from vc2doctor.curate.compile.segments import segments, spans
from vc2doctor.curate.grid.cells import CellSpec
from vc2doctor.matrix import releases as released
from vc2doctor.matrix.compiled import Constraint, Verdicts
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.load import digest
from vc2doctor.matrix.refused import refusals
from vc2doctor.matrix.releases import Wheels
from vc2doctor.target.doors import LOOP


class CompileError(DoctorError):
    """A constraint or a known issue contradicts a measurement."""


def compile_folder(folder: Path, evidence: Sequence[EvidenceLine], issues: Sequence[KnownIssue]) -> Verdicts:
    """Return the verdicts of a matrix folder; ``evidence`` and ``issues`` are its own.

    Raises:
        CompileError: a constraint or a known issue contradicts a measurement.
        MatrixError: a file cannot be used.
    """
    return compile_matrix(evidence, issues, released.read(folder / "releases.json"), digest(folder))


def compile_matrix(
    evidence: Sequence[EvidenceLine], issues: Sequence[KnownIssue], wheels: Wheels, sources: str = ""
) -> Verdicts:
    """Return the verdicts; ``sources`` is the SHA-256 of the files that they are compiled from.

    Raises:
        CompileError: a constraint or a known issue says that something fails which was measured to train.
    """
    lines = newest(evidence)
    constraints = [*_constraints(lines, wheels), *_door_constraints(lines, issues)]
    contradictions = [
        *crosscheck.contradicted_constraints(constraints, lines),
        *crosscheck.contradicted_issues(issues, lines),
    ]
    if contradictions:
        message = (
            "these statements contradict measurements; measure the cells again, or correct the statements:\n"
            + "\n".join(contradictions)
        )
        raise CompileError(message)
    releases = {axis: _known_releases(axis, wheels, lines) for axis in STACK_PACKAGES}
    segments_by_pair = segments([*constraints, *_as_constraints(issues)], lines, releases)
    measured = measured_cells(lines)
    measured_on = max((line.date for line in lines), default="")
    return Verdicts(
        sources=sources,
        measured=measured_on,
        released=wheels.date,
        unseen_releases=_uploaded_after(measured_on, wheels),
        releases={**{package: wheels.ordered(package) for package in wheels.releases}, **releases},
        constraints=tuple(constraints),
        companions=measured.companions,
        outcomes=measured.outcomes,
        cells=measured.cells,
        segments=segments_by_pair,
        spans=spans(lines, segments_by_pair),
    )


def newest(evidence: Sequence[EvidenceLine]) -> list[EvidenceLine]:
    """Return the evidence without lines that a newer measurement of the same cell replaces.

    A newer line replaces an older one if at least the same packages were installed in the same versions.
    """
    groups: dict[tuple[object, ...], list[EvidenceLine]] = defaultdict(list)
    for line in sorted(evidence, key=_age, reverse=True):
        stack = tuple(version(getattr(line.cell, axis)) for axis in STACK_PACKAGES)
        group = groups[line.cell.python, stack, line.device, line.asked]
        if not any(line.installed.items() <= newer.installed.items() for newer in group):
            group.append(line)
    return sorted(itertools.chain(*groups.values()), key=lambda line: (_age(line), line.name))


def _age(line: EvidenceLine) -> tuple[int, str]:
    return int(line.worker) if line.worker.isdecimal() else 0, line.date


def _constraints(lines: Sequence[EvidenceLine], wheels: Wheels) -> list[Constraint]:
    """Return the constraints of the wheels, then those that only the measurements show."""
    of_wheels = [crosscheck.with_measured_cells(constraint, lines) for constraint in declared.constraints(wheels)]
    of_loop = [constraint for constraint in of_wheels if constraint.door == LOOP]
    of_other_doors = [constraint for constraint in of_wheels if constraint.door != LOOP]
    # The measurements are failures of the plain loop, so only constraints of the loop can explain them.
    by_stage = [*of_loop, *boundaries.constraints([line for line in lines if not _is_refused(line, wheels)], of_loop)]
    return _with_unique_ids([*by_stage, *boundaries.joint_constraints(lines, by_stage), *of_other_doors])


def _is_refused(line: EvidenceLine, wheels: Wheels) -> bool:
    """Return whether a cell was not installed since the versions that were asked for exclude each other."""
    if line.install == "installed":
        return False
    spec = CellSpec(cell=line.cell, extras=line.asked)
    return any(refusals({**spec.pinned, "python": line.cell.python}, wheels))


def _with_unique_ids(constraints: Iterable[Constraint]) -> list[Constraint]:
    """Return the constraints with a number added to ids that occur before: an id holds only the start of a message."""
    counts: Counter[str] = Counter()
    unique = []
    for constraint in constraints:
        counts[constraint.id] += 1
        count = counts[constraint.id]
        unique.append(constraint if count == 1 else constraint.model_copy(update={"id": f"{constraint.id}.{count}"}))
    return unique


def _known_releases(axis: str, wheels: Wheels, lines: Iterable[EvidenceLine]) -> tuple[str, ...]:
    """Return the releases of a package on the index, and those that were measured, the oldest first."""
    measured = {str(version(getattr(line.cell, axis))) for line in lines}
    return tuple(sorted({*wheels.releases.get(axis, {}), *measured}, key=version))


def _uploaded_after(day: str, wheels: Wheels) -> dict[str, tuple[str, ...]]:
    """Return the releases by package that were uploaded after ``day``, an ISO date."""
    uploaded = {
        package: tuple(text for text in wheels.ordered(package) if wheels.releases[package][text].date > day)
        for package in wheels.releases
    }
    return {package: texts for package, texts in uploaded.items() if texts}


def _as_constraints(issues: Iterable[KnownIssue]) -> list[Constraint]:
    """Return the regions of known issues that make training fail: releases inside and outside behave differently."""
    return [
        Constraint(id=issue.id, kind="behaviour", reason=issue.title, when=dict(alternative))
        for issue in issues
        if issue.severity == "error" and not issue.doors
        for alternative in issue.when
    ]


def _door_constraints(lines: Sequence[EvidenceLine], issues: Iterable[KnownIssue]) -> Iterator[Constraint]:
    """Yield the constraints of the known issues that only some doors have, with the cells that were measured there."""
    for issue in issues:
        regions = [(door, number, when) for door in issue.doors for number, when in enumerate(issue.when, start=1)]
        for door, number, when in regions:
            name = f"{issue.id}-{door}" if len(issue.when) == 1 else f"{issue.id}-{door}-{number}"
            constraint = Constraint(id=name, kind="behaviour", reason=issue.title, when=dict(when), door=door)
            yield crosscheck.with_measured_cells(constraint, lines)
