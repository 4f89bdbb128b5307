"""NVIDIA GPUs through NVML: the driver is asked, CUDA is not started and no memory of a GPU is taken."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

from vc2doctor.environment.model import Gpu, Nvidia

_Value = TypeVar("_Value")


def observe() -> Nvidia:
    """Return what the driver says; without a driver that is told in ``note``."""
    import pynvml  # noqa: PLC0415 - only needed here, and slow to find the library

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Nvidia(visible=visible, note=f"no NVIDIA driver: {error}")
    try:
        return _driver(pynvml, visible)
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _driver(nvml: Any, visible: str | None) -> Nvidia:  # noqa: ANN401 - pynvml has no types
    cuda = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)
    devices = []
    for index in range(_ask(nvml, nvml.nvmlDeviceGetCount) or 0):
        handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is not None:
            devices.extend(_devices(nvml, handle, index))
    chosen = select(devices, visible)
    return Nvidia(
        driver=_text(_ask(nvml, nvml.nvmlSystemGetDriverVersion)),
        cuda=(cuda // 1000, cuda % 1000 // 10) if cuda else None,
        gpus=tuple(gpu for _, gpu in chosen),
        hidden=len(devices) - len(chosen),
        visible=visible,
        note=None if devices else "the driver lists no GPU",
    )


def select(devices: list[tuple[str, Gpu]], visible: str | None) -> list[tuple[str, Gpu]]:
    """Return what ``CUDA_VISIBLE_DEVICES`` leaves of ``devices`` (identifier, GPU), in its order.

    As CUDA does: entries are indices or (beginnings of) identifiers, and the first invalid one ends the list.
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables
    """
    if visible is None:
        return devices
    chosen: list[tuple[str, Gpu]] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdecimal():
            found = [device for device in devices if device[1].index == int(entry)][:1]
        else:
            found = [device for device in devices if entry and device[0].startswith(entry)]
        if len(found) != 1 or found[0] in chosen:
            break
        chosen += found
    return chosen


def _devices(nvml: Any, handle: Any, index: int) -> list[tuple[str, Gpu]]:  # noqa: ANN401
    whole = _device(nvml, handle, handle, index, mig=False)
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        return [whole]
    slices = []
    for number in range(_ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if part is not None:
            slices.append(_device(nvml, part, handle, index, mig=True))
    # With MIG on and no slice made, CUDA sees nothing.
    return slices


def _device(nvml: Any, handle: Any, parent: Any, index: int, *, mig: bool) -> tuple[str, Gpu]:  # noqa: ANN401
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    capability = _ask(nvml, nvml.nvmlDeviceGetCudaComputeCapability, parent)
    gpu = Gpu(
        index=index,
        name=_text(_ask(nvml, nvml.nvmlDeviceGetName, handle)) or "unknown NVIDIA GPU",
        capability=tuple(capability) if capability else None,
        memory_total=int(memory.total) if memory else None,
        memory_free=int(memory.free) if memory else None,
        mig=mig,
    )
    return _text(_ask(nvml, nvml.nvmlDeviceGetUUID, handle)) or "", gpu


def _ask(nvml: Any, question: Callable[..., _Value], *arguments: Any) -> _Value | None:  # noqa: ANN401
    # One question that a driver cannot answer must not cost the other answers.
    try:
        return question(*arguments)
    except (nvml.NVMLError, AttributeError):
        return None


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
