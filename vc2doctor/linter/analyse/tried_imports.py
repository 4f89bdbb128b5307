"""The names that the programs of a project import from the training packages, for a probe that tries them."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_names import PACKAGES, all_code, shadowed_packages
from vc2doctor.linter.analyse.api_programs import files_of_programs
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.read.module import Module

_BESIDE = ("datasets", "diffusers", "evaluate", "huggingface_hub", "sentence_transformers", "setfit", "tokenizers")
"""Packages that people import beside the training packages, and whose names come and go with theirs."""
_TRIED = frozenset((*PACKAGES, "torch", *_BESIDE))


class TriedImport(NamedTuple):
    """One name that a program imports whenever it runs."""

    module: str
    name: str
    path: str
    line: int


def imports_of_programs(facts: Facts) -> tuple[TriedImport, ...]:
    """Return what ``from package import name`` statements of programs import, in the order of the files.

    Statements that run under a condition, in a function, or in a ``try`` are left out: a run may not need them.
    """
    code = all_code(facts)
    packages = _TRIED - shadowed_packages(code)
    reached = files_of_programs(code)
    modules = [module for module in code.files.modules.values() if module.name in reached]
    return tuple(each for module in modules for each in _imports(module, packages))


def _imports(module: Module, packages: frozenset[str]) -> Iterator[TriedImport]:
    guards = guards_of(module)
    for place in module.statements:
        node = place.statement
        if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
            continue
        if node.module.partition(".")[0] not in packages or guards.is_guarded(node) or guards.is_conditional(node):
            continue
        for alias in node.names:
            if alias.name != "*":
                yield TriedImport(node.module, alias.name, module.name, alias.lineno)


_IMPORT = re.compile(
    rb"^(?:import[ \t]+([\w., \t]+)|from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*))", re.MULTILINE
)
_COMMENT = re.compile(rb"#[^\n]*")


def imported_names(facts: Facts) -> frozenset[str]:
    """Return what all files of a project import at the top of a module, as ``module:name``; ``module:`` is the module.

    Files that only run a model are left out. Statements under a condition, in a function or in a ``try`` are indented.
    """
    files = facts.code.files
    found: set[str] = set()
    texts = {name: module.source.text.encode("utf-8", "replace") for name, module in files.modules.items()}
    for name, text in {**files.texts, **texts}.items():
        if name.endswith((".py", ".ipynb")) and not is_inference_path(name):
            for plain, module, names in _IMPORT.findall(text):
                found |= {f"{each.split()[0].decode()}:" for each in plain.split(b",") if each.split()}
                words = _COMMENT.sub(b"", names).strip(b"()").split(b",")
                found |= {f"{module.decode()}:{each.split()[0].decode()}" for each in words if each.split()}
    return frozenset(found)
