"""What the methods of a class pass when they call other methods of the same object.

A class that overrides such a method has to take what is passed.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.curate.wheels.contents import FUNCTIONS, possible
from vc2doctor.matrix.api_file import FROM

_ASKS = re.compile(
    r"signature|hasattr|getattr|inspect|parameters|version|accepts|callable\(|isinstance\(self", re.IGNORECASE
)
"""Conditions that ask what a method takes: a call under one adapts itself to what overrides the method."""


def passed_to_self(node: ast.ClassDef) -> dict[str, frozenset[str]]:
    """Return what each method of ``self`` is given, by its name; see ``PackageApi.passes``."""
    passed: dict[str, set[str]] = defaultdict(set)
    for method in possible(node.body):
        if isinstance(method, FUNCTIONS):
            for call in _self_calls(method):
                name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
                passed[name].update(f"{item}{FROM}{method.name}" for item in _items(call))
    return {name: frozenset(items) for name, items in passed.items()}


def _self_calls(method: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    """Yield the calls ``self.method(...)`` that do not depend on what the method takes."""
    waiting: list[ast.AST] = list(method.body)
    answers = _answers(method)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Try) or (isinstance(node, ast.If | ast.IfExp) and _asks(node.test, answers)):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "self":
                yield node
        waiting.extend(ast.iter_child_nodes(node))


def _answers(method: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """Return the local names that hold an answer: ``is_old = "value" in signature(self.step).parameters``."""
    return frozenset(
        target.id
        for node in ast.walk(method)
        if isinstance(node, ast.Assign) and _ASKS.search(ast.unparse(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    )


def _asks(test: ast.expr, answers: frozenset[str]) -> bool:
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return bool(names & answers) or _ASKS.search(ast.unparse(test)) is not None


def _items(call: ast.Call) -> Iterator[str]:
    yield from (keyword.arg for keyword in call.keywords if keyword.arg is not None)
    if call.args and not any(isinstance(argument, ast.Starred) for argument in call.args):
        yield str(len(call.args))
