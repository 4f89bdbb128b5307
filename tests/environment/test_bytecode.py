"""The doctor's own cache for the bytecode of targets that have none."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from tests.facts import environment, interpreter
from vc2doctor.environment.bytecode import MAX_AGE_SECONDS, MAX_CACHES, VARIABLE, cache_for
from vc2doctor.environment.interpreter import variables
from vc2doctor.environment.model import Environment, Module


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    """A package as large as torch's upper folder, without bytecode."""
    folder = tmp_path / "site-packages" / "torch"
    folder.mkdir(parents=True)
    for name in ("__init__", *(f"part{number}" for number in range(30))):
        (folder / f"{name}.py").touch()
    return folder


def installed(torch: Path, prefix: str = "/env") -> Environment:
    module = Module(name="torch", origin=str(torch / "__init__.py"), found=True)
    return environment(modules=(module,), interpreter=interpreter(prefix=prefix))


def test_a_target_without_bytecode_gets_a_private_folder_of_the_user(tmp_path: Path, torch: Path) -> None:
    folder = cache_for(installed(torch), {"HOME": str(tmp_path)})
    assert folder is not None
    assert folder.parent == tmp_path / ".cache" / "vc2doctor" / "bytecode"
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IRWXU
    assert cache_for(installed(torch), {"HOME": str(tmp_path)}) == folder
    assert cache_for(installed(torch, "/other"), {"HOME": str(tmp_path)}) != folder


def test_a_compiled_target_reads_its_own_bytecode(tmp_path: Path, torch: Path) -> None:
    (torch / "__pycache__").mkdir()
    (torch / "__pycache__" / "__init__.cpython-311.pyc").touch()
    assert cache_for(installed(torch), {"HOME": str(tmp_path)}) is None
    assert not (tmp_path / ".cache").exists()


@pytest.mark.parametrize(
    "more", [{VARIABLE: "/elsewhere"}, {"PYTHONDONTWRITEBYTECODE": "1"}, {"HOME": ""}, {"HOME": "relative"}]
)
def test_the_users_own_choice_stands_and_without_a_home_there_is_no_cache(
    more: dict[str, str], tmp_path: Path, torch: Path
) -> None:
    assert cache_for(installed(torch), {"HOME": str(tmp_path), **more}) is None


def test_a_small_package_is_not_worth_a_cache(tmp_path: Path) -> None:
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "__init__.py").touch()
    assert cache_for(installed(folder), {"HOME": str(tmp_path)}) is None


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, torch: Path) -> None:
    folder = cache_for(installed(torch), {"HOME": str(tmp_path)})
    assert folder is not None
    folder.chmod(0o777)
    assert cache_for(installed(torch), {"HOME": str(tmp_path)}) is None


def test_old_caches_and_all_but_the_newest_are_removed(tmp_path: Path, torch: Path) -> None:
    home = {"HOME": str(tmp_path)}
    made = [cache_for(installed(torch, f"/env{number}"), home) for number in range(MAX_CACHES + 2)]
    folders = [folder for folder in made if folder is not None]
    assert sum(folder.exists() for folder in folders) == MAX_CACHES
    old = time.time() - MAX_AGE_SECONDS - 60
    os.utime(folders[-1], (old, old))
    assert cache_for(installed(torch, "/newest"), home) is not None
    assert not folders[-1].exists()


def test_a_child_may_write_bytecode_only_into_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert variables()["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in variables({VARIABLE: "/cache"})
