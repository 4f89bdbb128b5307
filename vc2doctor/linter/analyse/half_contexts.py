"""The functions that training runs in half precision: in an autocast region, or in a model that is half as a whole."""

import ast
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vc2doctor.linter.analyse.autocast import HALF_DTYPES, Region
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype, Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import mentions_float32
from vc2doctor.linter.analyse.half_models import HalfCall, HalfModel, half_models, programs_of
from vc2doctor.linter.analyse.half_parameters import parameter_kinds
from vc2doctor.linter.analyse.outside_regions import OutsideClasses
from vc2doctor.linter.analyse.region_outputs import calls_without_region, casts_outputs, classes_beside
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage, disables_gradients, is_inference_name, is_torch_module, words
from vc2doctor.linter.analyse.tensor_dtypes import MODELS, TensorFacts
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode, TensorContext
from vc2doctor.linter.analyse.trained_classes import classes_of
from vc2doctor.linter.knowledge.autocast_ops import SETS_OWN_DTYPE
from vc2doctor.linter.read.module import Call, Class, Function, Module, Place, last_name
from vc2doctor.linter.read.run_settings import HALF
from vc2doctor.linter.read.syntax import walk

_DTYPES: Mapping[str, Dtype] = {"fp16": FLOAT16, "bf16": BFLOAT16}
_LOSS_WORDS = {"loss", "losses", "criterion", "metric", "metrics", "matcher", "assigner", "optimizer", "scheduler"}
"""Words of classes that loops often call outside of their region."""
MAX_CALLEE_DEPTH = 5
"""Functions that a step of training calls, that those call, and so on."""
MAX_CONTEXTS = 4
"""Ways in which training runs one function: a helper has several callers, each with arguments of other dtypes."""
_OUTPUTS = {"outputs", "output", "predictions", "preds"}
"""Names of parameters that hold what a model returns."""
_HALF = {Kind.HALF, Kind.OUTPUT, Kind.CONTAINER}


@dataclass(frozen=True, eq=False)
class HalfContext:
    """A function that training runs in half precision."""

    tensors: TensorContext
    dtypes: frozenset[Value]
    why: str
    """Why, with a place, as evidence."""
    depth: int = 0
    """How many calls lead here from the region or the loop."""

    @property
    def overflows(self) -> bool:
        """Whether it is float16: bfloat16 has the range of float32, and only fewer bits."""
        return FLOAT16 in self.dtypes


