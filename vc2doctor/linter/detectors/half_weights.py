"""Finds the outputs of models with half-precision weights, in loops without an autocast region.

Nothing takes these outputs to float32.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache

from vc2doctor.core.versions import older
from vc2doctor.linter import build
from vc2doctor.linter.analyse.callees import Callees
from vc2doctor.linter.analyse.dtypes import Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import mentions_float32
from vc2doctor.linter.analyse.half_heads import has_half_heads
from vc2doctor.linter.analyse.half_models import HalfCall, HalfModel, engine_loops, engine_of, why_engine
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_name, words
from vc2doctor.linter.analyse.tensor_dtypes import MODELS
from vc2doctor.linter.detectors.trained_dtype import half_models
from vc2doctor.linter.detectors.weight_causes import Cause, cause_of_model
from vc2doctor.linter.knowledge.half_logits import HALF_LOGITS_SINCE
from vc2doctor.linter.read.module import Call, Function, Place, last_name

MAX_HOPS = 6
"""Names, arguments and returned values between a loss and the model that its input comes from."""
_REGION = re.compile(r"(^|[._(])amp|autocast|precision|\bctx\b", re.IGNORECASE)
"""Names of contexts that may be autocast regions, although the code does not show it."""
MAX_FUNCTIONS = 60
"""Functions of one loop that are searched for losses."""
_OF_TORCH = frozenset(
    {
        *("load_state_dict", "state_dict", "zero_grad", "named_parameters", "requires_grad_", "register_buffer"),
        *("masked_fill", "index_select", "log_softmax", "save_pretrained", "from_pretrained", "get_parameter"),
    }
)
"""Names of two words that objects of torch and transformers have."""
_OF_MODULES = frozenset(
    {"to", "half", "bfloat16", "float", "train", "requires_grad_", "load_state_dict", "cuda", "apply"}
)
"""Methods of every module that take arguments and compute nothing."""
_ENGINES = MODELS | {"engine"}
"""Words of names that loops give to DeepSpeed's engine."""
_OTHER_MODELS = frozenset({"ref", "reference", "teacher", "reward", "ema", "frozen", "gen"})
"""Words of names of models beside the one that is trained, which can have another dtype."""
MAX_CALLERS = 4
"""Callers of a helper that are asked for what they give it."""


def loops_without_region(facts: Facts, unit: Unit) -> list[Loop]:
    """Return the loops of a unit that open no region and that no library runs, which may open regions itself."""
    return [loop for loop in facts.loops.of(unit) if not _may_have_region(loop)]


def _may_have_region(loop: Loop) -> bool:
    """Return whether a region is around a loop, or something that may be one: ``with self.amp_context():``.

    ``engine.backward(loss)`` is the backward pass of a library: accelerate, Fabric, DeepSpeed.
    """
    if loop.regions or any(call.node.args for call in loop.backwards):
        return True
    texts = (
        ast.unparse(context)
        for function in loop.functions
        for place in function.module.statements
        if place.function is function
        for context in place.contexts
    )
    return any(_REGION.search(text) for text in texts)


def only_method(facts: Facts, call: Call) -> Function | None:
    """Return the method that a call on an object of unknown class goes to, if one class alone has such a method.

    The name must have two words or more: such methods of tensors and layers are listed in ``_OF_TORCH``.
    """
    if not isinstance(call.node.func, ast.Attribute) or "_" not in call.name.strip("_") or call.name in _OF_TORCH:
        return None
    methods = _methods(facts.code.unit_of(call.place.module)).get(call.name, [])
    return methods[0] if len(methods) == 1 else None


@lru_cache(maxsize=8)
def _methods(unit: Unit) -> Mapping[str, list[Function]]:
    """Return the methods of a unit by name."""
    methods: dict[str, list[Function]] = defaultdict(list)
    for cls in (cls for same in unit.classes.values() for cls in same):
        for name, method in cls.methods.items():
            methods[name].append(method)
    return methods


def functions_of(facts: Facts, loop: Loop) -> list[Function]:
    """Return the functions that a loop calls, with the methods that only their names tell."""
    found = list(loop.functions)
    callees = Callees(facts.code, facts.objects)
    for function in found:
        if len(found) > MAX_FUNCTIONS:
            break
        for call in function.module.calls_in(function):
            callee = callees.of(call) or only_method(facts, call)
            is_new = callee is not None and callee not in found and callee.name != "__init__"
            if callee is not None and is_new and not is_inference_name(callee.name):
                found.append(callee)
    return found


