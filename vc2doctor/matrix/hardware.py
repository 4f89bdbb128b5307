"""What a torch build can do on a GPU: pure functions of vendor, capability, torch build and driver."""

import re
from enum import Enum
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement

from vc2doctor.core.data import Data
from vc2doctor.environment.model import Distribution

NATIVE_BF16 = (8, 0)
"""Ampere. Below it torch emulates, and ``is_bf16_supported()`` says True all the same:
https://github.com/huggingface/diffusers/pull/14129; cuBLAS and cuDNN need 8.0 as well."""

_RELEASED = {
    (11, 6): ("sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86"),
    (11, 7): ("sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86"),
    (11, 8): ("sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"),
    (12, 1): ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"),
    (12, 4): ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"),
    (12, 6): ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"),
    (12, 8): ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
    (12, 9): ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"),
    (13, 0): ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_110", "sm_120", "compute_120"),
}
"""Kernels in the released Linux wheels by CUDA version, for when torch itself was not asked. Source:
https://github.com/pytorch/pytorch/blob/main/.ci/manywheel/build_cuda.sh over its history. The first wheels of
CUDA 12.8 (torch 2.7.0) lack sm_70: https://github.com/pytorch/pytorch/issues/157517."""

_OLDEST_DRIVER = {10: (410, 48), 11: (450, 80), 12: (525, 60), 13: (580, 65)}
"""Oldest Linux driver of a CUDA major version, which minor versions share:
https://docs.nvidia.com/deploy/cuda-compatibility/."""

_AMD_BF16 = re.compile(r"gfx(908|90a|94\d|95\d|11\d\d|12\d\d)")
"""Instruction sets with bfloat16 matrix instructions: CDNA (MFMA) and RDNA 3 and newer (WMMA):
https://rocm.docs.amd.com/en/latest/reference/precision-support.html."""


class Bf16(str, Enum):
    """How bfloat16 runs."""

    NATIVE = "native"
    EMULATED = "emulated"
    UNKNOWN = "unknown"


class TorchBuild(Data):
    """What a torch wheel was built for."""

    cuda: tuple[int, int] | None = None
    hip: bool = False
    cpu_only: bool = False
    architectures: tuple[str, ...] = ()
    """Empty: unknown."""
    inferred: bool = True
    """``architectures`` come from the table of released wheels, not from torch itself."""


class Support(Data):
    """Whether a GPU can run this torch build at all, and how it runs bfloat16 there."""

    usable: bool | None
    """``None``: unknown."""
    bf16: Bf16
    reason: str


