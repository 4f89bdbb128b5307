"""No GPU was examined.

The CPU shows defects of versions and configuration. What only a GPU can show was then not measured: its own kernels in
bfloat16 and float16, fused optimisers, flash attention, memory. With ``--require gpu`` this is an error, for gates.
"""

from collections.abc import Iterator

from vc2doctor.checks.accelerators import accelerators
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import not_measured


def check(examination: Examination) -> Iterator[Finding]:
    """Find that no GPU took part."""
    if accelerators(examination):
        return
    nvidia = examination.environment.nvidia
    evidence = [nvidia.note or "the driver lists no visible GPU"]
    if examination.plan.device == "cpu":
        evidence = ["--device cpu was asked for"]
    elif nvidia.hidden:
        evidence.append(f"CUDA_VISIBLE_DEVICES={nvidia.visible} hides {nvidia.hidden}")
    probe = examination.probe
    if probe is not None and probe.recipes and not_measured(probe):
        evidence.append(f"not measured: {'; '.join(not_measured(probe))}")
        evidence.append("finite in float16 means here: no defect of versions or configuration")
    required = examination.plan.require_gpu
    yield Finding(
        id="VC009",
        severity=Severity.ERROR if required else Severity.WARNING,
        message="no GPU here: what only a GPU can show was not measured",
        evidence=tuple(evidence),
        remedy=(
            "Run it on the machine that trains."
            if not required
            else "A GPU is required (--require gpu): run it on the machine that trains."
        ),
        commands=("vc2doctor check --require gpu",),
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/",
    )
