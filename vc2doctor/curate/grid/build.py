"""Build the environment of a cell with uv, as a user would. A failed installation is an outcome like any other."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from packaging.utils import canonicalize_name

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.curate.grid.cells import CellSpec

TIMEOUT = 900.0
"""Seconds for one command of uv: a CUDA build of torch is 3 GB with its packages."""
MAX_ATTEMPTS = 3
"""Attempts to install, since a download of 3 GB sometimes breaks off."""
MAX_ERROR_LENGTH = 400
"""Characters of uv's output in an error; the last ones tell most."""
MAX_MESSAGE_LENGTH = 600
"""Characters of uv's message in the evidence."""

_CUDA_PACKAGES = (
    "cublas",
    "cuda-cupti",
    "cuda-nvrtc",
    "cuda-runtime",
    "cudnn",
    "cufft",
    "curand",
    "cusolver",
    "cusparse",
    "cusparselt",
    "nccl",
    "nvjitlink",
    "nvtx",
    "nvshmem",
    "cufile",
)
"""Names of the packages that CUDA builds of torch bring, without ``nvidia-`` and the suffix of the CUDA version."""
_CUDA_SUFFIXES = ("", "-cu11", "-cu12", "-cu13")

_NO_WHEEL = re.compile(
    r"no wheels? with a matching|has no wheels|no wheels are available|not compatible with your|"
    r"requested Python version|does not satisfy Python|Python>=?|Requires-Python|no usable wheels"
)
_BUILD_FAILED = re.compile(r"Failed to (?:download and )?build|Failed building|build backend returned an error")
_UNSATISFIABLE = re.compile(r"No solution found|unsatisfiable|ResolutionImpossible")
_PLANNED_INSTALL = re.compile(r"^ \+ ([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
_PATH = re.compile(r"(?:file://|https?://)?/?(?:[\w.+-]+/){2,}[\w.+-]*")

_InstallOutcome = Literal["unsatisfiable", "no-wheel", "build-failed"]


class BuildError(DoctorError):
    """An environment could not be built because of this machine: its network, its disk, or a missing interpreter."""


class InstallFailure(Data):
    """Why the resolver or the installer gave up."""

    outcome: _InstallOutcome
    message: str


def build(spec: CellSpec, interpreter: str, folder: Path, environment: Mapping[str, str]) -> InstallFailure | None:
    """Make ``folder`` a virtual environment with the requirements of ``spec``; return why they cannot be installed.

    Raises:
        BuildError: uv is not installed, or failed because of this machine.
    """
    _make_venv(spec, interpreter, folder, environment)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        result = _uv_install(spec, folder, environment, "--quiet")
        if result.returncode == 0:
            return None
        try:
            return classify(result.stderr)
        except BuildError:
            if attempt == MAX_ATTEMPTS:
                raise
    return None


def resolve(
    spec: CellSpec, interpreter: str, folder: Path, environment: Mapping[str, str]
) -> dict[str, str] | InstallFailure:
    """Return the versions that uv would install for ``spec``, by name, without installing them.

    Raises:
        BuildError: uv is not installed, or failed because of this machine.
    """
    _make_venv(spec, interpreter, folder, environment)
    result = _uv_install(spec, folder, environment, "--dry-run")
    if result.returncode:
        return classify(result.stderr)
    return {canonicalize_name(name): version for name, version in _PLANNED_INSTALL.findall(result.stderr)}


def classify(stderr: str) -> InstallFailure:
    """Return the kind of failure that uv's error output describes.

    Raises:
        BuildError: the failure is one of this machine, such as its network or its disk.
    """
    text = " ".join(stderr.replace("╰─▶", " ").replace("│", " ").split())
    outcome: _InstallOutcome
    if _BUILD_FAILED.search(text):
        outcome = "build-failed"
    elif _UNSATISFIABLE.search(text):
        outcome = "no-wheel" if _NO_WHEEL.search(text) else "unsatisfiable"
    else:
        error = text[-MAX_ERROR_LENGTH:]
        message = f"uv failed because of this machine, not because of the cell; check network and disk: {error}"
        raise BuildError(message)
    # Evidence must not hold paths of one machine.
    return InstallFailure(outcome=outcome, message=_PATH.sub("…", text)[:MAX_MESSAGE_LENGTH])


def free_gigabytes(folder: Path) -> float:
    """Return the free space on the disk of ``folder``, in GB."""
    return shutil.disk_usage(folder).free / 1e9


def clean_cache(environment: Mapping[str, str]) -> None:
    """Remove every release of torch and its CUDA packages from uv's cache.

    Raises:
        BuildError: uv is not installed.
    """
    cuda = (f"nvidia-{package}{suffix}" for package in _CUDA_PACKAGES for suffix in _CUDA_SUFFIXES)
    _run([_uv(), "cache", "clean", "--quiet", "torch", "triton", *cuda], environment)
    # The unpacked files of those packages are unreferenced only now.
    _run([_uv(), "cache", "prune", "--quiet"], environment)


def _make_venv(spec: CellSpec, interpreter: str, folder: Path, environment: Mapping[str, str]) -> None:
    result = _run([_uv(), "venv", "--quiet", "--clear", "--python", interpreter, str(folder)], environment)
    if result.returncode:
        error = result.stderr.strip()[-MAX_ERROR_LENGTH:]
        message = f"uv could not make an environment for Python {spec.cell.python}: {error}"
        raise BuildError(message)


def _uv_install(
    spec: CellSpec, folder: Path, environment: Mapping[str, str], option: str
) -> subprocess.CompletedProcess[str]:
    python = str(folder / "bin" / "python")
    return _run([_uv(), "pip", "install", option, "--python", python, *spec.requirements], environment)


def _uv() -> str:
    uv = shutil.which("uv")
    if uv is None:
        message = "uv is not on PATH, and the grid builds its environments with it; install it: pip install uv"
        raise BuildError(message)
    return uv


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(command[:3])} took more than {TIMEOUT:.0f} s; check the network, then measure again"
        raise BuildError(message) from error
