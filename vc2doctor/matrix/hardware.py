"""What a torch build can do on a GPU: pure functions of vendor, compute capability, build and driver."""

import re
from enum import Enum
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement

from vc2doctor.core import builds
from vc2doctor.core.data import Data
from vc2doctor.environment.model import Distribution

NATIVE_BF16 = (8, 0)
"""Compute capability of Ampere. On older GPUs torch emulates bfloat16, and yet ``is_bf16_supported()`` returns True:
https://github.com/huggingface/diffusers/pull/14129. cuBLAS and cuDNN need 8.0 as well."""

_RELEASED_ARCHITECTURES = {
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
"""Architectures of the kernels in the released Linux wheels, by CUDA version. Used if the probe did not ask torch.
Source: https://github.com/pytorch/pytorch/blob/main/.ci/manywheel/build_cuda.sh over its history. The first wheels of
CUDA 12.8 (torch 2.7.0) lack sm_70: https://github.com/pytorch/pytorch/issues/157517."""

_OLDEST_DRIVER = {10: (410, 48), 11: (450, 80), 12: (525, 60), 13: (580, 65)}
"""Oldest Linux driver by major version of CUDA; all its minor versions accept that driver:
https://docs.nvidia.com/deploy/cuda-compatibility/."""

_AMD_BF16 = re.compile(r"gfx(908|90a|94\d|95\d|11\d\d|12\d\d)")
"""Instruction sets with bfloat16 matrix instructions: CDNA (MFMA) and RDNA 3 and newer (WMMA):
https://rocm.docs.amd.com/en/latest/reference/precision-support.html."""


class Bf16(str, Enum):
    """How a GPU computes in bfloat16."""

    NATIVE = "native"
    EMULATED = "emulated"
    UNKNOWN = "unknown"


class TorchBuild(Data):
    """The platforms that a torch wheel was built for."""

    cuda: tuple[int, int] | None = None
    hip: bool = False
    cpu_only: bool = False
    architectures: tuple[str, ...] = ()
    """Empty: unknown."""
    inferred: bool = True
    """Whether ``architectures`` come from the table of released wheels, and not from torch itself."""


class Support(Data):
    """Whether a torch build runs on a GPU, and how that GPU computes in bfloat16."""

    usable: bool | None
    """``None``: unknown."""
    bf16: Bf16
    reason: str
    """Why the build cannot use the GPU; else a description of the GPU."""


class TorchAnswers(Protocol):
    """What torch itself reports about its build and its device."""

    @property
    def type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""

    @property
    def torch_cuda(self) -> str | None:
        """The CUDA version that torch was built for."""

    @property
    def torch_hip(self) -> str | None:
        """The HIP version that torch was built for."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures that torch has kernels for."""


def build_of(distribution: Distribution | None, device: TorchAnswers | None) -> TorchBuild:
    """Return the build of the installed torch: as torch reported it to the probe, else as its metadata suggests."""
    if device is not None:
        cuda = _major_minor(device.torch_cuda)
        return TorchBuild(
            cuda=cuda,
            hip=device.torch_hip is not None,
            cpu_only=device.torch_cuda is None and device.torch_hip is None and device.type != "mps",
            architectures=device.architectures or _released_architectures(cuda),
            inferred=not device.architectures,
        )
    if distribution is None or distribution.parsed is None:
        return TorchBuild()
    local = distribution.parsed.local or ""
    if local.startswith(("cpu", "rocm")):
        return TorchBuild(cpu_only=local.startswith("cpu"), hip=local.startswith("rocm"))
    cuda = builds.cuda_of(local) or _cuda_of_requirements(distribution.requires)
    return TorchBuild(cuda=cuda, architectures=_released_architectures(cuda))


def _released_architectures(cuda: tuple[int, int] | None) -> tuple[str, ...]:
    return () if cuda is None else _RELEASED_ARCHITECTURES.get(cuda, ())


def support(
    vendor: str,
    capability: tuple[int, int] | None,
    build: TorchBuild,
    driver: str | None,
    architecture: str | None = None,
) -> Support:
    """Return what ``build`` can do on a GPU of ``vendor`` (``nvidia``, ``amd`` or ``apple``).

    ``capability`` is NVIDIA's compute capability, ``driver`` the version of NVIDIA's driver, and ``architecture`` AMD's
    name of the GPU's instruction set (``gfx942``).
    """
    if vendor == "amd":
        return _amd_support(build, architecture)
    if vendor == "apple":
        # M2 has bfloat16 instructions and M1 does not. torch reports no difference, so only a measurement can tell.
        return Support(
            usable=None, bf16=Bf16.UNKNOWN, reason="only a probe can show whether an Apple GPU supports bfloat16"
        )
    return _nvidia_support(capability, build, driver)


def _nvidia_support(capability: tuple[int, int] | None, build: TorchBuild, driver: str | None) -> Support:
    if capability is None:
        return Support(usable=None, bf16=Bf16.UNKNOWN, reason="the compute capability of this GPU is unknown")
    bf16 = Bf16.NATIVE if capability >= NATIVE_BF16 else Bf16.EMULATED
    obstacle = _nvidia_obstacle(capability, build, driver)
    if obstacle is not None:
        return Support(usable=False, bf16=bf16, reason=obstacle)
    reason = f"compute capability {capability[0]}.{capability[1]}"
    return Support(usable=True if build.architectures else None, bf16=bf16, reason=reason)


def _nvidia_obstacle(capability: tuple[int, int], build: TorchBuild, driver: str | None) -> str | None:
    """Return why ``build`` cannot run on an NVIDIA GPU; ``None``: no reason is known."""
    if build.cpu_only:
        return "this torch is a CPU build"
    if build.hip:
        return "this torch is built for AMD's ROCm"
    oldest = _OLDEST_DRIVER.get(build.cuda[0]) if build.cuda else None
    installed = _major_minor(driver)
    if build.cuda and oldest and installed and installed < oldest:
        cuda = f"CUDA {build.cuda[0]}.{build.cuda[1]}"
        return f"{cuda} needs driver {oldest[0]}.{oldest[1]} or newer, and the installed driver is {driver}"
    if build.architectures and not has_kernels(capability, build.architectures):
        major, minor = capability
        return (
            f"no kernel image: the GPU has compute capability {major}.{minor} (sm_{major}{minor}), "
            f"and this torch has kernels for {', '.join(build.architectures)}"
        )
    return None


def _amd_support(build: TorchBuild, architecture: str | None) -> Support:
    usable = build.hip or None
    name = (architecture or "").partition(":")[0]
    if not name.startswith("gfx"):
        return Support(usable=usable, bf16=Bf16.UNKNOWN, reason="the architecture of this AMD GPU is unknown")
    bf16 = Bf16.NATIVE if _AMD_BF16.fullmatch(name) else Bf16.EMULATED
    return Support(usable=usable, bf16=bf16, reason=f"AMD {name}")


def has_kernels(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Return whether a build for ``architectures`` runs on a GPU of compute capability ``capability``.

    ``sm_86`` is machine code: it runs on the same major version, from its minor version up. ``compute_86`` is PTX: the
    driver compiles it for any newer GPU. The suffixes ``a`` and ``f`` mark code for exactly that GPU or family.
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation
    """
    return any(_runs(name, capability) for name in architectures)


def _runs(name: str, capability: tuple[int, int]) -> bool:
    kind, _, digits = name.partition("_")
    match = re.fullmatch(r"(\d+)(\d)([af]?)", digits)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    if match[3]:
        return kind == "sm" and (major, minor) == capability
    if kind == "sm":
        return major == capability[0] and minor <= capability[1]
    return kind == "compute" and (major, minor) <= capability


def _cuda_of_requirements(requires: tuple[str, ...]) -> tuple[int, int] | None:
    # Wheels from PyPI have no local version. Their requirements pin the CUDA runtime, and so name its version.
    for text in requires:
        if not text.startswith(("nvidia-cuda-runtime", "cuda-toolkit")):
            continue
        try:
            specifiers = Requirement(text).specifier
        except InvalidRequirement:
            continue
        for specifier in specifiers:
            return _major_minor(specifier.version)
    return None


def _major_minor(version: str | None) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", version or "")
    return (int(match[1]), int(match[2])) if match else None
