"""Finds what code uses of the training packages: imported names, keywords, attributes, methods, flags."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache, reduce
from operator import or_

from vc2doctor.linter.analyse.api_calls import CallUses
from vc2doctor.linter.analyse.api_configs import config_uses
from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_launches import launch_uses
from vc2doctor.linter.analyse.api_minimums import minimum_uses
from vc2doctor.linter.analyse.api_names import (
    PACKAGES,
    all_code,
    is_rebound,
    mentions_package,
    own_names,
    shadowed_packages,
)
from vc2doctor.linter.analyse.api_objects import class_of
from vc2doctor.linter.analyse.api_overrides import override_uses
from vc2doctor.linter.analyse.api_registrations import registration_uses
from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.analyse.api_values import value_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_shapes import has_known_bases
from vc2doctor.linter.knowledge.api_table import ApiTable, Existence, load_table
from vc2doctor.linter.read.module import Module, Place
from vc2doctor.linter.read.syntax import expressions_of


@lru_cache(maxsize=2)
def api_uses(facts: Facts) -> tuple[Use, ...]:
    """Return the uses of things that some release lacks, in the order of the files; empty if there is no table."""
    table = load_table()
    if table is None:
        return ()
    code = all_code(facts)
    shadowed = shadowed_packages(code)
    found: list[Use] = []
    for module in code.files.modules.values():
        if mentions_package(module) or module.classes or module.star_imports:
            found.extend(_ModuleUses(code, module, table).uses())
    found.extend(launch_uses(code, table))
    found.extend(config_uses(code, table))
    return tuple(use for use in found if use.existence.package not in shadowed and not _is_patched(use))


def _is_patched(use: Use) -> bool:
    """Return whether unsloth replaces what is used: it gives trl's trainers arguments that releases took away.

    https://github.com/unslothai/unsloth/blob/main/unsloth/trainer.py
    """
    is_name = use.kind == "name"
    imports = use.module.imports.values() if use.module is not None else ()
    return not is_name and use.existence.package == "trl" and any(each.split(".")[0] == "unsloth" for each in imports)


class _ModuleUses:
    """The uses in one module."""

    def __init__(self, code: CodeFacts, module: Module, table: ApiTable) -> None:
        self._code = code
        self._module = module
        self._table = table
        self._guards = guards_of(module)
        self._context = ModuleContext(code, module, table, self._guards)
        self._changed = frozenset().union(*(package.changed_members for package in table.packages.values()))

    def uses(self) -> Iterator[Use]:
        for place in self._module.statements:
            statement = place.statement
            if statement is None or self._guards.is_guarded(statement):
                continue
            if isinstance(statement, ast.ImportFrom | ast.Import):
                yield from self._imports(statement)
            else:
                yield from self._attributes(statement, place)
        yield from CallUses(self._context).uses()
        yield from override_uses(self._context)
        yield from value_uses(self._context)
        yield from minimum_uses(self._context)
        yield from registration_uses(self._context)

    def _imports(self, node: ast.ImportFrom | ast.Import) -> Iterator[Use]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in PACKAGES:
                    yield from self._context.use("name", alias.name, self._table.importable(alias.name), node)
            return
        module = node.module or ""
        if node.level or module.partition(".")[0] not in PACKAGES:
            return
        for alias in node.names:
            yield from self._imported_name(module, "" if alias.name == "*" else alias.name, node)

    def _imported_name(self, module: str, name: str, node: ast.AST) -> Iterator[Use]:
        label = f"{module}.{name}" if name else module
        yield from self._context.use(
            "name", label, self._table.importable(module, name), node, self._table.replacement(module, name)
        )

    def _attributes(self, statement: ast.stmt, place: Place) -> Iterator[Use]:
        """Yield the names that are read as attributes of a package or of what inherits from its classes."""
        inner: set[ast.AST] = set()
        for node in expressions_of(statement):
            if not isinstance(node, ast.Attribute):
                continue
            # Of `a.b.c` only the whole counts.
            if isinstance(node.value, ast.Attribute):
                inner.add(node.value)
            if node in inner:
                continue
            if not isinstance(node.ctx, ast.Load):
                # An attribute that is assigned need not exist before, in a module and in a class.
                continue
            dotted = self._module.dotted(node)
            if dotted.partition(".")[0] in PACKAGES and self._is_import(node):
                # `Trainer.name(self)` in a method of this name: a release that lacks it does not call the method.
                if place.function.cls is None or place.function.name != node.attr:
                    yield from self._dotted(dotted, node, statement)
            elif node.attr in self._changed:
                is_self = isinstance(node.value, ast.Name) and node.value.id == "self"
                yield from self._of_self(node, place) if is_self else self._of_object(node, place)

    def _is_import(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._module.imports and not is_rebound(self._module, node.id)

    def _dotted(self, dotted: str, node: ast.Attribute, statement: ast.stmt) -> Iterator[Use]:
        """Yield the use of ``package.module.name``: the longest beginning that is a module owns the name."""
        parts = dotted.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:length])
            if self._table.importable(module) is not None:
                if length == len(parts) - 1:
                    for use in self._imported_name(module, parts[length], node):
                        yield use._replace(is_conditional=self._guards.is_conditional(statement))
                elif length == len(parts) - 2 and parts[-2][:1].isupper():
                    owner, attribute = ".".join(parts[:-1]), parts[-1]
                    existence = self._table.member(owner, attribute)
                    yield from self._context.use("attribute", f"{parts[-2]}.{attribute}", existence, node)
                return

    def _of_self(self, node: ast.Attribute, place: Place) -> Iterator[Use]:
        cls = place.function.cls
        known = self._context.base_of(cls) if cls is not None else None
        if known is None or node.attr in own_names(known.classes) or self._is_stored(node.attr):
            return
        label = f"{known.base.rpartition('.')[2]}.{node.attr}"
        yield from self._context.use("attribute", label, self._table.member(known.base, node.attr), node)

    def _of_object(self, node: ast.Attribute, place: Place) -> Iterator[Use]:
        """Yield the use of an attribute of an object whose class is known, if no class has it in some release."""
        known = class_of(self._code, node.value, place)
        if known is None or node.attr in known.own or self._is_stored(node.attr):
            return
        if not all(map(self._has_known_attributes, known.bases)):
            return
        found = [each for base in known.bases if (each := self._table.member(base, node.attr)) is not None]
        packages = {each.package for each in found}
        if len(found) < len(known.bases) or len(packages) != 1:
            return
        existence = Existence(packages.pop(), reduce(or_, (each.bits for each in found)))
        label = f"{known.bases[0].rpartition('.')[2]}.{node.attr}"
        yield from self._context.use("attribute", label, existence, node)

    def _has_known_attributes(self, base: str) -> bool:
        """Return whether the table knows all attributes of the objects of a class. Configurations take any."""
        package = self._table.packages.get(base.partition(".")[0])
        is_open = base.endswith("Config") and base.startswith(("transformers.", "peft."))
        return package is not None and not is_open and has_known_bases(package, base)

    def _is_stored(self, attribute: str) -> bool:
        """Return whether the module assigns an attribute of this name to any object."""
        return re.search(rf"\.{attribute}\b\s*(:[^=\n]+)?=(?!=)", self._module.source.text) is not None
