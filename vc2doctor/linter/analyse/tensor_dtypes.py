"""Follows the dtype of tensors through one function: half precision, float32, or unknown.

What autocast does to an operation is published, so the dtype of a result can be read where the code names the
operations: ``torch.einsum(…)`` under autocast is half, ``torch.exp(…)`` is float32, ``x.mean()`` is what ``x`` is. What
cannot be read is unknown, and a rule about half precision then says nothing.
"""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TypeGuard

from vc2doctor.linter.analyse.autocast import HALF_DTYPES, AutocastFacts, Region
from vc2doctor.linter.analyse.config_keys import still_alive
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.plain_numbers import is_number
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.knowledge import autocast_ops as ops
from vc2doctor.linter.read.config import Unknown
from vc2doctor.linter.read.module import Assigned, Call, Function, Place, last_name

MAX_DEPTH = 24
"""Expressions and names that are followed one inside the other."""
MAX_CALLS = 3
"""Functions of the project that are followed one inside the other."""
_NO_TENSORS = ("shape", "dtype", "device", "ndim", "requires_grad", "grad", "config", "training", "eps")
"""Attributes of tensors and modules that are no tensors."""


class Kind(Enum):
    """What the dtype of a tensor is."""

    HALF = "half"
    FLOAT32 = "float32"
    UNKNOWN = "unknown"
    NUMBER = "number"
    """A number of Python: it takes the dtype of the tensor that it is combined with."""


class Mode(Enum):
    """What decides the dtype of an operation."""

    AUTOCAST = "autocast"
    HALF_MODEL = "half model"
    """The parameters and activations are half precision, and no region takes anything to float32."""
    PLAIN = "plain"
    """Outside of any region, beside a model whose weights are float32: an operation follows its inputs."""


@dataclass(frozen=True, eq=False)
class TensorContext:
    """A function, and how it is run."""

    function: Function
    mode: Mode
    arguments: Mapping[str, Kind]
    """What its parameters are; a parameter that is missing is unknown."""
    calls: int = 0
    """How many calls of functions led here."""
    outputs: frozenset[str] = frozenset()
    """Parameters that hold the outputs of a half-precision model by name: what is called logits comes from a matrix
    product, and is half. Others can have passed through operations that give float32."""


class TensorFacts:
    """The dtypes of the tensors of one project."""

    def __init__(self, code: CodeFacts, values: Values, objects: ObjectFacts, autocast: AutocastFacts) -> None:
        self.code = code
        self.values = values
        self.objects = objects
        self.autocast = autocast

    @cached_property
    def regions(self) -> Mapping[ast.expr, Region]:
        """The autocast regions, by the expression that opens them."""
        return {
            item.context_expr: region
            for region in self.autocast.regions
            for item in region.statement.items
            if any(node is region.call.node for node in ast.walk(item.context_expr))
            or not isinstance(item.context_expr, ast.Call)
        }

    def mode_at(self, place: Place, base: Mode) -> Mode:
        """Return what decides the dtype of an operation at a place of a function that is run in a base mode."""
        inner = [region for region in map(self.regions.get, place.contexts) if region is not None]
        if not inner:
            return base
        region = inner[-1]
        if region.autocast.is_disabled:
            return Mode.PLAIN
        return Mode.AUTOCAST if region.dtypes & HALF_DTYPES else base

    def of(self, expression: ast.expr, place: Place, context: TensorContext) -> Kind:
        """Return the dtype of an expression at a place of a function that is run in a context."""
        return _Reading(self, context).of(expression, place, 0)


def joined(kinds: Iterable[Kind]) -> Kind:
    """Return the dtype of a value that is one of several."""
    distinct = set(kinds)
    return distinct.pop() if len(distinct) == 1 else Kind.UNKNOWN


def widest(kinds: Iterable[Kind]) -> Kind:
    """Return the dtype of an operation that takes its inputs to the widest one."""
    distinct = set(kinds) - {Kind.NUMBER}
    if not distinct:
        return Kind.NUMBER
    if Kind.FLOAT32 in distinct:
        return Kind.FLOAT32
    return Kind.UNKNOWN if Kind.UNKNOWN in distinct else Kind.HALF


