"""Install commands that a user can paste into a shell, in the manager that the environment uses."""

import re
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vc2doctor.core import builds, shell
from vc2doctor.environment.model import Environment, Interpreter, Manager

_BUILD = re.compile(r"==[^+;\s]+\+((?:cpu|cu\d{3}|rocm[\d.]+))$")
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
    return install_with(interpreter.path, arguments, has_pip=interpreter.has_pip)


def install_with(python: str, arguments: Sequence[str], *, has_pip: bool) -> str:
    """Return the command of pip, or without pip that of uv, that installs into the environment of ``python``."""
    arguments = with_indexes(arguments)
    command = [python, "-m", "pip", "install"] if has_pip else ["uv", "pip", "install", "--python", python]
    return shell.join([*command, *arguments])


def index_of_build(requirement: str) -> str | None:
    """Return the package index that has the build which ``requirement`` names; ``None``: it names none.

    PyPI has one build of each release, without a name. The others: https://pytorch.org/get-started/previous-versions/.
    """
    build = _BUILD.search(requirement)
    return f"https://download.pytorch.org/whl/{build[1]}" if build else None


def with_indexes(requirements: Iterable[str], option: str = "--extra-index-url") -> list[str]:
    """Return the arguments that install ``requirements``: with ``option`` for each further index that they need."""
    texts = list(requirements)
    urls = dict.fromkeys(index_of_build(text) for text in texts)
    return [*texts, *(word for url in urls if url is not None for word in (option, url))]


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
        lock = shell.join(["uv", "lock", "--project", project, *with_indexes(upgrades, "--index")])
        # --inexact keeps packages that were installed by hand.
        return f"{lock} && {shell.join(['uv', 'sync', '--inexact', '--project', project])}"
    return " && ".join(
        # The last command carries what is not direct, because it must not be undone by a further resolution.
        shell.join(
            [
                *("uv", "add", "--project", project, *group.split()),
                *with_indexes([*(upgrades if is_last else ()), *texts], "--index"),
            ]
        )
        for group, texts, is_last in _with_last(direct)
    )


def _in_poetry_project(manager: Manager, project: str, requirements: Sequence[str]) -> str:
    """Return the commands of poetry. It pins only what ``pyproject.toml`` names, so every package is added there.

    A further index must be a source of the project first.
    """
    options: dict[tuple[str, ...], list[str]] = {}
    sources: dict[str, str] = {}
    for text in requirements:
        group, url = manager.direct.get(_name(text), ""), index_of_build(text)
        source = f"pytorch-{url.rpartition('/')[2]}" if url else ""
        sources.update({source: url} if url else {})
        options.setdefault((*group.split(), *(("--source", source) if source else ())), []).append(text)
    add = ["poetry", "source", "add", "--directory", project, "--priority", "explicit"]
    commands = [[*add, *source] for source in sources.items()]
    commands += [["poetry", "add", "--directory", project, *words, *texts] for words, texts in options.items()]
    return " && ".join(map(shell.join, commands))


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
        # conda chooses the build that fits the torch of its environment.
        specs.append(f"{name}{builds.without(str(requirement.specifier))}")
    return install_by_conda(interpreter, specs)


def install_by_conda(interpreter: Interpreter, specs: Iterable[str]) -> str:
    """Return the command that installs ``specs``, in conda's names, into the conda environment of ``interpreter``."""
    return shell.join(["conda", "install", "--prefix", interpreter.prefix, "-c", "conda-forge", *specs])


def _conda_names(name: str) -> tuple[str, ...]:
    return (*_CONDA_NAMES.get(name, ()), name)


def _name(text: str) -> str:
    return canonicalize_name(Requirement(text).name)
