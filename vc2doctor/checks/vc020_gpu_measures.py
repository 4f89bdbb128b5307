"""The GPU computes wrong numbers, or slowly, in the precision that decides.

The probe asks a CUDA device by value: matrix products, a ViT's patch embedding (conv3d) and
scaled_dot_product_attention are compared with float64 and float32 on the CPU, and products are timed. Native bfloat16
is about as fast as float16; emulated bfloat16 is several times slower, whatever ``is_bf16_supported()`` says.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import Measure
from vc2doctor.target.shared.recipes import RECIPES

_OF_DTYPE = {
    "bfloat16": ("bf16 product", "bf16 conv3d", "bf16 sdpa"),
    "float16": ("fp16 product",),
    "float32": ("fp32 product",),
}
_SLOW = 0.5
"""Of float16's speed; native bfloat16 reaches about 1."""
_URL = "https://docs.nvidia.com/deeplearning/performance/mixed-precision-training/index.html"


def check(examination: Examination) -> Iterator[Finding]:
    """Find answers of the GPU that speak against the precision that decides."""
    measures = {measure.name: measure for measure in (examination.probe.measures if examination.probe else ())}
    for dtype in ("float32", *RECIPES[examination.plan.precision].dtypes):
        for name in _OF_DTYPE[dtype]:
            measure = measures.get(name)
            if measure is not None and measure.status == "failed":
                yield _finding(examination, measure, Severity.ERROR, f"{name} fails on this GPU")
    speed = measures.get("bf16 speed")
    if advice.wants_bf16(examination) and speed is not None and speed.value is not None and speed.value < _SLOW:
        message = f"bfloat16 runs at {speed.value:.2f} of float16's speed on this GPU, as emulation does"
        yield _finding(examination, speed, Severity.WARNING, message)


def _finding(examination: Examination, measure: Measure, severity: Severity, message: str) -> Finding:
    device = examination.probe.device if examination.probe else None
    where = (device.name or device.device) if device else "unknown"
    return Finding(
        id="VC020",
        severity=severity,
        message=message,
        evidence=(f"{where}: {measure.description}",),
        remedy="Train on an Ampere or newer GPU, with a torch build that carries its kernels, or in another precision.",
        commands=("vc2doctor check --precision fp16-amp",),
        url=_URL,
    )
