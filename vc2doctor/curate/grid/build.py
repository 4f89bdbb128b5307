"""Builds the environment of a cell as a user would, with uv; a failed installation is an outcome like any other."""

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

_TIMEOUT = 900.0
_ATTEMPTS = 3
_CUDA_PARTS = (
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
_NO_WHEEL = re.compile(
    r"no wheels? with a matching|has no wheels|no wheels are available|not compatible with your|"
    r"requested Python version|does not satisfy Python|Python>=?|Requires-Python|no usable wheels"
)
_BUILD = re.compile(r"Failed to (?:download and )?build|Failed building|build backend returned an error")
_PLANNED = re.compile(r"^ \+ ([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
_RESOLVER = re.compile(r"No solution found|unsatisfiable|ResolutionImpossible")


class BuildError(DoctorError):
    """An environment could not be built for a reason that says nothing of the cell: network, disk, no interpreter."""


class InstallFailure(Data):
    """Why the resolver or the installer gave up."""

    outcome: Literal["unsatisfiable", "no-wheel", "build-failed"]
    message: str


def build(asked: CellSpec, interpreter: str, folder: Path, environment: Mapping[str, str]) -> InstallFailure | None:
    """Make ``folder`` a virtual environment with the requirements of ``asked``.

    Raises:
        BuildError: uv is not there, or failed for a reason that says nothing of the cell.
    """
    uv = _make(asked, interpreter, folder, environment)
    python = str(folder / "bin" / "python")
    for attempt in range(_ATTEMPTS):
        done = _run([uv, "pip", "install", "--quiet", "--python", python, *asked.requirements], environment)
        if done.returncode == 0:
            return None
        try:
            return classify(done.stderr)
        except BuildError:
            # A download of 3 GB breaks off now and then.
            if attempt == _ATTEMPTS - 1:
                raise
    return None


def _make(asked: CellSpec, interpreter: str, folder: Path, environment: Mapping[str, str]) -> str:
    uv = shutil.which("uv")
    if uv is None:
        message = "uv is not on PATH; the grid builds its environments with it: pip install uv"
        raise BuildError(message)
    made = _run([uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)], environment)
    if made.returncode:
        message = f"no environment for Python {asked.cell.python}: {made.stderr.strip()[-400:]}"
        raise BuildError(message)
    return uv


def resolve(
    asked: CellSpec, interpreter: str, folder: Path, environment: Mapping[str, str]
) -> dict[str, str] | InstallFailure:
    """Return what would be installed for ``asked``, by name, without installing it.

    Raises:
        BuildError: uv is not there, or failed for a reason that says nothing of the cell.
    """
    uv = _make(asked, interpreter, folder, environment)
    command = [uv, "pip", "install", "--dry-run", "--python", str(folder / "bin" / "python"), *asked.requirements]
    done = _run(command, environment)
    if done.returncode:
        return classify(done.stderr)
    return {canonicalize_name(name): found for name, found in _PLANNED.findall(done.stderr)}


def classify(told: str) -> InstallFailure:
    """Return what kind of failure uv's message tells.

    Raises:
        BuildError: it is none of the cell's: a network or a disk.
    """
    words = " ".join(told.replace("╰─▶", " ").replace("│", " ").split())
    if _BUILD.search(words):
        outcome: Literal["unsatisfiable", "no-wheel", "build-failed"] = "build-failed"
    elif _RESOLVER.search(words):
        outcome = "no-wheel" if _NO_WHEEL.search(words) else "unsatisfiable"
    else:
        message = f"uv failed for a reason that says nothing of the cell: {words[-400:]}"
        raise BuildError(message)
    return InstallFailure(outcome=outcome, message=_without_paths(words)[:600])


def _without_paths(words: str) -> str:
    """Return ``words`` without what belongs to one machine."""
    return re.sub(r"(?:file://|https?://)?/?(?:[\w.+-]+/){2,}[\w.+-]*", "…", words)


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(command[:3])} took over {_TIMEOUT:.0f} s"
        raise BuildError(message) from error


def free_gigabytes(folder: Path) -> float:
    """Return what is left on the disk of ``folder``, in GB."""
    return shutil.disk_usage(folder).free / 1e9


def clean_cache(environment: Mapping[str, str]) -> None:
    """Remove every release of torch, and of what its CUDA builds bring, from uv's cache.

    Raises:
        BuildError: uv is not there.
    """
    uv = shutil.which("uv")
    if uv is None:
        message = "uv is not on PATH"
        raise BuildError(message)
    suffixes = ("", "-cu11", "-cu12", "-cu13")
    listed = ("torch", "triton", *(f"nvidia-{part}{suffix}" for part in _CUDA_PARTS for suffix in suffixes))
    _run([uv, "cache", "clean", "--quiet", *listed], environment)
    # Only now nothing refers to what was unpacked of them.
    _run([uv, "cache", "prune", "--quiet"], environment)
