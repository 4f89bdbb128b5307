"""Why a compiled module or a shared library cannot be loaded, from the message of the dynamic linker, and what helps.

The messages are those of glibc (``ld.so``): a symbol that no loaded library has, a library that is not found, a system
that is too old, and a file that is damaged.
"""

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import Version

from vc2doctor.core.failure import Failure
from vc2doctor.environment.model import Distribution, Environment
from vc2doctor.environment.requirements import parsed
from vc2doctor.matrix.hardware import build_of
from vc2doctor.remedies import commands


class Explanation(NamedTuple):
    """Why something cannot be loaded, and what to do."""

    remedy: str
    """The cause and the change, as sentences."""
    commands: tuple[str, ...] = ()


_FILE = r"(?P<file>[^\s:()'\"]+\.(?:so|dylib)[\w.]*)"
_UNDEFINED = re.compile(rf"{_FILE}: undefined symbol: (?P<symbol>\w+)")
_NOT_FOUND = re.compile(
    r"(?P<library>lib[\w+-]+(?:\.[\w-]+)*?\.so)(?:\.(?P<major>\d+))?[\d.]*: cannot open shared object"
)
_OLD_SYSTEM = re.compile(
    rf"version [`'](?P<library>GLIBC|GLIBCXX|CXXABI)_(?P<version>[\d.]+)' not found(?: \(required by {_FILE})?"
)
_OWN_FILE_NOT_FOUND = re.compile(rf"{_FILE}: cannot open shared object file")
_STATIC_TLS = re.compile(rf"{_FILE}: cannot allocate memory in static TLS block")
_DAMAGED = re.compile(rf"{_FILE}: (?:file too short|invalid ELF header|wrong ELF class|cannot read file data)")

_OF_TORCH = re.compile(r"3c10|[NK]2at|[NK]5torch|THPVariable|aoti_torch|^torch_")
"""In the mangled name of a function of torch: of its namespaces ``c10``, ``at`` and ``torch``."""
_OF_CUDA = re.compile(r"^_*(?:nvJitLink|nccl|cudnn|cublas|cusparse|cusolver|cufft|nvrtc|nvshmem)")
_DISTRIBUTIONS = {
    "amp_C": "apex",
    "fused_layer_norm_cuda": "apex",
    "selective_scan_cuda": "mamba-ssm",
    "rotary_emb": "flash-attn",
    "dropout_layer_norm": "flash-attn",
    "fused_dense_lib": "flash-attn",
}
"""Distributions by compiled module, for modules that are not named after their distribution.

Source: the ``setup.py`` of apex, mamba and flash-attention.
"""
_CUDA_LIBRARIES = {
    "libcudart.so": "nvidia-cuda-runtime",
    "libcublas.so": "nvidia-cublas",
    "libcublasLt.so": "nvidia-cublas",
    "libcudnn.so": "nvidia-cudnn",
    "libnccl.so": "nvidia-nccl",
    "libcufft.so": "nvidia-cufft",
    "libcurand.so": "nvidia-curand",
    "libcusolver.so": "nvidia-cusolver",
    "libcusparse.so": "nvidia-cusparse",
    "libcusparseLt.so": "nvidia-cusparselt",
    "libnvrtc.so": "nvidia-cuda-nvrtc",
    "libnvJitLink.so": "nvidia-nvjitlink",
    "libcupti.so": "nvidia-cuda-cupti",
    "libcufile.so": "nvidia-cufile",
    "libnvshmem_host.so": "nvidia-nvshmem",
}
"""The wheels that bring CUDA's libraries, without the suffix of their CUDA version: https://pypi.org/project/torch/."""
_NUMBERED_LIKE_CUDA = ("libcudart.so", "libcublas.so", "libcublasLt.so", "libcusparse.so", "libnvrtc.so", "libcupti.so")
"""Libraries whose first number is that of CUDA: ``libcusparse.so.12``."""
_LIBRARIES_OF_TORCH = ("libtorch", "libc10")
_BUILD_FOR_CUDA = re.compile(r"_cuda(\d{1,2})(\d)[._]")
"""In the name of a library of bitsandbytes: ``libbitsandbytes_cuda124.so``."""
_DEBIAN_PACKAGES = {
    "libGL.so": "libgl1",
    "libglib-2.0.so": "libglib2.0-0",
    "libgthread-2.0.so": "libglib2.0-0",
    "libSM.so": "libsm6",
    "libXext.so": "libxext6",
    "libXrender.so": "libxrender1",
    "libgomp.so": "libgomp1",
    "libstdc++.so": "libstdc++6",
    "libsndfile.so": "libsndfile1",
    "libopenblas.so": "libopenblas0",
    "libnuma.so": "libnuma1",
    "libaio.so": "libaio1",
    "libibverbs.so": "libibverbs1",
    "libmpi.so": "libopenmpi3",
}
"""Packages of Debian and Ubuntu by library: https://packages.debian.org/search?searchon=contents."""
_STANDARD_LIBRARY = {"GLIBCXX": "libstdc++", "CXXABI": "libstdc++", "GLIBC": "glibc"}


