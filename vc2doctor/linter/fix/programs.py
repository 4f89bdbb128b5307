"""The programs of a project: an entry point that trains, its imports, its launch script, and its configurations."""

import ast
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.started import is_started, is_started_text
from vc2doctor.linter.fix.tokens.scripts import Command, commands
from vc2doctor.linter.fix.view import ProjectView

_LIBRARY_COMMANDS = re.compile(r"(^|[\s/])(llamafactory-cli|swift|axolotl|fairseq-train|xtuner|accelerate)(\s|$)")
MAX_TEXT_LENGTH = 200
"""Characters of a text in code that can be the path of a configuration."""


@dataclass(frozen=True)
class Program:
    """Files that run together."""

    name: str
    code: frozenset[str]
    commands: tuple[Command, ...] = ()
    settings: frozenset[str] = frozenset()
    """YAML and JSON files."""
    dynamic: str | None = None
    """The file that imports modules by names that only a run knows: all code of the unit is part of the program."""

    @cached_property
    def files(self) -> frozenset[str]:
        """Every file that reaches the program."""
        return self.code | self.settings | {command.script for command in self.commands}


def programs_of(view: ProjectView) -> list[Program]:
    """Return the programs of a project, sorted by name. Float16 code that no entry point reaches is one, too."""
    builder = _Builder(view)
    programs = [*builder.of_entries(), *builder.of_libraries()]
    reached = {name for program in programs for name in program.files}
    programs += builder.of_the_rest(reached)
    return sorted(programs, key=lambda program: program.name)


