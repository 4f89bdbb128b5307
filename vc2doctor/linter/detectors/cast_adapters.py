"""Adapters that a flag of the run casts to half precision together with their base, after they were added."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place, last_name

_ADDS_ADAPTERS = ("get_peft_model",)


def cast_adapters(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts of whole models with adapters under a condition that only a run can tell.

    A cast that every run reaches is part of the lineage of the trained model, and is judged there.
    """
    for cast in facts.weights.casts:
        place = cast.call.place
        is_reached = facts.values.is_reached(place)
        is_open = bool(place.conditions) and is_reached is not True
        if is_open and cast.stage is Stage.TRAINS and _has_adapters(cast) and _trains_after(cast):
            yield _finding(cast, is_off=is_reached is False)


def _has_adapters(cast: Cast) -> bool:
    """Return whether the last assignment to the name before the cast adds adapters, and no condition skips it."""
    if not isinstance(cast.receiver, ast.Name):
        return False
    line, conditions = cast.call.node.lineno, cast.call.place.conditions
    earlier = [
        (value, place)
        for value, place in cast.call.place.function.names.get(cast.receiver.id, [])
        if value.lineno < line
    ]
    if not earlier:
        return False
    value, place = max(earlier, key=lambda pair: pair[0].lineno)
    is_certain = all(condition in conditions for condition in place.conditions)
    return is_certain and isinstance(value, ast.Call) and last_name(value.func) in _ADDS_ADAPTERS


def _trains_after(cast: Cast) -> bool:
    """Return whether the function gives the model to a trainer after the cast, as it is."""
    place: Place = cast.call.place
    later = [call for call in place.module.calls_in(place.function) if call.node.lineno > cast.call.node.lineno]
    names = [keyword.value for call in later if call.name.endswith("Trainer") for keyword in call.node.keywords]
    return any(last_name(name) == cast.name for name in names if isinstance(name, ast.Name | ast.Attribute))


def _finding(cast: Cast, *, is_off: bool) -> CodeFinding:
    """Return the finding; with ``is_off`` nothing in the project sets the flag, and a user can."""
    is_float16 = FLOAT16 in cast.dtypes
    dtype = "float16" if is_float16 else "bfloat16"
    effect = 'a scaler raises "Attempting to unscale FP16 gradients"' if is_float16 else BFLOAT16_EFFECT
    condition, wanted = cast.call.place.conditions[-1]
    return build.at_node(
        cast.call.place.module,
        cast.call.node,
        "VC109",
        Severity.NOTE if is_off else Severity.WARNING,
        f"{build.code(cast.call.node)} makes the adapters {dtype} like the base: {effect}",
        evidence=(
            f"reached where {build.code(condition)} is {'true' if wanted else 'false'}, after get_peft_model",
            "the trainer keeps no float32 copies of what it trains",
        ),
        remedy="Cast before get_peft_model, or leave the adapters in float32 and let bf16=True compute in bfloat16.",
        role="cast",
    )
