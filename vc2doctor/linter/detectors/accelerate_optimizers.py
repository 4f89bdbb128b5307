"""Two prepared optimizers of accelerate in one step: its clipping unscales the gradients of both."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_URL = "https://github.com/huggingface/accelerate/blob/main/src/accelerate/accelerator.py"
"""``unscale_gradients`` without an optimizer unscales all that are prepared."""


def unscaled_with_others(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the clipping between two backward passes of accelerate that accumulate for two optimizers (VC104)."""
    module, function = loop.function.module, loop.function
    calls = module.calls_in(function)
    backwards = sorted((call for call in loop.backwards if _is_accelerate(call)), key=lambda call: call.node.lineno)
    accumulates = any("accumulate" in ast.unparse(context) for call in backwards for context in call.place.contexts)
    if not accumulates or not _may_scale(facts, loop):
        return
    first, second = backwards[0], backwards[-1]
    lines = range(first.node.lineno, second.node.lineno)
    steps = [call for call in calls if call.name == "step" and "optim" in ast.unparse(call.receiver)]
    before = {ast.unparse(call.receiver) for call in steps if call.node.lineno in lines}
    after = {ast.unparse(call.receiver) for call in steps if call.node.lineno > second.node.lineno}
    clippings = [call for call in calls if call.name == "clip_grad_norm_" and _is_accelerate(call)]
    clipping = next((call for call in clippings if call.node.lineno in lines), None)
    are_two = bool(before and after) and not before & after
    is_shared = first is not second and are_two and not are_exclusive(first.place, second.place)
    if clipping is not None and is_shared:
        yield build.at_node(
            module,
            clipping.node,
            "VC104",
            Severity.NOTE,
            "accelerator.clip_grad_norm_ unscales the gradients of all prepared optimizers: with fp16 and accumulation "
            "scaled gradients are then added to those of the other optimizer",
            evidence=(f"the second backward pass is at {build.place_of(module, second.node).location}",),
            remedy="Run both backward passes before the clipping, or call accelerator.unscale_gradients(optimizer).",
            url=_URL,
            role="scaler",
            also=(build.place_of(module, first.node), build.place_of(module, second.node)),
        )


def _is_accelerate(call: Call) -> bool:
    return "accelerator" in ast.unparse(call.receiver)


def _may_scale(facts: Facts, loop: Loop) -> bool:
    """Return whether the precision of accelerate is an option, or fp16."""
    makers = facts.code.unit_of(loop.function.module).calls.get("Accelerator", [])
    own = [call for call in makers if call.place.module is loop.function.module]
    precisions = [call.argument("mixed_precision", 2) for call in own]
    return any(precision is None or ast.unparse(precision) not in ("'bf16'", "'no'") for precision in precisions)
