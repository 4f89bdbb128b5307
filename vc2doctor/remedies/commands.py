"""Install commands that a user can paste into a shell, in the manager that the environment uses."""

from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vc2doctor.core import shell
from vc2doctor.environment.model import Environment, Interpreter, Manager

_CONDA_NAMES = {"torch": ("pytorch", "pytorch-cpu", "pytorch-gpu"), "huggingface-hub": ("huggingface_hub",)}
"""Names on conda-forge that differ from those on PyPI, by the latter."""


def change(environment: Environment, requirements: Sequence[str]) -> str:
    """Return the command that changes the environment to meet ``requirements``.

    A project of uv or poetry also gets them into its ``pyproject.toml`` or lock file: the next ``sync`` would undo the
    change otherwise. A package that conda installed is changed by conda, and others in the same environment by pip.
    """
    manager = environment.of(Manager) or Manager()
    if manager.uv_project is not None:
        return _in_uv_project(manager, manager.uv_project, requirements)
    if manager.poetry_project is not None:
        return _in_poetry_project(manager, manager.poetry_project, requirements)
    by_conda = [text for text in requirements if _is_of_conda(environment, manager, text)]
    others = [text for text in requirements if text not in by_conda]
    parts = [_by_conda(environment.interpreter, manager, by_conda)] if by_conda else []
    return " && ".join([*parts, *([install(environment.interpreter, others)] if others else [])])


def reinstall(environment: Environment, requirements: Sequence[str]) -> str:
    """Return the command that installs damaged packages again, in exactly these versions.

    pip must not try to remove the damaged files first: without RECORD it gives up.
    """
    interpreter = environment.interpreter
    option = "--ignore-installed" if interpreter.has_pip else "--reinstall"
    return install(interpreter, requirements, option, "--no-deps")


def install(interpreter: Interpreter, requirements: Iterable[str], *options: str) -> str:
    """Return the command of pip or uv that installs ``requirements`` into the environment of ``interpreter``.

    An environment without pip (uv creates such) gets a command of uv. If pip refuses to install (PEP 668), the command
    creates a venv first.
    """
    arguments = [*options, *requirements]
    if interpreter.externally_managed:
        create_venv = shell.join([interpreter.path, "-m", "venv", ".venv"])
        return f"{create_venv} && {shell.join(['.venv/bin/python', '-m', 'pip', 'install', *arguments])}"
    if interpreter.has_pip:
        return shell.join([interpreter.path, "-m", "pip", "install", *arguments])
    return shell.join(["uv", "pip", "install", "--python", interpreter.path, *arguments])


def _in_uv_project(manager: Manager, project: str, requirements: Sequence[str]) -> str:
    """Return the commands of uv: a direct requirement goes to ``pyproject.toml``, another one to ``uv.lock`` only."""
    direct: dict[str, list[str]] = {}
    upgrades: list[str] = []
    for text in requirements:
        group = manager.direct.get(_name(text))
        if group is None:
            upgrades += ["--upgrade-package", text]
        else:
            direct.setdefault(group, []).append(text)
    if not direct:
        lock = shell.join(["uv", "lock", "--project", project, *upgrades])
        # --inexact keeps packages that were installed by hand.
        return f"{lock} && {shell.join(['uv', 'sync', '--inexact', '--project', project])}"
    return " && ".join(
        # The last command carries what is not direct, because it must not be undone by a further resolution.
        shell.join(["uv", "add", "--project", project, *group.split(), *(upgrades if is_last else ()), *texts])
        for group, texts, is_last in _with_last(direct)
    )


def _in_poetry_project(manager: Manager, project: str, requirements: Sequence[str]) -> str:
    """Return the commands of poetry. It pins only what ``pyproject.toml`` names, so every package is added there."""
    by_group: dict[str, list[str]] = {}
    for text in requirements:
        by_group.setdefault(manager.direct.get(_name(text), ""), []).append(text)
    return " && ".join(
        shell.join(["poetry", "add", "--directory", project, *group.split(), *texts])
        for group, texts, _ in _with_last(by_group)
    )


def _with_last(groups: dict[str, list[str]]) -> list[tuple[str, list[str], bool]]:
    """Return the entries of ``groups``, and whether each is the last one."""
    return [(group, texts, index == len(groups) - 1) for index, (group, texts) in enumerate(groups.items())]


def _is_of_conda(environment: Environment, manager: Manager, text: str) -> bool:
    distribution = environment.distribution(_name(text))
    is_listed = any(name in manager.conda_packages for name in _conda_names(_name(text)))
    if distribution is None or not is_listed:
        return False
    # A package that pip installed over that of conda belongs to pip.
    return distribution.installer in ("conda", None)


def _by_conda(interpreter: Interpreter, manager: Manager, requirements: Iterable[str]) -> str:
    specs = []
    for text in requirements:
        requirement = Requirement(text)
        names = _conda_names(canonicalize_name(requirement.name))
        name = next(name for name in names if name in manager.conda_packages)
        specs.append(f"{name}{requirement.specifier}")
    return shell.join(["conda", "install", "--prefix", interpreter.prefix, "-c", "conda-forge", *specs])


def _conda_names(name: str) -> tuple[str, ...]:
    return (*_CONDA_NAMES.get(name, ()), name)


def _name(text: str) -> str:
    return canonicalize_name(Requirement(text).name)
