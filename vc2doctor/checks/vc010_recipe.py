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

from collections.abc import Iterable, Iterator, Sequence

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import is_explained
from vc2doctor.core.failure import Failure
from vc2doctor.core.wording import enumerated
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
    for group in _groups(examination.outcomes):
        # One fault that shows under several recipes is one finding. The one that decides speaks for the others.
        outcome = next((each for each in group if _decides(examination, each)), group[0])
        decides = _decides(examination, outcome)
        if RECIPES[outcome.recipe].contradicts and not decides:
            # This recipe fails in every environment. Show it in the table; do not report it.
            continue
        if outcome.outcome == "unsupported":
            if decides:
                yield _unsupported(examination, outcome)
        elif not _is_reported_already(examination, outcome):
            yield _failed(examination, outcome, group)


def _groups(outcomes: Sequence[RecipeOutcome]) -> Iterable[list[RecipeOutcome]]:
    """Return the outcomes that are not good; those with the same outcome for the same reason are in one group."""
    groups: dict[tuple[object, ...], list[RecipeOutcome]] = {}
    for outcome in outcomes:
        if outcome.outcome not in ("finite", None):
            groups.setdefault((outcome.outcome, outcome.description, outcome.cause), []).append(outcome)
    return groups.values()


def _decides(examination: Examination, outcome: RecipeOutcome) -> bool:
    return outcome.recipe in (CONTROL, examination.plan.precision)


def _is_reported_already(examination: Examination, outcome: RecipeOutcome) -> bool:
    """Return whether VC005 reports the known issue that explains this outcome."""
    if examination.plan.custom_subject is None and any(outcome.recipe in issue.recipes for issue in examination.issues):
        return True
    error = _error(examination, outcome)
    return error is not None and is_explained(examination, error)


def _error(examination: Examination, outcome: RecipeOutcome) -> Failure | None:
    """Return the exception that ended the training; ``None``: it ended without one."""
    run = examination.probe.recipe(outcome.recipe) if examination.probe is not None else None
    return run.failure.error if run is not None and run.failure is not None else None


def _unsupported(examination: Examination, outcome: RecipeOutcome) -> Finding:
    return Finding(
        id="VC010",
        severity=Severity.WARNING,
        message=f"{outcome.recipe} cannot run on this device, so it was not measured",
        evidence=(outcome.description,),
        remedy="Run this command on the machine that trains.",
        commands=(advice.on_a_gpu_again(examination),),
        url=_URL,
    )


def _failed(examination: Examination, outcome: RecipeOutcome, group: Sequence[RecipeOutcome]) -> Finding:
    names = [each.recipe for each in group]
    evidence = [outcome.description]
    if len(names) == 1:
        evidence.insert(0, f"{outcome.recipe}: {RECIPES[outcome.recipe].summary}")
    evidence.append(f"cause: {outcome.cause.description}" if outcome.cause else "cause: unknown")
    if outcome.adapters:
        evidence.append(f"trainable parameters are {' and '.join(outcome.adapters)}")
    remedy, commands = _remedy(examination, outcome)
    severity = Severity.NOTE
    if _decides(examination, outcome):
        severity = Severity.WARNING if outcome.outcome == "weak" else Severity.ERROR
    return Finding(
        id="VC010",
        severity=severity,
        message=f"{_what(names, len(examination.outcomes))}: {_MEANING[str(outcome.outcome)]} ({outcome.outcome})",
        evidence=(*evidence, *advice.matrix_evidence(examination)),
        remedy=remedy,
        commands=commands,
        url=_URL,
    )


def _what(names: Sequence[str], total: int) -> str:
    if len(names) == 1:
        return f"{names[0]} does not train"
    if len(names) == total:
        return f"training fails under all {total} recipes"
    return f"{enumerated(names)} do not train"


def _remedy(examination: Examination, outcome: RecipeOutcome) -> tuple[str, tuple[str, ...]]:
    """Return the remedy and its commands.

    A precision that works here comes first, because it was seen to work, unless float32 fails as well: then precision
    is not the cause, and another one only hides it. Without one, the user's own function or checkpoint is at fault if
    there is one: the same installed versions trained other models.
    """
    cause_remedy = f"{outcome.cause.remedy} " if outcome.cause else ""
    good = examination.good_recipes
    control = examination.outcome(CONTROL)
    # A float32 that hardly learns does not rule precision out.
    control_is_good = control is None or control.outcome in ("finite", "weak")
    if outcome.recipe != CONTROL and good and control_is_good:
        verb = "Or train" if cause_remedy else "Train"
        remedy = f"{cause_remedy}{verb} in a precision that works here: {', '.join(good)}."
        if outcome.outcome == "error" and cause_remedy and examination.plan.custom_subject is not None:
            # A line of the user's own code raises: to change it comes before another precision.
            return remedy, ()
        return remedy, (examination.plan.invocation.again(("--precision", good[0])),)
    control_failed = "" if control_is_good else "float32 fails as well, so precision is not the cause. "
    if examination.plan.custom_subject is not None:
        remedy = f"{control_failed}{cause_remedy or _where_to_start(examination, outcome)}".strip()
        # The command that was just typed fixes nothing.
        return remedy, ()
    remedy, commands = _change_versions(examination, outcome)
    return f"{control_failed}{cause_remedy}{remedy}", commands


def _change_versions(examination: Examination, outcome: RecipeOutcome) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for versions: an exception may ask for one."""
    error = _error(examination, outcome)
    return advice.change_versions(examination) if error is None else advice.install_what_fails(examination, error)


def _where_to_start(examination: Examination, outcome: RecipeOutcome) -> str:
    """Return the sentence for an unknown cause: it names the line or the operation that failed, if one is known."""
    error = _error(examination, outcome)
    if error is not None and error.file is not None:
        return f"Cause unknown. Start at {error.file}:{error.line}."
    if outcome.where is not None:
        return f"Cause unknown. Start at {outcome.where.place}."
    return "Cause unknown. Start with the evidence above."
