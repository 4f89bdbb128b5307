"""Which interpreter is examined, if the user names none, and why.

The active virtual or conda environment comes first, because training would run in it; the doctor's own comes last.
Nothing is started here: all answers come from environment variables and files.
"""

import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from vc2doctor.core.child import TargetError
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.environment import interpreter
from vc2doctor.environment.model import TargetChoice

Variable = Literal["VIRTUAL_ENV", "CONDA_PREFIX"]
VIRTUAL_ENV: Variable = "VIRTUAL_ENV"
CONDA_PREFIX: Variable = "CONDA_PREFIX"
_PROJECT_FOLDERS = (".venv", "venv")
"""What uv, poetry and the guides of Python call the environment of a project."""
_RECEIPTS = {"uv-receipt.toml": "uv tool", "pipx_metadata.json": "pipx"}
"""Files that a tool leaves in an environment that it made for one program."""
_UV_CACHE = re.compile(r"(archive|environments|builds)-v\d+")
"""Folders of uv's cache in which ``uvx`` makes environments."""


def choose(python: str | None, folder: Path) -> TargetChoice:
    """Return the interpreter to examine for a user who works in ``folder`` and passed ``python`` with ``--python``.

    Raises:
        TargetError: there is no such executable, or an environment is active that has none.
    """
    if python is not None:
        return TargetChoice(python=interpreter.find(python), origin="named", reason="you named it")
    others = tuple(_project_environments(folder))
    choice = _active() or _conda_base() or _own(folder)
    return choice.model_copy(update={"others": tuple(path for path in others if not _is_same(path, choice, folder))})


def of_command(python: str, reason: str, folder: Path) -> TargetChoice:
    """Return the choice of a command that is started in ``folder`` and uses ``python``; ``reason`` says how it does.

    A command can start the doctor's own Python without a choice of the user: uvx puts its folder first on ``PATH``.
    """
    prefix = Path(sys.prefix)
    is_own = environment_of(python) == environment_of(sys.executable)
    if not is_own or any(_real(each) == _real(prefix) for _, each in _active_variables()):
        return TargetChoice(python=python, origin="named", reason=reason, by_command=True)
    choice = _own(folder).model_copy(update={"python": python, "by_command": True})
    others = tuple(path for path in _project_environments(folder) if not _is_same(path, choice, folder))
    return choice.model_copy(update={"reason": f"the doctor's own environment: {reason}", "others": others})


def environment_of(python: str) -> str:
    """Return what makes two interpreters the same: the folder of their venv, else the file behind all links.

    The file ``pyvenv.cfg`` makes a folder a virtual environment (PEP 405). Python looks for it beside its executable
    and one folder above.
    """
    folder = Path(os.path.abspath(python)).parent  # noqa: PTH100 - links are not resolved: they make the environment
    home = next((each for each in (folder, folder.parent) if (each / "pyvenv.cfg").is_file()), None)
    return os.path.realpath(home or python)


def tool_of(prefix: Path) -> str | None:
    """Return the tool that made the environment ``prefix`` for one program (pipx, uv tool, uvx), or ``None``."""
    for name, tool in _RECEIPTS.items():
        if (prefix / name).is_file():
            return tool
    if any(_UV_CACHE.fullmatch(parent.name) for parent in prefix.parents):
        return "uvx"
    return "pipx run" if any(parent.name == "pipx" for parent in prefix.parents) else None


def _active() -> TargetChoice | None:
    """Return the active environment; of two, the one whose folder comes first on ``PATH``, as a shell would."""
    usable = _active_variables()
    if not usable:
        return None
    name, prefix = min(usable, key=lambda candidate: _place_on_path(candidate[1]))
    return TargetChoice(python=_python_in(name, prefix), origin=name, reason=_reason(name, prefix))