def explained(environment: Environment, failure: Failure) -> Explanation | None:
    """Return why a library could not be loaded, and what helps; ``None``: ``failure`` is of another kind."""
    for pattern, explain in _KINDS:
        match = pattern.search(failure.message)
        explanation = explain(environment, failure, match) if match is not None else None
        if explanation is not None:
            return explanation
    return None


def _undefined(environment: Environment, _: Failure, match: re.Match[str]) -> Explanation:
    owner = _owner(environment, match["file"])
    torch = environment.version("torch")
    if _OF_TORCH.search(match["symbol"]) and owner is not None and owner.name != "torch" and torch is not None:
        return _compiled_for_another_torch(environment, owner, str(torch))
    if _OF_CUDA.search(match["symbol"]):
        return Explanation(
            f"{_base(match['file'])} found another release of a CUDA library than its own. Unset LD_LIBRARY_PATH if it"
            " names folders of a CUDA toolkit: they come before the libraries that torch brings. If it is not set,"
            " install torch again together with the nvidia packages that it requires."
        )
    what = owner.name if owner is not None else _base(match["file"])
    return Explanation(
        f"{what} was compiled against another release of a library than the one that is loaded. Install it again in a"
        " release that was built for this environment.",
        _again(environment, owner) if owner is not None else (),
    )


def _compiled_for_another_torch(environment: Environment, owner: Distribution, torch: str) -> Explanation:
    cause = f"{owner.name} was compiled for another torch than {torch}."
    if owner.name == "torchaudio" and Version("2.0") <= Version(torch) < Version("2.9"):
        # https://docs.pytorch.org/audio/2.8/installation.html#compatibility-matrix
        pair = f"torchaudio=={Version(torch)}"
        return Explanation(f"{cause} Its release for this torch is {pair}.", (commands.change(environment, [pair]),))
    options = ("--no-build-isolation", "--no-deps", *_forced(environment))
    command = commands.install(environment.interpreter, [_pin(owner)], *options)
    return Explanation(
        f"{cause} Install it again, so that it is compiled for this one, or take the wheel that its project offers for"
        f" torch {Version(torch).public}. If your code does not use {owner.name}, removing it helps, too.",
        (command,),
    )


def _own_file_not_found(environment: Environment, _: Failure, match: re.Match[str]) -> Explanation | None:
    """Explain a library that is missing in the folder of its own package; ``None``: it belongs to no package."""
    owner = _owner(environment, match["file"])
    if owner is None:
        return None
    build = _BUILD_FOR_CUDA.search(_base(match["file"]))
    if build is None:
        return Explanation(
            f"{_base(match['file'])} of {owner.name} is missing: the installation is damaged. Install it again.",
            _again(environment, owner),
        )
    return Explanation(
        f"{owner.name} {owner.version} has no build for CUDA {build[1]}.{build[2]}. Install a newer release of it, or a"
        " torch for a CUDA that it has.",
        (commands.install(environment.interpreter, [owner.name], "--upgrade"),),
    )


def _not_found(environment: Environment, failure: Failure, match: re.Match[str]) -> Explanation:
    library = match["library"] + (f".{match['major']}" if match["major"] else "")
    if match["library"] == "libcuda.so":
        return Explanation(
            "libcuda belongs to the NVIDIA driver, and this machine or container has none. Run it on a machine with a"
            " GPU; a container needs `--gpus all`."
        )
    if match["library"].startswith(_LIBRARIES_OF_TORCH):
        what = failure.package or "The package that the exception comes from"
        return Explanation(
            f"{what} was compiled for another torch: it looks for {library}, which torch"
            f" {environment.version('torch')} does not have. Install its release or wheel for this torch, or compile it"
            " again."
        )
    if match["library"].startswith("libpython"):
        folder = f"{environment.interpreter.prefix}/lib"
        return Explanation(
            f"{library} is the library of Python itself, and is not found. If it is in {folder}, start the program with"
            f" LD_LIBRARY_PATH={folder}; otherwise use a Python that was built with --enable-shared."
        )
    prefix = _CUDA_LIBRARIES.get(match["library"])
    if prefix is not None:
        return _cuda_library_missing(environment, failure, library, prefix, match["major"])
    package = _DEBIAN_PACKAGES.get(match["library"])
    if package is None:
        return Explanation(f"{library} is missing on this machine. Install the package of the system that brings it.")
    without = " opencv-python-headless does not need it." if failure.package == "cv2" else ""
    return Explanation(
        f"{library} is missing on this machine. It is a library of the system; on Debian and Ubuntu:"
        f" apt-get install {package}.{without}"
    )


