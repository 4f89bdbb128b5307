"""Parts of a model that its own class freezes: ``self.tower.requires_grad_(False)``, or a loop over its parameters."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.read.module import Class, Module
from vc2doctor.linter.read.syntax import walk


def frozen_attributes(facts: Facts, cls: Class) -> frozenset[str]:
    """Return the attributes of a class that it, a base or a subclass freezes in a branch that can be reached."""
    methods = [method for related in facts.code.related_classes(cls) for method in related.methods.values()]
    return frozenset(
        name
        for method in methods
        for name, node in _freezes(method.node)
        if _can_be_reached(facts, method.module, node)
    )


def _freezes(function: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the attributes of ``self`` that a function freezes, each with the node that does it."""
    for node in walk(function):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="requires_grad_", value=receiver), args=[ast.Constant(value=False), *_]
            ) if (name := _of_self(receiver)) is not None:
                yield name, node
            case ast.For(iter=ast.Call(func=ast.Attribute(attr="parameters" | "named_parameters", value=receiver))) if (
                name := _of_self(receiver)
            ) is not None:
                yield from ((name, inner) for inner in node.body if _switches_gradients_off(inner))


def _of_self(expression: ast.expr) -> str | None:
    match expression:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None


def _switches_gradients_off(statement: ast.stmt) -> bool:
    """Return whether a statement is ``parameter.requires_grad = False`` or ``parameter.requires_grad_(False)``."""
    match statement:
        case ast.Assign(targets=[ast.Attribute(attr="requires_grad")], value=ast.Constant(value=False)):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="requires_grad_"), args=[ast.Constant(value=False), *_])):
            return True
    return False


def _can_be_reached(facts: Facts, module: Module, node: ast.AST) -> bool:
    line = getattr(node, "lineno", 0)
    places = module.statements
    holder = next((each for each in places if each.statement is not None and each.statement.lineno == line), None)
    return holder is None or facts.values.is_reached(holder) is not False
