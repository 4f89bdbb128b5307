"""No training step was run, so the verdict depends on versions only.

This happens with ``--no-probe``. Then the verdict is ``unproven`` (exit code 3), unless the versions were measured to
train and ``--accept versions`` says that this is enough. ``--accept inferred`` also accepts versions that are inferred
to train from measured ones.

Why it matters: versions that work elsewhere can fail on this machine. A few real training steps show that.

What to do: run the check with its probe before you spend GPU time.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict

_ADVICE = {
    Verdict.VERIFIED: " If it is enough that these versions were measured to train elsewhere, add --accept versions.",
    Verdict.COMPATIBLE: " If it is enough that measured versions nearby train, add --accept inferred.",
}


def check(examination: Examination) -> Iterator[Finding]:
    """Report that no training step was run."""
    if examination.probe is not None or not examination.can_train:
        # If a package of the stack is missing, VC001 says why nothing was trained.
        return
    yield Finding(
        id="VC014",
        severity=Severity.NOTE,
        message="no training step was run (--no-probe), so the verdict depends on versions only",
        evidence=("the probe takes about 15 s on an idle machine with two cores",),
        remedy=f"Run the check with its probe before you spend GPU time.{_accepted(examination)}",
        commands=(advice.probed_again(examination),),
        url="https://pytorch.org/docs/stable/amp.html",
    )


def _accepted(examination: Examination) -> str:
    if examination.judgement is None or examination.plan.accept is not None:
        return ""
    return _ADVICE.get(examination.judgement.verdict, "")