def _cuda_library_missing(
    environment: Environment, failure: Failure, library: str, prefix: str, major: str | None
) -> Explanation:
    torch = environment.distribution("torch")
    build = build_of(torch, None)
    needed_by = environment.distribution(canonicalize_name(failure.package or ""))
    is_numbered = library.startswith(_NUMBERED_LIKE_CUDA)
    is_other = build.cpu_only or (is_numbered and build.cuda is not None and major != str(build.cuda[0]))
    if needed_by is not None and needed_by.name != "torch" and is_other:
        for_torch = "CPUs" if build.cpu_only or build.cuda is None else f"CUDA {build.cuda[0]}.{build.cuda[1]}"
        return Explanation(
            f"{needed_by.name} was compiled for another CUDA than torch: it looks for {library}, and this torch is for"
            f" {for_torch}. Install the build of {needed_by.name} that was made for this torch, or remove it."
        )
    required = filter(None, map(parsed, torch.requires if torch is not None else ()))
    wanted = next((requirement for requirement in required if requirement.name.startswith(prefix)), None)
    if wanted is None:
        return Explanation(
            f"{library} belongs to CUDA, and no package of this environment brings it. Install a torch whose wheels"
            " bring CUDA, or put the folder of your CUDA toolkit's libraries on LD_LIBRARY_PATH."
        )
    return Explanation(
        f"{library} belongs to {wanted.name}, which torch requires, and is not found. Install it again.",
        (commands.reinstall(environment, [f"{wanted.name}{wanted.specifier}"]),),
    )


def _old_system(environment: Environment, failure: Failure, match: re.Match[str]) -> Explanation:
    owner = _owner(environment, match["file"] or "")
    what = owner.name if owner is not None else _base(match["file"] or failure.package or "a package")
    library, needed = _STANDARD_LIBRARY[match["library"]], f"{match['library']}_{match['version']}"
    cause = f"{what} needs {needed}, and the {library} that is loaded is older."
    if library == "glibc":
        system = f" This system has {environment.platform.libc}." if environment.platform.libc else ""
        return Explanation(f"{cause}{system} Use a newer system or container, or an older release of {what}.")
    if environment.interpreter.kind == "conda":
        return Explanation(
            f"{cause} Install a newer one into the environment, and do not let LD_LIBRARY_PATH name an older one.",
            (commands.install_by_conda(environment.interpreter, ["libstdcxx-ng>=12"]),),
        )
    return Explanation(
        f"{cause} Unset LD_LIBRARY_PATH and LD_PRELOAD if they name an older one; otherwise use a newer system or"
        " container."
    )


def _static_tls(_: Environment, __: Failure, match: re.Match[str]) -> Explanation:
    return Explanation(
        f"The memory for variables of threads was used up before {_base(match['file'])} was loaded. Let it be loaded"
        f" first: start the program with LD_PRELOAD={match['file']}"
    )


def _damaged(environment: Environment, _: Failure, match: re.Match[str]) -> Explanation:
    owner = _owner(environment, match["file"])
    if owner is None:
        return Explanation(
            f"{match['file']} is damaged, or made for another machine. Install what it belongs to again."
        )
    return Explanation(
        f"A file of {owner.name} is damaged, or made for another machine: {_base(match['file'])}. Install it again.",
        _again(environment, owner),
    )


_Explain = Callable[[Environment, Failure, "re.Match[str]"], Explanation | None]
_KINDS: tuple[tuple[re.Pattern[str], _Explain], ...] = (
    (_UNDEFINED, _undefined),
    (_OWN_FILE_NOT_FOUND, _own_file_not_found),
    (_NOT_FOUND, _not_found),
    (_OLD_SYSTEM, _old_system),
    (_STATIC_TLS, _static_tls),
    (_DAMAGED, _damaged),
)


def _owner(environment: Environment, file: str) -> Distribution | None:
    """Return the distribution that a library belongs to: the one whose name its path begins with, behind the folder."""
    for folder in {PurePath(each.path).parent for each in environment.distributions}:
        try:
            parts = PurePath(file).relative_to(folder).parts
        except ValueError:
            continue
        top = parts[0].partition(".")[0].removesuffix("_libs")
        named = _DISTRIBUTIONS.get(top) or "-".join(parts[:2] if top == "nvidia" else (top,))
        fitting = [each for each in environment.distributions if _is_named(each.name, canonicalize_name(named))]
        return max(fitting, key=lambda each: len(each.name), default=None)
    return None


def _is_named(distribution: str, module: str) -> bool:
    """Return whether a module can be of a distribution: ``flash-attn-2-cuda`` is of ``flash-attn``.

    The folder ``nvidia/cusparse`` is of a distribution with the CUDA version in its name: ``nvidia-cusparse-cu12``.
    """
    if _begins_with(module, distribution):
        return True
    return module.startswith("nvidia-") and _begins_with(distribution, module)


def _begins_with(name: str, beginning: str) -> bool:
    return f"{name}-".startswith(f"{beginning}-")


def _again(environment: Environment, owner: Distribution) -> tuple[str, ...]:
    return (commands.reinstall(environment, [_pin(owner)]),)


def _forced(environment: Environment) -> tuple[str, ...]:
    # A wheel that was compiled before, for the other torch, may be kept.
    if environment.interpreter.has_pip:
        return ("--no-cache-dir", "--force-reinstall")
    return ("--no-cache", "--reinstall")


def _pin(owner: Distribution) -> str:
    return f"{owner.name}=={owner.parsed.public}" if owner.parsed is not None else owner.name


def _base(file: str) -> str:
    return PurePath(file).name