class TorchAnswers(Protocol):
    """What torch itself says of its build and of the device that it found."""

    @property
    def type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""

    @property
    def torch_cuda(self) -> str | None:
        """The version of CUDA that it was built for."""

    @property
    def torch_hip(self) -> str | None:
        """The version of HIP that it was built for."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """What it carries kernels for."""


def build_of(distribution: Distribution | None, device: TorchAnswers | None) -> TorchBuild:
    """Return the build of the installed torch: from torch itself where the probe asked it, else from its metadata."""
    if device is not None:
        return TorchBuild(
            cuda=_pair(device.torch_cuda),
            hip=device.torch_hip is not None,
            cpu_only=device.torch_cuda is None and device.torch_hip is None and device.type != "mps",
            architectures=device.architectures or _RELEASED.get(_pair(device.torch_cuda) or (0, 0), ()),
            inferred=not device.architectures,
        )
    if distribution is None or distribution.parsed is None:
        return TorchBuild()
    local = distribution.parsed.local or ""
    if local.startswith(("cpu", "rocm")):
        return TorchBuild(cpu_only=local.startswith("cpu"), hip=local.startswith("rocm"))
    cuda = _cuda_of_local(local) or _cuda_of_requirements(distribution.requires)
    return TorchBuild(cuda=cuda, architectures=_RELEASED.get(cuda, ()) if cuda else ())


def support(
    vendor: str,
    capability: tuple[int, int] | None,
    build: TorchBuild,
    driver: str | None,
    architecture: str | None = None,
) -> Support:
    """Return what ``build`` can do on a GPU of ``vendor`` (``nvidia``, ``amd`` or ``apple``).

    ``capability`` is NVIDIA's compute capability, ``driver`` its driver's version, ``architecture`` AMD's name.
    """
    if vendor == "amd":
        return _amd(build, architecture)
    if vendor == "apple":
        # M1 has no bfloat16 instructions and M2 has; torch does not tell them apart, so only a measurement can.
        return Support(usable=None, bf16=Bf16.UNKNOWN, reason="Apple GPUs: the probe has to say")
    return _nvidia(capability, build, driver)


def _nvidia(capability: tuple[int, int] | None, build: TorchBuild, driver: str | None) -> Support:
    if capability is None:
        return Support(usable=None, bf16=Bf16.UNKNOWN, reason="the compute capability is not known")
    bf16 = Bf16.NATIVE if capability >= NATIVE_BF16 else Bf16.EMULATED
    told = f"compute capability {capability[0]}.{capability[1]}"
    if build.cpu_only:
        return Support(usable=False, bf16=bf16, reason="this torch is a CPU build")
    if build.hip:
        return Support(usable=False, bf16=bf16, reason="this torch is built for AMD's ROCm")
    oldest = _OLDEST_DRIVER.get(build.cuda[0]) if build.cuda else None
    found = _pair(driver)
    if build.cuda and oldest and found and found < oldest:
        need = f"CUDA {build.cuda[0]}.{build.cuda[1]} needs driver {oldest[0]}.{oldest[1]} or newer, here is {driver}"
        return Support(usable=False, bf16=bf16, reason=need)
    if build.architectures and not has_kernels(capability, build.architectures):
        carried = ", ".join(build.architectures)
        reason = f"no kernel image: {told} is sm_{capability[0]}{capability[1]}, and this torch carries {carried}"
        return Support(usable=False, bf16=bf16, reason=reason)
    return Support(usable=True if build.architectures else None, bf16=bf16, reason=told)


def _amd(build: TorchBuild, architecture: str | None) -> Support:
    usable = build.hip or None
    name = (architecture or "").partition(":")[0]
    if not name.startswith("gfx"):
        return Support(usable=usable, bf16=Bf16.UNKNOWN, reason="AMD's architecture is not known")
    bf16 = Bf16.NATIVE if _AMD_BF16.fullmatch(name) else Bf16.EMULATED
    return Support(usable=usable, bf16=bf16, reason=f"AMD {name}")


def has_kernels(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Return whether a build for ``architectures`` runs on ``capability``.

    Machine code (``sm_``) runs within its major version, from its minor version up; ``compute_`` is PTX, which the
    driver compiles for anything newer. https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation
    """
    for name in architectures:
        kind, _, digits = name.partition("_")
        match = re.fullmatch(r"(\d+)(\d)([af]?)", digits)
        if match is None:
            continue
        built = (int(match[1]), int(match[2]))
        if kind == "compute" and built <= capability and not match[3]:
            return True
        within = built[0] == capability[0] and built <= capability and not match[3]
        if kind == "sm" and (built == capability or within):
            return True
    return False


def _cuda_of_local(local: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"cu(\d+)(\d)(?:\..*)?", local)
    return (int(match[1]), int(match[2])) if match else None


def _cuda_of_requirements(requires: tuple[str, ...]) -> tuple[int, int] | None:
    # Wheels from PyPI have no local version; what they require tells their CUDA.
    for text in requires:
        if not text.startswith(("nvidia-cuda-runtime", "cuda-toolkit")):
            continue
        try:
            specifiers = Requirement(text).specifier
        except InvalidRequirement:
            continue
        for specifier in specifiers:
            return _pair(specifier.version)
    return None


def _pair(version: str | None) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", version or "")
    return (int(match[1]), int(match[2])) if match else None
