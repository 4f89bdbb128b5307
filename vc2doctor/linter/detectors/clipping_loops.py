"""Gradient clipping in hand-written loops: before unscaling, with a limit that turns it off, or missing."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import FLOAT16, Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import BACKWARD_AND_STEP, Loop
from vc2doctor.linter.analyse.loss_scaling import scale_calls
from vc2doctor.linter.analyse.precision_branches import float16_branch
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_URL, is_off
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_CLIPPING_CALLS = {
    *("clip_grad_norm_", "clip_grad_value_", "clip_gradients", "clip_grad_norm", "clip_grads", "dispatch_clip_grad"),
}
_TORCH_CLIPPING_CALLS = ("clip_grad_norm_", "clip_grad_value_")
_STEPS = frozenset({"step", "update", "zero_grad"}) | BACKWARD_AND_STEP
_CLIPPING_WORDS = ("clip_grad", "max_norm", "grad_clip")
_ENGINES = ("accelerator", "fabric", "model", "model_engine")
"""Objects whose clipping methods unscale the gradients first."""


def clipping_of_loop(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the faults of the gradient clipping in one loop."""
    calls = loop.function.module.calls_in(loop.function)
    clippings = [call for call in calls if call.name in _CLIPPING_CALLS]
    for clipping in clippings:
        yield from _limit_that_is_off(facts, clipping)
        yield from _clipping_without_limit(facts, loop, clipping)
    yield from _clipping_of_scaled_gradients(facts, loop, calls, clippings)
    yield from _clipping_beside_engine(loop, clippings)
    yield from _clipping_beside_accelerator(facts, loop, clippings)
    is_loop = _steps_optimizer(calls) or _class_steps(loop)
    if not clippings and is_loop and _is_in_half(facts, loop) and not _callees_clip(facts, calls):
        yield _missing_clipping(loop, calls)


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


def _clipping_without_limit(facts: Facts, loop: Loop, clipping: Call) -> Iterator[CodeFinding]:
    """Yield the call of a project's own clipping function with ``None`` as the limit: it only measures the norm."""
    limit = clipping.node.args[1] if len(clipping.node.args) > 1 else None
    callee = facts.code.callee(clipping)
    is_of_torch = clipping.place.module.dotted(clipping.node.func).startswith("torch.")
    if is_of_torch or limit is None or facts.values.of(limit, clipping.place) != {None}:
        return
    if _is_in_half(facts, loop):
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
                Severity.WARNING if _accelerate_is_float16(facts, loop) else Severity.NOTE,
                "torch clips gradients that accelerate has scaled: with fp16 their norm is 65,536 times too large",
                evidence=(f"scaled by {build.code(backward.node)}",),
                remedy="Call accelerator.clip_grad_norm_, which unscales them first.",
                url="https://huggingface.co/docs/accelerate/package_reference/accelerator#accelerate.Accelerator.clip_grad_norm_",
            )


def _accelerate_is_float16(facts: Facts, loop: Loop) -> bool:
    return FLOAT16 in _dtypes_of_accelerate(facts, loop)


def _accelerate_is_half(facts: Facts, loop: Loop) -> bool:
    return bool(_dtypes_of_accelerate(facts, loop) & HALF_DTYPES)


def _dtypes_of_accelerate(facts: Facts, loop: Loop) -> frozenset[Value]:
    """Return the precisions that the module of a loop, or its imports, give to accelerate."""
    closure = facts.code.import_closure(loop.function.module)
    return frozenset(
        dtype
        for call in facts.code.unit_of(loop.function.module).calls.get("Accelerator", [])
        if call.place.module in closure and (precision := call.argument("mixed_precision", 2)) is not None
        for dtype in facts.values.dtypes(precision, call.place)
    )


def _is_of_engine(clipping: Call) -> bool:
    return isinstance(clipping.node.func, ast.Attribute) and last_name(clipping.node.func.value) in _ENGINES


def _is_unscaled(clipping: Call, unscalings: list[Call], scalings: list[Call]) -> bool:
    unscaled_before = any(
        call.node.lineno <= clipping.node.lineno and not _are_in_exclusive_branches(clipping, call)
        for call in unscalings
    )
    # In a branch of its own, for example that of bfloat16, the clipping never sees scaled gradients.
    return unscaled_before or all(_are_in_exclusive_branches(clipping, call) for call in scalings)


def _are_in_exclusive_branches(call: Call, other: Call) -> bool:
    required = dict(call.place.conditions)
    return any(
        condition in required and required[condition] is not wanted for condition, wanted in other.place.conditions
    )


def _missing_clipping(loop: Loop, calls: list[Call]) -> CodeFinding:
    first = loop.backwards[0]
    steps = (call.node.end_lineno or 0 for call in calls if call.name in _STEPS)
    last_line = max(steps, default=first.node.lineno)
    finding = build.at_node(
        loop.function.module,
        first.place.statement or first.node,
        "VC105",
        Severity.NOTE,
        "no gradient clipping in a half-precision loop, and no key for it",
        remedy="Clip after unscale_ and before the step: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).",
        url=CLIPPING_URL,
    )
    # The finding spans the lines from the backward pass to the step: the clipping is missing between them.
    # A step in another method of the class is the other end.
    also = tuple(build.place_of(step.place.module, step.node) for step in _steps_of_class(loop))
    return finding.model_copy(update={"end_line": max(finding.end_line or 0, last_line), "also": also})


def _steps_optimizer(calls: list[Call]) -> bool:
    return any(_is_step(call) for call in calls)


def _is_step(call: Call) -> bool:
    is_of_optimizer = call.name == "step" and "optim" in ast.unparse(call.node).lower()
    return is_of_optimizer or call.name in BACKWARD_AND_STEP


def _class_steps(loop: Loop) -> bool:
    """Return whether another method of the loop's class steps the optimizer, and none of them clips."""
    cls = loop.function.cls
    calls = [call for method in cls.methods.values() for call in method.module.calls_in(method)] if cls else []
    return _steps_optimizer(calls) and not any(call.name in _CLIPPING_CALLS for call in calls)


def _steps_of_class(loop: Loop) -> list[Call]:
    """Return the steps of the optimizer in the other methods of the loop's class, if the loop itself has none."""
    cls, module = loop.function.cls, loop.function.module
    if cls is None or _steps_optimizer(module.calls_in(loop.function)):
        return []
    others = (method for method in cls.methods.values() if method is not loop.function)
    return [call for method in others for call in method.module.calls_in(method) if _is_step(call)]


def _is_in_half(facts: Facts, loop: Loop) -> bool:
    if any(float16_branch(facts, call.place) is not None for call in loop.backwards):
        return True
    if any("accelerator" in ast.unparse(call.receiver) for call in loop.backwards) and _accelerate_is_half(facts, loop):
        return True
    return any(
        region.dtypes & HALF_DTYPES and facts.values.is_reached(region.place) is not False for region in loop.regions
    )


def _callees_clip(facts: Facts, calls: list[Call]) -> bool:
    """Return whether a called function clips, or a call has an argument that is about clipping."""
    for call in calls:
        callee = facts.code.callee(call)
        if callee is not None and any(
            isinstance(node, ast.Call) and last_name(node.func) in _CLIPPING_CALLS for node in ast.walk(callee.node)
        ):
            return True
        if any(word in ast.unparse(call.node) for word in _CLIPPING_WORDS):
            return True
    return False
