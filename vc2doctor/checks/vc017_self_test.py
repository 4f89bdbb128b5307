"""The instrument is broken: a planted fault was not seen, or its clean twin did not pass.

Before it measures anything the worker trains two matrices in float16 under AdamW, which must become non-finite, and in
float32, which must not. On a device without float16 arithmetic a weight that is not a number is planted instead. If
either comes out otherwise, nothing that the probe says can be trusted: exit code 3.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import self_test


def check(examination: Examination) -> Iterator[Finding]:
    """Find that the probe could not have failed, or could not have passed."""
    test = self_test(examination.probe) if examination.probe else None
    if test is None or (test.seen and test.passed):
        return
    evidence = []
    if not test.seen:
        evidence.append(f"the planted fault was not seen: {test.fault}")
    if not test.passed:
        evidence.append("two float32 matrices did not train")
    yield Finding(
        id="VC017",
        severity=Severity.ERROR,
        message="the probe's own test failed, so its measurements say nothing",
        evidence=tuple(evidence),
        remedy="Look for a patched torch or optimiser; if there is none, report this with the JSON report.",
        commands=("vc2doctor check --format json --output report.json",),
        url="https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html",
    )
