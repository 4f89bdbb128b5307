"""Whether torchvision is compiled for the build of torch beside it.

The release number does not say which build is installed: torch 2.13.0 exists for CPUs and for several versions of CUDA.
PyPI has one build of each torchvision. pip and uv take that one even if torch came from another index.
"""

from packaging.version import Version

from vc2doctor.core import builds
from vc2doctor.core.versions import contains, version
from vc2doctor.matrix.releases import Release, Wheels
from vc2doctor.matrix.verdict import Combination

TORCHVISION = "torchvision"
FIRST_BY_MAJOR = Version("0.16.0")
"""From this release of torchvision on, only the major versions of CUDA must be equal. Before it, the minor versions
must be equal, too. Source: ``torchvision/extension.py`` of 0.14.1 to 0.28.0."""


def build_mismatch(combination: Combination, wheels: Wheels) -> str | None:
    """Return why torchvision cannot be imported beside this build of torch; ``None``: no reason is known.

    With torch for CPUs, the operators of a torchvision for CUDA are not registered, and its import raises ``operator
    torchvision::nms does not exist`` (measured with 0.28.0 and torch 2.13.0+cpu;
    https://github.com/pytorch/vision/issues/9085). With another CUDA, it raises ``compiled with different CUDA
    versions``. transformers imports torchvision if it is installed.
    """
    if not {"torch", TORCHVISION} <= combination.versions.keys():
        return None
    torch, torchvision = (_build(combination, name, wheels) for name in ("torch", TORCHVISION))
    release = version(combination.versions[TORCHVISION])
    error = _error(torch, torchvision, release)
    if error is None:
        return None
    return (
        f"torchvision {release} is compiled for {_in_words(torchvision)} and torch for {_in_words(torch)}: the import"
        f" of torchvision, and with it that of transformers, fails: {error}"
    )


def with_build(package: str, text: str, combination: Combination, wheels: Wheels) -> str:
    """Return a release of ``package`` with the build that it must have beside the torch of ``combination``.

    Only a torchvision needs one, if the wheel on PyPI is compiled for another torch than the one that is there.
    """
    if package != TORCHVISION or "torch" not in combination.versions:
        return text
    torch = _build(combination, "torch", wheels)
    of_pypi = wheels.releases[TORCHVISION][text].build
    return text if _error(torch, of_pypi, version(text)) is None else f"{text}+{torch}"


def _error(torch: str, torchvision: str, release: Version) -> str | None:
    of_torch, of_torchvision = builds.cuda_of(torch), builds.cuda_of(torchvision)
    if of_torchvision is None:
        # A torchvision for CPUs can be imported beside every torch.
        return None
    if torch == builds.CPU:
        return "operator torchvision::nms does not exist"
    if of_torch is None or of_torch == of_torchvision:
        return None
    if release >= FIRST_BY_MAJOR and of_torch[0] == of_torchvision[0]:
        return None
    return "PyTorch and torchvision were compiled with different CUDA versions"


def _in_words(build: str) -> str:
    cuda = builds.cuda_of(build)
    return f"CUDA {cuda[0]}.{cuda[1]} ({build})" if cuda else "CPUs (cpu)"


def _build(combination: Combination, name: str, wheels: Wheels) -> str:
    """Return the build of a package: what was read from its files, what its version says, or that of PyPI's wheel."""
    text = combination.versions[name]
    named = combination.builds.get(name) or builds.of_version(text)
    if named or combination.builds:
        # Files that were looked at and name no build are not those of PyPI's wheels for Linux x86-64.
        return named
    release = wheels.release(TORCHVISION, text) if name == TORCHVISION else _made_for(text, wheels)
    return release.build if release is not None else ""


def _made_for(torch: str, wheels: Wheels) -> Release | None:
    """Return the torchvision that requires exactly this torch: its wheel is compiled for the one on PyPI."""
    for release in wheels.releases.get(TORCHVISION, {}).values():
        wanted = release.requires.get("torch", "")
        if wanted.startswith("==") and contains(wanted, torch):
            return release
    return None
