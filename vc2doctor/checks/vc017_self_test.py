"""The self-test of the probe failed: it did not detect a planted fault, or it rejected training without a fault.

Before it measures anything, the worker trains two matrices under AdamW: in float16, which must become non-finite, and
in float32, which must not. On a device without float16 arithmetic a weight that is not a number is planted instead.

Why it matters: if either result is wrong, no measurement of the probe can be trusted. The exit code is 3.

What to do: look for a patched torch or optimizer. If there is none, please report this as a bug of the doctor.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import self_test


def check(examination: Examination) -> Iterator[Finding]:
    """Report a failed self-test of the probe."""
    test = self_test(examination.probe) if examination.probe else None
    if test is None or (test.seen and test.passed):
        return
    evidence = []
    if not test.seen:
        evidence.append(f"the probe did not detect the planted fault: {test.fault}")
    if not test.passed:
        evidence.append("two float32 matrices without a fault did not train")
    yield Finding(
        id="VC017",
        of_machine=True,
        severity=Severity.ERROR,
        message="the self-test of the probe failed, so its measurements cannot be trusted",
        evidence=tuple(evidence),
        remedy="Look for a patched torch or optimizer. If there is none, report this bug with the JSON report.",
        commands=(examination.plan.invocation.again(("--output", "report.json")),),
        url="https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html",
    )
