"""Autocast: the calls that make a context, the helpers that return one, and the regions that they open."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import Stage, Stages, infers_by_name
from vc2doctor.linter.analyse.values import BFLOAT, HALF, Dtype, Value, Values
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.module import Call, Function, Place, last_name, root_name

AUTOCASTS = {
    **dict.fromkeys(("torch.cuda.amp.autocast", "torch.cuda.amp.autocast_mode.autocast"), "cuda.amp"),
    **dict.fromkeys(("torch.autocast", "torch.amp.autocast", "torch.amp.autocast_mode.autocast"), "generic"),
    "torch.cpu.amp.autocast": "cpu",
}
HALVES = frozenset((HALF, BFLOAT))


@dataclass(frozen=True, slots=True, eq=False)
class Autocast:
    """A call that makes an autocast context."""

    call: Call
    api: str
    """``cuda.amp``, ``generic`` or ``cpu``."""
    device: frozenset[Value]
    given: ast.expr | None
    """What is given as its dtype; ``None``: nothing is."""
    dtypes: frozenset[Value]
    """What it computes in; for ``torch.autocast("cuda")`` without dtype that is float16 at the top level only."""
    enabled: frozenset[Value]

    @property
    def inherits(self) -> bool:
        """Whether it takes the dtype of the region around it, if there is one."""
        return self.api == "generic" and self.given is None

    @property
    def off(self) -> bool:
        """Whether it only turns autocast off."""
        return self.enabled == {False}

    @property
    def on_cuda(self) -> bool:
        """Whether it can be for a GPU."""
        return self.api == "cuda.amp" or (self.api == "generic" and "cpu" not in self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Helper:
    """A function of the project that returns an autocast context: ``maybe_autocast``."""

    function: Function
    autocast: Autocast
    parameter: str | None
    """The parameter that decides its dtype."""
    default: frozenset[Value]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Code under an autocast context: one ``with``."""

    statement: ast.With | ast.AsyncWith
    place: Place
    """Of the ``with`` itself."""
    call: Call
    """What opens it."""
    autocast: Autocast
    helper: Helper | None
    dtypes: frozenset[Value]
    stage: Stage


