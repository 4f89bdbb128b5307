"""A package of the stack is installed, but its import fails.

The probe imports torch, transformers (with one model class) and peft, as a training script does. The evidence is the
exception, the line that raised it, and the module or symbol that was not found. VC005 reports an import error that a
known issue explains.

Why it matters: a training script fails in the same way at its first line.

What to do: install the module that is missing, or versions that were measured to train together.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe, is_explained
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find a package whose import fails."""
    probe = examination.probe
    if probe is None or probe.import_failure is None or is_explained(examination, probe.import_failure):
        return
    remedy, commands = advice.install_what_fails(examination, probe.import_failure)
    yield Finding(
        id="VC013",
        severity=Severity.ERROR,
        message=f"import {probe.import_package} fails",
        evidence=(describe(probe.import_failure), *advice.matrix_evidence(examination)),
        remedy=remedy,
        commands=commands,
        url="https://docs.python.org/3/library/exceptions.html#ImportError",
        path=probe.import_failure.file,
        line=probe.import_failure.line,
        packages=(probe.import_package,) if probe.import_package else (),
    )
