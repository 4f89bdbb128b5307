"""Follows objects to the expressions that make them: through names, arguments, returned values, ``self`` and tuples.

Where values.py asks which constants an expression can be, this module asks which calls made the object that it names:
the ``GradScaler()`` behind ``scaler.scale(loss)``, the ``autocast()`` behind ``with ctx:``, the load behind ``model``.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.module import Assigned, Call, Class, Function, Place, last_name

MAX_DEPTH = 8
"""Names, arguments and returned values that are followed one after the other."""
MAX_STEPS = 64
"""Expressions that are looked at for one object. With more of them the answer is incomplete."""


_PASSES_ARGUMENTS = ("prepare",)
"""Calls that return their arguments, wrapped: ``model, optimizer = accelerator.prepare(model, optimizer)``."""


_RETURNS_ITSELF = frozenset(
    {"to", "cuda", "cpu", "half", "float", "bfloat16", "double", "train", "eval", "requires_grad_", "apply"}
)
"""Methods of modules that return the module itself."""


class Origin(NamedTuple):
    """An expression that makes an object, and the place of that expression."""

    expression: ast.expr
    place: Place


class Origins(NamedTuple):
    """The expressions that can make one object."""

    found: tuple[Origin, ...]
    is_complete: bool
    """Whether every way was followed to its end. If not, the object can also be something else."""
    names: frozenset[tuple[Function | Class, str]] = frozenset()
    """The names that the object has on the way, each with the function or class that the name belongs to."""

    def calls(self) -> Iterator[Call]:
        """Yield the calls among the expressions."""
        for expression, place in self.found:
            if isinstance(expression, ast.Call):
                yield Call(expression, place)


class ObjectFacts:
    """The origins of the objects of one project."""

    def __init__(self, code: CodeFacts, values: Values) -> None:
        self.code = code
        self.values = values
        self._answers: dict[tuple[ast.expr, Function], Origins] = {}

    def of(self, expression: ast.expr, place: Place) -> Origins:
        """Return the expressions that can make the object which an expression at a place names."""
        question = (expression, place.function)
        if question not in self._answers:
            # An object that leads back to itself has no further origins.
            self._answers[question] = Origins((), is_complete=False)
            search = _Search(self)
            search.follow(expression, _At(place, None, 0))
            self._answers[question] = Origins(tuple(search.found.values()), search.is_complete, frozenset(search.names))
        return self._answers[question]

    def makers(self, expression: ast.expr, place: Place) -> Iterator[Call]:
        """Yield the calls that make an object, without the methods of modules that return the module itself."""
        for call in self.of(expression, place).calls():
            maker = _maker(call.node)
            yield Call(maker, call.place) if isinstance(maker, ast.Call) else call

    def class_of(self, expression: ast.expr, place: Place) -> Class | None:
        """Return the class of the project that an object is of, or ``None``."""
        cls = place.function.cls
        if isinstance(expression, ast.Name) and expression.id in ("self", "cls") and cls is not None:
            return cls
        for call in self.of(expression, place).calls():
            maker = _maker(call.node)
            if maker is not call.node and not isinstance(maker, ast.Call):
                # `model.cuda()`: what made the model has its class.
                return self.class_of(maker, call.place) if maker is not expression else None
            made = self.code.class_named(call.place.module, maker.func) if isinstance(maker, ast.Call) else None
            if made is not None:
                return made
        return None


def _maker(expression: ast.expr) -> ast.expr:
    """Return the object that methods of modules return themselves of: ``Net()`` of ``Net().cuda().train()``."""
    while isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        if expression.func.attr not in _RETURNS_ITSELF:
            break
        expression = expression.func.value
    return expression


class _At(NamedTuple):
    """Where a search is."""

    place: Place
    element: int | None
    """The element that is meant, if the expression makes a tuple."""
    depth: int

    def deeper(self, place: Place | None = None, element: int | None = None, *, keep: bool = True) -> "_At":
        """Return the next step: at another place, or at an element; with ``keep`` the same element is meant."""
        return _At(place or self.place, self.element if keep else element, self.depth + 1)


class _Search:
    """The search for the origins of one object."""

    def __init__(self, facts: ObjectFacts) -> None:
        self._facts = facts
        self.found: dict[ast.expr, Origin] = {}
        self.names: set[tuple[Function | Class, str]] = set()
        self._seen: set[tuple[ast.expr, int | None]] = set()
        self.is_complete = True

    def follow(self, expression: ast.expr, at: _At) -> None:  # noqa: C901, PLR0912 - one case per kind of expression
        if at.depth > MAX_DEPTH or len(self._seen) > MAX_STEPS:
            self.is_complete = False
            return
        if (expression, at.element) in self._seen:
            return
        self._seen.add((expression, at.element))
        match expression:
            case ast.Name():
                self._name(expression.id, at)
            case ast.Attribute():
                self._attribute(expression, at)
            case ast.IfExp():
                for branch in self._branches(expression, at.place):
                    self.follow(branch, at.deeper())
            case ast.BoolOp():
                for operand in expression.values:
                    self.follow(operand, at.deeper())
            case ast.Tuple() | ast.List() if at.element is not None and at.element < len(expression.elts):
                self.follow(expression.elts[at.element], at.deeper(keep=False))
            case ast.NamedExpr() | ast.Await():
                self.follow(expression.value, at.deeper())
            case ast.Call():
                self._call(expression, at)
            case ast.Subscript(slice=ast.Constant(value=int(position))) if position >= 0:
                self.follow(expression.value, at.deeper(element=position, keep=False))
            case _:
                self.found.setdefault(expression, Origin(expression, at.place))

    def _branches(self, expression: ast.IfExp, place: Place) -> list[ast.expr]:
        truth = self._facts.values.truth(expression.test, place)
        if truth is None:
            return [expression.body, expression.orelse]
        return [expression.body if truth else expression.orelse]

    def _name(self, name: str, at: _At) -> None:
        for scope in at.place.function.scopes():
            is_parameter = name in scope.parameters()
            if is_parameter:
                self._parameter(scope, name, at)
            if is_parameter or name in scope.names or name in scope.unpacked:
                self.names.add((scope, name))
                self._assigned(scope.names.get(name, []), at)
                for value, position, place in scope.unpacked.get(name, []):
                    if self._facts.values.is_reached(place) is not False:
                        self.follow(value, at.deeper(place, position, keep=False))
                return
        self._imported(name, at)

    def _imported(self, name: str, at: _At) -> None:
        module = at.place.module
        owner, _, imported = module.imports.get(name, "").rpartition(".")
        source = self._facts.code.module_named(module, owner) if owner.strip(".") else None
        if source is not None and imported in source.level.names:
            self._assigned(source.level.names[imported], at)
        else:
            self.is_complete = False

    def _assigned(self, assigned: list[Assigned], at: _At) -> None:
        for value, place in assigned:
            if self._facts.values.is_reached(place) is not False:
                self.follow(value, at.deeper(place))

    def _parameter(self, function: Function, name: str, at: _At) -> None:
        """Follow the arguments that the callers of a function give; without callers nothing is known."""
        calls = self._facts.code.callers(function)
        self.is_complete = self.is_complete and bool(calls)
        default = function.defaults().get(name)
        for call in calls:
            argument = call.argument(name, function.position(name))
            if argument is not None:
                self.follow(argument, at.deeper(call.place))
            elif default is None or any(keyword.arg is None for keyword in call.node.keywords):
                self.is_complete = False
            else:
                # A default is evaluated where the function is defined.
                self.follow(default, at.deeper(Place(function.outer or function)))

    def _attribute(self, expression: ast.Attribute, at: _At) -> None:
        cls = self._facts.class_of(expression.value, at.place)
        owners = self._facts.code.related_classes(cls) if cls is not None else []
        for owner in owners:
            if expression.attr in owner.attributes:
                self.names.add((owner, expression.attr))
                self._assigned(owner.attributes[expression.attr], at)
                return
            method = owner.methods.get(expression.attr)
            if method is not None and any("property" in ast.unparse(item) for item in method.decorators):
                self._returned(method, at)
                return
        self.is_complete = False

    def _call(self, call: ast.Call, at: _At) -> None:
        if last_name(call.func) in _PASSES_ARGUMENTS and at.element is not None and at.element < len(call.args):
            self.follow(call.args[at.element], at.deeper(keep=False))
            return
        callee = self._facts.code.callee(Call(call, at.place))
        if callee is None or callee.name == "__init__":
            self.found.setdefault(call, Origin(call, at.place))
        else:
            self._returned(callee, at)

    def _returned(self, function: Function, at: _At) -> None:
        """Follow what a function returns."""
        self.is_complete = self.is_complete and bool(function.returned)
        for value, place in function.returned:
            if self._facts.values.is_reached(place) is not False:
                self.follow(value, at.deeper(place))