class HalfContexts:
    """The functions of one project that training runs in half precision."""

    def __init__(
        self, facts: Facts, others: Iterable[HalfModel] = (), calls: Mapping[ast.Call, HalfCall] | None = None
    ) -> None:
        """Find the functions.

        ``others`` are models that are half for a reason that only their training shows, and ``calls`` run models with
        half weights outside of any region.
        """
        self.facts = facts
        self.code = facts.code
        self.tensors = TensorFacts(facts.code, facts.values, facts.objects, facts.autocast, calls or {})
        self._contexts: dict[Function, list[HalfContext]] = {}
        self._waiting: deque[HalfContext] = deque()
        """The contexts whose callees were not looked at yet."""
        for unit in facts.code.units.values():
            for region in facts.autocast.training_regions(unit):
                self._add_region(region)
            self._add_runs(unit)
        trained = {cls for each in facts.lineages.trained for cls in classes_of(facts, each)}
        for region in facts.autocast.regions:
            # A model without a loss of its own trains where an optimizer gets it.
            if region.stage is Stage.UNKNOWN and region.place.function.cls in trained:
                self._add_region(region)
        for model in (*half_models(facts), *others):
            self._add_half_model(model)
        for half in (calls or {}).values():
            for function in (half.call.place.function, half.loop):
                self._add(function, Mode.PLAIN, frozenset([half.dtype]), half.why)
        self._spread()
        self._add_casts()
        self._spread()

    def of(self, function: Function) -> tuple[HalfContext, ...]:
        """Return the ways in which training runs a function in half precision; empty: none can be read."""
        return tuple(self._contexts.get(function, ()))

    def takes_probabilities(self, unit: Unit) -> bool:
        """Return whether a loss of a unit takes float32 probabilities: autocast refuses that loss in half precision."""
        for call in unit.calls.get("binary_cross_entropy", []):
            first = call.node.args[0] if call.node.args else None
            if (first is not None and mentions_float32(first)) or self._is_outside(call):
                return True
        return False

    def _add_region(self, region: Region) -> None:
        if region.autocast.is_disabled or not region.dtypes & HALF_DTYPES:
            return
        module = region.place.module
        path, line = module.source.location_of(region.statement.lineno)
        why = f"it runs in the autocast region at {path}:{line}"
        own = region.place.function
        self._add(own, Mode.PLAIN, region.dtypes, why)
        for caller in dict.fromkeys(call.place.function for call in self.code.callers(own)):
            if caller.name and self.facts.stages.of(Place(caller)) is not Stage.INFERS:
                self._add(caller, Mode.PLAIN, region.dtypes, f"it gets what {own.name} gives, and {why}")
        inside = [call for call in module.calls_in(own) if region.call.node is not call.node and _is_in(call, region)]
        for call in inside:
            callee = self.facts.code.callee(call)
            if callee is not None and callee.name != "__init__":
                self._add_with_callees(callee, region.dtypes, why)
            cls = self.facts.objects.class_of(call.node.func, call.place) if callee is None else None
            if cls is not None:
                self._add_class(cls, region.dtypes, why)
            elif callee is None:
                self._add_criteria_of_registry(call, region, why)
        for cls in self._models_of(self.facts.code.unit_of(module), frozenset([module])):
            # The class that opens the region calls its own parts there, and the rest of it runs outside.
            if cls is not own.cls:
                self._add_class(cls, region.dtypes, why)
        self._add_criteria(region)
        self._add_criteria_of_dictionaries(region)

    def _add_criteria_of_registry(self, call: Call, region: Region, why: str) -> None:
        """Add the losses that a call in a region can run: a registry makes them, so the parameter's name finds them."""
        first = call.node.args[0] if call.node.args else None
        if not isinstance(first, ast.Name) or first.id not in _OUTPUTS or not words(call.name) & _LOSS_WORDS:
            return
        for cls in classes_beside(self.code, region.place.module):
            if words(cls.name) & _LOSS_WORDS and _takes_first(cls, first.id) and not casts_outputs(cls):
                self._add_class(cls, region.dtypes, why)

    def _add_criteria(self, region: Region) -> None:
        """Add the losses that a loop calls outside of its region on what the model gave inside."""
        loop = next(iter(self.of(region.place.function)), None)
        calls = region.place.module.calls_in(region.place.function) if loop is not None else []
        for call in calls:
            if loop is None or _is_in(call, region) or call.node.lineno < (region.statement.end_lineno or 0):
                continue
            cls = self.facts.objects.class_of(call.node.func, call.place)
            methods = [cls.methods.get(name) for name in ("forward", "__call__")] if cls is not None else []
            for method in (method for method in methods if method is not None):
                names = (method.parameters()[position + 1 : position + 2] for position in range(len(call.node.args)))
                pairs = [(name, value) for each, value in zip(names, call.node.args, strict=True) for name in each]
                kinds = {name: self._given(value, call, loop, region) for name, value in pairs}
                if Kind.HALF in kinds.values():
                    path, line = call.place.module.source.location_of(call.node.lineno)
                    why = f"it is called at {path}:{line}, outside of the region, on what the model gives inside"
                    self._add(method, Mode.PLAIN, region.dtypes, why, kinds)

    def _add_criteria_of_dictionaries(self, region: Region) -> None:
        """Add losses and matchers that get the model's outputs by name where a loop has turned autocast off.

        A registry often makes them, so the name of the parameter finds them: ``forward(self, outputs, targets)``.
        """
        beside = classes_beside(self.code, region.place.module)
        criteria = [cls for cls in beside if words(cls.name) & _LOSS_WORDS and not casts_outputs(cls)]
        for call, name in calls_without_region(self.tensors.regions, region):
            path, line = call.place.module.source.location_of(call.node.lineno)
            why = f"it is called at {path}:{line} with autocast off, on what the model gives in its region"
            taking = [cls for cls in criteria if _takes_first(cls, name)]
            for method in (method for cls in taking for method in cls.methods.values() if name in method.parameters()):
                context = TensorContext(method, Mode.PLAIN, {}, outputs=frozenset([name]))
                self._add_context(context, region.dtypes, why)

    def _given(self, value: ast.expr, call: Call, loop: HalfContext, region: Region) -> Kind:
        """Return what a loop gives to its loss; the output of the model in a region is half if nothing says more."""
        kind = self.tensors.of(value, call.place, loop.tensors)
        assigned = call.place.function.names.get(value.id, []) if isinstance(value, ast.Name) else []
        made = [each for each, place in assigned if region.statement in (place.statement, *_blocks_of(place, region))]
        is_output = len(assigned) == len(made) == 1 and isinstance(made[0], ast.Call)
        is_of_model = is_output and isinstance(made[0], ast.Call) and bool(words(ast.unparse(made[0].func)) & MODELS)
        return Kind.HALF if kind is Kind.UNKNOWN and is_of_model else kind

    def _add_runs(self, unit: Unit) -> None:
        """Add what accelerate, transformers and Lightning run in a region of their own."""
        for run in self.facts.runs.of(unit):
            half = run.half
            is_engine = any(settings.engine is not None for settings in run.settings)
            if half is None or half.value not in HALF or is_engine or not run.modules:
                continue
            dtypes, why = frozenset([_DTYPES[half.value]]), f"it runs under autocast: {half.place}"
            programs = programs_of(run)
            for cls in self._models_of(unit, programs):
                self._add_class(cls, dtypes, why)
            for cls in self.facts.reach.classes_of(unit, programs) if run.is_of_trainer else ():
                self._add_trainer(cls, dtypes, why)

    def _add_trainer(self, cls: Class, dtypes: frozenset[Value], why: str) -> None:
        """Add the loss of a class that extends transformers' trainer, which opens a region around it."""
        method = cls.methods.get("compute_loss") if self.code.extends_trainer(cls) else None
        if method is not None:
            self._add_with_callees(method, dtypes, why)

    def _models_of(self, unit: Unit, modules: frozenset[Module]) -> Iterator[Class]:
        """Yield the torch modules that programs use, without their losses: those can be called anywhere."""
        used = self.facts.reach.classes_of(unit, modules)
        outside = OutsideClasses(self.code, self.tensors, frozenset(used))
        for cls in sorted(used, key=lambda each: (each.module.name, each.node.lineno)):
            bases = list(self.facts.code.base_names(cls))
            is_module = any(base.endswith(("Module", "PreTrainedModel")) for base in bases)
            if (
                is_module
                and not outside.has(cls)
                and not self.facts.stages.infers_by_path(cls.module)
                and not words(cls.name) & _LOSS_WORDS
            ):
                yield cls

    def _add_class(self, cls: Class, dtypes: frozenset[Value], why: str) -> None:
        for method in cls.methods.values():
            if method.name in ("forward", "__call__", "training_step") or method.name.startswith("forward_"):
                self._add_with_callees(method, dtypes, why)

    def _add_with_callees(self, function: Function, dtypes: frozenset[Value], why: str) -> None:
        """Add a function that a region runs, whatever its arguments, with the functions that it passes on."""
        outputs = {name: Kind.CONTAINER for name in function.parameters() if name in _OUTPUTS}
        if self._add(function, Mode.AUTOCAST, dtypes, why, outputs):
            for passed in self._passed_on(function):
                self._add(passed, Mode.AUTOCAST, dtypes, why)

    def _add_casts(self) -> None:
        """Add the functions that cast tensors to half, and that no region and no model in half precision is known for.

        What runs a torch module may open a region, and is not known.
        """
        for cast in self.facts.weights.casts:
            place, cls = cast.call.place, cast.call.place.function.cls
            is_tensor = not cast.is_of_module and cast.stage is Stage.TRAINS and cast.dtypes <= HALF_DTYPES
            is_of_module = cls is not None and is_torch_module(self.code, cls)
            is_known = not place.function.name or bool(self.of(place.function))
            if is_tensor and not is_of_module and not is_known and self.facts.values.is_reached(place) is True:
                path, line = place.module.source.location_of(cast.call.node.lineno)
                self._add(place.function, Mode.PLAIN, cast.dtypes, f"a value is made half precision at {path}:{line}")

    def _passed_on(self, function: Function) -> Iterator[Function]:
        """Yield the functions of the same file that a function names without a call: ``checkpoint(block, x)``."""
        names = {node.id for node in walk(function.node) if isinstance(node, ast.Name)}
        own = (each for each in function.module.functions if each.outer is function.module.level and each.cls is None)
        yield from (each for each in own if each.name in names and not self.code.callers(each))

    def _spread(self) -> None:
        """Add the functions that are called in the contexts known so far, with the dtypes that they are given."""
        while self._waiting:
            context = self._waiting.popleft()
            function = context.tensors.function
            for call in function.module.calls_in(function) if context.depth < MAX_CALLEE_DEPTH else ():
                callee = self.tensors.callees.of(call)
                # What is measured without gradients beside the training is no part of it: an evaluation between epochs.
                is_measured = any(map(disables_gradients, call.place.contexts))
                if callee is not None and callee is not function and not is_measured:
                    self._add_callee(context, callee, call)

    def _add_callee(self, context: HalfContext, callee: Function, call: Call) -> None:
        """Add a function that is called in a context, if a region, half weights or half arguments reach it."""
        mode = self.tensors.mode_of(call, context.tensors)
        given = {} if context.tensors.outputs else self.tensors.arguments(callee, call, context.tensors)
        if mode is Mode.PLAIN and not _HALF & set(given.values()):
            return
        why = context.why
        if mode is Mode.PLAIN:
            path, line = call.place.module.source.location_of(call.node.lineno)
            why = f"it is called at {path}:{line} on half-precision values: {why.removeprefix('it is ')}"
        self._add_context(TensorContext(callee, mode, given), context.dtypes, why, context.depth + 1)

    def _is_outside(self, call: Call) -> bool:
        """Return whether a region that turns autocast off is around a call."""
        return self.tensors.mode_at(call.place, Mode.AUTOCAST) is not Mode.AUTOCAST

    def _add_half_model(self, model: HalfModel) -> None:
        self._add_trainer(model.cls, frozenset(model.dtypes), model.why)
        for method in model.cls.methods.values():
            if method.name == "forward":
                arguments = parameter_kinds(method, model.cls)
                self._add(method, Mode.HALF_MODEL, frozenset(model.dtypes), model.why, arguments)

    def _add(
        self,
        function: Function,
        mode: Mode,
        dtypes: frozenset[Value],
        why: str,
        arguments: Mapping[str, Kind] | None = None,
    ) -> bool:
        """Add a function, and return whether it is new and autocast applies to it."""
        return self._add_context(TensorContext(function, mode, arguments or {}), dtypes, why)

    def _add_context(self, context: TensorContext, dtypes: frozenset[Value], why: str, depth: int = 0) -> bool:
        function = context.function
        is_excluded = self.facts.stages.infers_by_path(function.module) or is_inference_name(function.name)
        known = self._contexts.get(function, [])
        is_known = len(known) >= MAX_CONTEXTS or any(each.tensors.key == context.key for each in known)
        if is_known or is_excluded or _sets_own_dtype(function):
            return False
        half = HalfContext(context, dtypes, why, depth)
        self._contexts.setdefault(function, []).append(half)
        self._waiting.append(half)
        return True


def _takes_first(cls: Class, name: str) -> bool:
    forward = cls.methods.get("forward")
    return forward is not None and forward.parameters()[1:2] == [name]


def _blocks_of(place: Place, region: Region) -> tuple[ast.stmt, ...]:
    """Return the statement of a region if a place is in it."""
    opened = {item.context_expr for item in region.statement.items}
    return (region.statement,) if any(context in opened for context in place.contexts) else ()


def _is_in(call: Call, region: Region) -> bool:
    opened = {item.context_expr for item in region.statement.items}
    return any(context in opened for context in call.place.contexts)


def _sets_own_dtype(function: Function) -> bool:
    """Return whether a decorator decides what a function computes in: ``@custom_fwd``, ``@autocast(enabled=False)``."""
    return any(last_name(getattr(decorator, "func", decorator)) in SETS_OWN_DTYPE for decorator in function.decorators)
