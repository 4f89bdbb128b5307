"""bfloat16 is asked for on a GPU that does not have it.

NVIDIA GPUs compute in bfloat16 from compute capability 8.0 (Ampere) on. On an older one torch emulates it, slowly, and
cuDNN has no bfloat16 convolutions there; ``torch.cuda.is_bf16_supported()`` says True all the same.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.accelerators import accelerators
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.hardware import Bf16

_URL = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#compute-capabilities"


def check(examination: Examination) -> Iterator[Finding]:
    """Find GPUs without native bfloat16 where the precision that decides needs it."""
    if not advice.wants_bf16(examination):
        return
    for accelerator in accelerators(examination):
        if accelerator.support.bf16 is Bf16.EMULATED:
            yield Finding(
                id="VC007",
                severity=Severity.ERROR if accelerator.decides else Severity.WARNING,
                message=f"{accelerator.name} has no native bfloat16, which {examination.plan.precision} needs",
                evidence=(
                    accelerator.description,
                    "torch emulates it there, slowly; torch.cuda.is_bf16_supported() says True nevertheless",
                ),
                remedy=(
                    "Train on an Ampere or newer GPU (compute capability 8.0), or here with"
                    f" {advice.HALF_ALTERNATIVES}."
                ),
                commands=("vc2doctor check --precision fp16-amp",),
                url=_URL,
            )
