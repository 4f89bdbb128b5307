"""The GPU computes wrong numbers, or computes slowly, in the precision that decides.

The probe compares results of a CUDA device with float64 and float32 on the CPU: matrix products, the patch embedding of
a ViT (conv3d), and scaled_dot_product_attention. It also measures the speed of matrix products.

Why it matters: native bfloat16 is about as fast as float16, and emulated bfloat16 is several times slower.
``torch.cuda.is_bf16_supported()`` returns True for both, so only a measurement shows the difference.

What to do: train on an Ampere or newer GPU with a torch build that has kernels for it, or in another precision.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import Measure
from vc2doctor.target.shared.recipes import RECIPES

_MEASURES_OF_DTYPE = {
    "bfloat16": ("bf16 product", "bf16 conv3d", "bf16 sdpa"),
    "float16": ("fp16 product",),
    "float32": ("fp32 product",),
}
_MIN_BF16_SPEED = 0.5
"""Relative to float16. Native bfloat16 reaches about 1."""
_URL = "https://docs.nvidia.com/deeplearning/performance/mixed-precision-training/index.html"


def check(examination: Examination) -> Iterator[Finding]:
    """Find wrong or slow results of the GPU in the precision that decides."""
    measures = {measure.name: measure for measure in (examination.probe.measures if examination.probe else ())}
    for dtype in ("float32", *RECIPES[examination.plan.precision].dtypes):
        for name in _MEASURES_OF_DTYPE[dtype]:
            measure = measures.get(name)
            if measure is not None and measure.status == "failed":
                yield _finding(examination, measure, Severity.ERROR, f"{name} fails on this GPU")
    speed = measures.get("bf16 speed")
    if speed is None or speed.value is None or not advice.computes_in_bfloat16(examination):
        return
    if speed.value < _MIN_BF16_SPEED:
        message = f"bfloat16 reaches {speed.value:.2f} of float16's speed on this GPU, so it is probably emulated"
        yield _finding(examination, speed, Severity.WARNING, message)


def _finding(examination: Examination, measure: Measure, severity: Severity, message: str) -> Finding:
    device = examination.probe.device if examination.probe else None
    name = (device.name or device.device) if device else "unknown device"
    return Finding(
        id="VC020",
        of_machine=True,
        severity=severity,
        message=message,
        evidence=(f"{name}: {measure.description}",),
        remedy=(
            "Train on an Ampere or newer GPU with a torch build that has kernels for it, or train in another precision."
        ),
        commands=(examination.plan.invocation.again(("--precision", "fp16-amp")),),
        url=_URL,
    )
