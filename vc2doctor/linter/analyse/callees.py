"""The function that a call runs, also where the object is only known by what made it: ``self.net(x)``."""

import ast

from vc2doctor.linter.analyse.module_lists import ModuleLists
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Assigned, Call, Class, Function, Place

_RUN_BY_CALL = ("forward", "__call__")
"""Methods that run when an object is called."""
MAX_HOPS = 4
"""Names, arguments and attributes between a call and the function that was handed to it."""


class Callees:
    """The functions of one project that its calls run."""

    def __init__(self, code: CodeFacts, objects: ObjectFacts) -> None:
        self._code = code
        self._objects = objects
        self.lists = ModuleLists(objects)
        self._answers: dict[ast.Call, Function | None] = {}

    def of(self, call: Call) -> Function | None:
        """Return the function of the project that a call runs; ``None``: none is known, or it makes an object."""
        if call.node not in self._answers:
            self._answers[call.node] = self._callee(call)
        return self._answers[call.node]

    def _callee(self, call: Call) -> Function | None:
        function, place = call.node.func, call.place
        callee = self._code.callee(call)
        if callee is not None:
            return callee if callee.name != "__init__" else None
        if isinstance(function, ast.Attribute):
            owner = self._objects.class_of(function.value, place)
            method = self._code.method(owner, function.attr) if owner is not None else None
            if method is not None:
                return method
        passed = self._passed(function, place, 0)
        if passed is not None:
            return passed
        cls = self._objects.class_of(function, place) or self._class_in_list(function, place)
        methods = (self._code.method(cls, name) for name in _RUN_BY_CALL) if cls is not None else ()
        return next((method for method in methods if method is not None), None)

    def _class_in_list(self, function: ast.expr, place: Place) -> Class | None:
        """Return the class of the modules of a list that an expression takes one of, if all are of one class."""
        made = self.lists.makers(function, place)
        classes = {self._code.class_named(call.place.module, call.node.func) for call in made}
        return classes.pop() if len(classes) == 1 else None

    def _passed(self, expression: ast.expr, place: Place, hops: int) -> Function | None:
        """Return the function that a name stands for which was handed on as a value: ``fit(model, dice_loss)``."""
        if hops > MAX_HOPS or not isinstance(expression, ast.Name | ast.Attribute):
            return None
        ways = self._ways(expression, place)
        if ways is None:
            definition = self._code.resolve(place.module, place.module.dotted(expression)) if hops else None
            return definition if isinstance(definition, Function) else None
        found = {self._passed(value, at, hops + 1) for value, at in ways}
        return found.pop() if len(found) == 1 else None

    def _ways(self, expression: ast.Name | ast.Attribute, place: Place) -> list[Assigned] | None:
        """Return what a name or an attribute of ``self`` can be; ``None``: it is no variable of the project."""
        if isinstance(expression, ast.Attribute):
            is_own = isinstance(expression.value, ast.Name) and expression.value.id == "self"
            cls: Class | None = place.function.cls if is_own else None
            return cls.attributes.get(expression.attr) if cls is not None else None
        for scope in place.function.scopes():
            if expression.id in scope.names:
                return scope.names[expression.id]
            if expression.id in scope.parameters():
                given = [
                    (call.argument(expression.id, scope.position(expression.id)), call.place)
                    for call in self._code.callers(scope)
                ]
                return [(argument, at) for argument, at in given if argument is not None]
        return None