def why_half_weights(cause: Cause) -> str:
    """Return where the weights of a model get their half precision, as evidence."""
    location = build.place_of(cause.module, cause.node).location
    return f"the weights are half precision at {location}, and no autocast region is around the loop"


def half_weight_classes(facts: Facts) -> Iterator[HalfModel]:
    """Yield the classes of the project that a loop without a region trains in half precision."""
    for model in half_models(facts):
        dtype, consumer = model.cause.dtype, model.trained.consumer
        if model.trained.is_by_trainer or model.asked.has_engine or not isinstance(dtype, Dtype):
            continue
        loops = _loops_around(facts, consumer)
        if not loops or any(map(_may_have_region, loops)):
            continue
        for maker in model.trained.lineage.makers:
            cls = facts.code.class_named(maker.place.module, maker.node.func)
            if cls is not None:
                yield HalfModel(cls, frozenset([dtype]), why_half_weights(model.cause))


def _loops_around(facts: Facts, optimizer: Call) -> list[Loop]:
    """Return the loops of the programs that make an optimizer."""
    module = optimizer.place.module
    closure = facts.code.import_closure(module)
    return [
        loop
        for loop in facts.loops.of(facts.code.unit_of(module))
        if loop.function.module in closure or module in facts.code.import_closure(loop.function.module)
    ]


def half_calls(facts: Facts) -> Mapping[ast.Call, HalfCall]:
    """Return the calls in loops without a region that run a model with half weights, by their node."""
    found: dict[ast.Call, HalfCall] = {}
    for unit in facts.code.units.values():
        loops = loops_without_region(facts, unit) if _has_half_weights(facts, unit) else []
        for loop, function in _functions_of(facts, loops):
            for call in function.module.calls_in(function):
                is_new = call.node not in found and facts.code.callee(call) is None
                cause = cause_of_model(facts, call) if is_new and _can_run_model(call) else None
                if cause is not None and isinstance(cause.dtype, Dtype):
                    found[call.node] = HalfCall(call, cause.dtype, why_half_weights(cause), loop.function)
        found |= {half.call.node: half for half in _engine_calls(facts, unit)}
    return found


def _functions_of(facts: Facts, loops: list[Loop]) -> Iterator[tuple[Loop, Function]]:
    """Yield the functions that loops call, each with the loop."""
    for loop in loops:
        yield from ((loop, function) for function in functions_of(facts, loop))


def _engine_calls(facts: Facts, unit: Unit) -> Iterator[HalfCall]:
    """Yield the calls in loops of DeepSpeed's own that run its engine, which has made the whole model half."""
    loops = engine_loops(facts, unit)
    engine = engine_of(facts, unit) if loops else None
    if engine is None or len(engine.dtypes) != 1:
        return
    (dtype,) = engine.dtypes
    for loop, function in _functions_of(facts, loops):
        for call in function.module.calls_in(function):
            named = words(last_name(call.node.func))
            if named & _ENGINES and not named & _OTHER_MODELS and facts.code.callee(call) is None:
                yield HalfCall(call, dtype, why_engine(engine), loop.function)


def half_trainers(facts: Facts) -> Iterator[HalfModel]:
    """Yield the project's own trainers that train a model with half weights: its outputs are half in their loss."""
    for model in half_models(facts):
        consumer, dtype = model.trained.consumer, model.cause.dtype
        cls = facts.code.class_named(consumer.place.module, consumer.node.func)
        if model.trained.is_by_trainer and cls is not None and isinstance(dtype, Dtype) and not model.cause.option:
            location = build.place_of(model.cause.module, model.cause.node).location
            yield HalfModel(cls, frozenset([dtype]), f"the weights are half precision at {location}")


def _has_half_weights(facts: Facts, unit: Unit) -> bool:
    places = (*(load.place for load in facts.weights.loads), *(cast.call.place for cast in facts.weights.casts))
    return any(facts.code.unit_of(place.module) is unit for place in places)


def _can_run_model(call: Call) -> bool:
    """Return whether a call can run a model: it has arguments, and no method that every module has is called."""
    is_callable = isinstance(call.node.func, ast.Name | ast.Attribute)
    return is_callable and bool(call.node.args or call.node.keywords) and call.name not in _OF_MODULES


