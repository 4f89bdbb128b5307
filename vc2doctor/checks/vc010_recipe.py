"""The probe trained under a precision, and the training did not end well.

Two recipes decide: the precision that you chose (``--precision``, else the one of your code or profile), and the
control in float32. For these two, ``weak`` is a warning, and every other outcome but ``finite`` is an error. Bad
outcomes of the other recipes are notes. ``unsupported`` means that the recipe could not run on this device: it was not
measured, so it is never called fit.

Why it matters: what fails in a few steps of a small model fails in the real training, too. If the control fails, the
precision is not the cause.

What to do: read the cause in the evidence; ``vc2doctor explain CAUSE`` prints how to fix it. Or train in one of the
precisions that work here.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import is_explained
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

_URL = "https://pytorch.org/docs/stable/notes/amp_examples.html"
_MEANING = {
    "error": "it ended with an error",
    "poisoned": "the optimizer made parameters non-finite",
    "non-finite": "the loss or the gradients are not finite",
    "frozen": "no optimizer step was taken",
    "underflow": "many gradients are zero that are not zero in float32",
    "weak": "hardly anything moves, or the loss does not fall",
}
"""The outcomes that are reported, in words."""


def check(examination: Examination) -> Iterator[Finding]:
    """Find recipes that do not train."""
    for outcome in examination.outcomes:
        if outcome.outcome in ("finite", None):
            continue
        decides = outcome.recipe in (CONTROL, examination.plan.precision)
        if RECIPES[outcome.recipe].contradicts and not decides:
            # This recipe fails in every environment. Show it in the table; do not report it.
            continue
        if outcome.outcome == "unsupported":
            if decides:
                yield _unsupported(outcome)
        elif not _is_reported_already(examination, outcome):
            yield _failed(examination, outcome, decides=decides)


def _is_reported_already(examination: Examination, outcome: RecipeOutcome) -> bool:
    """Return whether VC005 reports the known issue that explains this outcome."""
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
        remedy="Run this command on the machine that trains.",
        commands=(f"vc2doctor check --precision {outcome.recipe} --require gpu",),
        url=_URL,
    )


def _failed(examination: Examination, outcome: RecipeOutcome, *, decides: bool) -> Finding:
    evidence = [f"{outcome.recipe}: {RECIPES[outcome.recipe].summary}", outcome.description]
    evidence.append(f"cause: {outcome.cause.description}" if outcome.cause else "cause: unknown")
    if outcome.adapters:
        evidence.append(f"trainable parameters are {' and '.join(outcome.adapters)}")
    remedy, commands = _remedy(examination, outcome)
    severity = Severity.NOTE
    if decides:
        severity = Severity.WARNING if outcome.outcome == "weak" else Severity.ERROR
    return Finding(
        id="VC010",
        severity=severity,
        message=f"{outcome.recipe} does not train: {_MEANING[str(outcome.outcome)]} ({outcome.outcome})",
        evidence=(*evidence, *advice.matrix_evidence(examination)),
        remedy=remedy,
        commands=commands,
        url=_URL,
    )


def _remedy(examination: Examination, outcome: RecipeOutcome) -> tuple[str, tuple[str, ...]]:
    """Return the remedy and its commands.

    A precision that works here comes first, because it was seen to work. Without one, the user's own function or
    checkpoint is at fault if there is one: the same installed versions trained other models.
    """
    cause_remedy = f"{outcome.cause.remedy} " if outcome.cause else ""
    good = examination.good_recipes
    if outcome.recipe != CONTROL and good:
        verb = "Or train" if cause_remedy else "Train"
        remedy = f"{cause_remedy}{verb} in a precision that works here: {', '.join(good)}."
        return remedy, (_probe_command(examination, good[0]),)
    control_failed = "float32 fails as well, so precision is not the cause. " if outcome.recipe == CONTROL else ""
    if examination.plan.custom_subject is not None:
        remedy = f"{control_failed}{cause_remedy or _where_to_start(examination, outcome)}".strip()
        return remedy, (_probe_command(examination, examination.plan.precision),)
    remedy, commands = _change_versions(examination, outcome)
    return f"{control_failed}{cause_remedy}{remedy}", commands


def _change_versions(examination: Examination, outcome: RecipeOutcome) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for versions: an exception may ask for one."""
    run = examination.probe.recipe(outcome.recipe) if examination.probe else None
    if run is not None and run.failure is not None:
        return advice.install_what_fails(examination, run.failure.error)
    return advice.change_versions(examination)


def _where_to_start(examination: Examination, outcome: RecipeOutcome) -> str:
    """Return the sentence for an unknown cause: it names the line or the operation that failed, if one is known."""
    run = examination.probe.recipe(outcome.recipe) if examination.probe else None
    failure = run.failure.error if run is not None and run.failure is not None else None
    if failure is not None and failure.file is not None:
        return f"Cause unknown. Start at {failure.file}:{failure.line}."
    if outcome.where is not None:
        return f"Cause unknown. Start at {outcome.where.op} in {outcome.where.module or 'the model itself'}."
    return "Cause unknown. Start with the evidence above."


def _probe_command(examination: Examination, precision: str) -> str:
    plan = examination.plan
    if plan.custom_subject is None:
        return f"vc2doctor check --precision {precision}"
    train = "" if plan.entry is not None else " --train"
    return f"{advice.probe_subject_command(examination)}{train} --precision {precision}"
