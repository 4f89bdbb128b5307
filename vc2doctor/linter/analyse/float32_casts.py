"""Casts to float32 that a value has passed through, as far as its names tell."""

import ast

from vc2doctor.linter.read.module import Call, Function

MAX_NAMES = 4
"""Names that are made of one another and are followed: ``logits``, ``shift_logits``, ``flat_logits``."""


def is_of_float32(call: Call, value: ast.expr) -> bool:
    """Return whether a value that a call takes is taken to float32, there or before in the same function."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return mentions_float32(value) or _is_cast_before(call.place.function, names, call)


def mentions_float32(expression: ast.expr) -> bool:
    """Return whether an expression takes a value to float32: ``x.float()``, ``x.to(torch.float32)``."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr in ("float", "float32"))
        or (isinstance(node, ast.Constant) and node.value == "float32")
        for node in ast.walk(expression)
    )


def _is_cast_before(function: Function, names: set[str], call: Call, depth: int = 0) -> bool:
    """Return whether one of the names is made of a float32 value before a call in the same function."""
    values = [
        value
        for name in names
        for value, place in function.names.get(name, [])
        if place.statement is None or place.statement.lineno <= call.node.lineno
    ]
    if any(map(mentions_float32, values)):
        return True
    further = {node.id for value in values for node in ast.walk(value) if isinstance(node, ast.Name)} - names
    return bool(further) and depth < MAX_NAMES and _is_cast_before(function, further, call, depth + 1)