class ModelOutputs:
    """Traces values of one project back to the models whose outputs they are made of."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._seen: set[tuple[Function, str]] = set()

    def cause_of(self, value: ast.expr, place: Place) -> Cause | None:
        """Return what makes a value half precision: the dtype of the model that it comes from; ``None``: unknown."""
        self._seen = set()
        return self._follow(value, place, 0)

    def _follow(self, value: ast.expr, place: Place, hops: int) -> Cause | None:
        if hops > MAX_HOPS or mentions_float32(value) or self._is_upcast_by_library(value, place):
            return None
        calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
        names = self._names(value, calls, place)
        if any(_is_float32(place.function, name) for name in names):
            # Half precision that meets float32 becomes float32.
            return None
        causes = [self._of_call(Call(node, place), hops) for node in calls]
        found = next((cause for cause in causes if cause is not None), None)
        if found is not None:
            return found
        return next((cause for name in names if (cause := self._of_name(name, place, hops)) is not None), None)

    def _names(self, value: ast.expr, calls: list[ast.Call], place: Place) -> list[str]:
        """Return the names that a value is made of, without those that functions of the project get: these decide."""
        own = [call for call in calls if self._facts.code.callee(Call(call, place)) is not None]
        given = {node for call in own for argument in _arguments_of(call) for node in ast.walk(argument)}
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name) and node not in given}
        return sorted(names)

    def _is_upcast_by_library(self, value: ast.expr, place: Place) -> bool:
        if not any(isinstance(node, ast.Attribute) and node.attr == "logits" for node in ast.walk(value)):
            return False
        version = self._facts.code.version(self._facts.code.unit_of(place.module), "transformers")
        return older(version, HALF_LOGITS_SINCE) and not has_half_heads(self._facts)

    def _of_call(self, call: Call, hops: int) -> Cause | None:
        """Return the dtype of the model that a call runs, directly or in a function of the project."""
        function = call.node.func
        if not isinstance(function, ast.Name | ast.Attribute):
            return None
        callee = self._facts.code.callee(call) or only_method(self._facts, call)
        if callee is None:
            return cause_of_model(self._facts, call) or self._of_given_model(call)
        if callee.name == "__init__" or (callee, "") in self._seen:
            return None
        self._seen.add((callee, ""))
        returned = (self._follow(result, at, hops + 1) for result, at in callee.returned)
        return next((cause for cause in returned if cause is not None), None)

    def _of_given_model(self, call: Call) -> Cause | None:
        """Return the dtype of a model that a method gets where the object is unknown: ``loss.compute(model)``."""
        model, function = call.node.func, call.place.function
        if not isinstance(model, ast.Name) or model.id not in function.parameters():
            return None
        for value, place in self._arguments(function, model.id):
            run = Call(ast.copy_location(ast.Call(func=value, args=[], keywords=[]), call.node), place)
            cause = cause_of_model(self._facts, run) if isinstance(value, ast.Name | ast.Attribute) else None
            if cause is not None:
                return cause
        return None

    def _of_name(self, name: str, place: Place, hops: int) -> Cause | None:
        function = place.function
        if (function, name) in self._seen or name == "self":
            return None
        self._seen.add((function, name))
        values = [*function.names.get(name, []), *((value, at) for value, _, at in function.unpacked.get(name, []))]
        values.extend((value, place) for value in _iterables(function, name))
        if name in function.parameters():
            values.extend(self._arguments(function, name))
        causes = (self._follow(value, at, hops + 1) for value, at in values)
        return next((cause for cause in causes if cause is not None), None)

    def _arguments(self, function: Function, name: str) -> Iterator[tuple[ast.expr, Place]]:
        calls = self._facts.code.callers(function) or [
            call for call in self._facts.code.same_name_calls(function) if only_method(self._facts, call) is function
        ]
        for call in calls[:MAX_CALLERS]:
            argument = call.argument(name, function.position(name))
            if argument is not None:
                yield argument, call.place


def _arguments_of(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _is_float32(function: Function, name: str) -> bool:
    return any(mentions_float32(value) for value, _ in function.names.get(name, []))


def _iterables(function: Function, name: str) -> Iterator[ast.expr]:
    """Yield what a name runs over: ``for row, ids in zip(logits, labels)`` gives both arguments to both names."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.For) and _binds(node.target, name):
            position = _position(node.target, name)
            iterated = node.iter
            is_zip = isinstance(iterated, ast.Call) and ast.unparse(iterated.func) == "zip"
            if is_zip and isinstance(iterated, ast.Call) and position is not None and position < len(iterated.args):
                yield iterated.args[position]
            else:
                yield iterated


def _binds(target: ast.expr, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(target))


def _position(target: ast.expr, name: str) -> int | None:
    elements = target.elts if isinstance(target, ast.Tuple) else []
    return next((index for index, each in enumerate(elements) if isinstance(each, ast.Name) and each.id == name), None)
