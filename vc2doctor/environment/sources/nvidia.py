"""NVIDIA GPUs through NVML. This asks the driver only: it does not start CUDA and takes no GPU memory."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from vc2doctor.environment.model import Gpu, Nvidia
from vc2doctor.environment.sources import Source

_Value = TypeVar("_Value")
_LIBRARY = "libnvidia-ml.so.1"
"""The name under which pynvml loads it on Linux; the driver installs it."""
_NO_DRIVER = "no NVIDIA driver: NVML Shared Library Not Found"
"""What pynvml says of this."""


def observe() -> Nvidia:
    """Return what the driver reports. Without a driver, ``note`` says so."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not _has_library():
        return Nvidia(visible=visible, note=_NO_DRIVER)
    import pynvml  # noqa: PLC0415 - 3 % of a check by versions; most machines without a GPU have no driver

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Nvidia(visible=visible, note=f"no NVIDIA driver: {error}")
    try:
        return _ask_driver(pynvml, visible)
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _has_library() -> bool:
    """Return whether pynvml would find its library; outside of Linux only pynvml knows where that is."""
    if not sys.platform.startswith("linux"):
        return True
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def _ask_driver(nvml: Any, visible: str | None) -> Nvidia:  # noqa: ANN401 - pynvml has no types
    # NVML packs CUDA 12.8 into the number 12080.
    cuda = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)
    devices: list[tuple[str, Gpu]] = []
    for index in range(_ask(nvml, nvml.nvmlDeviceGetCount) or 0):
        handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is not None:
            devices.extend(_devices_of_card(nvml, handle, index))
    visible_devices = select(devices, visible)
    return Nvidia(
        driver=_text(_ask(nvml, nvml.nvmlSystemGetDriverVersion)),
        cuda=(cuda // 1000, cuda % 1000 // 10) if cuda else None,
        gpus=tuple(gpu for _, gpu in visible_devices),
        hidden=len(devices) - len(visible_devices),
        visible=visible,
        note=None if devices else "the driver lists no GPU",
    )


def select(devices: list[tuple[str, Gpu]], visible: str | None) -> list[tuple[str, Gpu]]:
    """Return the ``devices`` (identifier, GPU) that ``CUDA_VISIBLE_DEVICES`` leaves visible, in its order.

    The rules are CUDA's: an entry is an index, or an identifier or its beginning, and the first invalid entry ends
    the list. https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables
    """
    if visible is None:
        return devices
    selected: list[tuple[str, Gpu]] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdecimal():
            # The slices of a MIG card share its index; CUDA takes the first.
            matches = [device for device in devices if device[1].index == int(entry)][:1]
        else:
            matches = [device for device in devices if entry and device[0].startswith(entry)]
        if len(matches) != 1 or matches[0] in selected:
            break
        selected += matches
    return selected


def _devices_of_card(nvml: Any, handle: Any, index: int) -> list[tuple[str, Gpu]]:  # noqa: ANN401
    """Return the card, or its slices if MIG is on: without a slice, CUDA sees nothing of a card in MIG mode."""
    card = _device(nvml, handle, handle, index, mig=False)
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        return [card]
    slices = []
    for number in range(_ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        slice_handle = _ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if slice_handle is not None:
            slices.append(_device(nvml, slice_handle, handle, index, mig=True))
    return slices


def _device(nvml: Any, handle: Any, card: Any, index: int, *, mig: bool) -> tuple[str, Gpu]:  # noqa: ANN401
    """Return the identifier and the facts of a card or a slice; its compute capability is asked of the ``card``."""
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    capability = _ask(nvml, nvml.nvmlDeviceGetCudaComputeCapability, card)
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
    # A driver that cannot answer one question may still answer the others.
    try:
        return question(*arguments)
    except (nvml.NVMLError, AttributeError):
        return None


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


SOURCE = Source("nvidia", lambda _: observe(), Nvidia)
