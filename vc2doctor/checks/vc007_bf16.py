"""bfloat16 is requested on a GPU that does not compute in it.

NVIDIA GPUs compute in bfloat16 from compute capability 8.0 (Ampere) on.

Why it matters: on an older GPU torch emulates bfloat16, which is slow, and cuDNN has no bfloat16 convolutions there.
``torch.cuda.is_bf16_supported()`` returns True on these GPUs, so a training script does not notice.

What to do: train on an Ampere or newer GPU, or in another precision.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.accelerators import accelerators
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.hardware import Bf16

_URL = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#compute-capabilities"
_EMULATION = (
    "torch emulates bfloat16 on this GPU, which is slow; torch.cuda.is_bf16_supported() returns True nevertheless"
)


def check(examination: Examination) -> Iterator[Finding]:
    """Find GPUs without native bfloat16 if the precision that decides needs it."""
    if not advice.computes_in_bfloat16(examination):
        return
    for accelerator in accelerators(examination):
        if accelerator.support.bf16 is Bf16.EMULATED:
            yield Finding(
                id="VC007",
                of_machine=True,
                severity=Severity.ERROR if accelerator.decides else Severity.WARNING,
                message=f"{accelerator.name} has no native bfloat16, which {examination.plan.precision} needs",
                evidence=(accelerator.description, _EMULATION),
                remedy=(
                    "Train on an Ampere or newer GPU (compute capability 8.0 or higher), or train here in"
                    f" {advice.HALF_ALTERNATIVES}."
                ),
                commands=(examination.plan.invocation.again(("--precision", "fp16-amp")),),
                url=_URL,
            )
