"""The activations of a model exceed the range of float16, or come close to it.

The largest float16 number is 65504. Headroom is log2(65504 / largest absolute activation), in bits. It is measured in
one float32 forward pass of your checkpoint (``vc2doctor probe --model PATH``) or of your own model (``--entry``). For
well-known models it was published (``vc2doctor headroom``).

Why it matters: below 0 bits the forward pass overflows in float16, whatever the learning rate. Loss scaling does not
help, because it scales the backward pass. Other texts than those that were measured may reach larger values, so less
than one bit is a warning.

What to do: train in bfloat16, which has the range of float32, or in float32.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.core.precision import FLOAT16
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix import headroom as published
from vc2doctor.target.shared.recipes import RECIPES

_MIN_BITS = 1.0
"""With less than one bit, a value twice as large as the largest measured one overflows."""
_URL = "https://arxiv.org/abs/2605.15572"


def check(examination: Examination) -> Iterator[Finding]:
    """Find a model whose activations float16 cannot hold, or only just."""
    yield from _measured(examination)
    base_model = examination.profile.base_model
    if base_model is not None and examination.plan.custom_subject is None:
        for maximum in published.find(examination.matrix, base_model):
            evidence = (published.describe(maximum), f"published: {maximum.source}")
            yield from _finding(examination, base_model, maximum.bits, evidence, maximum.source)


def _measured(examination: Examination) -> Iterator[Finding]:
    headroom = examination.probe.headroom if examination.probe else None
    subject = examination.plan.custom_subject
    if headroom is None or subject is None:
        # The weights of the miniature are random, so its range says nothing about a real model.
        return
    tightest = headroom.tightest
    evidence = (f"the largest absolute value is {tightest.largest:.5g}, in {tightest.description}",)
    yield from _finding(examination, subject, tightest.bits, evidence, _URL)


def _finding(
    examination: Examination, subject: str, bits: float, evidence: tuple[str, ...], url: str
) -> Iterator[Finding]:
    if bits >= _MIN_BITS:
        return
    severity = Severity.NOTE
    if "float16" in RECIPES[examination.plan.precision].dtypes:
        severity = Severity.ERROR if bits < 0 else Severity.WARNING
    verb = "overflows" if bits < 0 else "nearly overflows"
    yield Finding(
        id="VC019",
        severity=severity,
        message=f"{subject} {verb} float16: its headroom is {bits:.1f} bits",
        evidence=(*evidence, f"float16 ends at {FLOAT16:g}; loss scaling does not help in the forward pass"),
        remedy="Train in bfloat16, which has the range of float32, or in float32.",
        commands=(examination.plan.invocation.again(("--precision", "bf16")),),
        url=url,
    )
