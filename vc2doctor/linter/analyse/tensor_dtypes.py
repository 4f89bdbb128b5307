"""Follows the dtype of tensors through one function: half precision, float32, or unknown.

What autocast does to an operation is published, so the dtype of a result can be read where the code names the
operations: ``torch.einsum(…)`` under autocast is half, ``torch.exp(…)`` is float32, ``x.mean()`` is what ``x`` is. What
cannot be read is unknown, and a rule about half precision then says nothing.
"""

import ast
import re
from collections.abc import Collection, Mapping
from functools import cached_property

from vc2doctor.core.versions import older
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, AutocastFacts, Region
from vc2doctor.linter.analyse.callees import Callees
from vc2doctor.linter.analyse.config_keys import still_alive
from vc2doctor.linter.analyse.expressions import value_at
from vc2doctor.linter.analyse.half_parameters import parameter_kinds
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.plain_numbers import is_number
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.analyse.tensor_kinds import (
    Kind,
    Mode,
    TensorContext,
    as_tensor,
    is_torch_layer,
    item_of,
    joined,
    widest,
)
from vc2doctor.linter.analyse.tensor_layers import Layers
from vc2doctor.linter.analyse.tensor_names import has_element, is_device, precedes, replaces
from vc2doctor.linter.analyse.tensor_operations import inputs_of, is_of_torch, of_operation
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.knowledge.half_logits import HALF_LOGITS_SINCE
from vc2doctor.linter.read.config import Unknown
from vc2doctor.linter.read.module import Assigned, Call, Function, Place, last_name
from vc2doctor.linter.read.syntax import entries_of

MAX_DEPTH = 24
"""Expressions and names that are followed one inside the other."""
MAX_CALLS = 3
"""Functions of the project that are followed one inside the other."""
MODELS = frozenset({"model", "net", "network", "generator", "student", "module", "unet", "transformer", "backbone"})
"""Words of names that programs give to a model."""
_LOSS = re.compile(r"loss", re.IGNORECASE)
_NO_TENSORS = ("shape", "dtype", "device", "ndim", "requires_grad", "grad", "config", "training", "eps")
"""Attributes of tensors and modules that are no tensors."""


class TensorFacts:
    """The dtypes of the tensors of one project."""

    def __init__(
        self,
        code: CodeFacts,
        values: Values,
        objects: ObjectFacts,
        autocast: AutocastFacts,
        half_calls: Collection[ast.Call] = (),
    ) -> None:
        """Read nothing yet; ``half_calls`` are the calls outside of any region that run a model with half weights."""
        self.code = code
        self.values = values
        self.objects = objects
        self.autocast = autocast
        self.half_calls = half_calls
        self.callees = Callees(code, objects)
        self.layers = Layers(code, objects, self.callees.lists)
        self._returned: dict[object, Kind] = {}
        """What functions return in a context: several expressions ask for the same call."""

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

    def mode_of(self, call: Call, context: TensorContext) -> Mode:
        """Return what decides the dtypes inside of what a call in a context runs."""
        mode = self.mode_at(call.place, context.mode)
        return Mode.HALF_MODEL if mode is Mode.PLAIN and call.node in self.half_calls else mode

    def of(self, expression: ast.expr, place: Place, context: TensorContext) -> Kind:
        """Return the dtype of an expression at a place of a function that is run in a context."""
        return as_tensor(_Reading(self, context).of(expression, place, 0))

    def has_half_logits(self, place: Place) -> bool:
        """Return whether the language models of the library return logits in their own dtype, by its release."""
        unit = self.code.unit_of(place.module)
        return not older(self.code.version(unit, "transformers"), HALF_LOGITS_SINCE)

    def arguments(self, callee: Function, call: Call, context: TensorContext) -> dict[str, Kind]:
        """Return what the parameters of a function are where a function that is run in a context calls it."""
        return _Reading(self, context).arguments(callee, call, 0)

    def returned(self, context: TensorContext, results: list[Assigned], question: object) -> Kind:
        """Return the dtype of expressions in a function that is run in a context."""
        key = (context.key, context.calls, question)
        if key not in self._returned:
            # A function that leads back to itself gives what is not known.
            self._returned[key] = Kind.UNKNOWN
            reading = _Reading(self, context)
            self._returned[key] = joined(reading.of(value, place, 0) for value, place in results)
        return self._returned[key]


