"""The matrix's verdict on the combination of versions.

``verified``: exactly this was measured and trains. ``compatible``: inferred from measured neighbours. ``incompatible``:
measured or reported to fail. ``unverified``: there is no ground to say. What the probe shows here outweighs what was
measured elsewhere; without a probe the verdict stands alone.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict

_URL = "https://github.com/huggingface/peft/blob/main/docs/source/install.md"


def check(examination: Examination) -> Iterator[Finding]:
    """Find combinations that are known to fail, or of which nothing is known."""
    judgement = examination.judgement
    if judgement is None or judgement.issues:
        # A missing package is VC001's, a reported defect VC005's.
        return
    stack = ", ".join(f"{name} {examination.versions[name]}" for name in ("torch", "transformers", "peft"))
    if judgement.verdict is Verdict.INCOMPATIBLE:
        yield from _incompatible(examination, stack, judgement.reason)
    elif judgement.verdict is Verdict.UNVERIFIED and not examination.trained:
        remedy, commands = advice.install_nearest(examination)
        yield Finding(
            id="VC006",
            severity=Severity.WARNING,
            message=f"no ground to say whether {stack} train together",
            evidence=(judgement.reason, *(f"nearest measured: {text}" for text in examination.nearest_cells)),
            remedy=f"The probe can say. {remedy}",
            commands=("vc2doctor check", *commands),
            url=_URL,
        )


def _incompatible(examination: Examination, stack: str, reason: str) -> Iterator[Finding]:
    if examination.probe is not None and not examination.trained:
        # The probe saw it fail here, and says how.
        return
    remedy, commands = advice.install_nearest(examination)
    yield Finding(
        id="VC006",
        severity=examination.capped_if_trained(Severity.ERROR),
        message=f"{stack} do not train together under {examination.plan.precision}",
        evidence=(reason, *(("yet the probe trained here",) if examination.trained else ())),
        remedy=remedy,
        commands=commands,
        url=_URL,
    )
