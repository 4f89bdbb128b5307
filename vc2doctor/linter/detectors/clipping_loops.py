"""Gradient clipping in hand-written loops: before unscaling, with a limit that turns it off, or missing."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import scale_calls, scalers_of
from vc2doctor.linter.detectors.clipping_absent import clipping_is_absent
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_URL, is_off
from vc2doctor.linter.detectors.half_loops import accelerate_dtypes, why_half
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_TORCH_CLIPPING_CALLS = ("clip_grad_norm_", "clip_grad_value_")
_ENGINES = ("accelerator", "fabric", "model", "model_engine")
"""Objects whose clipping methods unscale the gradients first."""


def clipping_of_loop(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the faults of the gradient clipping in one loop."""
    calls = loop.function.module.calls_in(loop.function)
    clippings = [call for call in calls if call.name in CLIPPING_CALLS]
    for clipping in clippings:
        yield from _limit_that_is_off(facts, clipping)
        yield from _clipping_without_limit(facts, loop, clipping, clippings)
    yield from _clipping_of_scaled_gradients(facts, loop, calls, clippings)
    yield from _clipping_beside_engine(loop, clippings)
    yield from _clipping_beside_accelerator(facts, loop, clippings)
    yield from clipping_is_absent(facts, loop)


def _limit_that_is_off(facts: Facts, clipping: Call) -> Iterator[CodeFinding]:
    limit = clipping.argument("max_norm", 1)
    if limit is None or clipping.name != "clip_grad_norm_":
        return
    values = facts.values.of(limit, clipping.place)
    is_guarded = any(ast.unparse(limit) in ast.unparse(condition) for condition, _ in clipping.place.conditions)
    off_values = [value for value in values if is_off(value)]
    if off_values and not is_guarded:
        effect = "turns every gradient round" if min(off_values) < 0 else "makes every gradient zero"
        yield build.at_node(
            clipping.place.module,
            clipping.node,
            "VC105",
            Severity.ERROR,
            f"clip_grad_norm_ gets {min(off_values)}: it {effect}",
            evidence=("measured: max_norm=-1 turns [3, 4] into [-0.6, -0.8]; 0 gives zeros",),
            remedy=f"Clip only where it is positive: if {build.code(limit)} > 0.",
            url=CLIPPING_URL,
        )


def _clipping_of_scaled_gradients(
    facts: Facts, loop: Loop, calls: list[Call], clippings: list[Call]
) -> Iterator[CodeFinding]:
    module = loop.function.module
    scalings = scale_calls(facts, loop)
    scalers = scalers_of(facts, facts.code.unit_of(module), loop)
    if scalers and all(scaler.enabled == {False} for scaler in scalers):
        # A scaler that is off returns the loss as it is.
        return
    unscalings = [call for call in calls if call.name == "unscale_"]
    for clipping in clippings if scalings else ():
        is_of_torch = clipping.name in _TORCH_CLIPPING_CALLS and not _is_of_engine(clipping)
        if is_of_torch and not _is_unscaled(clipping, unscalings, scalings):
            yield build.at_node(
                module,
                clipping.node,
                "VC105",
                Severity.ERROR,
                "gradients are clipped while they are still scaled",
                evidence=(f"scaled at {build.place_of(module, scalings[0].node).location}, and not unscaled before",),
                remedy="Call scaler.unscale_(optimizer) before the clipping.",
                url=build.AMP_EXAMPLES_URL,
            )


def _clipping_without_limit(facts: Facts, loop: Loop, clipping: Call, clippings: list[Call]) -> Iterator[CodeFinding]:
    """Yield the call of a project's own clipping function with ``None`` as the limit: it only measures the norm."""
    limit = clipping.node.args[1] if len(clipping.node.args) > 1 else None
    callee = facts.code.callee(clipping)
    is_of_torch = clipping.place.module.dotted(clipping.node.func).startswith("torch.")
    if is_of_torch or limit is None or facts.values.of(limit, clipping.place) != {None}:
        return
    if any(_clips_first(facts, other, clipping) for other in clippings):
        return
    if why_half(facts, loop) is not None:
        yield build.at_node(
            clipping.place.module,
            clipping.node,
            "VC105",
            Severity.WARNING,
            f"{clipping.name} gets None as its limit: it measures the gradients and clips nothing, in half precision",
            evidence=(f"defined at {build.place_of(callee.module, callee.node).location}",) if callee else (),
            remedy="Give it a positive limit, for example 1.0 for a norm.",
            url=CLIPPING_URL,
        )


