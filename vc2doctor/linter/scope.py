"""Limits the facts of a project to what some commands start: their programs, what these import, and what they name."""

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from posixpath import basename

from vc2doctor.linter.analyse.import_graph import ImportGraph
from vc2doctor.linter.analyse.paths import file_of_launch, program_of_launch
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.project import ProjectFiles
from vc2doctor.linter.read.source import UnreadableError, decode, read_source

MAX_ROUNDS = 4
"""How far configurations are followed that name each other: a recipe names a DeepSpeed file, and seldom more."""
_COMPOSES_CONFIGURATIONS = "hydra"
"""Code that mentions it finds its configurations by their folder, so all of them count."""


def scoped(project: ProjectFiles, launches: tuple[Launch, ...]) -> ProjectFiles:
    """Return the facts about what ``launches`` start, as if the project had nothing else."""
    files = code_of(project, launches)
    configs = tuple(_configs(project, launches, files))
    kept = {*files, *(config.name for config in configs)}
    return replace(
        project,
        modules={name: module for name, module in project.modules.items() if name in files},
        texts={name: text for name, text in project.texts.items() if name in files or not name.endswith(".py")},
        configs=configs,
        launches=launches,
        unread_files=tuple(file for file in project.unread_files if file.name in kept),
        unknown_launches=(),
    )


def programs_of(project: ProjectFiles, launches: Iterable[Launch]) -> list[str]:
    """Return the files of the programs that ``launches`` start, as far as the project has them."""
    names = (*project.modules, *project.texts)
    programs = (program_of_launch(launch, names) for launch in launches)
    return [program for program in programs if program is not None]


def code_of(project: ProjectFiles, launches: tuple[Launch, ...]) -> frozenset[str]:
    """Return the Python files that ``launches`` run: programs, configurations in Python, and what these import."""
    names = frozenset(name for name in (*project.modules, *project.texts) if name.endswith(".py"))
    named = (
        file_of_launch(launch, path, names)
        for launch in launches
        for path in launch.config_paths
        if path.endswith(".py")
    )
    graph = ImportGraph(names, lambda name: _tree(project, name))
    entries = (*programs_of(project, launches), *(name for name in named if name is not None))
    return frozenset(file for entry in entries for file in graph.closure(entry).files)


def imports_by_unknown_names(project: ProjectFiles) -> str | None:
    """Return the file of a scoped project that imports a module by a name that only a run knows, or ``None``."""
    names = frozenset((*project.modules, *(name for name in project.texts if name.endswith(".py"))))
    graph = ImportGraph(names, lambda name: _tree(project, name))
    return next(filter(None, (graph.closure(name).dynamic for name in sorted(names))), None)


def _tree(project: ProjectFiles, name: str) -> ast.Module | None:
    module = project.modules.get(name)
    if module is not None:
        return module.source.tree
    try:
        return read_source(name, project.texts[name]).tree
    except UnreadableError:
        return None


def _configs(project: ProjectFiles, launches: tuple[Launch, ...], files: frozenset[str]) -> Iterator[Config]:
    """Yield the configurations that the commands, their code, or such a configuration name."""
    texts = [word for launch in launches for word in _words(launch)]
    given = frozenset(flag for launch in launches for flag in launch.flags)
    texts += [text for name in files if (text := _text(project, name, given)) is not None]
    if any(_COMPOSES_CONFIGURATIONS in text for text in texts):
        yield from (config for config in project.configs if config.kind != "python" or config.name in files)
        return
    left = list(project.configs)
    for _ in range(MAX_ROUNDS):
        found = [config for config in left if config.name in files or _is_named(config, texts)]
        if not found:
            return
        yield from found
        left = [config for config in left if config not in found]
        texts = [str(entry.value) for config in found for entry in config.entries if isinstance(entry.value, str)]


def _is_named(config: Config, texts: Iterable[str]) -> bool:
    return any(basename(config.name) in text for text in texts)


def _words(launch: Launch) -> Iterator[str]:
    yield from (launch.program, *launch.config_paths)
    yield from (flag.value for flag in launch.flags.values() if flag.value is not None)


def _text(project: ProjectFiles, name: str, given: Collection[str]) -> str | None:
    """Return the code of a file, without the defaults of options whose flags are ``given``."""
    module = project.modules.get(name)
    if module is not None:
        return _without_defaults(module, given)
    data = project.texts.get(name)
    return decode(data) if data is not None else None


def _without_defaults(module: Module, given: Collection[str]) -> str:
    """Return code without the names of files that ``--config both.yaml`` replaces: ``default="config.yaml"``."""
    lines = module.source.text.split("\n")
    for call in module.calls:
        default = call.argument("default") if call.name == "add_argument" else None
        if not isinstance(default, ast.Constant) or not isinstance(default.value, str) or not default.value:
            continue
        texts = (each.value for each in call.node.args if isinstance(each, ast.Constant))
        options = {f"--{text.lstrip('-').replace('-', '_')}" for text in texts if isinstance(text, str)}
        if options.intersection(given):
            line = default.lineno - 1
            lines[line] = lines[line].replace(default.value, "")
    return "\n".join(lines)
