"""The one answer of a report: the finding that decides the verdict, and the one command to run next."""

from collections.abc import Sequence

from vc2doctor.checks.plan import Plan
from vc2doctor.checks.verdict import FinalVerdict
from vc2doctor.core.data import OwnData
from vc2doctor.findings import Finding, Severity

_DOCTOR_FAILED = ("VC011", "VC017", "VC024")
"""These say that the examination failed, which is rarely the cause of another error."""
_NOT_PROBED = "VC014"
"""Fit on paper only: the next command is the one that tries it."""
_WHY_NOTHING_IS_PROVEN = ("VC010", "VC006", _NOT_PROBED)
"""What can leave the verdict open, the most specific first: a recipe that could not run, versions without a
measurement, and a probe that was turned off."""


class Answer(OwnData):
    """What a reader needs first."""

    finding: Finding | None
    """The finding that decides the verdict; ``None``: all is well, or no finding says why not."""
    command: str | None
    """The one command to run next; ``None``: there is no finding, or something has to be done by hand first."""


def answer(verdict: FinalVerdict, findings: Sequence[Finding], exit_code: int, plan: Plan) -> Answer:
    """Return the answer of a report with this verdict; ``findings`` are sorted as in the report."""
    finding = _deciding_finding(verdict, findings, exit_code, plan.fail_on)
    command = finding.commands[0] if finding is not None and finding.commands else None
    # The same command once more fixes nothing: what the remedy says has to be done before.
    return Answer(finding=finding, command=command if command != plan.invocation.again() else None)


def _deciding_finding(
    verdict: FinalVerdict, findings: Sequence[Finding], exit_code: int, fail_on: Severity
) -> Finding | None:
    if verdict == "incomplete":
        return next((finding for finding in findings if finding.id in _DOCTOR_FAILED), None)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        # The ids of checks follow the way from the installation to the training, so the first one causes the others.
        return next((finding for finding in errors if finding.id not in _DOCTOR_FAILED), errors[0])
    if verdict == "unproven":
        by_id = {finding.id: finding for finding in reversed(findings)}
        return next((by_id[id_] for id_ in _WHY_NOTHING_IS_PROVEN if id_ in by_id), None)
    if exit_code:
        # Fit, but the user asked for an exit code other than 0 from this severity on.
        return next((finding for finding in findings if finding.severity.rank >= fail_on.rank), None)
    return next((finding for finding in findings if finding.id == _NOT_PROBED), None)
