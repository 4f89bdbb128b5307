"""Calls of a wrapper around a scaler that clips only if it is given a limit: ``loss_scaler(loss, optimizer)``.

The wrapper of timm, and those of MAE and its descendants, have ``clip_grad=None``:
https://github.com/facebookresearch/mae/blob/main/util/misc.py
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_URL
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function


def wrapper_without_limit(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the calls of a wrapper that give it no limit, where it clips by no other one (VC105)."""
    wrapper = loop.function
    name = _limit_of(wrapper) if wrapper.name == "__call__" else ""
    for call in _calls_of(facts, wrapper) if name else ():
        limit = call.argument(name, wrapper.position(name))
        is_none = isinstance(limit, ast.Constant) and limit.value is None
        is_open = any(keyword.arg is None for keyword in call.node.keywords)
        if (limit is None or is_none) and not is_open and facts.stages.of(call.place) is not Stage.INFERS:
            yield build.at_node(
                call.place.module,
                call.node,
                "VC105",
                Severity.NOTE,
                f"{build.code(call.node.func)} clips only if it gets {name}, and here it gets none: float16 gradients "
                "are not clipped",
                evidence=(f"defined at {build.place_of(wrapper.module, wrapper.node).location}",),
                remedy=f"Give it a limit, for example {name}=1.0.",
                url=CLIPPING_URL,
            )


def _limit_of(wrapper: Function) -> str:
    """Return the parameter that a wrapper needs to clip, if it is ``None`` or 0 by default; ``""``: it always clips."""
    clippings = [call for call in wrapper.module.calls_in(wrapper) if call.name in CLIPPING_CALLS]
    defaults = wrapper.defaults()
    names = {
        name
        for call in clippings
        for condition, wanted in call.place.conditions
        for name in (_asked_for(condition) if wanted else ())
        if isinstance(default := defaults.get(name), ast.Constant) and not default.value
    }
    is_always = any(not call.place.conditions for call in clippings)
    return next(iter(sorted(names)), "") if not is_always else ""


def _asked_for(condition: ast.expr) -> Iterator[str]:
    """Yield ``clip`` for ``clip is not None``, ``clip`` and ``clip and clip > 0``."""
    match condition:
        case ast.Name(id=name) | ast.Compare(left=ast.Name(id=name), ops=[ast.IsNot() | ast.Gt()]):
            yield name
        case ast.BoolOp(op=ast.And(), values=values):
            for value in values:
                yield from _asked_for(value)


def _calls_of(facts: Facts, wrapper: Function) -> Iterator[Call]:
    """Yield the calls of an object that is of the wrapper's class, or is named like the only wrapper of its program."""
    for module in facts.code.unit_of(wrapper.module).modules:
        for call in module.calls if wrapper.module in facts.code.together_with(module) else ():
            function = call.node.func
            takes_loss = bool(call.node.args) and "loss" in ast.unparse(call.node.args[0]).lower()
            if not isinstance(function, ast.Name | ast.Attribute) or not takes_loss:
                continue
            cls = facts.objects.class_of(function, call.place)
            is_parameter = isinstance(function, ast.Name) and function.id in call.place.function.parameters()
            is_named = is_parameter and bool(words(call.name) & {"scaler", "scale"})
            if cls is wrapper.cls or (cls is None and is_named):
                yield call
