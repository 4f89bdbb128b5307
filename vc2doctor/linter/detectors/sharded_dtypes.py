"""FSDP's dtypes for what is summed over the ranks and for the buffers."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_URL = "https://docs.pytorch.org/docs/stable/fsdp.html#torch.distributed.fsdp.MixedPrecision"
_EFFECTS = {
    "reduce_dtype": "gradients are summed over the ranks in it",
    "buffer_dtype": "buffers are cast to it, also the frequencies of rotary positions",
}


def sharded_dtypes(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a note for each policy of FSDP that reduces gradients, or keeps buffers, in half precision."""
    for unit in facts.code.units.values():
        for name in ("MixedPrecision", "MixedPrecisionPolicy"):
            for call in unit.calls.get(name, []):
                if facts.stages.of(call.place) is not Stage.INFERS:
                    yield from _at(facts, call)


def _at(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    half = [name for name in _EFFECTS if _may_be_half(facts, call, name)]
    if not half:
        return
    effects = ", and ".join(_EFFECTS[name] for name in half)
    yield build.at_node(
        call.place.module,
        call.node,
        "VC110",
        Severity.NOTE,
        f"{' and '.join(half)} can be half precision: {effects}",
        evidence=tuple(f"{name}={build.code(argument)}" for name in half if (argument := call.argument(name))),
        remedy="Write reduce_dtype=torch.float32, and leave buffer_dtype out, if the links between the GPUs allow it.",
        url=_URL,
    )


def _may_be_half(facts: Facts, call: Call, name: str) -> bool:
    """Return whether an argument is a half precision, or a dtype that only a run can tell."""
    argument = call.argument(name)
    if argument is None or isinstance(argument, ast.Constant):
        return False
    dtypes = facts.values.dtypes(argument, call.place)
    is_known = all(isinstance(each, Dtype) for each in dtypes) and bool(dtypes)
    return bool(dtypes & HALF_DTYPES) if is_known else isinstance(argument, ast.Name | ast.Attribute)