def _active_variables() -> list[tuple[Variable, Path]]:
    """Return the variables that name an active environment which the user chose, each with its folder."""
    names: tuple[Variable, ...] = (VIRTUAL_ENV, CONDA_PREFIX)
    candidates = [(name, Path(os.environ[name])) for name in names if os.environ.get(name)]
    return [(name, prefix) for name, prefix in candidates if not _is_left_out(name, prefix)]


def _is_left_out(name: str, prefix: Path) -> bool:
    """Return whether this environment is active without a choice: the doctor's tool made it, or it is conda's base."""
    if name == CONDA_PREFIX:
        return _is_conda_base(prefix)
    return _real(prefix) == _real(Path(sys.prefix)) and tool_of(prefix) is not None


def _is_conda_base(prefix: Path) -> bool:
    return os.environ.get("CONDA_DEFAULT_ENV") == "base" or (prefix / "condabin").is_dir()


def _place_on_path(prefix: Path) -> int:
    folders = [_real(Path(entry)) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    executables = _real(prefix / "bin")
    return folders.index(executables) if executables in folders else len(folders)


def _reason(name: str, prefix: Path) -> str:
    kind = "virtual environment" if name == VIRTUAL_ENV else f"conda environment {prefix.name}"
    return f"the active {kind} ({name})"


def _python_in(name: str, prefix: Path) -> str:
    python = prefix / "bin" / "python"
    if python.is_file():
        return os.path.abspath(python)  # noqa: PTH100 - links are not resolved: they make the environment
    problem = "has no bin/python" if prefix.is_dir() else "does not exist"
    message = (
        f"{name} says that {prefix} is the active environment, but it {problem}. Activate another environment, run"
        f" `unset {name}`, or name an interpreter with --python."
    )
    raise TargetError(message)


def _conda_base() -> TargetChoice | None:
    """Return conda's base environment, if it holds some of the stack and the doctor's own environment holds none.

    Many shells activate base always, so that it is active does not show that the user chose it.
    """
    prefix = Path(os.environ.get(CONDA_PREFIX) or os.devnull)
    python = prefix / "bin" / "python"
    if not python.is_file() or _has_stack(prefix) is False or _own_has_stack():
        return None
    reason = f"conda's base environment ({CONDA_PREFIX}), because it has some of {', '.join(STACK_PACKAGES)}"
    return TargetChoice(python=str(python), origin=CONDA_PREFIX, reason=reason)


def _has_stack(prefix: Path) -> bool:
    return any(any(prefix.glob(f"lib/python3*/site-packages/{name}/__init__.py")) for name in STACK_PACKAGES)


def _own_has_stack() -> bool:
    return any(_is_installed(name) for name in STACK_PACKAGES)


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _own(folder: Path) -> TargetChoice:
    prefix = Path(sys.prefix)
    is_project = any(_real(folder / path) == _real(prefix) for path in _project_environments(folder))
    return TargetChoice(
        python=sys.executable,
        origin="own",
        reason="the doctor's own environment; no environment is active, and you named none",
        tool=tool_of(prefix),
        is_project=is_project,
    )


def _project_environments(folder: Path) -> Iterator[str]:
    """Yield the virtual environments of the project in ``folder``, relative to it: there, and up to the git root."""
    folder = folder.resolve()
    for parent in _folders_of_project(folder):
        for name in _PROJECT_FOLDERS:
            if (parent / name / "pyvenv.cfg").is_file() and (parent / name / "bin" / "python").exists():
                yield os.path.relpath(parent / name, folder)


def _folders_of_project(folder: Path) -> list[Path]:
    """Return ``folder`` and those above it, up to the root of its git checkout; without one, ``folder`` alone."""
    folders = [folder, *folder.parents]
    depth = next((depth for depth, parent in enumerate(folders) if (parent / ".git").exists()), 0)
    return folders[: depth + 1]


def _is_same(path: str, choice: TargetChoice, folder: Path) -> bool:
    prefix = Path(choice.python).parent.parent
    return _real(folder / path) == _real(prefix)


def _real(path: Path) -> str:
    return os.path.realpath(path)
