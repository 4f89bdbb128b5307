"""Weights: the dtypes in which they are loaded, and the dtypes to which they are cast later."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.clip_models import dtype_of_clip
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Value
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.stage import Stage, Stages, words
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.module import Call, Module, Place, last_name, root_name
from vc2doctor.linter.read.syntax import entries_of
from vc2doctor.matrix.model_families import Family, family_of, is_published_in_bfloat16

_LOADING_CALLS = {"from_pretrained", "from_config", "from_checkpoint", "load_pretrained_model"}
_DTYPE_KEYWORDS = ("torch_dtype", "dtype")
_OF_CHECKPOINT = "auto"
"""The dtype with which ``from_pretrained`` loads weights as their checkpoint has them.

https://huggingface.co/docs/transformers/main_classes/model#transformers.PreTrainedModel.from_pretrained.torch_dtype
"""
_KEYWORDS_OF_MODEL = "model_init_kwargs"
"""The argument with which trl's configurations give keywords to ``from_pretrained``.

https://huggingface.co/docs/trl/sft_trainer#trl.SFTConfig.model_init_kwargs
"""
_COPY_WORDS = {"ema", "teacher"}
_WITHOUT_WEIGHTS = re.compile(r"(Tokenizer(Fast)?|Processor(Fast)?|FeatureExtractor|Scheduler)$")
"""Classes whose ``from_pretrained`` loads no weights, whatever dtype it is given."""
_MODULE_WORDS = {
    *("model", "net", "network", "llm", "lm", "encoder", "decoder", "tower", "backbone", "transformer", "unet"),
    *("projector", "module", "policy", "student", "generator", "vit", "qformer"),
}
_FROZEN_WORDS = {
    *("ref", "reference", "teacher", "reward", "vae", "ema", "frozen", "text", "critic", "judge", "target"),
    *("inference", "unwrapped", "old"),
}

_QUANTIZING_ARGUMENTS = ("quantization_config", "load_in_8bit", "load_in_4bit")
Quantization = Literal["8bit", "4bit", "other"]


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """A place that decides the dtype in which weights are loaded."""

    node: ast.expr
    """The call, or the target of the assignment."""
    place: Place
    dtype_expression: ast.expr
    dtypes: frozenset[Value]
    quantized: Quantization | None
    family: Family | None
    is_inert: bool
    """The dtype is assigned to a config object (``config.torch_dtype = …``). ``from_config`` of transformers 4 does not
    read it there."""
    stage: Stage

    @property
    def is_of_copy(self) -> bool:
        """Whether the name that gets the weights is that of a copy which no optimizer trains (``ema_unet``)."""
        return any(words(last_name(target)) & _COPY_WORDS for target in self.place.targets)


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """A cast of a module or tensor: ``.half()``, ``.to(torch.float16)``."""

    call: Call
    receiver: ast.expr
    """The module or tensor that is cast."""
    dtype_argument: ast.expr | None
    """``None``: the name of the method is the dtype."""
    dtypes: frozenset[Value]
    stage: Stage

    @property
    def name(self) -> str:
        """The last part of the receiver's name."""
        return last_name(self.receiver)

    @property
    def is_of_module(self) -> bool:
        """Whether the name suggests a module (``model``, ``vit``)."""
        return bool(words(self.name) & _MODULE_WORDS)

    @property
    def is_of_frozen(self) -> bool:
        """Whether the name suggests a frozen module (``teacher``, ``vae``, ``ref``)."""
        return bool(words(self.name) & _FROZEN_WORDS)


