"""The lineage of a model that is trained: the calls that make it, and its casts and wrappers up to the trainer."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import Stage, Stages
from vc2doctor.linter.analyse.weights import Cast, WeightFacts
from vc2doctor.linter.read.module import Call, Class, Function, Place, last_name

ADAPTER_CALLS = frozenset({"get_peft_model", "inject_adapter_in_model", "add_adapter", "PeftModel"})
_KBIT_CALLS = frozenset({"prepare_model_for_kbit_training", "prepare_model_for_int8_training"})
_PASSING_METHODS = frozenset(
    {"half", "to", "bfloat16", "float", "cuda", "cpu", "train", "eval", "requires_grad_", "double", "type"}
)
_WRAPPERS = (
    ADAPTER_CALLS
    | _KBIT_CALLS
    | {"DistributedDataParallel", "DDP", "DataParallel", "FullyShardedDataParallel", "FSDP", "compile"}
)
_TRAINER = re.compile(r"^\w*Trainer$")
_OPTIMIZERS = re.compile(r"^(Adam\w*|SGD|RMSprop|Adagrad|Lion\w*|PagedAdam\w*|Adafactor|FusedAdam|DeepSpeedCPUAdam)$")
MAX_DEPTH = 6
"""Wrappers and casts around one another."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """How a model came to be, the latest step first."""

    makers: list[Call] = field(default_factory=list)
    """The calls that load or construct it."""
    steps: list[Call] = field(default_factory=list)
    """Casts and wrappers that it passes through."""
    names: set[tuple[Function | Class, str]] = field(default_factory=set)
    """The names that it has, each with the function or class that the name belongs to."""

    @property
    def adapter(self) -> Call | None:
        """The call that adds adapters, so that only those are trained; ``None``: the whole model is trained."""
        return next((step for step in self.steps if _adds_adapter(step)), None)

    @property
    def is_prepared_for_kbit(self) -> bool:
        """Whether peft prepared it: what is not quantized is float32 then."""
        return any(step.name in _KBIT_CALLS for step in self.steps)


class Trained(NamedTuple):
    """A model with what trains it."""

    consumer: Call
    """The call of a trainer or of an optimizer."""
    model: ast.expr
    lineage: Lineage

    @property
    def is_by_trainer(self) -> bool:
        """Whether a trainer trains it, and not an optimizer in a hand-written loop."""
        return _TRAINER.match(self.consumer.name) is not None


class LineageFacts:
    """The models of one project that are trained."""

    def __init__(self, code: CodeFacts, objects: ObjectFacts, stages: Stages, weights: WeightFacts) -> None:
        self.code = code
        self.objects = objects
        self.stages = stages
        self.weights = weights

    @cached_property
    def trained(self) -> tuple[Trained, ...]:
        """Every model that is given to a trainer or whose parameters are given to an optimizer."""
        return tuple(
            Trained(call, model, self.of(model, call.place))
            for module in self.code.files.modules.values()
            for call in module.calls
            for model in _models_of(call, self.objects)
            if self.stages.of(call.place) is not Stage.INFERS
        )

    def of(self, model: ast.expr, place: Place) -> Lineage:
        """Return the lineage of a model."""
        lineage = Lineage()
        self._follow(lineage, model, place, 0)
        return lineage

    def _follow(self, lineage: Lineage, model: ast.expr, place: Place, depth: int) -> None:
        if depth > MAX_DEPTH:
            return
        owner = _owner_of(model, place)
        if owner is not None:
            if owner in lineage.names:
                return
            lineage.names.add(owner)
        for call in self.objects.of(model, place).calls():
            if call in lineage.steps or any(call.node is known.node for known in (*lineage.steps, *lineage.makers)):
                continue
            inner = _passed_through(call)
            if inner is None:
                lineage.makers.append(call)
            else:
                lineage.steps.append(call)
                self._follow(lineage, inner, call.place, depth + 1)

    def casts_of(self, lineage: Lineage) -> list[Cast]:
        """Return the casts to a half precision that a model goes through, as steps or as statements of their own."""
        steps = {step.node for step in lineage.steps}
        return [
            cast
            for cast in self.weights.casts
            if cast.call.node in steps or _owner_of(cast.receiver, cast.call.place) in lineage.names
        ]


def _owner_of(expression: ast.expr, place: Place) -> tuple[Function | Class, str] | None:
    """Return a name with the function or class that it belongs to: ``model``, ``self.model``."""
    match expression:
        case ast.Name(id=name):
            scopes = place.function.scopes()
            owner = next((scope for scope in scopes if name in scope.names or name in scope.parameters()), None)
            return (owner or place.function, name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if place.function.cls is not None:
            return (place.function.cls, name)
    return None


def _passed_through(call: Call) -> ast.expr | None:
    """Return the model that a call casts or wraps; ``None``: the call makes the model."""
    function = call.node.func
    if isinstance(function, ast.Attribute) and function.attr in _PASSING_METHODS:
        return function.value
    if call.name in _WRAPPERS or _adds_adapter(call):
        return call.argument("model", 0) or call.argument("module")
    return None


def _adds_adapter(call: Call) -> bool:
    """Return whether a call adds adapters: ``get_peft_model(…)``, ``PeftModel.from_pretrained(…)``."""
    function = call.node.func
    is_method = isinstance(function, ast.Attribute) and last_name(function.value) in ADAPTER_CALLS
    return call.name in ADAPTER_CALLS or is_method


def _models_of(call: Call, objects: ObjectFacts) -> Iterator[ast.expr]:
    """Yield the model that a trainer gets, or those whose parameters an optimizer gets."""
    if _TRAINER.match(call.name):
        model = call.argument("model", 0)
        if model is not None and not isinstance(model, ast.Constant):
            yield model
    elif _OPTIMIZERS.match(call.name) and call.node.args:
        parameters = call.node.args[0]
        expressions = [origin.expression for origin in objects.of(parameters, call.place).found] or [parameters]
        owners = (owner for expression in (parameters, *expressions) for owner in _owners_of_parameters(expression))
        yield from {ast.unparse(owner): owner for owner in owners}.values()


def _owners_of_parameters(expression: ast.expr) -> Iterator[ast.expr]:
    """Yield ``model`` for each ``model.parameters()`` in an expression."""
    for node in ast.walk(expression):
        match node:
            case ast.Call(func=ast.Attribute(attr="parameters" | "named_parameters", value=owner)):
                yield owner
