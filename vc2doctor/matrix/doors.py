"""Judge a combination by door: the plain loop is judged first, and each door may need more than it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, holds, version
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.matrix.compiled import Constraint, MeasuredCell, Verdicts
from vc2doctor.matrix.door_table import DOORS, FAILED, PASSED, lineage
from vc2doctor.matrix.verdict import Combination, DoorJudgement, Judgement, Verdict
from vc2doctor.target.doors import COMMON_DOORS, LOOP

DOORS_NOT_MEASURED = "doors that were not measured"
"""Begins the uncertainty of a verdict that is open for nothing but doors without a measurement."""
MAX_REASONS = 2
"""Known issues and constraints in the reason of a verdict: one suffices to decide, and a second helps to find a fix."""


def judge_doors(
    combination: Combination, verdicts: Verdicts, recipe: str, loop: Verdict, wanted: Sequence[str]
) -> tuple[DoorJudgement, ...]:
    """Return the verdicts on the doors ``wanted``, and on the others that concern a combination.

    ``loop`` is the verdict on the plain loop. Another door concerns a complete environment if all its packages are
    installed, and a list of some packages if it is ruled out, or if a package of its own is named.
    """
    measurements = _measurements(combination, verdicts, recipe)
    judgements = []
    for door in dict.fromkeys((*wanted, *COMMON_DOORS)):
        if door == LOOP:
            continue
        measurement = measurements.get(door)
        constraints = _ruling_out(door, combination, verdicts, recipe)
        if measurement is not None and measurement.outcome == PASSED:
            # A passed door refutes a constraint, except one about a package that the cell did not have.
            constraints = [entry for entry in constraints if is_beyond(entry.when, measurement.had)]
        measured = None if constraints else _measured(door, measurement, loop)
        judgement = measured or _inferred(door, constraints, loop)
        if door in wanted or _concerns(door, combination, judgement):
            judgements.append(judgement)
    return tuple(judgements)


def _concerns(door: str, combination: Combination, judgement: DoorJudgement) -> bool:
    packages = DOORS[door].packages
    if combination.installed:
        return all(name in combination.versions for name in packages)
    is_named = any(name in combination.versions for name in packages)
    return judgement.verdict is Verdict.INCOMPATIBLE or is_named


class _Measurement(NamedTuple):
    """How a door ended in a cell, and which packages the cell had."""

    outcome: str
    had: frozenset[str]


def _measured(door: str, measurement: _Measurement | None, loop: Verdict) -> DoorJudgement | None:
    """Return the verdict of a measurement of the door; ``None``: there is none of exactly these versions."""
    if measurement is None:
        return None
    if measurement.outcome == PASSED and loop is Verdict.VERIFIED:
        return DoorJudgement(door=door, verdict=Verdict.VERIFIED, reason=f"{title(door)} was measured, and passed")
    if measurement.outcome == FAILED:
        return DoorJudgement(door=door, verdict=Verdict.INCOMPATIBLE, reason=f"{title(door)} was measured, and failed")
    return None


def _inferred(door: str, constraints: Sequence[Constraint], loop: Verdict) -> DoorJudgement:
    """Return the verdict of the constraints against the door; without any, the door is judged like the loop."""
    if constraints:
        return DoorJudgement(
            door=door,
            verdict=Verdict.INCOMPATIBLE,
            reason="; ".join(describe(constraint) for constraint in constraints[:MAX_REASONS]),
            constraints=tuple(constraint.id for constraint in constraints),
        )
    is_open = loop is Verdict.UNVERIFIED or _needs_more_than_the_stack(door)
    verdict = Verdict.UNVERIFIED if is_open else Verdict.COMPATIBLE
    reason = f"{title(door)} was not measured with these versions, and no conflict is known"
    return DoorJudgement(door=door, verdict=verdict, reason=reason)


def _needs_more_than_the_stack(door: str) -> bool:
    """Return whether a door needs packages whose releases are measured too rarely to infer from their neighbors.

    Wheels show missing names and keywords. They do not show that a trainer of trl calls a method of transformers in
    another way, and that is how most pairs of releases of these packages fail.
    """
    names = {name for each in lineage(door) if each in DOORS for name in DOORS[each].packages}
    return not names <= set(COMPANION_PACKAGES)


def _ruling_out(door: str, combination: Combination, verdicts: Verdicts, recipe: str) -> list[Constraint]:
    """Return the constraints that rule a door out, without those of the loop."""
    doors = tuple(name for name in lineage(door) if name != LOOP)
    candidates = verdicts.constraints_for(recipe, installed=combination.installed, doors=doors)
    named = combination.named
    return [constraint for constraint in candidates if holds(constraint.when, named)]


def _measurements(combination: Combination, verdicts: Verdicts, recipe: str) -> Mapping[str, _Measurement]:
    """Return how each door ended in the cell that is most like a combination.

    For an incomplete list, a door that passed in any of the sets comes first: the list can be completed to that set.
    """
    found: dict[str, _Measurement] = {}
    for cell in sorted(same_stack(combination, verdicts), key=lambda each: len(each.beside)):
        how = verdicts.outcomes[cell.how]
        if recipe not in how.trains or not agrees(combination, cell, verdicts):
            continue
        if not _has(combination, cell.beside):
            continue
        had = had_by(cell, verdicts) | cell.beside.keys()
        for door, outcome in how.doors.items():
            if combination.installed or outcome != FAILED:
                found[door] = _Measurement(outcome, had)
            elif speaks_for(combination, cell):
                found.setdefault(door, _Measurement(outcome, had))
    return found


def _has(combination: Combination, versions: Mapping[str, str]) -> bool:
    """Return whether a combination has, or can be completed to have, all of ``versions``."""
    named = combination.named
    return all(named[name] == text if name in named else not combination.installed for name, text in versions.items())


def speaks_for(combination: Combination, cell: MeasuredCell) -> bool:
    """Return whether a failed cell of the same stack is a fact about a combination that it agrees with.

    A cell that failed with an old accelerate, chosen on purpose, says nothing about a list without accelerate.
    """
    return combination.installed or set(cell.asked) <= combination.versions.keys()


def had_by(cell: MeasuredCell, verdicts: Verdicts) -> frozenset[str]:
    """Return the packages that a cell had, without those that only doors need."""
    return frozenset({"python", *STACK_PACKAGES, *verdicts.companions[cell.companions]})


def is_beyond(when: Mapping[str, str], had: frozenset[str]) -> bool:
    """Return whether a region is about a package that must be there, and that a measured cell did not have."""
    return any(name not in had for name, text in when.items() if text != ABSENT)


def with_doors(judgement: Judgement, wanted: Sequence[DoorJudgement]) -> Judgement:
    """Return the verdict on the loop and the doors ``wanted`` together."""
    failing = [entry for entry in wanted if entry.verdict is Verdict.INCOMPATIBLE]
    if failing:
        reasons = [f"{title(entry.door)} fails: {entry.reason}" for entry in failing]
        constraints = dict.fromkeys(name for entry in failing for name in entry.constraints)
        return Judgement(
            verdict=Verdict.INCOMPATIBLE,
            reason="; ".join(dict.fromkeys(reasons)),
            constraints=tuple(constraints),
            conditions=judgement.conditions,
        )
    unverified = [entry for entry in wanted if entry.verdict is Verdict.UNVERIFIED]
    if unverified and judgement.verdict is not Verdict.UNVERIFIED:
        reason = "; ".join(entry.reason for entry in unverified)
        return Judgement(
            verdict=Verdict.UNVERIFIED,
            reason=reason,
            conditions=judgement.conditions,
            uncertainty=f"{DOORS_NOT_MEASURED}: {', '.join(entry.door for entry in unverified)}",
        )
    unmeasured = [title(entry.door) for entry in wanted if entry.verdict is not Verdict.VERIFIED]
    if judgement.verdict is Verdict.VERIFIED and unmeasured:
        reason = f"{judgement.reason}; not measured with these versions: {', '.join(unmeasured)}"
        return judgement.model_copy(update={"verdict": Verdict.COMPATIBLE, "reason": reason})
    return judgement


def title(door: str) -> str:
    """Return the name of a door in a sentence."""
    return DOORS[door].title if door in DOORS else door


def excluded(judgement: Judgement) -> Iterator[str]:
    """Yield each door that is ruled out beside a verdict, with its reason: ``not with trl's DPOTrainer: ...``."""
    for entry in judgement.doors:
        if entry.verdict is Verdict.INCOMPATIBLE:
            yield f"not with {title(entry.door)}: {entry.reason}"


