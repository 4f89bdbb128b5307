"""The wheel: what is in it, and that it works from wherever it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nox
import pytest

import noxfile
from tests.conftest import Venv
from vc2doctor.matrix import load

ROOT = Path(noxfile.__file__).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, env={**os.environ, **noxfile.uv_settings()})
    return next(folder.glob("*.whl"))


def test_the_matrix_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {
            name.removeprefix("vc2doctor/") for name in archive.namelist() if name.startswith("vc2doctor/matrices/")
        }
    beside = {path.relative_to(ROOT).as_posix() for path in (ROOT / "matrices").rglob("*") if path.is_file()}
    assert inside == beside


def test_the_stack_is_an_extra_and_nothing_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        requires = [line for line in archive.read(name).decode().splitlines() if line.startswith("Requires-Dist: ")]
    for package in ("torch", "transformers", "peft"):
        (line,) = [line for line in requires if line.removeprefix("Requires-Dist: ").startswith(package)]
        assert "extra == 'stack'" in line


def test_the_stack_extra_is_a_measured_set() -> None:
    pinned = nox.project.load_toml(str(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]["stack"]
    cell = next(cell for cell in noxfile.CELLS if cell.name == "peft-0.21.2")
    assert tuple(pinned) == cell.requirements


def test_it_works_where_it_is_installed(wheel: Path, venv: Venv, tmp_path: Path) -> None:
    environment = {**os.environ, **noxfile.uv_settings()}
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", venv.python, str(wheel)]
    subprocess.run(command, check=True, env=environment)
    program = str(venv.root / "bin" / "vc2doctor")
    done = subprocess.run([program, "check"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "torch, transformers, peft are not installed" in done.stdout
    where = subprocess.run(
        [venv.python, "-c", "from vc2doctor.matrix.load import shipped; print(shipped())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert where.stdout.strip() == str(venv.packages / "vc2doctor" / "matrices")


def test_a_checkout_uses_the_matrix_beside_it() -> None:
    assert load.shipped() == ROOT / "matrices"
