"""Objects of the project's own classes, and what made them: ``cfg.dtype`` can be read where ``cfg`` is an argument."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Assigned, Call, Class, Function, Place

MAX_HOPS = 6
"""Names, arguments, attributes and returned values between a name and the call that makes its object."""
MAX_CALLERS = 6
"""Callers of a function that are asked for an argument. With more of them an object is not known."""
_SETS_ANY = re.compile(r"\bsetattr\(|__dict__|\bvars\(")
"""Ways to set an attribute by a text."""


class Instances:
    """The objects of one project whose class and construction can be read."""

    def __init__(self, code: CodeFacts) -> None:
        self._code = code

    def given(self, expression: ast.Attribute, place: Place) -> tuple[Class, list[Assigned | None]] | None:
        """Return the class of ``obj`` in ``obj.name``, and what each construction of it gives to ``name``.

        ``None`` in place of an expression: the construction says nothing, so the class decides. The whole is ``None``
        if the object is not known for certain, or if code outside of the class sets the attribute.
        """
        made = list(self._made(expression.value, place, 0))
        classes = {cls for cls, _ in made if cls is not None}
        if not made or len(classes) != 1 or any(cls is None for cls, _ in made):
            return None
        (cls,) = classes
        calls = [call for _, call in made if call is not None]
        if any(call.is_open or any(isinstance(each, ast.Starred) for each in call.node.args) for call in calls):
            return None
        modules = {place.module, cls.module, *(call.place.module for call in calls)}
        sets = re.compile(rf"^[ \t]*(?!self\.)[\w.\[\]]+\.{re.escape(expression.attr)}\s*=[^=]", re.MULTILINE)
        if any(sets.search(module.source.text) or _SETS_ANY.search(module.source.text) for module in modules):
            return None
        return cls, [_argument(cls, call, expression.attr) for call in calls]

    def _made(self, expression: ast.expr, place: Place, hops: int) -> Iterator[tuple[Class | None, Call | None]]:
        """Yield the class and the call for each way to make an object; a class of ``None``: one way is not known."""
        if hops > MAX_HOPS:
            yield None, None
            return
        match expression:
            case ast.Call():
                yield from self._of_call(Call(expression, place), hops)
            case ast.Name(id=name):
                yield from self._of_name(name, place, hops)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if place.function.cls is not None:
                owners = (owner for owner in self._code.mro(place.function.cls) if name in owner.attributes)
                owner = next(owners, None)
                yield from self._of_assigned(owner.attributes[name] if owner is not None else [], hops)
            case _:
                yield None, None

    def _of_call(self, call: Call, hops: int) -> Iterator[tuple[Class | None, Call | None]]:
        cls = self._code.class_named(call.place.module, call.node.func)
        callee = self._code.callee(call) if cls is None else None
        if cls is not None:
            yield cls, call
        else:
            yield from self._of_assigned(callee.returned if callee is not None else [], hops)

    def _of_assigned(self, assigned: list[Assigned], hops: int) -> Iterator[tuple[Class | None, Call | None]]:
        if not assigned:
            yield None, None
        for value, place in assigned:
            yield from self._made(value, place, hops + 1)

    def _of_name(self, name: str, place: Place, hops: int) -> Iterator[tuple[Class | None, Call | None]]:
        for scope in place.function.scopes():
            if name in scope.names:
                yield from self._of_assigned(scope.names[name], hops)
                return
            if name in scope.parameters():
                yield from self._of_parameter(scope, name, hops)
                return
        yield None, None

    def _of_parameter(self, function: Function, name: str, hops: int) -> Iterator[tuple[Class | None, Call | None]]:
        calls = self._code.callers(function)
        arguments = [(call.argument(name, function.position(name)), call.place) for call in calls]
        if not calls or len(calls) > MAX_CALLERS or any(argument is None for argument, _ in arguments):
            yield None, None
            return
        for argument, place in arguments:
            if argument is not None:
                yield from self._made(argument, place, hops + 1)


def _argument(cls: Class, call: Call, name: str) -> Assigned | None:
    """Return what a call gives to a field of a class without a constructor of its own: ``Config(dtype=…)``."""
    if "__init__" in cls.methods:
        return None
    fields = [each.target for each in cls.node.body if isinstance(each, ast.AnnAssign)]
    names = [field.id for field in fields if isinstance(field, ast.Name)]
    argument = call.argument(name, names.index(name) if name in names else None)
    return (argument, call.place) if argument is not None else None
