"""The programs of a project: the files that are started, with the files that they import."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Module

_TEST = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_\w+|\w+_test|conftest|setup)\.py$")
"""Files that are started to test or to install the project."""


class Program(NamedTuple):
    """A file that is started."""

    name: str
    """Its path, relative to the root."""
    files: frozenset[str]
    """The file, and all files of the project that it imports, directly or through others."""


def programs_of(code: CodeFacts) -> Iterator[Program]:
    """Yield the programs: files with ``if __name__ == "__main__"``, notebooks, and files that a launch script starts.

    If there is none, each file that no other file imports counts as one.
    """
    started = [module for module in code.files.modules.values() if _is_started(code, module)]
    for module in started or _not_imported(code):
        yield Program(module.name, frozenset(other.name for other in code.import_closure(module)))


def _is_started(code: CodeFacts, module: Module) -> bool:
    if _TEST.search(module.name):
        return False
    if module.name.endswith(".ipynb") or any(map(_is_main, module.source.tree.body)):
        return True
    paths = (launch.program.lstrip("./") for launch in code.files.launches)
    return any(path and f"/{module.name}".endswith(f"/{path}") for path in paths)


def _is_main(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)


def _not_imported(code: CodeFacts) -> list[Module]:
    modules = [module for module in code.files.modules.values() if not _TEST.search(module.name)]
    imported = {other for module in modules for other in code.import_closure(module) if other is not module}
    return [module for module in modules if module not in imported]
