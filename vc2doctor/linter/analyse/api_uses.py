"""Finds what code uses of the training packages: imported names, keywords, attributes, flags of argument parsers."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from vc2doctor.linter.analyse.api_guards import Guards, guards_of
from vc2doctor.linter.analyse.api_names import (
    PACKAGES,
    Inherited,
    all_code,
    external_name,
    given_keywords,
    inherited,
    initializer,
    is_rebound,
    mentions_package,
    own_names,
    passes_keywords_on,
    shadowed_packages,
)
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import ApiTable, Existence, load_table
from vc2doctor.linter.knowledge.loader_keywords import INSTEAD, MODEL_CLASSES, RELEASES
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.module import Call, Class, Module, Place

Kind = Literal["name", "argument", "attribute"]

PARSERS = frozenset({"HfArgumentParser", "TrlParser", "H4ArgumentParser"})
"""Classes that make the fields of data classes into flags of a command."""


class Use(NamedTuple):
    """One use of something that not every release has."""

    kind: Kind
    label: str
    """``transformers.deepspeed``, ``TrainingArguments(evaluation_strategy=)``, ``Trainer.use_apex``."""
    existence: Existence
    file: str
    """The file that was read; the cell of a notebook is not named."""
    module: Module | None
    """``None``: the use is in a launch script."""
    node: ast.AST | None
    line: int
    is_conditional: bool
    hint: str = ""
    """What to write instead; empty: nothing is known."""


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
    found.extend(_of_launches(code, table))
    return tuple(use for use in found if use.existence.package not in shadowed)


class _ModuleUses:
    """The uses in one module."""

    def __init__(self, code: CodeFacts, module: Module, table: ApiTable) -> None:
        self._code = code
        self._module = module
        self._table = table
        self._guards: Guards = guards_of(module)
        self._inherited: dict[Class, Inherited | None] = {}

    def uses(self) -> Iterator[Use]:
        for place in self._module.statements:
            statement = place.statement
            if statement is None or self._guards.is_guarded(statement):
                continue
            if isinstance(statement, ast.ImportFrom | ast.Import):
                yield from self._imports(statement)
            else:
                yield from self._attributes(statement, place)
        for call in self._module.calls:
            statement = call.place.statement
            if statement is None or not self._guards.is_guarded(statement):
                yield from self._arguments(call)
                yield from self._of_loader(call)

    def _of_loader(self, call: Call) -> Iterator[Use]:
        """Yield the keywords of ``from_pretrained`` that only some releases take; their signature has ``**kwargs``."""
        if call.name != "from_pretrained" or not isinstance(call.node.func, ast.Attribute):
            return
        name = external_name(self._code, self._module, self._module.dotted(call.receiver)) or ""
        package = self._table.packages.get("transformers")
        is_model = MODEL_CLASSES.fullmatch(name.rpartition(".")[2]) is not None
        if package is None or not name.startswith("transformers.") or not is_model:
            return
        for keyword in call.node.keywords:
            releases = RELEASES.get(keyword.arg or "")
            if releases is not None:
                bits = sum(1 << place for place, version in enumerate(package.versions) if version in releases)
                existence = Existence("transformers", bits)
                hint = INSTEAD.get(keyword.arg or "", "")
                yield from self._use("argument", f"from_pretrained({keyword.arg}=)", existence, keyword.value, hint)

    def _use(self, kind: Kind, label: str, existence: Existence | None, node: ast.AST, hint: str = "") -> Iterator[Use]:
        if existence is None or existence.bits == self._table.packages[existence.package].everything:
            return
        line: int = getattr(node, "lineno", 1)
        conditional = isinstance(node, ast.stmt) and self._guards.is_conditional(node)
        yield Use(kind, label, existence, self._module.name, self._module, node, line, conditional, hint)

    def _imports(self, node: ast.ImportFrom | ast.Import) -> Iterator[Use]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in PACKAGES:
                    yield from self._use("name", alias.name, self._table.importable(alias.name), node)
            return
        module = node.module or ""
        if node.level or module.partition(".")[0] not in PACKAGES:
            return
        for alias in node.names:
            yield from self._imported_name(module, "" if alias.name == "*" else alias.name, node)

    def _imported_name(self, module: str, name: str, node: ast.AST) -> Iterator[Use]:
        label = f"{module}.{name}" if name else module
        yield from self._use(
            "name", label, self._table.importable(module, name), node, self._table.replacement(module, name)
        )

    def _attributes(self, statement: ast.stmt, place: Place) -> Iterator[Use]:
        """Yield the names that are read as attributes of a package or of what inherits from its classes."""
        inner: set[ast.AST] = set()
        for node in _expressions(statement):
            if not isinstance(node, ast.Attribute):
                continue
            # Of `a.b.c` only the whole counts.
            if isinstance(node.value, ast.Attribute):
                inner.add(node.value)
            if node in inner:
                continue
            dotted = self._module.dotted(node)
            if dotted.partition(".")[0] in PACKAGES and self._is_import(node):
                yield from self._dotted(dotted, node, statement)
            elif isinstance(node.value, ast.Name) and node.value.id == "self" and isinstance(node.ctx, ast.Load):
                yield from self._of_self(node, place)

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
                elif length == len(parts) - 2 and parts[-2][:1].isupper() and isinstance(node.ctx, ast.Load):
                    # An attribute that is assigned need not exist before.
                    owner, attribute = ".".join(parts[:-1]), parts[-1]
                    existence = self._table.member(owner, attribute)
                    yield from self._use("attribute", f"{parts[-2]}.{attribute}", existence, node)
                return

    def _of_self(self, node: ast.Attribute, place: Place) -> Iterator[Use]:
        cls = place.function.cls
        known = self._base_of(cls) if cls is not None else None
        if known is None or node.attr in own_names(known.classes) or self._is_stored(node.attr):
            return
        label = f"{known.base.rpartition('.')[2]}.{node.attr}"
        yield from self._use("attribute", label, self._table.member(known.base, node.attr), node)

    def _is_stored(self, attribute: str) -> bool:
        """Return whether the module assigns an attribute of this name to any object."""
        return re.search(rf"\.{attribute}\b\s*(:[^=\n]+)?=(?!=)", self._module.source.text) is not None

    def _base_of(self, cls: Class) -> Inherited | None:
        if cls not in self._inherited:
            self._inherited[cls] = inherited(self._code, cls)
        return self._inherited[cls]

    def _arguments(self, call: Call) -> Iterator[Use]:
        base, own = self._callee(call)
        if not base:
            return
        names = {
            name: [value for value, _ in values]
            for scope in call.place.function.scopes()
            for name, values in scope.names.items()
        }
        for keyword, node in given_keywords(call.node, names):
            if keyword not in own:
                yield from self._argument(base, keyword, node)

    def _argument(self, base: str, keyword: str, node: ast.AST) -> Iterator[Use]:
        existence = self._table.keyword(base, keyword)
        new_name = self._table.new_name(base, keyword)
        hint = f"{new_name}=" if new_name else ""
        yield from self._use("argument", f"{base.rpartition('.')[2]}({keyword}=)", existence, node, hint)

    def _callee(self, call: Call) -> tuple[str, frozenset[str]]:
        """Return what takes the keywords of a call, as a full name, and the keywords that the project takes itself."""
        function = call.node.func
        if call.name == "__init__" and isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            cls = call.place.function.cls
            known = self._base_of(cls) if cls is not None and call.place.function.name == "__init__" else None
            is_first = known is not None and len(known.classes) == 1
            return (known.base, frozenset()) if known is not None and is_first else ("", frozenset())
        dotted = self._module.dotted(function)
        definition = self._code.resolve(self._module, dotted) if dotted else None
        if isinstance(definition, Class):
            return self._of_class(definition)
        root = dotted.partition(".")[0]
        local = function.id if isinstance(function, ast.Name) else root
        if is_rebound(self._module, local) or any(local in scope.names for scope in call.place.function.scopes()):
            return "", frozenset()
        name = self._module.imports.get(local) and external_name(self._code, self._module, dotted)
        return name or "", frozenset()

    def _of_class(self, cls: Class) -> tuple[str, frozenset[str]]:
        known = self._base_of(cls)
        if known is None:
            return "", frozenset()
        init = initializer(known.classes)
        if init is not None and not passes_keywords_on(init):
            return "", frozenset()
        own = frozenset(init.parameters()) if init is not None else own_names(known.classes)
        return known.base, own


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement without those of the statements inside it."""
    waiting: list[ast.AST] = [
        child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt | ast.ExceptHandler)
    ]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))


