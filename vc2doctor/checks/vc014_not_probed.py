"""Nothing was trained, so the verdict rests on versions alone.

With ``--no-probe``, or where a package of the stack is missing, no training step was run.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find that no training step was run."""
    if examination.probe is not None or examination.missing:
        return
    yield Finding(
        id="VC014",
        severity=Severity.NOTE,
        message="no training step was run (--no-probe): the verdict rests on versions alone",
        evidence=("the probe takes about 10 s",),
        remedy="Run it with the probe before spending GPU time.",
        commands=("vc2doctor check",),
        url="https://pytorch.org/docs/stable/amp.html",
    )
