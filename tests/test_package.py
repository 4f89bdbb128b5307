"""The wheel: its content, and that it works wherever it is installed."""

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
pytestmark = pytest.mark.xdist_group("package")
"""The tests share a wheel, which takes long to build: one worker runs them."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, env={**os.environ, **noxfile.uv_settings()})
    return next(folder.glob("*.whl"))


def test_wheel_contains_the_whole_matrix(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {
            name.removeprefix("vc2doctor/") for name in archive.namelist() if name.startswith("vc2doctor/matrices/")
        }
    in_checkout = {path.relative_to(ROOT).as_posix() for path in (ROOT / "matrices").rglob("*") if path.is_file()}
    assert in_wheel == in_checkout


def test_wheel_contains_the_templates_of_the_page(wheel: Path) -> None:
    folder = "vc2doctor/report/html/templates"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith(f"{folder}/")}
    assert packed == {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
    assert packed


def test_wheel_contains_the_templates_the_site_and_the_man_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    folders = (ROOT / "vc2doctor" / "templates", ROOT / "vc2doctor" / "report" / "site")
    files = {path for folder in folders for path in folder.iterdir() if path.is_file()}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= names
    assert [name for name in names if name.endswith(".data/data/share/man/man1/vc2doctor.1")]


def test_stack_is_required_only_by_the_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        requires = [line for line in archive.read(name).decode().splitlines() if line.startswith("Requires-Dist: ")]
    for package in ("torch", "transformers", "peft"):
        (line,) = [line for line in requires if line.removeprefix("Requires-Dist: ").startswith(package)]
        assert "extra == 'stack'" in line


def test_stack_extra_pins_a_measured_set() -> None:
    pinned = nox.project.load_toml(str(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]["stack"]
    cell = next(cell for cell in noxfile.CELLS if cell.name == "peft-0.21.2")
    assert tuple(pinned) == cell.requirements


def test_installed_wheel_runs_and_finds_its_own_matrix(wheel: Path, venv: Venv, tmp_path: Path) -> None:
    environment = {**os.environ, **noxfile.uv_settings()}
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", venv.python, str(wheel)]
    subprocess.run(command, check=True, env=environment)
    program = str(venv.root / "bin" / "vc2doctor")
    check = subprocess.run([program, "check"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert check.returncode == 1, check.stderr
    assert "torch, transformers and peft are not installed" in check.stdout
    shipped = subprocess.run(
        [venv.python, "-c", "from vc2doctor.matrix.load import shipped; print(shipped())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert shipped.stdout.strip() == str(venv.packages / "vc2doctor" / "matrices")


def test_checkout_uses_the_matrix_in_its_root() -> None:
    assert load.shipped() == ROOT / "matrices"
