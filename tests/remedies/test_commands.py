"""Install commands that a user can paste, in the manager that the environment uses."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import distribution, environment, interpreter
from tests.wheels import write_wheel
from vc2doctor.environment.choice import choose
from vc2doctor.environment.gather import gather
from vc2doctor.environment.model import Environment, Manager
from vc2doctor.remedies.commands import change, install, reinstall

CONDA = interpreter(path="/conda/bin/python", prefix="/conda", kind="conda")
needs_uv = pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")


def managed(manager: Manager, **fields: Any) -> Environment:  # noqa: ANN401
    return environment(further={"manager": manager}, **fields)


def test_command_uses_the_pip_of_the_target() -> None:
    assert change(environment(), ["peft==0.10.0"]) == "/env/bin/python -m pip install peft==0.10.0"


def test_specifier_is_quoted_for_the_shell() -> None:
    assert change(environment(), ["peft>=0.12"]).endswith(" 'peft>=0.12'")


def test_environment_without_pip_gets_a_command_of_uv() -> None:
    command = change(environment(interpreter=interpreter(has_pip=False)), ["peft==0.10.0"])
    assert command == "uv pip install --python /env/bin/python peft==0.10.0"


def test_externally_managed_python_gets_a_venv_first() -> None:
    command = install(interpreter(path="/usr/bin/python3", externally_managed=True), ["peft==0.10.0"])
    assert command == "/usr/bin/python3 -m venv .venv && .venv/bin/python -m pip install peft==0.10.0"


BUILD = "torchvision==0.28.0+cu129"
INDEX = "https://download.pytorch.org/whl/cu129"


def test_another_build_comes_from_its_own_index() -> None:
    assert change(environment(), ["peft==0.10.0", BUILD]) == (
        f"/env/bin/python -m pip install peft==0.10.0 {BUILD} --extra-index-url {INDEX}"
    )
    in_uv = managed(Manager(uv_project="/code", direct={"torchvision": ""}))
    assert change(in_uv, [BUILD]) == f"uv add --project /code {BUILD} --index {INDEX}"
    locked = managed(Manager(uv_project="/code"))
    assert change(locked, [BUILD]).startswith(f"uv lock --project /code --upgrade-package {BUILD} --index {INDEX} && ")
    in_poetry = managed(Manager(poetry_project="/code", direct={"peft": ""}))
    assert change(in_poetry, ["peft==0.10.0", BUILD]) == (
        f"poetry source add --directory /code --priority explicit pytorch-cu129 {INDEX}"
        " && poetry add --directory /code peft==0.10.0"
        f" && poetry add --directory /code --source pytorch-cu129 {BUILD}"
    )


def test_conda_chooses_the_build_itself() -> None:
    by_conda = distribution("torchvision", "0.28.0", installer="conda")
    facts = managed(Manager(conda_packages=("torchvision",)), distributions=(by_conda,), interpreter=CONDA)
    assert change(facts, [BUILD]) == "conda install --prefix /conda -c conda-forge torchvision==0.28.0"


def test_damaged_package_is_not_removed_first() -> None:
    assert reinstall(environment(), ["peft==0.10.0"]) == (
        "/env/bin/python -m pip install --ignore-installed --no-deps peft==0.10.0"
    )
    without_pip = environment(interpreter=interpreter(has_pip=False))
    assert reinstall(without_pip, ["peft==0.10.0"]) == (
        "uv pip install --python /env/bin/python --reinstall --no-deps peft==0.10.0"
    )


def test_project_of_uv_adds_what_it_names_and_locks_the_rest() -> None:
    project = managed(Manager(uv_project="/my code", direct={"peft": "", "pytest": "--group dev"}))
    assert change(project, ["peft==0.13.2", "accelerate==1.3.0"]) == (
        "uv add --project '/my code' --upgrade-package accelerate==1.3.0 peft==0.13.2"
    )
    assert change(project, ["accelerate==1.3.0"]) == (
        "uv lock --project '/my code' --upgrade-package accelerate==1.3.0 && uv sync --inexact --project '/my code'"
    )
    assert change(project, ["pytest==8.0", "peft==0.13.2"]) == (
        "uv add --project '/my code' --group dev pytest==8.0 && uv add --project '/my code' peft==0.13.2"
    )


def test_project_of_poetry_adds_every_package() -> None:
    project = managed(Manager(poetry_project="/code", direct={"peft": "--group train"}))
    assert change(project, ["peft==0.13.2", "accelerate==1.3.0"]) == (
        "poetry add --directory /code --group train peft==0.13.2 && poetry add --directory /code accelerate==1.3.0"
    )


def test_conda_changes_what_conda_installed_and_pip_the_rest() -> None:
    conda = managed(
        Manager(conda_packages=("huggingface_hub", "pytorch", "peft")),
        interpreter=CONDA,
        distributions=(
            distribution("huggingface-hub", "0.36.2", installer="conda"),
            distribution("torch", "2.5.1", installer="conda"),
            # pip installed its own copy later.
            distribution("peft", "0.13.2", installer="pip"),
            distribution("accelerate", "1.3.0", installer="pip"),
        ),
    )
    assert change(conda, ["huggingface-hub==1.31.0", "torch==2.6.0"]) == (
        "conda install --prefix /conda -c conda-forge huggingface_hub==1.31.0 pytorch==2.6.0"
    )
    assert change(conda, ["huggingface-hub==1.31.0", "peft==0.14.0", "accelerate==1.4.0"]) == (
        "conda install --prefix /conda -c conda-forge huggingface_hub==1.31.0"
        " && /conda/bin/python -m pip install peft==0.14.0 accelerate==1.4.0"
    )


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
"""Words that a command line can hold."""


@given(WORDS, st.lists(WORDS, min_size=1))
def test_shell_runs_nothing_of_a_path_or_requirement(path: str, requirements: list[str]) -> None:
    command = install(interpreter(path=path), requirements)
    shell = ["/bin/bash", "-c", f"printf '%s\\0' {command}"]
    words = subprocess.run(shell, capture_output=True, check=True).stdout.decode().split("\0")
    assert words == [path, "-m", "pip", "install", *requirements, ""]


# --- the printed commands, really run, with wheels that are written here: no network is needed ---


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Two releases of each of two packages; ``upper`` requires ``lower``."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        write_wheel(folder, "lower", version)
        write_wheel(folder, "upper", version, ("lower>=1.0",))
    return folder


def run(command: str, index: Path) -> None:
    offline = {
        "UV_FIND_LINKS": str(index),
        "UV_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_NO_INDEX": "1",
    }
    # nox tells uv by variables which environment is the project's: a sync would empty the one that these tests run in.
    variables = {
        name: text
        for name, text in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH") and not name.startswith("UV_")
    }
    subprocess.run(command, shell=True, check=True, capture_output=True, env={**variables, **offline})  # noqa: S602


def installed(root: Path) -> dict[str, str]:
    facts = gather(choose(str(root), root), root)
    return {item.name: str(item.version) for item in facts.distributions if item.name in ("lower", "upper")}


def test_printed_command_of_pip_works(tmp_path: Path, index: Path) -> None:
    root = tmp_path / "venv"
    run(f"{shlex.quote(choose(None, Path.cwd()).python)} -m venv {root}", index)
    run(f"{root}/bin/python -m pip install upper==1.0", index)
    facts = gather(choose(str(root), tmp_path), tmp_path)
    run(change(facts, ["lower==1.0"]), index)
    assert installed(root) == {"upper": "1.0", "lower": "1.0"}
    # Without METADATA and RECORD, pip can neither name the package nor remove it.
    (info,) = root.glob("lib/python*/site-packages/lower-1.0.dist-info")
    (info / "METADATA").unlink()
    (info / "RECORD").unlink()
    run(reinstall(facts, ["lower==1.0"]), index)
    assert all(not item.problems for item in gather(choose(str(root), tmp_path), tmp_path).distributions)


@needs_uv
def test_printed_command_of_uv_works(tmp_path: Path, index: Path) -> None:
    root = tmp_path / "venv"
    python = shlex.quote(choose(None, Path.cwd()).python)
    run(f"uv venv --python {python} {root} && uv pip install --python {root} upper==1.0", index)
    facts = gather(choose(str(root), tmp_path), tmp_path)
    manager = facts.of(Manager)
    assert manager is not None
    assert manager.made_by_uv
    run(change(facts, ["lower==1.0"]), index)
    assert installed(root) == {"upper": "1.0", "lower": "1.0"}


@needs_uv
def test_printed_command_of_a_uv_project_works_and_stays_after_a_sync(tmp_path: Path, index: Path) -> None:
    python = choose(None, Path.cwd()).python
    lines = ["[project]", 'name = "demo"', 'version = "0"', 'requires-python = ">=3.8"', 'dependencies = ["upper"]']
    (tmp_path / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    run(f"uv sync --project {tmp_path} --python {shlex.quote(python)}", index)
    root = tmp_path / ".venv"
    assert installed(root) == {"upper": "2.0", "lower": "2.0"}
    run(change(gather(choose(str(root), tmp_path), tmp_path), ["upper==1.0", "lower==1.0"]), index)
    assert installed(root) == {"upper": "1.0", "lower": "1.0"}
    run(f"uv sync --project {tmp_path}", index)
    assert installed(root) == {"upper": "1.0", "lower": "1.0"}
    assert "upper==1.0" in (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