class AutocastFacts:
    """The autocast contexts of one project."""

    def __init__(self, code: CodeFacts, values: Values, stages: Stages) -> None:
        self.code = code
        self.values = values
        self.stages = stages

    @cached_property
    def autocasts(self) -> Mapping[ast.Call, Autocast]:
        """Every call that makes an autocast context."""
        found: dict[ast.Call, Autocast] = {}
        for module in self.code.files.modules.values():
            for call in module.calls:
                api = (
                    AUTOCASTS.get(module.dotted(call.node.func))
                    if "autocast" in call.name or call.name in module.imports
                    else None
                )
                if api is not None:
                    found[call.node] = self._autocast(call, api)
        return found

    def _autocast(self, call: Call, api: str) -> Autocast:
        shift = 1 if api == "generic" else 0
        device = call.argument("device_type", 0) if shift else None
        # The signatures: of cuda.amp (enabled, dtype, …), of the generic one (device_type, dtype, enabled, …).
        given = call.argument("dtype", 1)
        enabled = call.argument("enabled", 2 if shift else 0)
        devices = self.values.of(device, call.place) if device is not None else frozenset()
        if given is not None:
            dtypes = frozenset(HALF if value is None else value for value in self.values.dtypes(given, call.place))
        else:
            dtypes = frozenset([BFLOAT if api == "cpu" or devices == {"cpu"} else HALF])
        values = self.values.of(enabled, call.place) if enabled is not None else frozenset([True])
        return Autocast(call, api, devices, given, dtypes, values)

    @cached_property
    def helpers(self) -> Mapping[Function, Helper]:
        """The functions that return an autocast context."""
        returned: dict[Function, list[Autocast]] = defaultdict(list)
        for autocast in self.autocasts.values():
            place = autocast.call.place
            statement = place.statement if place.function.name and not autocast.off else None
            if isinstance(statement, ast.Return) and any(node is autocast.call.node for node in ast.walk(statement)):
                returned[place.function].append(autocast)
        return {key: self._helper(autocasts) for key, autocasts in returned.items()}

    def _helper(self, autocasts: list[Autocast]) -> Helper:
        first, *rest = autocasts
        function = first.call.place.function
        given = first.given if not rest else None
        name = given.id if isinstance(given, ast.Name) and given.id in function.parameters() else None
        default = function.defaults().get(name) if name else None
        if default is not None:
            return Helper(function, first, name, self.values.dtypes(default, Place(function.outer or function)))
        # Where a helper chooses between several, a run decides which.
        dtypes = frozenset(value for autocast in autocasts for value in autocast.dtypes)
        return Helper(function, first, name, frozenset([UNKNOWN]) if name else dtypes)

    @cached_property
    def _helpers_by_name(self) -> Mapping[str, list[Helper]]:
        found: dict[str, list[Helper]] = defaultdict(list)
        for helper in self.helpers.values():
            found[helper.function.name].append(helper)
        return found

    def helper_of(self, call: Call) -> Helper | None:
        """Return the helper that a call means."""
        named = self._helpers_by_name.get(call.name)
        if not named:
            return None
        target = self.code.called(call)
        if target is not None:
            return self.helpers.get(target)
        # `self.model.maybe_autocast()`: the attribute's class is not known, the helper's name is.
        unit = self.code.unit_of(call.place.module)
        mine = [helper for helper in named if self.code.unit_of(helper.function.module) is unit]
        return mine[0] if mine and len({helper.default for helper in mine}) == 1 else None

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Every ``with`` that opens an autocast context, directly, by a helper or by a name assigned before."""
        found: list[Region] = []
        for module in self.code.files.modules.values():
            calls = {call.node: call for call in module.calls}
            for place in module.statements:
                if isinstance(place.statement, ast.With | ast.AsyncWith):
                    found.extend(self._opened(place.statement, place, calls))
        return tuple(found)

    def _opened(
        self, statement: ast.With | ast.AsyncWith, place: Place, calls: Mapping[ast.Call, Call]
    ) -> Iterator[Region]:
        for item in statement.items:
            for expression in self._sources(item.context_expr, place):
                call = calls.get(expression)
                if call is None:
                    continue
                autocast = self.autocasts.get(expression)
                helper = None if autocast else self.helper_of(call)
                stage = Stage.INFERS if self._evaluates(statement, place) else self.stages.of(place)
                if autocast is not None:
                    yield Region(statement, place, call, autocast, None, autocast.dtypes, stage)
                elif helper is not None:
                    yield Region(statement, place, call, helper.autocast, helper, self._of_helper(call, helper), stage)

    @staticmethod
    def _evaluates(statement: ast.With | ast.AsyncWith, place: Place) -> bool:
        """Say whether a block evaluates: without a backward pass around it, by what it calls, or without a loss."""
        if any(isinstance(node, ast.Attribute) and node.attr == "backward" for node in ast.walk(place.function.node)):
            return False
        if place.function.cls is None and "loss" not in "".join(ast.unparse(body) for body in statement.body).lower():
            return True
        called = (
            last_name(node.func) for body in statement.body for node in ast.walk(body) if isinstance(node, ast.Call)
        )
        return any(infers_by_name(name) for name in called)

    @staticmethod
    def _sources(expression: ast.expr, place: Place) -> Iterator[ast.Call]:
        waiting: list[ast.expr] = [expression]
        while waiting:
            current = waiting.pop()
            if isinstance(current, ast.IfExp):
                waiting += [current.body, current.orelse]
            elif isinstance(current, ast.Name | ast.Attribute):
                if isinstance(current, ast.Name):
                    scopes = (place.function, place.module.functions[0])
                    assigned = next((scope.names[current.id] for scope in scopes if current.id in scope.names), [])
                else:
                    cls = place.function.cls if root_name(current) == "self" else None
                    assigned = cls.attributes.get(current.attr, []) if cls is not None else []
                waiting += [value for value, _ in assigned if isinstance(value, ast.Call | ast.IfExp)]
            elif isinstance(current, ast.Call):
                yield current

    def _of_helper(self, call: Call, helper: Helper) -> frozenset[Value]:
        if helper.parameter is None:
            return helper.default
        given = call.argument(helper.parameter, helper.function.position(helper.parameter))
        return helper.default if given is None else self.values.dtypes(given, call.place)


def dtype_names(dtypes: frozenset[Value]) -> str:
    """Return dtypes in words: ``float16 or bfloat16``."""
    names = sorted(value.name if isinstance(value, Dtype) else "unknown" for value in dtypes)
    return " or ".join(dict.fromkeys(names))
