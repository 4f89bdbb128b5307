"""Activations leave the range of float16.

Float16 ends at 65504. Headroom is log2(65504 / largest activation), in bits: below 0 the forward pass overflows,
whatever the learning rate, and loss scaling does not help, since it scales the backward pass. bfloat16 has float32's
range. Headroom is measured on a checkpoint (``vc2doctor probe --model PATH``) or the user's own model (``--entry``), in
one float32 forward pass; for well-known models it was published (``vc2doctor headroom``). What is measured is what the
given texts reach: others may reach further, so less than one bit is a warning.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.core.precision import FLOAT16
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix import headroom as maxima
from vc2doctor.target.shared.recipes import RECIPES

_NARROW = 1.0
_URL = "https://arxiv.org/abs/2605.15572"


def check(examination: Examination) -> Iterator[Finding]:
    """Find a model that float16 cannot hold, or hardly can."""
    yield from _measured(examination)
    profile = examination.profile
    if profile.base_model is not None and examination.plan.custom_subject is None:
        for maximum in maxima.find(examination.matrix, profile.base_model):
            evidence = (maxima.describe(maximum), f"published: {maximum.source}")
            yield from _finding(examination, profile.base_model, maximum.bits, evidence, maximum.source)


def _measured(examination: Examination) -> Iterator[Finding]:
    headroom = examination.probe.headroom if examination.probe else None
    subject = examination.plan.custom_subject
    if headroom is None or subject is None:
        # The miniature's range is that of its own random weights.
        return
    tightest = headroom.tightest
    evidence = (f"|x| up to {tightest.largest:.5g} in {tightest.description}",)
    yield from _finding(examination, subject, tightest.bits, evidence, _URL)


def _finding(
    examination: Examination, subject: str, bits: float, evidence: tuple[str, ...], url: str
) -> Iterator[Finding]:
    if bits >= _NARROW:
        return
    precision = examination.plan.precision
    uses = "float16" in RECIPES[precision].dtypes
    severity = Severity.NOTE
    if uses:
        severity = Severity.ERROR if bits < 0 else Severity.WARNING
    fate = "float16 overflows" if bits < 0 else "float16 has hardly any room left"
    yield Finding(
        id="VC019",
        severity=severity,
        message=f"{subject}: {bits:.1f} bits of headroom, {fate}",
        evidence=(*evidence, f"float16 ends at {FLOAT16:g}; loss scaling does not lift it in the forward pass"),
        remedy="Train in bfloat16, which has float32's range, or in float32.",
        commands=("vc2doctor check --precision bf16",),
        url=url,
    )