class _Builder:
    def __init__(self, view: ProjectView) -> None:
        self._view = view
        self._commands = [command for script in view.script_names for command in commands(script, view.text(script))]
        self._closures = {name: view.imports.closure(name) for name in sorted(self._possible_entries())}
        self._named: set[str] = set()
        """Configurations that a command or some code names. All others may belong to any program of their unit."""
        self._named |= {file for command in self._commands for file in self._settings_in(command.text.split(), command)}
        reached = {name for closure in self._closures.values() for name in closure.files}
        self._named |= set(self._settings_in(self._texts(reached), None))

    def _possible_entries(self) -> Iterator[str]:
        launched = {name for command in self._commands for name in self._entries_of(command)}
        for name in (*self._view.python_names, *self._notebooks()):
            is_entry = name in launched or name.endswith(".ipynb") or self._is_script(name)
            if is_entry and name not in self._view.python_settings and not self._infers(name):
                yield name

    def _infers(self, name: str) -> bool:
        """Return whether the path of a file says that it evaluates or serves, and the file itself does not train."""
        return is_inference_path(name) and not self._module_trains(name)

    def _notebooks(self) -> list[str]:
        return [name for name in self._view.facts.code.files.modules if name.endswith(".ipynb")]

    def _is_script(self, name: str) -> bool:
        """Return whether a file is made to be started, and not only imported."""
        module = self._view.facts.code.files.modules.get(name)
        return is_started(module) if module is not None else is_started_text(self._view.text(name))

    def of_entries(self) -> Iterator[Program]:
        """Yield a program for each entry that trains and each script that starts it."""
        for entry, closure in self._closures.items():
            if not any(self._module_trains(name) for name in closure.files):
                continue
            code = closure.files if closure.dynamic is None else closure.files | self._loadable(entry)
            by_script: dict[str, list[Command]] = defaultdict(list)
            for command in self._commands:
                if entry in self._entries_of(command):
                    by_script[command.script].append(command)
            if not by_script:
                yield self._program(entry, entry, code, (), closure.dynamic)
            for script, started in by_script.items():
                used = (*self._assignments(script), *started)
                yield self._program(f"{entry} ({script})", entry, code, used, closure.dynamic)

    def _module_trains(self, name: str) -> bool:
        module = self._view.facts.code.files.modules.get(name)
        return module is not None and self._view.facts.stages.module_trains(module)

    def _loadable(self, entry: str) -> frozenset[str]:
        """Return the code that a program can import by name: that of its unit, without other entries."""
        unit = self._view.unit_of(entry)
        return frozenset(
            name
            for name in self._view.python_names
            if self._view.unit_of(name) == unit
            and name not in self._closures
            and not is_inference_path(name)
            and name not in self._view.python_settings
        )

    def _program(
        self, name: str, entry: str, code: frozenset[str], used: tuple[Command, ...], dynamic: str | None
    ) -> Program:
        named = {file for command in used for file in self._settings_in(command.text.split(), command)}
        named |= set(self._settings_in(self._texts(code), None))
        self._named |= named
        unlinked = {
            file
            for file in (*self._view.settings_names, *self._view.python_settings)
            if file not in self._named
            and self._view.unit_of(file) == self._view.unit_of(entry)
            and not is_inference_path(file)
            and not _same_kind_is_named(file, named)
        }
        python = {file for file in named | unlinked if file.endswith(".py")}
        reached = code | {each for file in python for each in self._view.imports.closure(file).files}
        settings = frozenset((named | unlinked) - python)
        return Program(name, frozenset(reached), used, settings, dynamic)

    def _texts(self, code: Iterable[str]) -> list[str]:
        trees = [each.tree for each in map(self._view.code, code) if each is not None]
        return [
            node.value
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < MAX_TEXT_LENGTH
        ]

    def _settings_in(self, words: Iterable[str], command: Command | None) -> Iterator[str]:
        """Yield the configurations whose paths are among words of a command, or among texts of code."""
        folder = posixpath.dirname(command.script) if command is not None else ""
        candidates = (*self._view.settings_names, *self._view.python_settings)
        for word in words:
            path = _path(word.rpartition("=")[2])
            if path.endswith((".yaml", ".yml", ".json", ".py")):
                yield from _named_by(path, folder, candidates)

    def _entries_of(self, command: Command) -> set[str]:
        """Return the Python files that a command starts: by their paths, never by their last names alone."""
        words = [_path(word) for word in command.text.split()]
        paths = [word for word in words if word.endswith(".py")][:1]
        modules = re.findall(r"\s-m\s+([\w.]+)", command.text)
        paths += [f"{module.replace('.', '/')}.py" for module in modules if "torch" not in module]
        folder = posixpath.dirname(command.script)
        return {name for path in paths for name in _named_by(path, folder, self._view.python_names)}

    def _assignments(self, script: str) -> tuple[Command, ...]:
        return tuple(
            command
            for command in self._commands
            if command.script == script and re.match(r"\s*(export\s+)?\w+=", command.text)
        )

    def of_libraries(self) -> Iterator[Program]:
        """Yield a program for each script that starts a trainer of a library: ``llamafactory-cli train a.yaml``."""
        by_script: dict[str, list[Command]] = defaultdict(list)
        for command in self._commands:
            if _LIBRARY_COMMANDS.search(command.text) and not self._entries_of(command):
                by_script[command.script].append(command)
        for script, used in by_script.items():
            settings = {file for command in used for file in self._settings_in(command.text.split(), command)}
            self._named |= settings
            yield Program(script, frozenset(), (*self._assignments(script), *used), frozenset(settings))

    def of_the_rest(self, reached: set[str]) -> Iterator[Program]:
        """Yield a program for each unit with float16 code, or with nothing but training code, that no entry reaches."""
        by_unit: dict[str, set[str]] = defaultdict(set)
        for place in self._view.float16_places:
            if place.file not in reached:
                by_unit[self._view.unit_of(place.file)].add(place.file)
        served = {self._view.unit_of(name) for name in reached}
        for name in self._view.facts.code.files.modules:
            if self._view.unit_of(name) not in served and self._module_trains(name) and not is_inference_path(name):
                by_unit[self._view.unit_of(name)].add(name)
        for unit, names in by_unit.items():
            closures = [self._view.imports.closure(name).files for name in names if name.endswith((".py", ".ipynb"))]
            scripts = {name for name in names if name in self._view.script_names}
            yield Program(
                f"{unit or '.'} (no entry point found)",
                frozenset().union(*closures),
                tuple(command for command in self._commands if command.script in scripts),
                frozenset(name for name in names if name in self._view.settings_names),
            )


def _path(word: str) -> str:
    """Return a word of a command as a path, without quotes and without the parts that only the shell can expand."""
    parts = [part for part in word.strip("\"'();`,").split("/") if part not in (".", "")]
    while parts and any(mark in parts[0] for mark in ("$", "(", ")", "~")):
        parts.pop(0)
    return "/".join(parts).strip("\"'")


def _named_by(path: str, folder: str, names: Iterable[str]) -> list[str]:
    """Return the files that a path names: from the root, from the script's folder, or the only one that ends so."""
    known = [*names]
    for base in ("", folder):
        exact = posixpath.normpath(posixpath.join(base, path))
        if exact in known:
            return [exact]
    without_parents = path.lstrip("./")
    ending = [name for name in known if f"/{name}".endswith(f"/{without_parents}")]
    return ending if "/" in without_parents or len(ending) == 1 else []


def _same_kind_is_named(file: str, named: Iterable[str]) -> bool:
    """Return whether a configuration of the same kind is named, so that this one is an alternative to it."""
    suffix = posixpath.splitext(file)[1]
    return any(posixpath.splitext(each)[1] == suffix for each in named)
