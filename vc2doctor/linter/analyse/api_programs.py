"""The programs of a project: the files that are started, with the files that they import."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.linter.analyse.api_target import requirement_of
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.started import is_started
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.requirements import RequiredVersion

_TEST = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_\w+|\w+_test|conftest|setup)\.py$")
"""Files that are started to test or to install the project."""


class Program(NamedTuple):
    """A file that is started."""

    name: str
    """Its path, relative to the root."""
    files: frozenset[str]
    """The file, and all files of the project that it imports, directly or through others."""


def programs_of(code: CodeFacts) -> Iterator[Program]:
    """Yield the programs: scripts, notebooks, and files that a launch script starts.

    If there is none, each file that no other file imports counts as one.
    """
    imports = {module: frozenset(_imported(code, module)) for module in code.files.modules.values()}
    started = [module for module in imports if _is_started(code, module)]
    for module in started or _not_imported(imports):
        yield Program(module.name, frozenset(other.name for other in _closure(imports, [module])))


@lru_cache(maxsize=2)
def files_of_programs(code: CodeFacts) -> frozenset[str]:
    """Return the files that a program starts or imports. No program is known to run the other files."""
    imports = {module: frozenset(_imported(code, module)) for module in code.files.modules.values()}
    started = [module for module in imports if _is_started(code, module)] or _not_imported(imports)
    return frozenset(module.name for module in _closure(imports, started))


def folders_that_decide(code: CodeFacts, file: str, package: str) -> tuple[str, ...]:
    """Return the folders whose requirements say with which release of ``package`` a file runs.

    They are those of the programs that import the file, as far as they ask for the package themselves: what stands in
    the folder of an imported file is of another environment then. Else it is the folder of the file.
    """
    own = code.requirements_folder_of(file)
    folders = {code.requirements_folder_of(program) for program in _programs_of_files(code).get(file, ())}
    if not folders or own in folders:
        return (own,)
    asked = {folder for folder in folders if (entry := requirement_of(code, folder, package)) and _is_in(entry, folder)}
    return tuple(sorted(asked)) if asked == folders else (own,)


def _is_in(required: RequiredVersion, folder: str) -> bool:
    """Return whether a requirement stands in a folder itself, or below, and not in one above."""
    return not folder or required.file.startswith(f"{folder}/")


@lru_cache(maxsize=2)
def _programs_of_files(code: CodeFacts) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for program in programs_of(code):
        for file in program.files:
            found[file].add(program.name)
    return {file: frozenset(names) for file, names in found.items()}


def _closure(imports: Mapping[Module, frozenset[Module]], modules: Iterable[Module]) -> frozenset[Module]:
    """Return some modules, and all modules that they import, directly or through others."""
    waiting = list(modules)
    seen = set(waiting)
    while waiting:
        new = imports[waiting.pop()] - seen
        seen |= new
        waiting.extend(new)
    return frozenset(seen)


def _imported(code: CodeFacts, module: Module) -> Iterator[Module]:
    """Yield the modules that the statements of a module import, with the packages that contain them."""
    for place in module.statements:
        node = place.statement
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            joint = "" if prefix.endswith(".") else "."
            # `from a.b import c`: c is a module, or a name in the module b.
            names = [prefix, *(f"{prefix}{joint}{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                part = ".".join(parts[:length])
                found = code.module_named(module, part) if part.strip(".") or part == name else None
                if found is not None:
                    yield found


def _is_started(code: CodeFacts, module: Module) -> bool:
    if _TEST.search(module.name):
        return False
    if is_started(module):
        return True
    paths = (launch.program.lstrip("./") for launch in code.files.launches)
    return any(path and f"/{module.name}".endswith(f"/{path}") for path in paths)


def _not_imported(imports: Mapping[Module, frozenset[Module]]) -> list[Module]:
    modules = [module for module in imports if not _TEST.search(module.name)]
    imported = {other for module in modules for other in imports[module] if other is not module}
    return [module for module in modules if module not in imported]
