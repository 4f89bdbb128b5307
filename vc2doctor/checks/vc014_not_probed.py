"""No training step was run, so the verdict depends on versions only.

This happens with ``--no-probe``.

Why it matters: versions that work elsewhere can fail on this machine. A few real training steps show that.

What to do: run the check with its probe before you spend GPU time.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Report that no training step was run."""
    if examination.probe is not None or examination.missing:
        # If a package of the stack is missing, VC001 says why nothing was trained.
        return
    yield Finding(
        id="VC014",
        severity=Severity.NOTE,
        message="no training step was run (--no-probe), so the verdict depends on versions only",
        evidence=("the probe takes about 10 s",),
        remedy="Run the check with its probe before you spend GPU time.",
        commands=(advice.probed_again(examination),),
        url="https://pytorch.org/docs/stable/amp.html",
    )
