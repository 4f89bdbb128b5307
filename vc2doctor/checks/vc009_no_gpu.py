"""No GPU was examined.

A CPU shows defects of versions and of the configuration.

Why it matters: a CPU does not show what depends on the GPU: its bfloat16 and float16 kernels, fused optimizers, flash
attention, and memory. The finding lists what was not tested. With ``--require gpu`` it is an error, so that a job does
not start without a GPU.

What to do: run the same command on the machine that trains.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.accelerators import accelerators
from vc2doctor.checks.context import Examination
from vc2doctor.core.wording import counted
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import not_measured


def check(examination: Examination) -> Iterator[Finding]:
    """Report that no GPU took part."""
    if accelerators(examination):
        return
    is_required = examination.plan.require_gpu
    yield Finding(
        id="VC009",
        of_machine=True,
        severity=Severity.ERROR if is_required else Severity.WARNING,
        message="no GPU was examined, so GPU kernels, fused optimizers and memory were not tested",
        evidence=tuple(_evidence(examination)),
        remedy=f"{'--require gpu demands a GPU. ' if is_required else ''}Run this command on the machine that trains.",
        commands=(advice.on_a_gpu_again(examination),),
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/",
    )


def _evidence(examination: Examination) -> Iterator[str]:
    nvidia = examination.environment.nvidia
    if examination.plan.device == "cpu":
        yield "--device cpu was requested"
    else:
        yield nvidia.note or "the driver lists no visible GPU"
        if nvidia.hidden:
            yield f"CUDA_VISIBLE_DEVICES={nvidia.visible} hides {counted(nvidia.hidden, 'GPU')}"
    probe = examination.probe
    if probe is not None and probe.recipes and not_measured(probe):
        yield f"not tested: {'; '.join(not_measured(probe))}"
        yield "a finite float16 result on a CPU does not show that a GPU will be stable"
