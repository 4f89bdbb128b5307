"""The matrix says that these versions fail together, or it cannot say that they work.

The matrix has four verdicts. ``verified``: exactly this combination was measured and trains. ``compatible``: it is
inferred from measured boundaries. ``incompatible``: it was measured or reported to fail. ``unverified``: nothing that
was measured allows a conclusion.

Why it matters: without a probe this verdict is all that is known. If the probe trained here, that outweighs what was
measured elsewhere: an incompatible combination is then a warning, and an unverified one is not reported.

What to do: run the probe on an unverified combination. For an incompatible one, make the change that the finding names.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict

_URL = "https://github.com/huggingface/peft/blob/main/docs/source/install.md"


def check(examination: Examination) -> Iterator[Finding]:
    """Find combinations that are known to fail, or that nothing is known about."""
    judgement = examination.judgement
    if judgement is None or judgement.issues:
        # VC001 reports a missing package, and VC005 a known issue.
        return
    stack = ", ".join(f"{name} {examination.versions[name]}" for name in STACK_PACKAGES)
    if judgement.verdict is Verdict.INCOMPATIBLE:
        yield from _incompatible(examination, stack, judgement.reason)
    elif judgement.verdict is Verdict.UNVERIFIED and not examination.trained:
        yield _unverified(examination, stack, judgement.reason)


def _incompatible(examination: Examination, stack: str, reason: str) -> Iterator[Finding]:
    if examination.probe is not None and not (examination.trained and examination.passed_all_doors):
        # The probe saw the training fail here, in the plain loop or at a door; its own finding says how.
        return
    remedy, commands = advice.change_versions(examination)
    yield Finding(
        id="VC006",
        severity=examination.capped_if_trained(Severity.ERROR),
        message=f"{stack} do not train together under {examination.plan.precision}",
        evidence=(reason, *(("the probe trained here nevertheless",) if examination.trained else ())),
        remedy=remedy,
        commands=commands,
        url=_URL,
        packages=tuple(reversed(STACK_PACKAGES)),
    )


def _unverified(examination: Examination, stack: str, reason: str) -> Finding:
    test = "Let the doctor train a few steps with these versions."
    remedy, commands = advice.change_versions(examination)
    return Finding(
        id="VC006",
        severity=Severity.WARNING,
        message=f"the matrix cannot say whether {stack} train together",
        evidence=(reason, *(f"nearest measured: {cell}" for cell in examination.nearest_cells)),
        remedy=f"{test} Or {remedy[0].lower()}{remedy[1:]}" if commands else test,
        commands=(advice.probed_again(examination), *commands),
        url=_URL,
        packages=tuple(reversed(STACK_PACKAGES)),
    )