class WeightFacts:
    """The loads and casts of weights of one project."""

    def __init__(self, code: CodeFacts, values: Values, stages: Stages, objects: ObjectFacts) -> None:
        self.code = code
        self.values = values
        self.stages = stages
        self.objects = objects

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """Every place that gives a dtype for loaded weights."""
        loads: list[Load] = []
        for module in self.code.files.modules.values():
            loads.extend(self._loading_calls(module))
            loads.extend(self._config_assignments(module))
        return tuple(loads)

    def _loading_calls(self, module: Module) -> Iterator[Load]:
        for call in module.calls:
            dtype = _dtype_argument(call)
            if dtype is not None and not _WITHOUT_WEIGHTS.search(last_name(call.receiver)):
                yield Load(
                    node=call.node,
                    place=call.place,
                    dtype_expression=dtype,
                    dtypes=self._dtypes(dtype, call),
                    quantized=self.quantization(call),
                    family=_family_of_load(call),
                    is_inert=False,
                    stage=self.stages.of(call.place),
                )

    def _dtypes(self, dtype: ast.expr, call: Call) -> frozenset[Value]:
        """Return the dtypes that a load asks for; ``"auto"`` is the dtype in which the named model is published."""
        dtypes = self.values.dtypes(dtype, call.place)
        name = call.argument("pretrained_model_name_or_path", 0)
        if dtypes != {_OF_CHECKPOINT} or name is None:
            return dtypes
        names = [str(value) for value in self.values.of(name, call.place) if isinstance(value, str)]
        is_known = bool(names) and all(map(is_published_in_bfloat16, names))
        return frozenset([BFLOAT16]) if is_known else dtypes

    def _config_assignments(self, module: Module) -> Iterator[Load]:
        for place in module.statements:
            statement = place.statement
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Attribute):
                continue
            target = statement.targets[0]
            if target.attr == "torch_dtype" and "config" in ast.unparse(target.value).lower():
                yield Load(
                    node=target,
                    place=place,
                    dtype_expression=statement.value,
                    dtypes=self.values.dtypes(statement.value, place),
                    quantized=None,
                    family=family_of(ast.unparse(target)),
                    is_inert=True,
                    stage=self.stages.of(place),
                )

    def quantization(self, call: Call) -> Quantization | None:
        """Return how a call that loads a model quantizes it; ``None``: it does not."""
        keywords: tuple[tuple[str, Quantization], ...] = (("load_in_8bit", "8bit"), ("load_in_4bit", "4bit"))
        for keyword, quantization in keywords:
            argument = call.argument(keyword)
            if argument is not None and self.values.truth(argument, call.place) is not False:
                return quantization
        config = call.argument("quantization_config")
        if config is None:
            return "other" if _may_get_quantization(call) else None
        text = ast.unparse(config)
        if isinstance(config, ast.Name):
            assigned = call.place.function.names.get(config.id, [])
            text = " ".join(ast.unparse(value) for value, _ in assigned)
        if "4bit" in text:
            return "4bit"
        return "other" if text != "None" else None

    @cached_property
    def casts(self) -> tuple[Cast, ...]:
        """Every cast to a half precision."""
        casts = (self._cast(call) for module in self.code.files.modules.values() for call in module.calls)
        return tuple(cast for cast in casts if cast is not None and cast.dtypes & HALF_DTYPES)

    def _cast(self, call: Call) -> Cast | None:
        function = call.node.func
        if not isinstance(function, ast.Attribute) or _is_torch(function.value, call.place):
            return None
        stage = self.stages.of(call.place)
        if call.name in ("half", "bfloat16") and not call.node.args:
            dtypes = frozenset([FLOAT16 if call.name == "half" else BFLOAT16])
            return Cast(call, function.value, None, dtypes, stage)
        if call.name != "to":
            return None
        # `.to` also takes a device, so each argument can be the dtype.
        for argument in (call.argument("dtype"), *call.node.args):
            if argument is not None:
                of_clip = dtype_of_clip(self.objects, argument, call.place)
                dtypes = of_clip or self.values.dtypes(argument, call.place)
                if dtypes & HALF_DTYPES:
                    return Cast(call, function.value, argument, dtypes, stage)
        return None

    def trained_loads(self, unit: Unit) -> list[Load]:
        """Return the loads of a unit whose weights are trained, or that gradients pass through."""
        return [
            load
            for load in self.loads
            if load.stage is Stage.TRAINS and load.quantized is None and self.code.unit_of(load.place.module) is unit
        ]


def _dtype_argument(call: Call) -> ast.expr | None:
    """Return the dtype that a call loads weights in, itself or through the keywords that it hands on."""
    given: Mapping[str, ast.expr] = {}
    if call.name in _LOADING_CALLS:
        given = {name: value for name in _DTYPE_KEYWORDS if (value := call.argument(name)) is not None}
    elif (table := call.argument(_KEYWORDS_OF_MODEL)) is not None:
        given = dict(entries_of(table))
    return next((given[name] for name in _DTYPE_KEYWORDS if name in given), None)


def _may_get_quantization(call: Call) -> bool:
    """Return whether a dictionary that a call gets as ``**kwargs`` can hold a quantization."""
    names = tuple(
        keyword.value.id
        for keyword in call.node.keywords
        if keyword.arg is None and isinstance(keyword.value, ast.Name)
    )
    texts = (
        ast.unparse(place.statement)
        for place in call.place.module.statements
        if place.function is call.place.function and isinstance(place.statement, ast.Assign)
    )
    return any(text.startswith(names) and any(word in text for word in _QUANTIZING_ARGUMENTS) for text in texts)


def _family_of_load(call: Call) -> Family | None:
    """Return the family named by a load: in its arguments, in the variable that it is assigned to, or in its class."""
    cls = call.place.function.cls
    texts = (ast.unparse(call.node), *map(ast.unparse, call.place.targets), cls.name if cls is not None else "")
    return next((family for family in map(family_of, texts) if family is not None), None)


def _is_torch(expression: ast.expr, place: Place) -> bool:
    """Return whether an expression is torch itself: ``torch.half`` is a dtype and no cast."""
    return place.module.imports.get(root_name(expression)) == "torch"