def _clips_first(facts: Facts, other: Call, clipping: Call) -> bool:
    """Return whether another call before has clipped the same gradients with a limit, so that this one may measure."""
    parameters, clipped = (call.argument("parameters", 0) for call in (clipping, other))
    limit = other.argument("max_norm", 1)
    if parameters is None or clipped is None or limit is None or other.node.lineno >= clipping.node.lineno:
        return False
    is_same = ast.unparse(parameters) == ast.unparse(clipped)
    return is_same and None not in facts.values.of(limit, other.place)


def _clipping_beside_engine(loop: Loop, clippings: list[Call]) -> Iterator[CodeFinding]:
    """Yield torch's clipping in a loop whose backward pass and step are those of DeepSpeed's engine."""
    engines = {ast.unparse(call.receiver) for call in loop.backwards if call.node.args}
    stepped = {
        ast.unparse(call.receiver)
        for call in loop.function.module.calls_in(loop.function)
        if call.name == "step" and not call.node.args
    }
    names_deepspeed = "deepspeed" in loop.function.module.source.text
    for clipping in clippings:
        arguments = [ast.unparse(argument) for argument in clipping.node.args[:1]]
        is_of_torch = clipping.name in _TORCH_CLIPPING_CALLS and not _is_of_engine(clipping)
        is_bypassed = any(text.startswith(f"{engine}.") for text in arguments for engine in engines & stepped)
        if names_deepspeed and is_of_torch and is_bypassed and not clipping.place.conditions:
            yield build.at_node(
                clipping.place.module,
                clipping.node,
                "VC105",
                Severity.WARNING,
                "DeepSpeed's engine is stepped, so this clipping does nothing: the engine keeps its own gradients",
                evidence=("under ZeRO the gradients are not in parameter.grad, and in fp16 they would be scaled",),
                remedy='Set "gradient_clipping" in the configuration of DeepSpeed, and remove this call.',
                url="https://www.deepspeed.ai/docs/config-json/#gradient-clipping",
            )


def _clipping_beside_accelerator(facts: Facts, loop: Loop, clippings: list[Call]) -> Iterator[CodeFinding]:
    """Yield torch's clipping behind ``accelerator.backward``: under fp16 the gradients are still scaled there."""
    backward = next((call for call in loop.backwards if "accelerator" in ast.unparse(call.receiver)), None)
    unscales = any(call.name == "unscale_gradients" for call in loop.function.module.calls)
    for clipping in clippings if backward is not None and not unscales else ():
        is_of_torch = clipping.name in _TORCH_CLIPPING_CALLS and not _is_of_engine(clipping)
        if backward is not None and is_of_torch:
            yield build.at_node(
                clipping.place.module,
                clipping.node,
                "VC105",
                Severity.WARNING if FLOAT16 in accelerate_dtypes(facts, loop) else Severity.NOTE,
                "torch clips gradients that accelerate has scaled: with fp16 their norm is 65,536 times too large",
                evidence=(f"scaled by {build.code(backward.node)}",),
                remedy="Call accelerator.clip_grad_norm_, which unscales them first.",
                url="https://huggingface.co/docs/accelerate/package_reference/accelerator#accelerate.Accelerator.clip_grad_norm_",
            )


def _is_of_engine(clipping: Call) -> bool:
    return isinstance(clipping.node.func, ast.Attribute) and last_name(clipping.node.func.value) in _ENGINES


def _is_unscaled(clipping: Call, unscalings: list[Call], scalings: list[Call]) -> bool:
    # What is scaled after an unscale_ is scaled again: the gradients of a second loss, for a second optimizer.
    earlier = [
        call.node.lineno
        for call in scalings
        if call.place.function is clipping.place.function
        and call.node.lineno < clipping.node.lineno
        and not are_exclusive(clipping.place, call.place)
    ]
    unscaled_before = any(
        max(earlier, default=0) <= call.node.lineno <= clipping.node.lineno
        and not are_exclusive(clipping.place, call.place)
        for call in unscalings
    )
    # In a branch of its own, for example that of bfloat16, the clipping never sees scaled gradients.
    return unscaled_before or all(are_exclusive(clipping.place, call.place) for call in scalings)
