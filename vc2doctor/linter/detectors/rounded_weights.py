"""Weights that a loop rounds to float16 again after each step of the optimizer."""

import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_CONVERTERS = re.compile(r"^convert_(weights?|models?|module)(_to_(fp16|f16|half|float16))?$")
"""Functions that make the weights of a model float16 in place; CLIP's own is ``convert_weights``.

https://github.com/openai/CLIP/blob/main/clip/model.py
"""


def rounding_calls(facts: Facts) -> Iterator[tuple[Loop, Call]]:
    """Yield conversions to float16 that follow the step of an optimizer in a training loop."""
    for loop in facts.loops.all:
        steps = [call for call in loop.function.module.calls_in(loop.function) if _is_step(call)]
        for call in loop.function.module.calls_in(loop.function):
            follows = any(step.node.lineno < call.node.lineno and _are_together(step, call) for step in steps)
            if follows and _halves(call) and facts.values.is_reached(call.place) is not False:
                yield loop, call


def _is_step(call: Call) -> bool:
    return call.name == "step" and bool(words(build.code(call.receiver)) & {"optimizer", "optim", "opt"})


def _are_together(step: Call, conversion: Call) -> bool:
    """Return whether a step and a conversion are in the same loop, and under the same conditions."""
    is_in_loop = step.place.loop_depth == conversion.place.loop_depth > 0
    return is_in_loop and step.place.conditions == conversion.place.conditions


def _halves(call: Call) -> bool:
    is_method = call.name == "half" and not call.node.args and bool(words(build.code(call.receiver)) & {"model", "net"})
    return is_method or _CONVERTERS.match(call.name) is not None


def rounded_weights(loop: Loop, call: Call) -> CodeFinding:
    """Return the finding (VC109) about a call of ``rounding_calls``."""
    backward = build.place_of(loop.function.module, loop.backwards[0].node)
    return build.at_node(
        loop.function.module,
        call.node,
        "VC109",
        Severity.WARNING,
        "the weights are rounded to float16 after every step: updates below 1/2048 of a weight are lost",
        evidence=(
            f"the gradients of {backward.location} are float16, too, and nothing scales the loss",
            "a step in float32 helps only where the weights stay float32 after it",
        ),
        remedy="Keep the weights in float32, and compute the forward pass under autocast with a GradScaler.",
        url=build.AMP_EXAMPLES_URL,
        role="cast",
    )
