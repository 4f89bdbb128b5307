"""The default dtype of torch while modules are constructed: ``set_default_tensor_type(torch.cuda.HalfTensor)``."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, FLOAT32, Dtype
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import Stage, Stages
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.module import Call, Class, Module, last_name

_SETTERS = ("set_default_dtype", "set_default_tensor_type")
_CASTS = ("bfloat16", "float", "half", "double")
_TENSOR_TYPES = {"HalfTensor": FLOAT16, "BFloat16Tensor": BFLOAT16, "FloatTensor": FLOAT32, "DoubleTensor": None}


@dataclass(frozen=True, slots=True, eq=False)
class HalfConstruction:
    """A module that is constructed while the default dtype is a half precision."""

    setter: Call
    dtype: Dtype
    cls: Class
    """The class of the module."""


@lru_cache(maxsize=2)
def half_constructions(code: CodeFacts, values: Values, stages: Stages) -> tuple[HalfConstruction, ...]:
    """Return the classes of the project that training code constructs under a half-precision default dtype.

    Two rules ask for them.
    """
    return tuple(_half_constructions(code, values, stages))


def _half_constructions(code: CodeFacts, values: Values, stages: Stages) -> Iterator[HalfConstruction]:
    for module in code.files.modules.values():
        if "set_default_" not in module.source.text or stages.infers_by_path(module):
            continue
        setters = [call for call in module.calls if call.name in _SETTERS and call.node.args]
        for setter in setters:
            dtype = _dtype_of(setter, values)
            if dtype not in (FLOAT16, BFLOAT16) or stages.of(setter.place) is Stage.INFERS:
                continue
            cls = _constructed_after(code, module, setter, setters)
            if cls is not None and dtype is not None:
                yield HalfConstruction(setter, dtype, cls)


def _dtype_of(setter: Call, values: Values) -> Dtype | None:
    argument = setter.node.args[0]
    name = argument.value if isinstance(argument, ast.Constant) else last_name(argument)
    if isinstance(name, str) and name.rpartition(".")[2] in _TENSOR_TYPES:
        return _TENSOR_TYPES[name.rpartition(".")[2]]
    dtypes = values.dtypes(argument, setter.place)
    only = next(iter(dtypes)) if len(dtypes) == 1 else None
    return only if isinstance(only, Dtype) else None


def _constructed_after(code: CodeFacts, module: Module, setter: Call, setters: list[Call]) -> Class | None:
    """Return the first class that is constructed between a setter and the next one in the same function."""
    function, line = setter.place.function, setter.node.lineno
    later = [call.node.lineno for call in setters if call.place.function is function and call.node.lineno > line]
    end = min(later, default=function.lines[1])
    calls = module.calls_in(function)
    # `Model().bfloat16()` replaces the dtype that the setter gave.
    cast = {call.receiver for call in calls if call.name in _CASTS}
    for call in calls:
        if line < call.node.lineno <= end and call.node not in cast:
            cls = code.class_named(module, call.node.func)
            if cls is not None and "forward" in cls.methods:
                return cls
    return None
