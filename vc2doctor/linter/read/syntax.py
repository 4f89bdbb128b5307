"""Walks syntax trees. Most of the time of a run goes into this, so it does less than ``ast.walk``."""

import ast
from collections.abc import Iterator

_NO_CHILDREN = (ast.Constant, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.type_ignore)
_PLAIN_FIELDS = {
    *("id", "attr", "arg", "name", "asname", "module", "level", "lineno", "kind", "type_comment", "conversion"),
    *("is_async", "rest", "simple", "ctx", "op", "ops", "kwd_attrs", "type_ignores"),
}
"""Fields that hold texts, numbers, contexts or operators, in every class of nodes that has them."""


class _ChildFields(dict[type, tuple[str, ...] | None]):
    """Class of a node → its fields that can hold nodes, the last first; ``None`` for classes that are no nodes."""

    def __missing__(self, kind: type) -> tuple[str, ...] | None:
        fields: tuple[str, ...] | None = None
        if issubclass(kind, ast.AST):
            has_children = not issubclass(kind, _NO_CHILDREN)
            fields = tuple(name for name in reversed(kind._fields) if has_children and name not in _PLAIN_FIELDS)
        self[kind] = fields
        return fields


_CHILD_FIELDS = _ChildFields()


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all nodes below it, each parent before its children and in the order of the text.

    Operators and contexts (``ast.Add``, ``ast.Load``) are left out. Measured with Python 3.11 on 250 modules of LAVIS:
    2.3 times as fast as ``ast.walk``.
    """
    waiting = [node]
    while waiting:
        current = waiting.pop()
        fields = _CHILD_FIELDS[current.__class__]
        if fields is None:
            # Lists hold None for what is missing: `{**a}` has no key.
            continue
        yield current
        for name in fields:
            value = getattr(current, name, None)
            if value.__class__ is list:
                waiting += value[::-1]
            elif value is not None:
                waiting.append(value)


MAX_DEPTH = 150
"""Levels of a tree that every rule can walk by recursion: ``ast.unparse`` takes about 4 of Python's 1,000 frames each.
The deepest module of transformers has 40."""


def depth_of(tree: ast.AST) -> int:
    """Return the number of levels of a tree."""
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def entries_of(table: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield the entries of a dictionary that is written out: ``{"key": value}``, ``dict(key=value)``."""
    match table:
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            yield from (
                (key.value, value)
                for key, value in pairs
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            )
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            yield from ((keyword.arg, keyword.value) for keyword in keywords if keyword.arg is not None)


def expressions_of(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of the expressions of a statement without those of the statements inside it."""
    waiting: list[ast.AST] = [
        child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt | ast.ExceptHandler)
    ]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))
