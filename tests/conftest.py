"""Fixtures with real environments: small ones with dist-info folders written by hand, and the real stack."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from filelock import FileLock

import noxfile

if TYPE_CHECKING:
    from collections.abc import Callable


# A test must not use the answer of another one, nor leave its own to the user. uv keeps its packages where they were.
os.environ.setdefault("UV_CACHE_DIR", str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"))
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="vc2doctor-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

# Without their bytecode, each run of the doctor compiles all of its modules and libraries again, and each probe the
# stack. That would take most of the time of the tests, and hide a doctor that writes bytecode into a target.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Test machines are shared, so the time that one example takes says nothing about the code.
hypothesis.settings.register_profile(
    "vc2doctor", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("vc2doctor")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Check in a worker of xdist that it groups tests. If it does not, each worker makes the fixtures that take long.

    Raises:
        UsageError: xdist and pytest do not fit together.
    """
    # Only workers have this option.
    if not session.config.getoption("loadgroup", default=False):
        return
    grouped = (item for item in session.items if item.get_closest_marker("xdist_group") is not None)
    lost = next((item.nodeid for item in grouped if "@" not in item.nodeid.rpartition("]")[2]), None)
    if lost is not None:
        message = (
            f"xdist does not group {lost}, so its fixtures would be made in each worker. Install the pytest that the"
            " group `test` of pyproject.toml asks for."
        )
        raise pytest.UsageError(message)


@dataclass
class Venv:
    """A real virtual environment into which distributions are written by hand."""

    root: Path
    packages: Path = field(init=False)

    def __post_init__(self) -> None:
        self.packages = next((self.root / "lib").glob("python*/site-packages"))

    @property
    def python(self) -> str:
        return str(self.root / "bin" / "python")

    def add(self, name: str, version: str, *, requires: tuple[str, ...] = (), module: str | None = "") -> Path:
        """Write the dist-info folder of a distribution, and a module with this source unless ``module`` is ``None``."""
        info = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n\nA description.\n", encoding="utf-8")
        (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
        record = [f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]
        if module is not None:
            folder = self.packages / name.replace("-", "_")
            folder.mkdir(exist_ok=True)
            source = f'__version__ = "{version}"\n{module}\n'
            (folder / "__init__.py").write_text(source, encoding="utf-8")
            record.append(f"{folder.name}/__init__.py,,")
        (info / "RECORD").write_text("\n".join(record) + "\n", encoding="utf-8")
        return info

    def add_stack(self, *, torch: str = "", transformers: str = "", peft: str = "") -> None:
        """Write torch, transformers and peft with these sources, in versions that were measured to train."""
        self.add("torch", "2.13.0+cpu", module=torch)
        self.add("transformers", "4.40.1", module=transformers)
        self.add("peft", "0.10.0", module=peft)


def make_venv(root: Path, python: str = sys.executable) -> Venv:
    subprocess.run([python, "-m", "venv", "--without-pip", str(root)], check=True, capture_output=True)
    return Venv(root)


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    """An empty environment of the running Python."""
    return make_venv(tmp_path / "venv")


@pytest.fixture
def venv_of(tmp_path: Path) -> Callable[[str], Venv]:
    """Return a function that makes an empty environment of another Python, or skips if it is not installed."""

    def make(version: str) -> Venv:
        python = noxfile.interpreter(version)
        if not Path(python).is_file():
            pytest.skip(f"Python {version} is not installed")
        return make_venv(tmp_path / f"venv{version}", python)

    return make


ON_PAPER = ("--no-probe", "--accept", "inferred")
"""Options with which versions alone decide."""
WITHOUT_CACHE = {"XDG_CACHE_HOME": os.devnull}
"""Variables with which no answer is kept: a test must not get that of another one."""


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of one run of the command."""

    code: int
    out: str
    err: str


def variables_of_doctor(**variables: str) -> dict[str, str]:
    """Return the variables of a run: GPUs and active environments are hidden, as the tests must not depend on them."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    return {**inherited, "CUDA_VISIBLE_DEVICES": "-1", **WITHOUT_CACHE, **variables}


def run_doctor(*arguments: str, cwd: Path, **variables: str) -> Ran:
    """Run the command as a user does, in ``cwd``."""
    process = subprocess.run(
        [sys.executable, "-m", "vc2doctor", *arguments],
        cwd=cwd,
        env=variables_of_doctor(**variables),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(process.returncode, process.stdout, process.stderr)


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., Ran]:
    """Return a function that runs the command in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(*arguments: str, cwd: Path = folder, **variables: str) -> Ran:
        return run_doctor(*arguments, cwd=cwd, **variables)

    return run


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder of this session: the workers of xdist share it."""
    own = tmp_path_factory.getbasetemp()
    # The folder of a worker is in that of its session.
    return own.parent if hasattr(pytestconfig, "workerinput") else own


@pytest.fixture(scope="session")
def stack_of(shared_folder: Path) -> Callable[..., Path]:
    """Return a function that installs real packages into an environment, once per session for equal requirements."""
    # The probe writes no bytecode into the target, so without this every probe would compile the stack again.
    os.environ["PYTHONPYCACHEPREFIX"] = str(shared_folder / "bytecode")

    def make(*requirements: str) -> Path:
        name = f"stack-{hashlib.sha256(' '.join(requirements).encode()).hexdigest()[:12]}"
        return once(shared_folder / name, lambda root: _install(root, requirements))

    return make


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder that ``make`` fills, unless another worker of this session has done so."""
    complete = folder.with_name(f"{folder.name}.complete")
    with FileLock(f"{folder}.lock"):
        if not complete.exists():
            make(folder)
            complete.touch()
    return folder


def _install(root: Path, requirements: tuple[str, ...]) -> None:
    environment = {**os.environ, **noxfile.uv_settings()}
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, "--clear", str(root)],
        ["uv", "pip", "install", "--quiet", "--python", f"{root}/bin/python", *requirements],
    ):
        subprocess.run([sys.executable, "-m", *command], check=True, env=environment)