class _Reading:
    """The reading of one function in one context."""

    def __init__(self, facts: TensorFacts, context: TensorContext) -> None:
        self._facts = facts
        self._context = context
        self._open: set[tuple[str, int]] = set()
        self._elements: dict[str, Kind] = {}
        """The names that comprehensions bind, each with the dtype of what they run over."""

    def of(self, expression: ast.expr, place: Place, depth: int) -> Kind:  # noqa: C901, PLR0911 - one case per kind of expression
        if depth > MAX_DEPTH:
            return Kind.UNKNOWN
        if is_number(expression):
            return Kind.NUMBER
        deeper = depth + 1
        match expression:
            case ast.UnaryOp():
                return self.of(expression.operand, place, deeper)
            case ast.BinOp():
                return self._operation(expression, place, deeper)
            case ast.IfExp():
                return joined(self.of(branch, place, deeper) for branch in (expression.body, expression.orelse))
            case ast.Subscript():
                return self._item(expression, place, deeper)
            case ast.Attribute():
                return self._attribute(expression, place, deeper)
            case ast.Name():
                return self._name(expression.id, place, deeper)
            case ast.Call():
                return self._call(Call(expression, place), deeper)
            case ast.Tuple() | ast.List():
                return joined(self.of(element, place, deeper) for element in expression.elts)
            case ast.ListComp(generators=[generator]) | ast.GeneratorExp(generators=[generator]):
                if isinstance(generator.target, ast.Name):
                    self._elements[generator.target.id] = self.of(generator.iter, place, deeper)
                return self.of(expression.elt, place, deeper)
        return Kind.UNKNOWN

    def _item(self, expression: ast.Subscript, place: Place, depth: int) -> Kind:
        match expression:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
                if name in self._context.outputs:
                    return Kind.HALF if "logit" in key else Kind.UNKNOWN
        return self.of(expression.value, place, depth)

    def _operation(self, expression: ast.BinOp, place: Place, depth: int) -> Kind:
        left, right = (self.of(operand, place, depth) for operand in (expression.left, expression.right))
        mode = self._facts.mode_at(place, self._context.mode)
        if isinstance(expression.op, ast.MatMult) and mode is Mode.AUTOCAST:
            return Kind.HALF
        is_power = isinstance(expression.op, ast.Pow) or (isinstance(expression.op, ast.Div) and left is Kind.NUMBER)
        if is_power and mode is Mode.AUTOCAST and Kind.HALF in (left, right):
            return Kind.FLOAT32
        return widest((left, right))

    def _attribute(self, expression: ast.Attribute, place: Place, depth: int) -> Kind:
        if expression.attr in _NO_TENSORS:
            return self._number(expression, place)
        if isinstance(expression.value, ast.Name) and expression.value.id == "self":
            return self._of_self(expression, place)
        return self.of(expression.value, place, depth)

    def _of_self(self, expression: ast.Attribute, place: Place) -> Kind:
        """Return the dtype of a parameter of a module."""
        origins = self._facts.objects.of(expression, place)
        made = list(origins.calls())
        is_parameter = bool(made) and all(call.name == "Parameter" for call in made)
        if is_parameter:
            return Kind.HALF if self._context.mode is Mode.HALF_MODEL else Kind.FLOAT32
        # `self.scale = scale or head_dim ** -0.5`
        given = [each for each, _ in origins.found if not (isinstance(each, ast.Constant) and each.value is None)]
        return Kind.NUMBER if given and all(map(is_number, given)) else self._number(expression, place)

    def _number(self, expression: ast.expr, place: Place) -> Kind:
        values = self._facts.values.of(expression, place)
        is_number = all(isinstance(value, int | float) and not isinstance(value, Unknown) for value in values)
        return Kind.NUMBER if is_number else Kind.UNKNOWN

    def _name(self, name: str, place: Place, depth: int) -> Kind:
        if name in self._elements:
            return self._elements[name]
        scope = self._context.function
        line = place.statement.lineno if place.statement is not None else 0
        before = [each for each in scope.names.get(name, []) if _precedes(each[1], line)]
        assigned = still_alive(before, scope, place)
        unpacked = [each for each in scope.unpacked.get(name, []) if _precedes(each[2], line)]
        question = (name, line)
        if question in self._open:
            return Kind.UNKNOWN
        self._open.add(question)
        try:
            found = [self.of(value, each, depth) for value, each in assigned]
            found += [self._element(value, position, each, depth) for value, position, each in unpacked]
        finally:
            self._open.discard(question)
        if name in scope.parameters() and not _replaces(assigned, place):
            found.append(self._parameter(name, place))
        return joined(found) if found else self._number(ast.Name(id=name, ctx=ast.Load()), place)

    def _element(self, value: ast.expr, position: int, place: Place, depth: int) -> Kind:
        """Return the dtype of an element of what a call returns: ``values, rewards = self.reward(…)``."""
        callee = self._facts.code.callee(Call(value, place)) if isinstance(value, ast.Call) else None
        returned = callee.returned if callee is not None else []
        elements = [each.elts[position] for each, _ in returned if _has_element(each, position)]
        if callee is None or not isinstance(value, ast.Call) or not elements or len(elements) < len(returned):
            return self.of(value, place, depth)
        mode = self._facts.mode_at(place, self._context.mode)
        places = [each for _, each in returned]
        return self._in_callee(callee, Call(value, place), mode, depth, list(zip(elements, places, strict=True)))

    def _parameter(self, name: str, place: Place) -> Kind:
        kind = self._context.arguments.get(name)
        if kind is not None:
            return kind
        if self._context.function.defaults().get(name) is not None:
            return self._number(ast.Name(id=name, ctx=ast.Load()), place)
        return Kind.UNKNOWN

    def _call(self, call: Call, depth: int) -> Kind:
        mode, name = self._facts.mode_at(call.place, self._context.mode), call.name
        cast = self._cast(call, depth)
        if cast is not None:
            return cast
        if self._is_of_torch(call):
            if name in ops.HALF_OPS and mode is Mode.AUTOCAST:
                return Kind.HALF
            inputs = self._inputs(call, depth)
            if name in ops.FLOAT32_OPS and mode is Mode.AUTOCAST:
                return Kind.FLOAT32
            if name in ops.FLOAT32_OPS | ops.HALF_OPS | ops.WIDENING_OPS:
                return widest(inputs)
            if name in ops.FOLLOWING_OPS:
                return inputs[0] if inputs else Kind.UNKNOWN
        return self._layer_or_function(call, mode, depth)

    def _is_of_torch(self, call: Call) -> bool:
        """Return whether a call can be a function of torch or a method of a tensor: ``torch.exp``, ``x.exp``."""
        function = call.node.func
        if isinstance(function, ast.Attribute):
            is_own = isinstance(function.value, ast.Name) and function.value.id == "self"
            return not is_own and self._facts.code.callee(call) is None
        return call.place.module.dotted(function).startswith("torch.")

    def _inputs(self, call: Call, depth: int) -> list[Kind]:
        """Return the dtypes of the tensors that an operation takes: its receiver, or its arguments."""
        function = call.node.func
        is_function = call.place.module.dotted(function).startswith(("torch.", "F.", "nn."))
        texts = [argument for argument in call.node.args if not isinstance(argument, ast.Starred)]
        arguments = [argument for argument in texts if not isinstance(argument, ast.Constant)]
        if isinstance(function, ast.Attribute) and not is_function:
            arguments = [function.value, *arguments[: 1 if call.name in ops.HALF_OPS | ops.WIDENING_OPS else 0]]
        elif call.name not in ops.HALF_OPS | ops.WIDENING_OPS:
            arguments = arguments[:1]
        return [self.of(argument, call.place, depth) for argument in arguments]

    def _cast(self, call: Call, depth: int) -> Kind | None:
        """Return the dtype that a cast gives; ``None``: the call is no cast."""
        function = call.node.func
        if not isinstance(function, ast.Attribute):
            return None
        if call.name in ("float", "double"):
            return Kind.FLOAT32
        if call.name in ("half", "bfloat16") and not call.node.args:
            return Kind.HALF
        if call.name == "type_as" and call.node.args:
            return self.of(call.node.args[0], call.place, depth)
        if call.name in ("to", "type"):
            return self._cast_to(call, function.value, depth)
        return None

    def _cast_to(self, call: Call, value: ast.expr, depth: int) -> Kind:
        """Return the dtype of ``x.to(…)``, whose arguments can be a dtype, a device or a tensor."""
        for argument in (call.argument("dtype"), *call.node.args):
            if argument is None:
                continue
            if isinstance(argument, ast.Attribute) and argument.attr == "dtype":
                return self.of(argument.value, call.place, depth)
            dtypes = self._facts.values.dtypes(argument, call.place)
            if dtypes and dtypes <= HALF_DTYPES:
                return Kind.HALF
            if "float32" in {getattr(dtype, "name", "") for dtype in dtypes}:
                return Kind.FLOAT32 if len(dtypes) == 1 else Kind.UNKNOWN
            if not _is_device(argument):
                return Kind.UNKNOWN
        return self.of(value, call.place, depth)

    def _layer_or_function(self, call: Call, mode: Mode, depth: int) -> Kind:
        """Return the dtype that a layer, a module or a function of the project gives."""
        inputs = [self.of(argument, call.place, depth) for argument in call.node.args[:1]]
        callee = self._facts.code.callee(call)
        if callee is not None and callee.name != "__init__":
            return self._returned(callee, call, mode, depth)
        made = list(self._facts.objects.of(call.node.func, call.place).calls())
        layers = [each for each in made if _is_torch_layer(each)]
        if made and len(layers) == len(made):
            return joined(_of_layer(each, mode, inputs) for each in layers)
        cls = self._facts.objects.class_of(call.node.func, call.place)
        forward = self._facts.code.method(cls, "forward") if cls is not None else None
        if forward is not None:
            return self._returned(forward, call, mode, depth)
        is_module = isinstance(call.node.func, ast.Attribute) and last_name(call.node.func.value) == "self"
        return Kind.HALF if mode is Mode.HALF_MODEL and is_module else Kind.UNKNOWN

    def _returned(self, callee: Function, call: Call, mode: Mode, depth: int) -> Kind:
        """Return the dtype that a function of the project returns."""
        return self._in_callee(callee, call, mode, depth, callee.returned)

    def _in_callee(self, callee: Function, call: Call, mode: Mode, depth: int, results: list[Assigned]) -> Kind:
        """Return the dtype of expressions in a function of the project, as a call runs it."""
        if self._context.calls >= MAX_CALLS or callee is self._context.function or not results:
            return Kind.UNKNOWN
        arguments = {
            name: self.of(argument, call.place, depth)
            for name in callee.parameters()
            if (argument := call.argument(name, callee.position(name))) is not None
        }
        context = TensorContext(callee, mode, arguments, self._context.calls + 1)
        reading = _Reading(self._facts, context)
        return joined(reading.of(value, place, 0) for value, place in results)


