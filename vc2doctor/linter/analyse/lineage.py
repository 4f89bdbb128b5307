"""The lineage of a model that is trained: the calls that make it, and its casts and wrappers up to the trainer."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import Stage, Stages
from vc2doctor.linter.analyse.weights import Cast, WeightFacts
from vc2doctor.linter.read.module import Assigned, Call, Class, Function, Module, Place, last_name

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
_OPTIMIZER_NAME = re.compile(r"^(optim\w*|opt)$", re.IGNORECASE)
_OWN_OPTIMIZER = "configure_optimizers"
"""The method with which nanoGPT's model, and those after it, make the optimizer of their own parameters."""
_OWN_PARAMETERS = re.compile(r"(trainable|optimizer)_param(eter)?s$")
"""Methods with which a class of the project gives what it trains: ``network.prepare_optimizer_params()``."""
_FREEZES = re.compile(r"requires_grad|freeze|frozen|no_grad|peft|lora", re.IGNORECASE)
"""What a module has in its text that does not train all weights of the models in it."""
_COPIED = re.compile(r"\.float\(\)|float32|\.double\(\)")
"""What the element of a list of parameters has that is a float32 copy of each."""
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

    @property
    def modules(self) -> frozenset[Module]:
        """The modules that train the model or make it."""
        return frozenset(call.place.module for call in (self.consumer, *self.lineage.makers))


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
            for model in self._models_of(call)
            if self.stages.of(call.place) is not Stage.INFERS
        )

    def _models_of(self, call: Call) -> list[ast.expr]:
        models = list(_models_of(call, self.objects))
        return [*models, *self._parts_of(models, call.place)]

    def _parts_of(self, models: list[ast.expr], place: Place) -> Iterator[ast.expr]:
        """Yield the attributes of models of the project that hold a loaded model, unless their module can freeze it.

        A module of Lightning gives ``self.parameters()`` to its optimizer, and loads ``self.model`` itself.
        """
        for model in models:
            cls = self.objects.class_of(model, place)
            for owner in self.code.mro(cls) if cls is not None else ():
                if not _FREEZES.search(owner.module.source.text):
                    names = [name for name, assigned in owner.attributes.items() if any(map(_is_loaded, assigned))]
                    yield from (
                        ast.copy_location(ast.Attribute(value=model, attr=name, ctx=ast.Load()), model)
                        for name in names
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
        origins = self.objects.of(model, place)
        for call in origins.calls():
            if call in lineage.steps or any(call.node is known.node for known in (*lineage.steps, *lineage.makers)):
                continue
            inner = _passed_through(call)
            if inner is None:
                lineage.makers.append(call)
            else:
                lineage.steps.append(call)
                self._follow(lineage, inner, call.place, depth + 1)
        lineage.names.update(origins.names)

    def casts_of(self, lineage: Lineage) -> list[Cast]:
        """Return the casts to a half precision that a model goes through, as steps or as statements of their own."""
        steps = {step.node for step in lineage.steps}
        calls = steps | {maker.node for maker in lineage.makers}
        return [
            cast
            for cast in self.weights.casts
            if cast.call.node in steps
            or _owner_of(_cast_object(cast.receiver), cast.call.place) in lineage.names
            or calls & self._cast_in_helper.get(cast.call.node, frozenset())
            or self._is_in_constructor(cast, lineage)
        ]

    def _is_in_constructor(self, cast: Cast, lineage: Lineage) -> bool:
        """Return whether the class of a model casts itself when it is made: ``self.to(dtype)`` in ``__init__``."""
        function = cast.call.place.function
        is_own = function.name == "__init__" and ast.unparse(cast.receiver) == "self"
        makers = lineage.makers if is_own else []
        return any(self.code.class_named(maker.place.module, maker.node.func) is function.cls for maker in makers)

    @cached_property
    def _cast_in_helper(self) -> Mapping[ast.Call, frozenset[ast.Call]]:
        """The calls that make the models which helpers cast: ``def to_half(net): net.half()``, by the cast."""
        found = {}
        for cast in self.weights.casts:
            place = cast.call.place
            model = _model_of_parameter(cast) or _cast_object(cast.receiver)
            is_given = isinstance(model, ast.Name) and model.id in place.function.parameters()
            if is_given and self.stages.of(place) is not Stage.INFERS:
                calls = self.objects.of(model, place).calls()
                found[cast.call.node] = frozenset(call.node for call in calls)
        return found


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


def _model_of_parameter(cast: Cast) -> ast.expr | None:
    """Return ``net`` of ``for p in net.parameters(): p.data = p.data.half()``; ``None`` for other casts."""
    match cast.receiver:
        case ast.Attribute(value=ast.Name(id=parameter), attr="data"):
            for node in ast.walk(cast.call.place.function.node):
                match node:
                    case ast.For(
                        target=ast.Name(id=name),
                        iter=ast.Call(func=ast.Attribute(value=model, attr="parameters")),
                    ) if name == parameter:
                        return model
    return None


def _cast_object(receiver: ast.expr) -> ast.expr:
    """Return the model below other casts of one statement: ``model`` of ``model.to(device).to(dtype)``."""
    while isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Attribute):
        if receiver.func.attr not in _PASSING_METHODS:
            break
        receiver = receiver.func.value
    return receiver


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


