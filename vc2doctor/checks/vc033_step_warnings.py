"""torch warned, during the training steps of your own model, that they do not compute what the code asks for.

The probe records the warnings that are raised while it builds and trains the model of ``--entry``. Three of them say
that the training is wrong, although every step runs: a backward hook that gets the gradients of another operation,
complex values that lose their imaginary part, and a scheduler that steps before the optimizer. The report as JSON lists
all others.

Why it matters: Python shows a warning once, among the many lines of a training, and the loss can fall nevertheless.

What to do: change the line that is named.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.failed_step import StepWarning
from vc2doctor.probe.step_warnings import meaning_of
from vc2doctor.target.shared.recipes import CONTROL

_URL = "https://docs.python.org/3/library/warnings.html"


def check(examination: Examination) -> Iterator[Finding]:
    """Find warnings of the control and of the recipe that decides which mean that the training is wrong."""
    outcomes = [each for each in examination.outcomes if each.recipe in (examination.plan.precision, CONTROL)]
    warnings = {each.message: each for outcome in outcomes for each in outcome.warnings}
    for warning in warnings.values():
        meaning = meaning_of(warning)
        if meaning is not None:
            yield Finding(
                id="VC033",
                severity=Severity.WARNING if meaning.changes_training else Severity.NOTE,
                message=f"torch warns: {meaning.meaning}{_place(warning)}",
                evidence=(f"{warning.category}, raised {warning.count} times: {warning.message}",),
                remedy=meaning.remedy,
                url=_URL,
            )


def _place(warning: StepWarning) -> str:
    return f" ({warning.file}:{warning.line})" if warning.file else ""