def _of_launches(code: CodeFacts, table: ApiTable) -> Iterator[Use]:
    """Yield the flags of launch scripts that become keywords of a package's data class."""
    for launch in code.files.launches:
        module = _program(code, launch)
        if module is None:
            continue
        classes = list(_parsed_classes(code, module))
        own = frozenset(name for _, names in classes for name in names)
        bases = list(dict.fromkeys(base for base, _ in classes if base))
        for flag, entry in launch.flags.items():
            name = flag.lstrip("-")
            known = [(base, found) for base in bases if (found := table.keyword(base, name)) is not None]
            # A program may parse its flags into several classes, of which one inherits from the other.
            if len({found for _, found in known}) == 1 and name not in own:
                base, existence = known[0]
                if existence.bits != table.packages[existence.package].everything:
                    new = table.new_name(base, name)
                    label = f"{base.rpartition('.')[2]}({name}=)"
                    hint = f"--{new}" if new else ""
                    place = (launch.script, None, None, entry.line)
                    yield Use("argument", label, existence, *place, is_conditional=False, hint=hint)


def _program(code: CodeFacts, launch: Launch) -> Module | None:
    """Return the module that a launch starts, by the path that the script gives; ``None``: it is not certain."""
    parts = [part for part in launch.program.split("/") if part not in ("", ".")]
    while (parts and any(mark in parts[0] for mark in "$(){}~")) or parts[:1] == [".."]:
        parts.pop(0)
    path = "/".join(parts)
    folder = launch.script.rpartition("/")[0]
    while True:
        # The script is started in its own folder, or in one above it.
        beside = code.files.modules.get(f"{folder}/{path}" if folder else path)
        if beside is not None or not folder:
            break
        folder = folder.rpartition("/")[0]
    if beside is not None:
        return beside
    found = [module for name, module in code.files.modules.items() if path and f"/{name}".endswith(f"/{path}")]
    return found[0] if len(found) == 1 else None


def _parsed_classes(code: CodeFacts, module: Module) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the data classes that a program's parser reads: the base in a package, and the project's fields."""
    # A program may only import the module that parses its arguments.
    for owner in code.import_closure(module):
        for call in owner.calls:
            if call.name not in PARSERS or not (call.node.args or call.node.keywords):
                continue
            argument = call.node.args[0] if call.node.args else call.node.keywords[0].value
            elements = argument.elts if isinstance(argument, ast.Tuple | ast.List) else [argument]
            for element in elements:
                yield from _parsed_class(code, owner, element)


def _parsed_class(code: CodeFacts, module: Module, element: ast.expr) -> Iterator[tuple[str, frozenset[str]]]:
    cls = code.resolve(module, module.dotted(element))
    if isinstance(cls, Class):
        known = inherited(code, cls)
        yield (known.base if known else ""), own_names(tuple(code.mro(cls)))
    else:
        yield external_name(code, module, module.dotted(element)) or "", frozenset()