def _is_loaded(assigned: Assigned) -> bool:
    value, _ = assigned
    return isinstance(value, ast.Call) and last_name(value.func) == "from_pretrained"


def _models_of(call: Call, objects: ObjectFacts) -> Iterator[ast.expr]:
    """Yield the model that a trainer gets, or those whose parameters an optimizer gets."""
    if _TRAINER.match(call.name):
        model = call.argument("model", 0)
        if model is not None and not isinstance(model, ast.Constant):
            yield model
    elif call.name == _OWN_OPTIMIZER and last_name(call.receiver) != "self":
        yield call.receiver
    elif _OPTIMIZERS.match(call.name) or _is_chosen_optimizer(call) or (call.node.args and _is_named_optimizer(call)):
        yield from _owners(call, objects)


def _owners(optimizer: Call, objects: ObjectFacts) -> Iterator[ast.expr]:
    """Yield the models whose parameters an optimizer gets: itself, in a list, or through a helper of the project."""
    parameters = optimizer.argument("params", 0) or next(
        (keyword.value for keyword in optimizer.node.keywords if keyword.arg is None), None
    )
    if parameters is None:
        return
    origins = [(origin.expression, origin.place) for origin in objects.of(parameters, optimizer.place).found]
    owners = [
        owner
        for expression, place in ((parameters, optimizer.place), *origins)
        for owner in _owners_of_parameters(expression)
        if not _is_of_helper(owner, place, optimizer.place)
    ]
    owners = owners or list(_given_to_helpers(parameters, optimizer.place, objects))
    yield from {ast.unparse(owner): owner for owner in owners}.values()


def _is_of_helper(owner: ast.expr, place: Place, optimizer: Place) -> bool:
    """Return whether a model is the parameter of a helper, which has another name where the optimizer is made."""
    is_elsewhere = place.function is not optimizer.function
    return is_elsewhere and isinstance(owner, ast.Name) and owner.id in place.function.parameters()


def _given_to_helpers(parameters: ast.expr, place: Place, objects: ObjectFacts) -> Iterator[ast.expr]:
    """Yield the models that helpers get whose results an optimizer gets: ``groups = parameter_groups(model)``."""
    names = {node.id for node in ast.walk(parameters) if isinstance(node, ast.Name)}
    scope = place.function
    assigned = [value for name in names for value, _ in scope.names.get(name, [])]
    assigned.extend(value for name in names for value, _, _ in scope.unpacked.get(name, []))
    for node in (node for value in (parameters, *assigned) for node in ast.walk(value)):
        helper = objects.code.callee(Call(node, place)) if isinstance(node, ast.Call) else None
        if helper is None or not isinstance(node, ast.Call) or helper.name == "__init__":
            continue
        for owner in _owners_of_parameters(helper.node):
            if isinstance(owner, ast.Name) and owner.id in helper.parameters():
                argument = Call(node, place).argument(owner.id, helper.position(owner.id))
                if argument is not None:
                    yield argument


def _is_chosen_optimizer(call: Call) -> bool:
    """Return whether a call makes an optimizer whose class a name chooses: ``getattr(torch.optim, name)(params)``."""
    match call.node.func:
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, *_]):
            return last_name(owner) == "optim"
    return False


def _is_named_optimizer(call: Call) -> bool:
    """Return whether the name that a call is assigned to is an optimizer's: ``optimizer = cls(params, lr=lr)``."""
    statement = call.place.statement
    targets = statement.targets if isinstance(statement, ast.Assign) and statement.value is call.node else []
    return any(_OPTIMIZER_NAME.search(last_name(target)) for target in targets) and call.argument("lr", 1) is not None


def _owners_of_parameters(expression: ast.AST) -> Iterator[ast.expr]:
    """Yield ``model`` for each ``model.parameters()`` in an expression or a function, unless they are copied there."""
    copied = {
        id(node)
        for each in ast.walk(expression)
        if isinstance(each, ast.ListComp | ast.GeneratorExp) and _COPIED.search(ast.unparse(each.elt))
        for node in ast.walk(each)
    }
    for node in (
        ast.walk(expression) if not copied else (each for each in ast.walk(expression) if id(each) not in copied)
    ):
        match node:
            case ast.Call(func=ast.Attribute(attr="parameters" | "named_parameters", value=owner)):
                yield owner
            case ast.Call(func=ast.Attribute(attr=name, value=owner)) if _OWN_PARAMETERS.search(name):
                yield owner
