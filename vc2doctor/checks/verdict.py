"""The verdict on the whole examination and the exit code: pure functions of the findings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from vc2doctor.checks.plan import Accepted
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict
from vc2doctor.probe.outcome import self_test

if TYPE_CHECKING:
    from vc2doctor.checks.context import Examination

FinalVerdict = Literal["fit", "unfit", "measured", "unproven", "incomplete"]
"""``measured``: only a measurement was requested, and it shows no fault;
``unproven``: no fault was found, but neither a probe nor a measured cell shows that training works;
``incomplete``: the doctor could not finish its examination."""

FIT, FINDINGS, UNFINISHED = 0, 1, 3
"""Exit codes; 2 means wrong usage. Only ``fit`` and ``measured`` end with 0, so that the code can gate a job."""

_ENOUGH: dict[Accepted, tuple[Verdict, ...]] = {
    "versions": (Verdict.VERIFIED,),
    "inferred": (Verdict.VERIFIED, Verdict.COMPATIBLE),
}
"""By ``--accept``: the verdicts of the matrix that stand for a probe."""
_IDS_OF_AN_UNFINISHED_EXAMINATION = ("VC011", "VC017", "VC024")
"""These errors say that the doctor failed. They do not show a fault of the environment."""
_ENDINGS_THAT_ARE_FAULTS = ("signal", "out-of-memory")
"""Training would crash in the same way."""
_SIGNALS_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
"""A user, a batch system or a lost connection sends these. They do not show a fault of the environment."""

EXIT_CODE_OF_VERSIONS = {
    Verdict.VERIFIED: FIT,
    Verdict.COMPATIBLE: FIT,
    Verdict.UNVERIFIED: UNFINISHED,
    Verdict.INCOMPATIBLE: FINDINGS,
}
"""Exit codes of a verdict on versions alone. They mean the same as those of an examination."""


def final_verdict(examination: "Examination", findings: Sequence[Finding]) -> FinalVerdict:
    """Return the verdict on an examination."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if examination.environment.is_unchosen and all(finding.id == "VC001" for finding in errors):
        return "incomplete"
    # Another error stands even if the examination did not finish.
    if _is_unfinished(examination) and all(finding.id in _IDS_OF_AN_UNFINISHED_EXAMINATION for finding in errors):
        return "incomplete"
    if errors:
        return "unfit"
    if not examination.plan.trains:
        return "measured" if examination.probe and examination.probe.headroom else "unproven"
    if examination.probe is not None:
        passed = examination.passed_all_doors and examination.passed_all_variants
        return "fit" if examination.trained and passed else "unproven"
    # Elsewhere these versions train. Whether that is enough for this machine, only the user can say.
    judgement, accept = examination.judgement, examination.plan.accept
    is_enough = accept is not None and judgement is not None and judgement.verdict in _ENOUGH[accept]
    return "fit" if is_enough else "unproven"


def exit_code(final_verdict: FinalVerdict, findings: Sequence[Finding], fail_on: Severity) -> int:
    """Return the exit code: 0 fit or measured, 1 findings at or above ``fail_on``, 3 incomplete or unproven."""
    if final_verdict == "incomplete":
        return UNFINISHED
    if any(finding.severity.rank >= fail_on.rank for finding in findings):
        return FINDINGS
    return FIT if final_verdict in ("fit", "measured") else UNFINISHED


def _is_unfinished(examination: "Examination") -> bool:
    probe = examination.probe
    if probe is None:
        return examination.environment.failure is not None
    test = self_test(probe)
    if test is not None and not (test.seen and test.passed):
        return True
    if probe.ending == "finished":
        return False
    was_killed_from_outside = probe.ending == "signal" and probe.child.signal in _SIGNALS_FROM_OUTSIDE
    return was_killed_from_outside or probe.ending not in _ENDINGS_THAT_ARE_FAULTS
