"""Where the names of a module are defined, and which keywords its classes accept."""

import ast
from typing import NamedTuple

from vc2doctor.curate.wheels.contents import DEFINITIONS, Anchor, bound_by, possible, strings


class Definition(NamedTuple):
    """Where a name is defined: a function, an assignment, or an import."""

    module: str
    """The module that contains it; of an import the module that it imports from."""
    node: ast.stmt


def definitions(tree: ast.Module, module: str, *, is_package: bool) -> dict[str, Definition | None]:
    """Return the top-level definitions of a module by name; ``None``: the name is defined more than once."""
    anchor = Anchor(module, is_package)
    result: dict[str, Definition | None] = {}
    for node in possible(tree.body):
        found: dict[str, Definition] = {}
        if isinstance(node, DEFINITIONS):
            found[node.name] = Definition(module, node)
        elif isinstance(node, ast.ImportFrom):
            origin = Definition(anchor.absolute(node), node)
            found.update((alias.asname or alias.name, origin) for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update((name, Definition(dotted, node)) for name, dotted in bound_by(node, anchor))
        elif isinstance(node, ast.Assign):
            names = (name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name))
            found.update((name.id, Definition(module, node)) for name in names)
        for name, definition in found.items():
            result[name] = None if name in result else definition
    return result


def init_keywords(node: ast.stmt) -> frozenset[str] | None:
    """Return the keywords that the ``__init__`` of a class accepts; ``None``: unknown, or every keyword."""
    methods = node.body if isinstance(node, ast.ClassDef) else []
    method = next((entry for entry in methods if isinstance(entry, ast.FunctionDef) and entry.name == "__init__"), None)
    if method is None or method.args.kwarg:
        return None
    names = {argument.arg for argument in (*method.args.args, *method.args.kwonlyargs)}
    for decorator in method.decorator_list:
        # A decorator may accept the old name of a keyword: @deprecate_kwarg("tokenizer", ...).
        names |= strings(decorator)
    return frozenset(names)


def has_attribute(node: ast.stmt, name: str) -> bool | None:
    """Return whether objects of a class have an attribute; ``None``: unknown, because it inherits or is dynamic."""
    if not isinstance(node, ast.ClassDef) or node.bases:
        return None
    names = {entry.name for entry in ast.walk(node) if isinstance(entry, DEFINITIONS)}
    if "__getattr__" in names:
        return None
    targets = (entry for entry in ast.walk(node) if isinstance(entry, ast.Name | ast.Attribute))
    names |= {
        entry.id if isinstance(entry, ast.Name) else entry.attr for entry in targets if isinstance(entry.ctx, ast.Store)
    }
    return name in names
