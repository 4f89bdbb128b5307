"""Read one module of a wheel for the table of public names: the names that it binds, its classes and its functions.

No code of the wheel runs.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vc2doctor.curate.wheels.api_self_calls import passed_to_self
from vc2doctor.curate.wheels.api_signatures import Signature, accepted_by, fields_of, is_known_decorator
from vc2doctor.curate.wheels.contents import FUNCTIONS, Anchor, bindings, possible, strings

_SELF_ATTRIBUTE = re.compile(r"\bself\.(\w+)")
_STORED_ATTRIBUTE = re.compile(r"\bself\.(\w+)\s*(?::[^=\n]+|,[^=\n]*)?=(?!=)")
_LAZY = re.compile(rb"^(def __getattr__|_import_structure\b|_SUBMOD_ATTRS\b)|\b_LazyModule\(|\b_attach\(", re.MULTILINE)
"""Marks a module that resolves its attributes lazily, so that no statement binds them."""


class Origin(NamedTuple):
    """Where an imported name comes from."""

    module: str
    name: str
    """Empty: the module itself."""


class ClassFacts(NamedTuple):
    """A class, as far as it can be read without its bases."""

    bases: tuple[str, ...]
    """Full names by the imports of the module; a name without a dot is one of the module itself, or of Python."""
    init: Signature | None
    """``None``: the class has no ``__init__`` of its own."""
    fields: frozenset[str] | None
    """The fields of a data class that its ``__init__`` takes; ``None``: it is no data class."""
    methods: Mapping[str, Signature]
    members: frozenset[str]
    """Its methods, its names at class level, and what its methods assign to attributes of ``self``."""
    reads: frozenset[str]
    """The attributes of ``self`` that its methods name: objects have them, although another class may define them."""
    passes: Mapping[str, frozenset[str]]
    """By method: what its methods pass when they call that method of ``self``."""
    is_open: bool
    """Whether a decorator or a metaclass may change what it takes."""


class ModuleFacts(NamedTuple):
    """What one module says by itself."""

    names: frozenset[str]
    """Names that its statements bind, conditionally or not, without star imports."""
    lazy_names: frozenset[str]
    """Every string in a module that resolves its attributes lazily."""
    stars: tuple[str, ...]
    """The modules of ``from x import *``."""
    exports: frozenset[str] | None
    """Its ``__all__``; ``None``: it has none that can be read."""
    imports: Mapping[str, Origin]
    classes: Mapping[str, ClassFacts]
    functions: Mapping[str, Signature]
    strings: frozenset[str]
    """The strings of a package's ``__init__``: some name modules that it keeps under old names."""


NO_FACTS = ModuleFacts(frozenset(), frozenset(), (), None, {}, {}, {}, frozenset())
"""The facts of a module that is not read."""


def read_module(tree: ast.Module, source: bytes, module: str, *, is_package: bool) -> ModuleFacts:
    """Return the facts of the module with this full name; ``tree`` is the syntax tree of ``source``."""
    anchor = Anchor(module, is_package)
    imports, stars = _imports(tree, anchor)
    lines = source.decode("utf-8", "replace").split("\n")
    classes: dict[str, ClassFacts] = {}
    functions: dict[str, Signature] = {}
    for node in possible(tree.body):
        if isinstance(node, ast.ClassDef):
            classes[node.name] = _class_facts(node, imports, lines)
        elif isinstance(node, FUNCTIONS):
            signature = accepted_by(node)
            # Of several definitions under conditions, each may be the one that counts.
            functions[node.name] = signature.joined(functions[node.name]) if node.name in functions else signature
    lazy = _LAZY.search(source) is not None
    return ModuleFacts(
        names=frozenset(bindings(tree)),
        lazy_names=frozenset(strings(tree)) if lazy else frozenset(),
        stars=tuple(stars),
        exports=_exports(tree),
        imports=imports,
        classes=classes,
        functions=functions,
        strings=frozenset(strings(tree)) if is_package else frozenset(),
    )


def _imports(tree: ast.Module, anchor: Anchor) -> tuple[dict[str, Origin], list[str]]:
    """Return the imported names with their origins (those for type checkers too), and the star imports."""
    imports: dict[str, Origin] = {}
    stars: list[str] = []
    for node in _top_level(tree.body):
        if isinstance(node, ast.ImportFrom):
            base = anchor.absolute(node)
            for alias in node.names:
                if alias.name == "*":
                    stars.append(base)
                else:
                    imports[alias.asname or alias.name] = Origin(base, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                imports[alias.asname or top] = Origin(alias.name if alias.asname else top, "")
    return imports, stars


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements at the level of a module, also those for type checkers."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _top_level(node.body)
            yield from _top_level(getattr(node, "orelse", ()))
            for handler in getattr(node, "handlers", ()):
                yield from _top_level(handler.body)


def _exports(tree: ast.Module) -> frozenset[str] | None:
    found: set[str] | None = None
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "__all__" and node.value is not None:
                found = (found or set()) | strings(node.value)
    return None if found is None else frozenset(found)


def _class_facts(node: ast.ClassDef, imports: Mapping[str, Origin], lines: Sequence[str]) -> ClassFacts:
    methods = {entry.name: accepted_by(entry) for entry in possible(node.body) if isinstance(entry, FUNCTIONS)}
    is_dataclass = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    # Text is faster than a tree.
    text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return ClassFacts(
        bases=tuple(full_name(base, imports) for base in node.bases),
        init=methods.get("__init__"),
        fields=fields_of(node) if is_dataclass else None,
        methods=methods,
        members=frozenset([*bindings(node), *_STORED_ATTRIBUTE.findall(text)]),
        reads=frozenset(_SELF_ATTRIBUTE.findall(text)),
        passes=passed_to_self(node),
        is_open=bool(node.keywords) or "__new__" in methods or not all(map(is_known_decorator, node.decorator_list)),
    )


def full_name(node: ast.expr, imports: Mapping[str, Origin]) -> str:
    """Return the full name of an expression by the imports of its module; ``?``: it is something else than a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Subscript):
        # A generic class, such as UserDict with the types of its keys and values.
        return full_name(node.value, imports)
    if not isinstance(node, ast.Name):
        return "?"
    origin = imports.get(node.id)
    base = node.id if origin is None else ".".join(part for part in origin if part)
    return ".".join([base, *reversed(parts)])
