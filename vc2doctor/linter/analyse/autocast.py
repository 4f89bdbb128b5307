"""Autocast: the calls that make a context, the helper functions that return one, and the regions that they open."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype, Value
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.stage import Stage, Stages, disables_gradients, is_inference_name, words
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.module import Call, Function, Module, Place, last_name

_APIS = {
    **dict.fromkeys(("torch.cuda.amp.autocast", "torch.cuda.amp.autocast_mode.autocast"), "cuda.amp"),
    **dict.fromkeys(("torch.autocast", "torch.amp.autocast", "torch.amp.autocast_mode.autocast"), "generic"),
    "torch.cpu.amp.autocast": "cpu",
}
"""The three functions that make an autocast context; their signatures and their default dtypes differ."""

_KEEPS = {"append", "extend", "print", "save"}
"""Calls that only keep or show what others computed."""
_MODELS = {"model", "net", "network", "student", "generator"}
"""Words of names that loops give to the model that they train."""
_PIPELINES = {"pipeline", "pipe"}
"""Words of names of diffusers' pipelines, which draw samples."""

HALF_DTYPES = frozenset((FLOAT16, BFLOAT16))

WithStatement = ast.With | ast.AsyncWith


@dataclass(frozen=True, slots=True, eq=False)
class Autocast:
    """A call that makes an autocast context."""

    call: Call
    api: str
    """``cuda.amp``, ``generic`` or ``cpu``."""
    device: frozenset[Value]
    """The possible values of the device; empty: the call has no device argument."""
    dtype_argument: ast.expr | None
    dtypes: frozenset[Value]
    """The dtypes it can compute in. For ``torch.autocast("cuda")`` this is float16, which holds only outside of other
    regions: see ``inherits_dtype``."""
    enabled: frozenset[Value]
    """The possible values of ``enabled``."""
    is_one_of_several: bool = False
    """Whether another context can be called in its place: ``context = autocast if amp else suppress``."""

    @property
    def inherits_dtype(self) -> bool:
        """Whether it takes the dtype of the region around it, if there is one."""
        return self.api == "generic" and self.dtype_argument is None

    @property
    def is_disabled(self) -> bool:
        """Whether it always turns autocast off."""
        return self.enabled == {False}

    @property
    def can_be_on_cuda(self) -> bool:
        """Whether it can be for a GPU."""
        return self.api == "cuda.amp" or (self.api == "generic" and "cpu" not in self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Helper:
    """A function of the project that returns an autocast context: ``maybe_autocast``."""

    function: Function
    autocast: Autocast
    parameter: str | None
    """The parameter that becomes the dtype."""
    default: frozenset[Value]
    """The possible dtypes of a call without this parameter."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The code in an autocast context: the body of one ``with`` statement."""

    statement: WithStatement
    place: Place
    """The place of the ``with`` statement itself."""
    call: Call
    """The call that opens the region."""
    autocast: Autocast
    helper: Helper | None
    """The helper that the call goes to; ``None``: the call makes the context itself."""
    dtypes: frozenset[Value]
    """The dtypes that the region can compute in."""
    stage: Stage


class AutocastFacts:
    """The autocast contexts of one project."""

    def __init__(self, code: CodeFacts, values: Values, stages: Stages, objects: ObjectFacts) -> None:
        self.code = code
        self.values = values
        self.stages = stages
        self.objects = objects

    @cached_property
    def autocasts(self) -> Mapping[ast.Call, Autocast]:
        """Every call that makes an autocast context."""
        found = {
            call.node: self._autocast(call, api)
            for module in self.code.files.modules.values()
            for call in module.calls
            if (api := _api_of(module, call)) is not None
        }
        return found | {
            call.node: replace(self._autocast(call, api), is_one_of_several=True)
            for module in self.code.files.modules.values()
            for call in module.calls
            if call.node not in found and (api := self._chosen_api(call)) is not None
        }

    def _chosen_api(self, call: Call) -> str | None:
        """Return the function behind a name that is assigned one of several: ``autocast if amp else suppress``."""
        if not isinstance(call.node.func, ast.Name):
            return None
        name, module = call.node.func.id, call.place.module
        scope = next((scope for scope in call.place.function.scopes() if name in scope.names), None)
        for value, place in scope.names[name] if scope is not None else ():
            if not isinstance(value, ast.IfExp):
                continue
            apis = (_APIS.get(module.dotted(value.body)), _APIS.get(module.dotted(value.orelse)))
            if any(apis):
                truth = self.values.truth(value.test, place)
                possible = apis if truth is None else apis[:1] if truth else apis[1:]
                return next((api for api in possible if api is not None), None)
        return None

    def _autocast(self, call: Call, api: str) -> Autocast:
        # The signatures are cuda.amp.autocast(enabled, dtype, …) and autocast(device_type, dtype, enabled, …).
        is_generic = api == "generic"
        device = call.argument("device_type", 0) if is_generic else None
        dtype = call.argument("dtype", 1)
        enabled = call.argument("enabled", 2 if is_generic else 0)
        devices = self.values.of(device, call.place) if device is not None else frozenset()
        if dtype is not None:
            # dtype=None means the default, which is float16 on CUDA.
            dtypes = frozenset(FLOAT16 if value is None else value for value in self.values.dtypes(dtype, call.place))
        else:
            dtypes = frozenset([BFLOAT16 if api == "cpu" or devices == {"cpu"} else FLOAT16])
        is_enabled = self.values.of(enabled, call.place) if enabled is not None else frozenset([True])
        return Autocast(call, api, devices, dtype, dtypes, is_enabled)

    @cached_property
    def helpers(self) -> Mapping[Function, Helper]:
        """The functions that return an autocast context."""
        returned: dict[Function, list[Autocast]] = defaultdict(list)
        for autocast in self.autocasts.values():
            function, statement = autocast.call.place.function, autocast.call.place.statement
            if not function.name or autocast.is_disabled or not isinstance(statement, ast.Return):
                continue
            if any(node is autocast.call.node for node in ast.walk(statement)):
                returned[function].append(autocast)
        return {function: self._helper(function, autocasts) for function, autocasts in returned.items()}

    def _helper(self, function: Function, autocasts: list[Autocast]) -> Helper:
        first, *others = autocasts
        dtype = first.dtype_argument if not others else None
        parameter = dtype.id if isinstance(dtype, ast.Name) and dtype.id in function.parameters() else None
        default = function.defaults().get(parameter) if parameter else None
        if default is not None:
            # A default is evaluated where the function is defined.
            dtypes = self.values.dtypes(default, Place(function.outer or function))
        elif parameter:
            dtypes = frozenset([UNKNOWN])
        else:
            # If a helper chooses between several contexts, only a run can tell which one.
            dtypes = frozenset(dtype for autocast in autocasts for dtype in autocast.dtypes)
        return Helper(function, first, parameter, dtypes)

    @cached_property
    def _helpers_by_name(self) -> Mapping[str, list[Helper]]:
        by_name: dict[str, list[Helper]] = defaultdict(list)
        for helper in self.helpers.values():
            by_name[helper.function.name].append(helper)
        return by_name

    def helper_of(self, call: Call) -> Helper | None:
        """Return the helper that a call goes to, or ``None``."""
        candidates = self._helpers_by_name.get(call.name)
        if not candidates:
            return None
        callee = self.code.callee(call)
        if callee is not None:
            return self.helpers.get(callee)
        # The class of `self.model` in `self.model.maybe_autocast()` is unknown. The name still tells the helper, if all
        # helpers of that name in the unit have the same default.
        unit = self.code.unit_of(call.place.module)
        in_unit = [helper for helper in candidates if self.code.unit_of(helper.function.module) is unit]
        return in_unit[0] if in_unit and len({helper.default for helper in in_unit}) == 1 else None

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Every ``with`` that opens an autocast context: by a call, a helper, or a name assigned before.

        A decorator that is an autocast opens a region around the body of its function.
        """
        regions: list[Region] = []
        for module in self.code.files.modules.values():
            calls = {call.node: call for call in module.calls}
            for place in module.statements:
                if isinstance(place.statement, WithStatement):
                    regions.extend(self._regions_of(place.statement, place, calls))
            for function in module.functions:
                for decorator in function.decorators:
                    if decorator in self.autocasts:
                        around = _as_with(function, decorator)
                        regions.extend(self._regions_of(around, Place(function, statement=around), calls))
        return tuple(regions)

    def training_regions(self, unit: Unit) -> list[Region]:
        """Return the regions of a unit that train."""
        return [
            region
            for region in self.regions
            if region.stage is Stage.TRAINS and self.code.unit_of(region.place.module) is unit
        ]

    def _regions_of(self, statement: WithStatement, place: Place, calls: Mapping[ast.Call, Call]) -> Iterator[Region]:
        stage = self._stage_of(statement, place)
        for item in statement.items:
            for call in self._context_calls(item.context_expr, place, calls):
                autocast = self.autocasts.get(call.node)
                helper = None if autocast else self.helper_of(call)
                if autocast is not None:
                    yield Region(statement, place, call, autocast, None, autocast.dtypes, stage)
                elif helper is not None:
                    dtypes = self._dtypes_of_helper_call(call, helper)
                    yield Region(statement, place, call, helper.autocast, helper, dtypes, stage)

    def _stage_of(self, statement: WithStatement, place: Place) -> Stage:
        if any(disables_gradients(item.context_expr) for item in statement.items):
            return Stage.INFERS
        if not _computes(statement):
            return Stage.UNKNOWN
        if _evaluates(statement, place) and not (_runs_model(statement) and self._is_of_loop(place.function)):
            return Stage.INFERS
        return self.stages.of(place)

    def _is_of_loop(self, function: Function) -> bool:
        """Return whether a function outside of a class is called by one that runs a backward pass."""
        callers = self.code.callers(function) if function.cls is None and not is_inference_name(function.name) else []
        loops = {call.place.function for call in callers}
        return any(call.name == "backward" for loop in loops for call in loop.module.calls_in(loop))

    def _context_calls(self, expression: ast.expr, place: Place, calls: Mapping[ast.Call, Call]) -> list[Call]:
        """Return the calls that can make a context: the expression itself, a helper, or what made the object it names.

        A helper comes first: its calls decide the dtype, and what it returns is the same for all of them.
        """
        if isinstance(expression, ast.BoolOp) and isinstance(expression.op, ast.And):
            # `with a() and b():` opens the last context alone.
            expression = expression.values[-1]
        if isinstance(expression, ast.Call):
            call = calls.get(expression)
            if call is not None and (expression in self.autocasts or self.helper_of(call) is not None):
                return [call]
        return list(self.objects.of(expression, place).calls())

    def _dtypes_of_helper_call(self, call: Call, helper: Helper) -> frozenset[Value]:
        if helper.parameter is None:
            return helper.default
        dtype = call.argument(helper.parameter, helper.function.position(helper.parameter))
        return helper.default if dtype is None else self.values.dtypes(dtype, call.place)


def _as_with(function: Function, decorator: ast.expr) -> ast.With:
    """Return the body of a decorated function as the ``with`` statement that it means."""
    body = [] if isinstance(function.node, ast.Module) else function.node.body
    around = ast.With(items=[ast.withitem(context_expr=decorator)], body=body)
    return ast.copy_location(around, function.node)


def _api_of(module: Module, call: Call) -> str | None:
    # Resolving a dotted name is slow, and only these calls can be an autocast.
    if "autocast" in call.name or call.name in module.imports:
        return _APIS.get(module.dotted(call.node.func))
    return None


def _computes(statement: WithStatement) -> bool:
    """Return whether the body of a ``with`` computes anything: calls on a scaler alone do not."""
    calls = [node for body in statement.body for node in ast.walk(body) if isinstance(node, ast.Call)]
    outer_calls = [call for call in calls if "scaler" not in words(_receiver_text(call.func))]
    return bool(outer_calls) or not calls


def _receiver_text(expression: ast.expr) -> str:
    """Return the receiver of a method call as text: ``self.scaler`` of ``self.scaler.unscale_``; ``""`` for others."""
    return ast.unparse(expression.value) if isinstance(expression, ast.Attribute) else ""


def _evaluates(statement: WithStatement, place: Place) -> bool:
    """Return whether a region evaluates.

    A region in a function that runs a backward pass trains, unless all that it does is to draw samples. Any other
    region evaluates if it calls a function that infers by its name, or if it is in a function outside of a class that
    does not mention a loss.
    """
    if _runs_backward(place.function):
        return _only_infers(statement)
    around = statement if isinstance(place.function.node, ast.Module) else place.function.node
    if place.function.cls is None and not _mentions_loss(around):
        return True
    called_names = (
        last_name(node.func) for body in statement.body for node in ast.walk(body) if isinstance(node, ast.Call)
    )
    return any(is_inference_name(name) for name in called_names)


def _runs_model(statement: WithStatement) -> bool:
    """Return whether a ``with`` calls what is named as the model; ``autoencoder.encode(x)`` is a frozen part."""
    calls = [node for body in statement.body for node in ast.walk(body) if isinstance(node, ast.Call)]
    return any(words(last_name(call.func)) & _MODELS for call in calls)


def _runs_backward(function: Function) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "backward" for node in ast.walk(function.node))


def _only_infers(statement: WithStatement) -> bool:
    """Return whether each statement of a region that calls something calls a function that infers by its name.

    A pipeline of diffusers infers, too, and keeping what it made (``images.append(image)``) computes nothing.
    """
    called_names = [
        (inner, {last_name(node.func) for node in ast.walk(inner) if isinstance(node, ast.Call)} - _KEEPS)
        for body in statement.body
        for inner in ast.walk(body)
        if isinstance(inner, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr | ast.Return)
    ]
    calling = [(inner, names) for inner, names in called_names if names]
    return bool(calling) and all(_calls_inference(inner, names) for inner, names in calling)


def _calls_inference(statement: ast.stmt, names: set[str]) -> bool:
    calls_pipeline = any(words(name) & _PIPELINES for name in names) and not _mentions_loss(statement)
    return calls_pipeline or any(map(is_inference_name, names))


def _mentions_loss(node: ast.AST) -> bool:
    for inner in ast.walk(node):
        match inner:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) if "loss" in name.lower():
                return True
            case ast.FunctionDef(name=name) if "loss" in name.lower():
                return True
            case ast.Constant(value=str(name)) if "loss" in name.lower():
                return True
    return False


def dtype_names(dtypes: frozenset[Value]) -> str:
    """Return dtypes in words: ``bfloat16 or float16``."""
    names = sorted(value.name if isinstance(value, Dtype) else "unknown" for value in dtypes)
    return " or ".join(dict.fromkeys(names))
