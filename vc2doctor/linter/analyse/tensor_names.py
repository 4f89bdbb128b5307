"""Which assignment of a name counts at a place, for the reading of the dtypes of tensors."""

import ast
from typing import TypeGuard

from vc2doctor.linter.read.module import Place


def has_element(value: ast.expr, position: int) -> TypeGuard[ast.Tuple]:
    """Return whether an expression is a tuple with an element at a position."""
    return isinstance(value, ast.Tuple) and position < len(value.elts)


def precedes(place: Place, line: int) -> bool:
    """Return whether a place stands before a line; a place without a statement counts as before."""
    return place.statement is None or place.statement.lineno < line


def replaces(assigned: list[tuple[ast.expr, Place]], place: Place) -> bool:
    """Return whether a parameter no longer has the value that the caller gave."""
    return any(each.conditions == place.conditions[: len(each.conditions)] for _, each in assigned)


def is_device(argument: ast.expr) -> bool:
    """Return whether an argument of ``.to`` is a device, by its text."""
    text = ast.unparse(argument).lower()
    return "device" in text or "cuda" in text or text in ("'cpu'", "rank", "local_rank")
