"""Parts of a model that its own class freezes: ``self.tower.requires_grad_(False)``, or a loop over its parameters."""

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_without_gradients, words
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.read.module import Class, Module
from vc2doctor.linter.read.syntax import walk

_HARMLESS = frozenset({"config", "eval", "to", "cuda", "device", "dtype", "requires_grad_", "half", "float"})
_TRAINING = frozenset({"train", "parameters", "named_parameters"})
_TAKES_MODEL = re.compile(r"prepare|train|peft|optim|DistributedDataParallel|initialize", re.IGNORECASE)
"""Names of functions that a model is given to for training."""
_ADAPTER_WORDS = {"lora", "adapter", "prompt"}


def frozen_attributes(facts: Facts, cls: Class) -> frozenset[str]:
    """Return the attributes of a class that it, a base or a subclass freezes in a branch that can be reached."""
    methods = [method for related in facts.code.related_classes(cls) for method in related.methods.values()]
    return frozenset(
        name
        for method in methods
        for name, node in _freezes(method.node)
        if _can_be_reached(facts, method.module, node)
    )


def is_frozen_by_its_class(facts: Facts, load: Load) -> bool:
    """Return whether weights go to an attribute that its class freezes, in a branch that can be reached."""
    cls = load.place.function.cls
    names = {name for target in load.place.targets if (name := _of_self(target)) is not None}
    return cls is not None and bool(names) and bool(names & frozen_attributes(facts, cls))


def is_used_without_gradients(facts: Facts, load: Load) -> bool:
    """Return whether weights go to an attribute that its class only calls under ``no_grad``, and gives to nothing else.

    No gradient reaches such weights, whatever the optimizer holds.
    """
    cls = load.place.function.cls
    names = {name for target in load.place.targets if (name := _of_self(target)) is not None}
    if cls is None or len(names) != 1:
        return False
    (name,) = names
    methods = [method for related in facts.code.related_classes(cls) for method in related.methods.values()]
    calls = [call for method in methods for call in method.module.calls_in(method)]
    used = [call for call in calls if _of_self(call.node.func) == name]
    read = {id(node) for method in methods for node in walk(method.node) if _reads(node, name)}
    harmless = {id(call.node.func) for call in used} | {
        id(node.value) for method in methods for node in walk(method.node) if _asks(node)
    }
    return bool(used) and all(is_without_gradients(call.place) for call in used) and read <= harmless


def _reads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and _of_self(node) == name


def _asks(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """Return whether an attribute of a module is read that trains nothing: ``self.text_encoder.config``."""
    return isinstance(node, ast.Attribute) and node.attr in _HARMLESS


def is_only_evaluated(cast: Cast) -> bool:
    """Return whether the function that casts a module puts it into ``eval`` mode, and nothing there can train it."""
    if not isinstance(cast.receiver, ast.Name):
        return False
    name, place = cast.receiver.id, cast.call.place
    calls = list(place.module.calls_in(place.function))
    own = {call.name for call in calls if isinstance(call.receiver, ast.Name) and call.receiver.id == name}
    given = {
        call.name for call in calls if any(isinstance(each, ast.Name) and each.id == name for each in call.node.args)
    }
    return "eval" in own and not own & _TRAINING and not any(_TAKES_MODEL.search(each) for each in given)


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
                yield from ((name, inner) for inner in _base_statements(node) if switches_gradients_off(inner))


def _base_statements(loop: ast.For) -> Iterator[ast.stmt]:
    """Yield the statements that a loop over parameters runs for those of the base: ``if "lora" not in name:``."""
    for statement in loop.body:
        match statement:
            case ast.If(test=ast.Compare(left=ast.Constant(value=str(word)), ops=[ast.NotIn()]), body=body):
                yield from body if words(word) & _ADAPTER_WORDS else ()
            case _:
                yield statement


def _of_self(expression: ast.expr) -> str | None:
    match expression:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None


def switches_gradients_off(node: ast.AST) -> bool:
    """Return whether a node is ``parameter.requires_grad = False`` or ``parameter.requires_grad_(False)``."""
    match node:
        case ast.Expr(value=call):
            return switches_gradients_off(call)
        case ast.Assign(targets=[ast.Attribute(attr="requires_grad")], value=ast.Constant(value=False)):
            return True
        case ast.Call(func=ast.Attribute(attr="requires_grad_"), args=[ast.Constant(value=False), *_]):
            return True
        case ast.Call(
            func=ast.Attribute(attr="requires_grad_"), keywords=[ast.keyword(value=ast.Constant(value=False))]
        ):
            return True
    return False


def _can_be_reached(facts: Facts, module: Module, node: ast.AST) -> bool:
    line = getattr(node, "lineno", 0)
    places = module.statements
    holder = next((each for each in places if each.statement is not None and each.statement.lineno == line), None)
    return holder is None or facts.values.is_reached(holder) is not False
