"""The probe's training under a precision does not end well.

The recipe that decides (``--precision``, else the profile's) and the control in float32 decide: any outcome but
``finite`` is an error there (``weak`` a warning). If the control fails, precision is not the cause. The other recipes
are information; a bad outcome of theirs is a note. ``unsupported`` was not measured and is never called fit.
"""

import shlex
from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import is_explained
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

_URL = "https://pytorch.org/docs/stable/notes/amp_examples.html"


def check(examination: Examination) -> Iterator[Finding]:
    """Find recipes that do not train."""
    for outcome in examination.outcomes:
        if outcome.outcome in ("finite", None):
            continue
        decides = outcome.recipe in (CONTROL, examination.plan.precision)
        if RECIPES[outcome.recipe].contradicts and not decides:
            # It goes wrong whatever is installed: a row of the probe, and no finding.
            continue
        if outcome.outcome == "unsupported":
            if decides:
                yield _unsupported(outcome)
        elif not _known(examination, outcome):
            yield _bad(examination, outcome, decides=decides)


def _known(examination: Examination, outcome: RecipeOutcome) -> bool:
    """Return whether a known issue has said it already."""
    if examination.plan.custom_subject is None and any(outcome.recipe in issue.recipes for issue in examination.issues):
        return True
    run = examination.probe.recipe(outcome.recipe) if examination.probe else None
    return run is not None and run.failure is not None and is_explained(examination, run.failure.error)


def _unsupported(outcome: RecipeOutcome) -> Finding:
    return Finding(
        id="VC010",
        severity=Severity.WARNING,
        message=f"{outcome.recipe} cannot run on this device, so it was not measured",
        evidence=(outcome.description,),
        remedy="Run it on the machine that trains.",
        commands=(f"vc2doctor check --precision {outcome.recipe} --require gpu",),
        url=_URL,
    )


def _mend(examination: Examination, outcome: RecipeOutcome) -> tuple[str, tuple[str, ...]]:
    good = examination.good_recipes
    remedy = f"{outcome.cause.remedy} " if outcome.cause else ""
    if outcome.recipe != CONTROL and good:
        remedy = f"{remedy}{'Or train' if remedy else 'Train'} in a precision that works here: {', '.join(good)}."
        return remedy, (_again(examination, good[0]),)
    failed = "float32 fails as well, so precision is not the cause. " if outcome.recipe == CONTROL else ""
    if examination.plan.custom_subject is not None:
        # What is installed trained elsewhere; the fault is in what was given.
        remedy = f"{failed}{remedy or 'No test decides why: look at the place that is named.'}".strip()
        return remedy, (_again(examination, examination.plan.precision),)
    remedy, ways = advice.install_nearest(examination)
    return f"{failed}{remedy}{remedy}", ways


def _again(examination: Examination, precision: str) -> str:
    plan = examination.plan
    if plan.entry is not None:
        return f"vc2doctor probe --entry {plan.entry} --precision {precision}"
    if plan.checkpoint is not None:
        return f"vc2doctor probe --model {shlex.quote(plan.checkpoint)} --train --precision {precision}"
    return f"vc2doctor check --precision {precision}"


def _bad(examination: Examination, outcome: RecipeOutcome, *, decides: bool) -> Finding:
    evidence = [f"{outcome.recipe}: {RECIPES[outcome.recipe].summary}", outcome.description]
    evidence.append(f"why: {outcome.cause.description}" if outcome.cause else "why: no test decides")
    if outcome.adapters:
        evidence.append(f"trainable parameters are {' and '.join(outcome.adapters)}")
    if examination.judgement is not None:
        evidence.append(f"matrix: {examination.judgement.verdict.value}; {examination.judgement.reason}")
    remedy, ways = _mend(examination, outcome)
    severity = Severity.NOTE
    if decides:
        severity = Severity.WARNING if outcome.outcome == "weak" else Severity.ERROR
    return Finding(
        id="VC010",
        severity=severity,
        message=f"{outcome.recipe} does not train: {outcome.outcome}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=ways,
        url=_URL,
    )
