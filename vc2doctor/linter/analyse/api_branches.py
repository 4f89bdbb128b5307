"""Which uses stand in a branch, so that a program can run without them."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.syntax import expressions_of


def is_in_branch(use: Use) -> bool:
    """Return whether a use runs only if a condition holds: of a statement around it, or within its expression."""
    if use.is_conditional or use.module is None or use.node is None:
        return use.is_conditional
    return id(use.node) in _branches(use.module)


@lru_cache(maxsize=64)
def _branches(module: Module) -> frozenset[int]:
    """Return the nodes of a module that stand in a branch, by identity; the module keeps them alive."""
    guards = guards_of(module)
    found: set[int] = set()
    for place in module.statements:
        statement = place.statement
        if statement is None:
            continue
        if guards.is_conditional(statement):
            found.add(id(statement))
            found.update(id(node) for node in expressions_of(statement))
        else:
            found.update(id(node) for node in _not_always_evaluated(statement))
    return frozenset(found)


def _not_always_evaluated(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes behind ``and``, ``or`` and in the two values of ``a if b else c``."""
    for node in expressions_of(statement):
        operands: list[ast.expr] = []
        if isinstance(node, ast.BoolOp):
            operands = node.values[1:]
        elif isinstance(node, ast.IfExp):
            operands = [node.body, node.orelse]
        for operand in operands:
            yield from ast.walk(operand)
