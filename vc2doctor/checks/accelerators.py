"""The accelerators that the training would use, according to NVML and to torch itself."""

from vc2doctor.checks.context import Examination
from vc2doctor.core.data import Data
from vc2doctor.environment.model import Gpu
from vc2doctor.matrix.hardware import Support, TorchBuild, build_of, support
from vc2doctor.probe.facts import Device


class Accelerator(Data):
    """One GPU, and what the installed torch can do on it."""

    name: str
    description: str
    """The compute capability or the architecture, in words."""
    support: Support
    seen_by_torch: bool
    decides: bool
    """Whether the training would use this card. Another card of the machine causes a warning at most."""


def build(examination: Examination) -> TorchBuild:
    """Return what the installed torch was built for."""
    return build_of(examination.environment.distribution("torch"), _device(examination))


def accelerators(examination: Examination) -> tuple[Accelerator, ...]:
    """Return the GPUs that the training would use; none if the user chose the CPU.

    NVML knows NVIDIA GPUs only. AMD and Apple GPUs are known through the device that the probe ran on.
    """
    if examination.plan.device == "cpu":
        return ()
    gpus = examination.environment.nvidia.gpus
    if gpus:
        return _nvidia_accelerators(examination, gpus)
    device = _device(examination)
    if device is None or device.type == "cpu":
        return ()
    return (_accelerator_of_probe(examination, device),)


def _device(examination: Examination) -> Device | None:
    return examination.probe.device if examination.probe else None


def _nvidia_accelerators(examination: Examination, gpus: tuple[Gpu, ...]) -> tuple[Accelerator, ...]:
    if examination.plan.device.startswith("cuda:"):
        index = int(examination.plan.device.partition(":")[2])
        gpus = gpus[index : index + 1]
    device = _device(examination)
    torch_build = build(examination)
    # CUDA and NVML may number the cards differently, so the card that the probe used is found by its name.
    used = [gpu for gpu in gpus if device is not None and device.name == gpu.name]
    return tuple(
        Accelerator(
            name=gpu.name,
            description=f"compute capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability else "unknown",
            support=support("nvidia", gpu.capability, torch_build, examination.environment.nvidia.driver),
            seen_by_torch=device is not None and device.type == "cuda",
            decides=not used or gpu in used,
        )
        for gpu in gpus
    )


def _accelerator_of_probe(examination: Examination, device: Device) -> Accelerator:
    if device.type == "mps":
        vendor, description = "apple", "Metal"
    elif device.torch_hip is not None:
        vendor, description = "amd", device.architecture or "unknown architecture"
    else:
        vendor, description = "nvidia", f"compute capability {device.capability}"
    driver = examination.environment.nvidia.driver
    return Accelerator(
        name=device.name or device.device,
        description=description,
        support=support(vendor, device.capability, build(examination), driver, device.architecture),
        seen_by_torch=True,
        decides=True,
    )
