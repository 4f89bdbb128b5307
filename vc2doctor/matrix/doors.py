"""Judge a combination by door: the plain loop is judged first, and each door may need more than it."""

from collections.abc import Iterator, Mapping, Sequence

from vc2doctor.core.versions import STACK_PACKAGES, holds, version
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.matrix.compiled import Constraint, MeasuredCell, Verdicts
from vc2doctor.matrix.door_table import DOORS, FAILED, PASSED, lineage
from vc2doctor.matrix.verdict import Combination, DoorJudgement, Judgement, Verdict
from vc2doctor.target.doors import LOOP

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
    outcomes = _measured_outcomes(combination, verdicts, recipe)
    judgements = []
    for door in dict.fromkeys((*wanted, *DOORS)):
        if door == LOOP:
            continue
        judgement = _measured(door, outcomes.get(door), loop) or _inferred(
            door, _ruling_out(door, combination, verdicts, recipe) if outcomes.get(door) != PASSED else [], loop
        )
        if door in wanted or _concerns(door, combination, judgement):
            judgements.append(judgement)
    return tuple(judgements)


def _concerns(door: str, combination: Combination, judgement: DoorJudgement) -> bool:
    packages = DOORS[door].packages
    if combination.installed:
        return all(name in combination.versions for name in packages)
    is_named = any(name in combination.versions for name in packages)
    return judgement.verdict is Verdict.INCOMPATIBLE or is_named


def _measured(door: str, outcome: str | None, loop: Verdict) -> DoorJudgement | None:
    """Return the verdict of a measurement of the door; ``None``: there is none of exactly these versions."""
    if outcome == PASSED and loop is Verdict.VERIFIED:
        return DoorJudgement(door=door, verdict=Verdict.VERIFIED, reason=f"{title(door)} was measured, and passed")
    if outcome == FAILED:
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
    return [constraint for constraint in candidates if holds(constraint.when, combination.named)]


def _measured_outcomes(combination: Combination, verdicts: Verdicts, recipe: str) -> Mapping[str, str]:
    """Return how each door ended in the newest measurements of exactly this combination."""
    outcomes: dict[str, str] = {}
    for cell in same_stack(combination, verdicts):
        outcome = verdicts.outcomes[cell.how]
        if recipe in outcome.trains and agrees(combination, cell, verdicts):
            outcomes.update(outcome.doors)
    return outcomes


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
    named = combination.named
    if combination.installed and not companions:
        return False
    return all(
        named[name] == text if name in named else not combination.installed
        for name, text in {**companions, "python": cell.python}.items()
    )


def same_stack(combination: Combination, verdicts: Verdicts) -> list[MeasuredCell]:
    """Return the measured cells of the same torch, transformers and peft."""
    if not all(axis in combination.versions for axis in STACK_PACKAGES):
        return []
    return verdicts.cells_by_stack.get(tuple(version(combination.versions[axis]) for axis in STACK_PACKAGES), [])
