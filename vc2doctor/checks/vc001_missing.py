"""A package of the stack is not installed.

Without torch, transformers and peft there is nothing to train with. A package that is there but whose metadata names
no version counts as missing, as nothing can be said of it. Accelerate and safetensors are required by peft and are
told of by VC004.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find packages of the stack that are not installed."""
    missing = examination.missing
    if not missing:
        return
    environment = examination.environment
    evidence = [f"{environment.interpreter.path} has no distribution {name} with a version" for name in missing]
    for name in missing:
        module = environment.module(name)
        if module is not None and module.found:
            evidence.append(f"a module {name} without distribution is at {module.origin or 'a folder on the path'}")
    remedy, commands = advice.install_nearest(examination)
    yield Finding(
        id="VC001",
        severity=Severity.ERROR,
        message=f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=commands,
        url="https://packaging.python.org/en/latest/tutorials/installing-packages/",
    )
