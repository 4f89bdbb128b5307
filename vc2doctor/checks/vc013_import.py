"""A package of the stack is installed and cannot be imported.

The probe imports torch, transformers (with one model class) and peft, as a training script would. What was raised,
where, and which symbol of which package was missing, is the evidence. A failure that a known issue explains is told by
VC005.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe, is_explained
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find packages whose import fails."""
    probe = examination.probe
    if probe is None or probe.import_failure is None or is_explained(examination, probe.import_failure):
        return
    remedy, commands = advice.install_what_fails(examination, probe.import_failure)
    evidence = [describe(probe.import_failure)]
    if examination.judgement is not None:
        evidence.append(f"matrix: {examination.judgement.verdict.value}; {examination.judgement.reason}")
    yield Finding(
        id="VC013",
        severity=Severity.ERROR,
        message=f"import {probe.import_package} fails",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=commands,
        url="https://docs.python.org/3/library/exceptions.html#ImportError",
        path=probe.import_failure.file,
        line=probe.import_failure.line,
    )
