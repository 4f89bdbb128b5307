"""The facts about weights: in which dtype they are loaded, and to which they are cast later."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from vc2doctor.linter.analyse.autocast import HALVES
from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.stage import Stage, Stages, words
from vc2doctor.linter.analyse.values import BFLOAT, HALF, Value, Values
from vc2doctor.linter.knowledge.model_families import Family, family_of
from vc2doctor.linter.read.module import Call, Module, Place, last_name, root_name

_LOADING = {"from_pretrained", "from_config", "from_checkpoint", "load_pretrained_model"}
_DTYPE_KEYS = ("torch_dtype", "dtype")
_MODULE_WORDS = {
    *("model", "net", "network", "llm", "lm", "encoder", "decoder", "tower", "backbone", "transformer", "unet"),
    *("projector", "module", "policy", "student", "generator", "vit", "qformer"),
}

_FROZEN_WORDS = {
    *("ref", "reference", "teacher", "reward", "vae", "ema", "frozen", "text", "critic", "judge", "target"),
    *("inference", "unwrapped", "old"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """A place that decides the dtype in which weights are loaded."""

    node: ast.expr
    """The call, or the assignment's target."""
    place: Place
    given: ast.expr
    """What is given as the dtype."""
    dtypes: frozenset[Value]
    quantised: Literal["8bit", "4bit", "other"] | None
    family: Family | None
    inert: bool
    """A dtype written on a config object, which ``from_config`` of transformers 4 does not read."""
    stage: Stage


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """A cast of a module or tensor: ``.half()``, ``.to(torch.float16)``."""

    call: Call
    receiver: ast.expr
    given: ast.expr | None
    """``None``: the method's name says it."""
    dtypes: frozenset[Value]
    stage: Stage

    @property
    def name(self) -> str:
        """The last name of what is cast."""
        return last_name(self.receiver)

    @property
    def of_module(self) -> bool:
        """Whether what is cast is a module, by its name."""
        return bool(words(self.name) & _MODULE_WORDS)

    @property
    def of_frozen(self) -> bool:
        """Whether what is cast is trained by nobody, by its name."""
        return bool(words(self.name) & _FROZEN_WORDS)


class WeightFacts:
    """The loads and casts of weights of one project."""

    def __init__(self, code: CodeFacts, values: Values, stages: Stages) -> None:
        self.code = code
        self.values = values
        self.stages = stages

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """Every place where a dtype for loaded weights is given."""
        found: list[Load] = []
        for module in self.code.files.modules.values():
            for call in module.calls:
                given = next((call.argument(key) for key in _DTYPE_KEYS if call.argument(key) is not None), None)
                if given is not None and call.name in _LOADING:
                    found.append(self._load(call, given))
            found.extend(self._written(module))
        return tuple(found)

    def _load(self, call: Call, given: ast.expr) -> Load:
        return Load(
            node=call.node,
            place=call.place,
            given=given,
            dtypes=self.values.dtypes(given, call.place),
            quantised=self._quantised(call),
            family=_family(call),
            inert=False,
            stage=self.stages.of(call.place),
        )

    def _written(self, module: Module) -> Iterator[Load]:
        for place in module.statements:
            statement = place.statement
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Attribute):
                continue
            target = statement.targets[0]
            if target.attr == "torch_dtype" and "config" in ast.unparse(target.value).lower():
                dtypes = self.values.dtypes(statement.value, place)
                family = family_of(ast.unparse(target))
                stage = self.stages.of(place)
                yield Load(target, place, statement.value, dtypes, None, family, inert=True, stage=stage)

    def _quantised(self, call: Call) -> Literal["8bit", "4bit", "other"] | None:
        eight, four = call.argument("load_in_8bit"), call.argument("load_in_4bit")
        config = call.argument("quantization_config")
        text = ast.unparse(config) if config is not None else ""
        if isinstance(config, ast.Name):
            assigned = call.place.function.names.get(config.id, [])
            text = " ".join(ast.unparse(value) for value, _ in assigned)
        for given in (eight, four):
            if given is not None and self.values.decide(given, call.place) is not False:
                return "8bit" if given is eight else "4bit"
        if "4bit" in text:
            return "4bit"
        return "other" if config is not None and text != "None" else None

    @cached_property
    def casts(self) -> tuple[Cast, ...]:
        """Every cast to a half precision."""
        found: list[Cast] = []
        for module in self.code.files.modules.values():
            for call in module.calls:
                cast = self._cast(call)
                if cast is not None and cast.dtypes & HALVES:
                    found.append(cast)
        return tuple(found)

    def _cast(self, call: Call) -> Cast | None:
        function = call.node.func
        if not isinstance(function, ast.Attribute) or module_alias(function.value, call.place):
            return None
        stage = self.stages.of(call.place)
        if call.name in ("half", "bfloat16") and not call.node.args:
            dtypes = frozenset([HALF if call.name == "half" else BFLOAT])
            return Cast(call, function.value, None, dtypes, stage)
        if call.name != "to":
            return None
        candidates = [call.argument("dtype"), *call.node.args]
        for given in candidates:
            if given is not None and self.values.dtypes(given, call.place) & HALVES:
                return Cast(call, function.value, given, self.values.dtypes(given, call.place), stage)
        return None

    def trained_loads(self, unit: Unit) -> list[Load]:
        """Return the loads of a unit whose weights are trained, or that gradients pass through."""
        mine = [load for load in self.loads if self.code.unit_of(load.place.module) is unit]
        return [load for load in mine if load.stage is Stage.TRAINS and load.quantised is None]


def _family(call: Call) -> Family | None:
    """Return the family that a load speaks of: by what it loads, what that is called, and the class that it is for."""
    statement, cls = call.place.statement, call.place.function.cls
    targets = [ast.unparse(target) for target in statement.targets] if isinstance(statement, ast.Assign) else []
    said = (ast.unparse(call.node), *targets, cls.name if cls is not None else "")
    return next((family for family in map(family_of, said) if family is not None), None)


def module_alias(expression: ast.expr, place: Place) -> bool:
    """Say whether an expression is an imported module, not a value: ``torch.half``."""
    return root_name(expression) in place.module.imports and place.module.imports[root_name(expression)] == "torch"
