"""Which environment is examined without --python: the active one, else the doctor's own; a stale one is an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import Venv, make_venv
from vc2doctor.core.child import TargetError
from vc2doctor.environment import choice
from vc2doctor.environment.choice import choose, tool_of

VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV")


@pytest.fixture(autouse=True)
def _no_environment_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def conda(root: Path) -> Path:
    """Make what of a conda environment matters here: a Python and the folder of its metadata."""
    (root / "conda-meta").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(sys.executable)
    return root


def test_named_interpreter_wins_over_an_active_environment(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    chosen = choose(venv.python, tmp_path)
    assert (chosen.python, chosen.origin, chosen.reason) == (venv.python, "named", "you named it")
    assert chosen.others == ()


def test_active_virtual_environment_is_examined(venv: Venv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(venv.root))
    chosen = choose(None, tmp_path)
    assert (chosen.python, chosen.origin) == (venv.python, "VIRTUAL_ENV")
    assert chosen.reason == "the active virtual environment (VIRTUAL_ENV)"


def test_active_conda_environment_is_examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = conda(tmp_path / "envs" / "train")
    monkeypatch.setenv("CONDA_PREFIX", str(root))
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "train")
    chosen = choose(None, tmp_path)
    assert (chosen.python, chosen.origin) == (str(root / "bin" / "python"), "CONDA_PREFIX")
    assert chosen.reason == "the active conda environment train (CONDA_PREFIX)"


@pytest.mark.parametrize("first", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_of_two_active_environments_the_first_on_path_is_examined(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: str
) -> None:
    prefixes = {"VIRTUAL_ENV": venv.root, "CONDA_PREFIX": conda(tmp_path / "envs" / "train")}
    for name, prefix in prefixes.items():
        monkeypatch.setenv(name, str(prefix))
    order = sorted(prefixes, key=lambda name: name != first)
    monkeypatch.setenv("PATH", os.pathsep.join(str(prefixes[name] / "bin") for name in order))
    assert choose(None, tmp_path).origin == first


@pytest.mark.parametrize(("exists", "problem"), [(False, "it does not exist"), (True, "it has no bin/python")])
@pytest.mark.parametrize("name", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_stale_active_environment_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, problem: str, exists: bool
) -> None:
    stale = tmp_path / "stale"
    if exists:
        stale.mkdir()
    monkeypatch.setenv(name, str(stale))
    with pytest.raises(TargetError) as raised:
        choose(None, tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{name} says that {stale} is the active environment, but {problem}.")
    assert f"`unset {name}`" in message
    assert "--python" in message


def test_without_an_active_environment_the_doctors_own_is_examined(tmp_path: Path) -> None:
    chosen = choose(None, tmp_path)
    assert (chosen.python, chosen.origin, chosen.is_project) == (sys.executable, "own", False)


def test_conda_base_counts_only_if_it_has_some_of_the_stack_and_the_doctor_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = conda(tmp_path / "miniforge")
    monkeypatch.setenv("CONDA_PREFIX", str(base))
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "base")
    assert choose(None, tmp_path).origin == "own"
    torch = base / "lib" / "python3.12" / "site-packages" / "torch"
    torch.mkdir(parents=True)
    (torch / "__init__.py").touch()
    chosen = choose(None, tmp_path)
    assert (chosen.python, chosen.origin) == (str(base / "bin" / "python"), "CONDA_PREFIX")
    assert "because it has some of torch, transformers, peft" in chosen.reason
    monkeypatch.setattr(choice, "_own_has_stack", lambda: True)
    assert choose(None, tmp_path).origin == "own", "base is active in every shell of some users"


def test_environments_of_the_project_are_named_up_to_the_git_root_and_not_examined(tmp_path: Path) -> None:
    make_venv(tmp_path / ".venv")
    project, below = tmp_path / "project", tmp_path / "project" / "src" / "deep"
    below.mkdir(parents=True)
    (project / ".git").mkdir()
    make_venv(project / ".venv")
    chosen = choose(None, below)
    assert (chosen.origin, chosen.others) == ("own", ("../../.venv",)), (
        "what lies above the git root is not the project's"
    )
    assert choose(None, project).others == (".venv",)


def test_folder_without_a_python_is_no_environment_of_the_project(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").touch()
    assert choose(None, tmp_path).others == ()


def test_active_environment_is_not_named_as_another_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    venv = make_venv(tmp_path / ".venv")
    monkeypatch.setenv("VIRTUAL_ENV", str(venv.root))
    assert choose(None, tmp_path).others == ()


@pytest.mark.parametrize(
    ("path", "receipt", "tool"),
    [
        ("share/uv/tools/vc2doctor", "uv-receipt.toml", "uv tool"),
        ("pipx/venvs/vc2doctor", "pipx_metadata.json", "pipx"),
        ("cache/pipx/5f1e2d3c4b5a697", None, "pipx run"),
        ("cache/uv/archive-v0/7BBoPhC3urMu3lxl", None, "uvx"),
        ("cache/uv/environments-v2/vc2doctor-0123456789abcdef", None, "uvx"),
        ("project/.venv", None, None),
    ],
)
def test_environment_that_a_tool_made_is_recognized(
    tmp_path: Path, path: str, receipt: str | None, tool: str | None
) -> None:
    prefix = tmp_path / path
    prefix.mkdir(parents=True)
    if receipt is not None:
        (prefix / receipt).touch()
    assert tool_of(prefix) == tool


def test_command_that_starts_the_doctors_own_python_made_no_choice(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_venv(tmp_path / "project" / ".venv")
    chosen = choice.of_command(venv.python, "the command starts it", tmp_path / "project")
    assert (chosen.origin, chosen.reason, chosen.by_command) == ("named", "the command starts it", True)
    own = choice.of_command(sys.executable, "python is that", tmp_path / "project")
    assert (own.origin, own.reason) == ("own", "the doctor's own environment: python is that")
    assert own.others == (".venv",)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert choice.of_command(sys.executable, "python is that", tmp_path).origin == "named", "the user activated it"
