"""The values of a model exceed the range of float16, or come close to it; or its family fails in float16 training.

The largest float16 number is 65504. Headroom is log2(65504 / largest absolute activation), in bits. It is measured in
one float32 forward pass of your checkpoint (``vc2doctor probe --model PATH``) or of your own model (``--entry``). For
well-known models it was published (``vc2doctor headroom``). One backward pass of the checkpoint shows the range of its
gradients: GradScaler halves its scale until the largest fits, and then the smallest may round to 0.

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
from vc2doctor.matrix.model_families import describe, family_of
from vc2doctor.probe.gradient_range import GradientRange
from vc2doctor.target.shared.recipes import RECIPES

_MIN_BITS = 1.0
"""With less than one bit, a value twice as large as the largest measured one overflows."""
_MAX_VANISHED = 0.5
"""Share of the gradients that may round to 0; about as many carry nothing in float32 either."""
_URL = "https://arxiv.org/abs/2605.15572"


def check(examination: Examination) -> Iterator[Finding]:
    """Find a model whose activations float16 cannot hold, or only just."""
    yield from _measured(examination)
    base_model = examination.profile.base_model
    if base_model is not None and examination.plan.custom_subject is None:
        for maximum in published.find(examination.matrix, base_model):
            evidence = (published.describe(maximum), f"published: {maximum.source}")
            yield from _finding(examination, base_model, maximum.bits, evidence, maximum.source)
    yield from _families(examination)


def _measured(examination: Examination) -> Iterator[Finding]:
    headroom = examination.probe.headroom if examination.probe else None
    subject = examination.plan.custom_subject
    if headroom is None or subject is None:
        # The weights of the miniature are random, so its range says nothing about a real model.
        return
    tightest = headroom.tightest
    evidence = (f"the largest absolute value is {tightest.largest:.5g}, in {tightest.description}",)
    yield from _finding(examination, subject, tightest.bits, evidence, _URL)
    if examination.probe is not None and examination.probe.gradients is not None:
        yield from _gradients(examination, examination.probe.gradients)


def _families(examination: Examination) -> Iterator[Finding]:
    """Find a model of a family that fails in float16, if float16 is what it is trained in."""
    if not _computes_in_float16(examination):
        return
    for model_type in examination.plan.judged_as.model_types:
        family = family_of(model_type)
        if family is not None and family.in_float16 == "fails":
            message = f"{family.name} is known to fail in float16 training"
            evidence = (describe(family), f"judged as: {model_type}")
            yield _advising_bfloat16(examination, Severity.WARNING, message, evidence, family.source)


def _gradients(examination: Examination, gradients: GradientRange) -> Iterator[Finding]:
    """Find gradients that float16 cannot hold without loss scaling down, or that mostly round to 0 at its scale."""
    scale = gradients.settled_scale
    vanished = gradients.vanished(scale)
    if scale >= 1.0 and vanished < _MAX_VANISHED:
        return
    what = (
        f"its gradients exceed float16 even without loss scaling: up to {gradients.largest:.3g}"
        if scale < 1.0
        else f"{vanished:.0%} of its gradients round to 0 in float16 at a loss scale of {scale:g}"
    )
    place = f"the largest gradient arrives at {gradients.module}; one row of {gradients.tokens} tokens was measured"
    severity = Severity.WARNING if _computes_in_float16(examination) else Severity.NOTE
    yield _advising_bfloat16(examination, severity, f"{examination.plan.custom_subject}: {what}", (place,), _URL)


def _finding(
    examination: Examination, subject: str, bits: float, evidence: tuple[str, ...], url: str
) -> Iterator[Finding]:
    if bits >= _MIN_BITS:
        return
    severity = Severity.NOTE
    if _computes_in_float16(examination):
        severity = Severity.ERROR if bits < 0 else Severity.WARNING
    verb = "overflows" if bits < 0 else "nearly overflows"
    message = f"{subject} {verb} float16: its headroom is {bits:.1f} bits"
    limit = f"float16 ends at {FLOAT16:g}; loss scaling does not help in the forward pass"
    yield _advising_bfloat16(examination, severity, message, (*evidence, limit), url)


def _computes_in_float16(examination: Examination) -> bool:
    return "float16" in RECIPES[examination.plan.precision].dtypes


def _advising_bfloat16(
    examination: Examination, severity: Severity, message: str, evidence: tuple[str, ...], url: str
) -> Finding:
    return Finding(
        id="VC019",
        severity=severity,
        message=message,
        evidence=evidence,
        remedy="Train in bfloat16, which has the range of float32, or in float32.",
        commands=(examination.plan.invocation.again(("--precision", "bf16")),),
        url=url,
    )