class _Reading:
    """The reading of one function in one context."""

    def __init__(self, facts: TensorFacts, context: TensorContext) -> None:
        self._facts = facts
        self._context = context
        self._open: set[tuple[str, int]] = set()
        self._elements: dict[str, Kind] = {}
        """The names that comprehensions bind, each with the dtype of what they run over."""

    def of(self, expression: ast.expr, place: Place, depth: int) -> Kind:  # noqa: C901, PLR0911, PLR0912 - one case per kind of expression
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
            case ast.DictComp(
                generators=[ast.comprehension(iter=ast.Call(func=ast.Attribute(value=table, attr="items")))]
            ):
                # `{name: value for name, value in outputs.items() if …}` has what the table has.
                kind = self.of(table, place, deeper)
                return kind if kind in (Kind.OUTPUT, Kind.CONTAINER) else Kind.UNKNOWN
            case ast.ListComp(generators=[generator]) | ast.GeneratorExp(generators=[generator]):
                if isinstance(generator.target, ast.Name):
                    self._elements[generator.target.id] = self.of(generator.iter, place, deeper)
                return self.of(expression.elt, place, deeper)
        return Kind.UNKNOWN

    def _item(self, expression: ast.Subscript, place: Place, depth: int) -> Kind:
        kind = self.of(expression.value, place, depth)
        match expression.slice:
            case ast.Constant(value=str(name)):
                entry = self._entry(expression.value, name, place, depth)
                return item_of(kind, name) if entry is Kind.UNKNOWN else entry
        return kind

    def _entry(self, table: ast.expr, name: str, place: Place, depth: int) -> Kind:
        """Return the dtype of what a function of the project returns by a name: ``return {"logits": x, "aux": y}``."""
        value, at = value_at(table, place)
        callee = self._facts.callees.of(Call(value, at)) if isinstance(value, ast.Call) else None
        if callee is None or not isinstance(value, ast.Call):
            return Kind.UNKNOWN
        tables = [value_at(*returned) for returned in callee.returned]
        entries = [(dict(entries_of(each)).get(name), where) for each, where in tables]
        results = [(entry, where) for entry, where in entries if entry is not None]
        is_whole = bool(results) and len(results) == len(entries)
        return self._in_callee(callee, Call(value, at), depth, results, name) if is_whole else Kind.UNKNOWN

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
            return self._of_self(expression, place, depth)
        kind = self.of(expression.value, place, depth)
        if kind not in (Kind.OUTPUT, Kind.CONTAINER):
            return kind
        return item_of(kind, expression.attr) if self._facts.has_half_logits(place) else Kind.UNKNOWN

    def _of_self(self, expression: ast.Attribute, place: Place, depth: int) -> Kind:
        """Return the dtype of a parameter of a module, or of a value that the same method has put there."""
        origins = self._facts.objects.of(expression, place)
        made = list(origins.calls())
        is_parameter = bool(made) and all(call.name == "Parameter" for call in made)
        if is_parameter:
            return Kind.HALF if self._context.mode is Mode.HALF_MODEL else Kind.FLOAT32
        # `self.scale = scale or head_dim ** -0.5`
        given = [each for each, _ in origins.found if not (isinstance(each, ast.Constant) and each.value is None)]
        if given and all(map(is_number, given)):
            return Kind.NUMBER
        cls = place.function.cls
        assigned = cls.attributes.get(expression.attr, []) if cls is not None else []
        own = [(value, at) for value, at in assigned if at.function is place.function]
        if own and len(own) == len(assigned) and place.function.name != "__init__":
            return self._of_assigned(expression.attr, own, place, depth)
        return self._number(expression, place)

    def _of_assigned(self, name: str, assigned: list[Assigned], place: Place, depth: int) -> Kind:
        """Return the dtype of an attribute that only the method around a place assigns."""
        line = place.statement.lineno if place.statement is not None else 0
        question = (f"self.{name}", line)
        if question in self._open:
            return Kind.UNKNOWN
        self._open.add(question)
        before = [each for each in assigned if precedes(each[1], line)]
        kinds = [self.of(value, at, depth) for value, at in still_alive(before, place.function, place)]
        self._open.discard(question)
        return joined(kinds) if kinds else Kind.UNKNOWN

    def _number(self, expression: ast.expr, place: Place) -> Kind:
        values = self._facts.values.of(expression, place)
        is_number = all(isinstance(value, int | float) and not isinstance(value, Unknown) for value in values)
        return Kind.NUMBER if is_number else Kind.UNKNOWN

    def _name(self, name: str, place: Place, depth: int) -> Kind:
        if name in self._elements:
            return self._elements[name]
        scope = self._context.function
        line = place.statement.lineno if place.statement is not None else 0
        before = [each for each in scope.names.get(name, []) if precedes(each[1], line)]
        assigned = still_alive(before, scope, place)
        unpacked = [each for each in scope.unpacked.get(name, []) if precedes(each[2], line)]
        question = (name, line)
        if question in self._open:
            return Kind.UNKNOWN
        self._open.add(question)
        try:
            found = [self.of(value, each, depth) for value, each in assigned]
            found += [self._element(value, position, each, depth) for value, position, each in unpacked]
        finally:
            self._open.discard(question)
        if name in scope.parameters() and not replaces(assigned, place):
            found.append(self._parameter(name, place))
        if _LOSS.search(name) and Kind.OUTPUT in found:
            # A model that gets the labels returns its loss, which it may have computed in float32.
            return Kind.UNKNOWN
        if self._context.is_assumed and set(found) == {Kind.HALF, Kind.UNKNOWN}:
            return Kind.HALF
        return joined(found) if found else self._number(ast.Name(id=name, ctx=ast.Load()), place)

    def _element(self, value: ast.expr, position: int, place: Place, depth: int) -> Kind:
        """Return the dtype of an element of what a call returns: ``values, rewards = self.reward(…)``."""
        callee = self._facts.callees.of(Call(value, place)) if isinstance(value, ast.Call) else None
        returned = callee.returned if callee is not None else []
        elements = [each.elts[position] for each, _ in returned if has_element(each, position)]
        if callee is None or not isinstance(value, ast.Call) or not elements or len(elements) < len(returned):
            return self.of(value, place, depth)
        call = Call(value, place)
        places = [each for _, each in returned]
        results = list(zip(elements, places, strict=True))
        return self._in_callee(callee, call, depth, results, position)

    def _parameter(self, name: str, place: Place) -> Kind:
        kind = self._context.arguments.get(name)
        if kind is not None:
            return kind
        if name in self._context.outputs:
            return Kind.CONTAINER
        if self._context.function.defaults().get(name) is not None:
            return self._number(ast.Name(id=name, ctx=ast.Load()), place)
        return Kind.UNKNOWN

    def _call(self, call: Call, depth: int) -> Kind:
        cast = self._cast(call, depth)
        if cast is not None:
            return cast
        dtype = call.argument("dtype")
        if dtype is not None and not call.name.endswith("autocast"):
            return self._of_dtype(dtype, call.place, depth)
        if is_of_torch(call, self._facts.callees):
            mode = self._facts.mode_at(call.place, self._context.mode)
            inputs = [self.of(argument, call.place, depth) for argument in inputs_of(call)]
            kind = of_operation(call, mode, inputs)
            if kind is not None:
                return kind
        return self._layer_or_function(call, depth)

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
            if argument is None or is_device(argument):
                continue
            return self._of_dtype(argument, call.place, depth)
        return self.of(value, call.place, depth)

    def _of_dtype(self, dtype: ast.expr, place: Place, depth: int) -> Kind:
        """Return what a dtype, or the tensor whose dtype is meant, makes of a value."""
        if isinstance(dtype, ast.Attribute) and dtype.attr == "dtype":
            is_self = isinstance(dtype.value, ast.Name) and dtype.value.id == "self"
            kind = as_tensor(self.of(dtype.value, place, depth)) if not is_self else Kind.UNKNOWN
            if kind is not Kind.UNKNOWN:
                return kind
            if is_self and self._context.mode is Mode.HALF_MODEL:
                # The dtype of a module is that of its parameters.
                return Kind.HALF
        dtypes = self._facts.values.dtypes(dtype, place)
        if dtypes and dtypes <= HALF_DTYPES:
            return Kind.HALF
        return Kind.FLOAT32 if {getattr(each, "name", "") for each in dtypes} == {"float32"} else Kind.UNKNOWN

    def _layer_or_function(self, call: Call, depth: int) -> Kind:
        """Return the dtype that a layer, a module or a function of the project gives."""
        mode = self._facts.mode_of(call, self._context)
        callee = self._facts.callees.of(call)
        if callee is not None:
            kind = self._in_callee(callee, call, depth, callee.returned)
            return self._of_model(call, mode, Kind.CONTAINER) if kind is Kind.UNKNOWN else kind
        made = self._facts.layers.makers(call)
        layers = [each for each in made if is_torch_layer(each)]
        if made and len(layers) == len(made):
            inputs = [self.of(argument, call.place, depth) for argument in call.node.args[:1]]
            return joined(self._facts.layers.of(each, mode, inputs) for each in layers)
        if self._facts.layers.is_record(call):
            # The fields of a record that all have one dtype.
            return joined(
                self.of(argument, call.place, depth) for argument in (*call.node.args, *call.keywords().values())
            )
        is_of_self = isinstance(call.node.func, ast.Attribute) and last_name(call.node.func.value) == "self"
        if mode is Mode.HALF_MODEL and is_of_self:
            return Kind.HALF
        return self._of_model(call, mode, Kind.OUTPUT)

    def _of_model(self, call: Call, mode: Mode, kind: Kind) -> Kind:
        """Return a kind for the outputs of a model in half precision, and what is not known for other calls."""
        is_named = bool(words(last_name(call.node.func)) & MODELS)
        is_half = mode is Mode.HALF_MODEL and (is_named or call.node in self._facts.half_calls)
        return kind if is_half or (mode is Mode.AUTOCAST and is_named) else Kind.UNKNOWN

    def arguments(self, callee: Function, call: Call, depth: int) -> dict[str, Kind]:
        """Return what the parameters of a function are in a call."""
        arguments = {
            name: self.of(argument, call.place, depth)
            for name in callee.parameters()
            if (argument := call.argument(name, callee.position(name))) is not None
        }
        if call.node in self._facts.half_calls and callee.name == "forward":
            # Half weights take no other floating-point inputs.
            expected = parameter_kinds(callee, callee.cls)
            unknown = [name for name, kind in arguments.items() if kind is Kind.UNKNOWN and name in expected]
            arguments |= {name: expected[name] for name in unknown}
        return arguments

    def _in_callee(
        self, callee: Function, call: Call, depth: int, results: list[Assigned], question: object = None
    ) -> Kind:
        """Return the dtype of expressions in a function of the project, as a call runs it."""
        if self._context.calls >= MAX_CALLS or callee is self._context.function or not results:
            return Kind.UNKNOWN
        mode = self._facts.mode_of(call, self._context)
        arguments = self.arguments(callee, call, depth)
        context = TensorContext(callee, mode, arguments, self._context.calls + 1, is_assumed=self._context.is_assumed)
        return self._facts.returned(context, results, question)
