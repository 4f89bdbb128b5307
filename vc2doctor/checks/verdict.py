"""The verdict on the whole, and the exit code: pure functions over the findings."""

from collections.abc import Sequence
from typing import Literal

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict
from vc2doctor.probe.outcome import self_test

FinalVerdict = Literal["fit", "unfit", "measured", "unproven", "incomplete"]
"""``measured``: no training was asked for, and what was measured shows no fault;
``unproven``: no fault was found, but neither a probe nor a measurement shows that it trains;
``incomplete``: the doctor could not finish its examination."""


FIT, FINDINGS, USAGE, UNFINISHED = 0, 1, 2, 3
"""Exit codes. Nothing but ``fit``, and a measurement that was all that was asked for, ends 0."""


_UNFINISHED_IDS = ("VC011", "VC017")


_FAULTS = ("signal", "out-of-memory")


def verdict(examination: Examination, findings: Sequence[Finding]) -> FinalVerdict:
    """Return the verdict on an examination."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if _is_unfinished(examination) and all(finding.id in _UNFINISHED_IDS for finding in errors):
        return "incomplete"
    if errors:
        return "unfit"
    if not examination.plan.trains:
        return "measured" if examination.probe and examination.probe.headroom else "unproven"
    if examination.probe is not None:
        return "fit" if examination.trained else "unproven"
    judgement = examination.judgement
    good = judgement is not None and judgement.verdict in (Verdict.VERIFIED, Verdict.COMPATIBLE)
    return "fit" if good else "unproven"


def exit_code(found: FinalVerdict, findings: Sequence[Finding], fail_on: Severity) -> int:
    """Return the exit code: 0 fit, 1 findings at or above ``fail_on``, 3 not finished or not proven."""
    if found == "incomplete":
        return UNFINISHED
    if any(finding.severity.rank >= fail_on.rank for finding in findings):
        return FINDINGS
    return FIT if found in ("fit", "measured") else UNFINISHED


def _is_unfinished(examination: Examination) -> bool:
    probe = examination.probe
    if probe is None:
        return False
    test = self_test(probe)
    if test is not None and not (test.seen and test.passed):
        return True
    if probe.ending == "finished":
        return False
    # A kill that memory does not explain came from outside, and says nothing of the environment.
    killed = probe.ending == "signal" and probe.child.signal in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    return killed or probe.ending not in _FAULTS
