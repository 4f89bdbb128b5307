"""The accelerators that training here would use, from NVML and from what torch itself says."""

from vc2doctor.checks.context import Examination
from vc2doctor.core.data import Data
from vc2doctor.matrix.hardware import Support, TorchBuild, build_of, support


class Accelerator(Data):
    """One GPU and what the installed torch can do on it."""

    name: str
    description: str
    """Capability or architecture, in words."""
    support: Support
    seen_by_torch: bool
    decides: bool
    """It is the one that training would use; another card of the machine is only told of."""


def build(examination: Examination) -> TorchBuild:
    """Return what the installed torch was built for."""
    device = examination.probe.device if examination.probe else None
    return build_of(examination.environment.distribution("torch"), device)


def accelerators(examination: Examination) -> tuple[Accelerator, ...]:
    """Return the GPUs that training would use; none where the user chose the CPU."""
    if examination.plan.device == "cpu":
        return ()
    nvidia = examination.environment.nvidia
    made = build(examination)
    device = examination.probe.device if examination.probe else None
    if nvidia.gpus:
        gpus = nvidia.gpus
        if examination.plan.device.startswith("cuda:"):
            index = int(examination.plan.device.partition(":")[2])
            gpus = gpus[index : index + 1]
        used = [gpu for gpu in gpus if device is not None and device.name == gpu.name]
        return tuple(
            Accelerator(
                decides=not used or gpu in used,
                name=gpu.name,
                description=f"compute capability {gpu.capability[0]}.{gpu.capability[1]}"
                if gpu.capability
                else "unknown",
                support=support("nvidia", gpu.capability, made, nvidia.driver),
                seen_by_torch=device is not None and device.type == "cuda",
            )
            for gpu in gpus
        )
    if device is None or device.type == "cpu":
        return ()
    if device.type == "mps":
        vendor, told = "apple", "Metal"
    elif device.torch_hip is not None:
        vendor, told = "amd", device.architecture or "unknown architecture"
    else:
        vendor, told = "nvidia", f"compute capability {device.capability}"
    found = support(vendor, device.capability, made, nvidia.driver, device.architecture)
    return (
        Accelerator(
            name=device.name or device.device, description=told, support=found, seen_by_torch=True, decides=True
        ),
    )
