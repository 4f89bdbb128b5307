"""The function that a call runs, also where the object is only known by what made it: ``self.net(x)``."""

import ast

from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Call, Function

_RUN_BY_CALL = ("forward", "__call__")
"""Methods that run when an object is called."""


class Callees:
    """The functions of one project that its calls run."""

    def __init__(self, code: CodeFacts, objects: ObjectFacts) -> None:
        self._code = code
        self._objects = objects
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
        cls = self._objects.class_of(function, place)
        methods = (self._code.method(cls, name) for name in _RUN_BY_CALL) if cls is not None else ()
        return next((method for method in methods if method is not None), None)