def open_doors(judgement: Judgement) -> tuple[str, ...]:
    """Return the names of the doors that a verdict does not cover, since nothing shows whether they work."""
    is_settled = judgement.verdict in (Verdict.VERIFIED, Verdict.COMPATIBLE)
    return tuple(title(each.door) for each in judgement.doors if is_settled and each.verdict is Verdict.UNVERIFIED)


def describe(constraint: Constraint) -> str:
    """Return the reason of a constraint, with the measured cells at its boundary."""
    statements = [constraint.reason]
    if constraint.failed:
        statements.append(f"measured failures: {', '.join(constraint.failed)}")
    if constraint.works:
        statements.append(f"nearest measured successes: {', '.join(constraint.works)}")
    return "; ".join(statements)


def agrees(combination: Combination, cell: MeasuredCell, verdicts: Verdicts) -> bool:
    """Return whether Python and the companions of a cell of the same stack are those of the combination."""
    companions = verdicts.companions[cell.companions]
    if combination.installed and not companions:
        return False
    return _has(combination, {**companions, "python": cell.python})


def same_stack(combination: Combination, verdicts: Verdicts) -> list[MeasuredCell]:
    """Return the measured cells of the same torch, transformers and peft."""
    if not all(axis in combination.versions for axis in STACK_PACKAGES):
        return []
    return verdicts.cells_by_stack.get(tuple(version(combination.versions[axis]) for axis in STACK_PACKAGES), [])