def _has_element(value: ast.expr, position: int) -> TypeGuard[ast.Tuple]:
    return isinstance(value, ast.Tuple) and position < len(value.elts)


def _precedes(place: Place, line: int) -> bool:
    return place.statement is None or place.statement.lineno < line


def _replaces(assigned: list[tuple[ast.expr, Place]], place: Place) -> bool:
    """Return whether a parameter no longer has the value that the caller gave."""
    return any(each.conditions == place.conditions[: len(each.conditions)] for _, each in assigned)


def _is_device(argument: ast.expr) -> bool:
    text = ast.unparse(argument).lower()
    return "device" in text or "cuda" in text or text in ("'cpu'", "rank", "local_rank")


def _is_torch_layer(call: Call) -> bool:
    dotted = call.place.module.dotted(call.node.func)
    return dotted.startswith(("torch.nn.", "nn.")) and dotted.rpartition(".")[2][:1].isupper()


def _of_layer(call: Call, mode: Mode, inputs: list[Kind]) -> Kind:
    """Return the dtype that a layer of torch gives."""
    if mode is Mode.HALF_MODEL:
        return Kind.HALF
    name = call.name
    if name == "Sequential" and call.node.args:
        last = call.node.args[-1]
        return _of_layer(Call(last, call.place), mode, [Kind.UNKNOWN]) if isinstance(last, ast.Call) else Kind.UNKNOWN
    if mode is Mode.AUTOCAST:
        if name.startswith(ops.FLOAT32_LAYERS):
            return Kind.FLOAT32
        if name.startswith(ops.HALF_LAYERS):
            return Kind.HALF
    if name.endswith("Loss"):
        return Kind.FLOAT32 if mode is Mode.AUTOCAST else widest(inputs[:1] or [Kind.UNKNOWN])
    is_activation = name.startswith(("ReLU", "GELU", "SiLU", "LeakyReLU", "Dropout", "Sigmoid", "Tanh", "Identity"))
    return inputs[0] if is_activation and inputs else Kind.UNKNOWN
